# SPDX-License-Identifier: GPL-3.0-or-later
"""Every single fault and every pair of faults of every operation on every hub, on all cores.

The exchanges that a second fault can hit are those of the trial with the first fault alone. Pairs whose second fault
hits the same exchange have their beginning in common, so it is played once, and pickled.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import pickle
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from tests.pairs.trial import OPERATIONS, Case, Fault, Trial, can_coincide, hubs_for, kinds

MOST_AT_ONCE = 3
"""Requests that can go out in one step."""


class Failure(NamedTuple):
    """A case, and what is wrong with it."""

    case: Case
    what: str


@dataclass
class Tally:
    """What came of some trials."""

    singles: int = 0
    pairs: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, other: Tally) -> None:
        self.singles += other.singles
        self.pairs += other.pairs
        self.outcomes += other.outcomes
        self.failures += other.failures

    def __str__(self) -> str:
        outcomes = ', '.join(f'{number} {name}' for name, number in self.outcomes.most_common())
        return '\n'.join([
            f'runs        {self.singles + self.pairs:8}   in {self.seconds:.0f} s: {self.singles} single faults, '
            f'{self.pairs} pairs',
            f'commands    {sum(self.outcomes.values()):8}   {outcomes}',
            f'violations  {len(self.failures):8}'])


def first_faults(operation: str, hub: str) -> Iterator[Case]:
    """All cases of one fault."""
    for number, request in enumerate(Trial(Case(operation, hub)).play().exchanges):
        for kind in kinds(request):
            yield Case(operation, hub, (Fault(number, kind),))


def is_chosen(first: Case, number: int, one_in: int) -> bool:
    """Whether the second faults at an exchange belong to the fixed part of all pairs, one in so many."""
    return zlib.crc32(f'{first} {number}'.encode()) % one_in == 0


def play_with_seconds(first: Case, one_in: int = 1) -> Tally:
    """Play a case of one fault, and all pairs, or one in so many, that begin with it."""
    tally = Tally()
    fault = first.faults[0]
    gc.disable()   # a trial is short, and its objects refer to each other: they are collected together, at the end
    trial = Trial(first)
    trial.begin()
    going, before = True, b''
    while going:
        exchanges = len(trial.exchanges)
        if any(is_chosen(first, number, one_in) for number in range(exchanges, exchanges + MOST_AT_ONCE)
               if number >= fault.exchange):
            before = pickle.dumps(trial, pickle.HIGHEST_PROTOCOL)
        try:
            going = trial.step()
        except Exception as error:   # an exception out of the core is a violation like any other
            tally.failures.append(Failure(first, f'{type(error).__name__}: {error}'))
            going = False
        assert len(trial.exchanges) <= exchanges + MOST_AT_ONCE
        for number in range(max(exchanges, fault.exchange), len(trial.exchanges)):
            for kind in kinds(trial.exchanges[number]) if is_chosen(first, number, one_in) else ():
                if number > fault.exchange or can_coincide(fault.kind, kind):
                    play_pair(pickle.loads(before), Fault(number, kind), tally)
    tally.singles += 1
    tally.outcomes.update(trial.outcomes)
    gc.enable()
    gc.collect()
    return tally


def play_pair(trial: Trial, second: Fault, tally: Tally) -> None:
    """Play a trial on, with a second fault to come."""
    trial.add(second)
    try:
        while trial.step():
            pass
    except Exception as error:
        tally.failures.append(Failure(trial.case, f'{type(error).__name__}: {error}'))
    tally.pairs += 1
    tally.outcomes.update(trial.outcomes)


def play_every(report: Callable[[str], None] = lambda text: None, one_in: int = 1) -> Tally:
    """Play all single faults, and all pairs or one in so many, on all cores."""
    total = Tally()
    begin = time.monotonic()
    cases = [case for operation in OPERATIONS for hub in hubs_for(operation) for case in first_faults(operation, hub)]
    with multiprocessing.get_context('spawn').Pool(os.cpu_count()) as pool:
        for number, tally in enumerate(pool.imap(partial(play_with_seconds, one_in=one_in), cases, chunksize=4), 1):
            total.add(tally)
            if number % 500 == 0:
                report(f'{total.singles + total.pairs} runs, {len(total.failures)} violations')
    total.seconds = time.monotonic() - begin
    return total

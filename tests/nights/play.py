# SPDX-License-Identifier: GPL-3.0-or-later
"""Play many nights on all cores, and count."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from tests.nights.mutations import mutated
from tests.nights.night import Night
from tests.nights.plan import COMMANDS, FAULTS, Event
from warwick.observatory.focuslynx.constants import FocuserStatus


@dataclass
class Tally:
    """What came of some nights."""

    nights: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    transitions: set[tuple[int, int]] = field(default_factory=set)
    violations: list[tuple[int, str]] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, other: Tally) -> None:
        self.nights += other.nights
        self.counts += other.counts
        self.transitions |= other.transitions
        self.violations += other.violations

    def __str__(self) -> str:
        names = [FocuserStatus.label(status) for status in range(6)]
        pairs = ', '.join(f'{names[before]}>{names[after]}' for before, after in sorted(self.transitions))
        kinds = [sum(1 for kind in kinds if self.counts[kind]) for kinds in (COMMANDS, FAULTS)]
        return '\n'.join([
            f'nights                {self.nights:9}   in {self.seconds:.0f} s',
            f'commands issued       {self.counts["commands"]:9}   of {kinds[0]} kinds',
            f'faults injected       {self.counts["faults"]:9}   of {kinds[1]} kinds',
            f'transitions covered   {len(self.transitions):9}   {pairs}',
            f'violations            {len(self.violations):9}   '
            + ' '.join(str(seed) for seed, _ in self.violations[:20])])


def violation(seed: int, plan: list[Event] | None = None) -> str | None:
    """Play one night; what is wrong with it, or None."""
    try:
        Night(seed, plan).play_to_the_end()
    except Exception as error:   # an exception out of the core is a violation like any other
        return f'{type(error).__name__}: {error}'
    return None


def play_some(seeds: Sequence[int]) -> Tally:
    """Play these nights in this process."""
    tally = Tally()
    for seed in seeds:
        night = Night(seed)
        try:
            night.play_to_the_end()
        except Exception as error:
            tally.violations.append((seed, f'{type(error).__name__}: {error}'))
        tally.nights += 1
        tally.counts += night.counts
        tally.transitions |= night.transitions
    return tally


def play(seeds: Iterable[int], report: Callable[[str], None] = lambda text: None) -> Tally:
    """Play nights on all cores."""
    seeds = list(seeds)
    chunks = [seeds[i:i + 20] for i in range(0, len(seeds), 20)]
    total = Tally()
    begin = time.monotonic()
    with multiprocessing.get_context('spawn').Pool(os.cpu_count()) as pool:
        for tally in pool.imap_unordered(play_some, chunks):
            total.add(tally)
            if total.nights % 1000 == 0:
                report(f'{total.nights} nights, {len(total.violations)} violations')
    total.seconds = time.monotonic() - begin
    return total


def nights_until_found(mutation: str, most: int) -> int | None:
    """How many nights it takes to notice a mutation of the core; None if `most` are not enough."""
    with mutated(mutation):
        return next((seed + 1 for seed in range(most) if violation(seed) is not None), None)

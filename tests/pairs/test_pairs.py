# SPDX-License-Identifier: GPL-3.0-or-later
"""All single faults, and one in ten of all pairs of faults, at the exchanges of each operation on each hub."""

from __future__ import annotations

from unittest import mock

import pytest

from tests.nights.mutations import mutated
from tests.pairs.every import Tally, first_faults, is_chosen, play_with_seconds
from tests.pairs.trial import OPERATIONS, Case, Fault, Trial, Violation, hubs_for
from warwick.observatory.focuslynx.core.halt import MotorHalt

ONE_IN = 10


@pytest.mark.parametrize(('operation', 'hub'), [(name, hub) for name in OPERATIONS for hub in hubs_for(name)])
def test_no_fault_and_no_chosen_pair_breaks_a_promise(operation: str, hub: str) -> None:
    tally = Tally()
    for first in first_faults(operation, hub):
        tally.add(play_with_seconds(first, ONE_IN))
    assert tally.failures == []
    assert tally.singles > 20
    assert tally.pairs > tally.singles


@pytest.mark.parametrize('operation', OPERATIONS)
def test_an_operation_without_a_fault_is_done(operation: str) -> None:
    for hub in hubs_for(operation):
        assert Trial(Case(operation, hub)).play().outcomes[-1] == 'done'


def test_a_trial_is_the_same_every_time() -> None:
    def trace() -> list[str]:
        lines: list[str] = []
        Trial(Case('move', 'usual', (Fault(1, 'digit wrong'), Fault(3, 'bit wrong'))), trace=lines.append).play()
        return lines

    assert trace() == trace()


def test_a_pair_from_the_middle_is_as_from_the_beginning() -> None:
    case = Case('stop in a move', 'late report', (Fault(1, 'reply lost'), Fault(5, '0.3 s late')))
    played: list[Trial] = []
    step = Trial.step

    def noted(trial: Trial) -> bool:
        going = step(trial)
        if not going:
            played.append(trial)
        return going

    with mock.patch.object(Trial, 'step', noted), \
            mock.patch('tests.pairs.every.is_chosen', lambda first, number, one_in: number == 5):
        play_with_seconds(case._replace(faults=case.faults[:1]))
    from_the_middle = next(trial for trial in played if trial.case == case)
    from_the_beginning = Trial(case).play()
    assert from_the_middle.sent == from_the_beginning.sent
    assert from_the_middle.log == from_the_beginning.log


def test_one_in_ten_is_always_the_same_tenth() -> None:
    first = Case('move', 'usual', (Fault(1, 'cut'),))
    chosen = [number for number in range(1000) if is_chosen(first, number, ONE_IN)]
    assert 60 < len(chosen) < 140
    assert chosen == [number for number in range(1000) if is_chosen(first, number, ONE_IN)]


def test_a_halt_that_is_not_sent_again_is_noticed() -> None:
    real = MotorHalt.exchange_failed

    def sent_once(halt: MotorHalt, *args: object) -> None:
        real(halt, *args)   # type: ignore[arg-type]
        halt.halt_due = float('inf')

    with mock.patch.object(MotorHalt, 'exchange_failed', sent_once), pytest.raises(Violation):
        Trial(Case('stop in a move', 'usual', (Fault(3, 'request lost'),))).play()


@pytest.mark.parametrize(('mutation', 'operation', 'hub'), [
    ('first_rest_ends_a_move', 'move', 'usual'),
    ('a_move_without_answer_is_sent_again', 'move', 'usual'),
    ('a_poll_goes_before_the_halt', 'move', 'usual'),
    ('a_failed_move_is_not_halted', 'offset', 'late start'),
    ('homing_without_answer_is_begun_again', 'home', 'usual'),
    ('a_change_is_done_when_the_hub_says_set', 'configure', 'usual'),
    ('a_lost_link_is_not_opened_again', 'move', 'usual')])
def test_a_broken_core_is_noticed_by_a_single_fault(mutation: str, operation: str, hub: str) -> None:
    def is_noticed(case: Case) -> bool:
        try:
            Trial(case).play()
        except AssertionError:
            return True
        return False

    for case in list(first_faults(operation, hub)):
        with mutated(mutation):
            noticed = is_noticed(case)
        if noticed and not is_noticed(case):
            return
    pytest.fail('no single fault notices it')

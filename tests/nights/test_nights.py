# SPDX-License-Identifier: GPL-3.0-or-later
"""A thousand nights of faults, and the proof that they would notice a fault of ours."""

from __future__ import annotations

import pytest

from tests.nights.mutations import MUTATIONS
from tests.nights.night import Night
from tests.nights.plan import COMMANDS, FAULTS, events, shorten
from tests.nights.play import nights_until_found, play, violation
from warwick.observatory.focuslynx.hub_settings import HUB_SETTINGS

NIGHTS = 1000


def test_the_nights_pass_without_a_violation(capsys: pytest.CaptureFixture[str]) -> None:
    tally = play(range(NIGHTS))
    with capsys.disabled():
        print(f'\n{tally}')
    assert tally.violations == []
    assert tally.nights == NIGHTS
    assert all(tally.counts[kind] for kind in COMMANDS + FAULTS)
    assert all(tally.counts[f'{key} changed'] for key in HUB_SETTINGS)
    assert all(tally.counts[f'{kind} DONE'] for kind in ('MoveFocuser', 'SetZero', 'Home', 'QueryHub', 'Stop'))
    assert len(tally.transitions) >= 20


@pytest.mark.parametrize('mutation', MUTATIONS)
def test_a_broken_core_is_noticed(mutation: str) -> None:
    found_after = nights_until_found(mutation, NIGHTS)
    assert found_after is not None


def test_a_night_is_the_same_every_time() -> None:
    def trace(seed: int) -> list[str]:
        lines: list[str] = []
        Night(seed, trace=lines.append).play_to_the_end()
        return lines

    assert trace(7) == trace(7)
    assert events(7) != events(8)


def test_a_failing_night_is_shortened_to_what_makes_it_fail() -> None:
    plan = events(3)
    culprit = next(event for event in plan if event.what == 'unplug')
    shorter = shorten(lambda candidate: culprit in candidate, plan)
    assert shorter == [culprit]


def test_a_night_without_events_passes() -> None:
    assert violation(1, []) is None

# SPDX-License-Identifier: GPL-3.0-or-later
"""Homing, in simulated time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.core.world import SETTINGS, World
from warwick.observatory.focuslynx.commands import Home, MoveFocuser, Outcome, Stop
from warwick.observatory.focuslynx.constants import FocuserStatus

OE = {'type': 'OE', 'type.2': 'FA', 'speed': '20000'}


def test_homing_finds_the_switch_and_returns_to_where_the_focuser_was() -> None:
    world = World(hub=OE).connected()
    world.do(MoveFocuser(1, 1234))
    assert world.do(Home(1)) is Outcome.DONE
    assert world.requests(b'HOME') == [b'<F1HOME>']
    view = world.view(1)
    assert (view.status, view.current_steps, view.target_steps, view.homed) == (FocuserStatus.Idle, 1234, 1234, True)
    assert world.logged('homed, at +1234 steps')


def test_the_state_is_moving_while_the_focuser_seeks_its_switch() -> None:
    world = World(hub=OE).connected()
    homing = world.ask(Home(1))
    states, positions = set(), set()
    while homing.outcome is None:
        view = world.view(1)
        states.add(view.status)
        positions.add(view.current_steps)
        world.run(0.1)
    assert states == {FocuserStatus.Moving}
    assert len(positions) > 10


def test_a_focuser_without_a_switch_is_not_homed() -> None:
    world = World(hub=OE).connected()
    assert world.do(Home(2)) is Outcome.NOT_SUPPORTED
    assert world.requests(b'HOME') == []
    assert world.view(2).failure == ('homing refused: the focuser (FA, QuickSync or HSM Hi-Torque) has no home switch: '
                                     'use zero')


def test_a_switch_that_is_not_found_is_a_failure_and_leaves_the_position_unknown() -> None:
    world = World(hub={**OE, 'home_switch_missing': '1'}).connected()
    assert world.do(Home(1)) is Outcome.FAILED
    world.run(1)
    view = world.view(1)
    assert view.status == FocuserStatus.Error
    assert view.current_steps is None
    assert 'home' in (view.error or '')


def test_a_stop_ends_homing_and_leaves_the_position_unknown_until_it_is_homed() -> None:
    world = World(hub=OE).connected()
    homing = world.ask(Home(1))
    world.run(2)
    assert world.do(Stop(1)) is Outcome.DONE
    assert homing.outcome is Outcome.FAILED
    assert not world.hub.focusers[1].moving
    assert world.view(1).status == FocuserStatus.Error
    assert world.do(MoveFocuser(1, 100)) is Outcome.NOT_AVAILABLE
    assert world.do(Home(1)) is Outcome.DONE
    assert world.do(MoveFocuser(1, 100)) is Outcome.DONE


def test_homing_has_a_timeout_of_its_own_and_is_halted_after_it() -> None:
    world = World(replace(SETTINGS, home_timeout_s=3.0), hub=OE).connected()
    homing = world.ask(Home(1))
    world.until(lambda: homing.outcome is not None)
    assert homing.outcome is Outcome.FAILED
    assert 3.0 <= homing.waited_s < 3.5
    assert not world.hub.focusers[1].moving


@pytest.mark.parametrize('fault', ['mute_next', 'lose_requests', 'garble'])
def test_homing_whose_answer_was_spoilt_is_not_begun_twice(fault: str) -> None:
    world = World(hub=OE).connected()
    homing = world.ask(Home(1))
    world.until(lambda: bool(world.requests(b'GETSTATUS')))
    world.until(lambda: world.controller._traffic.exchange is None or b'HOME' in world.sent[-1][1])
    setattr(world.faults, fault, 1)
    world.until(lambda: homing.outcome is not None)
    assert homing.outcome is Outcome.DONE
    assert len(world.requests(b'HOME')) <= 2
    assert world.view(1).homed


def test_homing_never_begins_by_itself() -> None:
    world = World(hub={**OE, 'home_on_start': '0'}).connected()
    world.hub.power_off(world.now, 1.0)
    world.run(60)
    assert world.requests(b'HOME') == []
    assert world.view(1).status == FocuserStatus.Error
    assert 'IsHomed = 0' in (world.view(1).error or '')


def test_homing_during_a_move_by_hand_is_refused() -> None:
    world = World(hub=OE).connected()
    world.hub.hand(1, 50000, world.now)
    assert world.do(Home(1)) is Outcome.FAILED
    assert world.requests(b'HOME') == []

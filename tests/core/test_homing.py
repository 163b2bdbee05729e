# SPDX-License-Identifier: GPL-3.0-or-later
"""Homing, in simulated time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.core.world import SETTINGS, World
from warwick.observatory.focuslynx.constants import FocuserStatus
from warwick.observatory.focuslynx.core.commands import Home, MoveFocuser, Outcome, Stop

OE = {'type': 'OE', 'type.2': 'FA', 'speed': '20000'}


def test_homing_finds_the_switch_and_returns_the_focuser() -> None:
    world = World(hub=OE).connected()
    world.do(MoveFocuser(1, 1234))
    assert world.do(Home(1)) is Outcome.DONE
    assert world.requests(b'HOME') == [b'<F1HOME>']
    snapshot = world.snapshot(1)
    assert (snapshot.status, snapshot.homed) == (FocuserStatus.Idle, True)
    assert (snapshot.current_steps, snapshot.target_steps) == (1234, 1234)
    assert world.logged('homed, at +1234 steps')


def test_the_state_is_moving_while_the_focuser_seeks_its_switch() -> None:
    world = World(hub=OE).connected()
    homing = world.ask(Home(1))
    states, positions = set(), set()
    while homing.outcome is None:
        snapshot = world.snapshot(1)
        states.add(snapshot.status)
        positions.add(snapshot.current_steps)
        world.run(0.1)
    assert states == {FocuserStatus.Moving}
    assert len(positions) > 10


def test_a_focuser_without_a_switch_is_not_homed() -> None:
    world = World(hub=OE).connected()
    assert world.do(Home(2)) is Outcome.NOT_SUPPORTED
    assert world.requests(b'HOME') == []
    assert world.snapshot(2).failure == (
        'homing refused: the focuser (FA, QuickSync or HSM Hi-Torque) has no home switch: use zero')


def test_homing_without_finding_the_switch_leaves_no_position() -> None:
    world = World(hub={**OE, 'home_switch_missing': '1'}).connected()
    assert world.do(Home(1)) is Outcome.FAILED
    world.run(1)
    snapshot = world.snapshot(1)
    assert snapshot.status == FocuserStatus.Error
    assert snapshot.current_steps is None
    assert 'home' in (snapshot.error or '')


def test_a_stop_of_homing_leaves_no_position_until_it_is_homed() -> None:
    world = World(hub=OE).connected()
    homing = world.ask(Home(1))
    world.run(2)
    assert world.do(Stop(1)) is Outcome.DONE
    assert homing.outcome is Outcome.FAILED
    assert not world.hub.focusers[1].moving
    assert world.snapshot(1).status == FocuserStatus.Error
    assert world.do(MoveFocuser(1, 100)) is Outcome.NOT_AVAILABLE
    assert world.do(Home(1)) is Outcome.DONE
    assert world.do(MoveFocuser(1, 100)) is Outcome.DONE


def test_homing_has_a_timeout_of_its_own_and_is_halted_after_it() -> None:
    world = World(replace(SETTINGS, home_timeout_s=3.0), hub=OE).connected()
    homing = world.ask(Home(1))
    assert world.finish(homing) is Outcome.FAILED
    assert 3.0 <= homing.waited_s < 3.5
    assert not world.hub.focusers[1].moving


@pytest.mark.parametrize('fault', ['mute_next', 'lose_requests', 'garble'])
def test_homing_whose_answer_was_spoilt_is_not_begun_twice(fault: str) -> None:
    world = World(hub=OE).connected()
    homing = world.ask(Home(1))
    world.until(lambda: bool(world.requests(b'GETSTATUS')))
    world.until(lambda: not world.core.is_waiting or b'HOME' in world.sent[-1][1])
    setattr(world.faults, fault, 1)
    assert world.finish(homing) is Outcome.DONE
    assert len(world.requests(b'HOME')) <= 2
    assert world.snapshot(1).homed


def test_homing_never_begins_by_itself() -> None:
    world = World(hub={**OE, 'home_on_start': '0'}).connected()
    world.hub.power_off(world.now, 1.0)
    world.run(60)
    assert world.requests(b'HOME') == []
    assert world.snapshot(1).status == FocuserStatus.Error
    assert 'IsHomed = 0' in (world.snapshot(1).error or '')


def test_homing_during_a_move_by_hand_is_refused() -> None:
    world = World(hub=OE).connected()
    world.hub.hand(1, 50000, world.now)
    assert world.do(Home(1)) is Outcome.FAILED
    assert world.requests(b'HOME') == []


def test_no_move_begins_on_a_focuser_that_has_lost_its_home() -> None:
    world = World(replace(SETTINGS, idle_loop_delay_s=300.0), hub={**OE, 'home_on_start': '0'}).connected()
    world.hub.power_off(world.now, 0.2)
    world.run(1)
    assert world.do(MoveFocuser(1, 100)) is Outcome.FAILED
    assert world.requests(b'MA') == []
    assert world.snapshot(1).status == FocuserStatus.Error
    assert 'IsHomed = 0' in (world.snapshot(1).failure or '')


def test_a_move_fails_on_a_focuser_that_loses_its_home() -> None:
    world = World(hub={**OE, 'speed': '1000', 'home_on_start': '0'}).connected()
    caller = world.ask(MoveFocuser(1, 3000))
    world.run(1)
    world.hub.power_off(world.now, 0.2)
    world.run(0.3)
    world.hub.set('position.1', str(62720 + 3000), world.now)   # by chance it is where it should be
    assert world.finish(caller) is Outcome.FAILED
    assert 'IsHomed = 0' in (world.snapshot(1).failure or '')


def test_homing_fails_if_the_focuser_is_unplugged_on_the_way() -> None:
    world = World(hub=OE).connected()
    homing = world.ask(Home(1))
    world.run(2)
    world.hub.set('probe.1', 'NP', world.now)
    assert world.finish(homing) is Outcome.FAILED
    assert world.snapshot(1).status == FocuserStatus.Disconnected


def test_one_wrong_digit_does_not_make_a_home_known() -> None:
    world = World(hub={**OE, 'home_on_start': '0'}).connected()
    world.hub.power_off(world.now, 0.2)
    world.run(30)
    assert world.snapshot(1).status == FocuserStatus.Error
    world.until(lambda: world.sent[-1][1] == b'<F1GETSTATUS>' and world.sent[-1][0] == world.now)
    world.hub.focusers[1].homed = True
    world.run(0.0001)
    world.until(lambda: not world.core.is_waiting or world.sent[-1][0] == world.now)
    world.hub.focusers[1].homed = False
    world.run(1)
    assert world.snapshot(1).status == FocuserStatus.Error
    assert not world.logged('usable again')


def test_one_wrong_digit_after_a_stop_does_not_make_a_home_known() -> None:
    world = World(hub={**OE, 'home_on_start': '0'}).connected()
    world.hub.power_off(world.now, 0.2)
    world.run(30)
    stop = world.ask(Stop(1))
    world.until(lambda: world.sent[-1][1] == b'<F1GETSTATUS>' and world.sent[-1][0] == world.now)
    world.hub.focusers[1].homed = True
    world.run(0.004)
    world.hub.focusers[1].homed = False
    for _ in range(100):
        world.run(0.001)
        assert world.snapshot(1).status == FocuserStatus.Error
    assert stop.outcome is Outcome.DONE


@pytest.mark.parametrize('counts', ['0', '1', '3'])
def test_homing_from_the_switch_is_over_before_it_can_be_seen(counts: str) -> None:
    world = World(hub={'type': 'OI', 'position': counts}).connected()
    assert world.do(Home(1)) is Outcome.DONE
    assert world.snapshot(1).current_steps == int(counts) - 56000
    assert world.requests(b'HALT') == []


@pytest.mark.parametrize('lost', [0, 1])
def test_homing_that_the_other_channel_has_heard_is_not_done(lost: int) -> None:
    world = World(hub={'type': 'OE', 'speed': '20000', 'position': '600'}).connected()
    world.run(1)
    heard = world.wrote

    def wrote(data: bytes) -> bytes:
        if data == b'<F1HOME>':
            world.after(0.005, lambda: setattr(world.faults, 'mute_next', lost))
            return b'<F2HOME>'
        return heard(data)

    world.wrote = wrote   # type: ignore[method-assign]
    assert world.do(Home(1)) is Outcome.FAILED
    world.run(3)
    assert not world.hub.focusers[2].running, 'it is halted'


def test_a_report_without_ishomed_begins_no_homing() -> None:
    world = World(hub={'type': 'OE', 'speed': '20000', 'position': '600'}).connected()
    world.run(1)
    caller = world.ask(Home(1))
    world.faults.lose_requests = 0
    world.until(lambda: bool(world.requests(b'HOME')))
    world.faults.lose_requests = 1
    spoil, polls = world.faults.spoil, iter(range(99))

    def spoilt(reply: bytes) -> bytes:
        first = b'STATUS1' in reply and next(polls) == 0
        return spoil(reply.replace(b'IsHomed', b'IsJomed') if first else reply)

    world.faults.spoil = spoilt   # type: ignore[method-assign]
    assert world.finish(caller) is Outcome.DONE
    assert len(world.requests(b'HOME')) == 2, 'the first one was lost'

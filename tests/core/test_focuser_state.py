# SPDX-License-Identifier: GPL-3.0-or-later
"""Positions that changed between two reports, and focusers without a probe; in simulated time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.core.world import SETTINGS, World
from warwick.observatory.focuslynx.constants import FocuserStatus
from warwick.observatory.focuslynx.core.commands import Connect, Disconnect, MoveFocuser, Outcome


def test_a_focuser_that_was_moved_between_two_polls_is_noticed() -> None:
    world = World().connected()
    world.do(MoveFocuser(1, 500))
    world.hub.hand(1, 300, world.now)
    world.run(12)
    assert world.logged('channel 1: was moved by hand or by another program, from +500 steps to +800 steps')
    assert world.snapshot(1).target_steps == 800


def test_a_position_changed_while_disconnected_is_noticed() -> None:
    world = World().connected()
    world.do(MoveFocuser(1, 500))
    world.do(Disconnect())
    world.hub.hand(1, -700, world.now)
    world.run(5)
    world.do(Connect())
    world.run(1)
    assert world.logged('channel 1: position changed while it was not polled, from +500 steps to -200 steps')
    assert world.snapshot(1).target_steps == -200


def test_a_position_changed_while_the_cable_was_out_is_noticed() -> None:
    world = World().connected()
    world.do(MoveFocuser(1, 500))
    world.faults.unplug(world.now + 10)
    world.hub.hand(1, 250, world.now)
    world.run(30)
    assert world.logged('channel 1: position changed while it was not polled, from +500 steps to +750 steps')


@pytest.mark.parametrize('cut_s, text', [
    (5.0, 'move to +5000 steps failed: the hub is back at +0 steps, where the move began: after a power cut'),
    (30.0, 'position changed while it was not polled, from +')])
def test_a_power_cut_in_a_move_is_noticed_by_the_position(cut_s: float, text: str) -> None:
    world = World().connected()
    caller = world.ask(MoveFocuser(1, 5000))
    world.run(2.5)
    world.hub.power_off(world.now, cut_s)
    assert world.finish(caller) is Outcome.FAILED
    world.run(60)
    assert world.snapshot(1).status == FocuserStatus.Idle
    assert world.snapshot(1).current_steps == 0
    assert world.logged(f'channel 1: {text}')


def test_a_focuser_that_has_not_moved_is_not_reported() -> None:
    world = World().connected()
    world.do(MoveFocuser(1, 500))
    world.do(Disconnect())
    world.do(Connect())
    world.run(20)
    assert not world.logged('was moved')


def test_without_a_probe_the_configuration_decides() -> None:
    hub = {'probe.1': 'NP'}
    assert World(hub=hub).connected().snapshot(1).status == FocuserStatus.Disconnected
    world = World(replace(SETTINGS, temperature_probe_required=False), hub=hub).connected()
    assert world.snapshot(1).status == FocuserStatus.Idle
    assert world.do(MoveFocuser(1, 500)) is Outcome.DONE
    assert (world.snapshot(1).current_steps, world.snapshot(1).temperature_c) == (500, None)


def test_a_channel_without_a_type_is_disconnected() -> None:
    world = World(replace(SETTINGS, temperature_probe_required=False), hub={'type.2': 'ZZ'}).connected()
    assert world.snapshot(2).status == FocuserStatus.Disconnected
    assert world.snapshot(2).error == 'no focuser is configured on this channel (Dev Typ = ZZ)'


def test_after_a_sleep_of_the_machine_each_channel_is_polled_first() -> None:
    world = World().connected()
    world.do(MoveFocuser(1, 500))
    world.run(1)
    world.hub.hand(1, 300, world.now)
    world.now += 3600
    world.core.machine_slept(world.now)
    for n in (1, 2):
        assert world.snapshot(n).status == FocuserStatus.Initializing
        assert world.snapshot(n).current_steps is None
    asleep_until = world.now
    world.run(0.3)
    assert [world.snapshot(n).status for n in (1, 2)] == [FocuserStatus.Idle] * 2
    assert world.snapshot(1).current_steps == 800
    assert world.snapshot(1).as_of >= asleep_until


def test_a_move_goes_on_over_a_sleep_of_the_machine() -> None:
    world = World().connected()
    caller = world.ask(MoveFocuser(1, 5000))
    world.run(1)
    world.now += 20
    world.core.machine_slept(world.now)
    assert world.snapshot(1).status == FocuserStatus.Initializing
    assert world.finish(caller) is Outcome.DONE
    assert world.snapshot(1).current_steps == 5000


def rate(world: World, seconds: float) -> float:
    """Requests per second from now on."""
    since = world.now
    world.run(seconds)
    return len(world.requests(since=since)) / seconds


def test_a_setting_that_limits_no_motion_may_differ_in_each_report() -> None:
    world = World().connected()
    world.faults.flicker(1, 'LED Brt')
    assert rate(world, 60) <= 2
    assert world.snapshot(1).status == FocuserStatus.Idle
    assert world.do(MoveFocuser(1, 500)) is Outcome.DONE
    assert world.do(MoveFocuser(2, 500)) is Outcome.DONE


@pytest.mark.parametrize('connected_before', [True, False])
def test_a_range_that_differs_in_each_report_is_an_error_said_once(connected_before: bool) -> None:
    world = World().connected() if connected_before else World()
    world.faults.flicker(1, 'Max Pos')
    world.do(Connect())
    world.run(20)
    assert rate(world, 60) <= 2
    snapshot = world.snapshot(1)
    assert snapshot.status == FocuserStatus.Error
    assert 'the settings differ in each report of the hub: Max Pos = ' in (snapshot.error or '')
    assert len(world.logged('the settings differ')) == 1
    assert world.do(MoveFocuser(1, 500)) is Outcome.NOT_AVAILABLE
    assert world.do(MoveFocuser(2, 500)) is Outcome.DONE
    world.faults.unflicker()
    world.run(15)
    assert world.snapshot(1).status == FocuserStatus.Idle


def test_a_position_that_differs_in_each_report_is_an_error_said_once() -> None:
    world = World().connected()
    world.faults.flicker(1, 'Curr Pos')
    world.run(20)
    assert rate(world, 60) <= 2
    assert world.snapshot(1).status == FocuserStatus.Error
    assert len(world.logged('channel 1: the position differs in each report')) == 1
    assert len(world.log) <= 4
    world.faults.unflicker()
    world.run(15)
    assert world.snapshot(1).status == FocuserStatus.Idle
    assert world.snapshot(1).current_steps == 0


def test_a_surprise_delays_no_poll_of_the_other_channel() -> None:
    world = World().connected()
    caller = world.ask(MoveFocuser(2, 5000))
    world.run(1)
    for field in ('Curr Pos', 'Max Pos'):
        world.faults.flicker(1, field)
        since = world.now
        world.run(2)
        polls = [at for at, data in world.sent if data == b'<F2GETSTATUS>' and at >= since]
        assert all(later - earlier <= 0.6 for earlier, later in zip(polls, polls[1:]))
    assert world.finish(caller) is Outcome.DONE


@pytest.mark.parametrize('outage', ['kill and init', 'unplugged', 'power cut'])
def test_a_change_of_the_range_over_an_outage_is_told(outage: str) -> None:
    world = World().connected()
    world.do(MoveFocuser(1, 500))
    if outage == 'kill and init':
        world.do(Disconnect())
    elif outage == 'unplugged':
        world.faults.unplug(world.now + 5)
    else:
        world.hub.power_off(world.now, 15)
    world.run(1)
    world.hub.set('max_pos.1', '80001', world.now)
    world.hub.set('type.2', 'FB', world.now)
    world.do(Connect())
    world.run(40)
    assert world.logged('warning: channel 1: Max Pos of the hub changed from 65535 to 80001: all positions in steps')
    assert world.logged('warning: channel 2: device type of the hub changed from FA to FB')
    assert world.logged('position changed') == [], 'the focuser has not moved, its steps have another name'


def test_a_position_from_before_an_outage_is_told_in_its_own_scale() -> None:
    world = World().connected()
    world.do(MoveFocuser(1, 500))
    world.do(Disconnect())
    world.hub.set('max_pos.1', '80001', world.now)
    world.hub.hand(1, 200, world.now)
    world.run(5)
    world.do(Connect())
    world.run(1)
    assert world.logged(f'position changed while it was not polled, from +500 steps to {33467 - 40000:+d} steps')


def test_a_tiny_range_is_no_usable_one() -> None:
    world = World(hub={'max_pos.1': '3', 'position.1': '1'}).connected()
    assert world.snapshot(1).status == FocuserStatus.Error
    assert world.snapshot(1).error == 'Max Pos = 3 leaves no usable range'

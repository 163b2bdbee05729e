# SPDX-License-Identifier: GPL-3.0-or-later
"""Getting, losing and regaining the hub, in simulated time."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.core.world import SETTINGS, World
from warwick.observatory.focuslynx.constants import FocuserStatus
from warwick.observatory.focuslynx.core.commands import (
    Connect,
    Disconnect,
    MoveFocuser,
    NoteRefusal,
    Outcome,
    SetZero,
    Stop,
)
from warwick.observatory.focuslynx.simulator.model import Hub


def states(world: World) -> tuple[int, int]:
    return world.snapshot(1).status, world.snapshot(2).status


def test_nothing_is_requested_before_a_client_connects() -> None:
    world = World()
    world.run(100)
    assert world.sent == []
    assert states(world) == (FocuserStatus.Disabled, FocuserStatus.Disabled)
    for command in (MoveFocuser(1, 1), SetZero(1), Stop(1)):
        assert world.do(command) is Outcome.NOT_AVAILABLE
    assert world.do(Disconnect()) is Outcome.NOT_CONNECTED


def test_connecting_reads_settings_and_status_of_each_channel() -> None:
    world = World().connected()
    assert world.requests() == [b'<F%dGET%s>' % (n, what) for n in (1, 2)
                                for what in (b'CONFIG', b'CONFIG', b'STATUS', b'STATUS')], 'both are read twice'
    assert states(world) == (FocuserStatus.Idle, FocuserStatus.Idle)


def test_the_state_is_initializing_until_the_first_report() -> None:
    world = World()
    world.ask(Connect())
    assert states(world) == (FocuserStatus.Initializing, FocuserStatus.Initializing)
    assert world.snapshot(1).error is not None
    assert world.snapshot(1).current_steps is None


def test_connecting_twice_says_so() -> None:
    world = World().connected()
    assert world.do(Connect()) is Outcome.ALREADY_CONNECTED


def test_one_usable_channel_is_enough() -> None:
    world = World(hub={'channels': '1'})
    assert world.do(Connect()) is Outcome.DONE
    assert states(world) == (FocuserStatus.Idle, FocuserStatus.Disconnected)


def test_a_channel_that_never_answers_delays_the_other_little() -> None:
    world = World(hub={'thirdlynx': '1'})
    caller = world.ask(Connect())
    assert world.finish(caller) is Outcome.DONE
    assert caller.waited_s < 2
    world.run(10)
    assert states(world) == (FocuserStatus.Idle, FocuserStatus.Error)
    assert world.do(MoveFocuser(1, 1000)) is Outcome.DONE


def test_without_a_usable_channel_connecting_has_failed() -> None:
    world = World(hub={'channels': '1', 'tcomp.1': '1'})
    assert world.do(Connect()) is Outcome.FAILED
    assert states(world) == (FocuserStatus.Error, FocuserStatus.Disconnected)
    assert 'TComp ON = 1' in (world.snapshot(1).error or '')


@pytest.mark.parametrize(
    ('setting', 'shown'), [('tcomp', 'TComp ON'), ('tc_at_start', 'TC@Start'), ('backlash', 'BLC En')])
def test_a_channel_that_the_hub_moves_by_itself_is_in_error(setting: str, shown: str) -> None:
    world = World(hub={f'{setting}.1': '1'}).connected()
    assert states(world) == (FocuserStatus.Error, FocuserStatus.Idle)
    assert f'{shown} = 1' in (world.snapshot(1).error or '')
    assert world.do(MoveFocuser(1, 10)) is Outcome.NOT_AVAILABLE
    assert world.do(MoveFocuser(2, 10)) is Outcome.DONE
    world.hub.set(f'{setting}.1', '0', world.now)
    world.run(6)
    assert states(world) == (FocuserStatus.Idle, FocuserStatus.Idle)
    assert len(world.logged(f'{shown} = 1')) == 1
    assert len(world.logged('channel 1: usable again')) == 1


def test_a_setting_switched_on_in_operation_is_noticed() -> None:
    world = World().connected()
    world.hub.set('backlash.2', '1', world.now)
    world.run(6)
    assert states(world) == (FocuserStatus.Idle, FocuserStatus.Error)


def test_a_range_changed_in_operation_is_noticed() -> None:
    world = World().connected()
    world.hub.set('max_pos.1', '112000', world.now)
    world.run(6)
    assert world.snapshot(1).current_steps == 32767 - 56000
    assert world.logged('Max Pos of the hub changed from 65535 to 112000')


def test_a_channel_is_disconnected_while_its_probe_is_lost() -> None:
    world = World().connected()
    world.hub.set('probe.1', 'NP', world.now)
    world.run(6)
    assert states(world) == (FocuserStatus.Disconnected, FocuserStatus.Idle)
    assert world.snapshot(1).current_steps is None
    world.hub.set('probe.1', '12.5', world.now)
    world.run(6)
    assert states(world) == (FocuserStatus.Idle, FocuserStatus.Idle)
    assert world.snapshot(1).temperature_c == 12.5


def test_a_defective_probe_costs_only_the_temperature() -> None:
    world = World(hub={'probe.1': '-@1.6'}).connected()
    assert (world.snapshot(1).status, world.snapshot(1).temperature_c) == (FocuserStatus.Idle, None)
    assert world.do(MoveFocuser(1, 10)) is Outcome.DONE


def test_a_port_that_cannot_be_opened_is_tried_again() -> None:
    world = World()
    world.open_error = 'no such device'
    caller = world.ask(Connect())
    assert world.finish(caller) is Outcome.FAILED
    assert states(world) == (FocuserStatus.Error, FocuserStatus.Error)
    assert world.snapshot(1).error == 'no such device'
    world.run(60)
    assert len(world.logged('no such device')) == 1
    world.open_error = None
    world.run(2)
    assert states(world) == (FocuserStatus.Idle, FocuserStatus.Idle)
    assert world.do(Connect()) is Outcome.ALREADY_CONNECTED


def test_connecting_again_tries_at_once() -> None:
    world = World()
    world.open_error = 'no such device'
    assert world.do(Connect()) is Outcome.FAILED
    world.run(0.5)
    world.open_error = None
    caller = world.ask(Connect())
    assert world.finish(caller) is Outcome.DONE
    assert caller.waited_s < 0.3


def test_a_mute_hub_fails_in_time_and_works_when_it_answers() -> None:
    world = World(replace(SETTINGS, serial_timeout_s=10.0))
    world.faults.mute()
    caller = world.ask(Connect())
    assert world.finish(caller) is Outcome.FAILED
    assert caller.waited_s <= 4.0
    assert states(world) == (FocuserStatus.Error, FocuserStatus.Error)
    assert ' answer' in (world.snapshot(1).error or '')
    world.run(100)
    world.faults.unmute()
    world.run(25)
    assert states(world) == (FocuserStatus.Idle, FocuserStatus.Idle)


def test_opening_that_takes_long_fails_within_4_s() -> None:
    world = World()
    world.opening_takes_s = 8.0
    caller = world.ask(Connect())
    world.finish(caller)
    assert (caller.outcome, caller.waited_s) == (Outcome.FAILED, 4.0)
    world.run(5)
    assert states(world) == (FocuserStatus.Idle, FocuserStatus.Idle)


def test_disconnecting_while_the_port_opens_leaves_it_closed() -> None:
    world = World()
    world.opening_takes_s = 8.0
    connect = world.ask(Connect())
    world.run(1)
    assert world.do(Disconnect()) is Outcome.DONE
    assert connect.outcome is Outcome.FAILED
    world.run(30)
    assert not world.port_open
    assert states(world) == (FocuserStatus.Disabled, FocuserStatus.Disabled)


def test_disconnecting_ends_the_attempts_in_the_background() -> None:
    world = World()
    world.open_error = 'no such device'
    world.do(Connect())
    assert world.do(Disconnect()) is Outcome.DONE
    world.open_error = None
    world.run(30)
    assert states(world) == (FocuserStatus.Disabled, FocuserStatus.Disabled)
    assert world.do(Disconnect()) is Outcome.NOT_CONNECTED


def test_a_pulled_plug_is_noticed_at_once_and_so_is_its_return() -> None:
    world = World().connected()
    world.do(MoveFocuser(1, 500))
    world.faults.unplug(replug_at=world.now + 8)
    world.run(1)
    assert states(world) == (FocuserStatus.Error, FocuserStatus.Error)
    assert world.snapshot(1).current_steps is None
    world.run(10)
    assert states(world) == (FocuserStatus.Idle, FocuserStatus.Idle)
    assert world.snapshot(1).current_steps == 500
    assert len(world.logged('no connection to the hub')) == 1
    assert len(world.logged('connected to the hub')) == 2


def test_no_old_position_is_believed_after_an_outage() -> None:
    world = World().connected()
    world.do(MoveFocuser(1, 500))
    world.faults.unplug(replug_at=world.now + 8)
    world.run(2)
    world.hub.hand(1, -700, world.now)
    world.run(10)
    assert (world.snapshot(1).current_steps, world.snapshot(1).target_steps) == (-200, -200)


def test_a_plug_pulled_in_a_move_fails_it_and_halts_later() -> None:
    world = World().connected()
    move = world.ask(MoveFocuser(1, 20000))
    world.run(2)
    world.faults.unplug(replug_at=world.now + 3)
    world.run(0.5)
    assert move.outcome is Outcome.FAILED
    world.run(6)
    assert not world.hub.focusers[1].moving
    assert world.snapshot(1).status == FocuserStatus.Idle
    assert 4000 < (world.snapshot(1).current_steps or 0) < 7500
    assert world.do(MoveFocuser(1, 0)) is Outcome.DONE


def test_a_motion_may_reach_its_target_while_the_plug_is_out() -> None:
    world = World().connected()
    world.ask(MoveFocuser(1, 2000))
    world.run(1)
    world.faults.unplug(replug_at=world.now + 8)
    world.run(12)
    assert (world.snapshot(1).status, world.snapshot(1).current_steps) == (FocuserStatus.Idle, 2000)


def test_a_silent_hub_is_in_error_when_its_report_is_too_old() -> None:
    world = World().connected()
    world.run(20)
    world.faults.mute()
    while world.snapshot(1).status == FocuserStatus.Idle:
        reported_at = world.snapshot(1).as_of
        world.run(0.05)
    assert world.now - reported_at <= world.settings.oldest_report_s
    world.run(60)
    assert states(world) == (FocuserStatus.Error, FocuserStatus.Error)
    world.faults.unmute()
    world.run(10)
    assert states(world) == (FocuserStatus.Idle, FocuserStatus.Idle)


def test_a_long_outage_is_logged_at_its_start_and_its_end() -> None:
    world = World().connected()
    world.log.clear()
    world.faults.mute()
    world.run(3600)
    assert len(world.log) <= 3
    world.faults.unmute()
    world.run(20)
    assert len(world.log) <= 6
    assert world.logged('connected to the hub')


def test_a_single_lost_reply_is_retried_and_not_logged() -> None:
    world = World().connected()
    world.log.clear()
    world.faults.mute_next = 1
    world.run(30)
    assert states(world) == (FocuserStatus.Idle, FocuserStatus.Idle)
    assert world.log == []


def test_a_power_cycle_while_idle_is_survived() -> None:
    world = World().connected()
    world.do(MoveFocuser(1, 500))
    world.hub.power_off(world.now, 6)
    world.run(20)
    assert states(world) == (FocuserStatus.Idle, FocuserStatus.Idle)
    assert world.snapshot(1).current_steps == 500


def test_a_power_cycle_fails_a_move_and_shows_the_new_position() -> None:
    world = World().connected()
    move = world.ask(MoveFocuser(1, 5000))
    world.run(2)
    world.hub.power_off(world.now, 1)
    assert world.finish(move) is Outcome.FAILED
    world.run(5)
    assert (world.snapshot(1).status, world.snapshot(1).current_steps) == (FocuserStatus.Idle, 0)
    assert len(world.requests(b'MA')) == 1


def test_an_idle_hub_is_polled_once_for_each_channel_and_pause() -> None:
    world = World().connected()
    begin = world.now
    world.run(100)
    assert 2 * 19 <= len(world.requests(b'GETSTATUS', since=begin)) <= 2 * 20


def test_a_report_is_dated_by_its_request() -> None:
    world = World().connected()
    world.run(12)
    asked_at = max(at for at, data in world.sent if data == b'<F1GETSTATUS>')
    assert world.snapshot(1).as_of == asked_at
    assert world.now - asked_at > 1


def test_a_motor_is_halted_before_a_late_start_after_an_outage() -> None:
    world = World(hub={'start_latency': '2.0'}).connected()
    move = world.ask(MoveFocuser(1, 20000))
    world.until(lambda: bool(world.requests(b'MA')))
    world.run(0.1)
    world.faults.unplug(replug_at=world.now + 0.3)
    world.run(6)
    assert move.outcome is Outcome.FAILED
    assert (world.hub.focusers[1].moving, world.hub.focusers[1].position) == (False, 32767)
    assert world.snapshot(1).status == FocuserStatus.Idle


@pytest.mark.parametrize('spoil', [
    lambda reply: reply.replace(b'Curr Pos = 0', b'Curr Pos = 9'),
    lambda reply: reply.replace(b'IsMoving = 0\n', b''),
    lambda reply: reply.replace(b'STATUS', b'STATE'),
], ids=['beyond the range', 'a missing field', 'a foreign header'])
def test_a_hub_without_positions_is_in_error_and_not_flooded(
        spoil: Callable[[bytes], bytes]) -> None:
    world = World()
    hub = Hub({'channels': '1,2'}, now=world.now)
    world.answers(lambda request: [(0.002, spoil(hub.receive(request, world.now)))])
    caller = world.ask(Connect())
    assert world.finish(caller) is Outcome.FAILED
    begin = len(world.sent)
    states = set()
    for _ in range(120):
        world.run(0.5)
        states.add(world.snapshot(1).status)
    assert states == {FocuserStatus.Error}
    assert len(world.sent) - begin < 120
    assert len(world.log) <= 4


def test_the_time_of_the_last_report_is_kept_through_a_silence() -> None:
    world = World().connected()
    world.run(12)
    world.faults.mute()
    last = max(at for at, data in world.sent if data == b'<F1GETSTATUS>' and at < world.now)
    world.run(120)
    assert world.snapshot(1).status == FocuserStatus.Error
    assert world.snapshot(1).reported_at == last
    assert world.snapshot(1).at(math.inf).reported_at == last
    world.faults.unmute()
    world.run(20)
    reported_at = world.snapshot(1).reported_at
    assert reported_at is not None
    assert world.now - reported_at < 10


def test_a_hub_that_was_unplugged_reported_before_that() -> None:
    world = World().connected()
    last = world.snapshot(2).reported_at
    assert last is not None
    world.faults.unplug(replug_at=world.now + 8)
    world.run(5)
    assert (world.snapshot(2).status, world.snapshot(2).reported_at) == (FocuserStatus.Error, last)


def test_without_a_connection_there_is_no_last_report() -> None:
    world = World()
    assert world.snapshot(1).reported_at is None
    world.connected()
    assert world.snapshot(1).reported_at is not None
    assert world.do(Disconnect()) is Outcome.DONE
    assert world.snapshot(1).reported_at is None
    world.faults.mute()
    world.do(Connect())
    assert world.snapshot(1).reported_at is None


def test_a_refusal_elsewhere_is_the_failure_of_its_channel_at_once() -> None:
    world = World()
    for connected in (False, True):
        if connected:
            world.connected()
        assert world.ask(NoteRefusal(2, 'move refused: no')).outcome is Outcome.DONE
        assert (world.snapshot(1).failure, world.snapshot(2).failure) == (None, 'move refused: no')
    assert world.do(MoveFocuser(2, 100)) is Outcome.DONE
    assert world.snapshot(2).failure is None


@pytest.mark.parametrize('fault', ['mute_next', 'lose_requests', 'garble', 'cut'])
@pytest.mark.parametrize('number', range(8))
def test_one_bad_exchange_fails_no_connect_at_a_long_timeout(fault: str, number: int) -> None:
    world = World(replace(SETTINGS, serial_timeout_s=10.0))

    def wrote(data: bytes) -> bytes:
        if len(world.sent) == number + 1:
            setattr(world.faults, fault, 1)
        return data

    world.wrote = wrote   # type: ignore[method-assign]
    assert world.do(Connect()) is Outcome.DONE


def test_a_connection_that_breaks_again_and_again_is_one_outage_in_the_log() -> None:
    world = World().connected()
    world.run(20)
    lines = len(world.log)
    for _ in range(50):
        world.faults.unplug(world.now + 0.5)
        world.run(2)
    assert len(world.log) - lines <= 6
    assert len(world.logged('breaks again and again')) == 1
    world.run(30)
    assert world.log[-1][1].endswith('usable again') or world.logged('connected to the hub on the port')[-1:]
    assert len(world.log) - lines <= 9
    assert states(world) == (FocuserStatus.Idle, FocuserStatus.Idle)


def test_a_mute_hub_in_a_lost_move_is_one_outage_in_the_log() -> None:
    world = World(replace(SETTINGS, serial_timeout_s=1.0)).connected()
    world.ask(MoveFocuser(1, 20000))
    world.run(1)
    world.faults.deafen()
    world.run(60)
    lines = len(world.log)
    world.run(600)
    assert len(world.log) == lines


def test_a_link_that_stays_down_after_breaking_again_does_not_spin() -> None:
    world = World().connected()
    world.run(20)
    for _ in range(2):
        world.faults.unplug(world.now + 0.5)
        world.run(2)
    world.core.lost('the cable is cut', world.now)
    world.open_error = 'no such device'
    for _ in range(300):
        world.run(0.1)
        assert world.core.next_time(world.now) > world.now


@pytest.mark.parametrize('late_s', [0.0, 0.01, 0.5])
def test_a_connect_that_failed_leaves_no_channel_initializing(late_s: float) -> None:
    world = World(replace(SETTINGS, serial_timeout_s=5.0))
    world.opening_takes_s = late_s
    world.faults.mute()
    assert world.do(Connect()) is Outcome.FAILED
    assert states(world) == (FocuserStatus.Error, FocuserStatus.Error)

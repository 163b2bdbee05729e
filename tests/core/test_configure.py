# SPDX-License-Identifier: GPL-3.0-or-later
"""Changing what the hub keeps, in simulated time: every setting, confirmed by reading it back."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from tests.core.world import SETTINGS as WORLD_SETTINGS
from tests.core.world import World
from warwick.observatory.focuslynx.constants import FocuserStatus
from warwick.observatory.focuslynx.core.commands import (
    Configure,
    Connect,
    Disconnect,
    Home,
    MoveFocuser,
    Outcome,
    QueryHub,
    SetZero,
    Stop,
)
from warwick.observatory.focuslynx.core.reports import setting_value
from warwick.observatory.focuslynx.hub_settings import HUB_SETTINGS, Value, find


def change(key: str, value: object, channel: int = 1) -> Configure:
    return Configure(channel, find(key), find(key).parse(value))


def shown_value(world: World, key: str, channel: int = 1) -> Value | None:
    reports = world.snapshot(channel).reports
    assert reports is not None
    report: Any = {'config': reports.config, 'compensation': reports.compensation,
                   'status': reports.status}[HUB_SETTINGS[key].shown_by]
    return setting_value(key, report)


VALUES: dict[str, tuple[object, bytes]] = {
    'nickname': ('North tube', b'<F1SCNNNorth tube>'),
    'backlash': ('on', b'<F1SCBE1>'),
    'backlash_steps': (7, b'<F1SCBS07>'),
    'temperature_compensation': (True, b'<F1SCTE1>'),
    'compensation_at_start': ('yes', b'<F1SCTS1>'),
    'compensation_mode': ('d', b'<F1SCTMD>'),
    **{f'coefficient_{slot.lower()}': ('-92', f'<F1SCTC{slot}-0092>'.encode()) for slot in 'ABCDE'},
    **{f'intercept_{slot.lower()}': (1234, f'<F1SETINT{slot}+001234>'.encode()) for slot in 'ABCDE'},
    'led': (5, b'<FHSCLB005>'),
    'reverse': ('on', b'<F1REVERSE1>'),
    'step_size': (250, b'<F1SETFSS000250>'),
    'max_position': (112000, b'<F1SETMAX112000>'),
    'device_type': ('fb', b'<F1SCDTFB>'),
    'reset': ('defaults', b'<F1RESET>'),
}


def test_every_setting_is_tried_here() -> None:
    assert list(VALUES) == list(HUB_SETTINGS)


@pytest.mark.parametrize('key', VALUES)
def test_a_setting_is_changed_and_read_back(key: str) -> None:
    value, wire = VALUES[key]
    world = World(hub={'nickname.1': 'Old'}).connected()
    assert world.do(change(key, value)) is Outcome.DONE
    assert world.requests(wire) == [wire]
    assert shown_value(world, key) == find(key).parse(value)
    assert world.snapshot(1).failure is None
    assert world.logged(f'channel 1: {key} = ')


@pytest.mark.parametrize('key', [key for key in VALUES if not HUB_SETTINGS[key].dangerous])
@pytest.mark.parametrize('fault', ['mute_next', 'lose_requests', 'garble', 'cut'])
def test_a_change_with_a_spoilt_answer_is_decided_by_reading(key: str, fault: str) -> None:
    value, wire = VALUES[key]
    world = World().connected()
    caller = world.ask(change(key, value))
    world.until(lambda: bool(world.requests(b'GETSTATUS', caller.at)))
    world.until(lambda: not world.core.is_waiting or world.sent[-1][1] == wire)
    setattr(world.faults, fault, 1)
    assert world.finish(caller) is Outcome.DONE
    assert shown_value(world, key) == find(key).parse(value)


@pytest.mark.parametrize('key, value', [
    ('backlash_steps', 100), ('backlash_steps', -1), ('backlash_steps', '1e1'), ('backlash', 'maybe'), ('led', 101),
    ('coefficient_a', 10000), ('intercept_b', -32767), ('compensation_mode', 'F'), ('nickname', ''),
    ('nickname', 'a' * 17), ('nickname', 'a<b'), ('nickname', 'tück'), ('max_position', 0), ('max_position', 1000000),
    ('device_type', 'QQ'), ('reset', 'yes'), ('step_size', 2.5), ('reverse', None), ('led', '5\n')])
def test_a_value_out_of_range_is_named_with_what_is_accepted(key: str, value: object) -> None:
    with pytest.raises(ValueError, match=rf'^{key}: .*: must be ') as error:
        find(key).parse(value)
    assert len(str(error.value).splitlines()) == 1


def test_an_unknown_setting_is_named_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="unknown setting 'focus'; there are nickname, backlash, "):
        find('focus')


def test_switching_compensation_off_makes_the_channel_usable() -> None:
    world = World(hub={'tcomp': '1', 'tc_at_start': '1', 'backlash': '1'})
    world.do(Connect())
    assert world.snapshot(1).status == FocuserStatus.Error
    for key in ('temperature_compensation', 'compensation_at_start', 'backlash'):
        assert world.do(change(key, 'off')) is Outcome.DONE
    assert world.snapshot(1).status == FocuserStatus.Idle
    assert world.do(MoveFocuser(1, 100)) is Outcome.DONE


def test_a_refusal_of_the_hub_is_a_failure_that_says_so() -> None:
    world = World(hub={'probe.1': 'NP'}).connected()
    assert world.do(change('temperature_compensation', 'on')) is Outcome.FAILED
    assert world.snapshot(1).failure == ('temperature_compensation = on failed: the hub refused <F1SCTE1>: '
                                     'ER=6 Cannot Execute Command Without Temp P...')


def test_a_setting_unknown_to_the_firmware_fails_with_a_reason() -> None:
    world = World(hub={'no_gettci': '1'}).connected()
    assert world.do(change('step_size', 100)) is Outcome.FAILED
    assert 'GETTCI' in (world.snapshot(1).failure or '')


def test_a_moving_focuser_keeps_its_settings() -> None:
    world = World().connected()
    world.hub.hand(1, 5000, world.now)
    world.run(6)
    assert world.do(change('reverse', 'on')) is Outcome.FAILED
    assert world.requests(b'REVERSE') == []
    assert world.do(change('nickname', 'moving')) is Outcome.DONE


def test_compensation_can_be_switched_off_during_a_correction() -> None:
    world = World(hub={'tcomp': '1', 'tempco': '999,0,0,0,0', 'compensation_speed': '5'})
    world.do(Connect())
    world.hub.set('probe.1', '25.0', world.now)
    world.run(6)
    assert world.hub.focusers[1].moving
    assert world.do(change('temperature_compensation', 'off')) is Outcome.DONE


def test_a_change_of_the_range_moves_the_limits() -> None:
    world = World().connected()
    assert world.do(change('max_position', 40000)) is Outcome.DONE
    assert (world.snapshot(1).max_steps, world.snapshot(1).min_steps) == (19999, -19999)
    assert world.snapshot(2).max_steps == 30000


def test_a_stop_goes_out_while_a_setting_is_being_changed() -> None:
    world = World().connected()
    world.faults.mute_next = 3
    caller = world.ask(change('led', 7))
    stop = world.ask(Stop(1))
    assert world.finish(stop) is Outcome.DONE
    world.finish(caller)
    assert caller.waited_s < 4.5


def test_a_query_reads_the_hub_and_what_newer_firmware_shows() -> None:
    world = World(hub={'firmware': '2.3.9', 'tempin': '1,2,3,4,-5', 'step_size': '77'}).connected()
    assert world.do(QueryHub()) is Outcome.DONE
    assert world.core.info is not None
    assert world.core.info.firmware == '2.3.9'
    reports = world.snapshot(1).reports
    assert reports is not None and reports.compensation is not None
    assert (reports.compensation.intercepts, reports.compensation.step_size) == ((1, 2, 3, 4, -5), 77)


def test_a_query_of_older_firmware_omits_what_it_does_not_know() -> None:
    world = World(hub={'no_gettci': '1', 'no_dhcp_line': '1'}).connected()
    assert world.do(QueryHub()) is Outcome.DONE
    assert world.core.info is not None
    assert world.core.info.dhcp is None
    reports = world.snapshot(1).reports
    assert reports is not None and reports.compensation is None


def test_queries_one_after_another_do_not_occupy_the_link() -> None:
    world = World().connected()
    for _ in range(20):
        world.do(QueryHub())
    assert len(world.requests(b'GETHUBINFO')) == 1


def test_a_query_of_a_mute_hub_ends_in_time() -> None:
    world = World().connected()
    world.faults.mute_next = 100
    caller = world.ask(QueryHub())
    assert world.finish(caller) is Outcome.FAILED
    assert caller.waited_s <= 3.1


def test_a_query_while_offline_is_not_available() -> None:
    assert World().do(QueryHub()) is Outcome.NOT_AVAILABLE


def test_one_wrong_digit_is_not_believed_during_a_change() -> None:
    world = World().connected()
    focuser = world.hub.focusers[1]
    caller = world.ask(change('reverse', 'on'))
    world.until(lambda: bool(world.requests(b'REVERSE')))
    world.until(lambda: world.sent[-1][1] == b'<F1GETSTATUS>')
    focuser.position += 10000   # the reply is made up when the request has been received
    world.run(0.004)
    focuser.position -= 10000
    positions = set()
    for _ in range(1000):
        positions.add(world.snapshot(1).current_steps)
        world.run(0.001)
    assert positions == {0}
    assert caller.outcome is Outcome.DONE


def test_a_query_that_stops_delay_is_answered_in_full() -> None:
    world = World().connected()
    world.run(1)
    world.faults.settings.delay = 0.3
    caller = world.ask(QueryHub())
    for moment_s in (0.0, 0.4, 0.8):
        world.after(moment_s, lambda: world.ask(Stop(1)))
    world.after(1.2, lambda: setattr(world.faults.settings, 'delay', 0.0))
    assert world.finish(caller) is Outcome.DONE
    assert world.core.info is not None


def test_a_failed_query_is_not_taken_for_a_fresh_one() -> None:
    world = World().connected()
    world.faults.mute_next = 100
    assert world.do(QueryHub()) is Outcome.FAILED
    assert world.do(QueryHub()) is Outcome.FAILED


@pytest.mark.parametrize('device_type', ['OE', 'OI', 'FB'])
@pytest.mark.parametrize('after_s', [0.05, 0.5, 1.0, 2.0, 4.0, 4.5, 5.2, 5.6])
def test_a_stop_while_a_channel_restarts_leaves_it_usable(device_type: str, after_s: float) -> None:
    world = World().connected()
    world.run(1)
    caller = world.ask(change('device_type', device_type))
    world.run(after_s)
    stop = world.ask(Stop(1))
    world.until(lambda: stop.outcome is not None and caller.outcome is not None)
    assert (stop.waited_s < 4.5, caller.waited_s < 20) == (True, True)
    world.run(30)
    assert not world.hub.focusers[1].moving
    assert world.requests(b'HALT', since=world.now - 20) == []
    if device_type != 'FB':
        assert 'IsHomed = 0' in (world.snapshot(1).error or '')
        assert world.do(Home(1)) is Outcome.DONE
    assert world.snapshot(1).status == FocuserStatus.Idle
    assert world.do(Stop(1)) is Outcome.DONE
    assert world.do(MoveFocuser(1, 100)) is Outcome.DONE


@pytest.mark.parametrize('idle_loop_delay_s', [5.0, 30.0])
@pytest.mark.parametrize('restart_s', ['0', '1', '5'])
@pytest.mark.parametrize('key, value', [('device_type', 'OE'), ('device_type', 'FB'), ('reset', 'defaults')])
def test_after_a_restarting_change_the_state_is_that_of_the_hub(
        key: str, value: str, restart_s: str, idle_loop_delay_s: float) -> None:
    world = World(replace(WORLD_SETTINGS, idle_loop_delay_s=idle_loop_delay_s), hub={'restart': restart_s}).connected()
    assert world.do(MoveFocuser(1, 500)) is Outcome.DONE
    world.run(3)
    assert world.do(change(key, value)) is Outcome.DONE
    focuser, snapshot = world.hub.focusers[1], world.snapshot(1)
    assert snapshot.status == (FocuserStatus.Moving if focuser.moving else FocuserStatus.Idle)
    assert snapshot.current_steps == pytest.approx(focuser.position - focuser.memory.max_pos // 2, abs=100)
    assert world.logged('moved') == []


def test_while_a_channel_restarts_no_position_is_reported() -> None:
    world = World().connected()
    caller = world.ask(change('device_type', 'OE'))
    world.until(lambda: bool(world.requests(b'SCDT')))
    while caller.outcome is None:
        assert world.snapshot(1).current_steps is None
        world.run(0.01)


def test_motion_by_a_restart_is_halted_before_the_port_closes() -> None:
    world = World().connected()
    assert world.do(change('device_type', 'OE')) is Outcome.DONE
    assert world.hub.focusers[1].moving
    assert world.do(Disconnect()) is Outcome.DONE
    assert not world.hub.focusers[1].moving


def test_motion_by_a_restart_may_end_by_itself() -> None:
    world = World(hub={'speed': '20000'}).connected()
    assert world.do(change('device_type', 'OE')) is Outcome.DONE
    world.run(30)
    assert (world.snapshot(1).status, world.snapshot(1).homed) == (FocuserStatus.Idle, True)
    assert world.requests(b'HALT') == []
    assert world.logged('by hand') == []
    assert world.do(MoveFocuser(1, 100)) is Outcome.DONE


@pytest.mark.parametrize('key, value', [('device_type', 'FB'), ('reset', 'defaults')])
@pytest.mark.parametrize('mover', ['us', 'others'])
def test_a_channel_is_not_restarted_while_the_other_one_moves(key: str, value: str, mover: str) -> None:
    world = World(hub={'restarts': 'hub'}).connected()
    if mover == 'us':
        world.ask(MoveFocuser(2, 20000))
    else:
        world.hub.hand(2, 20000, world.now)
    world.run(6)
    assert world.do(change(key, value)) is Outcome.FAILED
    assert world.requests(b'SCDT') + world.requests(b'RESET') == []
    assert 'the other channel is ' in (world.snapshot(1).failure or '')
    assert world.hub.focusers[2].moving
    world.run(60)
    assert world.do(change(key, value)) is Outcome.DONE


def test_a_reset_that_was_lost_on_the_wire_is_not_taken_for_done() -> None:
    world = World(replace(WORLD_SETTINGS, temperature_probe_required=False), hub={'channels': '1'}).connected()
    world.hub.set('nickname.2', 'foo', world.now)
    world.run(12)
    world.wrote = lambda data: b'' if b'RESET' in data else data   # type: ignore[method-assign]
    assert world.do(change('reset', 'defaults', channel=2)) is Outcome.FAILED
    assert 'the settings are unchanged' in (world.snapshot(2).failure or '')


def test_a_max_pos_below_the_focuser_is_refused_and_not_sent() -> None:
    world = World().connected()
    assert world.do(change('max_position', 20000)) is Outcome.FAILED
    assert world.snapshot(1).failure == 'max_position = 20000 refused: the focuser is beyond that, at 32767 counts'
    assert world.requests(b'SETMAX') == []


def test_a_change_mends_a_max_pos_below_the_focuser() -> None:
    world = World().connected()
    world.hub.focusers[1].memory.max_pos = 20000   # a hub that lets another program do so
    world.run(60)
    assert world.snapshot(1).error == 'the hub reports 32767 counts, beyond its Max Pos of 20000'
    assert world.do(MoveFocuser(1, 0)) is Outcome.NOT_AVAILABLE
    assert world.do(Stop(1)) is Outcome.DONE
    assert world.do(change('max_position', 65535)) is Outcome.DONE
    world.run(1)
    assert (world.snapshot(1).status, world.snapshot(1).current_steps) == (FocuserStatus.Idle, 0)
    assert world.do(MoveFocuser(1, 100)) is Outcome.DONE


def test_after_an_unconfirmed_change_settings_are_read_at_once() -> None:
    world = World(replace(WORLD_SETTINGS, serial_timeout_s=5.0, idle_loop_delay_s=60.0)).connected()
    world.run(1)

    def wrote(data: bytes) -> bytes:
        if b'SETMAX' in data:
            world.faults.mute(world.now + 3.9)
        return data

    world.wrote = wrote   # type: ignore[method-assign]
    caller = world.ask(change('max_position', 80000))
    assert world.finish(caller) is Outcome.FAILED
    world.run(3)
    assert world.snapshot(1).current_steps == 32767 - 40000


def test_one_lost_answer_fails_no_change_at_a_long_timeout() -> None:
    world = World(replace(WORLD_SETTINGS, serial_timeout_s=5.0, idle_loop_delay_s=60.0)).connected()
    world.run(1)
    world.faults.mute_next = 1
    assert world.do(change('led', 40)) is Outcome.DONE


def test_the_late_answer_to_a_change_does_not_answer_a_zero() -> None:
    world = World(replace(WORLD_SETTINGS, serial_timeout_s=5.0)).connected()
    world.do(MoveFocuser(1, 1000))
    world.run(1)
    caller = world.ask(change('reverse', 'on'))
    world.until(lambda: bool(world.requests(b'REVERSE')))
    world.faults.settings.delay = 4.5
    world.run(0.01)
    world.faults.settings.delay = 0.0
    world.finish(caller)
    assert world.do(SetZero(1)) is Outcome.DONE
    assert world.requests(b'SCCP') == [b'<F1SCCP032767>']


def test_a_query_reads_the_settings_again() -> None:
    world = World(replace(WORLD_SETTINGS, idle_loop_delay_s=60.0)).connected()
    world.run(1)
    world.hub.set('nickname.1', 'North', world.now)   # by another program
    world.hub.set('led', '9', world.now)
    assert world.do(QueryHub()) is Outcome.DONE
    assert (shown_value(world, 'nickname'), shown_value(world, 'led', 2)) == ('North', 9)


def test_what_a_hub_reported_is_forgotten_with_the_connection() -> None:
    world = World().connected()
    world.do(QueryHub())
    assert world.core.info is not None
    world.do(Disconnect())
    assert world.core.info is None


def spoil_status(world: World, old: bytes, new: bytes, times: int) -> None:
    """The next statuses of channel 1 read otherwise."""
    left = [times]

    def spoil(reply: bytes) -> bytes:
        if b'STATUS1' in reply and left[0]:
            left[0] -= 1
            return re.sub(b'Curr Pos = ' + old, b'Curr Pos = ' + new, reply)
        return reply

    original = world.hub.receive
    world.hub.receive = lambda data, now, port=0: spoil(original(data, now, port))   # type: ignore[method-assign]


def test_one_wrong_digit_does_not_end_a_change_with_a_restart() -> None:
    world = World().connected()
    caller = world.ask(change('device_type', 'FB'))
    world.until(lambda: bool(world.requests(b'SCDT')))
    spoil_status(world, b'0', b'9', 1)
    assert world.finish(caller) is Outcome.DONE
    assert (world.snapshot(1).status, world.snapshot(1).current_steps) == (FocuserStatus.Idle, -32767)


def test_one_wrong_digit_does_not_refuse_a_range() -> None:
    world = World().connected()
    world.run(1)
    spoil_status(world, b'0', b'9', 1)
    assert world.do(change('max_position', 100000)) is Outcome.DONE


def test_one_wrong_digit_after_a_stop_reports_no_motion_by_hand() -> None:
    world = World().connected()
    move = world.ask(MoveFocuser(1, 10000))
    world.run(3)
    spoil_status(world, b'0', b'9', 1)
    assert world.do(Stop(1)) is Outcome.DONE
    assert move.outcome is Outcome.FAILED
    world.run(5)
    assert world.snapshot(1).current_steps == world.hub.focusers[1].position - 32767
    assert world.logged('while disconnected') == []


def test_a_channel_that_falls_silent_after_a_change_is_in_error() -> None:
    world = World(hub={'type.1': 'FA', 'type.2': 'FA', 'restart': '1', 'speed': '5000'}).connected()
    assert world.do(change('device_type', 'OE')) is Outcome.DONE
    world.run(2)
    world.wrote = lambda data: b'' if data[2:3] == b'1' else data   # type: ignore[method-assign]
    world.run(60)
    assert (world.snapshot(1).status, world.snapshot(1).current_steps) == (FocuserStatus.Error, None)
    assert world.snapshot(2).status == FocuserStatus.Idle


def test_motion_by_a_restart_that_does_not_end_is_halted() -> None:
    world = World(replace(WORLD_SETTINGS, home_timeout_s=100.0), hub={'speed': '5000'}).connected()
    assert world.do(change('device_type', 'OE')) is Outcome.DONE
    world.hub.jam(1, world.now)
    world.run(200)
    assert not world.hub.focusers[1].moving
    assert world.logged('the motion caused by a changed setting did not end in time; halting')
    assert 'IsHomed = 0' in (world.snapshot(1).error or '')


def test_a_hub_that_restarts_as_a_whole_is_secured_as_a_whole() -> None:
    world = World(hub={'type': 'OE', 'restart': '1', 'restarts': 'hub', 'speed': '5000'}).connected()
    assert world.do(change('device_type', 'OI')) is Outcome.DONE
    world.run(2)
    assert all(focuser.moving for focuser in world.hub.focusers.values())
    assert world.snapshot(2).status == FocuserStatus.Moving
    assert world.do(Disconnect()) is Outcome.DONE
    assert not any(focuser.moving for focuser in world.hub.focusers.values())


def test_a_query_whose_request_is_lost_does_not_delay_polls() -> None:
    world = World().connected()
    world.run(6)
    move = world.ask(MoveFocuser(1, 9000))
    world.run(1.3)
    world.wrote = lambda data: b'' if b'HUBINFO' in data or b'TCI' in data else data   # type: ignore[method-assign]
    world.ask(QueryHub())
    world.finish(move)
    polls = [at for at, data in world.sent if data == b'<F1GETSTATUS>' and at > move.at]
    assert max(later - earlier for earlier, later in zip(polls, polls[1:])) < 1.0


def test_motion_by_a_restart_is_halted_without_a_position_too() -> None:
    world = World(hub={'speed': '5000', 'restart': '1'}).connected()
    world.hub.focusers[1].memory.max_pos = 20000
    world.run(60)
    assert world.do(Stop(1)) is Outcome.DONE, 'after which no position is known'
    world.until(lambda: world.snapshot(1).current_steps is None)
    assert world.do(change('device_type', 'OE')) is Outcome.DONE
    assert world.hub.focusers[1].moving
    assert world.do(Disconnect()) is Outcome.DONE
    assert not world.hub.focusers[1].moving

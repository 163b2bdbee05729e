# SPDX-License-Identifier: GPL-3.0-or-later
"""Situations around the connection: power, plug, port, hub variants, other programs. On a real pty, truly paced."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import serial

from tests.daemon import wire
from tests.daemon.harness import Daemon
from tests.daemon.test_pyro_object import (
    DISABLED,
    DISCONNECTED,
    ERROR,
    FAILED,
    IDLE,
    NOT_AVAILABLE,
    NOT_CONNECTED,
    NOT_DISCONNECTED,
    OUTSIDE,
    SUCCEEDED,
)
from tests.daemon.wire import Site
from tests.simulator.harness import eventually

bench, site, prepare = wire.bench, wire.site, wire.prepare


def promptly(site: Site, method: str) -> int:
    """Call what the client calls with a patience of 5 s."""
    begun = time.monotonic()
    result: int = site.daemon.call(method)
    assert time.monotonic() - begun < 5
    return result


def test_a_stop_before_connecting_leaves_nothing_behind(prepare: Callable[..., Site]) -> None:
    site = prepare()
    assert site.daemon.call('stop_channel', 1) == NOT_AVAILABLE
    site.connect()
    assert site.daemon.call('set_focus', 1, 2000) == SUCCEEDED
    assert site.is_at(1, 2000)
    assert site.wire.sent('F.HALT') == []
    site.is_well(1, 2)


@pytest.mark.parametrize('power', ['power-cycle', 'power-cut 1'])
def test_a_power_cycle_while_idle_is_survived(site: Site, power: str) -> None:
    assert site.daemon.call('set_focus', 1, 2000) == SUCCEEDED
    begin = len(site.wire.requests)
    site.hub(power)
    eventually(lambda: len(site.wire.sent('F1GETSTATUS', begin)) >= 2)
    site.is_well(1, 2)


@pytest.mark.parametrize('power', ['power-cycle', 'power-cut 1'])
def test_a_power_cycle_fails_a_move_which_is_not_sent_again(site: Site, power: str) -> None:
    move = site.begin_move(1, 20000)
    site.hub(power)
    assert move.wait() == FAILED
    assert site.wire.sent('F1MA.*') == ['F1MA076000']
    eventually(lambda: site.daemon.state(1) == IDLE)
    assert site.is_at(1, 0), 'what the hub has stored, and now believes'
    site.is_well(1, 2)


def test_a_plug_that_is_pulled_while_idle_is_mended_without_help(prepare: Callable[..., Site]) -> None:
    site = prepare().connect()
    site.wire.unplug()
    eventually(lambda: site.daemon.state(1) == site.daemon.state(2) == ERROR)
    assert site.daemon.call('set_focus', 1, 100) == NOT_AVAILABLE
    assert site.daemon.steps(1) is None
    site.wire.plug()
    site.is_well(1, 2)
    assert site.daemon.call('initialize') == NOT_DISCONNECTED


@pytest.mark.parametrize('seconds', [0.0, 8.0])
def test_a_plug_pulled_in_a_move_fails_it_and_halts_the_motor(prepare: Callable[..., Site],
                                                                          seconds: float) -> None:
    site = prepare().connect()
    site.hub('speed 1 3000')
    move = site.begin_move(1, 45000)
    site.wire.unplug()
    assert move.wait() == FAILED
    time.sleep(seconds)
    site.wire.plug()
    eventually(lambda: site.at_rest(1))
    assert 0 < site.truth(1) < 45000
    eventually(lambda: site.daemon.state(1) == IDLE)
    assert site.wire.sent('F1MA.*') == ['F1MA101000']
    site.hub('speed 1 10000')
    site.is_well(1, 2)


def test_an_absent_port_fails_promptly_and_works_later(prepare: Callable[..., Site]) -> None:
    site = prepare()
    site.wire.unplug()
    assert promptly(site, 'initialize') == FAILED
    assert promptly(site, 'initialize') == FAILED, 'tried at once, and not connected'
    assert site.daemon.state(1) == ERROR
    assert 'no such device' in site.daemon.status()['error_1']
    site.wire.plug()
    eventually(lambda: site.daemon.state(1) == site.daemon.state(2) == IDLE)
    assert site.daemon.call('initialize') == NOT_DISCONNECTED
    site.is_well(1, 2)


@pytest.mark.parametrize('serial_timeout', [0.4, 5])
def test_a_silent_hub_fails_promptly_and_works_later(prepare: Callable[..., Site],
                                                                             serial_timeout: float) -> None:
    site = prepare(serial_timeout=serial_timeout)
    site.wire.mute()
    assert promptly(site, 'initialize') == FAILED
    assert site.daemon.state(1) == ERROR
    site.wire.heal()
    eventually(lambda: site.daemon.state(1) == site.daemon.state(2) == IDLE)
    assert site.daemon.call('initialize') == NOT_DISCONNECTED
    site.is_well(1, 2)


def test_another_initialize_tries_at_once_and_returns_the_result(prepare: Callable[..., Site]) -> None:
    site = prepare()
    site.wire.unplug()
    assert site.daemon.call('initialize') == FAILED
    site.wire.plug()
    # It may be the attempt in the background that comes first.
    assert site.daemon.call('initialize') in (SUCCEEDED, NOT_DISCONNECTED)
    assert site.daemon.state(1) == IDLE
    site.is_well(1, 2)


def test_a_shutdown_ends_the_attempts_to_connect(prepare: Callable[..., Site]) -> None:
    site = prepare()
    site.wire.unplug()
    assert site.daemon.call('initialize') == FAILED
    assert site.daemon.call('shutdown') == SUCCEEDED
    assert site.daemon.call('shutdown') == NOT_CONNECTED
    site.wire.plug()
    assert site.daemon.state(1) == DISABLED
    assert site.wire.requests == []
    site.connect()
    site.is_well(1, 2)


def test_kill_and_init_in_quick_succession_all_succeed(site: Site) -> None:
    for _ in range(10):
        assert site.daemon.call('shutdown') == SUCCEEDED
        assert site.daemon.state(1) == DISABLED
        assert site.daemon.call('initialize') == SUCCEEDED
    site.is_well(1, 2)


def test_a_move_straight_after_init_is_carried_out(prepare: Callable[..., Site]) -> None:
    site = prepare()
    for steps in (1000, 2000, 0):
        assert site.daemon.call('initialize') == SUCCEEDED
        assert site.daemon.call('set_focus', 1, steps) == SUCCEEDED
        assert site.is_at(1, steps)
        assert site.daemon.call('shutdown') == SUCCEEDED
    assert len(site.wire.sent('F1MA.*')) == 3
    site.connect()
    site.is_well(1, 2)


@pytest.mark.parametrize('command', ['set_focus', 'stop_channel', 'reset_home_position'])
def test_a_command_does_not_wait_for_the_other_channel(prepare: Callable[..., Site],
                                                                                   command: str) -> None:
    site = prepare(serial_timeout=10, idle_loop_delay=1).connect()
    begin = len(site.wire.requests)
    came: list[float] = []

    def late(reply: bytes) -> list[tuple[float, bytes]]:
        came.append(time.monotonic() + 1.5)
        return [(1.5, reply)]

    site.wire.spoil('F2GETSTATUS', late)
    eventually(lambda: came)
    # Nothing else is due on channel 1 for a second, and the wire is quiet until the late reply has come.
    call = site.daemon.begin(command, 1, *([500] if command == 'set_focus' else []))
    late_at = len(site.wire.requests)
    eventually(lambda: site.wire.sent('F1.*', late_at))
    first_at = next(at for at, text in site.wire.requests[late_at:] if text.startswith('F1'))
    assert first_at < came[0], 'it waited for the late reply'
    assert call.wait() == SUCCEEDED
    if command == 'set_focus':
        assert site.wire.sent('F1MA.*', begin) == ['F1MA056500']
        assert site.is_at(1, 500)
    site.is_well(1, 2)


def test_an_absent_focuser_on_channel_2_leaves_channel_1_alone(prepare: Callable[..., Site]) -> None:
    site = prepare('--probe.2', 'NP')
    assert site.daemon.call('initialize') == SUCCEEDED
    assert (site.daemon.state(1), site.daemon.state(2)) == (IDLE, DISCONNECTED)
    assert site.daemon.call('set_focus', 2, 100) == NOT_AVAILABLE
    assert site.daemon.call('reset_home_position', 2) == NOT_AVAILABLE
    assert site.wire.sent('F2(MA|SCCP).*') == []
    site.is_well(1)
    site.hub('probe 2 +10.0')
    site.is_well(1, 2)


def test_a_probe_lost_for_3_s_is_reported_meanwhile(site: Site) -> None:
    assert site.daemon.call('set_focus', 1, 2000) == SUCCEEDED
    site.hub('probe 1 NP')
    eventually(lambda: site.daemon.state(1) == DISCONNECTED)
    lost_at = time.monotonic()
    assert site.daemon.steps(1) is None
    while time.monotonic() - lost_at < 3:
        assert site.daemon.state(1) == DISCONNECTED
        assert site.daemon.call('set_focus', 1, 0) == NOT_AVAILABLE
        site.is_well(2)
    site.hub('probe 1 +21.7')
    eventually(lambda: site.daemon.state(1) == IDLE)
    assert site.is_at(1, 2000)
    assert site.daemon.status()['temperature_1'] == 21.7
    site.is_well(1, 2)


@pytest.mark.parametrize(('setting', 'key'), [('tcomp', 'TComp ON'), ('tc_at_start', 'TC@Start'),
                                              ('backlash', 'BLC En')])
def test_channel_2_works_while_the_hub_moves_channel_1_by_itself(prepare: Callable[..., Site], setting: str,
                                                                       key: str) -> None:
    site = prepare(f'--{setting.replace("_", "-")}.1', '1')
    assert site.daemon.call('initialize') == SUCCEEDED
    assert (site.daemon.state(1), site.daemon.state(2)) == (ERROR, IDLE)
    assert key in site.daemon.status()['error_1']
    assert site.daemon.call('set_focus', 1, 100) == NOT_AVAILABLE
    assert site.wire.sent('F1(MA|SC).*') == []
    site.is_well(2)
    site.hub(f'{setting} 1 0')
    site.is_well(1, 2)


def test_a_setting_that_is_switched_on_in_operation_is_noticed(site: Site) -> None:
    site.hub('backlash 1 1')
    eventually(lambda: site.daemon.state(1) == ERROR)
    assert 'BLC En' in site.daemon.status()['error_1']
    site.is_well(2)
    site.hub('backlash 1 0')
    site.is_well(1, 2)


@pytest.mark.parametrize('options', [('--home-on-start-line', '1'), ('--no-reverse-line', '1'),
                                     ('--home-on-start-line', '1', '--no-reverse-line', '1')],
                         ids=['with home on start', 'without Reverse', 'both'])
def test_firmware_with_a_line_more_or_less_is_served(prepare: Callable[..., Site], options: tuple[str, ...]) -> None:
    site = prepare(*options).connect()
    assert site.daemon.call('set_focus', 1, 2000) == SUCCEEDED
    assert site.is_at(1, 2000)
    site.is_well(1, 2)


def test_an_odd_max_pos_has_its_zero_at_the_lower_middle(prepare: Callable[..., Site]) -> None:
    site = prepare('--max-pos', '65535', '--speed', '60000').connect()
    assert site.daemon.call('set_focus', 1, 1) == SUCCEEDED
    assert site.hub.get('1.position') == 32768
    for steps in (32766, -32766):
        assert site.daemon.call('set_focus', 1, steps) == SUCCEEDED
        assert site.hub.get('1.position') == 32767 + steps
        assert site.daemon.steps(1) == steps
    for steps in (32767, -32767):
        assert site.daemon.call('set_focus', 1, steps) == OUTSIDE
    assert site.daemon.call('reset_home_position', 1) == SUCCEEDED
    assert site.hub.get('1.position') == 32767
    assert site.wire.sent('F1SCCP.*') == ['F1SCCP032767']
    assert site.daemon.steps(1) == 0


def test_a_second_program_that_opens_the_device_is_refused(site: Site) -> None:
    with pytest.raises(serial.SerialException, match='exclusively lock'):
        serial.Serial(site.wire.path, exclusive=True)
    site.is_well(1, 2)


def test_a_device_with_a_new_number_frees_the_old_one(start: Callable[..., Daemon],
                                                                        tmp_path: Path) -> None:
    terminals = [os.openpty() for _ in range(2)]
    old, new = (os.ttyname(slave) for _, slave in terminals)
    try:
        (tmp_path / 'focuser').symlink_to(old)
        first = start(serial_port=str(tmp_path / 'focuser'))
        # Plugged in again, the first hub has another number, and the next device has got its old one.
        (tmp_path / 'focuser').unlink()
        (tmp_path / 'focuser').symlink_to(new)
        second = start(serial_port=old)
        assert first.status() and second.status()
    finally:
        for descriptors in terminals:
            for descriptor in descriptors:
                os.close(descriptor)

# SPDX-License-Identifier: GPL-3.0-or-later
"""The daemon on real links: a pseudo-terminal, a TCP socket, lynxsim://; good ones, slow ones and silent ones."""

from __future__ import annotations

import os
import pty
import threading
import tty
from collections.abc import Callable
from pathlib import Path

import pytest
import serial

from tests.daemon.harness import Daemon
from tests.daemon.test_pyro_object import ERROR, FAILED, IDLE, MOVING, NOT_DISCONNECTED, SUCCEEDED
from tests.simulator.harness import Simulator, eventually

HUB = ('--channels', '1,2', '--max-pos', '112000', '--speed', '5000')


def on_a_pty(simulate: Callable[..., Simulator], tmp_path: Path, *options: str) -> tuple[Simulator, str]:
    link = str(tmp_path / 'focuser')
    return simulate('--link', link, *HUB, *options), link


def on_tcp(simulate: Callable[..., Simulator], *options: str) -> tuple[Simulator, str]:
    simulator = simulate('--tcp', '127.0.0.1:0', *HUB, *options)
    host, port = simulator.tcp_address
    return simulator, f'socket://{host}:{port}'


@pytest.fixture(params=['pty', 'tcp'])
def hub(request: pytest.FixtureRequest, simulate: Callable[..., Simulator], tmp_path: Path) -> tuple[Simulator, str]:
    return on_a_pty(simulate, tmp_path) if request.param == 'pty' else on_tcp(simulate)


def test_a_night_in_short_on_a_real_link(hub: tuple[Simulator, str], start: Callable[..., Daemon]) -> None:
    simulator, port = hub
    daemon = start(serial_port=port)
    assert daemon.focus('init').returncode == 0
    assert daemon.focus('set', '1', '500').returncode == 0
    assert simulator.control.get('1.position') == 56500
    move = daemon.begin('set_focus', 2, 45000)
    eventually(lambda: simulator.control.get('2.moving'))
    assert daemon.focus('stop', '2').returncode == 0
    assert move.wait() == FAILED
    assert not simulator.control.get('2.moving')
    assert daemon.steps(2) == simulator.control.get('2.position') - 56000
    assert daemon.focus('zero', '2').returncode == 0
    assert simulator.control.get('2.position') == 56000
    assert daemon.focus('kill').returncode == 0


def test_a_pulled_plug_is_mended_without_help(simulate: Callable[..., Simulator], start: Callable[..., Daemon],
                                              tmp_path: Path) -> None:
    simulator, link = on_a_pty(simulate, tmp_path)
    daemon = start(serial_port=link)
    assert daemon.call('initialize') == SUCCEEDED
    move = daemon.begin('set_focus', 1, 45000)
    eventually(lambda: simulator.control.get('1.moving'))
    simulator.control('unplug')
    assert move.wait() == FAILED
    eventually(lambda: daemon.state(1) == ERROR)
    assert daemon.status()['error_1']
    assert daemon.steps(1) is None
    simulator.control('plug')
    eventually(lambda: daemon.state(1) == IDLE)
    assert not simulator.control.get('1.moving')
    assert daemon.call('initialize') == NOT_DISCONNECTED
    assert daemon.call('set_focus', 1, 100) == SUCCEEDED
    assert simulator.control.get('1.position') == 56100


def test_a_hub_that_is_restarted_on_tcp_is_found_again(simulate: Callable[..., Simulator], start: Callable[..., Daemon],
                                                       tmp_path: Path) -> None:
    state = str(tmp_path / 'hub.json')
    simulator, port = on_tcp(simulate, '--state', state)
    daemon = start(serial_port=port)
    assert daemon.call('initialize') == SUCCEEDED
    assert daemon.call('set_focus', 1, 1234) == SUCCEEDED
    simulator.stop()
    eventually(lambda: daemon.state(1) == ERROR)
    simulate('--tcp', port[len('socket://'):], *HUB, '--state', state)
    eventually(lambda: daemon.state(1) == IDLE)
    assert daemon.steps(1) == 1234


@pytest.mark.parametrize('fault', ['', 'drip 0.003', 'mute'], ids=['well', 'byte by byte', 'falling silent'])
def test_the_status_is_true_on_good_slow_and_silent_links(simulate: Callable[..., Simulator], fault: str,
                                                                start: Callable[..., Daemon], tmp_path: Path) -> None:
    simulator, link = on_a_pty(simulate, tmp_path)
    daemon = start(serial_port=link, serial_timeout=2)
    assert daemon.call('initialize') == SUCCEEDED
    if fault:
        simulator.control(fault)
    if fault == 'mute':
        eventually(lambda: daemon.state(1) == daemon.state(2) == ERROR)
        assert daemon.call('set_focus', 1, 3000) != SUCCEEDED
        assert simulator.control.get('1.position') == 56000
        assert daemon.call('stop_channel', 1) == FAILED
        simulator.control('unmute')
        eventually(lambda: daemon.state(1) == daemon.state(2) == IDLE)
    assert daemon.call('set_focus', 1, 3000) == SUCCEEDED
    assert simulator.control.get('1.position') == 59000
    assert daemon.state(1) == IDLE


def test_the_status_is_answered_while_the_hub_is_mute_in_a_move(simulate: Callable[..., Simulator],
                                                                start: Callable[..., Daemon], tmp_path: Path) -> None:
    simulator, link = on_a_pty(simulate, tmp_path)
    daemon = start(serial_port=link, serial_timeout=20)
    daemon.call('initialize')
    move = daemon.begin('set_focus', 1, 45000)
    eventually(lambda: simulator.control.get('1.moving'))
    simulator.control('mute')
    with daemon.proxy() as proxy:
        proxy._pyroTimeout = 1
        for _ in range(100):
            assert proxy.report_status()['status_1'] == MOVING
    assert daemon.call('stop_channel', 1) == FAILED
    assert not simulator.control.get('1.moving'), 'HALT went out although nothing was confirmed'
    simulator.control('unmute')
    assert move.wait() == FAILED
    eventually(lambda: daemon.state(1) == IDLE)


def test_connecting_without_a_hub_fails_and_works_later(
        simulate: Callable[..., Simulator], start: Callable[..., Daemon], tmp_path: Path) -> None:
    daemon = start(serial_port=str(tmp_path / 'focuser'))
    assert daemon.call('initialize') == FAILED
    assert 'no such device' in daemon.status()['error_1']
    on_a_pty(simulate, tmp_path)
    eventually(lambda: daemon.state(1) == IDLE)


def test_connect_on_start_needs_no_command(simulate: Callable[..., Simulator], start: Callable[..., Daemon],
                                           tmp_path: Path) -> None:
    daemon = start(serial_port=str(tmp_path / 'focuser'), connect_on_start=True)
    eventually(lambda: daemon.state(1) == ERROR)
    on_a_pty(simulate, tmp_path)
    eventually(lambda: daemon.state(1) == IDLE)


class Device:
    """Some other device behind a pseudo-terminal: it answers everything in its own way."""

    def __init__(self, answer: bytes) -> None:
        self._master, slave = pty.openpty()
        tty.setraw(slave)
        self.path = os.ttyname(slave)
        self._slave = slave
        self._answer = answer
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                os.read(self._master, 1000)
                os.write(self._master, self._answer)
            except OSError:
                return

    def close(self) -> None:
        os.close(self._slave)
        os.close(self._master)


@pytest.mark.parametrize(('make', 'reason'), [
    (lambda tmp_path: str(tmp_path / 'nothing'), 'no such device'),
    (lambda tmp_path: str(tmp_path), 'it is a directory'),
    (lambda tmp_path: str((tmp_path / 'file').write_text('x') and tmp_path / 'file'), 'it is not a serial device'),
    (lambda tmp_path: 'socket://127.0.0.1:1', 'connection refused'),
    (lambda tmp_path: 'lynxsim://?sped=3', 'sped'),
    (lambda tmp_path: 'nonsense://x', 'nonsense'),
], ids=['absent', 'directory', 'file', 'refused', 'unknown option', 'unknown protocol'])
def test_a_port_that_cannot_be_opened_is_named_with_its_reason(
        make: Callable[[Path], str], reason: str, start: Callable[..., Daemon], tmp_path: Path) -> None:
    port = make(tmp_path)
    daemon = start(serial_port=port)
    assert daemon.call('initialize') == FAILED
    error = daemon.status()['error_1']
    assert port in error and reason in error
    assert '\n' not in error
    eventually(lambda: 'no connection to the hub' in daemon.log)
    eventually(lambda: daemon.log.count('no connection to the hub') == 1)
    assert 'Traceback' not in daemon.log
    assert daemon.call('shutdown') == SUCCEEDED


def test_a_port_held_by_another_program_is_named_with_a_reason(
        simulate: Callable[..., Simulator], start: Callable[..., Daemon], tmp_path: Path) -> None:
    _, link = on_a_pty(simulate, tmp_path)
    with serial.Serial(link, exclusive=True):
        daemon = start(serial_port=link)
        assert daemon.call('initialize') == FAILED
        assert daemon.status()['error_1'] == f'cannot open {link}: it is in use by another program'
    eventually(lambda: daemon.state(1) == IDLE)


def test_no_other_program_can_open_the_port_of_the_daemon(
        simulate: Callable[..., Simulator], start: Callable[..., Daemon], tmp_path: Path) -> None:
    _, link = on_a_pty(simulate, tmp_path)
    daemon = start(serial_port=link)
    assert daemon.call('initialize') == SUCCEEDED
    with pytest.raises(serial.SerialException, match='exclusively lock'):
        serial.Serial(link, exclusive=True)


@pytest.mark.parametrize('answer', [b'', b'$GPRMC,1,2,3*00\r\n', b'\xff' * 400], ids=['mute', 'babbling', 'noise'])
def test_another_device_is_not_taken_for_a_hub(answer: bytes, start: Callable[..., Daemon]) -> None:
    device = Device(answer)
    try:
        daemon = start(serial_port=device.path)
        assert daemon.call('initialize') == FAILED
        assert daemon.state(1) == ERROR
        assert daemon.status()['error_1']
        assert daemon.call('initialize') == FAILED
    finally:
        device.close()

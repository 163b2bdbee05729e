# SPDX-License-Identifier: GPL-3.0-or-later
"""The daemon as a process: how it starts, what it says when it cannot, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.daemon.harness import SETTINGS, TOP, Daemon
from tests.daemon.test_links import HUB
from tests.daemon.test_pyro_object import FAILED, IDLE, MOVING, SUCCEEDED
from tests.simulator.harness import Simulator, eventually


def run_focusd(*arguments: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(TOP / 'focusd'), *arguments], text=True, capture_output=True, timeout=30,
                          env={**os.environ, 'PYTHONPATH': str(TOP / 'common'), **(environment or {})})


@pytest.mark.parametrize(('change', 'named'), [
    ({'extra': 1}, 'extra'),
    ({'serial_timeout': None}, 'serial_timeout'),
    ({'idle_loop_delay': -1}, 'idle_loop_delay: -1'),
    ({'serial_baud': 'fast'}, 'serial_baud: "fast"'),
    ({'soft_step_limits': [5, -5]}, 'soft_step_limits: [5, -5]'),
    ({'daemon': 'nobody'}, 'daemon: "nobody"'),
    ({'control_machines': ['Nowhere']}, 'Nowhere'),
])
def test_a_wrong_configuration_is_one_line_and_exit_1(change: dict[str, Any], named: str, tmp_path: Path) -> None:
    settings = {**SETTINGS, 'daemon': 'localhost_test', **change}
    settings = {key: value for key, value in settings.items() if value is not None}
    path = tmp_path / 'wrong.json'
    path.write_text(json.dumps(settings))
    result = run_focusd(str(path))
    assert (result.returncode, result.stdout) == (1, '')
    assert result.stderr.count('\n') == 1
    assert str(path) in result.stderr and named in result.stderr


def test_a_missing_configuration_is_one_line_and_exit_1(tmp_path: Path) -> None:
    result = run_focusd(str(tmp_path / 'none.json'))
    assert result.returncode == 1
    assert result.stderr.count('\n') == 1
    assert 'none.json' in result.stderr


def test_a_second_daemon_on_the_same_address_says_so_and_ends(daemon: Daemon, tmp_path: Path) -> None:
    second = run_focusd(str(daemon.config), environment=daemon.environment)
    assert second.returncode == 1
    assert second.stderr.count('\n') == 1
    assert f'127.0.0.1:{daemon.port} is in use' in second.stderr
    assert daemon.state(1) == IDLE


def test_a_second_daemon_on_the_same_port_says_so_and_ends(start: Callable[..., Daemon], tmp_path: Path) -> None:
    port = str(tmp_path / 'focuser')
    start(serial_port=port)
    second = Daemon(tmp_path, wait=False, serial_port=port)
    assert second.process.wait(20) == 1
    assert second.log.count('\n') == 1
    assert f'{port} is in use by another focusd' in second.log


def test_the_port_of_a_daemon_that_was_killed_is_free_again(start: Callable[..., Daemon], tmp_path: Path) -> None:
    port = str(tmp_path / 'focuser')
    start(serial_port=port).kill()
    start(serial_port=port)


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_a_signal_halts_the_motor_and_ends_the_process(
        number: int, simulate: Callable[..., Simulator], start: Callable[..., Daemon], tmp_path: Path) -> None:
    link = str(tmp_path / 'focuser')
    simulator = simulate('--link', link, *HUB)
    daemon = start(serial_port=link)
    daemon.call('initialize')
    move = daemon.begin('set_focus', 1, 45000)
    eventually(lambda: daemon.state(1) == MOVING and simulator.control.get('1.moving'))
    assert daemon.stop(number) == 0
    assert move.wait() == FAILED
    assert not simulator.control.get('1.moving')
    assert 'Traceback' not in daemon.log


def test_a_daemon_started_after_a_kill_knows_the_position(
        simulate: Callable[..., Simulator], start: Callable[..., Daemon], tmp_path: Path) -> None:
    link = str(tmp_path / 'focuser')
    simulator = simulate('--link', link, *HUB)
    daemon = start(serial_port=link)
    daemon.call('initialize')
    move = daemon.begin('set_focus', 1, 5000)
    eventually(lambda: simulator.control.get('1.moving'))
    daemon.kill()
    move.wait()
    successor = start(serial_port=link, port=daemon.port)
    assert successor.call('initialize') == SUCCEEDED
    eventually(lambda: successor.state(1) == IDLE)
    assert successor.steps(1) == simulator.control.get('1.position') - 56000


def test_events_are_logged_once_each(daemon: Daemon) -> None:
    daemon.call('set_focus', 1, 250)
    daemon.call('reset_home_position', 1)
    daemon.call('shutdown')
    assert daemon.stop() == 0
    for line in ('connected to the hub on lynxsim://', 'channel 1: move to +250 steps requested, from +0',
                 'channel 1: arrived at +250 steps', 'channel 1: zero requested',
                 'channel 1: zero set; this position was +250 steps before', 'disconnected on request'):
        assert daemon.log.count(line) == 1, line


def test_a_closed_standard_output_does_not_disturb_the_daemon(start: Callable[..., Daemon], tmp_path: Path) -> None:
    daemon = start()
    daemon.stop()
    process = subprocess.Popen([sys.executable, str(TOP / 'focusd'), str(daemon.config)], env=daemon.environment,
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    process.stdout.close()
    try:
        eventually(lambda: answers(daemon))
        assert daemon.call('initialize') == SUCCEEDED
        assert daemon.call('set_focus', 1, 100) == SUCCEEDED
        assert daemon.call('set_focus', 1, 0) == SUCCEEDED
    finally:
        process.terminate()
        assert process.wait(20) == 0


def answers(daemon: Daemon) -> bool:
    try:
        return bool(daemon.status())
    except Exception:
        return False

# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line of focusd: what it prints, where, and with which exit code."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.daemon.harness import SETTINGS, TOP, Daemon
from tests.daemon.test_process import answers
from tests.daemon.test_pyro_object import MOVING, SUCCEEDED
from tests.simulator.harness import eventually
from warwick.observatory.focuslynx._version import SOFTWARE_VERSION


def focusd(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    options = {'stdout': subprocess.PIPE, **options}
    return subprocess.run([sys.executable, str(TOP / 'focusd'), *arguments], text=True, stdin=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, timeout=30, env={**os.environ, 'PYTHONPATH': str(TOP / 'common')},
                          **options)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / 'good.json'
    path.write_text(json.dumps({
        **SETTINGS, 'daemon': 'localhost_test', 'control_machines': ['LocalHost', 'CLASPTCS'],
        'serial_port': '/dev/focuser', 'idle_loop_delay': 5, 'moving_loop_delay': 0.5}))
    return path


def test_a_check_of_a_good_file_prints_what_focusd_would_do(config: Path) -> None:
    result = focusd('--check', str(config))
    assert (result.returncode, result.stderr) == (0, '')
    lines = result.stdout.splitlines()
    assert lines[0] == f'{config}: good'
    for said in ('localhost_test_daemon at 127.0.0.1, port 9000', 'LocalHost (127.0.0.1), CLASPTCS (10.2.6.181)',
                 '/dev/focuser at 115200 baud, replies within 1 s', 'every 5 s at rest, every 0.5 s in motion',
                 'from -50000 to +50000 steps, within 60 s', 'within 5 s, homing within 120 s',
                 'a temperature probe and hub compensation switched off',
                 'table focus_test of the observatory log', 'on the command focus init'):
        assert [line.endswith(f' {said}') for line in lines].count(True) == 1, said


def test_a_check_says_whether_the_daemon_connects_by_itself(config: Path) -> None:
    config.write_text(json.dumps({**json.loads(config.read_text()), 'connect_on_start': True}))
    assert 'when it starts' in focusd('--check', str(config)).stdout


def test_a_check_says_that_the_daemon_requires_nothing(config: Path) -> None:
    config.write_text(json.dumps({**json.loads(config.read_text()), 'temperature_probe_required': False,
                                  'allow_hub_compensation': True}))
    assert 'requires:      nothing\n' in focusd('--check', str(config)).stdout


def test_a_check_says_that_no_machine_may_control(config: Path) -> None:
    config.write_text(json.dumps({**json.loads(config.read_text()), 'control_machines': []}))
    assert 'controlled by: no machine\n' in focusd('--check', str(config)).stdout


def test_a_check_needs_neither_the_port_nor_the_address(config: Path, daemon: Daemon) -> None:
    assert focusd('--check', str(config)).returncode == 0
    environment = {**os.environ, **daemon.environment}
    result = subprocess.run([sys.executable, str(TOP / 'focusd'), '--check', str(daemon.config)], env=environment,
                            stdin=subprocess.DEVNULL, capture_output=True, timeout=30)
    assert result.returncode == 0, 'while that daemon runs'
    assert daemon.call('set_focus', 1, 20) == SUCCEEDED


def test_a_check_of_a_wrong_configuration_is_one_line_and_exit_1(config: Path) -> None:
    config.write_text(config.read_text().replace('115200', '"fast"'))
    result = focusd('--check', str(config))
    assert (result.returncode, result.stdout) == (1, '')
    assert result.stderr == f'focusd: {config}: serial_baud: "fast": must be a whole number\n'


@pytest.mark.parametrize(('address', 'reason'), [
    ('foo://bar', "protocol 'foo' is not known"), ('lynxsim://?chan=1', "unknown option 'chan'; there are "),
    ('socket://dome', 'must be socket://HOST:PORT')])
def test_a_check_refuses_a_port_that_can_never_be_opened(config: Path, address: str, reason: str) -> None:
    config.write_text(config.read_text().replace('/dev/focuser', address))
    result = focusd('--check', str(config))
    assert (result.returncode, result.stdout, result.stderr.count('\n')) == (1, '', 1)
    assert result.stderr.startswith(f'focusd: {config}: serial_port: "{address}": ')
    assert reason in result.stderr


@pytest.mark.parametrize(('change', 'warning'), [
    ({'moving_loop_delay': 70, 'idle_loop_delay': 90},
     'moving_loop_delay: 70: longer than move_timeout, 60: a move would have failed before'),
    ({'moving_loop_delay': 8}, 'moving_loop_delay: 8: longer than idle_loop_delay, 5: a moving focuser'),
    ({'serial_timeout': 61.5}, 'serial_timeout: 61.5: longer than move_timeout, 60: '),
    ({'home_timeout': 0.25}, 'moving_loop_delay: 0.5: longer than home_timeout, 0.25: homing'),
    ({'control_machines': []}, 'control_machines: []: no machine may control the focusers'),
    ({'serial_port': '192.168.1.5:9760'},
     'serial_port: "192.168.1.5:9760": an address on the network is written socket://192.168.1.5:9760'),
    ({'serial_port': 'COM3'}, 'serial_port: "COM3": is a name of Windows'),
    ({'serial_port': 'ttyFocus'}, 'serial_port: "ttyFocus": there is no such file: is /dev/ttyFocus meant?'),
    ({'serial_port': '/dev/null '}, 'serial_port: "/dev/null ": begins or ends with a blank'),
    ({'serial_port': '/dev/nothing'}, 'serial_port: "/dev/nothing": there is no such device now'),
    ({'serial_port': '/dev'}, 'serial_port: "/dev": it is a directory'),
    ({'serial_port': '/etc/passwd'}, 'serial_port: "/etc/passwd": it is not a serial device'),
    ({'serial_port': 'loop://'}, 'serial_port: "loop://": gives back what is sent'),
])
def test_a_check_warns_of_what_cannot_be_meant(config: Path, change: dict[str, Any], warning: str) -> None:
    config.write_text(json.dumps({**json.loads(config.read_text()), 'serial_port': '/dev/null', **change}))
    result = focusd('--check', str(config))
    assert (result.returncode, result.stderr) == (0, '')
    warnings = [line.split(maxsplit=1)[1] for line in result.stdout.splitlines() if line.startswith('warning:')]
    assert [line.startswith(warning) for line in warnings] == [True], warnings


def test_a_check_of_usual_settings_warns_of_nothing(config: Path) -> None:
    config.write_text(config.read_text().replace('/dev/focuser', '/dev/null'))
    assert 'warning' not in focusd('--check', str(config)).stdout


@pytest.mark.parametrize(('address', 'note'), [
    ('socket://dome:9760', 'serial_baud is not sent'), ('rfc2217://dome:2217', 'other programs cannot be kept out'),
    ('spy:///dev/null?file=/nowhere/trace', 'writes a trace'), ('hwgrep://OP21GA0U', 'searched for at each opening')])
def test_a_check_says_what_a_kind_of_port_cannot_do(config: Path, address: str, note: str) -> None:
    config.write_text(config.read_text().replace('/dev/focuser', address))
    result = focusd('--check', str(config))
    assert (result.returncode, result.stderr) == (0, '')
    assert [note in line for line in result.stdout.splitlines() if line.startswith(f'note:          {address}: ')] \
        == [True]


def test_each_warning_is_a_line_of_the_log(start: Callable[..., Daemon]) -> None:
    daemon = start(control_machines=[], moving_loop_delay=70)
    for warning in ('warning: control_machines: []: no machine', 'warning: moving_loop_delay: 70: longer than move'):
        eventually(lambda warning=warning: daemon.log.count(warning) == 1)   # type: ignore[misc]


@pytest.mark.parametrize('text', ['\ud800', 'a\0b', 'a\nb'])
@pytest.mark.parametrize('key', ['daemon', 'log_name', 'serial_port', 'control_machines'])
@pytest.mark.parametrize('options', [[], ['--check']], ids=['start', 'check'])
def test_a_name_that_cannot_be_one_is_one_line(config: Path, options: list[str], key: str, text: str) -> None:
    value = [text] if key == 'control_machines' else text
    config.write_text(json.dumps({**json.loads(config.read_text()), key: value}))
    result = focusd(*options, str(config))
    assert (result.returncode, result.stdout, result.stderr.count('\n')) == (1, '', 1)
    assert result.stderr.startswith(f'focusd: {config}: {key}') and json.dumps(text) in result.stderr


@pytest.mark.parametrize('module', ['Pyro4', 'serial'])
def test_ctrl_c_during_the_start_is_no_traceback(config: Path, tmp_path: Path, module: str) -> None:
    (tmp_path / f'{module}.py').write_text('import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n')
    environment = {**os.environ, 'PYTHONPATH': os.pathsep.join([str(tmp_path), *sys.path])}
    result = subprocess.run([sys.executable, str(TOP / 'focusd'), str(config)], env=environment,
                            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)
    assert (result.returncode, result.stdout, result.stderr) == (0, '', '')


def test_the_version_is_printed() -> None:
    result = focusd('--version')
    assert (result.returncode, result.stderr) == (0, '')
    version, libraries = result.stdout.splitlines()
    assert version == f'focusd {SOFTWARE_VERSION}'
    assert re.fullmatch(r'Python 3\.\S+, Pyro4 \S+, pyserial \S+, jsonschema \S+', libraries)


@pytest.mark.parametrize('option', ['--help', '-h'])
def test_the_help_lists_every_option(option: str) -> None:
    result = focusd(option)
    assert (result.returncode, result.stderr) == (0, '')
    for word in ('CONFIG', '--check', '--version', '--help', '--log-level LEVEL', 'debug, info, warning, error'):
        assert word in ' '.join(result.stdout.split())


@pytest.mark.parametrize(('arguments', 'named'), [
    ([], 'CONFIG is missing'),
    (['--check'], 'CONFIG is missing'),
    (['a.json', 'b.json'], 'b.json'),
    (['--chek', 'a.json'], '--chek'),
    (['--log-level'], '--log-level'),
    (['--log-level', 'loud', 'a.json'], "invalid choice: 'loud'"),
    (['a.json', 'two\nlines'], 'two lines'),
])
def test_wrong_arguments_are_one_line_and_exit_2(arguments: list[str], named: str) -> None:
    result = focusd(*arguments)
    assert (result.returncode, result.stdout) == (2, '')
    assert result.stderr.startswith('focusd: ') and result.stderr.count('\n') == 1
    assert named in result.stderr


@pytest.mark.parametrize('option', ['--version', '--help', '--check'])
def test_output_that_cannot_be_written_is_one_line_and_exit_1(option: str, config: Path) -> None:
    with open('/dev/full', 'w') as full:
        result = focusd(option, str(config), stdout=full)
    assert result.returncode == 1
    assert result.stderr == 'focusd: cannot write to standard output: No space left on device\n'


@pytest.mark.parametrize(('level', 'shown', 'hidden'), [
    ('info', ['serves at', 'stopped at', 'ends'], []),
    ('WARNING', ['steps stopped at'], ['serves at', 'requested', 'ends']),
    ('error', [], ['serves at', 'steps stopped at', 'ends']),
])
def test_the_log_level_is_the_lowest_that_is_shown(level: str, shown: list[str], hidden: list[str],
                                                   daemon: Daemon) -> None:
    daemon.stop()
    with open(daemon.log_path, 'w') as log:
        daemon.process = subprocess.Popen(
            [sys.executable, str(TOP / 'focusd'), '--log-level', level, str(daemon.config)], env=daemon.environment,
            stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
    eventually(lambda: answers(daemon))
    assert daemon.call('initialize') == SUCCEEDED
    daemon.begin('set_focus', 1, 45000)
    eventually(lambda: daemon.state(1) == MOVING)
    assert daemon.call('stop_channel', 1) == SUCCEEDED
    daemon.stop()
    for text in shown:
        assert text in daemon.log
    for text in hidden:
        assert text not in daemon.log

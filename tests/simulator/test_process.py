# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line of the simulator, and the state file over the life and death of the process."""
from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulator.conftest import OpenPort, StartSimulator
from tests.simulator.harness import DEADLINE_S, MODULE, ROOT, eventually, serial_host
from warwick.observatory.focuslynx.simulator.control import CONTROL_COMMANDS
from warwick.observatory.focuslynx.simulator.personalities import PERSONALITIES
from warwick.observatory.focuslynx.simulator.settings import SETTINGS


def run(*arguments: str) -> tuple[int, str, str]:
    done = subprocess.run([sys.executable, '-m', MODULE, *arguments], cwd=ROOT, capture_output=True, text=True,
                          timeout=DEADLINE_S, check=False)
    return done.returncode, done.stdout, done.stderr


class TestCommandLine:
    @pytest.mark.parametrize('arguments, message', [
        ([], 'error: no transport: give --link PATH, --tcp HOST:PORT, or both'),
        (['--speed', '5'], 'error: no transport'),
        (['--link'], 'error: argument --link: expected one argument'),
        (['--link', 'x', '--colour', 'red'], 'error: unrecognized arguments: --colour red'),
        (['--link', 'x', 'y'], 'error: unrecognized arguments: y'),
        (['--link', 'x', '--speed', 'fast'], "error: speed must be a number from 0.1 to 100000 steps/s, not 'fast'"),
        (['--link', 'x', '--probe.2', '-800'], 'error: probe.2 must be NP, a temperature'),
        (['--link', 'x', '--personality', 'vhs'], 'error: personality must be one of pre-release rev3 1.0.9 2.0.4'),
        (['--link', 'x', '--max-pos', '0'], 'error: max_pos must be a whole number from 1 to 999999 counts'),
        (['--link', 'x', '--delay', '-1'], "error: delay must be a number from 0 to 600 s, not '-1'"),
        (['--link', 'x', '--led.1', '5'], 'error: unrecognized arguments: --led.1 5'),
        (['--tcp', 'here'], "error: the address must be HOST:PORT with a port from 0 to 65535, not 'here'"),
        (['--tcp', 'localhost:65536'], 'error: the address must be HOST:PORT with a port from 0 to 65535'),
        (['--tcp', ':9760'], 'error: the address must be HOST:PORT with a port from 0 to 65535'),
        (['--tcp', '::1:9760'], 'error: the address must be HOST:PORT with a port from 0 to 65535'),
        (['control'], f'error: usage: python3 -m {MODULE} control PATH COMMAND...'),
        (['control', 'x'], f'error: usage: python3 -m {MODULE} control PATH COMMAND...'),
    ])
    def test_a_wrong_option_gets_one_line_and_code_2(self, arguments: list[str], message: str) -> None:
        code, output, errors = run(*arguments)
        assert (code, output) == (2, '')
        assert errors.startswith(message)
        assert errors.count('\n') == 1

    def test_what_fails_gets_one_line_and_code_1(self, tmp_path: Path) -> None:
        file = tmp_path / 'file'
        file.write_text('precious')
        (tmp_path / 'link').symlink_to(file)
        with socket.create_server(('127.0.0.1', 0)) as busy:
            port = busy.getsockname()[1]
            for arguments, message in [
                (['--link', str(file)], f'error: {file}: exists and is not a symbolic link'),
                (['--link', f'{tmp_path}/link'], f'error: {tmp_path}/link: is a symbolic link to {file}, which'),
                (['--link', f'{tmp_path}/no/hub'], f'error: {tmp_path}/no/hub: No such file or directory'),
                (['--link', str(tmp_path)], f'error: {tmp_path}: exists and is not a symbolic link'),
                (['--tcp', f'127.0.0.1:{port}'], f'error: 127.0.0.1:{port}: Address already in use'),
                (['--tcp', 'no.such.host.invalid:1'], 'error: no.such.host.invalid:1: '),
                (['--link', f'{tmp_path}/hub', '--control', str(file)], f'error: {file}: exists and is not a socket'),
                (['--link', f'{tmp_path}/hub', '--control', f'{tmp_path}/no/ctl'], f'error: {tmp_path}/no/ctl: No'),
                (['--link', f'{tmp_path}/hub', '--control', f'{tmp_path}/{"x" * 200}'], f'error: {tmp_path}/xxx'),
                (['--link', f'{tmp_path}/hub', '--state', str(file)], f'error: {file}: not JSON'),
                (['--link', f'{tmp_path}/hub', '--state', str(tmp_path)], f'error: {tmp_path}: Is a directory'),
                (['--link', f'{tmp_path}/hub', '--state', f'{tmp_path}/no/s'], f'error: {tmp_path}/no/s: No such file'),
                (['control', f'{tmp_path}/ctl', 'get'], f'error: no simulator answers at {tmp_path}/ctl: No such file'),
            ]:
                code, output, errors = run(*arguments)
                assert (code, output) == (1, ''), errors
                assert errors.startswith(message)
                assert errors.count('\n') == 1
        assert file.read_text() == 'precious'
        assert sorted(path.name for path in tmp_path.iterdir()) == ['file', 'link']

    def test_a_second_simulator_is_refused_each_place_of_the_first(
            self, start_pty: StartSimulator, tmp_path: Path) -> None:
        first = start_pty()
        code, _, errors = run('--link', first.link)
        assert code == 1 and errors.startswith(f'error: {first.link}: another simulator uses it (/dev/pts/')
        code, _, errors = run('--link', str(tmp_path / 'other'), '--control', first.control_path)
        assert (code, errors) == (1, f'error: {first.control_path}: another simulator answers there\n')
        assert first.control.get('1.position') == 32767

    def test_help_names_every_setting_and_command(self) -> None:
        code, output, _ = run('--help')
        assert code == 0
        assert all('--' + name.replace('_', '-') in output for name in SETTINGS)
        assert all(f'  {row.name}\n      {row.help}\n' in output for row in PERSONALITIES.values())
        code, output, _ = run('control', '--help')
        assert code == 0
        assert all(command.usage in output for command in CONTROL_COMMANDS.values())
        assert all(f'  {row.name}\n      {row.help}\n' in output for row in PERSONALITIES.values())

    def test_options_reach_the_hub_and_the_link(self, start_pty: StartSimulator) -> None:
        truth = start_pty('--channels', '1,2', '--max-pos=112000', '--probe.2', '-5.2', '--probe.1', '-@1.6',
                          '--nickname.2', 'North tube', '--sccp-no-set', '1', '--drip', '0.001').control.get()
        assert (truth['1']['position'], truth['2']['probe'], truth['1']['probe']) == (56000, '-5.2', '-@1.6')
        assert (truth['2']['nickname'], truth['sccp_no_set'], truth['drip']) == ('North tube', True, 0.001)

    def test_a_personality_reaches_the_hub_and_a_setting_comes_before_it(self, start_pty: StartSimulator) -> None:
        truth = start_pty('--type.2', 'FB', '--personality', 'tcf-s', '--channels', '1,2').control.get()
        assert (truth['personality'], truth['1']['type'], truth['1']['max_pos']) == ('tcf-s', 'OE', 125440)
        assert (truth['2']['type'], truth['2']['max_pos']) == ('FB', 65535)

    def test_without_options_it_is_the_hub_of_the_transcripts(self, start_pty: StartSimulator) -> None:
        simulator = start_pty()
        assert simulator.ready_line == f'hub simulator ready on {simulator.link} (pty)'
        truth = simulator.control.get()
        assert (truth['1']['type'], truth['1']['position'], truth['1']['probe']) == ('FA', 32767, '+21.7')
        assert (truth['2']['type'], truth['2']['position'], truth['2']['probe']) == ('ZZ', 0, 'NP')


class TestStateFile:
    @pytest.fixture
    def path(self, tmp_path: Path) -> str:
        return str(tmp_path / 'state.json')

    def test_stop_and_start_is_a_power_cycle(
            self, path: str, start_pty: StartSimulator, open_port: OpenPort) -> None:
        first = start_pty('--state', path)
        host = serial_host(open_port(first.link))
        for request in (b'<F1SCCP000123>', b'<F1SCNNNorth tube>', b'<F2SCDTSB>', b'<FHSCLB005>'):
            host.ask(request, b'SET\n')
        first.stop()
        second = start_pty('--state', path)
        assert serial_host(open_port(second.link)).position() == 123
        truth = second.control.get()
        assert (truth['1']['nickname'], truth['2']['type'], truth['led']) == ('North tube', 'SB', 5)

    @pytest.mark.parametrize('number', [signal.SIGKILL, signal.SIGTERM])
    def test_an_end_in_motion_leaves_the_position_before_it(
            self, number: signal.Signals, path: str, start_pty: StartSimulator, open_port: OpenPort) -> None:
        first = start_pty('--state', path)
        serial_host(open_port(first.link)).ask(b'<F1MA000000>', b'M\n')
        eventually(lambda: first.control.get('1.position') < 32767)
        first.process.send_signal(number)
        first.process.communicate(timeout=DEADLINE_S)
        truth = start_pty('--state', path).control.get('1')
        assert (truth['position'], truth['target'], truth['moving']) == (32767, 32767, False)

    def test_what_was_answered_is_in_the_file_whatever_happens_next(
            self, path: str, start_pty: StartSimulator, open_port: OpenPort) -> None:
        first = start_pty('--state', path)
        host = serial_host(open_port(first.link))
        for position in range(50):
            host.ask(b'<F1SCCP%06d>' % position, b'SET\n')
            assert json.loads(Path(path).read_text())['channels']['1']['position'] == position

    def test_a_completed_move_is_stored_without_a_request(
            self, path: str, start_pty: StartSimulator, open_port: OpenPort) -> None:
        first = start_pty('--state', path, '--speed', '100000')
        serial_host(open_port(first.link)).ask(b'<F1MA001000>', b'M\n')
        eventually(lambda: json.loads(Path(path).read_text())['channels']['1']['position'] == 1000)

    def test_a_homing_type_homes_at_the_start(self, path: str, start_pty: StartSimulator) -> None:
        start_pty('--state', path, '--type.1', 'OE').stop()
        truth = start_pty('--state', path).control.get('1')
        assert (truth['type'], truth['homing'], truth['homed']) == ('OE', True, False)

    def test_it_comes_before_options_that_say_otherwise(self, path: str, start_pty: StartSimulator) -> None:
        start_pty('--state', path, '--max-pos', '112000').stop()
        truth = start_pty('--state', path, '--max-pos', '5', '--speed', '7').control.get('1')
        assert (truth['max_pos'], truth['speed']) == (112000, 7.0)

    @pytest.mark.parametrize('content, message', [
        ('', 'not JSON'), ('{', 'not JSON'), ('[]', 'not a state file of the hub simulator'),
        ('{"hub": {}}', 'not a state file of the hub simulator'),
        ('{"format": "focuslynx hub state"}', 'the state must have the entries hub and channels'),
        ('{"format": "focuslynx hub state", "hub": {}, "channels": {}}', 'the state must have the channels 1 and 2'),
        ('\udcff', 'not JSON'),
    ])
    def test_a_damaged_one_is_refused_and_left_alone(
            self, path: str, content: str, message: str, tmp_path: Path) -> None:
        Path(path).write_bytes(content.encode('utf-8', 'surrogateescape'))
        code, output, errors = run('--link', str(tmp_path / 'hub'), '--state', path)
        assert (code, output) == (1, '')
        assert errors.startswith(f'error: {path}: {message}') and errors.count('\n') == 1
        assert Path(path).read_bytes() == content.encode('utf-8', 'surrogateescape')

    def test_a_hub_that_can_no_longer_store_says_so_once_and_runs_on(
            self, tmp_path: Path, start_pty: StartSimulator, open_port: OpenPort) -> None:
        (tmp_path / 'disk').mkdir()
        simulator = start_pty('--state', str(tmp_path / 'disk/state.json'))
        (tmp_path / 'disk/state.json').unlink()
        (tmp_path / 'disk').rmdir()
        host = serial_host(open_port(simulator.link))
        for _ in range(3):
            assert host.ask(b'<F1SCCP000005>', b'SET\n') == b'!\nSET\n'
        code, errors = simulator.stop()
        assert code == 0
        assert errors == (f'cannot store the state of the hub simulator: {tmp_path}/disk/state.json: '
                          'No such file or directory\n')

# SPDX-License-Identifier: GPL-3.0-or-later
"""What every command asks of the daemon, prints and exits with."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from warwick.observatory.focuslynx.client.main import COMMANDS
from warwick.observatory.focuslynx.constants import CommandStatus

if TYPE_CHECKING:
    from tests.client.conftest import Client, Daemon

MESSAGES = {
    0: '',
    1: 'error: command failed\n',
    2: 'error: another command is already running\n',
    3: 'error: command not accepted from this IP\n',
    4: 'error: invalid channel\n',
    5: 'error: channel disconnected or in error state\n',
    6: 'error: requested position outside channel range\n',
    7: 'error: focuser is not connected\n',
    8: 'error: focuser is already connected\n',
    9: 'error: unknown setting, or value that it cannot have\n',
    10: 'error: not supported by this focuser\n',
    11: 'error: not done without confirmation\n',
    12: 'error: Unknown error code 12\n',
}


def unreachable(port: int) -> tuple[int, str, str]:
    return (155, 'error: unable to communicate with focus daemon\n',
            f'error: no answer from focusd at 127.0.0.1:{port} (is focusd@test running?)\n')


# What a person types, and the call that follows
CALLS: dict[tuple[str, ...], list[Any]] = {
    ('set', '1', '500'): ['set_focus', 1, 500, False],
    ('offset', '2', '-200'): ['set_focus', 2, -200, True],
    ('center', '2'): ['center', 2],
    ('stop', '2'): ['stop_channel', 2],
    ('home', '1'): ['home', 1],
    ('configure', '2', 'led', '30'): ['configure', 2, 'led', 30, False],
    ('zero', '1'): ['reset_home_position', 1],
    ('init',): ['initialize'],
    ('kill',): ['shutdown'],
}


def result(completed: subprocess.CompletedProcess[str]) -> tuple[int, str, str]:
    return completed.returncode, completed.stdout, completed.stderr


@pytest.mark.parametrize('arguments', CALLS, ids=' '.join)
def test_a_command_calls_its_method_once_and_prints_nothing(
    client: Client, daemon: Daemon, arguments: tuple[str, ...]
) -> None:
    assert result(client.run(*arguments)) == (0, '', '')
    assert daemon.control.calls() == [CALLS[arguments]]


@pytest.mark.parametrize('status', MESSAGES)
@pytest.mark.parametrize('arguments', CALLS, ids=' '.join)
def test_the_exit_code_is_the_status_with_its_message_printed(
    client: Client, daemon: Daemon, arguments: tuple[str, ...], status: int
) -> None:
    daemon.control.answer(CALLS[arguments][0], status)
    completed = client.run(*arguments)
    assert (completed.returncode, completed.stdout) == (status, MESSAGES[status])
    assert all(line.startswith('error: ') for line in completed.stderr.splitlines())


def test_every_message_is_the_one_that_callers_of_the_package_get() -> None:
    assert {n: CommandStatus.message(n) for n in MESSAGES} == {n: text.strip() for n, text in MESSAGES.items()}
    assert CommandStatus.message(-100) == 'error: terminated by user'
    assert CommandStatus.message(-101) == 'error: unable to communicate with focus daemon'


def test_no_failure_looks_like_success_to_the_shell(client: Client, daemon: Daemon) -> None:
    daemon.control.answer('initialize', 256)
    assert result(client.run('init')) == (1, 'error: Unknown error code 256\n', '')


@pytest.mark.parametrize('written, steps', [('+150', 150), (' 160 ', 160), ('0170', 170), ('-0', 0), ('-5', -5),
                                            ('9' * 30, int('9' * 30))])
def test_integers_may_carry_a_sign_blanks_and_leading_zeros(
    client: Client, daemon: Daemon, written: str, steps: int
) -> None:
    assert result(client.run('set', ' +01', written)) == (0, '', '')
    assert daemon.control.calls() == [['set_focus', 1, steps, False]]


@pytest.mark.parametrize('command, synopsis, wrong', [
    *(('set', 'set (1|2) <step position>', ['1', text]) for text in
      ('1.5', '1e3', '0x10', '1_000', '', ' ', '+', '--5', '+-5', '5-', '1 0', '\u0661', '\u00b2', 'nan', '9' * 9999)),
    *(('set', 'set (1|2) <step position>', wrong) for wrong in ([], ['1'], ['1', '2', '3'], ['3', '1'], ['0', '1'],
                                                                ['one', '1'], ['-1', '1'], ['1.0', '1'])),
    *(('offset', 'offset (1|2) <step delta>', wrong) for wrong in ([], ['1'], ['1', 'x'], ['12', '1'])),
    *(('stop', 'stop (1|2)', wrong) for wrong in ([], ['3'], ['all'], ['1', '2'])),
    *((name, f'{name} (1|2)', wrong) for name in ('zero', 'home', 'center') for wrong in ([], ['0'], ['1', '0'])),
    *(('configure', 'configure (1|2) [<setting> <value>] [--yes]', wrong)
      for wrong in ([], ['3'], ['1', 'led'], ['1', 'led', '--yes'], ['1', 'nickname', 'North', 'tube'])),
    *(('info', 'info [--json]', wrong) for wrong in (['1'], ['--yes'])),
    *((name, name, ['1']) for name in ('status', 'json', 'watch', 'init', 'kill')),
])
def test_wrong_arguments_print_the_usage_of_the_command_and_exit_255(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: str, synopsis: str, wrong: list[str]
) -> None:
    from warwick.observatory.focuslynx.client.main import main
    monkeypatch.setenv('FOCUSD_CONFIG_PATH', '/nonexistent')
    assert main([command, *wrong], 'focus') == 255
    assert capsys.readouterr() == (f'usage: focus {synopsis}\n', '')


def test_usage_lines_name_the_program_as_it_was_called(client: Client, tmp_path: Path) -> None:
    called = tmp_path / 'refocus'
    called.symlink_to(client.command()[1])
    for arguments, first in ((['stop'], 'usage: refocus stop (1|2)'), ([], 'usage: refocus <command> [<arguments>]')):
        printed = subprocess.run([client.command()[0], called, *arguments], env=client.environment,
                                 stdout=subprocess.PIPE, encoding='utf-8').stdout
        assert printed.splitlines()[0] == first


@pytest.mark.parametrize('arguments', [(), ('help',), ('-h',), ('--help',)])
def test_help_lists_every_command_without_a_configuration(
    client: Client, arguments: tuple[str, ...]
) -> None:
    client.config.unlink()
    completed = client.run(*arguments)
    assert (completed.returncode, completed.stderr) == (0, '')
    usage, general, engineering = completed.stdout.split('\n\n')
    assert usage == 'usage: focus <command> [<arguments>]\n       focus <command> --help'
    for block, title, names in (
        (general, 'general commands:', ['set', 'offset', 'center', 'stop', 'status', 'json', 'info', 'watch']),
        (engineering, 'engineering commands:', ['zero', 'home', 'configure', 'init', 'kill']),
    ):
        lines = block.splitlines()
        assert lines[0] == title
        assert [line.split()[0] for line in lines[1:]] == names


def test_help_has_a_summary_for_each_command_and_fits_80_columns(client: Client) -> None:
    lines = client.run('help').stdout.splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert all(any(line.endswith('   ' + command.summary) for line in lines) for command in COMMANDS)


@pytest.mark.parametrize('unknown', ['sett', 'SET', '', '--version', 'a\nb', '\udcff'])
def test_an_unknown_command_is_named_above_the_usage(client: Client, unknown: str) -> None:
    client.config.unlink()
    completed = client.run(unknown)
    assert (completed.returncode, completed.stderr) == (255, '')
    first, second = completed.stdout.splitlines()[:2]
    assert first == f'error: unknown command {unknown!r}'
    assert second == 'usage: focus <command> [<arguments>]'


def test_json_is_the_whole_status_on_one_line(client: Client, daemon: Daemon, state: dict[str, Any]) -> None:
    state['nickname_1'] = 'Brennweite µ'
    daemon.control.answer('report_status', state)
    completed = client.run('json')
    assert (completed.returncode, completed.stderr) == (0, '')
    assert completed.stdout.count('\n') == 1
    assert {**json.loads(completed.stdout), 'date': 'now'} == state


@pytest.mark.parametrize('arguments, method', [
    (('status',), 'report_status'), (('json',), 'report_status'), (('set', '1', '5'), 'set_focus'),
    (('offset', '1', '5'), 'set_focus'), (('stop', '1'), 'stop_channel'), (('zero', '1'), 'reset_home_position'),
    (('init',), 'initialize'), (('kill',), 'shutdown'), (('info',), 'hub_info'), (('info', '--json'), 'hub_info'),
    (('configure', '1'), 'hub_info'), (('configure', '1', 'led', '5'), 'configure'), (('home', '1'), 'home'),
])
@pytest.mark.parametrize('script', [('die', None), ('raise', 'ValueError'), ('raise', 'SystemExit'),
                                    ('raise', 'ImportError'), ('return', None), ('return', [])], ids=str)
def test_an_unusable_answer_is_reported_as_no_answer(
    client: Client, daemon: Daemon, arguments: tuple[str, ...], method: str, script: tuple[str, Any]
) -> None:
    daemon.control.act(method, *script)
    assert result(client.run(*arguments)) == unreachable(daemon.port)


ALL: list[tuple[str, ...]] = [('status',), ('json',), ('info',), ('configure', '1'), *CALLS]


@pytest.mark.parametrize('arguments', ALL, ids=' '.join)
def test_a_refused_connection_is_reported_as_no_answer(
    client_at: Callable[..., Client], arguments: tuple[str, ...]
) -> None:
    with socket.socket() as unused:
        unused.bind(('127.0.0.1', 0))  # and no program listens
        port = unused.getsockname()[1]
        assert result(client_at(port).run(*arguments)) == unreachable(port)


@pytest.mark.parametrize('arguments', ALL, ids=' '.join)
def test_a_daemon_that_accepts_and_says_nothing_is_given_up(
    client_at: Callable[..., Client], arguments: tuple[str, ...]
) -> None:
    with socket.create_server(('127.0.0.1', 0)) as silent:
        port = silent.getsockname()[1]
        assert result(client_at(port, timeout=0.3).run(*arguments)) == unreachable(port)


@pytest.mark.parametrize('arguments', ALL, ids=' '.join)
def test_another_server_at_the_port_is_reported_as_no_answer(
    client_at: Callable[..., Client], arguments: tuple[str, ...]
) -> None:
    def answer() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                connection.recv(1000)
                connection.sendall(b'HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n' + b'x' * 100)

    with socket.create_server(('127.0.0.1', 0)) as server:
        thread = threading.Thread(target=answer)
        thread.start()
        try:
            port = server.getsockname()[1]
            assert result(client_at(port).run(*arguments)) == unreachable(port)
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


def test_a_command_that_is_no_move_has_the_timeout_of_the_entry(
    daemon: Daemon, client_at: Callable[..., Client]
) -> None:
    daemon.control.act('stop_channel', 'hold')
    assert result(client_at(daemon.port, timeout=0.3).run('stop', '1')) == unreachable(daemon.port)


@pytest.mark.parametrize('arguments, method', [(('status',), 'report_status'), (('zero', '1'), 'reset_home_position'),
                                               (('init',), 'initialize'), (('info',), 'hub_info'),
                                               (('configure', '1', 'led', '5'), 'configure')])
def test_ctrl_c_outside_of_a_move_ends_the_client_alone(
    client: Client, daemon: Daemon, arguments: tuple[str, ...], method: str
) -> None:
    daemon.control.act(method, 'hold')
    waiting = client.start(*arguments)
    assert daemon.control.wait_for_call(method, 1)
    waiting.send_signal(signal.SIGINT)
    assert waiting.communicate(timeout=20) == ('error: terminated by user\n', '')
    assert waiting.returncode == 156
    assert [call[0] for call in daemon.control.calls()] == [method]

# SPDX-License-Identifier: GPL-3.0-or-later
"""Moves: Ctrl-C at any moment, and a daemon that vanishes."""

from __future__ import annotations

import selectors
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pexpect
import pytest

if TYPE_CHECKING:
    from tests.client.conftest import Client, Daemon

STOPPED_LINE = {1: 'error: command failed\n', 3: 'error: command not accepted from this IP\n',
                5: 'error: channel disconnected or in error state\n'}
UNREACHABLE_LINE = 'error: unable to communicate with focus daemon\n'


class Gate:
    """A TCP relay before the daemon that holds back what the first connection has to say.

    `messages` of the client pass before it holds; the connections that follow pass freely. `holding` is set once
    something is held, and `open()` lets it go.
    """

    def __init__(self, port: int, messages: int) -> None:
        self._port = port
        self._messages = messages
        self._opened = threading.Event()
        self.holding = threading.Event()
        self._server = socket.create_server(('127.0.0.1', 0))
        self.port = self._server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def open(self) -> None:
        self._opened.set()

    def close(self) -> None:
        self.open()
        self._server.shutdown(socket.SHUT_RDWR)  # which wakes the thread that accepts
        self._server.close()

    def _accept(self) -> None:
        first = True
        while True:
            try:
                near, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._relay, args=(near, first), daemon=True).start()
            first = False

    def _relay(self, near: socket.socket, held: bool) -> None:
        passed = 0
        with near, socket.create_connection(('127.0.0.1', self._port)) as far, selectors.DefaultSelector() as selector:
            selector.register(near, selectors.EVENT_READ, far)
            selector.register(far, selectors.EVENT_READ, near)
            while True:
                for key, _ in selector.select():
                    source = near if key.data is far else far
                    data = source.recv(65536)
                    if not data:
                        return
                    if held and source is near:
                        if passed == self._messages:
                            self.holding.set()
                            self._opened.wait()
                        passed += 1
                    key.data.sendall(data)


@pytest.fixture
def gate(daemon: Daemon, request: pytest.FixtureRequest) -> Iterator[Gate]:
    relay = Gate(daemon.port, request.param)
    yield relay
    relay.close()


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    output, complaint = process.communicate(timeout=30)
    return process.returncode, output, complaint


@pytest.mark.parametrize('arguments, call', [(('set', '1', '500'), ['set_focus', 1, 500, False]),
                                             (('offset', '2', '-20'), ['set_focus', 2, -20, True]),
                                             (('center', '1'), ['center', 1]), (('home', '2'), ['home', 2])])
def test_ctrl_c_in_a_move_stops_it_and_exits_as_the_stop(
    client: Client, daemon: Daemon, arguments: tuple[str, ...], call: list[Any]
) -> None:
    daemon.control.act(call[0], 'hold')
    moving = client.start(*arguments)
    assert daemon.control.wait_for_call(call[0], 1)
    moving.send_signal(signal.SIGINT)
    assert finish(moving) == (0, '', '')
    assert daemon.control.calls() == [call, ['stop_channel', call[1]]]


@pytest.mark.parametrize('status', STOPPED_LINE)
def test_a_stop_that_fails_says_so(client: Client, daemon: Daemon, status: int) -> None:
    daemon.control.act('set_focus', 'hold')
    daemon.control.answer('stop_channel', status)
    moving = client.start('set', '1', '500')
    assert daemon.control.wait_for_call('set_focus', 1)
    moving.send_signal(signal.SIGINT)
    assert finish(moving)[:2] == (status, STOPPED_LINE[status])


def test_a_stop_that_gets_no_answer_says_so(client: Client, daemon: Daemon) -> None:
    daemon.control.act('set_focus', 'hold')
    daemon.control.act('stop_channel', 'raise', 'ValueError')
    moving = client.start('set', '1', '500')
    assert daemon.control.wait_for_call('set_focus', 1)
    moving.send_signal(signal.SIGINT)
    assert finish(moving)[:2] == (155, UNREACHABLE_LINE)


def test_a_second_ctrl_c_gives_up_at_once(client: Client, daemon: Daemon) -> None:
    daemon.control.act('set_focus', 'hold')
    daemon.control.act('stop_channel', 'hold')
    moving = client.start('set', '1', '500')
    assert daemon.control.wait_for_call('set_focus', 1)
    moving.send_signal(signal.SIGINT)
    assert daemon.control.wait_for_call('stop_channel', 1)
    moving.send_signal(signal.SIGINT)
    assert finish(moving) == (156, 'error: terminated by user\n', '')


@pytest.mark.parametrize('gate', [0], indirect=True)
def test_ctrl_c_before_the_move_is_sent_lets_no_move_begin(
    daemon: Daemon, gate: Gate, client_at: Callable[..., Client]
) -> None:
    moving = client_at(gate.port).start('set', '1', '500')
    assert gate.holding.wait(20)
    moving.send_signal(signal.SIGINT)
    assert daemon.control.wait_for_call('stop_channel', 1)
    gate.open()
    assert finish(moving) == (0, '', '')
    assert {call[0] for call in daemon.control.calls()} == {'stop_channel'}


@pytest.mark.parametrize('gate', [1], indirect=True)
def test_a_stop_that_overtakes_the_move_is_sent_again(
    daemon: Daemon, gate: Gate, client_at: Callable[..., Client]
) -> None:
    daemon.control.act('set_focus', 'hold')
    moving = client_at(gate.port).start('set', '1', '500')
    assert gate.holding.wait(20)
    moving.send_signal(signal.SIGINT)
    assert daemon.control.wait_for_call('stop_channel', 1)
    gate.open()
    assert finish(moving) == (0, '', '')
    calls = daemon.control.calls()
    assert calls[0] == calls[-1] == ['stop_channel', 1]
    assert ['set_focus', 1, 500, False] in calls


def test_a_background_job_that_ignores_ctrl_c_goes_on_ignoring_it(client: Client, daemon: Daemon) -> None:
    daemon.control.act('set_focus', 'hold')
    deaf = 'import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])'
    moving = subprocess.Popen([sys.executable, '-c', deaf, *client.command('set', '1', '500')], env=client.environment,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding='utf-8')
    assert daemon.control.wait_for_call('set_focus', 1)
    moving.send_signal(signal.SIGINT)
    daemon.control.release('set_focus', 0)
    assert finish(moving) == (0, '', '')
    assert [call[0] for call in daemon.control.calls()] == ['set_focus']


def test_a_move_may_take_longer_than_the_timeout_of_the_entry(daemon: Daemon, client_at: Callable[..., Client]) -> None:
    daemon.control.act('set_focus', 'hold')
    terminal = client_at(daemon.port, timeout=0.2).terminal('set', '1', '500')
    assert daemon.control.wait_for_call('report_status', 4)  # a quarter of a second apart
    daemon.control.release('set_focus', 6)
    terminal.expect_exact('error: requested position outside channel range')
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 6


def impatient(client: Client, *arguments: str) -> list[str]:
    """The command line of a client that asks for the status ten times per second, and gives up after half a second."""
    python, script = client.command()
    client.environment['PYTHONPATH'] += ':' + str(Path(script).parent)
    code = ('import sys; from warwick.observatory.focuslynx.client import main, move; move.LOST_AFTER_S = 0.5; '
            'move.QUIET_INTERVAL_S = 0.1; sys.exit(main.main(sys.argv[1:], "focus"))')
    return [python, '-c', code, *arguments]


def test_a_daemon_that_fails_to_report_has_not_vanished(client: Client, daemon: Daemon) -> None:
    daemon.control.act('set_focus', 'hold')
    daemon.control.act('report_status', 'raise', 'ValueError')
    moving = subprocess.Popen(impatient(client, 'set', '1', '500'), env=client.environment, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, encoding='utf-8')
    assert daemon.control.wait_for_call('report_status', 10)
    daemon.control.release('set_focus', 0)
    assert finish(moving) == (0, '', '')


@pytest.mark.parametrize('live', [False, True])
def test_a_daemon_that_vanishes_in_a_move_is_given_up(
    daemon: Daemon, client_at: Callable[..., Client], live: bool
) -> None:
    client = client_at(daemon.port, timeout=0.3)
    command = impatient(client, 'set', '1', '500')
    daemon.control.act('set_focus', 'hold')
    if live:
        terminal = pexpect.spawn(command[0], command[1:], env=client.environment, encoding='utf-8', timeout=20)
        assert daemon.control.wait_for_call('report_status', 2)
        daemon.freeze()
        terminal.expect_exact('error: unable to communicate with focus daemon')
        terminal.expect(pexpect.EOF)
        terminal.close()
        assert terminal.exitstatus == 155
    else:
        moving = subprocess.Popen(command, env=client.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  encoding='utf-8')
        assert daemon.control.wait_for_call('report_status', 2)
        daemon.freeze()
        assert finish(moving)[:2] == (155, UNREACHABLE_LINE)

# SPDX-License-Identifier: GPL-3.0-or-later
"""The Pyro object from outside: results, permissions, bad arguments, the status dictionary."""

from __future__ import annotations

import calendar
import re
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import Pyro4
import pytest

from tests.core.world import SETTINGS
from tests.daemon.attackers import Raw
from tests.daemon.harness import OBJECT_ID, Daemon
from tests.simulator.harness import Simulator, eventually
from warwick.observatory.focuslynx.core import Command, Outcome, Snapshot
from warwick.observatory.focuslynx.daemon.pyro_object import FocuserDaemon

(SUCCEEDED, FAILED, BLOCKED, INVALID_IP, INVALID_CHANNEL,
 NOT_AVAILABLE, OUTSIDE, NOT_CONNECTED, NOT_DISCONNECTED) = range(9)
DISABLED, DISCONNECTED, ERROR, INITIALIZING, IDLE, MOVING = range(6)

KEYS = {'status': int, 'status_label': str, 'temperature': float, 'current_steps': int, 'target_steps': int,
        'requested_steps': int, 'min_steps': int, 'max_steps': int, 'nickname': str, 'device_type': str, 'error': str,
        'failure': str, 'homed': bool, 'compensating': bool, 'age': float, 'stalled': bool}
USUALLY_NONE = ('error', 'failure', 'homed')


def test_a_life_from_connecting_to_disconnecting(start: Callable[..., Daemon]) -> None:
    daemon = start()
    assert daemon.call('shutdown') == NOT_CONNECTED
    assert daemon.call('initialize') == SUCCEEDED
    assert daemon.call('initialize') == NOT_DISCONNECTED
    assert daemon.call('set_focus', 1, 500) == SUCCEEDED
    assert daemon.steps(1) == 500, 'the very next report shows the position'
    assert daemon.call('set_focus', 1, -200, True) == SUCCEEDED
    assert daemon.steps(1) == 300
    assert daemon.call('set_focus', 1, 100, offset=True) == SUCCEEDED
    assert daemon.steps(1) == 400
    assert daemon.call('set_focus', 1, 400) == SUCCEEDED
    assert daemon.call('reset_home_position', 1) == SUCCEEDED
    assert daemon.steps(1) == 0
    assert daemon.call('stop_channel', 2) == SUCCEEDED
    assert daemon.call('shutdown') == SUCCEEDED
    assert daemon.call('shutdown') == NOT_CONNECTED
    assert daemon.state(1) == DISABLED


def test_the_status_has_every_key_and_only_json_types(daemon: Daemon) -> None:
    status = daemon.status()
    assert set(status) == {'date', 'software_version', 'started'} | {f'{key}_{n}' for key in KEYS for n in (1, 2)}
    for key in ('date', 'started'):
        assert re.fullmatch(r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ', status[key])
    for key, kind in KEYS.items():
        for n in (1, 2):
            value = status[f'{key}_{n}']
            assert value is None if key in USUALLY_NONE else type(value) is kind, key
    assert (status['status_label_1'], status['nickname_1'], status['device_type_1']) == ('IDLE', 'FocusLynx Foc1', 'FA')
    assert (status['min_steps_1'], status['max_steps_1']) == (-50000, 50000)


def test_below_idle_every_number_is_none_and_the_reason_is_given(start: Callable[..., Daemon]) -> None:
    status = start().status()
    assert (status['status_1'], status['status_label_1']) == (DISABLED, 'OFFLINE')
    for key in ('temperature', 'current_steps', 'target_steps', 'requested_steps', 'min_steps', 'max_steps'):
        assert status[f'{key}_1'] is None
    assert 'not connected' in status['error_1']


def test_channels_move_in_parallel_and_block_only_themselves(daemon: Daemon) -> None:
    first, second = daemon.begin('set_focus', 1, 8000), daemon.begin('set_focus', 2, -8000)
    eventually(lambda: daemon.state(1) == daemon.state(2) == MOVING)
    assert daemon.call('set_focus', 1, 0) == BLOCKED
    assert daemon.call('reset_home_position', 2) == BLOCKED
    assert daemon.call('initialize') == BLOCKED
    assert daemon.call('shutdown') == BLOCKED
    assert (first.wait(), second.wait()) == (SUCCEEDED, SUCCEEDED)
    assert (daemon.steps(1), daemon.steps(2)) == (8000, -8000)


def test_a_channel_is_free_as_soon_as_the_stop_returns(daemon: Daemon) -> None:
    for _ in range(10):
        move = daemon.begin('set_focus', 1, 40000)
        eventually(lambda: daemon.state(1) == MOVING)
        assert daemon.call('stop_channel', 1) == SUCCEEDED
        assert daemon.call('set_focus', 1, 0) == SUCCEEDED
        assert move.wait() == FAILED


def test_the_date_is_that_of_the_report_and_not_of_the_question(start: Callable[..., Daemon]) -> None:
    daemon = start(idle_loop_delay=60)
    daemon.call('initialize')
    first = daemon.status()['date']
    time.sleep(2.1)   # a later second has begun
    assert daemon.status()['date'] == first


def test_the_age_of_a_report_grows_with_every_question(start: Callable[..., Daemon]) -> None:
    daemon = start(idle_loop_delay=60)
    assert (daemon.status()['age_1'], daemon.status()['age_2']) == (None, None)
    daemon.call('initialize')
    begin = time.monotonic()
    first = daemon.status()['age_1']
    second = daemon.status()['age_1']
    assert 0 < first < second < first + (time.monotonic() - begin)


def test_date_and_age_stand_by_the_last_report_while_the_hub_is_silent(
        simulate: Callable[..., Simulator], start: Callable[..., Daemon], tmp_path: Path) -> None:
    link = str(tmp_path / 'focuser')
    simulator = simulate('--link', link, '--channels', '1,2')
    daemon = start(serial_port=link, serial_timeout=0.3, idle_loop_delay=0.5)
    daemon.call('initialize')
    muted_at = time.time()
    simulator.control('mute')
    eventually(lambda: 'no connection to the hub' in daemon.log)
    eventually(lambda: time.time() - muted_at > 4)
    status = daemon.status()
    assert (status['status_1'], status['status_2']) == (ERROR, ERROR)
    assert status['age_1'] > 3
    assert calendar.timegm(time.strptime(status['date'], '%Y-%m-%dT%H:%M:%SZ')) <= muted_at
    simulator.control('unmute')
    eventually(lambda: daemon.state(1) == IDLE)
    assert daemon.status()['age_1'] < 2
    assert daemon.call('shutdown') == SUCCEEDED
    assert daemon.status()['age_1'] is None


def test_the_start_of_the_daemon_is_told(start: Callable[..., Daemon]) -> None:
    before = time.time() - 1
    first = start().status()['started']
    assert before <= calendar.timegm(time.strptime(first, '%Y-%m-%dT%H:%M:%SZ')) <= time.time()


REFUSALS: list[tuple[str, tuple[Any, ...], int, str]] = [
    ('set_focus', (1, 1.5), 1, 'move refused: steps: 1.5: must be a whole number'),
    ('set_focus', (1, 'abc', True), 1, "move refused: steps: 'abc': must be a whole number"),
    ('set_focus', (1, 5, 'yes'), 1, "move refused: offset: 'yes': must be True or False"),
    ('set_focus', (1,), 1, "move refused: wrong arguments: missing a required argument: 'steps'"),
    ('center', (1, 2), 1, 'move refused: wrong arguments: too many positional arguments'),
    ('reset_home_position', (1, 2), 1, 'zero refused: wrong arguments: too many positional arguments'),
    ('home', (1, 2), 1, 'homing refused: wrong arguments: too many positional arguments'),
    ('configure', (1, 'led', 300), 9,
     'change of a setting refused: led: \'300\': must be a whole number from 0 to 100 percent'),
    ('configure', (1, 'max_position', 60000), 11,
     'change of a setting refused: max_position is changed only with confirmation'),
]


@pytest.mark.parametrize(('method', 'arguments', 'result', 'reason'), REFUSALS)
def test_a_refusal_leaves_its_reason_until_a_command_succeeds(daemon: Daemon, method: str, arguments: tuple[Any, ...],
                                                              result: int, reason: str) -> None:
    assert daemon.call(method, *arguments) == result
    status = daemon.status()
    assert (status['failure_1'], status['failure_2']) == (reason, None)
    assert daemon.call('stop_channel', 1) == SUCCEEDED
    assert daemon.call('stop_channel', 1, 2) == FAILED
    assert daemon.status()['failure_1'] == reason, 'a stop leaves it'
    assert daemon.call('set_focus', 1, 0) == SUCCEEDED
    assert daemon.status()['failure_1'] is None


def test_a_blocked_command_leaves_its_reason(daemon: Daemon) -> None:
    move = daemon.begin('set_focus', 1, 40000)
    eventually(lambda: daemon.state(1) == MOVING)
    for method, arguments, title in (('set_focus', (1, 0), 'move'), ('reset_home_position', (1,), 'zero'),
                                     ('configure', (1, 'led', 5), 'change of a setting')):
        assert daemon.call(method, *arguments) == BLOCKED
        assert daemon.status()['failure_1'] == f'{title} refused: another command is already running'
    assert daemon.call('stop_channel', 1) == SUCCEEDED
    assert move.wait() == FAILED
    assert 'stopped at' in daemon.status()['failure_1']


def test_a_reason_quotes_no_more_than_a_line_of_what_was_sent(daemon: Daemon) -> None:
    for steps in ('x' * 3000, 'two\nlines\x1b[2J', '\ud800', ['[' * 1000]):
        assert daemon.call('set_focus', 1, steps) == FAILED
        reason = daemon.status()['failure_1']
        assert len(reason) < 320
        assert reason.isprintable()


@pytest.mark.parametrize('channel', [0, 3, -1, '1', 1.0, True, None, [1], 2**70])
def test_what_is_not_1_or_2_is_an_invalid_channel(daemon: Daemon, channel: Any) -> None:
    assert daemon.call('set_focus', channel, 100) == INVALID_CHANNEL
    assert daemon.call('stop_channel', channel) == INVALID_CHANNEL
    assert daemon.call('reset_home_position', channel) == INVALID_CHANNEL


@pytest.mark.parametrize(('steps', 'result'), [
    ('abc', FAILED), ('100', FAILED), (None, FAILED), (3.7, FAILED), (True, FAILED), (float('nan'), FAILED),
    (float('inf'), FAILED), ([100], FAILED), ({}, FAILED),
    (2**70, OUTSIDE), (-2**70, OUTSIDE), (50001, OUTSIDE), (-50001, OUTSIDE), (1e300, OUTSIDE),
])
def test_steps_that_are_no_whole_number_or_too_large_never_move(daemon: Daemon, steps: Any, result: int) -> None:
    for offset in (False, True):
        assert daemon.call('set_focus', 1, steps, offset) == result
    assert (daemon.state(1), daemon.steps(1)) == (IDLE, 0)


@pytest.mark.parametrize(('method', 'arguments', 'result'), [
    ('set_focus', (), INVALID_CHANNEL), ('set_focus', (1,), FAILED), ('set_focus', (1, 2, False, 4), FAILED),
    ('set_focus', (1, 2, 'yes'), FAILED), ('stop_channel', (), INVALID_CHANNEL), ('stop_channel', (1, 2), FAILED),
    ('reset_home_position', (1, 2), FAILED), ('initialize', (1,), FAILED), ('shutdown', (1, 2, 3), FAILED),
])
def test_too_many_or_too_few_arguments_never_raise(daemon: Daemon, method: str, arguments: tuple[Any, ...],
                                                   result: int) -> None:
    assert daemon.call(method, *arguments) == result
    assert (daemon.state(1), daemon.steps(1)) == (IDLE, 0)


def test_unknown_keywords_never_raise(daemon: Daemon) -> None:
    assert daemon.call('set_focus', 1, 100, speed=3) == FAILED
    with daemon.proxy() as proxy:
        assert proxy._pyroInvoke('set_focus', (1, 0), {'self': 1}) == FAILED
        assert proxy._pyroInvoke('report_status', (), {'self': 1})['status_1'] == IDLE
    assert daemon.call('report_status', 1, verbose=True)['status_1'] == IDLE
    assert daemon.call('set_focus', channel=2, steps=50) == SUCCEEDED


def test_control_is_refused_to_others_and_a_query_is_not(start: Callable[..., Daemon]) -> None:
    daemon = start(control_machines=['Elsewhere'], connect_on_start=True)
    eventually(lambda: daemon.state(1) == IDLE)
    for method, arguments in (('set_focus', (1, 100)), ('set_focus', (7, 'x')), ('reset_home_position', (1,)),
                              ('stop_channel', (1,)), ('initialize', ()), ('shutdown', ()), ('shutdown', (1, 2)),
                              ('home', (1,)), ('center', (1,)), ('configure', (1, 'led', 5))):
        assert daemon.call(method, *arguments) == INVALID_IP
    assert (daemon.state(1), daemon.steps(1), daemon.status()['failure_1']) == (IDLE, 0, None)


def test_denied_control_is_logged_once_for_each_address(start: Callable[..., Daemon]) -> None:
    daemon = start(control_machines=['Elsewhere'])
    addresses = [f'127.0.0.{n}' for n in range(1, 4)]
    for address in addresses * 3:
        with Raw(daemon, address) as raw:
            assert raw.introduce().ask('set_focus', 1, 100).value == INVALID_IP
    eventually(lambda: f'{addresses[-1]}: refused' in daemon.log)
    for address in addresses:
        assert daemon.log.count(
            f'{address}: refused: set_focus, because this address is not one of the control_machines') == 1


def test_commands_without_a_connection_say_so(start: Callable[..., Daemon]) -> None:
    daemon = start()
    for method, arguments in (('set_focus', (1, 100)), ('reset_home_position', (2,)), ('stop_channel', (1,))):
        assert daemon.call(method, *arguments) == NOT_AVAILABLE


def test_nothing_but_the_ten_methods_is_exposed(daemon: Daemon) -> None:
    with daemon.proxy() as proxy:
        proxy._pyroBind()
        assert proxy._pyroMethods == {
            'report_status', 'set_focus', 'reset_home_position', 'stop_channel', 'initialize', 'shutdown',
            'hub_info', 'home', 'center', 'configure'}
        assert not proxy._pyroAttrs
    with Pyro4.Proxy(f'PYRO:Pyro.Daemon@127.0.0.1:{daemon.port}') as pyro:
        assert [name for name in pyro.registered() if name != 'Pyro.Daemon'] == [OBJECT_ID]


def test_a_command_that_cannot_be_handed_over_leaves_no_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    class Hub:
        def __init__(self) -> None:
            self.commands: list[Command] = []

        def submit(self, command: Command) -> Future[Outcome]:
            self.commands.append(command)
            if len(self.commands) == 1:
                raise RuntimeError('no memory for it')
            future: Future[Outcome] = Future()
            future.set_result(Outcome.DONE)
            return future

        def snapshot(self) -> Snapshot:
            raise AssertionError

    hub = Hub()
    monkeypatch.setattr(Pyro4.current_context, 'client_sock_addr', ('127.0.0.1', 1))
    focusers = FocuserDaemon(hub, ['127.0.0.1'], SETTINGS)
    assert focusers.set_focus(1, 5) == FAILED
    assert focusers.set_focus(1, 5) == SUCCEEDED
    assert focusers.initialize() == SUCCEEDED

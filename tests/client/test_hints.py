# SPDX-License-Identifier: GPL-3.0-or-later
"""What follows the message of a failure: what was wrong in particular, and what to do."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from warwick.observatory.focuslynx.core import availability
from warwick.observatory.focuslynx.core.reports import ConfigReport

if TYPE_CHECKING:
    from tests.client.conftest import Client, Daemon

MOVING = {'status_2': 5, 'current_steps_2': 822, 'target_steps_2': 2000, 'temperature_2': 21.7}
UNHOMED = {'status_1': 2, 'error_1': availability.UNHOMED}
COMPENSATING = ConfigReport('', 'FA', 65535, compensating=True, compensates_at_start=True, backlash=True)
HINTS: list[tuple[tuple[str, ...], int, dict[str, Any], str]] = [
    (('set', '1', '9'), 1, {}, 'channel 1 is at +500 steps; the log says why: journalctl -u focusd@test'),
    (('set', '1', '9'), 1, {'status_1': 2, 'error_1': 'the hub is silent'},
     'channel 1: ERROR (the hub is silent); the log says why: journalctl -u focusd@test'),
    (('set', '1', '9'), 1, {'failure_1': 'move to +9 steps stopped at +5 steps', 'failure_2': 'another'},
     'move to +9 steps stopped at +5 steps; channel 1 is at +500 steps'),
    (('configure', '1', 'led', '9'), 1, {'failure_1': 'led = 9 failed:\x1b[2J the hub refused it'},
     'led = 9 failed:?[2J the hub refused it; channel 1 is at +500 steps'),
    (('stop', '1'), 1, {'failure_1': 'of a move long ago'},
     'channel 1 is at +500 steps; the log says why: journalctl -u focusd@test'),
    (('home', '1'), 1, {**UNHOMED, 'failure_1': 'homing failed: no switch'},
     f'homing failed: no switch; channel 1: ERROR ({UNHOMED["error_1"]}); to home it: focus home 1'),
    (('init',), 1, {'status_1': 2, 'error_1': 'no such port', 'status_2': 2, 'error_2': 'no such port'},
     'channel 1: ERROR (no such port); channel 2: ERROR (no such port); the log says why: journalctl -u focusd@test'),
    (('set', '2', '9'), 2, MOVING, 'channel 2 is at +822 steps, moving to +2000; to stop it: focus stop 2'),
    (('kill',), 2, MOVING, 'channel 2 is at +822 steps, moving to +2000; to stop it: focus stop 2'),
    (('zero', '1'), 2, {}, 'another client has not finished yet: try again later'),
    (('stop', '1'), 3, {},
     'only the control_machines of the daemon may do this, in test.json of this machine: LocalHost; '
     'this machine calls from 127.0.0.1'),
    (('set', '2', '9'), 5, {'error_2': 'no focuser is plugged in (no probe)'},
     'channel 2: DISCONNECTED (no focuser is plugged in: no probe)'),
    (('set', '1', '9'), 5, {'status_1': 0, 'error_1': 'not connected'},
     'channel 1: OFFLINE (not connected); to connect the daemon to the hub: focus init'),
    (('set', '1', '9'), 5, UNHOMED, f'channel 1: ERROR ({UNHOMED["error_1"]}); to home it: focus home 1'),
    (('set', '1', '9'), 5, {'status_1': 2, 'error_1': COMPENSATING.self_moving_settings[0]},
     'channel 1: ERROR (temperature compensation is on: TComp ON = 1); to switch it off: '
     'focus configure 1 temperature_compensation off'),
    (('init',), 1, {'status_1': 2, 'error_1': '; '.join(COMPENSATING.self_moving_settings)},
     'channel 1: ERROR (temperature compensation is on: TComp ON = 1; temperature compensation at power-up is on: '
     'TC@Start = 1; backlash compensation is on: BLC En = 1); channel 2: DISCONNECTED; to switch it off: '
     'focus configure 1 temperature_compensation off, focus configure 1 compensation_at_start off, '
     'focus configure 1 backlash off; the log says why: journalctl -u focusd@test'),
    (('zero', '1'), 10, {'failure_1': 'zero refused: the focuser (OA) has a home switch: use home'},
     'zero refused: the focuser (OA) has a home switch: use home'),
    (('home', '2'), 10, {'failure_2': 'homing refused: use zero'}, 'homing refused: use zero'),
    (('configure', '1', 'led', '9'), 9, {},
     'the daemon knows other settings than this client: update the older of the two'),
    (('configure', '1', 'led', '9'), 11, {}, 'the daemon requires a confirmation: add --yes'),
    (('set', '1', '9999'), 6, {'min_steps_1': -5000, 'max_steps_1': 5000}, 'channel 1 accepts -5000 to +5000 steps'),
    (('offset', '1', '9999'), 6, {'min_steps_1': -5000, 'max_steps_1': 5000},
     'channel 1 accepts -5000 to +5000 steps, and an offset counts from +500'),
    (('kill',), 7, {}, 'to connect the daemon to the hub: focus init'),
    (('init',), 8, {}, 'to connect again, disconnect first: focus kill'),
]
METHODS = {'set': 'set_focus', 'offset': 'set_focus', 'stop': 'stop_channel', 'zero': 'reset_home_position',
           'init': 'initialize', 'kill': 'shutdown', 'home': 'home', 'configure': 'configure'}


@pytest.mark.parametrize('arguments, status, changes, text', HINTS)
def test_a_failure_says_what_was_wrong_and_what_to_do(
    client: Client, daemon: Daemon, state: dict[str, Any], arguments: tuple[str, ...], status: int,
    changes: dict[str, Any], text: str
) -> None:
    daemon.control.answer(METHODS[arguments[0]], status)
    daemon.control.answer('report_status', {**state, **changes})
    completed = client.run(*arguments)
    assert (completed.returncode, completed.stderr) == (status, f'error: {text}\n')
    assert sum(call[0] == 'report_status' for call in daemon.control.calls()) <= 1


@pytest.mark.parametrize('status', [4, 6, 10, 12])
def test_where_there_is_nothing_to_add_nothing_is_added(client: Client, daemon: Daemon, status: int) -> None:
    daemon.control.answer('set_focus', status)  # and an older daemon does not tell its range
    completed = client.run('set', '1', '9')
    assert (completed.returncode, completed.stderr) == (status, '')


def test_control_machines_that_cannot_be_read_any_more_are_left_out(client: Client, daemon: Daemon) -> None:
    from warwick.observatory.focuslynx.client.api import Focusd
    from warwick.observatory.focuslynx.client.hints import hint
    entry = SimpleNamespace(host='127.0.0.1', port=daemon.port)
    assert hint('focus', 'stop', Focusd(entry, '/nonexistent.json'), 3, 1) == (
        'error: only the control_machines of the daemon may do this; this machine calls from 127.0.0.1')


@pytest.mark.parametrize('status', [1, 2, 5, 6])
def test_a_daemon_that_falls_silent_after_a_failure_is_not_waited_for(
    daemon: Daemon, client_at: Callable[..., Client], status: int
) -> None:
    daemon.control.answer('stop_channel', status)
    daemon.control.act('report_status', 'hold')
    # an entry without any timeout
    completed = client_at(daemon.port, timeout=0).run('stop', '1')
    assert completed.returncode == status
    daemon.control.release('report_status', {})


def test_the_service_is_named_after_the_configuration(client: Client) -> None:
    with socket.socket() as unused:
        unused.bind(('127.0.0.1', 0))
        port = unused.getsockname()[1]
        site = client.environment['OBSERVATORY_SITE']
        with open(site, 'w') as file:
            json.dump({'daemons': {'scripted': {'name': 'x', 'machine': 'LocalHost', 'port': port}}}, file)
        renamed = client.config.rename(client.config.with_name('clasp.json'))
        completed = client.run('status', FOCUSD_CONFIG_PATH=str(renamed))
    assert (completed.returncode, completed.stdout) == (155, 'error: unable to communicate with focus daemon\n')
    assert completed.stderr == f'error: no answer from focusd at 127.0.0.1:{port} (is focusd@clasp running?)\n'

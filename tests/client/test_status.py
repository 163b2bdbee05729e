# SPDX-License-Identifier: GPL-3.0-or-later
"""The lines of `focus status`, byte for byte."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

import pexpect
import pytest

if TYPE_CHECKING:
    from tests.client.conftest import Client, Daemon

PLAIN = 'Data received DATE:\nChannel 1:    +500 steps, 21.7°C\nChannel 2: DISCONNECTED\n'


def undated(text: str) -> str:
    return re.sub(r'\d{4}-\d\d-\d\d \d\d:\d\d:\d\d', 'DATE', text)


def shown(client: Client, **environment: str) -> str:
    completed = client.run('status', **environment)
    assert (completed.returncode, completed.stderr) == (0, '')
    return undated(completed.stdout)


def on_terminal(client: Client, **environment: str) -> str:
    terminal = client.terminal('status', environment=environment)
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0
    return undated(terminal.before.replace('\r\n', '\n'))


def test_the_status_of_an_older_daemon_reads_as_it_always_did(client: Client) -> None:
    assert shown(client) == PLAIN


def test_keys_that_a_newer_daemon_adds_change_nothing(client: Client, daemon: Daemon, state: dict[str, Any]) -> None:
    state.update(nickname_1='east', device_type_1='OA', min_steps_1=-5000, max_steps_1=5000, error_1=None,
                 error_2=None, another_key=[1, 2])
    daemon.control.answer('report_status', state)
    assert shown(client) == PLAIN


def test_a_moving_channel_names_its_target(client: Client, daemon: Daemon, state: dict[str, Any]) -> None:
    state.update(status_1=5, status_label_1='MOVING', current_steps_1=120)
    daemon.control.answer('report_status', state)
    assert shown(client).splitlines()[1] == 'Channel 1:    +120 steps (moving to    +500 steps), 21.7°C'


def test_a_moving_channel_that_is_stalled_is_not_moving(client: Client, daemon: Daemon, state: dict[str, Any]) -> None:
    state.update(status_1=5, status_label_1='MOVING', current_steps_1=120, stalled_1=True)
    daemon.control.answer('report_status', state)
    assert shown(client).splitlines()[1] == 'Channel 1:    +120 steps (not moving, on the way to    +500 steps), 21.7°C'


@pytest.mark.parametrize('status, stalled, words', [(5, False, ' (moving to    +500 steps)'), (4, False, ''),
                                                    (5, None, ' (moving to    +500 steps)'), (4, True, '')])
def test_only_a_motion_can_be_stalled(client: Client, daemon: Daemon, state: dict[str, Any], status: int,
                                      stalled: bool | None, words: str) -> None:
    state.update(status_1=status, stalled_1=stalled)
    daemon.control.answer('report_status', state)
    assert shown(client).splitlines()[1] == f'Channel 1:    +500 steps{words}, 21.7°C'


@pytest.mark.parametrize('steps, temperature, line', [
    (0, 0.0, 'Channel 1:      +0 steps, 0.0°C'),
    (-56000, -12.35, 'Channel 1:  -56000 steps, -12.3°C'),
    (-12345678, 100, 'Channel 1: -12345678 steps, 100.0°C'),
    (500, None, 'Channel 1:    +500 steps, temperature unknown'),
])
def test_steps_and_temperature_keep_their_width(
    client: Client, daemon: Daemon, state: dict[str, Any], steps: int, temperature: float | None, line: str
) -> None:
    state.update(current_steps_1=steps, temperature_1=temperature)
    daemon.control.answer('report_status', state)
    assert shown(client).splitlines()[1] == line


@pytest.mark.parametrize('status, label', [(0, 'OFFLINE'), (1, 'DISCONNECTED'), (2, 'ERROR'), (3, 'INITIALIZING'),
                                           (6, 'UNKNOWN'), (None, 'UNKNOWN')])
def test_a_channel_below_idle_shows_its_label_and_no_figure(
    client: Client, daemon: Daemon, state: dict[str, Any], status: int | None, label: str
) -> None:
    # as the predecessor reports it: with figures that mean nothing
    state.update(status_1=status, current_steps_1=0, temperature_1=0)
    daemon.control.answer('report_status', state)
    assert shown(client).splitlines()[1] == f'Channel 1: {label}'


@pytest.mark.parametrize('status, error, line', [
    (2, 'temperature compensation is on (TComp ON = 1)', 'ERROR (temperature compensation is on: TComp ON = 1)'),
    (2, 'temperature compensation is on (TComp ON = 1); backlash compensation is on (BLC En = 1)',
     'ERROR (temperature compensation is on: TComp ON = 1; backlash compensation is on: BLC En = 1)'),
    (1, 'no focuser is plugged into this channel', 'DISCONNECTED (no focuser is plugged into this channel)'),
    (0, 'not connected', 'OFFLINE (not connected)'),
    (3, 'waiting\nfor\x1b[2J (some) thing', 'INITIALIZING (waiting for?[2J (some) thing)'),
    (2, '', 'ERROR'), (2, 7, 'ERROR'),
])
def test_a_channel_that_is_not_usable_says_why(
    client: Client, daemon: Daemon, state: dict[str, Any], status: int, error: object, line: str
) -> None:
    state.update(status_1=status, error_1=error)
    daemon.control.answer('report_status', state)
    assert shown(client).splitlines()[1] == f'Channel 1: {line}'


@pytest.mark.parametrize('seconds, words', [
    (50, r' \(\d\d s ago\)'), (185, r' \(3 min ago\)'), (5 * 3600, r' \(5 h ago\)'), (4 * 86400, r' \(4 d ago\)'),
    (-190, r' \(3 min ahead of the clock of this machine\)')])
def test_data_that_are_old_say_how_old(
    client: Client, daemon: Daemon, state: dict[str, Any], seconds: float, words: str
) -> None:
    state['date'] = time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(time.time() - seconds))
    daemon.control.answer('report_status', state)
    assert re.fullmatch(f'Data received DATE{words}:', shown(client).splitlines()[0])


def test_a_date_of_another_form_is_shown_as_it_is(client: Client, daemon: Daemon, state: dict[str, Any]) -> None:
    daemon.control.answer('report_status', dict(state, date='yesterday'))
    assert shown(client).splitlines()[0] == 'Data received yesterday:'


def test_a_status_that_leaves_everything_out_is_no_reason_to_fail(client: Client, daemon: Daemon) -> None:
    daemon.control.answer('report_status', {'status_2': 5})
    assert shown(client) == ('Data received at an unknown time:\nChannel 1: UNKNOWN\n'
                             'Channel 2: unknown steps (moving to unknown steps), temperature unknown\n')


def test_a_terminal_gets_colour_around_the_same_text(client: Client) -> None:
    coloured = on_terminal(client)
    assert '\x1b[1m   +500\x1b[0m steps, ' in coloured
    assert '\x1b[1m\x1b[91mDISCONNECTED\x1b[0m' in coloured
    assert re.sub(r'\x1b\[\d+m', '', coloured) == PLAIN


@pytest.mark.parametrize('environment', [{'NO_COLOR': '1'}, {'TERM': 'dumb'}], ids=str)
def test_a_terminal_that_wants_no_colour_gets_none(client: Client, environment: dict[str, str]) -> None:
    assert on_terminal(client, **environment) == PLAIN


def test_an_empty_no_color_switches_nothing_off(client: Client) -> None:
    assert '\x1b[1m' in on_terminal(client, NO_COLOR='')


@pytest.mark.parametrize('environment', [{'PYTHONIOENCODING': 'ascii'}, {'LC_ALL': 'C', 'PYTHONUTF8': '0',
                                                                         'PYTHONCOERCECLOCALE': '0'}], ids=str)
def test_an_ascii_locale_loses_the_degree_sign_and_nothing_else(client: Client, environment: dict[str, str]) -> None:
    assert shown(client, **environment) == PLAIN.replace('°', '?')

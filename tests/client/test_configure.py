# SPDX-License-Identifier: GPL-3.0-or-later
"""`focus configure`: the list of settings, and what it lets through to the hub."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pexpect
import pytest

from tests.client.hub_info import ESCAPES
from warwick.observatory.focuslynx.client.commands import COMMANDS
from warwick.observatory.focuslynx.client.configure import DANGERS
from warwick.observatory.focuslynx.hub_settings import HUB_SETTINGS

if TYPE_CHECKING:
    from tests.client.conftest import Client, Daemon


def output(client: Client, *arguments: str) -> str:
    completed = client.run(*arguments)
    assert (completed.returncode, completed.stderr) == (0, '')
    return completed.stdout


def test_settings_that_are_not_told_are_listed_too(client: Client, daemon: Daemon) -> None:
    daemon.control.answer('hub_info', {'channel_1': None, 'channel_2': {'settings': []}})
    assert 'led' in output(client, 'configure', '1')
    assert 'led' in output(client, 'configure', '2')


def test_what_the_hub_calls_itself_can_do_nothing_to_the_terminal(client: Client, daemon: Daemon) -> None:
    daemon.control.answer('hub_info', ESCAPES)
    assert '\x1b' not in output(client, 'configure', '1')


def test_the_settings_are_listed_with_value_meaning_and_range(client: Client, hub: dict[str, Any]) -> None:
    text = output(client, 'configure', '1')
    assert max(map(len, text.splitlines())) <= 79
    assert sorted(re.findall(r'^  (\w+)', text, re.MULTILINE)) == sorted(HUB_SETTINGS)
    flat = ' '.join(text.split())
    assert 'nickname North tube the name that the hub shows 1 to 16 printable ASCII characters without' in flat
    assert 'led 75 brightness of the power LED, one for both channels 0 to 100 percent' in flat
    assert 'step_size unknown size of a step' in flat
    assert 'reset all settings of the channel go back' in flat
    for key, setting in HUB_SETTINGS.items():
        assert setting.meaning in flat
        assert (title_of(text, key) == 'dangerous, done only with --yes') is setting.dangerous


def title_of(text: str, key: str) -> str:
    """The group of a setting in the list."""
    return next(block.splitlines()[0][:-1] for block in text.split('\n\n') if f'\n  {key} ' in block)


@pytest.mark.parametrize('words, call', [
    (('1', 'nickname', 'North tube'), [1, 'nickname', 'North tube', False]),
    (('2', 'backlash', 'ON'), [2, 'backlash', True, False]),
    (('1', 'coefficient_d', '-92'), [1, 'coefficient_d', -92, False]),
    (('1', 'compensation_mode', 'b'), [1, 'compensation_mode', 'B', False]),
    (('1', 'max_position', '112000', '--yes'), [1, 'max_position', 112000, True]),
    (('1', '--yes', 'reset', 'defaults'), [1, 'reset', 'defaults', True]),
])
def test_a_setting_is_changed_as_it_was_read_and_nothing_is_printed(
    client: Client, daemon: Daemon, words: tuple[str, ...], call: list[Any]
) -> None:
    assert output(client, 'configure', *words) == ''
    assert daemon.control.calls() == [['configure', *call]]


@pytest.mark.parametrize('words, why', [
    (('led', '300'), "led: '300': must be a whole number from 0 to 100 percent"),
    (('reverse', 'perhaps'), "reverse: 'perhaps': must be on or off"),
    (('nickname', 'a\x1b[2J'), "nickname: 'a\\x1b[2J': must be 1 to 16 printable ASCII characters without < > = and "
                               "without blanks at the ends"),
    (('revers', 'on'), f"unknown setting 'revers'; there are {', '.join(HUB_SETTINGS)}"),
    (('reset', 'all', '--yes'), "reset: 'all': must be the word defaults"),
], ids=str)
def test_a_wrong_setting_or_value_is_refused_without_a_call(
    client: Client, daemon: Daemon, words: tuple[str, ...], why: str
) -> None:
    completed = client.run('configure', '1', *words)
    assert (completed.returncode, completed.stdout, completed.stderr) == (
        9, 'error: unknown setting, or value that it cannot have\n', f'error: {why}\n')
    assert daemon.control.calls() == []


@pytest.mark.parametrize('key, value', [('max_position', '112000'), ('device_type', 'FA'), ('reset', 'defaults')])
def test_what_is_dangerous_says_so_and_how_to_confirm(
    client: Client, daemon: Daemon, key: str, value: str
) -> None:
    completed = client.run('configure', '1', key, value)
    assert (completed.returncode, completed.stdout, completed.stderr) == (
        11, 'error: not done without confirmation\n', f'error: {key}: {DANGERS[key]}; to do it, add --yes\n')
    assert daemon.control.calls() == []


def test_every_dangerous_setting_has_a_danger_and_is_in_the_help() -> None:
    dangerous = {key for key, setting in HUB_SETTINGS.items() if setting.dangerous}
    assert set(DANGERS) == dangerous
    details = next(command.details for command in COMMANDS if command.name == 'configure')
    assert all(key in details for key in dangerous)


def on_terminal(client: Client, *words: str) -> tuple[int, str]:
    terminal = client.terminal('configure', *words)
    terminal.expect(pexpect.EOF)
    terminal.close()
    return terminal.exitstatus, terminal.before


@pytest.mark.parametrize('words, told', [
    (('1', 'led', '20'), 'led is 20, was 75'), (('1', 'backlash', 'off'), 'backlash is off, was on'),
    (('1', 'led', '75'), 'led is 75, as before'), (('1', 'step_size', '9'), 'step_size is 9'),
    (('1', 'reset', 'defaults', '--yes'), 'reset is defaults'),
], ids=str)
def test_on_a_terminal_a_change_tells_what_was_before(
    client: Client, hub: dict[str, Any], words: tuple[str, ...], told: str
) -> None:
    assert on_terminal(client, *words) == (0, f'Channel 1: {told}\r\n')


def test_a_change_succeeds_if_the_old_value_is_not_known(client: Client, daemon: Daemon) -> None:
    daemon.control.act('hub_info', 'raise', 'ValueError')
    assert on_terminal(client, '1', 'led', '20') == (0, 'Channel 1: led is 20\r\n')


@pytest.mark.parametrize('words, patient', [(('1', 'led', '5'), False), (('1', 'reset', 'defaults', '--yes'), True)])
def test_a_restart_of_a_channel_may_exceed_the_timeout_of_the_entry(
    daemon: Daemon, client_at: Any, words: tuple[str, ...], patient: bool
) -> None:
    daemon.control.act('configure', 'hold')
    changing = client_at(daemon.port, timeout=0.3).start('configure', *words)
    assert daemon.control.wait_for_call('configure', 1)
    if patient:
        with pytest.raises(Exception, match='timed out'):
            changing.wait(timeout=1.5)   # several times the timeout of the entry
        daemon.control.release('configure', 0)
    changing.communicate(timeout=30)
    assert changing.returncode == (0 if patient else 155)


def test_a_failed_change_gives_the_reason_of_the_daemon(
    client: Client, daemon: Daemon, state: dict[str, Any]
) -> None:
    daemon.control.answer('configure', 1)
    daemon.control.answer('report_status', {**state, 'failure_1': 'led = 5 failed: the hub refused it'})
    completed = client.run('configure', '1', 'led', '5')
    assert (completed.returncode, completed.stdout) == (1, 'error: command failed\n')
    assert completed.stderr == 'error: led = 5 failed: the hub refused it; channel 1 is at +500 steps\n'


def test_a_change_that_puts_the_channel_into_error_says_so(
    client: Client, daemon: Daemon, hub: dict[str, Any], state: dict[str, Any]
) -> None:
    daemon.control.answer('report_status', dict(state, status_1=2, error_1='backlash compensation is on (BLC En = 1)'))
    assert on_terminal(client, '1', 'led', '20') == (0, 'Channel 1: led is 20, was 75\r\n'
                                                     'Channel 1: ERROR (backlash compensation is on: BLC En = 1)\r\n')

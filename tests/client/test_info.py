# SPDX-License-Identifier: GPL-3.0-or-later
"""`focus info`: what it shows of the hub."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from tests.client.hub_info import ESCAPES

if TYPE_CHECKING:
    from tests.client.conftest import Client, Daemon


def output(client: Client, *arguments: str) -> str:
    completed = client.run(*arguments)
    assert (completed.returncode, completed.stderr) == (0, '')
    return completed.stdout


def blocks(text: str) -> list[dict[str, str]]:
    """The parts of `focus info`, each with its title as ''."""
    found = []
    for block in text.split('\n\n'):
        title, *lines = block.splitlines()
        rows = {'': title}
        label = ''
        for line in lines:
            label = line[:21].strip() or label
            rows[label] = f'{rows.get(label, "")} {line[21:]}'.strip()
        found.append(rows)
    return found


def test_info_shows_the_hub_and_both_channels(client: Client, hub: dict[str, Any]) -> None:
    text = output(client, 'info')
    assert max(map(len, text.splitlines())) <= 60
    shown = blocks(text)
    assert shown[0] == {
        '': 'Hub', 'firmware': '2.0.4', 'asleep': 'no', 'wired network': '192.168.7.30 (DHCP)',
        'wireless network': '192.168.7.31 in Dome (module 1.1, open)', 'focusd': '0.1.0'}
    assert shown[1] == {
        '': 'Channel 1', 'nickname': 'North tube', 'state': 'IDLE', 'device type': 'OA, Optec TCF-Lynx 2"',
        'homed': 'yes', 'Max Pos': '112000 counts', 'moves accepted': '-50000 to +49960 steps',
        'soft limits': '-50000 to +50000 steps', 'temperature probe': 'present, 21.7°C', 'hand controller': 'none',
        'in/out remote': 'none', 'compensation': 'off', 'at start': 'off', 'mode': 'B',
        'coefficients': 'A +86  B +86  C +86  D +86  E +86', 'intercepts': 'unknown', 'backlash': 'on, 40 steps',
        'reverse': 'off', 'LED': '75 %', 'step size': 'unknown'}
    assert {key: shown[2][key] for key in ('', 'state', 'homed', 'moves accepted', 'temperature probe')} == {
        '': 'Channel 2', 'state': 'ERROR: temperature compensation is on (TComp ON = 1)', 'moves accepted':
        'none in this state', 'homed': 'has no home switch', 'temperature probe': 'defective'}


def test_info_as_json_is_the_whole_dictionary_on_one_line(client: Client, hub: dict[str, Any]) -> None:
    text = output(client, 'info', '--json')
    assert text.count('\n') == 1
    assert json.loads(text) == hub


@pytest.mark.parametrize('told', [{}, {'channel_1': None, 'channel_2': {'settings': []}}, {'channel_1': {}}], ids=str)
def test_what_is_not_told_is_unknown(client: Client, daemon: Daemon, told: dict[str, Any]) -> None:
    daemon.control.answer('hub_info', told)
    for block in blocks(output(client, 'info')):
        del block['']
        state = block.pop('state', 'UNKNOWN')
        assert state == 'UNKNOWN'
        assert set(re.split(', | ', ' '.join(block.values()))) == {'unknown'}


def test_what_the_hub_calls_itself_can_do_nothing_to_the_terminal(client: Client, daemon: Daemon) -> None:
    daemon.control.answer('hub_info', ESCAPES)
    assert '\x1b' not in output(client, 'info')

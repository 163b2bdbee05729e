# SPDX-License-Identifier: GPL-3.0-or-later
"""`focus configure`: the settings that the hub keeps, listed with what they mean, and changed one at a time."""

from __future__ import annotations

import sys
import textwrap
from typing import Any

from ..constants import NO_COMMUNICATION, CommandStatus, FocuserStatus
from ..hub_settings import HUB_SETTINGS, HubSetting, Value, find, shown
from .api import Focusd, HearingCtrlC, NoAnswer, Outcome
from .info import channel_of, hub_info, settings_of, words
from .status import channel_line, printable

DANGERS = {
    'max_position': 'all positions in steps shift, step 0 is elsewhere, and the focuser may run further than it can',
    'device_type': 'with a wrong type the motor can be damaged; the channel restarts, and its position may be lost',
    'reset': 'device type, nickname and all else that is set on the channel is lost, and its position may be',
}
"""What can happen when a dangerous setting is changed."""

_WIDTH = 79
_RESTART_S = 30.0   # the daemon itself answers within 20 s
_LOOK_S = 2.0


def configure(focusd: Focusd, channel: int, key: str | None = None, value: str | None = None,
              yes: bool = False) -> Outcome:
    """List the settings of a channel, or change one, after a check of key and value."""
    if key is None or value is None:
        return _listed(focusd, channel)
    try:
        setting = find(key)
        wanted = setting.parse(value)
    except ValueError as e:
        return Outcome.of(CommandStatus.InvalidSetting, f'error: {printable(str(e))}')
    if setting.dangerous and not yes:
        return Outcome.of(CommandStatus.NotConfirmed, f'error: {key}: {DANGERS[key]}; to do it, add --yes')
    watched = sys.stderr is not None and sys.stderr.isatty()
    with HearingCtrlC():
        before = _present(focusd, channel, key) if watched else None
        status = focusd.command('configure', channel, key, wanted, yes,
                                timeout_s=_RESTART_S if setting.restarts else None)
        told = ''
        if watched and status == CommandStatus.Succeeded:
            told = _told(channel, setting, before, wanted) + _consequence(focusd, channel)
    return Outcome.of(status, told)


def _present(focusd: Focusd, channel: int, key: str) -> Any:
    """The value before the change; None where it is not known."""
    try:
        return settings_of(channel_of(hub_info(focusd, _LOOK_S), channel)).get(key)
    except NoAnswer:
        return None


def _consequence(focusd: Focusd, channel: int) -> str:
    """A line for a channel that cannot be used now, as one whose hub would move the focuser by itself; else nothing."""
    try:
        state = focusd.report(_LOOK_S)
    except NoAnswer:
        return ''
    return '\n' + channel_line(state, channel, False) if state.get(f'status_{channel}') == FocuserStatus.Error else ''


def _told(channel: int, setting: HubSetting, before: Any, wanted: Value) -> str:
    was = '' if before is None else ', as before' if before == wanted else f', was {words(before)}'
    return f'Channel {channel}: {setting.key} is {shown(wanted)}{was}'


def _listed(focusd: Focusd, channel: int) -> Outcome:
    try:
        with HearingCtrlC():
            told = channel_of(hub_info(focusd), channel)
    except NoAnswer:
        return Outcome.of(NO_COMMUNICATION)
    present = settings_of(told)
    values = {key: '' if key == 'reset' else words(present.get(key)) for key in HUB_SETTINGS}
    widths = max(map(len, HUB_SETTINGS)), max(map(len, values.values()))
    groups: dict[str, list[str]] = {}
    for key, setting in HUB_SETTINGS.items():
        groups.setdefault(_group(setting), []).extend(_row(setting, values[key], *widths))
    return Outcome(0, '\n\n'.join('\n'.join([f'{title}:', *rows]) for title, rows in groups.items()))


def _group(setting: HubSetting) -> str:
    if setting.dangerous:
        return 'dangerous, done only with --yes'
    first = setting.key.split('_')[0]
    if first in ('temperature', 'compensation', 'coefficient', 'intercept'):
        return 'temperature compensation'
    return 'backlash' if first == 'backlash' else 'general'


def _row(setting: HubSetting, value: str, key_width: int, value_width: int) -> list[str]:
    head = f'  {setting.key:{key_width}}  {value:{value_width}}  '
    accepts = setting.kind.accepts.replace('a whole number from ', '')
    texts = [line for text in (setting.meaning, accepts) for line in textwrap.wrap(text, _WIDTH - len(head))]
    return [head + texts[0], *(' ' * len(head) + text for text in texts[1:])]

# SPDX-License-Identifier: GPL-3.0-or-later
"""`focus configure`: list the settings of the hub, or change one."""

from __future__ import annotations

import sys
import textwrap
from typing import Any

from ..constants import CommandStatus, FocuserStatus
from ..hub_settings import HUB_SETTINGS, HubSetting, Value, find, shown
from ..text import printable
from .api import EXTRA_REPORT_LIMIT_S, Focusd, NoAnswer
from .commands import Outcome
from .events import interruptible
from .info import channel_of, settings_of, words
from .status import channel_line
from .terminal import TEXT_WIDTH, is_terminal

DANGERS = {
    'max_position': 'all positions in steps shift, step 0 moves, and the focuser may run into its mechanical end',
    'device_type': 'with a wrong type the motor can be damaged; the channel restarts, and its position may be lost',
    'reset': 'device type, nickname and all other settings of the channel are lost, and its position may be lost',
}
"""What can happen when a dangerous setting is changed."""

_RESTARTING_CALL_LIMIT_S = 30.0   # the daemon itself answers within 20 s
_OLD_VALUE_LIMIT_S = 2.0


def configure(focusd: Focusd, channel: int, key: str | None = None, value: str | None = None,
              yes: bool = False) -> Outcome:
    """List the settings of a channel; with a key and a value, check these and change that setting."""
    if key is None or value is None:
        return _listed(focusd, channel)
    try:
        setting = find(key)
        wanted = setting.parse(value)
    except ValueError as e:
        return Outcome.of(CommandStatus.InvalidSetting, f'error: {printable(str(e))}')
    if setting.dangerous and not yes:
        return Outcome.of(CommandStatus.NotConfirmed, f'error: {key}: {DANGERS[key]}; to do it, add --yes')
    interactive = is_terminal(sys.stderr)
    with interruptible():
        before = _present(focusd, channel, key) if interactive else None
        status = focusd.command('configure', channel, key, wanted, yes,
                                timeout_s=_RESTARTING_CALL_LIMIT_S if setting.restarts else None)
        message = ''
        if interactive and status == CommandStatus.Succeeded:
            message = _change(channel, setting, before, wanted) + _consequence(focusd, channel)
    return Outcome.of(status, message)


def _present(focusd: Focusd, channel: int, key: str) -> Any:
    """The present value of a setting; None if it is not known."""
    try:
        return settings_of(channel_of(focusd.hub_info(_OLD_VALUE_LIMIT_S), channel)).get(key)
    except NoAnswer:
        return None


def _consequence(focusd: Focusd, channel: int) -> str:
    """A line if the channel is in error now, for example because the hub would move the focuser by itself."""
    try:
        state = focusd.report(EXTRA_REPORT_LIMIT_S)
    except NoAnswer:
        return ''
    return '\n' + channel_line(state, channel, False) if state.get(f'status_{channel}') == FocuserStatus.Error else ''


def _change(channel: int, setting: HubSetting, before: Any, wanted: Value) -> str:
    was = '' if before is None else ', as before' if before == wanted else f', was {words(before)}'
    return f'Channel {channel}: {setting.key} is {shown(wanted)}{was}'


def _listed(focusd: Focusd, channel: int) -> Outcome:
    with interruptible():
        info = channel_of(focusd.hub_info(), channel)
    present = settings_of(info)
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
    texts = [line for text in (setting.meaning, accepts) for line in textwrap.wrap(text, TEXT_WIDTH - len(head))]
    return [head + texts[0], *(' ' * len(head) + text for text in texts[1:])]

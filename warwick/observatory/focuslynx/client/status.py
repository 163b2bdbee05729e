# SPDX-License-Identifier: GPL-3.0-or-later
"""The status in words and as JSON. The daemon may be older or newer than the client: any key may be missing."""

from __future__ import annotations

import sys
import time
from typing import Any

from ..constants import CHANNELS, FocuserStatus, is_usable
from ..text import one_line, printable
from .api import Focusd
from .commands import Outcome
from .events import interruptible
from .terminal import is_lively

OLD_S = 10
"""Data that are older are marked with their age. The daemon usually polls a focuser at rest every 5 s."""


def status(focusd: Focusd) -> Outcome:
    return Outcome(0, _text(_report(focusd)))


def json_line(focusd: Focusd) -> Outcome:
    import json
    return Outcome(0, json.dumps(_report(focusd)))


def _report(focusd: Focusd) -> dict[str, Any]:
    with interruptible():
        return focusd.report()


def _text(state: dict[str, Any]) -> str:
    colour = is_lively(sys.stdout)
    date = str(state.get('date', 'at an unknown time')).replace('T', ' ').rstrip('Z')
    age_s = seconds_since(state.get('date'), time.time())
    if age_s is not None and abs(age_s) > OLD_S:
        age = duration(abs(age_s))
        date += f' ({age} ago)' if age_s > 0 else f' ({age} ahead of the clock of this machine)'
    return '\n'.join([f'Data received {date}:'] + [channel_line(state, channel, colour) for channel in CHANNELS])


def seconds_since(date: object, now: float) -> float | None:
    """The seconds from a date of a status to `now`, which is in seconds since 1970; None if it is no such date."""
    import datetime
    try:
        then = datetime.datetime.fromisoformat(str(date).replace('Z', '+00:00'))
    except ValueError:
        return None
    return now - then.timestamp() if then.tzinfo is not None else None


def duration(seconds: float) -> str:
    """A length of time in a unit of its size: `42 s`, `3 min`, `5 h`, `2 d`."""
    for unit_s, unit, limit_s in ((1, 's', 100), (60, 'min', 100 * 60), (3600, 'h', 48 * 3600)):
        if seconds < limit_s:
            return f'{seconds / unit_s:.0f} {unit}'
    return f'{seconds / 86400:.0f} d'


def channel_line(state: dict[str, Any], channel: int, colour: bool) -> str:
    """The line of `focus status` for a channel."""
    def steps(key: str) -> str:
        value = state.get(f'{key}_steps_{channel}')
        text = f'{value:+7d}' if isinstance(value, int) else 'unknown'
        return bold + text + clear

    bold = clear = ''
    status = state.get(f'status_{channel}')
    if not is_usable(status):
        return f'Channel {channel}: {condition(state, channel, colour)}'
    if colour:
        from warwick.observatory.common import TFmt
        bold, clear = TFmt.Bold, TFmt.Clear
    line = f'Channel {channel}: {steps("current")} steps'
    if status == FocuserStatus.Moving:
        doing = 'not moving, on the way' if is_stalled(state, channel) else 'moving'
        line += f' ({doing} to {steps("target")} steps)'
    celsius = state.get(f'temperature_{channel}')
    return line + (f', {celsius:.1f}°C' if isinstance(celsius, (int, float)) else ', temperature unknown')


def is_stalled(state: dict[str, Any], channel: int) -> bool:
    """Whether the hub reports a motion of a channel, and its position stays the same. An older daemon does not tell."""
    return state.get(f'status_{channel}') == FocuserStatus.Moving and state.get(f'stalled_{channel}') is True


def condition(state: dict[str, Any], channel: int, colour: bool = False) -> str:
    """The label of a channel's status, with the reason if it has one: `ERROR (compensation is on: TComp ON = 1)`."""
    status = state.get(f'status_{channel}')
    label = FocuserStatus.label(status if isinstance(status, int) else -1, colour)
    why = reason(state, channel)
    return f'{label} ({why})' if why else label


def reason(state: dict[str, Any], channel: int) -> str:
    """Why a channel cannot be used, for use in parentheses; empty if the daemon gives no reason."""
    return '; '.join(_without_brackets(part) for part in sentence(state.get(f'error_{channel}')).split('; '))


def sentence(value: object) -> str:
    """A sentence of the daemon on one line, harmless to a terminal; empty if it gives none."""
    return printable(one_line(value)) if isinstance(value, str) and value.strip() else ''


def _without_brackets(text: str) -> str:
    """`it is on (KEY = 1)` as `it is on: KEY = 1`."""
    if text.count('(') == 1 and ' (' in text and text.endswith(')'):
        return text[:-1].replace(' (', ': ')
    return text

# SPDX-License-Identifier: GPL-3.0-or-later
"""The status in words and in JSON. It may come from a daemon that is older or newer, and leave anything out."""

from __future__ import annotations

import sys
import time
from typing import Any

from ..constants import NO_COMMUNICATION, FocuserStatus
from .api import Focusd, HearingCtrlC, NoAnswer, Outcome
from .terminal import is_lively

OLD_S = 10
"""An age that is worth a word: twice the usual time between two looks at a focuser at rest."""


def status(focusd: Focusd) -> Outcome:
    state = _report(focusd)
    return Outcome.of(NO_COMMUNICATION) if state is None else Outcome(0, _text(state))


def json_line(focusd: Focusd) -> Outcome:
    import json
    state = _report(focusd)
    return Outcome.of(NO_COMMUNICATION) if state is None else Outcome(0, json.dumps(state))


def _report(focusd: Focusd) -> dict[str, Any] | None:
    try:
        with HearingCtrlC():
            return focusd.report()
    except NoAnswer:
        return None


def _text(state: dict[str, Any]) -> str:
    colour = is_lively(sys.stdout)
    date = str(state.get('date', 'at an unknown time')).replace('T', ' ').rstrip('Z')
    age_s = seconds_since(state.get('date'), time.time())
    if age_s is not None and abs(age_s) > OLD_S:
        date += f' ({duration(age_s)} ago)' if age_s > 0 else f' ({duration(-age_s)} ahead of the clock here)'
    return '\n'.join([f'Data received {date}:'] + [channel_line(state, channel, colour) for channel in (1, 2)])


def seconds_since(date: object, now: float) -> float | None:
    """The seconds from a date in a status to `now`, in seconds since 1970; None where it is no such date."""
    import datetime
    try:
        then = datetime.datetime.fromisoformat(str(date).replace('Z', '+00:00'))
    except ValueError:
        return None
    return now - then.timestamp() if then.tzinfo is not None else None


def duration(seconds: float) -> str:
    """A length of time in its one fitting unit: `42 s`, `3 min`, `5 h`, `2 d`."""
    for unit_s, unit, limit_s in ((1, 's', 100), (60, 'min', 100 * 60), (3600, 'h', 48 * 3600)):
        if seconds < limit_s:
            return f'{seconds / unit_s:.0f} {unit}'
    return f'{seconds / 86400:.0f} d'


def channel_line(state: dict[str, Any], channel: int, colour: bool) -> str:
    """The line for a channel."""
    def steps(key: str) -> str:
        value = state.get(f'{key}_steps_{channel}')
        text = f'{value:+7d}' if isinstance(value, int) else 'unknown'
        return bold + text + clear

    bold = clear = ''
    status = state.get(f'status_{channel}')
    if status not in (FocuserStatus.Idle, FocuserStatus.Moving):
        return f'Channel {channel}: {condition(state, channel, colour)}'
    if colour:
        from warwick.observatory.common import TFmt
        bold, clear = TFmt.Bold, TFmt.Clear
    line = f'Channel {channel}: {steps("current")} steps'
    if status == FocuserStatus.Moving:
        line += f' (moving to {steps("target")} steps)'
    celsius = state.get(f'temperature_{channel}')
    return line + (f', {celsius:.1f}°C' if isinstance(celsius, (int, float)) else ', temperature unknown')


def condition(state: dict[str, Any], channel: int, colour: bool = False) -> str:
    """The label of a channel's status and, below Idle, the reason: `ERROR (compensation is on: TComp ON = 1)`."""
    status = state.get(f'status_{channel}')
    label = FocuserStatus.label(status if isinstance(status, int) else -1, colour)
    why = reason(state, channel)
    return f'{label} ({why})' if why else label


def reason(state: dict[str, Any], channel: int) -> str:
    """Why a channel is below Idle, fit to stand in parentheses; empty where the daemon gives no reason."""
    error = state.get(f'error_{channel}')
    if not isinstance(error, str):
        return ''
    return '; '.join(_unbracketed(part) for part in printable(' '.join(error.split())).split('; '))


def printable(text: str) -> str:
    """A text of the daemon's or the hub's that can do nothing to a terminal."""
    return ''.join(c if c.isprintable() else '?' for c in text)


def _unbracketed(text: str) -> str:
    """`it is on (KEY = 1)` as `it is on: KEY = 1`."""
    if text.count('(') == 1 and ' (' in text and text.endswith(')'):
        return text[:-1].replace(' (', ': ')
    return text

# SPDX-License-Identifier: GPL-3.0-or-later
"""The live line of a move: bar, position, target, speed and time left, in one line that is drawn anew in its place.

Of homing nobody knows how far it has to go, or where the counter will be set: it has a line without a bar.

A line of our own instead of a library: this is all there is to draw, and loading one would take longer than the rest of
the client.
"""

from __future__ import annotations

import math
from typing import Any

from ..constants import FocuserStatus
from .status import condition, duration
from .terminal import in_foreground, size, speaks_unicode

_FILLED, _REST, _PLAIN = '\x1b[36m', '\x1b[2m', '\x1b[0m'
_SPEED_OVER_S, _SPEED_AFTER_S = 8.0, 0.9
_STILL_S = 1.0
_SHORTEST_BAR = 10


class LiveLine:
    """A line on a terminal that can move its cursor. It never fails: a terminal may go away, and the move goes on.

    Between two drawings the cursor stands at the line's beginning. A terminal that was made narrower has wrapped the
    line, and this way its remains are below the cursor, where the next drawing erases them.
    """

    def __init__(self, stream: Any, channel: int, now: float, homing: bool = False) -> None:
        """`now` is in seconds, on the clock of `show`."""
        self._stream = stream
        self._channel = channel
        self._homing = homing
        self._began_at = self._looked_at = now
        self._bars = '━─' if speaks_unicode(stream) else '=-'
        self._start: int | None = None
        self._seen: list[tuple[float, int]] = []  # time and position, where it was another than before

    def show(self, state: dict[str, Any], stopping: bool, now: float) -> None:
        """Draw what a status says that came at `now`."""
        columns, _ = size(self._stream)
        self._write(self._text(state, columns - 1, stopping, now))
        self._looked_at = now

    def clear(self) -> None:
        """Leave nothing behind, and no ^C of the terminal's either."""
        self._write('')

    def _write(self, text: str) -> None:
        if not in_foreground(self._stream):  # the line would run through what the user types
            return
        try:
            self._stream.write(f'\r{text}\x1b[J\r')
            self._stream.flush()
        except (OSError, ValueError):
            pass  # the terminal went away

    def _text(self, state: dict[str, Any], columns: int, stopping: bool, now: float) -> str:
        status, steps, target = (state.get(f'{key}_{self._channel}')
                                 for key in ('status', 'current_steps', 'target_steps'))
        if status not in (FocuserStatus.Idle, FocuserStatus.Moving) or not isinstance(steps, int):
            return f'Channel {self._channel}: {condition(state, self._channel)}'[:columns]
        if self._homing:
            doing = 'stopping' if stopping else f'homing, {duration(now - self._began_at)}'
            return f'Channel {self._channel} {steps:+7d} steps   {doing}'[:columns]
        if self._start is None:
            self._start = steps
        if not self._seen or self._seen[-1][1] != steps:
            self._seen.append(((self._looked_at + now) / 2, steps))
        if status == FocuserStatus.Idle or not isinstance(target, int):
            return f'Channel {self._channel} {steps:+7d} steps'[:columns]

        speed = self._speed(now)
        left_s = math.ceil(abs(target - steps) / speed) if speed else None
        whole = abs(target - self._start)
        fraction = min(1.0, abs(steps - self._start) / whole) if whole else 1.0
        head = f'Channel {self._channel} {steps:+7d} '
        for tail in self._tails(target, speed, 'stopping' if stopping else _left(left_s)):
            room = columns - len(head) - len(tail)
            if room >= _SHORTEST_BAR:
                return head + self._bar(room, fraction) + tail
        return f'Channel {self._channel} {steps:+d} of {target:+d}'[:columns]

    @staticmethod
    def _tails(target: int, speed: float | None, left: str) -> list[str]:
        """What stands behind the bar, from the longest form to the shortest."""
        goal = f' {target:+7d}'
        rate = '' if speed is None else f'{speed:.0f}'
        return [f'{goal} steps  {rate:>5} {"steps/s" if rate else "":7}  {left:>10}',
                f'{goal}  {rate:>5}{"/s" if rate else "":2}  {left:>10}',
                f'{goal}  {left:>10}', goal]

    def _bar(self, width: int, fraction: float) -> str:
        filled = round(width * fraction)
        return f'{_FILLED}{self._bars[0] * filled}{_PLAIN}{_REST}{self._bars[1] * (width - filled)}{_PLAIN}'

    def _speed(self, now: float) -> float | None:
        """Steps per second over the last seconds; None until that is long enough to be true, and at a standstill.

        The first position seen is from before it moved, nobody knows how long. A position that has not changed for
        longer than usual is a standstill.
        """
        seen = self._seen[1:]
        if len(seen) < 2:
            return None
        usual_s = seen[-1][0] - seen[-2][0]
        since = now - max(_SPEED_OVER_S, 4 * usual_s)
        (first_at, first), (last_at, last) = next((each for each in seen if each[0] >= since), seen[-1]), seen[-1]
        moved, over_s = abs(last - first), max(last_at, now - max(_STILL_S, 2 * usual_s)) - first_at
        return moved / over_s if moved and over_s >= _SPEED_AFTER_S else None


def _left(seconds: int | None) -> str:
    if seconds is None:
        return ''
    return f'{seconds} s left' if seconds < 100 else f'{seconds // 60}:{seconds % 60:02d} left'

# SPDX-License-Identifier: GPL-3.0-or-later
"""The progress of a move in one line, which is drawn again in its place: bar, position, target, speed, time left.

The line of homing has no bar: its distance is not known, and the position is set on the way.

No library is used, because loading one takes longer than loading the rest of the client.
"""

from __future__ import annotations

import math
from typing import Any

from ..constants import FocuserStatus, is_usable
from .status import condition, duration, is_stalled
from .terminal import RESET_STYLE, in_foreground, size, speaks_unicode

_DONE_STYLE, _REST_STYLE = '\x1b[36m', '\x1b[2m'
_SPEED_WINDOW_S = 8.0      # the speed is the mean over this time
_SPEED_MIN_SPAN_S = 0.9    # below this it is too inaccurate to be shown
_STANDSTILL_AFTER_S = 1.0  # without a new position
_SHORTEST_BAR = 10


class ProgressLine:
    """A line on a terminal whose cursor can be moved. It raises nothing when the terminal goes away.

    Between two drawings the cursor is at the beginning of the line. When a terminal is made narrower it wraps the line;
    the rest of it is then below the cursor, where the next drawing erases it.
    """

    def __init__(self, stream: Any, channel: int, now: float, homing: bool = False) -> None:
        """`now` is in seconds, by the same clock as in `show`."""
        self._stream = stream
        self._channel = channel
        self._homing = homing
        self._began_at = self._shown_at = now
        self._bars = '━─' if speaks_unicode(stream) else '=-'
        self._start: int | None = None
        self._positions: list[tuple[float, int]] = []  # time and position, one for each change

    def show(self, state: dict[str, Any], stopping: bool, now: float) -> None:
        """Draw the line for a status that was received at `now`."""
        columns, _ = size(self._stream)
        self._write(self._text(state, columns - 1, stopping, now))
        self._shown_at = now

    def clear(self) -> None:
        """Erase the line, and a ^C that the terminal has printed."""
        self._write('')

    def _write(self, text: str) -> None:
        if not in_foreground(self._stream):  # the line would mix with what the user types
            return
        try:
            self._stream.write(f'\r{text}\x1b[J\r')
            self._stream.flush()
        except (OSError, ValueError):
            pass  # the terminal went away

    def _text(self, state: dict[str, Any], columns: int, stopping: bool, now: float) -> str:
        status, steps, target = (state.get(f'{key}_{self._channel}')
                                 for key in ('status', 'current_steps', 'target_steps'))
        if not is_usable(status) or not isinstance(steps, int):
            return f'Channel {self._channel}: {condition(state, self._channel)}'[:columns]
        stalled = is_stalled(state, self._channel)
        if self._homing:
            doing = 'stopping' if stopping else f'homing, {duration(now - self._began_at)}'
            if stalled and not stopping:
                doing += ', not moving'
            return f'Channel {self._channel} {steps:+7d} steps   {doing}'[:columns]
        if self._start is None:
            self._start = steps
        if not self._positions or self._positions[-1][1] != steps:
            self._positions.append(((self._shown_at + now) / 2, steps))
        if status == FocuserStatus.Idle or not isinstance(target, int):
            return f'Channel {self._channel} {steps:+7d} steps'[:columns]

        speed = None if stalled else self._speed(now)
        left_s = math.ceil(abs(target - steps) / speed) if speed else None
        whole = abs(target - self._start)
        fraction = min(1.0, abs(steps - self._start) / whole) if whole else 1.0
        head = f'Channel {self._channel} {steps:+7d} '
        doing = 'stopping' if stopping else 'not moving' if stalled else _left(left_s)
        for tail in self._tails(target, speed, doing):
            room = columns - len(head) - len(tail)
            if room >= _SHORTEST_BAR:
                return head + self._bar(room, fraction) + tail
        return f'Channel {self._channel} {steps:+d} of {target:+d}'[:columns]

    @staticmethod
    def _tails(target: int, speed: float | None, doing: str) -> list[str]:
        """The texts that can follow the bar, from the longest to the shortest."""
        goal = f' {target:+7d}'
        rate = '' if speed is None else f'{speed:.0f}'
        return [f'{goal} steps  {rate:>5} {"steps/s" if rate else "":7}  {doing:>10}',
                f'{goal}  {rate:>5}{"/s" if rate else "":2}  {doing:>10}',
                f'{goal}  {doing:>10}', goal]

    def _bar(self, width: int, fraction: float) -> str:
        filled = round(width * fraction)
        return (f'{_DONE_STYLE}{self._bars[0] * filled}{RESET_STYLE}'
                f'{_REST_STYLE}{self._bars[1] * (width - filled)}{RESET_STYLE}')

    def _speed(self, now: float) -> float | None:
        """The mean of steps per second over the last seconds; None at a standstill, and as long as it is inaccurate.

        The first position does not count: the motion has begun some time after it. A position that has not changed
        for longer than usual is a standstill.
        """
        positions = self._positions[1:]
        if len(positions) < 2:
            return None
        usual_s = positions[-1][0] - positions[-2][0]
        since = now - max(_SPEED_WINDOW_S, 4 * usual_s)
        first_at, first = next((each for each in positions if each[0] >= since), positions[-1])
        last_at, last = positions[-1]
        moved = abs(last - first)
        span_s = max(last_at, now - max(_STANDSTILL_AFTER_S, 2 * usual_s)) - first_at
        return moved / span_s if moved and span_s >= _SPEED_MIN_SPAN_S else None


def _left(seconds: int | None) -> str:
    if seconds is None:
        return ''
    return f'{seconds} s left' if seconds < 100 else f'{seconds // 60}:{seconds % 60:02d} left'

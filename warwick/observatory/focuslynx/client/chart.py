# SPDX-License-Identifier: GPL-3.0-or-later
"""A chart of the last minutes of a value, in braille dots, or in stars on a terminal without Unicode."""

from __future__ import annotations

from collections import deque

WINDOWS_S = (60, 180, 600)
"""The times that a chart can show."""

_LEAST_SPACING_S = 0.9
_LONGEST_BRIDGED_S = 5.0   # between two samples that a line connects
# The bit of each dot of a braille character, by row and column
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))


class Trace:
    """The values of the longest window, with their times: about one sample per second, None if it was not known."""

    def __init__(self) -> None:
        self.samples: deque[tuple[float, float | None]] = deque()

    def add(self, now: float, value: float | None) -> None:
        """Add a sample. `now` is in seconds and never decreases."""
        samples = self.samples
        if len(samples) > 1 and now - samples[-2][0] < _LEAST_SPACING_S and (value is None) == (samples[-1][1] is None):
            samples.pop()
        samples.append((now, value))
        while samples[0][0] < now - WINDOWS_S[-1] - _LONGEST_BRIDGED_S:
            samples.popleft()

    def window_s(self, now: float) -> int:
        """The shortest window that shows all samples, or the longest window."""
        age_s = now - self.samples[0][0] if self.samples else 0
        return next((window_s for window_s in WINDOWS_S if age_s <= window_s), WINDOWS_S[-1])

    def span(self, now: float, least: float) -> tuple[float, float] | None:
        """The lowest and the highest value in the window, extended to differ by `least`; None without a value."""
        since = now - self.window_s(now)
        values = [value for at, value in self.samples if value is not None and at >= since]
        if not values:
            return None
        low, high = min(values), max(values)
        margin = max(0.0, least - (high - low)) / 2
        return low - margin, high + margin


def drawn(trace: Trace, now: float, span: tuple[float, float], width: int, height: int, braille: bool) -> list[str]:
    """The rows of a chart, from top to bottom, each `width` characters wide; its right edge is `now`."""
    across, up = (2, 4) if braille else (1, 1)
    columns, levels = width * across, height * up
    window_s = trace.window_s(now)
    low, high = span

    def point(at: float, value: float) -> tuple[int, int]:
        x = (1 - (now - at) / window_s) * (columns - 1)
        y = (value - low) / (high - low) * (levels - 1)
        return round(x), round(y)

    lit: set[tuple[int, int]] = set()
    before: tuple[float, float] | None = None
    for at, value in trace.samples:
        if value is None:
            before = None
            continue
        bridged = before is not None and at - before[0] <= _LONGEST_BRIDGED_S
        lit.update(_line(*point(*(before if before is not None and bridged else (at, value))), *point(at, value)))
        before = at, value

    rows = []
    for row in range(height):
        text = ''
        for column in range(width):
            bits = 0
            for dot_row in range(up):
                for dot_column in range(across):
                    if (column * across + dot_column, levels - 1 - (row * up + dot_row)) in lit:
                        bits |= _DOTS[dot_row][dot_column]
            text += ' ' if not bits else chr(0x2800 + bits) if braille else '*'
        rows.append(text)
    return rows


def _line(x0: int, y0: int, x1: int, y1: int) -> list[tuple[int, int]]:
    """The points of a straight line without gaps."""
    count = max(abs(x1 - x0), abs(y1 - y0), 1)
    return [(round(x0 + (x1 - x0) * i / count), round(y0 + (y1 - y0) * i / count)) for i in range(count + 1)]

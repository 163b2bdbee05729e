# SPDX-License-Identifier: GPL-3.0-or-later
"""What `focus watch` shows: the lines of a screen of any size, made from what is known, without a terminal.

A line is a list of pieces, each a text and its style: an escape sequence, or an empty text.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ..constants import FocuserStatus
from .chart import Trace, drawn
from .status import OLD_S, duration, printable, reason

Line = list  # of (text, style)

_BOLD, _DIM, _RED, _YELLOW, _CYAN, _GREEN = (f'\x1b[{n}m' for n in (1, 2, 91, 93, 36, 92))
_PLAIN = '\x1b[0m'
_STYLES = {FocuserStatus.Disabled: _BOLD, FocuserStatus.Initializing: '\x1b[96m', FocuserStatus.Idle: _GREEN,
           FocuserStatus.Moving: _YELLOW}

_LABEL_WIDTH = 8    # of the numbers at a chart
_NARROWEST_CHART = 12
_HIGHEST_CHART = 12
_FLAT_STEPS, _FLAT_C = 10, 0.4  # a chart spans no less, or noise would look like an event


class Known(NamedTuple):
    """What the screen is made from. `now` and the traces share one clock; ages are in seconds."""

    title: str
    clock: str
    now: float
    state: dict[str, Any] | None     # the last answer, None before the first and while there is none
    age_s: float                     # of the data in it
    silence: tuple[str, ...]         # what to say of a daemon that does not answer, in two lines; else empty
    positions: dict[int, Trace]
    temperatures: dict[int, Trace]


def screen(known: Known, columns: int, rows: int, unicode: bool) -> list[Line]:
    """The lines, no more than `rows`, none longer than `columns`."""
    lines = [_title(known, columns)]
    room = (rows - 2) // 2               # for each channel
    chart_rows = min(_HIGHEST_CHART, room - 4)
    if chart_rows < 2:
        chart_rows = 0
    for channel in (1, 2):
        if room >= 3:
            lines.append([(text, _RED) for text in known.silence[1:]] if channel == 1 else [])
        lines.append(_head(known, channel, columns, unicode))
        if room >= 2:
            lines.append(_bar(known, channel, columns, unicode))
        if chart_rows:
            lines += _charts(known, channel, columns, chart_rows, unicode)
    return [_clipped(line, columns) for line in lines[:rows]]


def painted(lines: list[Line], columns: int, rows: int, colour: bool) -> str:
    """The screen as a terminal takes it, from the upper left corner, over whatever it shows."""
    texts = []
    for line in lines:
        text = ''.join(f'{style}{text}{_PLAIN}' if style and colour else text for text, style in line)
        # Behind a line that is full the cursor is still on its last character, which would be erased
        texts.append(text if sum(len(text) for text, _ in line) >= columns else f'{text}\x1b[K')
    return '\r\n'.join(texts) + ('\r\n\x1b[J' if len(lines) < rows else '')


def _title(known: Known, columns: int) -> Line:
    if known.silence:
        return [(known.silence[0], _RED)]
    if known.state is None:
        return [(known.title, _BOLD), ('  waiting for the first answer', '')]
    age = f'data {duration(known.age_s)} old'
    right = f'{age}   {known.clock}'
    left = known.title if len(known.title) + len(right) + 2 <= columns else known.title.split()[0]
    if len(left) + len(right) + 2 > columns:
        right = age
    gap = ' ' * max(2, columns - len(left) - len(right))
    return [(left, _BOLD), (gap, ''), (age, _YELLOW if known.age_s > OLD_S else _DIM), (right[len(age):], _DIM)]


def _status(known: Known, channel: int) -> int | None:
    status = known.state.get(f'status_{channel}') if known.state else None
    return status if isinstance(status, int) else None


def _number(known: Known, key: str, channel: int) -> int | None:
    value = known.state.get(f'{key}_steps_{channel}') if known.state else None
    return value if isinstance(value, int) else None


def _usable(known: Known, channel: int) -> bool:
    return _status(known, channel) in (FocuserStatus.Idle, FocuserStatus.Moving)


def _head(known: Known, channel: int, columns: int, unicode: bool) -> Line:
    name: Line = [(f'Channel {channel}  ', _BOLD)]
    if known.state is None:
        return [*name, ('NO ANSWER' if known.silence else '', _DIM)]
    status = _status(known, channel)
    line: Line = [*name, (f'{FocuserStatus.label(-1 if status is None else status):12}',
                          _STYLES.get(-1 if status is None else status, _RED))]
    if _usable(known, channel):
        steps, target = _number(known, 'current', channel), _number(known, 'target', channel)
        line.append((f'  {steps:+7d} steps' if steps is not None else '  unknown steps', _BOLD))
        going = status == FocuserStatus.Moving and target is not None
        line.append((f' {"→" if unicode else "to"} {target:+d}'.ljust(12) if going else ' ' * 12, _YELLOW))
        celsius = known.state.get(f'temperature_{channel}')
        degrees = '°C' if unicode else ' C'
        line.append((f'{celsius:7.1f}{degrees}' if isinstance(celsius, (int, float)) else ' no temp.', ''))
        line += _remark(known.state, channel, columns - sum(len(text) for text, _ in line))
    nickname = known.state.get(f'nickname_{channel}')
    room = columns - sum(len(text) for text, _ in line) - 3
    if isinstance(nickname, str) and nickname and len(nickname) <= room:
        line.append((f'{printable(nickname):>{room + 3}}', _DIM))
    return line


def _remark(state: dict[str, Any], channel: int, room: int) -> Line:
    """What the hub does by itself, or knows of its home switch, where there is room for it."""
    text = '  compensating' if state.get(f'compensating_{channel}') is True else \
        '  homed' if state.get(f'homed_{channel}') is True else ''
    return [(text, _DIM)] if text and len(text) <= room else []


def _bar(known: Known, channel: int, columns: int, unicode: bool) -> Line:
    """The position within the range or, where there is none, the reason."""
    if known.state is None:
        return []
    if not _usable(known, channel):
        return [(f'  {reason(known.state, channel)}', '')]
    low, high, steps, target = (_number(known, key, channel) for key in ('min', 'max', 'current', 'target'))
    if low is None or high is None or steps is None or low >= high:
        return []
    left, right = f'  {low:+d} ', f' {high:+d}'
    width = columns - len(left) - len(right)
    if width < 10:
        return []

    def place(value: int) -> int:
        return min(width - 1, max(0, round((value - low) / (high - low) * (width - 1))))

    track, zero, way, goal, here = '─┼━◇●' if unicode else '-|=xO'
    cells = [(track, _DIM)] * width
    if low <= 0 <= high:
        cells[place(0)] = (zero, _DIM)
    if target is not None and _status(known, channel) == FocuserStatus.Moving:
        first, last = sorted((place(steps), place(target)))
        cells[first:last + 1] = [(way, _YELLOW)] * (last + 1 - first)
        cells[place(target)] = (goal, _YELLOW)
    cells[place(steps)] = (here, _BOLD + _CYAN)
    return [(left, _DIM), *_joined(cells), (right, _DIM)]


def _charts(known: Known, channel: int, columns: int, rows: int, unicode: bool) -> list[Line]:
    """Both charts side by side, or one alone where there is no room, and their caption."""
    wanted = [(known.positions[channel], 'position', '{:+.0f}', _FLAT_STEPS, _CYAN),
              (known.temperatures[channel], 'temperature', '{:.1f}', _FLAT_C, _YELLOW)]
    width = (columns - 1) // 2 - _LABEL_WIDTH - 3
    if width < _NARROWEST_CHART:
        del wanted[1]
        width = columns - _LABEL_WIDTH - 3
    lines: list[Line] = [[] for _ in range(rows + 1)]
    if width < _NARROWEST_CHART:
        return lines
    for trace, name, form, flat, style in wanted:
        span = trace.span(known.now, flat)
        chart = drawn(trace, known.now, span, width, rows, unicode) if span else [' ' * width] * rows
        labels = [''] * rows
        if span:
            labels[0], labels[-1] = form.format(span[1]), form.format(span[0])
        for line, label, text in zip(lines, labels, chart):
            line += [(f' {label:>{_LABEL_WIDTH}} {"│" if unicode else "|"}', _DIM), (text, style), (' ', '')]
        caption = f'{name}, {trace.window_s(known.now) // 60} min'
        lines[-1].append((f'{"":{_LABEL_WIDTH + 1}} {caption:{width + 2}}', _DIM))
    return lines


def _joined(cells: Line) -> Line:
    """Neighbours of one style as one piece."""
    line: Line = []
    for text, style in cells:
        if line and line[-1][1] == style:
            line[-1] = (line[-1][0] + text, style)
        else:
            line.append((text, style))
    return line


def _clipped(line: Line, columns: int) -> Line:
    clipped, room = [], columns
    for text, style in line:
        clipped.append((text[:room], style))
        room -= len(clipped[-1][0])
    return clipped

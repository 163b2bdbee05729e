# SPDX-License-Identifier: GPL-3.0-or-later
"""The screen of `focus watch`: its lines for a terminal of any size. Nothing here reads or writes a terminal."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..constants import CHANNELS, FocuserStatus, is_usable
from ..text import printable
from .chart import Trace, drawn
from .status import OLD_S, duration, is_stalled, reason
from .terminal import RESET_STYLE

Line = list[tuple[str, str]]
"""Pieces of text, each with its style: an escape sequence, or nothing."""

_BOLD, _DIM, _RED, _YELLOW, _CYAN, _GREEN = (f'\x1b[{n}m' for n in (1, 2, 91, 93, 36, 92))
_STYLES = {FocuserStatus.Disabled: _BOLD, FocuserStatus.Initializing: '\x1b[96m', FocuserStatus.Idle: _GREEN,
           FocuserStatus.Moving: _YELLOW}

_AXIS_WIDTH = 8              # of the numbers beside a chart
_NARROWEST_CHART = 12
_HIGHEST_CHART = 12
_LEAST_SPAN_STEPS = 10       # of a chart; noise would be as large as an event in a smaller one
_LEAST_SPAN_C = 0.4
_NARROWEST_RANGE = 10


class ScreenData(NamedTuple):
    """What the screen shows. `now` and the traces have the same clock."""

    unit: str
    address: str
    clock: str
    now: float
    state: dict[str, Any] | None     # the last answer; None before the first one, and while the daemon is silent
    age_s: float                     # of the data in `state`
    silent_s: float | None           # how long the daemon has been silent; None if it answers
    positions: dict[int, Trace]
    temperatures: dict[int, Trace]

    def number(self, key: str, channel: int) -> int | None:
        """An integer of the state; None if it is not there."""
        value = self.state.get(f'{key}_{channel}') if self.state else None
        return value if isinstance(value, int) else None

    def usable(self, channel: int) -> bool:
        return is_usable(self.number('status', channel))


def screen(data: ScreenData, columns: int, rows: int, unicode: bool) -> list[Line]:
    """The lines: at most `rows`, none longer than `columns`."""
    lines = [_title(data, columns)]
    room = (rows - 2) // 2               # for each channel
    chart_rows = min(_HIGHEST_CHART, room - 4)
    if chart_rows < 2:
        chart_rows = 0
    for channel in CHANNELS:
        if room >= 3:
            first = channel == CHANNELS[0]
            lines.append([(f'is {data.unit} running?', _RED)] if first and data.silent_s is not None else [])
        lines.append(_head(data, channel, columns, unicode))
        if room >= 2:
            lines.append(_bar(data, channel, columns, unicode))
        if chart_rows:
            lines += _charts(data, channel, columns, chart_rows, unicode)
    return [_clipped(line, columns) for line in lines[:rows]]


def painted(lines: list[Line], columns: int, rows: int, colour: bool) -> str:
    """The text that draws these lines over the present screen, from the upper left corner."""
    texts = []
    for line in lines:
        text = ''.join(f'{style}{text}{RESET_STYLE}' if style and colour else text for text, style in line)
        # After a line of full width the cursor is still on its last character, which must not be erased
        texts.append(text if sum(len(text) for text, _ in line) >= columns else f'{text}\x1b[K')
    return '\r\n'.join(texts) + ('\r\n\x1b[J' if len(lines) < rows else '')


def _title(data: ScreenData, columns: int) -> Line:
    if data.silent_s is not None:
        return [(f'no answer from focusd at {data.address} for {duration(data.silent_s)}', _RED)]
    title = f'{data.unit}  {data.address}'
    if data.state is None:
        return [(title, _BOLD), ('  waiting for the first answer', '')]
    age = f'data {duration(data.age_s)} old'
    right = f'{age}   {data.clock}'
    left = title if len(title) + len(right) + 2 <= columns else data.unit
    if len(left) + len(right) + 2 > columns:
        right = age
    gap = ' ' * max(2, columns - len(left) - len(right))
    return [(left, _BOLD), (gap, ''), (age, _YELLOW if data.age_s > OLD_S else _DIM), (right[len(age):], _DIM)]


def _head(data: ScreenData, channel: int, columns: int, unicode: bool) -> Line:
    name: Line = [(f'Channel {channel}  ', _BOLD)]
    if data.state is None:
        return [*name, ('NO ANSWER' if data.silent_s is not None else '', _DIM)]
    status = data.number('status', channel)
    number = -1 if status is None else status
    label, style = FocuserStatus.label(number), _STYLES.get(number, _RED)
    if is_stalled(data.state, channel):
        label, style = 'not moving', _RED
    line: Line = [*name, (f'{label:12}', style)]
    if data.usable(channel):
        steps, target = data.number('current_steps', channel), data.number('target_steps', channel)
        line.append((f'  {steps:+7d} steps' if steps is not None else '  unknown steps', _BOLD))
        has_target = status == FocuserStatus.Moving and target is not None
        line.append((f' {"→" if unicode else "to"} {target:+d}'.ljust(12) if has_target else ' ' * 12, _YELLOW))
        celsius = data.state.get(f'temperature_{channel}')
        degrees = '°C' if unicode else ' C'
        line.append((f'{celsius:7.1f}{degrees}' if isinstance(celsius, (int, float)) else ' no temp.', ''))
        line += _remark(data.state, channel, columns - sum(len(text) for text, _ in line))
    nickname = data.state.get(f'nickname_{channel}')
    room = columns - sum(len(text) for text, _ in line) - 3
    if isinstance(nickname, str) and nickname and len(nickname) <= room:
        line.append((f'{printable(nickname):>{room + 3}}', _DIM))
    return line


def _remark(state: dict[str, Any], channel: int, room: int) -> Line:
    """Whether the hub compensates, or the focuser is homed, if there is room for that."""
    text = '  compensating' if state.get(f'compensating_{channel}') is True else \
        '  homed' if state.get(f'homed_{channel}') is True else ''
    return [(text, _DIM)] if text and len(text) <= room else []


def _bar(data: ScreenData, channel: int, columns: int, unicode: bool) -> Line:
    """The position within the range or, for a channel that cannot be used, the reason."""
    if data.state is None:
        return []
    if not data.usable(channel):
        return [(f'  {reason(data.state, channel)}', '')]
    low, high, steps, target = (data.number(f'{key}_steps', channel) for key in ('min', 'max', 'current', 'target'))
    if low is None or high is None or steps is None or low >= high:
        return []
    left, right = f'  {low:+d} ', f' {high:+d}'
    width = columns - len(left) - len(right)
    if width < _NARROWEST_RANGE:
        return []

    def column(value: int) -> int:
        return min(width - 1, max(0, round((value - low) / (high - low) * (width - 1))))

    track, zero, way, goal, position = '─┼━◇●' if unicode else '-|=xO'
    cells = [(track, _DIM)] * width
    if low <= 0 <= high:
        cells[column(0)] = (zero, _DIM)
    if target is not None and data.number('status', channel) == FocuserStatus.Moving:
        first, last = sorted((column(steps), column(target)))
        cells[first:last + 1] = [(way, _YELLOW)] * (last + 1 - first)
        cells[column(target)] = (goal, _YELLOW)
    cells[column(steps)] = (position, _BOLD + _CYAN)
    return [(left, _DIM), *_joined(cells), (right, _DIM)]


def _charts(data: ScreenData, channel: int, columns: int, rows: int, unicode: bool) -> list[Line]:
    """The charts of position and temperature side by side with their captions; only the first if there is no room."""
    wanted = [(data.positions[channel], 'position', '{:+.0f}', _LEAST_SPAN_STEPS, _CYAN),
              (data.temperatures[channel], 'temperature', '{:.1f}', _LEAST_SPAN_C, _YELLOW)]
    width = (columns - 1) // 2 - _AXIS_WIDTH - 3
    if width < _NARROWEST_CHART:
        del wanted[1]
        width = columns - _AXIS_WIDTH - 3
    lines: list[Line] = [[] for _ in range(rows + 1)]
    if width < _NARROWEST_CHART:
        return lines
    for trace, name, form, least_span, style in wanted:
        span = trace.span(data.now, least_span)
        chart = drawn(trace, data.now, span, width, rows, unicode) if span else [' ' * width] * rows
        labels = [''] * rows
        if span:
            labels[0], labels[-1] = form.format(span[1]), form.format(span[0])
        for line, label, text in zip(lines, labels, chart):
            line += [(f' {label:>{_AXIS_WIDTH}} {"│" if unicode else "|"}', _DIM), (text, style), (' ', '')]
        caption = f'{name}, {trace.window_s(data.now) // 60} min'
        lines[-1].append((f'{"":{_AXIS_WIDTH + 1}} {caption:{width + 2}}', _DIM))
    return lines


def _joined(cells: Line) -> Line:
    """The same line, in which neighbours of one style are one piece."""
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

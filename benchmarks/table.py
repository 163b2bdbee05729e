# SPDX-License-Identifier: GPL-3.0-or-later
"""What comes out of a run: rows of figures with their floors, as a table for people and as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

RELATIONS = ('ratio', 'difference', 'equal', 'value')


@dataclass(frozen=True)
class Row:
    """A figure, its floor, and what is wanted of the two.

    `relation` says what `limit` limits: measured / floor, measured - floor, nothing (the two have to be equal), or the
    measured value alone. The limit is an upper one unless `at_least`; None where nothing is demanded. Measured, floor
    and the limit of a difference or value are in `unit`; `n` measurements are behind the figure.
    """

    group: str
    figure: str
    n: int
    measured: float
    floor: float | None
    unit: str
    relation: str
    limit: float | None
    at_least: bool = False
    note: str = ''

    def __post_init__(self) -> None:
        if self.relation not in RELATIONS:
            raise ValueError(f'relation must be one of {", ".join(RELATIONS)}, not {self.relation!r}')
        if self.floor is None and self.relation != 'value':
            raise ValueError(f'{self.figure}: without a floor there is only a value to compare')

    @property
    def compared(self) -> float:
        """What the limit is for: a ratio, or a difference or value in `unit`."""
        if self.relation == 'value' or self.floor is None:
            return self.measured
        if self.relation == 'ratio':
            return self.measured / self.floor if self.floor else math.inf
        return self.measured - self.floor

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None where there is none."""
        if self.relation == 'equal':
            return self.measured == self.floor
        if self.limit is None:
            return None
        return self.compared >= self.limit if self.at_least else self.compared <= self.limit

    @property
    def target(self) -> str:
        """The target in words."""
        if self.relation == 'equal':
            return 'the floor'
        if self.limit is None:
            return '-'
        sign = '>=' if self.at_least else '<='
        if self.relation == 'ratio':
            return f'{sign} {self.limit:g} x'
        number = f'{self.limit:g} {self.unit}'
        return f'{sign} floor + {number}' if self.relation == 'difference' else f'{sign} {number}'

    def cells(self) -> tuple[str, ...]:
        """The row as it is printed."""
        if self.relation == 'value':
            compared = '-'
        elif self.relation == 'ratio':
            compared = f'{self.compared:.2f} x'
        else:
            compared = f'{self.compared:+.{_digits(self.compared)}f} {self.unit}'
        floor = '-' if self.floor is None else f'{self.floor:.{_digits(self.floor)}f} {self.unit}'
        met = {True: 'yes', False: 'NO', None: '-'}[self.met]
        return (self.figure, str(self.n), f'{self.measured:.{_digits(self.measured)}f} {self.unit}', floor, compared,
                self.target, met)


HEADINGS = ('figure', 'n', 'measured', 'floor', 'ratio or difference', 'target', 'met?')


def table(rows: Sequence[Row]) -> str:
    """All rows under their headings, a blank line between groups; text to the left, numbers to the right."""
    body = [row.cells() for row in rows]
    widths = [max(len(cells[column]) for cells in [HEADINGS, *body]) for column in range(len(HEADINGS))]

    def line(cells: Sequence[str]) -> str:
        return '  '.join(cell.ljust(width) if column in (0, 5, 6) else cell.rjust(width)
                         for column, (cell, width) in enumerate(zip(cells, widths))).rstrip()

    lines = [line(HEADINGS), line(['-' * width for width in widths])]
    group = rows[0].group if rows else ''
    for row, cells in zip(rows, body):
        if row.group != group:
            lines.append('')
            group = row.group
        lines.append(line(cells))
    return '\n'.join(lines)


def verdict(rows: Sequence[Row]) -> str:
    """One sentence, and a line for each target that was missed."""
    demanded = [row for row in rows if row.met is not None]
    missed = [row for row in demanded if not row.met]
    lines = [f'{len(demanded) - len(missed)} of {len(demanded)} targets met']
    for row in missed:
        figure, _, measured, floor, compared, target, _ = row.cells()
        lines.append(f'missed: {figure}: {measured}, floor {floor} ({compared}), target {target}')
    return '\n'.join(lines)


def as_json(rows: Sequence[Row], about: dict[str, Any]) -> str:
    """The run as one JSON object: what is known of it, and `rows` in their order."""
    return json.dumps({**about, 'rows': [
        {**asdict(row), 'compared': row.compared if math.isfinite(row.compared) else None, 'target': row.target,
         'met': row.met} for row in rows]}, indent=2) + '\n'


def percentile(values: Sequence[float], q: float) -> float:
    """The smallest of the values that at least q percent of them do not exceed. Raises ValueError without values."""
    if not values:
        raise ValueError('no values')
    if not 0 < q <= 100:
        raise ValueError(f'q must be above 0 and at most 100, not {q:g}')
    return sorted(values)[math.ceil(len(values) * q / 100) - 1]


def median(values: Sequence[float]) -> float:
    """The middle of the values, the mean of the two middle ones if their number is even. Raises ValueError without."""
    if not values:
        raise ValueError('no values')
    ordered = sorted(values)
    return (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2


def _digits(value: float) -> int:
    return 0 if value == int(value) or abs(value) >= 10000 else 3 if abs(value) < 10 else 1

# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of the benchmark, its JSON, and its statistics. What is measured is not asserted anywhere."""

from __future__ import annotations

import json
import random
import statistics
from typing import Any

import pytest

from benchmarks.table import Row, as_json, median, percentile, table, verdict


def row(measured: float, floor: float | None, relation: str, limit: float | None, **others: Any) -> Row:
    return Row(**{'group': 'g', 'figure': 'a figure', 'n': 3, 'unit': 'ms', 'measured': measured, 'floor': floor,
                  'relation': relation, 'limit': limit, **others})


@pytest.mark.parametrize(('measured', 'floor', 'relation', 'limit', 'at_least', 'met'), [
    (115.0, 100.0, 'ratio', 1.15, False, True),
    (116.0, 100.0, 'ratio', 1.15, False, False),
    (90.0, 100.0, 'ratio', 0.9, True, True),
    (89.0, 100.0, 'ratio', 0.9, True, False),
    (125.0, 100.0, 'difference', 25, False, True),
    (125.5, 100.0, 'difference', 25, False, False),
    (99.0, 100.0, 'difference', 25, False, True),
    (20.0, 20.0, 'equal', None, False, True),
    (19.0, 20.0, 'equal', None, False, False),
    (21.0, 20.0, 'equal', None, False, False),
    (100.0, None, 'value', 100, False, True),
    (100.1, None, 'value', 100, False, False),
    (5.0, 1.0, 'ratio', None, False, None),
    (5.0, 0.0, 'ratio', 1.5, False, False),
])
def test_a_target_is_met_up_to_its_limit(measured: float, floor: float | None, relation: str, limit: float | None,
                                         at_least: bool, met: bool | None) -> None:
    assert row(measured, floor, relation, limit, at_least=at_least).met is met


def test_a_row_says_what_was_measured_and_what_was_wanted() -> None:
    assert row(125.5, 100.25, 'difference', 25).cells() == (
        'a figure', '3', '125.5 ms', '100.2 ms', '+25.2 ms', '<= floor + 25 ms', 'NO')
    assert row(1.5, 1.25, 'ratio', 1.25, unit='s').cells() == (
        'a figure', '3', '1.500 s', '1.250 s', '1.20 x', '<= 1.25 x', 'yes')
    assert row(3000, 3200, 'ratio', 0.9, at_least=True, unit='/s').cells()[4:] == ('0.94 x', '>= 0.9 x', 'yes')
    assert row(20, 20, 'equal', None, unit='exchanges').cells()[3:] == (
        '20 exchanges', '+0 exchanges', 'the floor', 'yes')
    assert row(52.4, None, 'value', 100).cells()[3:] == ('-', '-', '<= 100 ms', 'yes')
    assert row(2.0, 1.0, 'ratio', None).cells()[4:] == ('2.00 x', '-', '-')


@pytest.mark.parametrize(('floor', 'relation'), [(1.0, 'quotient'), (None, 'ratio'), (None, 'difference')])
def test_a_comparison_that_cannot_be_made_is_refused(floor: float | None, relation: str) -> None:
    with pytest.raises(ValueError):
        row(1.0, floor, relation, 1.0)


def test_the_table_has_a_line_for_each_row_and_its_columns_stand_below_each_other() -> None:
    rows = [row(1.0, 1.0, 'ratio', 2, figure='short'), row(12345.0, 1.0, 'ratio', 2, figure='a longer name'),
            row(2.0, 1.0, 'ratio', None, group='h')]
    heading, rule, *lines = table(rows).splitlines()
    assert heading.split() == ['figure', 'n', 'measured', 'floor', 'ratio', 'or', 'difference', 'target', 'met?']
    assert lines[2] == ''   # between groups
    assert [line.split('  ')[0] for line in (lines[0], lines[1], lines[3])] == ['short', 'a longer name', 'a figure']
    assert {line.index(' x ') for line in (lines[0], lines[1], lines[3])} == {heading.index('difference') + 8}
    assert len(rule) == len(heading)


def test_an_empty_table_has_its_headings_only() -> None:
    assert len(table([]).splitlines()) == 2


def test_the_verdict_names_each_target_that_was_missed_and_counts_those_that_there_are() -> None:
    rows = [row(1.0, 1.0, 'ratio', 2), row(3.0, 1.0, 'ratio', 2, figure='slow'), row(9.0, 1.0, 'ratio', None)]
    assert verdict(rows).splitlines() == [
        '1 of 2 targets met', 'missed: slow: 3 ms, floor 1 ms (3.00 x), target <= 2 x']


def test_the_json_holds_what_the_table_shows() -> None:
    rows = [row(125.5, 100.25, 'difference', 25, note='why'), row(5.0, 0.0, 'ratio', 1.5)]
    run = json.loads(as_json(rows, {'cpu': 'Z80', 'seconds': 3.5}))
    assert (run['cpu'], run['seconds']) == ('Z80', 3.5)
    first, second = run['rows']
    assert first == {'group': 'g', 'figure': 'a figure', 'n': 3, 'measured': 125.5, 'floor': 100.25, 'unit': 'ms',
                     'relation': 'difference', 'limit': 25, 'at_least': False, 'note': 'why', 'compared': 25.25,
                     'target': '<= floor + 25 ms', 'met': False}
    assert second['compared'] is None   # JSON has no infinity


def test_a_percentile_is_the_smallest_value_that_so_many_do_not_exceed() -> None:
    values = list(range(1, 101))
    random.Random(3).shuffle(values)
    assert [percentile(values, q) for q in (1, 50, 95, 99, 99.5, 100)] == [1, 50, 95, 99, 100, 100]
    assert percentile([7.0], 99) == 7.0
    assert percentile([1, 2, 3, 4], 50) == 2
    for q in (1, 37, 50, 95, 99):
        assert sum(value <= percentile(values, q) for value in values) == q


@pytest.mark.parametrize('q', [0, -1, 101])
def test_a_percentile_that_does_not_exist_is_refused(q: float) -> None:
    with pytest.raises(ValueError):
        percentile([1.0], q)


def test_statistics_of_nothing_are_refused() -> None:
    for statistic in (median, lambda values: percentile(values, 50)):
        with pytest.raises(ValueError):
            statistic([])


def test_the_median_is_that_of_the_standard_library() -> None:
    chance = random.Random(5)
    for n in range(1, 12):
        values = [chance.random() for _ in range(n)]
        assert median(values) == statistics.median(values)

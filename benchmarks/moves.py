# SPDX-License-Identifier: GPL-3.0-or-later
"""Moves: from the call of `set_focus` to its return, against the motor's time and the exchanges that a move needs."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from benchmarks.link import exchanges, motor_s, timed
from benchmarks.plant import Focusd, Plant, Simulator
from benchmarks.table import Row, median, percentile
from benchmarks.waiting import BenchmarkError, at_once

# Name, settings of the motor, and by how many ms the median and the 95th percentile may exceed the floor
VARIANTS: tuple[tuple[str, dict[str, float], float, float], ...] = (
    ('constant speed', {}, 25, 60),
    ('ramps of 0.3 s', {'ramp': 0.3}, 40, 100),
    ('start latency of 0.5 s', {'start_latency': 0.5}, 40, 100),
)

# Steps, and how many moves, at length and quickly
SIZES = ((1, 30, 6), (100, 24, 6), (5000, 5, 1))

# Moves of so many steps, each length once: a daemon cannot know them from the move before
UNALIKE, UNALIKE_STEPS = 15, range(20, 1500)

SWEEP_MOVES, SWEEP_STEPS = 30, 200
BOTH_STEPS = 3000
EXCHANGES = 40


def single(plant: Plant, quick: bool) -> list[Row]:
    """Single moves of several lengths, to and fro. Each kind of motor has a hub and a daemon of its own, and all
    three work at the same time: they mostly wait."""
    rows = at_once([partial(_variant, plant, quick, *variant) for variant in VARIANTS])
    return [row for each in rows for row in each]


def _variant(plant: Plant, quick: bool, name: str, motor: dict[str, float], median_ms: float,
             p95_ms: float) -> list[Row]:
    simulator = Simulator(plant, **motor)
    exchange = exchanges(simulator, EXCHANGES)
    unalike = random.Random(4).sample(UNALIKE_STEPS, 3 if quick else UNALIKE)
    motors_s = {steps: motor_s(simulator, steps) for steps in [size for size, _, _ in SIZES] + unalike}
    daemon = Focusd(plant, simulator.port).connect()
    rows = []
    with daemon.proxy() as proxy:
        for steps, many, few in SIZES:
            floor_s = motors_s[steps] + exchange.move_s + exchange.status_s
            moves_s = [timed(partial(_move, proxy, 1, 0 if number % 2 else steps))
                       for number in range(few if quick else many)]
            _move(proxy, 1, 0)
            note = (f'floor: motor {motors_s[steps] * 1000:.1f} ms, MA {exchange.move_s * 1000:.2f} ms, '
                    f'status {exchange.status_s * 1000:.2f} ms; above it, one after the other: '
                    + ', '.join(f'{1000 * (move_s - floor_s):+.1f}' for move_s in moves_s))
            for statistic, value_s, limit_ms in (('median', median(moves_s), median_ms),
                                                 ('p95', percentile(moves_s, 95), p95_ms)):
                rows.append(Row('moves', f'set_focus {steps} steps, {name}, {statistic}', len(moves_s),
                                value_s * 1000, floor_s * 1000, 'ms', 'difference', limit_ms, note=note))
        floors_s = {steps: motors_s[steps] + exchange.move_s + exchange.status_s for steps in unalike}
        rows += _unalike(proxy, name, floors_s)
    return rows


def _unalike(proxy: Any, name: str, floors_s: dict[int, float]) -> list[Row]:
    above_s, position = [], 0
    for steps, floor_s in floors_s.items():
        position += -steps if position > 0 else steps
        above_s.append(timed(partial(_move, proxy, 1, position)) - floor_s)
    note = f'{len(above_s)} moves of {min(floors_s)} to {max(floors_s)} steps'
    return [Row('moves', f'other lengths, {name}, above the floor, {statistic}', len(above_s),
                value_s * 1000, None, 'ms', 'value', None, note=note)
            for statistic, value_s in (('median', median(above_s)), ('worst', max(above_s)))]


def both(plant: Plant, quick: bool) -> list[Row]:
    """Both channels at once: until the later of two calls returns."""
    simulator = Simulator(plant)
    exchange = exchanges(simulator, EXCHANGES)
    motor = motor_s(simulator, BOTH_STEPS)
    daemon = Focusd(plant, simulator.port).connect()
    floor_s = motor + exchange.move_s + exchange.status_s
    with daemon.proxy() as first, daemon.proxy() as second:
        for proxy in (first, second):
            proxy.report_status()   # connects it
        pairs_s = [timed(lambda steps=steps: _together(  # type: ignore[misc]
            [partial(_move, first, 1, steps), partial(_move, second, 2, -steps)]))
            for steps in [BOTH_STEPS if number % 2 == 0 else 0 for number in range(2 if quick else 6)]]
    note = (f'floor: that of one channel, motor {motor * 1000:.0f} ms, one MA and one status exchange; above the motor '
            f'alone: median {(median(pairs_s) - motor) * 1000:+.1f} ms')
    return [Row('both', f'both channels 3 s at once, {statistic}', len(pairs_s), value_s * 1000, floor_s * 1000, 'ms',
                'difference', 60, note=note)
            for statistic, value_s in (('median', median(pairs_s)), ('worst', max(pairs_s)))]


def sweep(plant: Plant, quick: bool) -> list[Row]:
    """Moves one after the other, with a call for the status after each, as autofocus does it: out, and back again."""
    simulator = Simulator(plant)
    motor = motor_s(simulator, SWEEP_STEPS)
    daemon = Focusd(plant, simulator.port).connect()

    out = [SWEEP_STEPS * number for number in range(1, SWEEP_MOVES + 1)]
    back = [SWEEP_STEPS * number for number in reversed(range(SWEEP_MOVES))]

    def run(proxy: Any, positions: list[int]) -> None:
        for steps in positions:
            _move(proxy, 1, steps)
            status = proxy.report_status()
            if status['current_steps_1'] != steps:
                raise BenchmarkError(f'a move to {steps} steps has ended, and the status says: {status}')

    with daemon.proxy() as proxy:
        sweeps_s = [timed(partial(run, proxy, positions)) for positions in ([out] if quick else [out, back])]
    floor_s = motor * SWEEP_MOVES
    return [Row('sweep', f'sweep of {SWEEP_MOVES} moves of {SWEEP_STEPS} steps', len(sweeps_s), median(sweeps_s),
                floor_s, 's', 'ratio', 1.15,
                note='floor: the motor alone; ' + ', '.join(f'{each:.3f} s' for each in sweeps_s))]


def _move(proxy: Any, channel: int, steps: int) -> None:
    outcome = proxy.set_focus(channel, steps)
    if outcome != 0:
        raise BenchmarkError(f'set_focus({channel}, {steps}) returned {outcome}: {proxy.report_status()}')


def _together(functions: list[Callable[[], None]]) -> None:
    gate = threading.Barrier(len(functions))

    def run(function: Callable[[], None]) -> None:
        gate.wait()
        function()

    at_once([partial(run, function) for function in functions])

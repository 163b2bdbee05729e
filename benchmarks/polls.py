# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes over the wire: status exchanges of an idle daemon and of moves of several lengths, counted by a relay."""

from __future__ import annotations

import time
from functools import partial

from benchmarks.link import motor_s
from benchmarks.plant import Focusd, Plant, Relay, Simulator, call
from benchmarks.table import Row
from benchmarks.waiting import BenchmarkError, at_once, eventually

IDLE_DELAY_S = 1.0
MOVING_DELAY_S = 0.5
MOST_EXTRA = 6
MOTORS: tuple[tuple[str, dict[str, float]], ...] = (
    ('constant speed', {}), ('ramps of 0.3 s', {'ramp': 0.3}), ('start latency of 0.5 s', {'start_latency': 0.5}))


def polls(plant: Plant, quick: bool) -> list[Row]:
    """Idle, and moving with each kind of motor; each has a hub and a daemon of its own, all work at the same time."""
    lengths = (200, 1000) if quick else (200, 1000, 5000, 20000)
    rows = at_once([partial(_idle, plant, 4 if quick else 20),
                    *(partial(_moving, plant, lengths, *motor) for motor in MOTORS)])
    return [row for each in rows for row in each]


def _idle(plant: Plant, periods: int) -> list[Row]:
    simulator = Simulator(plant)
    relay = Relay(plant, simulator.port)
    Focusd(plant, relay.port, idle_loop_delay=IDLE_DELAY_S).connect()
    # Begin in the middle between two polls
    connected_at = time.monotonic()
    eventually(lambda: relay.count('F1GETSTATUS', connected_at, time.monotonic()), 'a poll of an idle focuser')
    time.sleep(IDLE_DELAY_S / 2)
    begin = time.monotonic()
    time.sleep(periods * IDLE_DELAY_S)
    end = time.monotonic()
    settings = sum(relay.count(f'F{n}GETCONFIG', begin, end) for n in (1, 2))
    return [Row('wire', f'status exchanges, idle, {periods} idle_loop_delays, channel {n}', 1,
                relay.count(f'F{n}GETSTATUS', begin, end), periods, 'exchanges', 'equal', None,
                note=f'idle_loop_delay {IDLE_DELAY_S:g} s; besides, {settings} readings of the settings')
            for n in (1, 2)]


def _moving(plant: Plant, lengths: tuple[int, ...], name: str, motor: dict[str, float]) -> list[Row]:
    simulator = Simulator(plant, **motor)
    motors_s = {steps: motor_s(simulator, steps) for steps in lengths}
    relay = Relay(plant, simulator.port)
    daemon = Focusd(plant, relay.port, moving_loop_delay=MOVING_DELAY_S).connect()
    rows = []
    position = 0
    for steps in lengths:
        counts = []
        for _ in range(3 if steps <= 1000 else 1):
            position += -steps if position > 0 else steps
            begin = time.monotonic()
            if call(daemon, 'set_focus', 1, position) != 0:
                raise BenchmarkError(f'a move to {position} steps failed')
            counts.append(relay.count('F1GETSTATUS', begin, time.monotonic()))
        rows.append(Row('wire', f'status exchanges, move of {motors_s[steps]:.1f} s, {name}, most', len(counts),
                        max(counts), int(motors_s[steps] / MOVING_DELAY_S), 'exchanges', 'difference', MOST_EXTRA,
                        note=f'one after the other: {", ".join(map(str, counts))}'))
    return rows

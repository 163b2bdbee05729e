# SPDX-License-Identifier: GPL-3.0-or-later
"""Stops: from the call of `stop_channel` until HALT is on the wire, as a relay in front of the hub sees it."""

from __future__ import annotations

import random
import time
from functools import partial
from typing import Any

from benchmarks.link import exchanges
from benchmarks.plant import ZERO, Focusd, Plant, Relay, Simulator, call
from benchmarks.table import Row, median, percentile
from benchmarks.waiting import Background, at_once, eventually

LONG_WAY = 40000
SERIAL_TIMEOUT_S = 5
DENSE_S = 0.1
"""moving_loop_delay while the hub is well: five times as many polls as usual, so that many stops find one under way."""


def stops(plant: Plant, quick: bool) -> list[Row]:
    """With the hub well, and with the hub mute; each has a hub and a daemon of its own, both work at the same time."""
    rows = at_once([partial(_well, plant, 10 if quick else 100), partial(_mute, plant, 3 if quick else 20)])
    return [row for each in rows for row in each]


def _well(plant: Plant, n: int) -> list[Row]:
    simulator = Simulator(plant)
    floor_s = exchanges(simulator, 40).status_s
    relay = Relay(plant, simulator.port)
    daemon = Focusd(plant, relay.port, moving_loop_delay=DENSE_S).connect()
    chance = random.Random(1)
    with daemon.proxy() as proxy:
        latencies_s = [_stop_a_move(daemon, proxy, simulator, relay, chance.uniform(0, 2 * DENSE_S)) for _ in range(n)]
    note = (f'worst {max(latencies_s) * 1000:.1f} ms; both channels move, moving_loop_delay {DENSE_S:g} s; '
            'a stop that finds an exchange under way waits for its end')
    return [
        Row('stop', 'stop: call to HALT on the wire, median', n, median(latencies_s) * 1000, floor_s * 1000, 'ms',
            'ratio', None, note=note),
        Row('stop', 'stop: call to HALT on the wire, p99', n, percentile(latencies_s, 99) * 1000, floor_s * 1000, 'ms',
            'ratio', 1.5, note=note)]


def _stop_a_move(daemon: Focusd, proxy: Any, simulator: Simulator, relay: Relay, after_s: float) -> float:
    moves = _begin_moves(daemon, simulator)
    time.sleep(after_s)
    latency_s = _stop(proxy, relay)
    proxy.stop_channel(2)
    for move in moves:
        move.result()
    return latency_s


def _mute(plant: Plant, n: int) -> list[Row]:
    simulator = Simulator(plant)
    relay = Relay(plant, simulator.port)
    daemon = Focusd(plant, relay.port, serial_timeout=SERIAL_TIMEOUT_S).connect()
    chance = random.Random(2)
    latencies_s = []
    with daemon.proxy() as proxy:
        for _ in range(n):
            moves = _begin_moves(daemon, simulator)
            simulator.control('mute')
            muted_at = time.monotonic()
            eventually(lambda since_s=muted_at: relay.requests(since_s),  # type: ignore[misc]
                       'a request to a mute hub')
            time.sleep(chance.uniform(0.03, 0.5))   # longer than any exchange takes, shorter than serial_timeout
            stopping = Background(partial(_stop, proxy, relay))
            eventually(lambda since_s=muted_at: _halts(relay, since_s),  # type: ignore[misc]
                       'HALT to a mute hub', every_s=0.05)
            simulator.control('unmute')
            latencies_s.append(stopping.result())
            for channel in (1, 2):
                call(daemon, 'stop_channel', channel)
            for move in moves:
                move.result()
            daemon.at_rest(proxy)
    return [Row('stop', f'stop, hub mute, reply awaited, serial_timeout {SERIAL_TIMEOUT_S} s, p99', n,
                percentile(latencies_s, 99) * 1000, None, 'ms', 'value', 100,
                note=f'median {median(latencies_s) * 1000:.1f} ms, worst {max(latencies_s) * 1000:.1f} ms')]


def _begin_moves(daemon: Focusd, simulator: Simulator) -> list[Background]:
    """Both channels on long ways, channel 1 in motion in truth."""
    moves = []
    for channel in (2, 1):
        far = LONG_WAY if simulator.control.get(f'{channel}.position') < ZERO else -LONG_WAY
        moves.append(Background(partial(call, daemon, 'set_focus', channel, far)))
    eventually(lambda: simulator.control.get('1.moving') and simulator.control.get('2.moving'), 'a motion')
    return moves


def _halts(relay: Relay, since_s: float) -> list[float]:
    return [at for at, text in relay.requests(since_s) if text == 'F1HALT']


def _stop(proxy: Any, relay: Relay) -> float:
    """Stop channel 1; returns the seconds until HALT was on the wire."""
    begin = time.monotonic()
    proxy.stop_channel(1)
    return _halts(relay, begin)[0] - begin

# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls that need nothing of the hub: how long `report_status` takes and how many there are in a second, against a bare
Pyro4 daemon that returns the same dictionary. They are called in turns, so that the machine disturbs both equally."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from benchmarks.link import timed
from benchmarks.plant import IDLE, MOVING, ROOT, ZERO, Bare, Focusd, Plant, Simulator, call, read_line
from benchmarks.table import Row, median, percentile
from benchmarks.waiting import Background, BenchmarkError, eventually

LONG_WAY = 40000
BATCH = 10
CLIENTS = 16
ROUND_S = 1.0


def report_status(plant: Plant, quick: bool) -> list[Row]:
    """The time of one call in each state of the daemon, over a connection that is kept and over new ones."""
    simulator = Simulator(plant)
    daemon = Focusd(plant, simulator.port, idle_loop_delay=1).connect()
    bare = Bare(plant)
    bare.first_answer_s()
    kept, new = (200, 100) if quick else (4000, 500)
    rows = []
    for name, state in STATES.items():
        with daemon.proxy() as ours, bare.proxy() as theirs, state(daemon, simulator, ours):
            rows += _compare(f'report_status, {name}', kept, ours, theirs, ours.report_status, theirs.report_status,
                             (1.15, 1.3))
            rows += _compare(f'the same with a new connection, {name}', new, ours, theirs,
                             partial(call, daemon, 'report_status'), partial(call, bare, 'report_status'),
                             (None, None))
    return rows


def _compare(name: str, n: int, ours: Any, theirs: Any, our_call: Callable[[], Any], their_call: Callable[[], Any],
             limits: tuple[float | None, float | None]) -> list[Row]:
    measured_s: list[float] = []
    floor_s: list[float] = []
    answer = None
    while len(measured_s) < n:
        if ours.report_status() != answer:
            answer = ours.report_status()
            theirs.keep(answer)
        for function, times_s in ((our_call, measured_s), (their_call, floor_s)):
            times_s += [timed(function) for _ in range(BATCH)]
    return [Row('status', f'{name}, p{q}', len(measured_s), percentile(measured_s, q) * 1e6,
                percentile(floor_s, q) * 1e6, 'us', 'ratio', limit)
            for q, limit in zip((50, 99), limits)]


@contextmanager
def _idle(daemon: Focusd, simulator: Simulator, proxy: Any) -> Iterator[None]:
    yield


@contextmanager
def _moving(daemon: Focusd, simulator: Simulator, proxy: Any) -> Iterator[None]:
    """Another client moves the focuser: no call waits for it."""
    simulator.control(f'request <F1MA{ZERO + LONG_WAY:06d}>')
    eventually(lambda: proxy.report_status()['status_1'] == MOVING, 'Moving')
    yield
    _expect(proxy, MOVING)
    simulator.control('request <F1HALT>')
    daemon.at_rest(proxy)


@contextmanager
def _mute(daemon: Focusd, simulator: Simulator, proxy: Any) -> Iterator[None]:
    """No reply comes, again and again."""
    simulator.control('mute')
    eventually(lambda: proxy.report_status()['status_1'] < IDLE, 'an error')
    yield
    if proxy.report_status()['status_1'] >= IDLE:
        raise BenchmarkError('the hub was mute, and the daemon did not notice')
    simulator.control('unmute')
    daemon.at_rest(proxy)


@contextmanager
def _waiting(daemon: Focusd, simulator: Simulator, proxy: Any) -> Iterator[None]:
    """Another client waits in `set_focus`."""
    move = Background(partial(call, daemon, 'set_focus', 1, -LONG_WAY))
    eventually(lambda: simulator.control.get('1.moving'), 'a motion')
    yield
    _expect(proxy, MOVING)
    proxy.stop_channel(1)
    move.result()
    daemon.at_rest(proxy)


def _expect(proxy: Any, state: int) -> None:
    status = proxy.report_status()
    if status['status_1'] != state:
        raise BenchmarkError(f'the state ended before the measurement: {status}')


STATES = {'idle': _idle, 'moving': _moving, 'hub mute': _mute, "another client's move waiting": _waiting}


def rate(plant: Plant, quick: bool) -> list[Row]:
    """Calls in a second of CLIENTS processes at once, each over one connection."""
    simulator = Simulator(plant)
    daemon = Focusd(plant, simulator.port).connect()
    bare = Bare(plant)
    bare.first_answer_s()
    call(bare, 'keep', call(daemon, 'report_status'))
    workers = [plant.start([str(ROOT / 'benchmarks' / 'worker.py')], subprocess.PIPE) for _ in range(CLIENTS)]
    measured, floor = [], []
    _round(workers, daemon.uri, 0.0)   # until all have connected
    _round(workers, bare.uri, 0.0)
    for _ in range(2 if quick else 6):
        measured.append(_round(workers, daemon.uri, ROUND_S))
        floor.append(_round(workers, bare.uri, ROUND_S))
    return [Row('rate', f'calls per second, {CLIENTS} client processes', len(measured), median(measured), median(floor),
                '/s', 'ratio', 0.9, at_least=True,
                note='rounds: ' + ', '.join(f'{ours:.0f} against {theirs:.0f}'
                                            for ours, theirs in zip(measured, floor)))]


def _round(workers: list[subprocess.Popen[str]], uri: str, seconds: float) -> float:
    """Let all clients call for so long, at the same time; returns the calls per second."""
    start = time.monotonic() + 0.1
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write(f'{uri} {start} {start + seconds}\n')
        worker.stdin.flush()
    calls = 0
    for worker in workers:
        said = read_line(worker)
        if not said.isdigit():
            raise BenchmarkError(f'a client process failed: {said or "it has ended"}')
        calls += int(said)
    return calls / seconds if seconds else 0.0

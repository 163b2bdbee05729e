# SPDX-License-Identifier: GPL-3.0-or-later
"""What the processes cost: the start of daemon and client, CPU at rest, memory."""

from __future__ import annotations

import re
import subprocess
import time
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.link import timed
from benchmarks.plant import ROOT, Bare, Focusd, Plant, Service, Simulator, call, end
from benchmarks.table import Row, median
from benchmarks.waiting import PATIENCE_S, BenchmarkError, at_once

SETTLING_S = 3.0
GROWTH_KIB = 64
"""What may come and go in the allocator while 5000 moves are made: 0.01 KiB for each is a leak."""
LIBRARIES = ('jsonschema', 'serial')
"""What a daemon imports besides Pyro4: jsonschema to check its configuration, pyserial for its port."""
ONE_CALL = 'import sys, Pyro4\nprint(Pyro4.Proxy(sys.argv[1]).report_status())\n'


def client(plant: Plant, quick: bool) -> list[Row]:
    """`focus status` from start to end, with the entry of the daemon built in and in a site file."""
    script = plant.path('one_call.py')
    script.write_text(ONE_CALL)
    bare = Bare(plant)
    bare.first_answer_s()
    rows = []
    for built_in, kind in ((True, ''), (False, ', with a site file')):
        simulator = Simulator(plant)
        daemon = Focusd(plant, simulator.port, built_in).connect()
        call(bare, 'keep', call(daemon, 'report_status'))
        measured_s, floor_s = [], []
        for _ in range(5 if quick else 25):
            measured_s.append(timed(partial(_run, plant, [str(ROOT / 'focus'), 'status'], daemon.variables)))
            floor_s.append(timed(partial(_run, plant, [str(script), bare.uri], {})))
        rows += [Row('client', f'focus status, wall time{kind}, {name}', len(measured_s), value(measured_s) * 1000,
                     value(floor_s) * 1000, 'ms', 'ratio', each)
                 for name, value, each in (('median', median, 1.15), ('least', min, None))]
        end(daemon.process)
    return rows


def _run(plant: Plant, arguments: list[str], variables: dict[str, str]) -> None:
    try:
        subprocess.run([plant.python, *arguments], cwd=plant.directory, env={**plant.environment, **variables},
                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True,
                       timeout=PATIENCE_S)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        said = error.output.decode(errors='replace').strip() if error.output else ''
        raise BenchmarkError(f'{error} {said}'.strip()) from None


def start(plant: Plant, quick: bool) -> list[Row]:
    """From the start of a daemon to its first answer, against a bare daemon that imports the same libraries."""
    measured_s, floor_s = [], []
    for _ in range(3 if quick else 12):
        # There is no such device: a daemon connects only on `initialize`
        daemon = Focusd(plant, '/dev/focuser-of-a-benchmark', built_in=True)
        measured_s.append(daemon.first_answer_s())
        end(daemon.process)
        bare = Bare(plant, *LIBRARIES)
        floor_s.append(bare.first_answer_s())
        end(bare.process)
    return [Row('start', f'start of focusd to its first answer, {name}', len(measured_s), value(measured_s) * 1000,
                value(floor_s) * 1000, 'ms', 'ratio', limit)
            for name, value, limit in (('median', median, 1.2), ('least', min, None))]


def cpu(plant: Plant, quick: bool) -> list[Row]:
    """CPU time of a connected daemon that gets no calls, at the delays of config/clasp.json."""
    simulator = Simulator(plant)
    daemon = Focusd(plant, simulator.port).connect()
    bare = Bare(plant)
    bare.first_answer_s()
    time.sleep(SETTLING_S)
    window_s = 5.0 if quick else 25.0
    begin = time.monotonic()
    before = [_cpu_s(each) for each in (daemon, bare)]
    time.sleep(window_s)
    used = [_cpu_s(each) - was for each, was in zip((daemon, bare), before)]
    seconds = time.monotonic() - begin
    ours, theirs = (100 * each / seconds for each in used)
    return [Row('cpu', f'CPU of the idle daemon over {window_s:g} s', 1, ours, theirs, '% of a core', 'difference',
                0.2)]


def _cpu_s(service: Service) -> float:
    """Seconds of CPU that a process has used, to the nanosecond: Linux has such a clock for each process."""
    return time.clock_gettime(~service.process.pid << 3 | 2)


def memory(plant: Plant, quick: bool) -> list[Row]:
    """Resident memory of the daemon, fresh and after many moves on both channels, against a bare daemon.

    The bare daemon imports the same libraries.
    """
    moves = 1000 if quick else 10000
    simulator = Simulator(plant, speed=100000, pace=0)
    daemon = Focusd(plant, simulator.port, built_in=True).connect()
    other = Focusd(plant, Simulator(plant).port).connect()
    bare = Bare(plant, *LIBRARIES)
    bare.first_answer_s()
    resident_mib, floor_mib = [_resident_mib(daemon)], _resident_mib(bare)
    with daemon.proxy() as first, daemon.proxy() as second:
        for _ in range(2):
            at_once([partial(_many_moves, proxy, channel, moves // 4) for channel, proxy in ((1, first), (2, second))])
            resident_mib.append(_resident_mib(daemon))
    fresh, half, after = resident_mib
    note = f'{1024 * (half - fresh):+.0f} KiB in the moves before, as caches fill'
    return [
        Row('memory', 'memory, fresh', 1, fresh, floor_mib, 'MiB', 'ratio', 1.25),
        Row('memory', 'memory, fresh, with a site file', 1, _resident_mib(other), floor_mib, 'MiB', 'ratio', 1.25),
        Row('memory', f'memory after {moves} moves', 1, after, floor_mib, 'MiB', 'ratio', 1.25),
        Row('memory', f'growth from move {moves // 2} to move {moves}', 1, 1024 * after, 1024 * half, 'KiB',
            'difference', None if quick else GROWTH_KIB, note=note)]


def _many_moves(proxy: Any, channel: int, moves: int) -> None:
    here = proxy.report_status()[f'current_steps_{channel}']
    for number in range(moves):
        outcome = proxy.set_focus(channel, here + (number + 1) % 2)
        if outcome != 0:
            raise BenchmarkError(f'move {number} of channel {channel} returned {outcome}')


def _resident_mib(service: Service) -> float:
    status = Path(f'/proc/{service.process.pid}/status').read_text()
    found = re.search(r'^VmRSS:\s+(\d+) kB', status, re.MULTILINE)
    if found is None:
        raise BenchmarkError('/proc does not show the memory of a process')
    return int(found[1]) / 1024

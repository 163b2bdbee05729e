# SPDX-License-Identifier: GPL-3.0-or-later
"""How near to its floor is focusd? `make bench`, or `python3 -m benchmarks`; see docs/performance.md.

Measures the real daemon on simulated hubs, whose serial connection has its real pace; each figure together with its
floor. Prints a table, and writes the same as JSON. Exit code 0 if all was measured, whatever came out; 1 if not.
"""

from __future__ import annotations

import argparse
import os
import platform
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import Pyro4

from benchmarks import calls, moves, polls, process, stops
from benchmarks.plant import ROOT, Plant, make_interpreter
from benchmarks.table import Row, as_json, table, verdict
from benchmarks.waiting import BenchmarkError, at_once

GROUPS: dict[str, Callable[[Plant, bool], list[Row]]] = {
    'moves': moves.single, 'both': moves.both, 'sweep': moves.sweep, 'stop': stops.stops,
    'status': calls.report_status, 'rate': calls.rate, 'client': process.client, 'wire': polls.polls,
    'cpu': process.cpu, 'memory': process.memory, 'start': process.start}

# One after the other; the groups of one stage are measured at the same time: counts, and a share of the CPU
STAGES = (('moves',), ('both',), ('sweep',), ('stop',), ('status',), ('rate',), ('client',), ('wire', 'cpu'),
          ('memory',), ('start',))

RESULTS = ROOT / 'build' / 'bench' / 'results.json'


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        print(f'error: {message}', file=sys.stderr)
        sys.exit(2)


def _groups(text: str) -> list[str]:
    names = [name.strip() for name in text.split(',')]
    unknown = [name for name in names if name not in GROUPS]
    if unknown:
        raise argparse.ArgumentTypeError(f'unknown name {unknown[0]!r}: {", ".join(GROUPS)} are known')
    return names


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = _Parser(prog='python3 -m benchmarks', allow_abbrev=False,
                     description='Measure focusd, and the floor of each figure in the same run.')
    parser.add_argument('--only', type=_groups, metavar='NAME[,NAME...]', default=list(GROUPS),
                        help=f'measure these: {", ".join(GROUPS)}')
    parser.add_argument('--quick', action='store_true', help='few measurements each: to see that it runs')
    parser.add_argument('--json', type=Path, metavar='PATH', default=RESULTS,
                        help='where the results go (default: build/bench/results.json)')
    return parser.parse_args(arguments)


def machine(python: str) -> dict[str, Any]:
    """What the figures depend on."""
    model = next((line.partition(':')[2].strip() for line in Path('/proc/cpuinfo').read_text().splitlines()
                  if line.startswith('model name')), platform.processor())
    return {'cpu': model, 'cores': len(os.sched_getaffinity(0)), 'kernel': platform.release(),
            'python': platform.python_version(), 'interpreter': os.path.realpath(python)}


def run(names: list[str], quick: bool) -> tuple[list[Row], dict[str, Any]]:
    """Measure; the rows in the order of GROUPS, and what is to be known about the run."""
    found: dict[str, list[Row]] = {}
    load = os.getloadavg()[0]
    begin = time.time()

    def measure(name: str, plant: Plant) -> None:
        found[name] = GROUPS[name](plant, quick)

    with tempfile.TemporaryDirectory(prefix='focusd-bench-') as directory:
        python = make_interpreter(Path(directory))
        about = machine(python)
        for stage in STAGES:
            chosen = [name for name in stage if name in names]
            if chosen:
                print(f'{time.time() - begin:4.0f} s  measuring: {", ".join(chosen)}', file=sys.stderr, flush=True)
                # On this thread, which gets signals, so that no process outlives it
                with ExitStack() as plants:
                    at_once([partial(measure, name, plants.enter_context(Plant(python))) for name in chosen])
    about.update(started=time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(begin)), seconds=round(time.time() - begin, 1),
                 quick=quick, load_before=load, load_after=os.getloadavg()[0])
    return [row for name in GROUPS if name in found for row in found[name]], about


def main(arguments: list[str]) -> int:
    options = _options(arguments)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda received, _: sys.exit(128 + received))
    try:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        with open(options.json, 'a'):
            pass   # it takes minutes to have something to write
        rows, about = run(options.only, options.quick)
        options.json.write_text(as_json(rows, about))
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except (BenchmarkError, OSError, Pyro4.errors.PyroError) as error:
        print(f'error: {" ".join(str(error).split())}', file=sys.stderr)
        return 1
    print(table(rows))
    print()
    print(verdict(rows))
    print('{cpu}, {cores} cores, Python {python}, Linux {kernel}; load {load_before:.1f} before, '
          '{load_after:.1f} after; {seconds:.0f} s'.format(**about))
    print(f'written to {options.json}')
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))

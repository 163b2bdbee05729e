# SPDX-License-Identifier: GPL-3.0-or-later
"""Coverage-guided fuzzing of what reads bytes, for a bounded time: `python3 -m tests.fuzz SECONDS`, or `make fuzz`.

Needs atheris. Each target runs in a process of its own, all at once, and begins with the inputs in `corpus/` beside
this file and with those that earlier runs found worth keeping, in build/fuzz. An input that breaks something is
printed, and kept in build/fuzz. Exit code 1 if one was found, 2 where atheris is not to be had.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import re
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
KEPT = ROOT / 'build' / 'fuzz'
TARGETS = ('reader', 'simulator')
LONGEST_INPUT = 2048
SLOWEST_INPUT_S = 10


def fuzz(name: str, options: list[str]) -> None:
    """Hand a target over to libFuzzer, which ends the process."""
    atheris = importlib.import_module('atheris')
    with atheris.instrument_imports(include=['warwick.observatory.focuslynx', 'tests.fuzz.targets']):
        targets = importlib.import_module('tests.fuzz.targets')
    atheris.Setup([sys.argv[0], *options], targets.TARGETS[name])
    atheris.Fuzz()


def start(name: str, seconds: int) -> subprocess.Popen[str]:
    """The process of a target; the report goes to a file."""
    found = KEPT / name
    found.mkdir(parents=True, exist_ok=True)
    options = [f'-max_total_time={seconds}', f'-max_len={LONGEST_INPUT}', f'-timeout={SLOWEST_INPUT_S}',
               '-print_final_stats=1', f'-artifact_prefix={KEPT}/{name}-', str(found), str(HERE / 'corpus' / name)]
    with open(KEPT / f'{name}.log', 'w') as log:
        return subprocess.Popen([sys.executable, '-m', 'tests.fuzz', '--target', name, *options], cwd=ROOT,
                                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, text=True,
                                env={**os.environ, 'PYTHONPATH': f'{ROOT}{os.pathsep}{ROOT / "common"}'})


def report(name: str, process: subprocess.Popen[str], since: float) -> bool:
    """Print what a target came to; returns whether all was well."""
    text = (KEPT / f'{name}.log').read_text(errors='replace')
    executed = re.search(r'number_of_executed_units: (\d+)', text)
    covered = re.findall(r'\bcov: (\d+) ft: (\d+)', text)
    edges, features = covered[-1] if covered else ('?', '?')
    print(f'{name}: {executed[1] if executed else "?"} executions, {edges} edges, {features} features, '
          f'{len(list((KEPT / name).iterdir()))} inputs kept in {KEPT / name}')
    broken = [path for path in sorted(KEPT.glob(f'{name}-*')) if path.stat().st_mtime >= since]
    for path in broken:
        print(f'{name}: BROKEN by {path.read_bytes()!r}\n  kept in {path}; '
              f'again: {sys.executable} -m tests.fuzz --input {name} {path}')
    if broken or process.returncode != 0:
        print(text[-3000:])
    return not broken and process.returncode == 0


def main() -> int:
    if sys.argv[1:2] == ['--target']:
        fuzz(sys.argv[2], sys.argv[3:])
        return 0
    parser = argparse.ArgumentParser(prog='python3 -m tests.fuzz', description='Fuzz what reads bytes.')
    parser.add_argument('seconds', type=int, nargs='?', default=60, help='how long (default: 60)')
    parser.add_argument('--input', nargs=2, metavar=('TARGET', 'FILE'), help='run one target with one input')
    options = parser.parse_args()
    if options.input:
        if options.input[0] not in TARGETS:
            parser.error(f'unknown target {options.input[0]!r}, known are {", ".join(TARGETS)}')
        importlib.import_module('tests.fuzz.targets').TARGETS[options.input[0]](Path(options.input[1]).read_bytes())
        return 0
    if not 1 <= options.seconds <= 1_000_000:
        parser.error(f'seconds must be a whole number from 1 to 1000000, not {options.seconds}')
    if importlib.util.find_spec('atheris') is None:
        print(f'error: atheris is not installed for {sys.executable}', file=sys.stderr)
        return 2
    since = time.time()
    processes = {name: start(name, options.seconds) for name in TARGETS}
    print(f'fuzzing {" and ".join(TARGETS)} for {options.seconds} s', flush=True)
    try:
        for process in processes.values():
            process.wait()
    except KeyboardInterrupt:
        pass   # the targets have had the same signal, and end with their report
    finally:
        for process in processes.values():
            process.terminate()
            process.wait()
    results = [report(name, process, since) for name, process in processes.items()]
    return 0 if all(results) else 1


if __name__ == '__main__':
    sys.exit(main())

# SPDX-License-Identifier: GPL-3.0-or-later
"""What the simulator may lean on: nothing of the driver, and little of anything else."""
from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulator.harness import MODULE, ROOT

PACKAGE = ROOT / 'warwick/observatory/focuslynx/simulator'
MODULES = sorted(PACKAGE.glob('*.py'))
# Only these may look at a clock, wait or touch anything outside.
EDGES = {'__main__', 'client', 'transports', 'protocol_lynxsim', 'server', 'state'}


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text('utf-8'))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            # One dot is a neighbour, two would be the driver.
            found.add('.' * node.level + (node.module or ''))
    return found


@pytest.mark.parametrize('path', MODULES, ids=lambda path: path.stem)
def test_no_module_imports_the_driver(path: Path) -> None:
    assert [name for name in imports(path) if name.startswith(('..', 'warwick'))] == []


@pytest.mark.parametrize('path', [one for one in MODULES if one.stem not in {*EDGES, '__init__'}],
                         ids=lambda path: path.stem)
def test_the_model_has_no_clock_no_thread_and_no_port(path: Path) -> None:
    forbidden = {'time', 'threading', 'socket', 'select', 'selectors', 'os', 'serial', 'logging', 'datetime'}
    assert imports(path) & (forbidden | {f'.{edge}' for edge in EDGES}) == set()


def test_the_process_needs_neither_pyserial_nor_the_driver() -> None:
    program = (f'import sys, runpy\nsys.argv = ["simulator", "--help"]\n'
               f'try:\n    runpy.run_module({MODULE!r}, run_name="__main__")\nexcept SystemExit:\n    pass\n'
               'print([name for name in sys.modules if name.split(".")[0] in ("serial", "Pyro4", "jsonschema")'
               ' or name.startswith("warwick.observatory.focuslynx.") and ".simulator" not in name])')
    done = subprocess.run([sys.executable, '-c', program], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = ast.literal_eval(done.stdout.splitlines()[-1])
    # The package itself is the parent of the simulator, and exports its constants and Config.
    assert set(loaded) <= {'warwick.observatory.focuslynx.constants', 'warwick.observatory.focuslynx.config',
                           'warwick.observatory.focuslynx._version'}

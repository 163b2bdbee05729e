# SPDX-License-Identifier: GPL-3.0-or-later
"""What the simulator may import: nothing of the driver, and little of anything else."""
from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulator.harness import MODULE, ROOT

PACKAGE = ROOT / 'warwick/observatory/focuslynx/simulator'
MODULES = sorted(PACKAGE.glob('*.py'))
# Only these may read a clock, wait, or use files and ports.
EDGES = {'__main__', 'client', 'transports', 'protocol_lynxsim', 'server', 'state'}


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text('utf-8'))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            # One dot is the simulator, two would be the driver.
            dots = '.' * node.level
            found |= {dots + node.module} if node.module else {dots + alias.name for alias in node.names}
    return found


@pytest.mark.parametrize('path', MODULES, ids=lambda path: path.stem)
def test_no_module_imports_the_driver(path: Path) -> None:
    assert [name for name in imports(path) if name.startswith(('..', 'warwick'))] == []


@pytest.mark.parametrize('path', [one for one in MODULES if one.stem not in {*EDGES, '__init__'}],
                         ids=lambda path: path.stem)
def test_the_model_has_no_clock_no_thread_and_no_port(path: Path) -> None:
    forbidden = {'time', 'threading', 'socket', 'select', 'selectors', 'os', 'serial', 'logging', 'datetime'}
    assert imports(path) & (forbidden | {f'.{edge}' for edge in EDGES}) == set()


def test_no_module_imports_itself_through_others() -> None:
    graph = {path.stem: {name[1:] for name in imports(path) if name.startswith('.')} for path in MODULES}
    graphlib.TopologicalSorter(graph).prepare()


def test_the_process_needs_neither_pyserial_nor_the_driver() -> None:
    program = (f'import sys, runpy\nsys.argv = ["simulator", "--help"]\n'
               f'try:\n    runpy.run_module({MODULE!r}, run_name="__main__")\nexcept SystemExit:\n    pass\n'
               'print([name for name in sys.modules if name.split(".")[0] in ("serial", "Pyro4", "jsonschema")'
               ' or name.startswith("warwick.observatory.focuslynx.") and ".simulator" not in name])')
    done = subprocess.run([sys.executable, '-c', program], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = ast.literal_eval(done.stdout.splitlines()[-1])
    # The package itself is the parent of the simulator, and exports its constants and Config.
    assert set(loaded) <= {'warwick.observatory.focuslynx.constants', 'warwick.observatory.focuslynx.config',
                           'warwick.observatory.focuslynx._version', 'warwick.observatory.focuslynx.text'}

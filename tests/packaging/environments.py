# SPDX-License-Identifier: GPL-3.0-or-later
"""A virtual environment, for packages to be installed into and inspected."""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def once(factory: pytest.TempPathFactory, name: str, fill: Callable[[Path], None]) -> Path:
    """The directory `name`, filled by one of the processes that run these tests; the others wait for it."""
    base = factory.getbasetemp()
    if 'PYTEST_XDIST_WORKER' in os.environ:
        base = base.parent
    directory, done = base / name, base / f'{name}.done'
    with open(base / f'{name}.lock', 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            assert not directory.exists(), f'{name} could not be made: an earlier test says why'
            directory.mkdir()
            fill(directory)
            done.touch()
    return directory


def clean_variables(**more: str) -> dict[str, str]:
    """The variables of this process without those by which a shell, or `make test`, points at a place of its own."""
    unwanted = {
        'PYTHONPATH', 'PYTHONHOME', 'VIRTUAL_ENV', 'OBSERVATORY_SITE', 'FOCUSD_CONFIG_PATH',
        'MAKEFLAGS', 'MAKELEVEL', 'MAKEOVERRIDES', 'MFLAGS', 'PYTHON', 'ARGS',
    }
    more = {'PIP_DISABLE_PIP_VERSION_CHECK': '1', 'PIP_NO_COMPILE': '1', **more}
    return {**{name: value for name, value in os.environ.items() if name not in unwanted}, **more}


def pip(python: str | Path, *args: object, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run the pip of these tests in another interpreter, which need not have one."""
    own = importlib.util.find_spec('pip')
    assert own is not None
    assert own.origin is not None
    command = [str(python), str(Path(own.origin).parent), *map(str, args)]
    result = subprocess.run(
        command, env=clean_variables(), cwd='/', stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=120, check=False,
    )
    assert not check or result.returncode == 0, result.stdout + result.stderr
    return result


class Environment:
    """The virtual environment in `directory`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.python = directory / 'bin' / 'python'
        version = f'python{sys.version_info[0]}.{sys.version_info[1]}'
        self.site_packages = directory / 'lib' / version / 'site-packages'

    def install(self, what: Path, editable: bool = False, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Install a wheel, or a directory, with all its requirements: those that are not lent are an error."""
        option = ['--editable'] if editable else []
        return pip(self.python, 'install', '--no-index', '--no-build-isolation', *option, what, check=check)

    def uninstall(self, name: str) -> None:
        pip(self.python, 'uninstall', '--yes', name)

    def run(self, *args: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run the interpreter of the environment, away from the clone."""
        return subprocess.run(
            [self.python, *args], env=clean_variables(**variables), cwd=self.directory, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=60, check=False,
        )

    def evaluate(self, program: str) -> str:
        """What `program` prints; it must not fail."""
        result = self.run('-c', program)
        assert result.returncode == 0, result.stderr
        return result.stdout.strip()

    def files(self, below: str) -> dict[str, str]:
        """Digest of every file below a directory of site-packages, bytecode aside."""
        top = self.site_packages / below
        return {
            str(path.relative_to(top)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(top.rglob('*')) if path.is_file() and '__pycache__' not in path.parts
        }

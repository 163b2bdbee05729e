# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures that write a site file and run a program with it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.common.processes import environment

WriteSite = Callable[..., Path]
RunPython = Callable[..., 'subprocess.CompletedProcess[str]']


@pytest.fixture
def write_site(tmp_path: Path) -> WriteSite:
    def write(content: Any, name: str = 'site.json') -> Path:
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding='utf-8')
        return path

    return write


@pytest.fixture
def run_python() -> RunPython:
    """Run a program in a process of its own, and return what came of it."""

    def run(program: str, site: Path | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, '-c', program],
            env=environment(site), capture_output=True, text=True, timeout=30, check=False,
        )

    return run

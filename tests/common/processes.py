# SPDX-License-Identifier: GPL-3.0-or-later
"""Start Python processes that use the stand-in as a program would, with a site file of their own."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

COMMON = Path(__file__).resolve().parents[2] / 'common'


def environment(site: Path | None) -> dict[str, str]:
    variables = {**os.environ, 'PYTHONPATH': str(COMMON)}
    variables.pop('OBSERVATORY_SITE', None)
    if site is not None:
        variables['OBSERVATORY_SITE'] = str(site)
    return variables


@contextlib.contextmanager
def serving(program: str, site: Path) -> Iterator[str]:
    """A program that launches a daemon, for as long as the block lasts. Yields the line that it printed when ready."""
    process = subprocess.Popen(
        [sys.executable, '-c', program], env=environment(site), stdout=subprocess.PIPE, text=True,
    )
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()

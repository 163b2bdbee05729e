# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures that start the daemon and the simulator as processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.daemon.harness import Daemon
from tests.simulator.harness import Simulator


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Daemon]]:
    """Start a daemon with these settings; it is gone after the test."""
    started: list[Daemon] = []

    def run(**settings: Any) -> Daemon:
        started.append(Daemon(tmp_path, **settings))
        return started[-1]

    yield run
    for daemon in started:
        if daemon.process.poll() is None:
            daemon.kill()


@pytest.fixture
def daemon(start: Callable[..., Daemon]) -> Daemon:
    """A daemon on the simulator inside it, connected."""
    daemon = start()
    assert daemon.call('initialize') == 0
    return daemon


@pytest.fixture
def simulate(tmp_path: Path) -> Iterator[Callable[..., Simulator]]:
    """Start a simulator process with these arguments; it is gone after the test."""
    started: list[Simulator] = []

    def run(*arguments: str) -> Simulator:
        directory = tmp_path / f'hub{len(started)}'
        directory.mkdir()
        started.append(Simulator(directory, *arguments))
        return started[-1]

    yield run
    for simulator in started:
        simulator.stop()

# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures that start the simulator as a process and open ports to it."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Callable

import pytest
import serial

from tests.simulator.harness import MODULE, Simulator, open_serial

StartSimulator = Callable[..., Simulator]
OpenPort = Callable[[str], serial.SerialBase]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[StartSimulator]:
    """Start a simulator with these arguments; it is gone after the test."""
    started: list[Simulator] = []

    def run(*arguments: str) -> Simulator:
        started.append(Simulator(tmp_path, *arguments))
        return started[-1]

    yield run
    for simulator in started:
        simulator.stop()


@pytest.fixture
def start_pty(start: StartSimulator, tmp_path: Path) -> StartSimulator:
    """The same with a pseudo-terminal."""
    return lambda *arguments: start('--link', str(tmp_path / 'hub'), *arguments)


@pytest.fixture
def open_port(monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenPort]:
    """Open a port by pyserial, lynxsim:// included; it is closed after the test."""
    monkeypatch.setattr(serial, 'protocol_handler_packages', [*serial.protocol_handler_packages, MODULE])
    opened: list[serial.SerialBase] = []

    def run(name: str) -> serial.SerialBase:
        opened.append(open_serial(name))
        return opened[-1]

    yield run
    for port in opened:
        port.close()

# SPDX-License-Identifier: GPL-3.0-or-later
"""The client as its users have it: the real script in its own process, before a scripted daemon in another."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pexpect
import Pyro4
import pytest

from tests.client.hub_info import HUB

HERE = Path(__file__).resolve().parent
TOP = HERE.parents[1]
OBJECT_ID = 'scripted_focus_daemon'

SETTINGS: dict[str, Any] = {
    'daemon': 'scripted', 'log_name': 'focus', 'control_machines': ['LocalHost'], 'serial_port': '/dev/focuser',
    'serial_baud': 115200, 'serial_timeout': 1.5, 'idle_loop_delay': 5, 'moving_loop_delay': 0.5, 'move_timeout': 150,
    'home_reset_timeout': 10, 'soft_step_limits': [-5000, 5000],
}

# As an older daemon answers: the keys that every daemon has. The scripted one puts the time of the answer for `now`.
STATE: dict[str, Any] = {
    'date': 'now', 'software_version': '1.0',
    'status_1': 4, 'status_label_1': 'IDLE', 'temperature_1': 21.74, 'current_steps_1': 500, 'target_steps_1': 500,
    'requested_steps_1': 500,
    'status_2': 1, 'status_label_2': 'DISCONNECTED', 'temperature_2': None, 'current_steps_2': None,
    'target_steps_2': None, 'requested_steps_2': None,
}


class Client:
    """Runs `focus` with a configuration whose daemon answers on a port of our choice."""

    def __init__(self, directory: Path, port: int, timeout: float = 5) -> None:
        self.directory = directory
        self.config = directory / 'test.json'
        self.config.write_text(json.dumps(SETTINGS))
        site = directory / 'site.json'
        site.write_text(json.dumps({'daemons': {
            'scripted': {'name': OBJECT_ID, 'machine': 'LocalHost', 'port': port, 'timeout': timeout}}}))
        dropped = ('NO_COLOR', 'PYTHONPATH', 'PYTHONIOENCODING', 'LC_ALL', 'FOCUSD_CONFIG_PATH')
        self.environment = {k: v for k, v in os.environ.items() if k not in dropped}
        self.environment.update(FOCUSD_CONFIG_PATH=str(self.config), OBSERVATORY_SITE=str(site), TERM='xterm',
                                LANG='C.UTF-8', PYTHONPATH=str(TOP / 'common'))

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, str(TOP / 'focus'), *arguments]

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run to the end, without a terminal."""
        return subprocess.run(self.command(*arguments), env={**self.environment, **environment}, timeout=60,
                              stdin=subprocess.DEVNULL, capture_output=True, encoding='utf-8')

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Start without a terminal, and with Ctrl-C at its default, whatever runs the tests."""
        return subprocess.Popen(self.command(*arguments), env={**self.environment, **environment}, encoding='utf-8',
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def terminal(
        self, *arguments: str, columns: int = 80, environment: dict[str, str] | None = None
    ) -> pexpect.spawn[str]:
        """Start on a terminal of its own."""
        command, *rest = self.command(*arguments)
        return pexpect.spawn(command, rest, env={**self.environment, **(environment or {})}, encoding='utf-8',
                             timeout=20, dimensions=(24, columns))


class Daemon:
    """The scripted daemon: `port`, and `control`, the proxy of its script."""

    def __init__(self) -> None:
        self._start(0)

    def _start(self, port: int) -> None:
        self._process = subprocess.Popen([sys.executable, str(HERE / 'fake_focusd.py'), OBJECT_ID, str(port)],
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding='utf-8')
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        self.control = Pyro4.Proxy(f'PYRO:control@127.0.0.1:{self.port}')
        self.control._pyroTimeout = 30

    def freeze(self) -> None:
        """Stop answering without closing a connection, as a machine does that loses its power."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def restart(self) -> None:
        """End, and start again at the same address, without the script."""
        self.close()
        self._start(self.port)

    def close(self) -> None:
        self._process.send_signal(signal.SIGCONT)
        self.control._pyroRelease()
        self._process.communicate()


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    scripted = Daemon()
    scripted.control.answer('report_status', STATE)
    yield scripted
    scripted.close()


@pytest.fixture
def client(daemon: Daemon, tmp_path: Path) -> Client:
    """A client of the scripted daemon."""
    return Client(tmp_path, daemon.port)


@pytest.fixture
def state() -> dict[str, Any]:
    """A status to change, as the scripted daemon reports it by default."""
    return dict(STATE)


@pytest.fixture
def hub(daemon: Daemon) -> dict[str, Any]:
    """What the daemon tells of the hub."""
    daemon.control.answer('hub_info', HUB)
    return HUB


@pytest.fixture
def client_at(tmp_path: Path) -> Any:
    """Make a client for what answers, or does not, at a port."""
    return lambda port, timeout=5: Client(tmp_path, port, timeout)


@pytest.fixture
def settings() -> dict[str, Any]:
    return dict(SETTINGS)

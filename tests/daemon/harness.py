# SPDX-License-Identifier: GPL-3.0-or-later
"""The daemon as observatories run it: the real script in its own process, called over Pyro and by the real client."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import Pyro4

from tests.ports import free_port
from tests.simulator.harness import eventually

TOP = Path(__file__).resolve().parents[2]
OBJECT_ID = 'tested_focus_daemon'
PATIENCE_S = 20.0

SETTINGS: dict[str, Any] = {
    'daemon': 'tested', 'log_name': 'focus_test', 'control_machines': ['LocalHost'],
    'serial_port': 'lynxsim://?channels=1,2&max_pos=112000&speed=5000', 'serial_baud': 115200, 'serial_timeout': 1,
    'idle_loop_delay': 0.5, 'moving_loop_delay': 0.2, 'move_timeout': 60, 'home_reset_timeout': 5,
    'soft_step_limits': [-50000, 50000],
}


class Daemon:
    """A running focusd. Calls go to `proxy()`, one for each thread; `focus(...)` runs the client.

    `machine` is that of its entry in the site file, and `site` has more for that file. `shim` is a sitecustomize, which
    its Python runs first.
    """

    def __init__(self, directory: Path, port: int | None = None, wait: bool = True, machine: str = 'LocalHost',
                 site: dict[str, Any] | None = None, shim: str = '', **settings: Any) -> None:
        self.port = port or free_port()
        self.config = directory / f'{self.port}.json'
        self.config.write_text(json.dumps({**SETTINGS, **settings}))
        site = {'machines': {'Elsewhere': '192.0.2.1'}, **(site or {})}
        entry = {'name': OBJECT_ID, 'machine': machine, 'port': self.port, 'timeout': 5}
        site_path = directory / f'site-{self.port}.json'
        site_path.write_text(json.dumps({**site, 'daemons': {'tested': entry, **site.get('daemons', {})}}))
        python_path = [str(TOP / 'common')]
        if shim:
            shims = directory / f'shims-{self.port}'
            shims.mkdir()
            (shims / 'sitecustomize.py').write_text(shim)
            python_path[:0] = [str(shims), str(TOP)]
        self.environment = {**os.environ, 'OBSERVATORY_SITE': str(site_path), 'FOCUSD_CONFIG_PATH': str(self.config),
                            'PYTHONPATH': os.pathsep.join(python_path), 'PYTHONUNBUFFERED': '1'}
        self.log_path = directory / f'{self.port}.log'
        with open(self.log_path, 'a') as log:
            self.process = subprocess.Popen(
                [sys.executable, str(TOP / 'focusd'), str(self.config)], env=self.environment,
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        if wait:
            eventually(self._answers)

    def _answers(self) -> bool:
        assert self.process.poll() is None, self.log
        try:
            return bool(self.status())
        except Pyro4.errors.CommunicationError:
            return False

    @property
    def log(self) -> str:
        return self.log_path.read_text()

    def proxy(self) -> Any:
        proxy = Pyro4.Proxy(f'PYRO:{OBJECT_ID}@127.0.0.1:{self.port}')
        proxy._pyroTimeout = 30
        return proxy

    def call(self, method: str, *arguments: Any, **options: Any) -> Any:
        with self.proxy() as proxy:
            return getattr(proxy, method)(*arguments, **options)

    def begin(self, method: str, *arguments: Any) -> Call:
        return Call(self, method, *arguments)

    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = self.call('report_status')
        return status

    def state(self, channel: int) -> int:
        state: int = self.status()[f'status_{channel}']
        return state

    def steps(self, channel: int) -> int | None:
        steps: int | None = self.status()[f'current_steps_{channel}']
        return steps

    def focus(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, str(TOP / 'focus'), *arguments], env=self.environment, text=True,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=60)

    def stop(self, number: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(PATIENCE_S)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


class Call:
    """A call under way on a thread and a connection of its own."""

    def __init__(self, daemon: Daemon, method: str, *arguments: Any) -> None:
        self.result: Any = None
        self._thread = threading.Thread(target=self._run, args=(daemon, method, arguments))
        self._thread.start()

    def _run(self, daemon: Daemon, method: str, arguments: tuple[Any, ...]) -> None:
        try:
            self.result = daemon.call(method, *arguments)
        except Pyro4.errors.CommunicationError as error:
            self.result = error

    @property
    def done(self) -> bool:
        return not self._thread.is_alive()

    def wait(self) -> Any:
        self._thread.join(90)
        assert self.done, 'the call does not end'
        return self.result

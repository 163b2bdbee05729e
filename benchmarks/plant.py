# SPDX-License-Identifier: GPL-3.0-or-later
"""The processes of a measurement: simulated hubs, relays, focusd, bare Pyro4 daemons. They end with the plant."""

from __future__ import annotations

import json
import os
import random
import select
import shutil
import socket
import subprocess
import sysconfig
import tempfile
import threading
import time
import venv
from pathlib import Path
from types import TracebackType
from typing import Any

import Pyro4

from benchmarks.waiting import PATIENCE_S, BenchmarkError, eventually
from warwick.observatory.common import daemons
from warwick.observatory.focuslynx.simulator import ControlClient

ROOT = Path(__file__).resolve().parent.parent
MAX_POS = 112000
ZERO = MAX_POS // 2
IDLE, MOVING = 4, 5

# Entries of the observatory's own list, for clients that shall not have to read a site file
BUILT_IN = ('localhost_test5', 'localhost_test4', 'localhost_test2', 'localhost_test')

USUAL: dict[str, Any] = {
    'log_name': 'benchmark', 'control_machines': ['LocalHost'], 'serial_baud': 115200, 'serial_timeout': 2,
    'idle_loop_delay': 5, 'moving_loop_delay': 0.5, 'move_timeout': 180, 'home_reset_timeout': 5,
    'soft_step_limits': [-50000, 50000]}


def make_interpreter(directory: Path) -> str:
    """An interpreter that loads nothing by itself when it starts, in a virtual environment of its own.

    The editable installations of .venv would add to every start, and the shim of a version manager even more. Raises
    BenchmarkError if there is but a script behind the name of this interpreter.
    """
    venv.EnvBuilder(symlinks=True).create(directory)
    python = str(directory / 'bin' / 'python')
    with open(os.path.realpath(python), 'rb') as file:
        if file.read(2) == b'#!':
            raise BenchmarkError(f'{os.path.realpath(python)} is a script, not an interpreter')
    return python


class Plant:
    """Starts processes on the interpreter `python`, with the packages of this one, and ends them all when the context
    is left, whatever other threads are doing with them."""

    def __init__(self, python: str) -> None:
        self.python = python
        self.directory = Path(tempfile.mkdtemp(prefix='focusd-bench-'))
        self._processes: list[subprocess.Popen[str]] = []
        self._lock = threading.Lock()
        self._closed = False
        self._numbers = iter(range(1, 1_000_000))
        self._ports = random.sample(range(12000, 20000), 2000)   # neither the kernel nor our tests use them
        paths = [str(ROOT), str(ROOT / 'common'), *dict.fromkeys(
            sysconfig.get_paths()[name] for name in ('purelib', 'platlib'))]
        self.environment = {
            **{name: value for name, value in os.environ.items()
               if not name.startswith(('PYTHON', 'PYRO_', 'OBSERVATORY_', 'FOCUSD_'))},
            'PYTHONPATH': os.pathsep.join(paths)}

    def __enter__(self) -> Plant:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        with self._lock:
            self._closed = True
        for process in reversed(self._processes):
            end(process)
        shutil.rmtree(self.directory, ignore_errors=True)   # a process may still be writing into it

    def path(self, name: str) -> Path:
        """A path for a file that nothing else uses."""
        with self._lock:
            return self.directory / f'{next(self._numbers)}-{name}'

    def start(self, arguments: list[str], output: Any = subprocess.DEVNULL, **variables: str) -> subprocess.Popen[str]:
        """Start the interpreter with these arguments. Raises BenchmarkError once the plant is closed."""
        with self._lock:
            if self._closed:
                raise BenchmarkError('the measurement has ended')
            process = subprocess.Popen(
                [self.python, *arguments], cwd=self.directory, env={**self.environment, **variables}, text=True,
                stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT)
            self._processes.append(process)
        return process

    def start_ready(self, arguments: list[str]) -> subprocess.Popen[str]:
        """Start a program that prints a line when it is ready, and wait for that."""
        process = self.start(arguments, subprocess.PIPE)
        said = read_line(process)
        if 'ready' not in said:
            raise BenchmarkError(f'{" ".join(arguments)} does not start: {said}')
        return process

    def port(self) -> int:
        """A TCP port at which nothing listens."""
        with self._lock:
            while True:
                port = self._ports.pop()
                if is_free(port):
                    return port


class Simulator:
    """A hub with two focusers in the middle of their ranges, at the terminal `port`; `control` is its control."""

    def __init__(self, plant: Plant, **options: object) -> None:
        self.port = str(plant.path('hub'))
        control = str(plant.path('hub.ctl'))
        settings = {'channels': '1,2', 'max_pos': MAX_POS, 'speed': 1000, 'pace': 1, **options}
        self.process = plant.start_ready(
            ['-m', 'warwick.observatory.focuslynx.simulator', '--link', self.port, '--control', control,
             *(word for name, value in settings.items() for word in ('--' + name.replace('_', '-'), str(value)))])
        self.control = ControlClient(control)


class Relay:
    """A terminal `port` in front of a hub's, and a record of what passes."""

    def __init__(self, plant: Plant, hub_port: str) -> None:
        self.port = str(plant.path('relay'))
        self._record = plant.path('record')
        self._read = 0
        self._requests: list[tuple[float, str]] = []
        self.process = plant.start_ready([str(ROOT / 'benchmarks' / 'relay.py'), hub_port, self.port,
                                          str(self._record)])

    def requests(self, since_s: float = 0.0) -> list[tuple[float, str]]:
        """Requests from this moment of the monotonic clock on, and when their last byte was written by the host."""
        with open(self._record, 'rb') as file:
            file.seek(self._read)
            written = file.read()
        whole = written[:written.rfind(b'\n') + 1]
        self._read += len(whole)
        for line in whole.decode('ascii').splitlines():
            at_ns, text = line.split(' ', 1)
            self._requests.append((int(at_ns) / 1e9, text))
        return [(at, text) for at, text in self._requests if at >= since_s]

    def count(self, request: str, since_s: float, until_s: float) -> int:
        """How often a request went out in a time."""
        return sum(text == request and at < until_s for at, text in self.requests(since_s))


class Service:
    """A process that serves a Pyro object at `uri`."""

    def __init__(self, plant: Plant, uri: str, arguments: list[str], **variables: str) -> None:
        self.uri = uri
        self._log = plant.path('log')
        self.began_at = time.monotonic()
        with open(self._log, 'w') as log:
            self.process = plant.start(arguments, log, **variables)

    def proxy(self) -> Any:
        """A client of its own, for one thread."""
        proxy = Pyro4.Proxy(self.uri)
        proxy._pyroTimeout = 240
        return proxy

    def first_answer_s(self) -> float:
        """Seconds from its start to the first call that was answered. Raises BenchmarkError."""
        def answers() -> bool:
            if self.process.poll() is not None:
                raise BenchmarkError(f'a daemon has ended: {self._log.read_text().strip() or self.uri}')
            try:
                with self.proxy() as proxy:
                    proxy.report_status()
            except Pyro4.errors.CommunicationError:
                return False
            return True

        eventually(answers, f'an answer of {self.uri}')
        return time.monotonic() - self.began_at


class Bare(Service):
    """The bare Pyro4 daemon of bare.py, with these modules imported."""

    def __init__(self, plant: Plant, *modules: str) -> None:
        port = plant.port()
        super().__init__(plant, f'PYRO:bare_focus_daemon@127.0.0.1:{port}',
                         [str(ROOT / 'benchmarks' / 'bare.py'), str(port), *modules])


class Focusd(Service):
    """focusd on a serial port, with the delays of config/clasp.json by default.

    Its entry is one of the observatory's own list with `built_in`, otherwise one of a site file; `variables` are for
    its clients. `connect` connects it and waits until both channels are Idle.
    """

    def __init__(self, plant: Plant, serial_port: str, built_in: bool = False, **settings: Any) -> None:
        config, site = plant.path('focusd.json'), plant.path('site.json')
        self.variables = {'FOCUSD_CONFIG_PATH': str(config)}
        if built_in:
            name, entry = _built_in()
            uri = entry.uri
        else:
            port, name = plant.port(), 'benchmark'
            uri = f'PYRO:benchmark_focus_daemon@127.0.0.1:{port}'
            site.write_text(json.dumps({'daemons': {name: {
                'name': 'benchmark_focus_daemon', 'machine': 'LocalHost', 'port': port, 'timeout': 5}}}))
            self.variables['OBSERVATORY_SITE'] = str(site)
        config.write_text(json.dumps({**USUAL, 'daemon': name, 'serial_port': serial_port, **settings}))
        super().__init__(plant, uri, [str(ROOT / 'focusd'), str(config)], **self.variables)

    def connect(self) -> Focusd:
        self.first_answer_s()
        with self.proxy() as proxy:
            if proxy.initialize() != 0:
                raise BenchmarkError(f'focusd does not connect: {proxy.report_status()}')
            self.at_rest(proxy)
        return self

    @staticmethod
    def at_rest(proxy: Any) -> None:
        """Wait until both channels are Idle."""
        def both_idle() -> bool:
            status = proxy.report_status()
            return bool(status['status_1'] == status['status_2'] == IDLE)

        eventually(both_idle, 'both channels Idle')


def _built_in() -> tuple[str, Any]:
    for name in BUILT_IN:
        entry = getattr(daemons, name, None)
        if entry is not None and entry.host == '127.0.0.1' and is_free(entry.port):
            return name, entry
    raise BenchmarkError(f'the ports of {", ".join(BUILT_IN)} are all in use: end what uses them')


def is_free(port: int) -> bool:
    """Whether nothing listens at a port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(('127.0.0.1', port))
        except OSError:
            return False
    return True


def read_line(process: subprocess.Popen[str]) -> str:
    """The one line that a process prints now. Raises BenchmarkError if it does not."""
    assert process.stdout is not None
    if not select.select([process.stdout], [], [], PATIENCE_S)[0]:
        raise BenchmarkError(f'process {process.pid} says nothing for {PATIENCE_S:g} s')
    return process.stdout.readline().strip()


def end(process: subprocess.Popen[str]) -> None:
    """Kill a process, and wait until it is gone."""
    if process.poll() is None:
        process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            try:
                stream.close()
            except BrokenPipeError:
                pass   # what it would have read is of no use any more


def call(service: Service, method: str, *arguments: Any) -> Any:
    """One call over a connection of its own."""
    with service.proxy() as proxy:
        return getattr(proxy, method)(*arguments)

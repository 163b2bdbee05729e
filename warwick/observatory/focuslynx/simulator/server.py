# SPDX-License-Identifier: GPL-3.0-or-later
"""The loop that serves the doors of one hub, and the door through which faults come in.

This and the doors are the only places that look at a clock or wait. One lock guards the hub and its lines; the loop
holds it while it works, never while it waits.
"""
from __future__ import annotations

import os
import selectors
import socket
import stat
import threading
import time
from typing import Callable

from .control import Control, ControlError
from .link import Line, LineFaults
from .model import Hub

__all__ = ['ControlDoor', 'Door', 'DoorError', 'Server']

_LONGEST_LINE = 4096


class DoorError(Exception):
    """A door cannot be opened. Its text is one line that names the place and the reason."""


class Door:
    """Something the server tends: after every event, and when `next_event` says so. Called with the lock held."""

    def tend(self, now: float) -> None:
        """Send what is due; open or close what the plug demands."""

    def next_event(self) -> float | None:
        return None

    def close(self) -> None:
        """Leave nothing behind."""


class Server:
    """Serves one hub. `run` returns after `stop`, which may be called from a signal handler or another thread."""

    def __init__(self, hub: Hub, faults: LineFaults | None = None,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self.hub = hub
        self.faults = faults or LineFaults()
        self.lines: list[Line] = []
        self.control = Control(hub, self.faults, self.lines)
        self.clock = clock
        self.lock = threading.RLock()
        self._doors: list[Door] = []
        self._selector = selectors.DefaultSelector()
        self._stopping = False
        self._wake_in, self._wake_out = socket.socketpair()
        self._wake_in.setblocking(False)
        self._wake_out.setblocking(False)
        self.watch(self._wake_out, lambda now: self._drain())

    def new_line(self) -> Line:
        """A line of its own for a door."""
        line = Line(self.hub, self.faults, port=len(self.lines))
        self.lines.append(line)
        return line

    def add(self, door: Door) -> None:
        with self.lock:
            self._doors.append(door)
            door.tend(self.clock())

    def watch(self, source: object, on_readable: Callable[[float], None]) -> None:
        """Call `on_readable(now)` whenever the file object or descriptor can be read."""
        self._selector.register(source, selectors.EVENT_READ, on_readable)  # type: ignore[arg-type]

    def unwatch(self, source: object) -> None:
        self._selector.unregister(source)  # type: ignore[arg-type]

    def wake(self) -> None:
        """Have the loop look around now."""
        try:
            self._wake_in.send(b'.')
        except (BlockingIOError, OSError):
            pass  # it is awake, or gone

    def stop(self) -> None:
        self._stopping = True
        self.wake()

    def run(self) -> None:
        try:
            while not self._stopping:
                for key, _ in self._selector.select(self._tend()):
                    with self.lock:
                        # An earlier event of the same batch may have closed this one.
                        if self._selector.get_map().get(key.fd) is key:
                            key.data(self.clock())
        finally:
            self.close()

    def close(self) -> None:
        """Close all doors, for good. `run` does so itself."""
        with self.lock:
            for door in self._doors:
                door.close()
            self._doors.clear()
            self._selector.close()
            self._wake_in.close()
            self._wake_out.close()

    def tend_doors(self) -> None:
        """Bring hub, plug and doors up to now. The lock must be held."""
        now = self.clock()
        self.faults.advance(now)
        # The doors first: a paced line hands over requests of the past, which the hub must not have left behind.
        for door in self._doors:
            door.tend(now)
        self.hub.advance(now)

    def _tend(self) -> float | None:
        with self.lock:
            self.tend_doors()
            times = [self.hub.next_event(), self.faults.replug_at, *(door.next_event() for door in self._doors)]
            due = min((at for at in times if at is not None), default=None)
            return None if due is None else max(0.0, due - self.clock())

    def _drain(self) -> None:
        try:
            while self._wake_out.recv(4096):
                pass
        except BlockingIOError:
            pass


class ControlDoor(Door):
    """A Unix socket: one command per line, one line `ok ...` or `error: ...` for each.

    Raises DoorError if there is a file at `path`, or another simulator behind it; a socket that nobody serves is
    replaced.
    """

    def __init__(self, server: Server, path: str) -> None:
        self._server = server
        self.path = path
        self._clients: dict[socket.socket, bytearray] = {}
        self._listener = _listen(path)
        self._identity = _identity(path)
        server.watch(self._listener, lambda now: self._accept())

    def close(self) -> None:
        for client in list(self._clients):
            self._drop(client)
        self._server.unwatch(self._listener)
        self._listener.close()
        if _identity(self.path) == self._identity:
            os.unlink(self.path)

    def _accept(self) -> None:
        try:
            client, _ = self._listener.accept()
        except OSError:
            return
        client.setblocking(False)
        self._clients[client] = bytearray()
        self._server.watch(client, lambda now: self._receive(client, now))

    def _receive(self, client: socket.socket, now: float) -> None:
        pending = self._clients[client]
        try:
            data = client.recv(4096)
        except BlockingIOError:
            return
        except OSError:
            data = b''
        pending += data
        while b'\n' in pending:
            line, _, rest = bytes(pending).partition(b'\n')
            pending[:] = rest
            if not self._reply(client, self._run(line, now)):
                return
        if not data or len(pending) > _LONGEST_LINE:
            self._drop(client)

    def _run(self, line: bytes, now: float) -> str:
        try:
            said = self._server.control.run(line.decode('utf-8'), now)
        except ControlError as error:
            return f'error: {error}'
        except UnicodeDecodeError:
            return 'error: not UTF-8'
        return f'ok {said}'.rstrip(' ')

    def _reply(self, client: socket.socket, text: str) -> bool:
        # One line holds no line end, whatever an error has quoted.
        data = text.replace('\r', ' ').replace('\n', ' ').encode('utf-8') + b'\n'
        # The effect comes before the answer: whoever has read "ok" finds the plug pulled and the file gone.
        self._server.tend_doors()
        try:
            client.sendall(data)
            return True
        except OSError:
            self._drop(client)
            return False

    def _drop(self, client: socket.socket) -> None:
        del self._clients[client]
        self._server.unwatch(client)
        client.close()


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _listen(path: str) -> socket.socket:
    try:
        if stat.S_ISSOCK(os.lstat(path).st_mode):
            with socket.socket(socket.AF_UNIX) as probe:
                probe.settimeout(1)
                try:
                    probe.connect(path)
                except ConnectionRefusedError:
                    os.unlink(path)
                else:
                    raise DoorError(f'{path}: another simulator answers there')
        else:
            raise DoorError(f'{path}: exists and is not a socket')
    except FileNotFoundError:
        pass
    except OSError as error:
        raise DoorError(f'{path}: {error.strerror or error}') from None
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.bind(path)
        listener.listen(16)
    except OSError as error:
        listener.close()
        raise DoorError(f'{path}: {error.strerror or error}') from None
    listener.setblocking(False)
    return listener

# SPDX-License-Identifier: GPL-3.0-or-later
"""The loop that serves the transports of one hub, and the control socket.

Only this file, the transports and the clients look at a clock or wait. One lock guards the hub and its links. The loop
holds the lock while it works, never while it waits.
"""
from __future__ import annotations

import os
import selectors
import socket
import stat
import threading
import time
from typing import Callable, Protocol

from .control import Control, ControlError
from .link import Link, LinkFaults
from .model import Hub

__all__ = ['ControlSocket', 'Server', 'Transport', 'TransportError']

_MAX_CONTROL_LINE_BYTES = 4096


class TransportError(Exception):
    """A transport or the control socket cannot be opened. The text is one line that names the place and the reason."""


class Transport(Protocol):
    """A way into the simulator, for a host or for control commands. The server calls it with the lock held."""

    def advance(self, now: float) -> None:
        """Send what is due by `now`; open or close when the hub has been plugged in or unplugged."""

    def next_event(self) -> float | None:
        """When `advance` has something to do without anything from outside; None if never."""

    def close(self) -> None:
        """Close for good and leave nothing behind."""


class Server:
    """Serves one hub. `run` returns after `stop`, which may be called from a signal handler or another thread."""

    def __init__(self, hub: Hub, faults: LinkFaults | None = None,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self.hub = hub
        self.faults = faults or LinkFaults()
        self.links: list[Link] = []
        self.control = Control(hub, self.faults, self.links)
        self.clock = clock
        self.lock = threading.RLock()
        self._transports: list[Transport] = []
        self._selector = selectors.DefaultSelector()
        self._stopping = False
        self._wake_in, self._wake_out = socket.socketpair()
        self._wake_in.setblocking(False)
        self._wake_out.setblocking(False)
        self.watch(self._wake_out, lambda now: self._drain())

    def new_link(self) -> Link:
        """Make a link for one transport."""
        link = Link(self.hub, self.faults, port=len(self.links))
        self.links.append(link)
        return link

    def add(self, transport: Transport) -> None:
        """Serve this transport from now on."""
        with self.lock:
            self._transports.append(transport)
            transport.advance(self.clock())

    def watch(self, source: object, on_readable: Callable[[float], None]) -> None:
        """Call `on_readable(now)` whenever the file object or descriptor can be read."""
        self._selector.register(source, selectors.EVENT_READ, on_readable)  # type: ignore[arg-type]

    def unwatch(self, source: object) -> None:
        self._selector.unregister(source)  # type: ignore[arg-type]

    def wake(self) -> None:
        """End the wait of the loop, so that it calls `advance` now."""
        try:
            self._wake_in.send(b'.')
        except (BlockingIOError, OSError):
            pass  # the loop is awake already, or has ended

    def stop(self) -> None:
        self._stopping = True
        self.wake()

    def run(self) -> None:
        try:
            while not self._stopping:
                for key, _ in self._selector.select(self._advance()):
                    with self.lock:
                        # The handler of an earlier event in this batch may have removed this one.
                        if self._selector.get_map().get(key.fd) is key:
                            key.data(self.clock())
        finally:
            self.close()

    def close(self) -> None:
        """Close all transports for good. `run` calls this itself."""
        with self.lock:
            for transport in self._transports:
                transport.close()
            self._transports.clear()
            self._selector.close()
            self._wake_in.close()
            self._wake_out.close()

    def advance(self) -> None:
        """Bring the hub, its plug and its transports up to now. The caller must hold the lock."""
        now = self.clock()
        self.faults.advance(now)
        # Transports first: a link with `pace` delivers requests with times before now, which the hub must not have
        # passed already.
        for transport in self._transports:
            transport.advance(now)
        self.hub.advance(now)

    def _advance(self) -> float | None:
        """Bring everything up to now; return how long (s) the loop may wait, None for as long as it likes."""
        with self.lock:
            self.advance()
            times = [self.hub.next_event(), self.faults.replug_at,
                     *(transport.next_event() for transport in self._transports)]
            due = min((at for at in times if at is not None), default=None)
            return None if due is None else max(0.0, due - self.clock())

    def _drain(self) -> None:
        try:
            while self._wake_out.recv(4096):
                pass
        except BlockingIOError:
            pass


class ControlSocket:
    """A Unix socket for control commands: each line is a command, each reply is one line `ok ...` or `error: ...`.

    A socket at `path` that no process serves is replaced. Raises TransportError if another simulator serves it, or if
    anything else exists there.
    """

    def __init__(self, server: Server, path: str) -> None:
        self._server = server
        self.path = path
        self._clients: dict[socket.socket, bytearray] = {}
        self._listener = _listen(path)
        self._identity = _identity(path)
        server.watch(self._listener, lambda now: self._accept())

    def advance(self, now: float) -> None:
        """Do nothing: commands are carried out as they arrive."""

    def next_event(self) -> float | None:
        return None

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
        if not data or len(pending) > _MAX_CONTROL_LINE_BYTES:
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
        # An error text may quote a line end; the reply must be one line.
        data = text.replace('\r', ' ').replace('\n', ' ').encode('utf-8') + b'\n'
        # The effect comes before the reply: a client that has read "ok" finds the hub unplugged and the symbolic link
        # gone.
        self._server.advance()
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
                    raise TransportError(f'{path}: another simulator answers there')
        else:
            raise TransportError(f'{path}: exists and is not a socket')
    except FileNotFoundError:
        pass
    except OSError as error:
        raise TransportError(f'{path}: {error.strerror or error}') from None
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.bind(path)
        listener.listen(16)
    except OSError as error:
        listener.close()
        raise TransportError(f'{path}: {error.strerror or error}') from None
    listener.setblocking(False)
    return listener

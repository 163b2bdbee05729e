# SPDX-License-Identifier: GPL-3.0-or-later
"""The doors through which a host reaches the hub: a pseudo-terminal, a TCP socket, a socket pair inside the process.

Each has a line of its own to the same hub. While the hub is unplugged a door does not exist: the terminal hangs up and
its link is gone, the connection is reset and the port refuses.
"""
from __future__ import annotations

import fcntl
import os
import socket
import struct
import tempfile
import tty
import zlib

from .link import LinkLost
from .server import Door, DoorError, Server

__all__ = ['PairDoor', 'PtyDoor', 'TcpDoor', 'parse_address']

# What a host may leave unread: more than a tty holds is lost, as it is on a real one.
_UNREAD_LIMIT = 65536


class _StreamDoor(Door):
    """What the doors have in common: one line, and at most one stream to a host.

    A subclass sets `_stream` to the socket or descriptor of its host, watched by `_on_readable`, or to None.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._line = server.new_line()
        self._unsent = bytearray()
        self._retry_at: float | None = None

    def _connected(self) -> bool:
        raise NotImplementedError

    def _plug_in(self) -> None:
        """The hub has been plugged in, or the door is new."""

    def _plug_out(self) -> None:
        """The hub has been unplugged: whoever is connected loses the stream."""

    def _send(self, data: bytes) -> int:
        """Send what the host takes; raise BlockingIOError if nothing, another OSError if it is gone."""
        raise NotImplementedError

    def _hang_up(self) -> None:
        """Drop a host that is gone; the door stays open for the next one."""

    def start(self) -> None:
        self._server.add(self)

    def tend(self, now: float) -> None:
        if not self._line.is_open(now):
            self._plug_out()
            self._unsent.clear()
            try:
                self._line.open(now)
            except LinkLost:
                return
            self._plug_in()
        self._unsent += self._line.read(now)
        self._retry_at = None
        if not self._connected():
            self._unsent.clear()
        while self._unsent:
            try:
                del self._unsent[:self._send(bytes(self._unsent))]
            except BlockingIOError:
                del self._unsent[_UNREAD_LIMIT:]
                self._retry_at = now + 0.01
                return
            except OSError:
                self._unsent.clear()
                self._hang_up()

    def next_event(self) -> float | None:
        times = [time for time in (self._line.next_event(), self._retry_at) if time is not None]
        return min(times) if times else None

    def _received(self, data: bytes, now: float) -> None:
        try:
            self._line.write(data, now)
        except LinkLost:
            pass


class PtyDoor(_StreamDoor):
    """A raw pseudo-terminal behind the symbolic link `path`. Raises DoorError.

    The hub keeps the terminal open itself, so that hosts may come and go. A link that nobody stands behind is
    replaced; one of another simulator, or to anything but a terminal, and a file that is not a link are refused.
    """

    def __init__(self, server: Server, path: str) -> None:
        super().__init__(server)
        self.path = path
        self._master = self._slave = -1
        _check_link(path)
        self._plug_in()

    def _connected(self) -> bool:
        return self._master >= 0

    def _plug_in(self) -> None:
        master, slave = os.openpty()
        # Without this the line discipline would echo, until a host has set its own mode.
        tty.setraw(slave)
        os.set_blocking(master, False)
        try:
            _claim(slave, self.path)
            _link(os.ttyname(slave), self.path)
        except OSError as error:
            os.close(master)
            os.close(slave)
            raise DoorError(f'{self.path}: {error.strerror}') from None
        self._master, self._slave = master, slave
        self._server.watch(master, self._on_readable)

    def _plug_out(self) -> None:
        if self._master < 0:
            return
        name = os.ttyname(self._slave)
        self._server.unwatch(self._master)
        os.close(self._master)
        os.close(self._slave)
        self._master = self._slave = -1
        try:
            if os.readlink(self.path) == name:
                os.unlink(self.path)
        except OSError:
            pass  # somebody has taken it away, or put another in its place

    close = _plug_out

    def _on_readable(self, now: float) -> None:
        try:
            self._received(os.read(self._master, 4096), now)
        except OSError:
            pass

    def _send(self, data: bytes) -> int:
        return os.write(self._master, data)


def _check_link(path: str) -> None:
    if not os.path.lexists(path):
        return
    if not os.path.islink(path):
        raise DoorError(f'{path}: exists and is not a symbolic link')
    target = os.path.join(os.path.dirname(path), os.readlink(path))
    if not target.startswith('/dev/pts/'):
        if os.path.exists(target):
            raise DoorError(f'{path}: is a link to {target}, which is not a pseudo-terminal')
        return
    try:
        terminal = os.open(target, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError:
        return
    try:
        _claim(terminal, path)
    except OSError:
        raise DoorError(f'{path}: another simulator stands behind it ({target})') from None
    finally:
        os.close(terminal)


def _claim(terminal: int, path: str) -> None:
    """Mark the terminal as the one behind `path`, as long as this process lives. Raises OSError if another one has.

    Tells a link in use from one that was left behind. The number of a terminal is used again, perhaps by a simulator
    with another link: so each path has a byte of its own to lock. Hosts use flock, which is another lock.
    """
    byte = zlib.crc32(os.path.realpath(os.path.dirname(path)).encode() + b'/' + os.path.basename(path).encode())
    fcntl.lockf(terminal, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, byte)


def _link(target: str, path: str) -> None:
    directory = tempfile.mkdtemp(prefix='.hub-', dir=os.path.dirname(path) or '.')
    try:
        temporary = os.path.join(directory, 'link')
        os.symlink(target, temporary)
        try:
            os.replace(temporary, path)
        except OSError:
            os.unlink(temporary)
            raise
    finally:
        os.rmdir(directory)


class _SocketDoor(_StreamDoor):
    """A door whose host is at the other end of a socket."""

    _host: socket.socket | None = None

    def _connected(self) -> bool:
        return self._host is not None

    def _adopt(self, host: socket.socket) -> None:
        host.setblocking(False)
        self._host = host
        self._unsent.clear()
        self._server.watch(host, self._on_readable)

    def _hang_up(self) -> None:
        if self._host is not None:
            self._server.unwatch(self._host)
            self._host.close()
            self._host = None

    def _on_readable(self, now: float) -> None:
        assert self._host is not None
        try:
            data = self._host.recv(4096)
        except BlockingIOError:
            return
        except OSError:
            data = b''
        if data:
            self._received(data, now)
        else:
            self._hang_up()

    def _send(self, data: bytes) -> int:
        assert self._host is not None
        return self._host.send(data)


class TcpDoor(_SocketDoor):
    """The networked hub: one client at a time, another one is let in and dropped at once. Raises DoorError.

    With port 0 the system chooses one; `address` is the real one, and stays the same over unplug and plug.
    """

    def __init__(self, server: Server, host: str, port: int) -> None:
        super().__init__(server)
        self._listener: socket.socket | None = None
        self.address: tuple[str, int] = (host, port)
        self._plug_in()

    def _plug_in(self) -> None:
        host, port = self.address
        try:
            family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
            listener = socket.create_server((host, port), family=family, backlog=4)
        except OSError as error:
            raise DoorError(f'{_show(self.address)}: {error.strerror}') from None
        listener.setblocking(False)
        self._listener = listener
        self.address = (host, listener.getsockname()[1])
        self._server.watch(listener, lambda now: self._accept())

    def _plug_out(self) -> None:
        if self._host is not None:
            # A reset, not an orderly end: that is how a vanished hub looks to a host that writes.
            self._host.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        self._hang_up()
        if self._listener is not None:
            self._server.unwatch(self._listener)
            self._listener.close()
            self._listener = None

    close = _plug_out

    def _accept(self) -> None:
        assert self._listener is not None
        try:
            host, _ = self._listener.accept()
        except OSError:
            return
        if self._host is not None:
            host.close()
            return
        host.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        host.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._adopt(host)

    def __str__(self) -> str:
        return _show(self.address)


class PairDoor(_SocketDoor):
    """A door for a host in this process."""

    _theirs: socket.socket | None = None

    def connect(self) -> socket.socket:
        """The host's end of a new stream. Raises LinkLost while unplugged, BlockingIOError while another is open."""
        with self._server.lock:
            now = self._server.clock()
            self.tend(now)
            if not self._line.is_open(now):
                raise LinkLost()
            if self._host is not None:
                raise BlockingIOError('in use')
            ours, self._theirs = socket.socketpair()
            self._adopt(ours)
        self._server.wake()
        return self._theirs

    def disconnect(self, theirs: socket.socket) -> None:
        """The host is about to close the end that `connect` gave it."""
        with self._server.lock:
            if theirs is self._theirs:
                self._hang_up()
        self._server.wake()

    def _plug_out(self) -> None:
        self._hang_up()

    close = _plug_out


def _show(address: tuple[str, int]) -> str:
    host, port = address
    return f'[{host}]:{port}' if ':' in host else f'{host}:{port}'


def parse_address(text: str) -> tuple[str, int]:
    """Host and port of `HOST:PORT` or `[ADDRESS]:PORT`. Raises ValueError, whose text says what is accepted."""
    host, colon, port = text.rpartition(':')
    if host.startswith('[') and host.endswith(']'):
        host = host[1:-1]
    elif ':' in host:
        colon = ''
    if not (colon and host and port.isascii() and port.isdigit() and int(port) < 65536):
        raise ValueError(f'HOST:PORT with a port from 0 to 65535 is wanted, not {text!r}')
    return host, int(port)

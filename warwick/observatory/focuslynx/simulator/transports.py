# SPDX-License-Identifier: GPL-3.0-or-later
"""The transports by which a host reaches the hub: pseudo-terminal, TCP, and a socket pair inside the process.

Each transport has its own link to the same hub. While the hub is unplugged, the transport does not exist for a host:
the terminal hangs up and its symbolic link is gone; the TCP connection is reset and new connections are refused.
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
from .server import Server, TransportError

__all__ = ['PtyTransport', 'SocketPairTransport', 'TcpTransport', 'parse_address']

# How much may wait for a host that does not read; the rest is lost, as it is on a real serial port.
_UNREAD_LIMIT_BYTES = 65536
# A host that does not read is tried again this often.
_RETRY_S = 0.01


class _HostTransport:
    """What all three have in common: one link to the hub, and at most one host. A `server.Transport`."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._link = server.new_link()
        self._unsent = bytearray()
        self._retry_at: float | None = None

    def _connected(self) -> bool:
        """Whether there is a host to send to."""
        raise NotImplementedError

    def _plug_in(self) -> None:
        """Let hosts connect: the hub has been plugged in, or the transport is new."""

    def _unplug(self) -> None:
        """Disconnect the host and let none connect: the hub has been unplugged, or the server closes."""

    def _send(self, data: bytes) -> int:
        """Send what the host accepts; return how many bytes. Raises BlockingIOError if it accepts none now, another
        OSError if the host is gone."""
        raise NotImplementedError

    def _hang_up(self) -> None:
        """Drop a host that is gone; another one may connect."""

    def close(self) -> None:
        self._unplug()

    def advance(self, now: float) -> None:
        if not self._link.is_open(now):
            self._unplug()
            self._unsent.clear()
            try:
                self._link.open(now)
            except LinkLost:
                return
            self._plug_in()
        self._unsent += self._link.read(now)
        self._retry_at = None
        if not self._connected():
            self._unsent.clear()
        while self._unsent:
            try:
                del self._unsent[:self._send(bytes(self._unsent))]
            except BlockingIOError:
                del self._unsent[_UNREAD_LIMIT_BYTES:]
                self._retry_at = now + _RETRY_S
                return
            except OSError:
                self._unsent.clear()
                self._hang_up()

    def next_event(self) -> float | None:
        times = [time for time in (self._link.next_event(), self._retry_at) if time is not None]
        return min(times) if times else None

    def _received(self, data: bytes, now: float) -> None:
        try:
            self._link.write(data, now)
        except LinkLost:
            pass


class PtyTransport(_HostTransport):
    """A raw pseudo-terminal that the symbolic link `path` points to. Raises TransportError.

    The simulator keeps the terminal open itself, so that hosts may open and close it. A symbolic link that no running
    simulator uses is replaced. Refused are one that another simulator uses, one to anything but a terminal, and a file
    that is not a symbolic link.
    """

    def __init__(self, server: Server, path: str) -> None:
        super().__init__(server)
        self.path = path
        self._master = self._slave = -1
        _check_symlink(path)
        self._plug_in()

    def _connected(self) -> bool:
        return self._master >= 0

    def _plug_in(self) -> None:
        master, slave = os.openpty()
        # Without this the terminal would echo until a host has set its own mode.
        tty.setraw(slave)
        os.set_blocking(master, False)
        try:
            _claim(slave, self.path)
            _make_symlink(os.ttyname(slave), self.path)
        except OSError as error:
            os.close(master)
            os.close(slave)
            raise TransportError(f'{self.path}: {error.strerror}') from None
        self._master, self._slave = master, slave
        self._server.watch(master, self._on_readable)

    def _unplug(self) -> None:
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
            pass  # it has been removed, or replaced by something that is not a symbolic link

    def _on_readable(self, now: float) -> None:
        try:
            self._received(os.read(self._master, 4096), now)
        except OSError:
            pass

    def _send(self, data: bytes) -> int:
        return os.write(self._master, data)


def _check_symlink(path: str) -> None:
    if not os.path.lexists(path):
        return
    if not os.path.islink(path):
        raise TransportError(f'{path}: exists and is not a symbolic link')
    target = os.path.join(os.path.dirname(path), os.readlink(path))
    if not target.startswith('/dev/pts/'):
        if os.path.exists(target):
            raise TransportError(f'{path}: is a symbolic link to {target}, which is not a pseudo-terminal')
        return
    try:
        terminal = os.open(target, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError:
        return
    try:
        _claim(terminal, path)
    except OSError:
        raise TransportError(f'{path}: another simulator uses it ({target})') from None
    finally:
        os.close(terminal)


def _claim(terminal: int, path: str) -> None:
    """Mark the terminal as the one that `path` points to, as long as this process lives.

    Raises OSError if another process has marked it. This tells a symbolic link in use from one that was left behind.
    The system uses the number of a terminal again, perhaps for a simulator with another path: so each path locks a
    byte of its own. Hosts use flock, which is independent of this lock.
    """
    byte = zlib.crc32(os.path.realpath(os.path.dirname(path)).encode() + b'/' + os.path.basename(path).encode())
    fcntl.lockf(terminal, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, byte)


def _make_symlink(target: str, path: str) -> None:
    """Make the symbolic link, or replace it in one step."""
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


class _SocketTransport(_HostTransport):
    """A transport whose host is at the other end of a socket."""

    _host: socket.socket | None = None

    def _connected(self) -> bool:
        return self._host is not None

    def _adopt(self, host: socket.socket) -> None:
        now = self._server.clock()
        if self._link.is_open(now):
            self._link.open(now)  # what is on its way belongs to the host before
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


class TcpTransport(_SocketTransport):
    """The networked hub: one host at a time; another connection is accepted and closed at once. Raises TransportError.

    With port 0 the system chooses one. `address` is the real one, and it stays the same when the hub is unplugged and
    plugged in again.
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
            raise TransportError(f'{_show(self.address)}: {error.strerror}') from None
        listener.setblocking(False)
        self._listener = listener
        self.address = (host, listener.getsockname()[1])
        self._server.watch(listener, lambda now: self._accept())

    def _unplug(self) -> None:
        if self._host is not None:
            # This makes a reset of it, not an orderly end: a host that writes sees the same when a real hub is gone.
            self._host.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        self._hang_up()
        if self._listener is not None:
            self._server.unwatch(self._listener)
            self._listener.close()
            self._listener = None

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


class SocketPairTransport(_SocketTransport):
    """A transport for a host in this process."""

    _theirs: socket.socket | None = None

    def connect(self) -> socket.socket:
        """Connect a host; return its end of the socket pair.

        Raises LinkLost while the hub is unplugged, BlockingIOError while another host is connected.
        """
        with self._server.lock:
            now = self._server.clock()
            self.advance(now)
            if not self._link.is_open(now):
                raise LinkLost()
            if self._host is not None:
                raise BlockingIOError('in use')
            ours, self._theirs = socket.socketpair()
            self._adopt(ours)
        self._server.wake()
        return self._theirs

    def disconnect(self, theirs: socket.socket) -> None:
        """Disconnect the host that has this end. The caller closes the end itself."""
        with self._server.lock:
            if theirs is self._theirs:
                self._hang_up()
        self._server.wake()

    def _unplug(self) -> None:
        self._hang_up()


def _show(address: tuple[str, int]) -> str:
    host, port = address
    return f'[{host}]:{port}' if ':' in host else f'{host}:{port}'


def parse_address(text: str) -> tuple[str, int]:
    """Read `HOST:PORT` or `[ADDRESS]:PORT`; return host and port. Raises ValueError that says what is accepted."""
    host, colon, port = text.rpartition(':')
    if host.startswith('[') and host.endswith(']'):
        host = host[1:-1]
    elif ':' in host:
        colon = ''
    if not (colon and host and port.isascii() and port.isdigit() and int(port) < 65536):
        raise ValueError(f'the address must be HOST:PORT with a port from 0 to 65535, not {text!r}')
    return host, int(port)

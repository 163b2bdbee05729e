# SPDX-License-Identifier: GPL-3.0-or-later
"""Open, read and close the serial port, check its address, claim it, and explain its errors."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import select
import socket
import struct
import termios
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import serial

HANDLERS = 'warwick.observatory.focuslynx.simulator'
"""The package in which pyserial finds the handler of lynxsim:// addresses."""

WRITE_TIMEOUT_S = 1.0
"""How long a write may take. A request has 24 bytes at most: a port that does not take them in this time is stuck."""

NETWORK_LIMIT_S = 5
"""The kernel ends a connection when the other end has acknowledged nothing for so long. It probes a silent one."""

READ_SIZE = 4096
"""How many bytes are read at once at most."""

NOTES = {
    'socket': 'serial_baud is not sent, the device server has its own; other programs cannot be kept out',
    'rfc2217': 'other programs cannot be kept out; bytes are fetched every 5 ms, and not waited for',
    'spy': 'the thread of the hub writes a trace, and waits for it: for tests alone',
    'hwgrep': 'the device is searched for at each opening; it is the first one that matches',
}
"""What the handlers of pyserial cannot do, or do in their own way, by the scheme of the address."""

_NEEDED_MODULES = {'cp2110': 'hid'}
"""Modules that handlers need beside pyserial."""

_NETWORK_SCHEMES = ('socket', 'rfc2217')

_PSEUDO_TERMINALS = range(136, 144)   # major numbers of /dev/pts/*

_REASONS = {
    errno.ENOENT: 'no such device',
    errno.ENXIO: 'no such device',
    errno.ENODEV: 'no such device',
    errno.EACCES: 'permission denied',
    errno.EPERM: 'permission denied',
    errno.EISDIR: 'it is a directory',
    errno.ENOTTY: 'it is not a serial device',
    errno.EBUSY: 'it is in use by another program',
    errno.EAGAIN: 'it is in use by another program',
    errno.EIO: 'the device is gone',
    errno.ECONNREFUSED: 'connection refused',
    errno.ECONNRESET: 'the other end has reset the connection',
    errno.ECONNABORTED: 'the other end has reset the connection',
    errno.EPIPE: 'the other end has closed the connection',
    errno.ETIMEDOUT: 'the other end of the connection does not answer',
    errno.EHOSTUNREACH: 'host unreachable',
    errno.ENETUNREACH: 'network unreachable',
}


def open_port(name: str, baud: int) -> Any:
    """Open a device, or any address that pyserial knows, with reads that do not block. No other process can open it.

    The port is closed by `close_port`. Raises whatever pyserial and the system raise; `explain` turns that into a
    reason.
    """
    _know_simulator()
    port = serial.serial_for_url(name, do_not_open=True, baudrate=baud, timeout=0, exclusive=True)
    if scheme_of(name) != 'rfc2217':   # pyserial's handler refuses it, also later: _set_up_network bounds its writes
        port.write_timeout = WRITE_TIMEOUT_S
    port.open()
    try:
        _lock(port)
        connection = _connection(port)
        if connection is not None:
            _set_up_network(connection)
    except BaseException:
        close_port(port)
        raise
    return port


def _lock(port: Any) -> None:
    """Keep other programs out of a serial device. pyserial's own lock is respected only by programs that use it too."""
    fd = descriptor(port)
    if fd is not None and os.isatty(fd):
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)   # a handler may have ignored `exclusive`
        # A pseudo-terminal would stay locked after our end
        if os.major(os.fstat(fd).st_rdev) not in _PSEUDO_TERMINALS:
            fcntl.ioctl(fd, termios.TIOCEXCL)


def _connection(port: Any) -> socket.socket | None:
    """The network connection of a port, None for others. pyserial shows it nowhere else."""
    connection = getattr(port, '_socket', None)
    is_network = isinstance(connection, socket.socket) and connection.family in (socket.AF_INET, socket.AF_INET6)
    return connection if is_network else None


def _set_up_network(connection: socket.socket) -> None:
    """Let a connection send at once, end when nobody acknowledges, and forget what is unsent when it is closed.

    Otherwise the kernel goes on sending what a closed connection had buffered, and a move reaches the hub after a halt
    that went over the next connection.
    """
    if connection.gettimeout():
        connection.settimeout(WRITE_TIMEOUT_S)   # rfc2217 writes with the time-out of the socket
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in ((socket.TCP_NODELAY, 1), (socket.TCP_USER_TIMEOUT, NETWORK_LIMIT_S * 1000),
                          (socket.TCP_KEEPIDLE, NETWORK_LIMIT_S), (socket.TCP_KEEPINTVL, 1),
                          (socket.TCP_KEEPCNT, NETWORK_LIMIT_S)):
        connection.setsockopt(socket.IPPROTO_TCP, option, value)


def close_port(port: Any) -> None:
    """Close a port, and drop what it has not sent yet. Can take seconds. Raises what `open_port` does."""
    fd, connection = descriptor(port), _connection(port)
    if connection is not None:
        # pyserial would end the connection in the ordinary way first. To end reading sends nothing, and frees the
        # socket from a thread that waits in it.
        try:
            connection.shutdown(socket.SHUT_RD)
        except OSError:
            pass   # it has ended already
        connection.close()
    elif fd is not None and os.isatty(fd):
        try:
            termios.tcflush(fd, termios.TCOFLUSH)   # closing waits up to 30 s for output that is not taken
        except termios.error:
            pass   # the device is gone
    port.close()


def descriptor(port: Any) -> int | None:
    """The file descriptor of a port, None without one: pyserial's handlers differ in how they say so."""
    try:
        fd: int = port.fileno()
    except Exception:
        return None
    return fd if fd >= 0 else None


def read_available(port: Any) -> bytes:
    """What has come, without waiting. Nothing, if another program was faster. Raises what `open_port` does."""
    fd = descriptor(port)
    if fd is None:
        data = bytearray()
        while len(data) < READ_SIZE:   # rfc2217 gives one byte at a time
            more = port.read(1)
            if not more:
                break
            data += more
        return bytes(data)
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    events = sum(events for _, events in poll.poll(0))
    if not events:
        return b''
    try:
        available: bytes = port.read(READ_SIZE)
    except serial.SerialException as error:
        if 'readiness to read' not in str(error) or events != select.POLLIN:   # a hang-up has its own bit
            raise
        return b''
    return available


def scheme_of(name: str) -> str:
    """The scheme of an address `scheme://...` in lower case; empty for the path of a device."""
    scheme, separator, _ = name.partition('://')
    return scheme.lower() if separator else ''


def is_on_network(name: str) -> bool:
    """Whether there is a network between us and the port."""
    return scheme_of(name) in _NETWORK_SCHEMES


def check_address(name: str) -> None:
    """Raise ValueError, with the reason, for an address `scheme://...` that can never be opened.

    Whether the device or the host exists is not checked: it may come and go.
    """
    _know_simulator()
    if '://' not in name:
        return
    scheme = scheme_of(name)
    handlers = [package for package in serial.protocol_handler_packages
                if scheme.isascii() and scheme.isalnum() and find_spec(f'.protocol_{scheme}', package)]
    if not handlers:
        raise ValueError(f'protocol {name.partition("://")[0]!r} is not known')
    needed = _NEEDED_MODULES.get(scheme)
    if needed is not None and find_spec(needed) is None:
        raise ValueError(f'the Python module {needed!r} is not installed')
    # Asking pyserial itself has side effects: some of its handlers search for the device, or open files
    if is_on_network(name):
        host_and_port = re.fullmatch(r'[^/?#]+:([0-9]{1,5})([/?#].*)?', name.partition('://')[2])
        if host_and_port is None or int(host_and_port.group(1)) > 65535:
            raise ValueError(f'must be {scheme}://HOST:PORT')
    elif HANDLERS in handlers:
        try:
            import_module(f'.protocol_{scheme}', HANDLERS).Serial.from_url(name)
        except serial.SerialException as error:
            raise ValueError(explain(error)) from None


def claim_port(name: str) -> socket.socket | None:
    """Claim the hub's port for this process, until the returned socket is closed. Raises OSError if it is claimed.

    So a second daemon for one hub ends at once, instead of waiting for the port for ever. The claim is a name among the
    abstract Unix sockets, which the kernel frees however the process ends. It is for the configured name: what a
    symbolic link points to may be another device tomorrow. Two names for one device collide when the second is opened.
    A hub that is simulated inside the process cannot be shared: it needs no claim, and None is returned.
    """
    if name.startswith('lynxsim://'):
        return None
    claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    claim.bind(b'\0focusd:' + name.encode()[-90:])
    return claim


def _know_simulator() -> None:
    if HANDLERS not in serial.protocol_handler_packages:
        serial.protocol_handler_packages.append(HANDLERS)


def explain(error: BaseException) -> str:
    """A short reason for an exception of a port. pyserial wraps errors in errors, and repeats itself."""
    number = getattr(error, 'errno', None)
    if number is None and isinstance(error, termios.error) and error.args:
        number = error.args[0]
    text = ' '.join(str(error).split())
    words = ''   # of the system, for a number that it gives
    found = re.search(r"""\[Errno (-?\d+)\] ([^:]*)|: \((\d+), ['"](.*?)['"]\)""", text)
    if found is not None:
        number = number or int(found.group(1) or found.group(3))
        words = (found.group(2) or found.group(4)).lower()
    if number in _REASONS:
        return _REASONS[number]
    if 'readiness to read' in text:   # how pyserial describes a pulled plug
        return _REASONS[errno.EIO]
    if 'socket disconnected' in text or 'reader thread died' in text:   # and the end of a network connection
        return _REASONS[errno.EPIPE]
    if 'does not seem to support RFC2217' in text:
        return 'the other end does not speak RFC 2217'
    if text.endswith('timed out'):
        return 'timed out'
    if number is not None and number > 0:
        return os.strerror(number).lower()
    if words:   # of the name service, whose numbers are negative
        return words
    return text or type(error).__name__

# SPDX-License-Identifier: GPL-3.0-or-later
"""Open the serial port, check its address, claim it, and explain its errors."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import socket
import termios
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import serial

HANDLERS = 'warwick.observatory.focuslynx.simulator'
"""The package in which pyserial finds the handler of lynxsim:// addresses."""

WRITE_TIMEOUT_S = 1.0
"""How long a write may take. A request has 24 bytes at most: a port that does not take them in this time is stuck."""

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
    errno.EHOSTUNREACH: 'host unreachable',
}


def open_port(name: str, baud: int) -> Any:
    """Open a device, or any address that pyserial knows, with reads that do not block. No other process can open it.

    Raises whatever pyserial and the system raise; `explain` turns that into a reason.
    """
    _know_simulator()
    if '://' in name:
        return serial.serial_for_url(name, baudrate=baud, timeout=0, write_timeout=WRITE_TIMEOUT_S)
    port = serial.Serial(name, baudrate=baud, timeout=0, write_timeout=WRITE_TIMEOUT_S, exclusive=True)
    # pyserial's own lock keeps out only programs that use it too. A pseudo-terminal would stay locked after our end.
    if not os.path.realpath(name).startswith('/dev/pts/'):
        try:
            fcntl.ioctl(port.fileno(), termios.TIOCEXCL)
        except OSError:
            port.close()
            raise
    return port


def check_address(name: str) -> None:
    """Raise ValueError, with the reason, for an address `scheme://...` that can never be opened.

    Whether the device or the host exists is not checked: it may come and go.
    """
    _know_simulator()
    scheme, separator, _ = name.partition('://')
    if not separator:
        return
    handlers = [package for package in serial.protocol_handler_packages
                if scheme.isalnum() and find_spec(f'.protocol_{scheme.lower()}', package)]
    if not handlers:
        raise ValueError(f'protocol {scheme!r} is not known')
    # Asking pyserial itself has side effects: some of its handlers search for the device, or open files
    if scheme == 'socket':
        host_and_port = re.fullmatch(r'socket://[^/?#]+:([0-9]{1,5})([/?#].*)?', name)
        if host_and_port is None or int(host_and_port.group(1)) > 65535:
            raise ValueError('must be socket://HOST:PORT')
    elif HANDLERS in handlers:
        try:
            import_module(f'.protocol_{scheme.lower()}', HANDLERS).Serial.from_url(name)
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
    claim.bind(b'\0focusd:' + os.fsencode(name)[-90:])
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
    if number is None:
        found = re.search(r'(?:\[Errno |: \()(\d+)\b', text)
        number = int(found.group(1)) if found else None
    if number in _REASONS:
        return _REASONS[number]
    if 'readiness to read' in text:   # how pyserial describes a pulled plug
        return _REASONS[errno.EIO]
    if number is not None and not isinstance(error, serial.SerialException):
        return os.strerror(number).lower()
    return text or type(error).__name__

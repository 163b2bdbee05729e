# SPDX-License-Identifier: GPL-3.0-or-later
"""lynxsim:// for pyserial: a simulated hub as a serial port, inside this process.

    serial.protocol_handler_packages.append('warwick.observatory.focuslynx.simulator')
    port = serial.serial_for_url('lynxsim://?channels=1,2&max_pos=112000&speed=800')

The query takes every name of the settings table, `state=FILE` and `control=PATH`. The same URL is the same hub for as
long as the process lives: closing the port does not switch it off, and whoever opens it again finds what he left.
"""
from __future__ import annotations

import atexit
import select
import socket
import threading
import time
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from serial.serialutil import PortNotOpenError, SerialBase, SerialException, SerialTimeoutException, Timeout, to_bytes

from .link import LineFaults, LinkLost
from .model import Hub
from .server import ControlDoor, DoorError, Server
from .settings import SETTINGS, BadSetting, find
from .state import StateError, hub_with_state
from .transports import PairDoor

__all__ = ['Serial']

_FORM = 'lynxsim://?NAME=VALUE&...'
_lock = threading.Lock()
_hubs: dict[str, PairDoor] = {}
_servers: list[tuple[Server, threading.Thread]] = []


def _options(url: str) -> dict[str, str]:
    parts = urlsplit(url)
    if parts.scheme != 'lynxsim' or parts.netloc or parts.path.strip('/') or parts.fragment:
        raise SerialException(f'{url}: the form is {_FORM}')
    options: dict[str, str] = {}
    # A plus sign is a sign here, not a blank: probe=+5.2.
    for name, value in parse_qsl(parts.query.replace('+', '%2B'), keep_blank_values=True):
        name = name.replace('-', '_')
        if name not in ('state', 'control'):
            try:
                find(name)
            except BadSetting:
                raise SerialException(f'{url}: unknown option {name!r}; there are state, control, '
                                      f'{", ".join(SETTINGS)}') from None
        elif not value:
            raise SerialException(f'{url}: {name} needs a path')
        if name in options:
            raise SerialException(f'{url}: {name} is given twice')
        options[name] = value
    return options


def _made(url: str, options: dict[str, str], state: str | None) -> tuple[Hub, LineFaults]:
    """A hub with these options, and its line. Raises SerialException."""
    faults = LineFaults()
    try:
        for name in [name for name in options if SETTINGS.get(name) and SETTINGS[name].scope == 'line']:
            faults.set(name, options.pop(name))
        return hub_with_state(options, state, time.monotonic()), faults
    except (BadSetting, StateError) as error:
        raise SerialException(f'{url}: {error}') from None


def _hub(url: str) -> PairDoor:
    """The door of the hub of this URL; a new hub at the first time."""
    with _lock:
        if url not in _hubs:
            options = _options(url)
            state, control = options.pop('state', None), options.pop('control', None)
            server = Server(*_made(url, options, state))
            try:
                door = PairDoor(server)
                door.start()
                if control is not None:
                    server.add(ControlDoor(server, control))
            except DoorError as error:
                server.close()
                raise SerialException(f'{url}: {error}') from None
            thread = threading.Thread(target=server.run, name='hub simulator', daemon=True)
            thread.start()
            _servers.append((server, thread))
            _hubs[url] = door
        return _hubs[url]


@atexit.register
def _leave_nothing_behind() -> None:
    for server, thread in _servers:
        server.stop()
        thread.join(1.0)


class Serial(SerialBase):
    """A serial port with the simulated hub behind it. Line settings such as the baud rate are accepted and ignored."""

    is_open: bool
    _door: PairDoor | None = None
    _socket: socket.socket | None = None

    @staticmethod
    def from_url(url: str) -> None:
        """Raises SerialException for an address that cannot be opened, without making a hub that stays."""
        options = _options(url)
        _made(url, {name: value for name, value in options.items() if name not in ('state', 'control')}, None)

    def open(self) -> None:
        """Raises SerialException for a wrong URL, an unplugged hub, and a port that is open already."""
        if self.is_open:
            raise SerialException('Port is already open.')
        if self._port is None:
            raise SerialException('Port must be configured before it can be used.')
        self._door = _hub(self._port)
        try:
            self._socket = self._door.connect()
        except LinkLost:
            raise SerialException(f'could not open port {self._port}: hub is unplugged') from None
        except BlockingIOError:
            raise SerialException(f'could not open port {self._port}: it is open already in this process') from None
        self._socket.setblocking(False)
        self.is_open = True

    def close(self) -> None:
        if self.is_open:
            self.is_open = False
            assert self._door is not None and self._socket is not None
            self._door.disconnect(self._socket)
            self._socket.close()
            self._socket = None

    def _open_socket(self) -> socket.socket:
        if not self.is_open or self._socket is None:
            raise PortNotOpenError()
        return self._socket

    def fileno(self) -> int:
        return self._open_socket().fileno()

    @property
    def in_waiting(self) -> int:
        """Bytes that can be read without waiting."""
        stream = self._open_socket()
        try:
            waiting = len(stream.recv(65536, socket.MSG_PEEK))
        except BlockingIOError:
            return 0
        except OSError as error:
            raise SerialException(f'hub is unplugged: {error}') from None
        if not waiting:
            raise SerialException('hub is unplugged')
        return waiting

    def read(self, size: int = 1) -> bytes:
        """At most `size` bytes, fewer when the timeout is over. Raises SerialException once the hub is unplugged."""
        stream = self._open_socket()
        result = bytearray()
        timeout = Timeout(self._timeout)
        while len(result) < size:
            try:
                piece = stream.recv(size - len(result))
            except BlockingIOError:
                if timeout.expired():
                    break
                select.select([stream], [], [], timeout.time_left())
                continue
            except OSError as error:
                raise SerialException(f'read failed: {error}') from None
            if not piece:
                raise SerialException('read failed: hub is unplugged')
            result += piece
        return bytes(result)

    def write(self, data: Any) -> int:
        """Send all of `data`. Raises SerialException once the hub is unplugged."""
        stream = self._open_socket()
        data = to_bytes(data)
        sent = 0
        timeout = Timeout(self._write_timeout)
        while sent < len(data):
            try:
                sent += stream.send(data[sent:])
            except BlockingIOError:
                if timeout.is_non_blocking:
                    break
                if timeout.expired():
                    raise SerialTimeoutException('Write timeout') from None
                select.select([], [stream], [], timeout.time_left())
            except OSError as error:
                raise SerialException(f'write failed: {error}') from None
        return sent

    def flush(self) -> None:
        """Nothing is held back."""
        self._open_socket()

    def reset_input_buffer(self) -> None:
        stream = self._open_socket()
        try:
            while stream.recv(65536):
                pass
        except BlockingIOError:
            return
        except OSError as error:
            raise SerialException(f'hub is unplugged: {error}') from None
        raise SerialException('hub is unplugged')

    def reset_output_buffer(self) -> None:
        self._open_socket()

    def _reconfigure_port(self) -> None:
        pass

    def _update_break_state(self) -> None:
        pass

    def _update_rts_state(self) -> None:
        pass

    def _update_dtr_state(self) -> None:
        pass

    def _lines(self) -> tuple[bool, bool, bool, bool]:
        self._open_socket()
        return True, True, False, True

    @property
    def cts(self) -> bool:
        return self._lines()[0]

    @property
    def dsr(self) -> bool:
        return self._lines()[1]

    @property
    def ri(self) -> bool:
        return self._lines()[2]

    @property
    def cd(self) -> bool:
        return self._lines()[3]

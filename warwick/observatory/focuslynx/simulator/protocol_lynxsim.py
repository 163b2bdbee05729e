# SPDX-License-Identifier: GPL-3.0-or-later
"""lynxsim:// for pyserial: a simulated hub as a serial port, inside this process.

    serial.protocol_handler_packages.append('warwick.observatory.focuslynx.simulator')
    port = serial.serial_for_url('lynxsim://?channels=1,2&max_pos=112000&speed=800')

The query accepts every name of the settings table, `state=FILE` and `control=PATH`. The same URL is the same hub until
the process ends: closing the port does not switch the hub off, and opening it again finds the hub as it was.
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

from .link import LinkFaults, LinkLost
from .model import Hub
from .server import ControlSocket, Server, TransportError
from .settings import SETTINGS, BadSetting, find
from .state import StateError, hub_with_state
from .transports import SocketPairTransport

__all__ = ['Serial']

_FORM = 'lynxsim://?NAME=VALUE&...'
_lock = threading.Lock()
_transports: dict[str, SocketPairTransport] = {}
_servers: list[tuple[Server, threading.Thread]] = []


def _options(url: str) -> dict[str, str]:
    parts = urlsplit(url)
    if parts.scheme != 'lynxsim' or parts.netloc or parts.path.strip('/') or parts.fragment:
        raise SerialException(f'{url}: the form is {_FORM}')
    options: dict[str, str] = {}
    # A plus sign in the query is a sign, not a blank: probe=+5.2.
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


def _make_hub(url: str, options: dict[str, str], state: str | None) -> tuple[Hub, LinkFaults]:
    """Make a hub with these options, and the faults of its links. Raises SerialException."""
    faults = LinkFaults()
    try:
        faults.take_settings(options)
        return hub_with_state(options, state, time.monotonic()), faults
    except (BadSetting, StateError) as error:
        raise SerialException(f'{url}: {error}') from None


def _transport(url: str) -> SocketPairTransport:
    """The transport to the hub of this URL. The first call starts the hub. Raises SerialException."""
    with _lock:
        if url not in _transports:
            options = _options(url)
            state, control = options.pop('state', None), options.pop('control', None)
            server = Server(*_make_hub(url, options, state))
            try:
                transport = SocketPairTransport(server)
                server.add(transport)
                if control is not None:
                    server.add(ControlSocket(server, control))
            except TransportError as error:
                server.close()
                raise SerialException(f'{url}: {error}') from None
            thread = threading.Thread(target=server.run, name='hub simulator', daemon=True)
            thread.start()
            _servers.append((server, thread))
            _transports[url] = transport
        return _transports[url]


@atexit.register
def _stop_servers() -> None:
    for server, thread in _servers:
        server.stop()
        thread.join(1.0)


class Serial(SerialBase):
    """A serial port with the simulated hub behind it. Baud rate and framing are accepted and ignored."""

    is_open: bool
    _transport: SocketPairTransport | None = None
    _socket: socket.socket | None = None

    @staticmethod
    def from_url(url: str) -> None:
        """Check a URL without starting a hub. Raises SerialException if it is wrong."""
        options = _options(url)
        _make_hub(url, {name: value for name, value in options.items() if name not in ('state', 'control')}, None)

    def open(self) -> None:
        """Open the port. Raises SerialException for a wrong URL, an unplugged hub, and a port that is already open."""
        if self.is_open:
            raise SerialException('Port is already open.')
        if self.port is None:
            raise SerialException('Port must be configured before it can be used.')
        self._transport = _transport(self.port)
        try:
            self._socket = self._transport.connect()
        except LinkLost:
            raise SerialException(f'could not open port {self.port}: hub is unplugged') from None
        except BlockingIOError:
            raise SerialException(f'could not open port {self.port}: it is open already in this process') from None
        self._socket.setblocking(False)
        self.is_open = True

    def close(self) -> None:
        if self.is_open:
            self.is_open = False
            assert self._transport is not None and self._socket is not None
            self._transport.disconnect(self._socket)
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
        """Read `size` bytes, or fewer when the timeout is over. Raises SerialException once the hub is unplugged."""
        stream = self._open_socket()
        result = bytearray()
        timeout = Timeout(self.timeout)
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
        timeout = Timeout(self.write_timeout)
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
        """Do nothing: `write` has sent everything already."""
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

    @property
    def cts(self) -> bool:
        self._open_socket()
        return True

    @property
    def dsr(self) -> bool:
        self._open_socket()
        return True

    @property
    def ri(self) -> bool:
        self._open_socket()
        return False

    @property
    def cd(self) -> bool:
        self._open_socket()
        return True

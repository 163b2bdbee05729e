# SPDX-License-Identifier: GPL-3.0-or-later
"""The connection of one client: turns bytes into messages of Pyro4, and their payload into plain values.

The header, the messages and the serializer are Pyro4's. The limits are ours, and are checked before a message is
read, decompressed or decoded.
"""

from __future__ import annotations

import ast
import ipaddress
import socket
import time
import zlib
from typing import Any

import Pyro4
from Pyro4 import message as wire

MESSAGE_LIMIT_S = 2.0
"""How long the introduction of a client may take, and later the rest of a message that has begun."""

REQUEST_LIMIT = 4096
"""Bytes of a message after its header, and of its payload when decompressed. The longest call has some 300."""

SEND_BUFFER_SIZE = 64 * 1024
"""Bytes of replies that wait in the kernel until a client reads them. The kernel's default is megabytes."""

SERIALIZER = Pyro4.util.get_serializer('serpent')


class Refused(Exception):
    """A request of a client is refused; the text is one line, for the client and for the log."""


class Connection:
    """The socket of one client. Users of Pyro4's current_context expect the name `sock`."""

    def __init__(self, client: socket.socket, peer: tuple[Any, ...]) -> None:
        self.sock = client
        self.address = plain_address(peer[0])
        self.peer = (self.address, *peer[1:])
        self.busy = False                     # the server's ConnectionLimit sets this and idle_since
        self.idle_since = time.monotonic()
        self._data = bytearray()
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_SIZE)
        # The connections of a machine that was switched off end after a minute and a half
        client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)

    def receive(self, deadline: float | None = None) -> Any:
        """The next message, with its payload still encoded and without its annotations.

        Without a deadline it may begin at any time, and has MESSAGE_LIMIT_S from then on. Raises Refused for what is
        not a message of Pyro4, too large (before the body is read) or too slow; OSError if the client has gone.
        """
        deadline = self._fill(wire.Message.header_size, deadline)
        try:
            message = wire.Message.from_header(bytes(self._data[:wire.Message.header_size]))
        except Pyro4.errors.ProtocolError as error:
            raise Refused(f'not a message of Pyro4: {error}') from None
        size = message.annotations_size + message.data_size
        if message.data_size < 0 or size > REQUEST_LIMIT:
            raise Refused(f'a message of {size} bytes: at most {REQUEST_LIMIT} are accepted')
        end = wire.Message.header_size + size
        self._fill(end, deadline)
        message.data = bytes(self._data[end - message.data_size:end])
        del self._data[:end]
        return message

    def _fill(self, size: int, deadline: float | None) -> float | None:
        while len(self._data) < size:
            if deadline is None and self._data:
                deadline = time.monotonic() + MESSAGE_LIMIT_S
            remaining = None if deadline is None else deadline - time.monotonic()
            if remaining is not None and remaining <= 0:
                raise Refused(f'no complete message within {MESSAGE_LIMIT_S:g} s')
            self.sock.settimeout(remaining)
            try:
                piece = self.sock.recv(REQUEST_LIMIT)
            except socket.timeout:
                continue
            if not piece:
                raise ConnectionResetError
            self._data += piece
        return deadline

    def send(self, kind: int, flags: int, seq: int, payload: bytes) -> None:
        """Send a message without waiting. Raises Refused if the client does not read: it must not occupy a thread."""
        data = wire.Message(kind, payload, SERIALIZER.serializer_id, flags, seq).to_bytes()
        try:
            sent = self.sock.send(data, socket.MSG_DONTWAIT)
        except BlockingIOError:
            sent = 0
        if sent != len(data):
            raise Refused('the client does not read its replies')

    def cut(self) -> None:
        """End the connection. Any thread may do it; the connection's own thread then gets an OSError."""
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass   # the client has ended it already

    def close(self) -> None:
        """Close the socket. Only the connection's own thread may do it, after ConnectionLimit.remove."""
        self.cut()   # close() alone does not end the connection while another object refers to the socket
        self.sock.close()


def decode(message: Any) -> Any:
    """The payload of a message, which has to be serpent: a literal of Python. Raises Refused."""
    if message.serializer_id != SERIALIZER.serializer_id:
        raise Refused(f'serializer number {message.serializer_id} is not accepted: use serpent')
    data = bytes(message.data)
    try:
        if message.flags & wire.FLAGS_COMPRESSED:
            data = zlib.decompressobj().decompress(data, REQUEST_LIMIT + 1)
            if len(data) > REQUEST_LIMIT:
                raise Refused(f'the payload expands to more than {REQUEST_LIMIT} bytes')
        return ast.literal_eval(data.decode('utf-8'))
    except (zlib.error, ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        raise Refused('the payload is not in the form of serpent') from None


def plain_address(text: str) -> str:
    """An IP address in the one form that can be compared: ::ffff:10.2.6.181 becomes 10.2.6.181."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return text
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)

# SPDX-License-Identifier: GPL-3.0-or-later
"""One client's connection: bytes into messages of Pyro4, and their payload into plain values, within bounds.

The header, the messages and the serializer are Pyro4's; the limits are ours, and hold before anything is read,
expanded or decoded.
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

PATIENCE_S = 2.0
"""How long the introduction of a client may take, and later the rest of a message that has begun."""

LARGEST_REQUEST = 4096
"""Bytes of a message behind its header, and of its payload when decompressed. The longest call has some 300."""

SEND_BUFFER = 64 * 1024
"""Bytes of replies that may wait in the kernel for a client to read them; by itself it would keep megabytes."""

SERIALIZER = Pyro4.util.get_serializer('serpent')


class Refused(Exception):
    """A client asked for what is not given; the text is one line, fit for the client and for the log."""


class Connection:
    """The socket of one client. `sock` has this name because users of Pyro4's current_context expect it."""

    def __init__(self, client: socket.socket, peer: tuple[Any, ...]) -> None:
        self.sock = client
        self.address = plain_address(peer[0])
        self.peer = (self.address, *peer[1:])
        self.busy = False                     # this and idle_since belong to the Places of the server
        self.idle_since = time.monotonic()
        self._data = bytearray()
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        # A machine that was switched off gives its places back in a minute and a half
        client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)

    def receive(self, deadline: float | None = None) -> Any:
        """The next message, its payload still encoded and its annotations dropped.

        Without a deadline it may begin at any time, and has PATIENCE_S from then on. Raises Refused for what is no
        message of Pyro4, too large or too slow, before the body is read; OSError if the client has gone.
        """
        deadline = self._fill(wire.Message.header_size, deadline)
        try:
            message = wire.Message.from_header(bytes(self._data[:wire.Message.header_size]))
        except Pyro4.errors.ProtocolError as error:
            raise Refused(f'not a message of Pyro4: {error}') from None
        size = message.annotations_size + message.data_size
        if message.data_size < 0 or size > LARGEST_REQUEST:
            raise Refused(f'a message of {size} bytes: {LARGEST_REQUEST} are accepted')
        end = wire.Message.header_size + size
        self._fill(end, deadline)
        message.data = bytes(self._data[end - message.data_size:end])
        del self._data[:end]
        return message

    def _fill(self, size: int, deadline: float | None) -> float | None:
        while len(self._data) < size:
            if deadline is None and self._data:
                deadline = time.monotonic() + PATIENCE_S
            remaining = None if deadline is None else deadline - time.monotonic()
            if remaining is not None and remaining <= 0:
                raise Refused(f'no complete message within {PATIENCE_S:g} s')
            self.sock.settimeout(remaining)
            try:
                piece = self.sock.recv(LARGEST_REQUEST)
            except socket.timeout:
                continue
            if not piece:
                raise ConnectionResetError
            self._data += piece
        return deadline

    def send(self, kind: int, flags: int, seq: int, payload: bytes) -> None:
        """Send a message, now or never: a client that asks and does not read has no claim to a thread."""
        data = wire.Message(kind, payload, SERIALIZER.serializer_id, flags, seq).to_bytes()
        try:
            sent = self.sock.send(data, socket.MSG_DONTWAIT)
        except BlockingIOError:
            sent = 0
        if sent != len(data):
            raise Refused('does not read what it is told')

    def cut(self) -> None:
        """End the connection from another thread than its own, which then finds it closed."""
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass   # the client was faster

    def close(self) -> None:
        """Close the socket; only its own thread may, once the connection has left its place."""
        self.cut()   # Python holds a socket open while anybody refers to it
        self.sock.close()


def decode(message: Any) -> Any:
    """The payload of a message: serpent, which is a literal of Python. Raises Refused."""
    if message.serializer_id != SERIALIZER.serializer_id:
        raise Refused(f'serializer number {message.serializer_id} is not accepted: use serpent')
    data = bytes(message.data)
    try:
        if message.flags & wire.FLAGS_COMPRESSED:
            data = zlib.decompressobj().decompress(data, LARGEST_REQUEST + 1)
            if len(data) > LARGEST_REQUEST:
                raise Refused(f'a payload that expands to more than {LARGEST_REQUEST} bytes')
        return ast.literal_eval(data.decode('utf-8'))
    except (zlib.error, ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        raise Refused('a payload that is not in the form of serpent') from None


def plain_address(text: str) -> str:
    """An IP address in the one form in which it can be compared; ::ffff:10.2.6.181 is 10.2.6.181."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return text
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)

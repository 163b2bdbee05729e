# SPDX-License-Identifier: GPL-3.0-or-later
"""The connection of one client: turns bytes into messages of Pyro4, and their payload into plain values.

The header, the messages and the serializers are Pyro4's. The limits are ours, and are checked before a message is
read, decompressed or decoded. What a client sends is decoded here, since Pyro4's serializers rebuild classes.
"""

from __future__ import annotations

import ast
import ipaddress
import json
import re
import select
import socket
import struct
import threading
import time
import zlib
from collections.abc import Callable
from typing import Any

import Pyro4
from Pyro4 import message as wire

MESSAGE_LIMIT_S = 2.0
"""How long the introduction of a client may take, and later the rest of a message that has begun."""

REQUEST_LIMIT = 4096
"""Bytes of a message after its header, and of its payload when decompressed. The longest call has some 300."""

SEND_BUFFER_SIZE = 64 * 1024
"""Bytes of replies that wait in the kernel until a client reads them. The kernel's default is megabytes."""

SERPENT = Pyro4.util.get_serializer('serpent')

_DECODERS: dict[int, Callable[[str], Any]] = {
    SERPENT.serializer_id: ast.literal_eval, Pyro4.util.get_serializer('json').serializer_id: json.loads}

_SERIALIZER_NAMES = {1: 'serpent', 2: 'json', 3: 'marshal', 4: 'pickle', 5: 'dill', 6: 'msgpack', 7: 'cloudpickle'}

_NUMPY_NUMBER = re.compile(r'\bnp\.\w+\(')

# The header of Pyro5: tag, version, message type, serializer, flags, sequence number, sizes of payload and annotations,
# correlation id, reserved, magic number
_PYRO5_HEADER = struct.Struct('!4sHBBHHII16sHH')
_PYRO5_VERSIONS = range(500, 600)
_PYRO5_MAGIC = 0x4dc5
_PYRO5_REFUSAL = 'a client of Pyro5: this daemon is called with Pyro4, by Python code that imports Pyro4'


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
        self.closed = threading.Event()
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
        if self._data.startswith(b'PYRO') and int.from_bytes(self._data[4:6], 'big') in _PYRO5_VERSIONS:
            self._refuse_pyro5(deadline)
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

    def _refuse_pyro5(self, deadline: float | None) -> None:
        """Tell a client of Pyro5, in its own format, that it cannot be served. Raises Refused."""
        self._fill(_PYRO5_HEADER.size, deadline)
        _, version, _, _, _, seq, data_size, annotations_size, _, _, _ = _PYRO5_HEADER.unpack_from(self._data)
        size = _PYRO5_HEADER.size + annotations_size + data_size
        if size <= REQUEST_LIMIT:
            self._fill(size, deadline)   # a socket that is closed with unread bytes discards the answer
            payload = SERPENT.dumps(_PYRO5_REFUSAL)
            self._send(_PYRO5_HEADER.pack(b'PYRO', version, wire.MSG_CONNECTFAIL, SERPENT.serializer_id, 0, seq,
                                          len(payload), 0, bytes(16), 0, _PYRO5_MAGIC) + payload)
        raise Refused(_PYRO5_REFUSAL)

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

    def reply(self, request: Any, kind: int, flags: int, payload: bytes) -> None:
        """Send the reply to a message, with a payload that `encode` has made for it.

        It does not wait. Raises Refused if the client does not read: it must not occupy a thread.
        """
        serializer_id = _serializer_of(request).serializer_id
        self._send(wire.Message(kind, payload, serializer_id, flags, request.seq).to_bytes())

    def _send(self, data: bytes) -> None:
        try:
            sent = self.sock.send(data, socket.MSG_DONTWAIT)
        except BlockingIOError:
            sent = 0
        if sent != len(data):
            raise Refused('the client does not read its replies')

    @property
    def left(self) -> bool:
        """Whether the client has closed the connection, even if messages of it are still unread."""
        poll = select.poll()
        poll.register(self.sock, select.POLLRDHUP)
        return bool(poll.poll(0))

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
        self.closed.set()


def decode(message: Any) -> Any:
    """The payload of a message: a literal of Python, which is what serpent sends, or JSON. Raises Refused."""
    name = _SERIALIZER_NAMES.get(message.serializer_id, f'number {message.serializer_id}')
    decoder = _DECODERS.get(message.serializer_id)
    if decoder is None:
        raise Refused(f'the serializer {name} is not accepted: use serpent or json')
    data = bytes(message.data)
    try:
        if message.flags & wire.FLAGS_COMPRESSED:
            data = zlib.decompressobj().decompress(data, REQUEST_LIMIT + 1)
            if len(data) > REQUEST_LIMIT:
                raise Refused(f'the payload expands to more than {REQUEST_LIMIT} bytes')
        return decoder(data.decode('utf-8'))
    except (zlib.error, ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        if _NUMPY_NUMBER.search(data.decode('utf-8', 'replace')):
            raise Refused('a number of numpy is not accepted: send int(...) or float(...) of it') from None
        raise Refused(f'the payload is not in the form of {name}') from None


def encode(request: Any, value: Any) -> bytes:
    """A value as the payload of the reply to a message."""
    payload: bytes = _serializer_of(request).dumps(value)
    return payload


def _serializer_of(message: Any) -> Any:
    """The serializer for the reply to a message: that of the message; serpent if Pyro4 has none of that number."""
    try:
        return Pyro4.util.get_serializer_by_id(message.serializer_id)
    except Pyro4.errors.SerializeError:
        return SERPENT


def plain_address(text: str) -> str:
    """An IP address in the one form that can be compared: ::ffff:10.2.6.181 becomes 10.2.6.181."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return text
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)

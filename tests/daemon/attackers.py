# SPDX-License-Identifier: GPL-3.0-or-later
"""Hostile and careless clients, on the loopback network only: raw sockets, handmade messages, crowds."""

from __future__ import annotations

import ast
import json
import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import Pyro4
from Pyro4.message import (
    FLAGS_EXCEPTION,
    FLAGS_META_ON_CONNECT,
    MSG_CONNECT,
    MSG_CONNECTFAIL,
    MSG_CONNECTOK,
    MSG_INVOKE,
    MSG_PING,
    Message,
)

from tests.daemon.harness import OBJECT_ID, Daemon

STRANGER = '127.0.0.2'
"""An address that is no control machine's, and of this machine all the same."""

PATIENCE_S = 15.0

SERPENT = Pyro4.util.get_serializer('serpent')
JSON = Pyro4.util.get_serializer('json')


class Reply:
    """What the daemon sent: a message of Pyro4, or nothing if it hung up."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.closed = not data
        if data:
            header = Message.from_header(data[:Message.header_size])
            self.kind, self.flags, self.seq = header.type, header.flags, header.seq
            self.failed = bool(header.flags & FLAGS_EXCEPTION) or header.type == MSG_CONNECTFAIL
            payload = data[Message.header_size + header.annotations_size:]
            self.serializer_id = header.serializer_id
            self.value: Any = payload if header.type == MSG_PING else _decoded(payload, header.serializer_id)

    @property
    def text(self) -> str:
        return self.data.decode('latin-1')


def _decoded(payload: bytes, serializer_id: int) -> Any:
    """The value of a payload; an exception as the dictionary of serpent, or as itself in one that rebuilds classes."""
    if serializer_id == SERPENT.serializer_id:
        return ast.literal_eval(payload.decode())
    if serializer_id == JSON.serializer_id:
        return json.loads(payload)
    return Pyro4.util.get_serializer_by_id(serializer_id).loads(payload)


class Raw:
    """A TCP connection from any address of this machine."""

    def __init__(self, daemon: Daemon, source: str = '127.0.0.1', to: str = '127.0.0.1',
                 receive_buffer: int | None = None) -> None:
        self.socket = socket.socket(socket.AF_INET6 if ':' in to else socket.AF_INET)
        self.socket.settimeout(PATIENCE_S)
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.bind((source, 0))
        self.socket.connect((to, daemon.port))

    def send(self, data: bytes) -> None:
        """Send as much as the daemon takes."""
        try:
            self.socket.sendall(data)
        except ConnectionError:
            pass   # it has hung up already

    def reply(self) -> Reply:
        """The next message; raises socket.timeout if the daemon neither answers nor hangs up."""
        header = self._take(Message.header_size)
        if len(header) < Message.header_size:
            return Reply(b'')
        message = Message.from_header(header)
        return Reply(header + self._take(message.annotations_size + message.data_size))

    def _take(self, size: int) -> bytes:
        data = b''
        while len(data) < size:
            try:
                piece = self.socket.recv(size - len(data))
            except ConnectionError:
                piece = b''
            if not piece:
                return b''
            data += piece
        return data

    def introduce(self, object_id: str = OBJECT_ID) -> Raw:
        self.send(introduction(object_id))
        assert self.reply().kind == MSG_CONNECTOK
        return self

    def ask(self, method: object, *args: Any, **options: Any) -> Reply:
        self.send(call(method, *args, **options))
        return self.reply()

    @property
    def open(self) -> bool:
        """Whether the daemon has kept the connection, as far as one can see without waiting."""
        self.socket.setblocking(False)
        try:
            return bool(self.socket.recv(1, socket.MSG_PEEK))
        except BlockingIOError:
            return True
        except ConnectionError:
            return False
        finally:
            self.socket.settimeout(PATIENCE_S)

    def close(self) -> None:
        self.socket.close()

    def reset(self) -> None:
        """Vanish as a killed process with unread data does: the daemon gets a reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        self.socket.close()

    def __enter__(self) -> Raw:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def packed(kind: int, payload: bytes, flags: int = 0, serializer: int = SERPENT.serializer_id,
           annotations: dict[str, bytes] | None = None) -> bytes:
    data: bytes = Message(kind, payload, serializer, flags, 7, annotations).to_bytes()
    return data


def introduction(object_id: object = OBJECT_ID, flags: int = FLAGS_META_ON_CONNECT, **options: Any) -> bytes:
    return packed(MSG_CONNECT, SERPENT.dumps({'handshake': 'hello', 'object': object_id}), flags, **options)


def call(method: object, *args: Any, keywords: object = None, object_id: object = OBJECT_ID,
         **options: Any) -> bytes:
    return packed(MSG_INVOKE, SERPENT.dumps((object_id, method, args, keywords or {})), **options)


def header(data_size: int, annotations_size: int = 0, kind: int = MSG_INVOKE) -> bytes:
    """A correct header that announces any sizes."""
    serializer = SERPENT.serializer_id
    checksum = (kind + 48 + data_size + annotations_size + serializer + 0x34E9) & 0xffff
    return struct.pack('!4sHHHHiHHHH', b'PYRO', 48, kind, 0, 0, data_size, serializer, annotations_size, 0, checksum)


@contextmanager
def crowd(daemon: Daemon, number: int, source: str, say: bytes = b'') -> Iterator[list[Raw]]:
    """So many connections that say this and then nothing more."""
    with ExitStack() as stack:
        connections = []
        for _ in range(number):
            connections.append(stack.enter_context(Raw(daemon, source)))
            connections[-1].send(say)
        yield connections


def impatient(daemon: Daemon) -> Any:
    """A new client that is answered within a second, or gives up."""
    proxy = daemon.proxy()
    proxy._pyroTimeout = 1
    return proxy


def resident_kib(daemon: Daemon) -> int:
    """The memory that the daemon's process occupies now, in KiB."""
    return _memory(daemon, 'VmRSS:')


def most_resident_kib(daemon: Daemon) -> int:
    """The most that it ever occupied, in KiB."""
    return _memory(daemon, 'VmHWM:')


def _memory(daemon: Daemon, key: str) -> int:
    for line in Path(f'/proc/{daemon.process.pid}/status').read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1])
    raise AssertionError(f'no {key}')


def threads(daemon: Daemon) -> int:
    return len(list(Path(f'/proc/{daemon.process.pid}/task').iterdir()))


def dual_stack_daemon(directory: Path, **settings: Any) -> Daemon:
    """A daemon at :: instead of 127.0.0.1: clients with IPv4 addresses come to an IPv6 socket."""
    return Daemon(directory, machine='Everywhere', site={'machines': {'Everywhere': '::', 'Six': '::1'}}, **settings)

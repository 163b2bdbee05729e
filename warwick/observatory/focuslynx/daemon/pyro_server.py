# SPDX-License-Identifier: GPL-3.0-or-later
"""A bounded server for one object in Pyro4's wire format, on a network that is not trusted.

Pyro4's own daemon trusts its network: it decompresses without bound, rebuilds classes, answers failures with
tracebacks, and some silent connections stop it. A subclass that mends this is possible; it needs private names of
Pyro4, and bounds less. So this server takes the header, the messages and the serializers from Pyro4, and serves plain
calls of exposed methods. Its rules:

- A connection costs one thread and a few KiB, and the number of connections is limited. The control machines have a
  limit of their own, so that other clients cannot keep out a stop.
- At the limit, a new client replaces a connection: of those of the address that has most connections, the one that has
  been idle longest. A connection with a call under way is never replaced. If all have one, the new client is refused.
  The same connection is ended when the process runs out of file descriptors or threads.
- No client can make the server wait. A new client has 2 s for its introduction, and a message that has begun has 2 s to
  become complete. A client that does not read its replies is disconnected. Between calls a client may be silent.
- A request has at most 4 KiB, compressed or not, and is a Python literal or JSON: no classes, no other serializer.
- Annotations are skipped unread. The address of its socket alone says who a client is.
- The calls of a connection are carried out in their order. Nothing is read while one of them runs, and what is unread
  when its client has left meanwhile is dropped. A oneway call must not wait for anything: the target can tell one by
  the flags in `Pyro4.current_context`. One that was read is carried out, whether its client has left or not.
- A reply is the result of a method, or a sentence of this file or of pyro_connection.py, by the serializer of the call.
"""

from __future__ import annotations

import errno
import logging
import os
import resource
import socket
import sys
import threading
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Callable

import Pyro4
from Pyro4 import message as wire
from Pyro4.constants import DAEMON_NAME

from .log import RateLimit, log
from .pyro_connection import MESSAGE_LIMIT_S, Connection, Refused, decode, encode, plain_address

CONNECTION_LIMIT = 64
"""Connections at once: so many from the control machines, and so many from all other addresses together."""

OTHER_DESCRIPTORS = 32
"""File descriptors that the daemon needs for all but connections, at the most."""

SPARE_DESCRIPTORS = 8
"""So many are not used for connections, however few there are, so that the port can be opened at any time."""

CLIENT_LOG_INTERVAL_S = 60.0
"""In this time, one line about clients is logged. Otherwise any client could fill the log."""

ACCEPT_LIMIT_S = 1.0
"""The thread that accepts clients wakes at least this often, so that an old `progress_at` means that it hangs."""

END_LIMIT_S = 0.5
"""How long the server waits for the thread of a connection that it has cut. Such a thread does nothing else."""

THREAD_END_S = 0.01
"""How long a thread may take to end after it has closed its connection."""

THREAD_ATTEMPTS = 5
"""How often a thread is started for a connection while the system allows no more threads."""

_CALL_FLAGS = wire.FLAGS_COMPRESSED | wire.FLAGS_ONEWAY

_clients_log = logging.getLogger('focusd.clients')
_clients_log.addFilter(RateLimit(CLIENT_LOG_INTERVAL_S))


class StartError(Exception):
    """The daemon cannot start; the text is one line that says why."""


class Server:
    """Serves the exposed methods of `target` as the Pyro object `object_id`, from `start` to `close`.

    Each connection has a thread, on which the methods run with `client`, `client_sock_addr` and `msg_flags` of
    `Pyro4.current_context` set as Pyro4 does it. An IPv4 client of an IPv6 socket has its IPv4 address there. Raises
    StartError if the server cannot listen at the address.
    """

    def __init__(self, host: str, port: int, object_id: str, target: object, control_ips: list[str]) -> None:
        self._object_id = object_id
        self._objects = {
            object_id: {name: getattr(target, name) for name in Pyro4.util.get_exposed_members(target)['methods']},
            # The calls of Pyro4's clients to the daemon itself
            DAEMON_NAME: {'get_metadata': self._metadata, 'ping': lambda: None, 'registered': self._registered},
        }
        self._control_addresses = {plain_address(address) for address in control_ips}
        self._control_connections = ConnectionLimit(CONNECTION_LIMIT)
        self._other_connections = ConnectionLimit(CONNECTION_LIMIT)
        self._most_connections = 2 * CONNECTION_LIMIT   # for which there are file descriptors
        self._threads_are_short = False
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._accept, name='server', daemon=True)
        self._socket = _listen(host, port, object_id)
        self._socket.settimeout(ACCEPT_LIMIT_S)
        self.progress_at = time.monotonic()   # when the thread was last ready for a client

    def start(self) -> None:
        """Accept clients from now on."""
        # The parser warns of strange literals on standard error: a client could write there
        warnings.filterwarnings('ignore', category=SyntaxWarning, module='<unknown>')
        in_use = len(os.listdir('/proc/self/fd'))
        self._most_connections = max(1, _raise_descriptor_limit() - in_use - SPARE_DESCRIPTORS)
        self._thread.start()

    def close(self, timeout_s: float) -> None:
        """Accept no more clients and calls, wait `timeout_s` for the calls under way, and end all connections."""
        deadline = time.monotonic() + timeout_s
        self._closing.set()
        try:
            self._socket.shutdown(socket.SHUT_RDWR)   # ends an accept() under way; close() alone does not
        except OSError:
            pass   # not started
        self._socket.close()
        for connections in (self._control_connections, self._other_connections):
            connections.close(deadline - time.monotonic())

    def _accept(self) -> None:
        while not self._closing.is_set():
            self.progress_at = time.monotonic()
            try:
                client, peer = self._socket.accept()
            except socket.timeout:
                continue
            except OSError as error:
                if error.errno not in (errno.EMFILE, errno.ENFILE) or not self._make_room():
                    self._closing.wait(0.05)   # all have a call under way, or the client has gone already
                continue
            try:
                self._receive(Connection(client, peer))
            except Exception:
                _clients_log.warning('a client could not be received', exc_info=True)
                client.close()

    def _receive(self, connection: Connection) -> None:
        """Give a new connection a thread, or refuse it; without waiting for any client."""
        if self._control_connections.count + self._other_connections.count >= self._most_connections:
            self._make_room()
        controls = connection.address in self._control_addresses
        connections = self._control_connections if controls else self._other_connections
        if not connections.admit(connection):
            connection.close()
            _clients_log.warning('%s: refused: all %d connections have a call under way', connection.address,
                                 CONNECTION_LIMIT)
            return
        if self._start_thread(connection, connections):
            self._threads_are_short = False
            return
        for _ in range(THREAD_ATTEMPTS):
            self._closing.wait(THREAD_END_S)   # first, threads whose connections have ended may be about to end
            if self._start_thread(connection, connections):
                return
            self._make_room(connection)
        connections.remove(connection)
        connection.close()

    def _start_thread(self, connection: Connection, connections: ConnectionLimit) -> bool:
        """Start the thread of a connection; False if the system allows no more threads."""
        try:
            threading.Thread(target=self._serve, args=(connection, connections), name=f'client {connection.address}',
                             daemon=True).start()
        except RuntimeError as error:
            if not self._threads_are_short:
                log.error('no thread for a client: %s; idle connections are ended to make room for new ones', error)
            self._threads_are_short = True
            return False
        return True

    def _make_room(self, newcomer: Connection | None = None) -> bool:
        """End the connection that a newcomer would replace, one of a stranger if possible; False if there is none."""
        return any(connections.end_idle(newcomer) for connections in (self._other_connections,
                                                                      self._control_connections))

    def _serve(self, connection: Connection, connections: ConnectionLimit) -> None:
        context = Pyro4.current_context   # of this thread
        context.client, context.client_sock_addr = connection, connection.peer
        try:
            self._greet(connection, connections)
            while True:
                self._answer(connection, connections)
        except Refused as refusal:
            _clients_log.warning('%s: refused: %s', connection.address, refusal)
        except OSError:
            pass   # the client has gone, or its connection was replaced
        except Exception:
            _clients_log.warning('%s: unexpected failure', connection.address, exc_info=True)
        finally:
            connections.remove(connection)
            connection.close()

    def _greet(self, connection: Connection, connections: ConnectionLimit) -> None:
        """The handshake of Pyro4. Raises Refused, after an answer to the client, if the client cannot be served."""
        message = connection.receive(time.monotonic() + MESSAGE_LIMIT_S)
        if message.type != wire.MSG_CONNECT:
            raise Refused(f'a message of type {message.type} instead of an introduction')
        wants_metadata = message.flags & wire.FLAGS_META_ON_CONNECT
        greeting: Any = 'hello'
        try:
            with connections.decoding:
                payload = decode(message)
            if not isinstance(payload, dict):
                raise Refused('an introduction without content')
            if wants_metadata:
                greeting = {'handshake': greeting, 'meta': self._metadata(payload.get('object'))}
        except Refused as refusal:
            connection.reply(message, wire.MSG_CONNECTFAIL, 0, encode(message, str(refusal)))
            raise
        connection.reply(message, wire.MSG_CONNECTOK, wants_metadata, encode(message, greeting))

    def _answer(self, connection: Connection, connections: ConnectionLimit) -> None:
        """Wait for one message and answer it."""
        message = connection.receive()
        if message.type == wire.MSG_PING:
            connection.reply(message, wire.MSG_PING, 0, b'pong')
            return
        if message.type != wire.MSG_INVOKE:
            raise Refused(f'a message of type {message.type} instead of a call')
        with connections.call(connection):
            Pyro4.current_context.msg_flags = message.flags
            flags, payload = self._outcome(message, connection, connections)
            if message.flags & wire.FLAGS_ONEWAY:
                return
            left = connection.left   # not after the reply: a client may call again then, and leave
            connection.reply(message, wire.MSG_RESULT, flags, payload)
        if left:
            raise ConnectionResetError

    def _outcome(self, message: Any, connection: Connection, connections: ConnectionLimit) -> tuple[int, bytes]:
        """Flags and payload of the reply to a call: a result, or an exception without details."""
        failure = 'the call failed'
        try:
            with connections.decoding:
                method, args, kwargs = self._request(message)
            return 0, encode(message, method(*args, **kwargs))
        except Refused as refusal:
            failure = str(refusal)
            _clients_log.warning('%s: refused: %s', connection.address, refusal)
        except Exception:
            _clients_log.warning('%s: a call failed', connection.address, exc_info=True)
        return wire.FLAGS_EXCEPTION, encode(message, Pyro4.errors.PyroError(failure))

    def _request(self, message: Any) -> tuple[Callable[..., Any], Any, dict[str, Any]]:
        """The method that a message calls, with its arguments. Raises Refused."""
        if message.flags & ~_CALL_FLAGS:
            raise Refused('only plain calls are accepted, no batches and no blobs')
        call = decode(message)
        if isinstance(call, dict):   # as json has it
            call = [call.get(key) for key in ('object', 'method', 'params', 'kwargs')]
        if not (isinstance(call, (tuple, list)) and len(call) == 4):
            raise Refused('the payload is not a call')
        object_id, name, args, kwargs = call
        if not (isinstance(object_id, str) and isinstance(name, str) and isinstance(args, (tuple, list))
                and isinstance(kwargs, dict) and all(isinstance(key, str) for key in kwargs)):
            raise Refused('the payload is not a call')
        if object_id not in self._objects:
            raise Refused('unknown object')
        method = self._objects[object_id].get(name)
        if method is None:
            raise Refused('unknown method')
        return method, args, kwargs

    def _metadata(self, object_id: object = None, as_lists: bool = True) -> dict[str, list[str]]:
        """What a proxy has to know about an object before it calls it. Raises Refused if the object is unknown."""
        if not isinstance(object_id, str) or object_id not in self._objects:
            raise Refused('unknown object')
        return {'methods': sorted(self._objects[object_id]), 'oneway': [], 'attrs': []}

    def _registered(self) -> list[str]:
        return [DAEMON_NAME, self._object_id]


class ConnectionLimit:
    """The open connections of a group of clients, at most `number` of them. Decides which one a new one replaces."""

    def __init__(self, number: int) -> None:
        self.decoding = threading.Lock()
        """Held while a request is decoded, which takes some 500 times its size: one at a time bounds the memory."""
        self._number = number
        self._open: set[Connection] = set()
        self._closed = False
        self._changed = threading.Condition()

    @property
    def count(self) -> int:
        """How many connections are open."""
        return len(self._open)

    def admit(self, newcomer: Connection) -> bool:
        """Add a connection, and end an idle one if it has to be replaced; False if there is none to replace."""
        with self._changed:
            if self._closed:
                return False
            if len(self._open) >= self._number and self._cut_idle(newcomer) is None:
                return False
            self._open.add(newcomer)
            return True

    def end_idle(self, newcomer: Connection | None) -> bool:
        """End the connection that a newcomer would replace, and wait until it has ended; False if there is none."""
        with self._changed:
            ended = self._cut_idle(newcomer)
        if ended is not None:
            ended.closed.wait(END_LIMIT_S)
        return ended is not None

    def _cut_idle(self, newcomer: Connection | None) -> Connection | None:
        idle = [connection for connection in self._open if not connection.busy and connection is not newcomer]
        if not idle:
            return None
        everyone = self._open if newcomer is None else self._open | {newcomer}
        count = Counter(connection.address for connection in everyone)
        replaced = min(idle, key=lambda connection: (-count[connection.address], connection.idle_since))
        self._open.remove(replaced)
        replaced.cut()
        return replaced

    @contextmanager
    def call(self, connection: Connection) -> Iterator[None]:
        """The time of a call, in which a connection is not replaced; raises OSError if it was replaced already."""
        with self._changed:
            if connection not in self._open:
                raise ConnectionAbortedError
            connection.busy = True
        try:
            yield
        finally:
            with self._changed:
                connection.busy = False
                connection.idle_since = time.monotonic()
                if self._closed:
                    connection.cut()

    def remove(self, connection: Connection) -> None:
        """Remove a connection, if it was not replaced already."""
        with self._changed:
            self._open.discard(connection)
            self._changed.notify_all()

    def close(self, timeout_s: float) -> None:
        """Admit no more connections. End each when its call has been answered, and all after `timeout_s`."""
        with self._changed:
            self._closed = True
            for connection in [each for each in self._open if not each.busy]:
                self._open.remove(connection)
                connection.cut()
            self._changed.wait_for(lambda: not self._open, timeout_s)
            for connection in self._open:
                connection.cut()


def _raise_descriptor_limit() -> int:
    """Allow the process as many file descriptors as it can need, and log it if the system allows less.

    Returns how many are allowed.
    """
    needed = 2 * CONNECTION_LIMIT + OTHER_DESCRIPTORS
    allowed, most = (sys.maxsize if each == resource.RLIM_INFINITY else each
                     for each in resource.getrlimit(resource.RLIMIT_NOFILE))
    if allowed < needed and allowed < most:
        allowed = min(needed, most)
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    if allowed < needed:
        log.warning('only %d file descriptors are allowed, and %d may be needed: idle clients are disconnected to save '
                    'some', allowed, needed)
    return allowed


def _listen(host: str, port: int, name: str) -> socket.socket:
    """A socket that listens; raises StartError. An IPv6 wildcard serves IPv4 clients as well."""
    ipv6 = ':' in host
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ipv6 else socket.AF_INET, backlog=128,
                                    dualstack_ipv6=ipv6)
    except OSError as error:
        where = f'{host}:{port}'
        if error.errno == errno.EADDRINUSE:
            raise StartError(f'{where} is in use by another program: is {name} running already?') from error
        if error.errno == errno.EADDRNOTAVAIL:
            raise StartError(f'{where} is not an address of this machine: {name} has to run elsewhere') from error
        raise StartError(f'cannot serve at {where}: {error.strerror or error}') from error

# SPDX-License-Identifier: GPL-3.0-or-later
"""The door to the network: one object, served in Pyro4's wire format to friends and strangers alike.

Pyro4's own server trusts its network. It refuses a surplus client by reading from it, decompresses without bound,
loads marshal data on a flag that the client sets, rebuilds classes, and explains failures with tracebacks; nearly every
part of it would have to be overridden. So it serves nothing here: of Pyro4 there are the header, the messages and
the serializer. The rest is short, because it has to do one thing only, a plain call of an exposed method.

What it holds to:

- A connection costs one thread and a few KiB, and there is a fixed number of places for them. The control machines
  have places of their own, so that nobody else can keep a stop out.
- When the places are taken, a newcomer gets that of the connection that has been idle longest, of those of the address
  which has the most. A connection with a call under way keeps its place. If all have one, the newcomer is sent away.
- Nobody is waited for: a client that says nothing has 2 s to introduce itself, a message that has begun has 2 s to
  become complete, and who does not read replies is cut off. Between calls a client may be silent as long as it likes.
- A request is at most 4 KiB, compressed or not, and nothing but a Python literal: no classes, no other serializer.
- Annotations are skipped unread. Who a client is, the address of its socket says and nothing else.
- What goes out is the result of a method, or one of the sentences in this file.
"""

from __future__ import annotations

import errno
import logging
import socket
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

from .pyro_connection import PATIENCE_S, SERIALIZER, Connection, Refused, decode, plain_address

PLACES = 64
"""Connections at once: so many of control machines, and so many of all others together."""

COMPLAINT_INTERVAL_S = 60.0
"""Clients that are turned away get one line in the log in this time; the line says how many there were."""

HEARTBEAT_S = 1.0
"""The thread that accepts clients wakes at least this often, so that an old `progress_at` means that it hangs."""

_CALL_FLAGS = wire.FLAGS_COMPRESSED | wire.FLAGS_ONEWAY

_log = logging.getLogger(__name__)


class StartError(Exception):
    """The daemon cannot start; the text is one line that says why."""


class Server:
    """Serves the exposed methods of `target` as the Pyro object `object_id`, from `start` to `close`.

    The methods run on a thread for each connection, with `Pyro4.current_context.client` and `client_sock_addr` set as
    they are by Pyro4; an IPv4 client of an IPv6 socket appears with its IPv4 address. Raises StartError if the address
    cannot be had.
    """

    def __init__(self, host: str, port: int, object_id: str, target: object, control_ips: list[str]) -> None:
        self._object_id = object_id
        self._objects = {
            object_id: {name: getattr(target, name) for name in Pyro4.util.get_exposed_members(target)['methods']},
            # what clients of Pyro4 ask the daemon itself
            DAEMON_NAME: {'get_metadata': self._metadata, 'ping': lambda: None, 'registered': self._registered},
        }
        self._control_addresses = {plain_address(address) for address in control_ips}
        self._control_places = ConnectionLimit(PLACES)
        self._other_places = ConnectionLimit(PLACES)
        self._complaints = _Complaints()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._accept, name='server', daemon=True)
        self._socket = _listen(host, port, object_id)
        self._socket.settimeout(HEARTBEAT_S)
        self.progress_at = time.monotonic()   # when the thread was last ready for a client

    def start(self) -> None:
        """Accept clients from now on."""
        # The parser warns of strange literals on standard error, where a client has nothing to write
        warnings.filterwarnings('ignore', category=SyntaxWarning, module='<unknown>')
        self._thread.start()

    def close(self, timeout_s: float) -> None:
        """Accept no more clients and calls, give the calls under way `timeout_s` to be answered, and cut the rest."""
        deadline = time.monotonic() + timeout_s
        self._closing.set()
        try:
            self._socket.shutdown(socket.SHUT_RDWR)   # ends the accept() under way, which close() alone does not
        except OSError:
            pass   # not started
        self._socket.close()
        for places in (self._control_places, self._other_places):
            places.close(deadline - time.monotonic())

    def _accept(self) -> None:
        while not self._closing.is_set():
            self.progress_at = time.monotonic()
            try:
                client, peer = self._socket.accept()
            except socket.timeout:
                continue
            except OSError:
                self._closing.wait(0.05)   # out of file descriptors, or a client that left already
                continue
            try:
                self._receive(Connection(client, peer))
            except Exception:
                self._complaints.note('a client could not be received', exc_info=True)
                client.close()

    def _receive(self, connection: Connection) -> None:
        """Give a newcomer a place and a thread, or send it away; without waiting for anything."""
        controls = connection.address in self._control_addresses
        places = self._control_places if controls else self._other_places
        if not places.take(connection):
            connection.close()
            self._complaints.note(f'{connection.address}: sent away: every place has a call under way')
            return
        try:
            threading.Thread(target=self._serve, args=(connection, places), name=f'client {connection.address}',
                             daemon=True).start()
        except BaseException:
            places.leave(connection)
            raise

    def _serve(self, connection: Connection, places: ConnectionLimit) -> None:
        context = Pyro4.current_context   # of this thread
        context.client, context.client_sock_addr = connection, connection.peer
        try:
            self._greet(connection, places)
            while True:
                self._answer(connection, places)
        except Refused as refusal:
            self._complaints.note(f'{connection.address}: refused: {refusal}')
        except OSError:
            pass   # the client has gone, or lost its place
        except Exception:
            self._complaints.note(f'{connection.address}: unforeseen failure', exc_info=True)
        finally:
            places.leave(connection)
            connection.close()

    def _greet(self, connection: Connection, places: ConnectionLimit) -> None:
        """The handshake of Pyro4. Raises Refused, after telling the client, if it cannot be served."""
        message = connection.receive(time.monotonic() + PATIENCE_S)
        if message.type != wire.MSG_CONNECT:
            raise Refused(f'a message of type {message.type} instead of an introduction')
        wants_metadata = message.flags & wire.FLAGS_META_ON_CONNECT
        greeting: Any = 'hello'
        try:
            with places.decoding:
                payload = decode(message)
            if not isinstance(payload, dict):
                raise Refused('an introduction without content')
            if wants_metadata:
                greeting = {'handshake': greeting, 'meta': self._metadata(payload.get('object'))}
        except Refused as refusal:
            connection.send(wire.MSG_CONNECTFAIL, 0, message.seq, SERIALIZER.dumps(str(refusal)))
            raise
        connection.send(wire.MSG_CONNECTOK, wants_metadata, message.seq, SERIALIZER.dumps(greeting))

    def _answer(self, connection: Connection, places: ConnectionLimit) -> None:
        """Wait for one message and answer it."""
        message = connection.receive()
        if message.type == wire.MSG_PING:
            connection.send(wire.MSG_PING, 0, message.seq, b'pong')
            return
        if message.type != wire.MSG_INVOKE:
            raise Refused(f'a message of type {message.type} instead of a call')
        with places.busy(connection):
            flags, reply = self._outcome(message, connection, places)
            if not message.flags & wire.FLAGS_ONEWAY:
                connection.send(wire.MSG_RESULT, flags, message.seq, reply)

    def _outcome(self, message: Any, connection: Connection, places: ConnectionLimit) -> tuple[int, bytes]:
        """Flags and payload of the reply to a call: a result, or an exception that tells no secrets."""
        failure = 'the call failed'
        try:
            with places.decoding:
                method, args, kwargs = self._request(message)
            return 0, SERIALIZER.dumps(method(*args, **kwargs))
        except Refused as refusal:
            failure = str(refusal)
            self._complaints.note(f'{connection.address}: refused: {refusal}')
        except Exception:
            self._complaints.note(f'{connection.address}: a call failed', exc_info=True)
        return wire.FLAGS_EXCEPTION, SERIALIZER.dumps(Pyro4.errors.PyroError(failure))

    def _request(self, message: Any) -> tuple[Callable[..., Any], Any, dict[str, Any]]:
        """The method that a message calls, with its arguments. Raises Refused."""
        if message.flags & ~_CALL_FLAGS:
            raise Refused('only plain calls are accepted, no batches and no blobs')
        call = decode(message)
        if not (isinstance(call, (tuple, list)) and len(call) == 4):
            raise Refused('a payload that is no call')
        object_id, name, args, kwargs = call
        if not (isinstance(object_id, str) and isinstance(name, str) and isinstance(args, (tuple, list))
                and isinstance(kwargs, dict) and all(isinstance(key, str) for key in kwargs)):
            raise Refused('a payload that is no call')
        if object_id not in self._objects:
            raise Refused('unknown object')
        method = self._objects[object_id].get(name)
        if method is None:
            raise Refused('unknown method')
        return method, args, kwargs

    def _metadata(self, object_id: object = None, as_lists: bool = True) -> dict[str, list[str]]:
        """What a proxy wants to know of an object before it calls it. Raises Refused for an object unknown here."""
        if not isinstance(object_id, str) or object_id not in self._objects:
            raise Refused('unknown object')
        return {'methods': sorted(self._objects[object_id]), 'oneway': [], 'attrs': []}

    def _registered(self) -> list[str]:
        return [DAEMON_NAME, self._object_id]


class ConnectionLimit:
    """A fixed number of connections, and the rule by which one has to make room for another."""

    def __init__(self, number: int) -> None:
        self.decoding = threading.Lock()
        """Held while a request is decoded, which takes some 500 times its size: one at a time bounds the memory."""
        self._number = number
        self._taken: set[Connection] = set()
        self._closed = False
        self._changed = threading.Condition()

    def take(self, newcomer: Connection) -> bool:
        """Find a place for a connection; False if there is none."""
        with self._changed:
            if self._closed:
                return False
            if len(self._taken) >= self._number:
                idle = [connection for connection in self._taken if not connection.busy]
                if not idle:
                    return False
                crowd = Counter(connection.address for connection in (newcomer, *self._taken))
                victim = min(idle, key=lambda connection: (-crowd[connection.address], connection.idle_since))
                self._taken.remove(victim)
                victim.cut()
            self._taken.add(newcomer)
            return True

    @contextmanager
    def busy(self, connection: Connection) -> Iterator[None]:
        """The time of a call, in which a connection keeps its place; raises OSError if it has lost it already."""
        with self._changed:
            if connection not in self._taken:
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

    def leave(self, connection: Connection) -> None:
        """Give the place back, if the connection still has it."""
        with self._changed:
            self._taken.discard(connection)
            self._changed.notify_all()

    def close(self, timeout_s: float) -> None:
        """No places from now on. Connections end when their call has been answered, or at the end of this time."""
        with self._changed:
            self._closed = True
            for connection in [each for each in self._taken if not each.busy]:
                self._taken.remove(connection)
                connection.cut()
            self._changed.wait_for(lambda: not self._taken, timeout_s)
            for connection in self._taken:
                connection.cut()


class _Complaints:
    """The log's share of what goes on at the door: whoever knocks cannot fill the journal."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._unsaid = 0
        self._quiet_until = 0.0

    def note(self, text: str, exc_info: bool = False) -> None:
        """Log a line, unless there was one lately: then it is counted, and the next line tells."""
        with self._lock:
            now = time.monotonic()
            if now < self._quiet_until:
                self._unsaid += 1
                return
            self._quiet_until = now + COMPLAINT_INTERVAL_S
            unsaid, self._unsaid = self._unsaid, 0
        since = f' (and {unsaid} more complaints since the last one told)' if unsaid else ''
        _log.warning('%s%s', text, since, exc_info=exc_info)


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

# SPDX-License-Identifier: GPL-3.0-or-later
"""The thread that owns the serial port and the hub.

No other thread touches either. Other threads leave a command in the inbox and get a Future, or read the published
snapshots, an attribute that is only ever rebound: neither waits for the serial link. Opening a port can take seconds (a
network hub that is switched off), so a short-lived thread does that and hands the port over.
"""

from __future__ import annotations

import collections
import os
import select
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from concurrent.futures import TimeoutError as FutureTimeoutError
from functools import partial
from typing import Any

from ..core import (
    Command,
    Connect,
    Disconnect,
    Halt,
    Hub,
    HubInfo,
    Limits,
    Log,
    OpenPort,
    Outcome,
    PendingCommand,
    Resolve,
    Snapshot,
    Write,
)
from .log import log
from .serial_port import explain

LONGEST_WAIT_S = 1.0
"""The thread does what is due at least this often, so an old `progress_at` means that it hangs."""

NO_DESCRIPTOR_POLL_S = 0.005
"""How often a port without a file descriptor is read."""

GATHER_S = 0.012
"""How long the bytes of a reply may gather when no caller waits for it."""

MAX_STALE_READS = 8
"""Before a request, bytes that came since the last exchange are dropped with at most so many reads."""

MAX_CRASHES, CRASH_WINDOW_S = 5, 60.0
"""After more unexpected exceptions than this in this time, the process has to be started again."""


class HubThread:
    """Runs the conversation with one hub on a thread of its own.

    `open_port()` returns an open pyserial port whose reads do not block, or raises. `on_log(level, message)` takes
    lines for the observatory log and must not block. `on_collapse()` is called when the thread gives up for good.
    """

    def __init__(self, limits: Limits, port_name: str, open_port: Callable[[], Any],
                 on_log: Callable[[str, str], None], on_collapse: Callable[[], None]) -> None:
        self._limits = limits
        self._port_name = port_name
        self._open_port = open_port
        self._on_log = on_log
        self._on_collapse = on_collapse
        self._hub = Hub(limits, port_name)
        self._inbox: collections.deque[Callable[[float], None]] = collections.deque()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        self._port: Any = None
        self._bytes_came = False              # in the last turn: more of the same reply may follow
        self._opening: object | None = None   # identifies the attempt to open that is under way
        self._unresolved: dict[PendingCommand, Future[Outcome]] = {}
        self._connection_wanted = False       # the latest of connect and disconnect was connect
        self._ending = False
        self._crashes: collections.deque[float] = collections.deque(maxlen=MAX_CRASHES)
        self._published = self._hub.snapshots(time.monotonic())
        self._hub_info: HubInfo | None = None
        self.progress_at = time.monotonic()   # when the thread last did what was due
        self._thread = threading.Thread(target=self._run, name='hub', daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def submit(self, command: Command) -> Future[Outcome]:
        """Hand a command over; the Future gets its outcome in any case. Callable from any thread."""
        future: Future[Outcome] = Future()
        self._post(partial(self._take_command, PendingCommand(command, partial(_tell, future)), future))
        if not self._thread.is_alive():
            _tell(future, Outcome.FAILED)
        return future

    def snapshot(self) -> Snapshot:
        """The state as it is known now, without waiting for anything. Callable from any thread."""
        published = self._published   # before the clock is read: no report is younger than the snapshot
        now = time.monotonic()
        focusers = {n: focuser.at(now) for n, focuser in published.items()}
        reported_at = [focuser.reported_at for focuser in focusers.values() if focuser.reported_at is not None]
        return Snapshot(focusers, now, time.time() - (now - min(reported_at, default=now)), self._hub_info)

    def close(self, timeout_s: float) -> None:
        """Disconnect, halting the motors that we have set in motion, and end the thread."""
        deadline = time.monotonic() + timeout_s
        if self._thread.is_alive():
            try:
                self.submit(Disconnect()).result(timeout_s)
            except FutureTimeoutError:
                log.error('the motors could not be halted within %g s', timeout_s)
        self._ending = True
        self._wake()
        self._thread.join(max(0.1, deadline - time.monotonic()))

    def _post(self, event: Callable[[float], None]) -> None:
        self._inbox.append(event)
        self._wake()

    def _wake(self) -> None:
        try:
            os.write(self._wake_write, b'.')
        except BlockingIOError:
            pass   # enough wake-ups are waiting already

    # Everything below runs on the hub thread

    def _run(self) -> None:
        try:
            while not self._ending:
                try:
                    self._turn()
                except Exception:
                    log.exception('unexpected failure on the hub thread')
                    self._halt_without_waiting()
                    if not self._recover():
                        log.critical('more than %d failures in %g s: giving up', MAX_CRASHES, CRASH_WINDOW_S)
                        break
        except Exception:
            log.exception('unexpected failure in the recovery from another one: giving up')
        finally:
            if not self._ending:
                self._on_collapse()
            self._ending = True
            self._close_port()
            self._fail_all()

    def _halt_without_waiting(self) -> None:
        """Halt the motors that a Hub that has failed may have set in motion; the next Hub confirms it."""
        for n in self._hub.running_motors():
            if self._port is not None:
                try:
                    self._port.write(Halt(n).encode())
                except Exception as error:   # as in _read
                    log.error('channel %d could not be halted: %s', n, explain(error))

    def _turn(self) -> None:
        """Do everything that is due, then wait for the next thing to happen."""
        while self._inbox:
            self._inbox.popleft()(time.monotonic())
        now = self.progress_at = time.monotonic()
        self._hub.advance(now)
        outcomes = self._carry_out()
        self._published, self._hub_info = self._hub.snapshots(time.monotonic()), self._hub.info
        for resolve in outcomes:
            self._unresolved.pop(resolve.pending, None)
            resolve.pending.on_outcome(resolve.outcome)
        if not self._inbox:
            self._wait(min(LONGEST_WAIT_S, max(0.0, self._hub.next_time(now) - time.monotonic())))

    def _carry_out(self) -> list[Resolve]:
        """Carry out the effects of the hub; returns the outcomes, for the callers once the new state is published."""
        outcomes = []
        effects = self._hub.take_effects()
        while effects:
            for effect in effects:
                if isinstance(effect, Write):
                    self._write(effect.data)
                elif isinstance(effect, Log):
                    self._on_log(effect.level, effect.message)
                elif isinstance(effect, Resolve):
                    outcomes.append(effect)
                elif isinstance(effect, OpenPort):
                    self._begin_opening()
                else:
                    self._close_port()
            effects = self._hub.take_effects()
        return outcomes

    def _take_command(self, pending: PendingCommand, future: Future[Outcome], now: float) -> None:
        self._unresolved[pending] = future
        if isinstance(pending.command, (Connect, Disconnect)):
            self._connection_wanted = isinstance(pending.command, Connect)
        self._hub.submit(pending, now)

    def _wait(self, timeout_s: float) -> None:
        """Wait for a wake-up or for bytes, and hand the bytes to the hub."""
        poll = select.poll()
        poll.register(self._wake_read, select.POLLIN)
        port_fd = self._port_fd()
        if self._bytes_came and self._hub.only_polls(time.monotonic()):
            # A reply that comes byte by byte would wake the thread a dozen times
            self._bytes_came = False
            if poll.poll(min(timeout_s, GATHER_S) * 1000):
                os.read(self._wake_read, 4096)
                return
        if port_fd is not None:
            poll.register(port_fd, select.POLLIN)
        elif self._port is not None:
            timeout_s = min(timeout_s, NO_DESCRIPTOR_POLL_S)
        ready = dict(poll.poll(timeout_s * 1000))
        if self._wake_read in ready:
            os.read(self._wake_read, 4096)
        if self._port is not None and (port_fd is None or port_fd in ready):
            self._read(must_have_data=port_fd is not None)

    def _port_fd(self) -> int | None:
        if self._port is None:
            return None
        try:
            fd: int = self._port.fileno()
        except Exception:
            return None   # pyserial's handlers differ in how they say that they have none
        return fd if fd >= 0 else None

    def _read(self, must_have_data: bool) -> None:
        try:
            data = self._port.read(4096)
            if not data and must_have_data:
                raise OSError('the port is readable but has nothing to read')
        except Exception as error:   # SerialException, OSError, termios.error, TypeError: pyserial raises them all
            self._broken(error)
            return
        if data:
            self._bytes_came = True
            self._hub.received(data, time.monotonic())

    def _write(self, data: bytes) -> None:
        """Send a request, after dropping unread bytes: they answer no request that still waits."""
        if self._port is None:
            return
        try:
            for _ in range(MAX_STALE_READS):
                if not self._port.read(4096):
                    break
            self._port.write(data)
        except Exception as error:
            self._broken(error)

    def _broken(self, error: Exception) -> None:
        self._close_port()
        self._hub.lost(f'{self._port_name}: {explain(error)}', time.monotonic())

    def _close_port(self) -> None:
        self._opening = None
        if self._port is not None:
            port, self._port = self._port, None
            _close(port)

    def _begin_opening(self) -> None:
        attempt = self._opening = object()
        threading.Thread(target=self._open, args=(attempt,), name='opener', daemon=True).start()

    def _open(self, attempt: object) -> None:
        """Runs on the opener thread."""
        try:
            port = self._open_port()
        except Exception as error:
            self._post(partial(self._not_opened, attempt, f'cannot open {self._port_name}: {explain(error)}'))
        else:
            self._post(partial(self._opened, attempt, port))

    def _opened(self, attempt: object, port: Any, now: float) -> None:
        if attempt is not self._opening:
            _close(port)
            return
        self._opening = None
        self._port = port
        self._hub.opened(now)

    def _not_opened(self, attempt: object, reason: str, now: float) -> None:
        if attempt is self._opening:
            self._opening = None
            self._hub.not_opened(reason, now)

    def _recover(self) -> bool:
        """Continue with a new Hub after an unexpected exception; False if that happens too often."""
        now = time.monotonic()
        if len(self._crashes) == MAX_CRASHES and now - self._crashes[0] < CRASH_WINDOW_S:
            return False
        self._crashes.append(now)
        self._on_log('error', 'internal failure; the link to the hub is opened again')
        self._close_port()
        self._hub = Hub(self._limits, self._port_name, self._hub.running_motors())
        if self._connection_wanted:
            self._hub.submit(PendingCommand(Connect(), lambda outcome: None), now)
        self._published = self._hub.snapshots(now)
        self._fail_all()
        return True

    def _fail_all(self) -> None:
        for future in self._unresolved.values():
            _tell(future, Outcome.FAILED)
        self._unresolved.clear()
        if self._ending:
            while self._inbox:
                event = self._inbox.popleft()
                if isinstance(event, partial) and event.func == self._take_command:
                    _tell(event.args[1], Outcome.FAILED)


def _tell(future: Future[Outcome], outcome: Outcome) -> None:
    try:
        future.set_result(outcome)
    except InvalidStateError:
        pass   # the thread ended while the command was being handed over, and both sides have set the outcome


def _close(port: Any) -> None:
    try:
        port.close()
    except Exception as error:
        log.warning('closing the port: %s', explain(error))

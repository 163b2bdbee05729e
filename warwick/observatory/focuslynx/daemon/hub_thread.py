# SPDX-License-Identifier: GPL-3.0-or-later
"""The thread that owns the serial port and the hub.

No other thread touches either. Other threads leave a command in the inbox and get a Future, or read the published
snapshots, an attribute that is only ever rebound: neither waits for the serial link. The port is opened and closed by
port_thread, because both can take seconds.
"""

from __future__ import annotations

import collections
import math
import os
import select
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from concurrent.futures import TimeoutError as FutureTimeoutError
from functools import partial
from typing import Any, NamedTuple

from ..constants import FocuserStatus
from ..core import (
    Command,
    Connect,
    Disconnect,
    FocuserSnapshot,
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
from .clock import asleep_s, has_slept, now_s
from .log import log
from .port_thread import PortThread
from .serial_port import descriptor, explain, is_on_network, read_available

LONGEST_WAIT_S = 0.5
"""The thread does what is due at least this often, so an old `progress_at` means that it hangs. It also notices by then
that the machine has slept, during which the waiting stands still."""

NO_DESCRIPTOR_POLL_S = 0.005
"""How often a port without a file descriptor is read."""

GATHER_S = 0.012
"""How long the bytes of a reply may gather when no caller waits for it."""

MAX_STALE_READS = 8
"""Before a request, bytes that came since the last exchange are dropped with at most so many reads."""

EMPTY_READ_PAUSE_S = 0.02
"""How long the port is left alone when its bytes have gone to another program that reads it."""

EMPTY_READS_LIMIT_S = 1.0
"""A port that promises bytes for so long, and never has any, is taken for lost."""

HALT_LEAVES_S = 0.1
"""How long the last HALT has to leave before the port is closed and what is unsent is dropped."""

CLOSING_LIMIT_S = 0.5
"""How long the end of the thread waits for its port to be closed."""

MAX_CRASHES, CRASH_WINDOW_S = 5, 60.0
"""After more unexpected exceptions than this in this time, the process has to be started again."""


class Published(NamedTuple):
    """The state as the hub thread knew it, and how long the machine had slept by then."""

    focusers: dict[int, FocuserSnapshot]
    hub_info: HubInfo | None
    asleep_s: float


class HubThread:
    """Runs the conversation with one hub on a thread of its own.

    `open_port()` returns an open pyserial port whose reads do not block, or raises. `on_log(level, message)` takes
    lines for the observatory log and must not block. `on_collapse()` is called when the thread gives up for good.
    """

    def __init__(self, limits: Limits, port_name: str, open_port: Callable[[], Any],
                 on_log: Callable[[str, str], None], on_collapse: Callable[[], None]) -> None:
        self._limits = limits
        self._port_name = port_name
        self._ports = PortThread(open_port)
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
        self._heard = False                   # a byte has come since the port was opened
        self._empty_since: float | None = None   # when the port began to promise bytes and to have none
        self._empty_times = 0                 # how often it has begun to, since it was opened
        self._read_again_at = -math.inf
        self._unresolved: dict[PendingCommand, Future[Outcome]] = {}
        self._connection_wanted = False       # the latest of connect and disconnect was connect
        self._ending = False
        self._crashes: collections.deque[float] = collections.deque(maxlen=MAX_CRASHES)
        self._asleep_s = asleep_s()           # as the hub knows it
        self._published = Published(self._hub.snapshots(now_s()), None, self._asleep_s)
        self.progress_at = time.monotonic()   # when the thread last did what was due, on the clock of the watchdog
        self._thread = threading.Thread(target=self._run, name='hub', daemon=True)

    def start(self) -> None:
        """Start the thread. Raises RuntimeError if the system allows no more threads."""
        self._ports.start()
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
        slept = has_slept(published.asleep_s)   # the hub thread finds out as well, but perhaps later
        now = now_s()
        focusers = {n: _after_sleep(focuser) if slept else focuser.at(now)
                    for n, focuser in published.focusers.items()}
        reported_at = [focuser.reported_at for focuser in focusers.values() if focuser.reported_at is not None]
        return Snapshot(focusers, now, time.time() - (now - min(reported_at, default=now)), published.hub_info)

    def close(self, timeout_s: float) -> None:
        """Disconnect, halting the motors that we have set in motion, and end the thread."""
        deadline = now_s() + timeout_s
        if self._thread.is_alive():
            try:
                if self.submit(Disconnect()).result(timeout_s) is Outcome.FAILED:
                    log.error('the daemon ends all the same, and sends no more HALT')
            except FutureTimeoutError:
                log.error('the motors could not be halted within %g s', timeout_s)
        self._ending = True
        self._wake()
        self._thread.join(max(0.1, deadline - now_s()))
        self._ports.finish(CLOSING_LIMIT_S)

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
        running = self._hub.running_motors()
        for n in running:
            if self._port is not None:
                try:
                    self._port.write(Halt(n).encode())
                except Exception as error:   # as in _read
                    log.error('channel %d could not be halted: %s', n, explain(error))
        if running:
            time.sleep(HALT_LEAVES_S)   # the port is closed next, which drops what has not been sent

    def _turn(self) -> None:
        """Do everything that is due, then wait for the next thing to happen."""
        if has_slept(self._asleep_s):
            self._asleep_s = asleep_s()
            self._hub.machine_slept(now_s())
        while self._inbox:
            self._inbox.popleft()(now_s())
        self.progress_at = time.monotonic()
        now = now_s()
        self._hub.advance(now)
        outcomes = self._carry_out()
        self._published = Published(self._hub.snapshots(now_s()), self._hub.info, self._asleep_s)
        for resolve in outcomes:
            self._unresolved.pop(resolve.pending, None)
            resolve.pending.on_outcome(resolve.outcome)
        if not self._inbox:
            self._wait(min(LONGEST_WAIT_S, max(0.0, self._hub.next_time(now) - now_s())))

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
        now = now_s()
        if self._bytes_came and self._hub.only_polls(now):
            # A reply that comes byte by byte would wake the thread a dozen times
            self._bytes_came = False
            if poll.poll(min(timeout_s, GATHER_S) * 1000):
                os.read(self._wake_read, 4096)
                return
        port_fd = None if self._port is None else descriptor(self._port)
        pause_s = self._read_again_at - now
        if self._port is not None and (port_fd is None or pause_s > 0):
            timeout_s = min(timeout_s, max(pause_s, NO_DESCRIPTOR_POLL_S))
        elif port_fd is not None:
            poll.register(port_fd, select.POLLIN)
        ready = dict(poll.poll(timeout_s * 1000))
        if self._wake_read in ready:
            os.read(self._wake_read, 4096)
        if self._port is None or pause_s > 0:
            return
        if port_fd is None or port_fd in ready:
            self._read(must_have_data=port_fd is not None)
        else:
            self._empty_since = None

    def _read(self, must_have_data: bool) -> None:
        try:
            data = read_available(self._port)
        except Exception as error:   # SerialException, OSError, termios.error, TypeError: pyserial raises them all
            self._broken(error)
            return
        if data:
            self._bytes_came = self._heard = True
            self._empty_since = None
            self._hub.received(data, now_s())
        elif must_have_data:
            self._bytes_gone(now_s())

    def _bytes_gone(self, now: float) -> None:
        """The port promised bytes, and has none: as a rule another program was faster."""
        self._read_again_at = now + EMPTY_READ_PAUSE_S
        if self._empty_since is None:
            self._empty_since = now
            self._empty_times += 1
            if self._empty_times == 2:
                self._on_log('warning', f'another program reads {self._port_name}: it takes replies of the hub away')
        elif now - self._empty_since > EMPTY_READS_LIMIT_S:
            self._broken(OSError('the port is readable but has nothing to read'))

    def _write(self, data: bytes) -> None:
        """Send a request, after dropping unread bytes: they answer no request that still waits."""
        if self._port is None:
            return
        try:
            for _ in range(MAX_STALE_READS):
                if not read_available(self._port):
                    break
            self._port.write(data)
        except Exception as error:
            self._broken(error)

    def _broken(self, error: Exception) -> None:
        reason = f'{self._port_name}: {explain(error)}'
        if not self._heard and is_on_network(self._port_name):   # a device server that has a client sends others away
            reason += ', before a byte came: perhaps another program has the hub'
        self._close_port()
        self._hub.lost(reason, now_s())

    def _close_port(self) -> None:
        self._opening = None
        if self._port is not None:
            port, self._port = self._port, None
            self._ports.close(port)

    def _begin_opening(self) -> None:
        attempt = self._opening = object()
        self._ports.open(
            lambda: attempt is self._opening,
            lambda port: self._post(partial(self._opened, attempt, port)),
            lambda error: self._post(partial(self._not_opened, attempt,
                                             f'cannot open {self._port_name}: {explain(error)}')))

    def _opened(self, attempt: object, port: Any, now: float) -> None:
        if attempt is not self._opening:
            self._ports.close(port)
            return
        self._opening = None
        self._port = port
        self._heard = False
        self._empty_since, self._empty_times, self._read_again_at = None, 0, -math.inf
        self._hub.opened(now)

    def _not_opened(self, attempt: object, reason: str, now: float) -> None:
        if attempt is self._opening:
            self._opening = None
            self._hub.not_opened(reason, now)

    def _recover(self) -> bool:
        """Continue with a new Hub after an unexpected exception; False if that happens too often."""
        now = now_s()
        if len(self._crashes) == MAX_CRASHES and now - self._crashes[0] < CRASH_WINDOW_S:
            return False
        self._crashes.append(now)
        self._on_log('error', 'internal failure; the link to the hub is opened again')
        self._close_port()
        self._hub = Hub(self._limits, self._port_name, self._hub.running_motors())
        if self._connection_wanted:
            self._hub.submit(PendingCommand(Connect(), lambda outcome: None), now)
        self._published = Published(self._hub.snapshots(now), None, self._asleep_s)
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


def _after_sleep(focuser: FocuserSnapshot) -> FocuserSnapshot:
    """What is still known of a focuser after a sleep of the machine: it may have been moved meanwhile."""
    if focuser.status < FocuserStatus.Idle:
        return focuser
    return FocuserSnapshot(FocuserStatus.Initializing, focuser.as_of, reported_at=focuser.reported_at,
                           nickname=focuser.nickname, device_type=focuser.device_type, failure=focuser.failure,
                           error='the machine has slept, and the hub has not reported since')

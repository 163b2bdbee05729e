# SPDX-License-Identifier: GPL-3.0-or-later
"""The thread that owns the serial port, and with it the controller.

Nobody else touches either. Other threads leave a command in the inbox and get a Future, or read the published
views, one attribute that is only ever rebound: neither waits for the serial line. Opening a port can take seconds (a
network hub that is switched off), so a short-lived thread does that and hands the port over.
"""

from __future__ import annotations

import collections
import logging
import os
import select
import threading
import time
from concurrent.futures import Future, InvalidStateError
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from functools import partial
from typing import Any, Callable

from ..core.commands import Command, Connect, Disconnect, Log, OpenPort, Outcome, Resolve, Ticket, Write
from ..core.hub import Hub
from ..core.limits import Limits
from ..core.reports import HubInfo
from ..core.requests import Halt
from ..core.snapshot import FocuserSnapshot
from .serial_port import explain

HEARTBEAT_S = 1.0
"""The thread does what is due at least this often, so that an old `progress_at` means that it hangs."""

UNSELECTABLE_POLL_S = 0.005
"""How often a port without a file descriptor is asked for bytes."""

GULP_S = 0.012
"""How long to let the bytes of a reply gather that nobody waits for."""

MOST_STALE_READS = 8
"""What has come since the last exchange is dropped before a request; a device that never pauses is not waited for."""

MOST_CRASHES, CRASH_WINDOW_S = 5, 60.0
"""More unforeseen exceptions than this in this time, and the process had better be started anew."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Snapshot:
    """The state of all channels, and the Unix time at which it was last known to be true."""

    channels: dict[int, FocuserSnapshot]
    as_of: float
    hub: HubInfo | None = None   # as last asked for, since the port was opened


class _Pending(Ticket):
    """A command whose caller waits for a Future."""

    def __init__(self) -> None:
        self.future: Future[Outcome] = Future()

    def resolve(self, outcome: Outcome) -> None:
        try:
            self.future.set_result(outcome)
        except InvalidStateError:
            pass   # the thread ended while the command was being handed over, and both sides have said so


class HubThread:
    """Runs the controller of one hub on a thread of its own.

    `open_port()` returns an open pyserial port whose reads do not block, or raises. `on_log(level, message)` takes
    lines for the observatory log and must not block. `on_collapse()` is called when the thread gives up for good.
    """

    def __init__(self, settings: Limits, port_name: str, open_port: Callable[[], Any],
                 on_log: Callable[[str, str], None], on_collapse: Callable[[], None]) -> None:
        self._settings = settings
        self._port_name = port_name
        self._open_port = open_port
        self._on_log = on_log
        self._on_collapse = on_collapse
        self._controller = Hub(settings, port_name)
        self._inbox: collections.deque[Callable[[float], None]] = collections.deque()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        self._port: Any = None
        self._reply_trickles = False          # some bytes have just come
        self._opening: object | None = None   # identifies the attempt to open that is under way
        self._unresolved: set[Ticket] = set()
        self._wanted = False                     # whether the last word was to connect
        self._ending = False
        self._crashes: collections.deque[float] = collections.deque(maxlen=MOST_CRASHES)
        self._views = self._controller.views(time.monotonic())
        self._hub: HubInfo | None = None
        self.progress_at = time.monotonic()      # when the thread last did what was due
        self._thread = threading.Thread(target=self._run, name='link', daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def submit(self, command: Command) -> Future[Outcome]:
        """Hand a command over; the Future gets its outcome in any case. Callable from any thread."""
        pending = _Pending()
        self._post(partial(self._take_command, command, pending))
        if not self._thread.is_alive():
            pending.resolve(Outcome.FAILED)
        return pending.future

    def snapshot(self) -> Snapshot:
        """The state as it is known now, without waiting for anything. Callable from any thread."""
        now = time.monotonic()
        channels = {n: view.at(now) for n, view in self._views.items()}
        age_s = now - min(view.as_of for view in channels.values())
        return Snapshot(channels, time.time() - age_s, self._hub)

    def close(self, timeout_s: float) -> None:
        """Disconnect, halting what we have set in motion, and end the thread."""
        deadline = time.monotonic() + timeout_s
        if self._thread.is_alive():
            try:
                self.submit(Disconnect()).result(timeout_s)
            except FutureTimeoutError:
                _log.error('the motors could not be secured within %g s', timeout_s)
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

    # Everything below runs on the link thread

    def _run(self) -> None:
        try:
            while not self._ending:
                try:
                    self._turn()
                except Exception:
                    _log.exception('unforeseen failure on the link thread')
                    self._halt_blindly()
                    if not self._recover():
                        _log.critical('more than %d failures in %g s: giving up', MOST_CRASHES, CRASH_WINDOW_S)
                        break
        except Exception:
            _log.exception('unforeseen failure in the recovery from another one: giving up')
        finally:
            if not self._ending:
                self._on_collapse()
            self._ending = True
            self._close_port()
            self._fail_all()

    def _halt_blindly(self) -> None:
        """Stop what a controller that has failed may have set in motion; whether it helped is for its successor."""
        for n in self._controller.unattended():
            if self._port is not None:
                try:
                    self._port.write(Halt(n).encode())
                except Exception as error:   # as in _read
                    _log.error('channel %d could not be halted: %s', n, explain(error))

    def _turn(self) -> None:
        """Do everything that is due, then wait for the next thing to happen."""
        while self._inbox:
            self._inbox.popleft()(time.monotonic())
        now = self.progress_at = time.monotonic()
        self._controller.advance(now)
        outcomes = self._carry_out()
        self._views, self._hub = self._controller.views(time.monotonic()), self._controller.hub
        for outcome in outcomes:
            self._unresolved.discard(outcome.ticket)
            outcome.ticket.resolve(outcome.outcome)
        if not self._inbox:
            self._wait(min(HEARTBEAT_S, max(0.0, self._controller.next_time(now) - time.monotonic())))

    def _carry_out(self) -> list[Resolve]:
        """Carry out the effects of the controller; returns the outcomes, to be told once the new state is published."""
        outcomes = []
        effects = self._controller.take_effects()
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
            effects = self._controller.take_effects()
        return outcomes

    def _take_command(self, command: Command, pending: _Pending, now: float) -> None:
        self._unresolved.add(pending)
        if isinstance(command, (Connect, Disconnect)):
            self._wanted = isinstance(command, Connect)
        self._controller.submit(command, pending, now)

    def _wait(self, timeout_s: float) -> None:
        """Wait for a wake-up or for bytes, and hand the bytes to the controller."""
        poll = select.poll()
        poll.register(self._wake_read, select.POLLIN)
        port_fd = self._port_fd()
        if self._reply_trickles and self._controller.is_at_leisure:
            # Byte by byte as it comes, a reply wakes the thread a dozen times; nobody waits for this one
            self._reply_trickles = False
            if poll.poll(min(timeout_s, GULP_S) * 1000):
                os.read(self._wake_read, 4096)
                return
        if port_fd is not None:
            poll.register(port_fd, select.POLLIN)
        elif self._port is not None:
            timeout_s = min(timeout_s, UNSELECTABLE_POLL_S)
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
            self._reply_trickles = True
            self._controller.received(data, time.monotonic())

    def _write(self, data: bytes) -> None:
        """Send a request, after dropping what nobody has read: it answers nothing that is still asked."""
        if self._port is None:
            return
        try:
            for _ in range(MOST_STALE_READS):
                if not self._port.read(4096):
                    break
            self._port.write(data)
        except Exception as error:
            self._broken(error)

    def _broken(self, error: Exception) -> None:
        self._close_port()
        self._controller.lost(f'{self._port_name}: {explain(error)}', time.monotonic())

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
        self._controller.opened(now)

    def _not_opened(self, attempt: object, reason: str, now: float) -> None:
        if attempt is self._opening:
            self._opening = None
            self._controller.not_opened(reason, now)

    def _recover(self) -> bool:
        """Begin anew after an exception that nobody foresaw; False if that happens too often."""
        now = time.monotonic()
        if len(self._crashes) == MOST_CRASHES and now - self._crashes[0] < CRASH_WINDOW_S:
            return False
        self._crashes.append(now)
        self._on_log('error', 'internal failure; the link to the hub is opened anew')
        self._close_port()
        self._controller = Hub(self._settings, self._port_name, self._controller.unattended())
        if self._wanted:
            self._controller.submit(Connect(), _Pending(), now)
        self._views = self._controller.views(now)
        self._fail_all()
        return True

    def _fail_all(self) -> None:
        for pending in list(self._unresolved):
            pending.resolve(Outcome.FAILED)
        self._unresolved.clear()
        if self._ending:
            while self._inbox:
                event = self._inbox.popleft()
                if isinstance(event, partial) and event.func == self._take_command:
                    event.args[1].resolve(Outcome.FAILED)


def _close(port: Any) -> None:
    try:
        port.close()
    except Exception as error:
        _log.warning('closing the port: %s', explain(error))

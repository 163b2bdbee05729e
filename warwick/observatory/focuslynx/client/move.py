# SPDX-License-Identifier: GPL-3.0-or-later
"""A move as the client sees it: asked for, watched, waited for, and stopped by Ctrl-C.

Three threads talk to the daemon, each over a connection of its own: one waits for the move, one looks at the status now
and then, and one stops the channel if that is wanted. The main thread does nothing but take what they
put into a queue, where Ctrl-C arrives as well, so that it is never lost and never meets a half-done step.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from ..constants import NO_COMMUNICATION, TERMINATED_BY_USER, CommandStatus, FocuserStatus
from .api import Focusd, HearingCtrlC, NoAnswer, Outcome, status_of
from .terminal import is_lively

if TYPE_CHECKING:
    from .progress_line import LiveLine

_LIVE_INTERVAL_S = 0.1
_QUIET_INTERVAL_S = 5
# A daemon whose machine loses its power never closes the connection in which we wait.
_GIVE_UP_AFTER_S = 30
_PATIENCE_S = 1.0


def set_position(focusd: Focusd, channel: int, steps: int) -> Outcome:
    return move(focusd, 'set_focus', channel, steps, False)


def set_offset(focusd: Focusd, channel: int, steps: int) -> Outcome:
    return move(focusd, 'set_focus', channel, steps, True)


def center(focusd: Focusd, channel: int) -> Outcome:
    return move(focusd, 'center', channel)


def home(focusd: Focusd, channel: int) -> Outcome:
    return move(focusd, 'home', channel)


def move(focusd: Focusd, method: str, channel: int, *arguments: Any) -> Outcome:
    """Call a method of the daemon that moves a channel, and return once it has, however long it takes.

    Ctrl-C stops the channel, and the result is that of the stop; a second one gives up waiting. A NO_COMMUNICATION
    says nothing about the focuser. Call it from the main thread, with SIGINT blocked.
    """
    line: LiveLine | None = None
    if is_lively(sys.stderr):
        from .progress_line import LiveLine
        line = LiveLine(sys.stderr, channel, time.monotonic(), homing=method == 'home')
    moving = _Move(focusd, method, (channel, *arguments), line)
    try:
        status = moving.run()
    finally:
        if line is not None:
            line.clear()
    place = ''
    if moving.stopping and status == CommandStatus.Succeeded and sys.stderr is not None and sys.stderr.isatty():
        place = _resting_place(focusd, channel)
        if place and line is None:
            place = f'\n{place}'  # behind the ^C of the terminal
    return Outcome.of(status, place)


def _resting_place(focusd: Focusd, channel: int) -> str:
    """Where a channel has stopped, in words; empty where the daemon does not say."""
    try:
        state = focusd.report(_PATIENCE_S)
    except NoAnswer:
        return ''
    steps = state.get(f'current_steps_{channel}')
    if state.get(f'status_{channel}') in (FocuserStatus.Idle, FocuserStatus.Moving) and isinstance(steps, int):
        return f'Channel {channel} stopped at {steps:+d} steps'
    from .status import channel_line
    return channel_line(state, channel, False)


class _Move:
    def __init__(self, focusd: Focusd, method: str, arguments: tuple[Any, ...], line: LiveLine | None) -> None:
        self._focusd = focusd
        self._method = method
        self._arguments = arguments  # of which the first is the channel
        self._line = line
        self.stopping = False
        self._events: SimpleQueue[tuple[str, Any]] = SimpleQueue()  # its put() may be used by a signal handler
        self._unwanted = threading.Event()
        self._ended = threading.Event()

    def run(self) -> int:
        """The CommandStatus of the move, or of its stop."""
        handler = signal.getsignal(signal.SIGINT)
        if handler is not signal.SIG_IGN:  # a shell's background job is not meant to hear Ctrl-C
            signal.signal(signal.SIGINT, lambda *_: self._events.put(('interrupt', None)))
        try:
            self._start(self._wait)
            self._start(self._watch)
            while True:
                with HearingCtrlC():
                    event, value = self._events.get()
                status = self._outcome(event, value)
                if status is not None:
                    return status
        finally:
            signal.signal(signal.SIGINT, handler)

    def _outcome(self, event: str, value: Any) -> int | None:
        if event == 'stopped' or (event == 'moved' and not self.stopping):
            return int(value)
        if event == 'lost' and not self.stopping:
            return NO_COMMUNICATION
        if event == 'state' and self._line is not None:
            self._line.show(value, self.stopping, time.monotonic())
        if event == 'interrupt':
            if self.stopping:
                return TERMINATED_BY_USER
            self.stopping = True
            self._unwanted.set()
            self._start(self._stop)
        return None

    @staticmethod
    def _start(target: Callable[[], None]) -> None:
        # with SIGINT blocked, which a thread inherits: the one that wakes has to be the main thread
        threading.Thread(target=target, daemon=True).start()

    def _wait(self) -> None:
        status = NO_COMMUNICATION
        try:
            with self._focusd.entry.connect() as daemon:
                daemon._pyroBind()  # within the default timeout; the move itself has none
                daemon._pyroTimeout = None
                if not self._unwanted.is_set():
                    status = status_of(getattr(daemon, self._method)(*self._arguments))
        except Exception:
            pass  # whatever Pyro or the daemon raised, it is no answer
        self._ended.set()
        self._events.put(('moved', status))

    def _watch(self) -> None:
        interval = _QUIET_INTERVAL_S if self._line is None else _LIVE_INTERVAL_S
        heard = time.monotonic()
        while not self._ended.wait(interval):
            try:
                with self._focusd.entry.connect() as daemon:
                    while not self._ended.is_set():
                        state = daemon.report_status()
                        heard = time.monotonic()
                        if isinstance(state, dict):
                            self._events.put(('state', state))
                        self._ended.wait(interval)
            except Exception as e:
                if hasattr(e, '_pyroTraceback'):  # raised by the daemon, which thus is there
                    heard = time.monotonic()
            if time.monotonic() - heard > _GIVE_UP_AFTER_S:
                self._events.put(('lost', None))
                return

    def _stop(self) -> None:
        # The stop can overtake the move, which is on a connection of its own, and an early stop cancels nothing: only
        # when the move has returned as well does nothing of ours follow.
        for _ in range(5):
            status = self._focusd.command('stop_channel', self._arguments[0])
            if status != CommandStatus.Succeeded or self._ended.wait(1):
                break
        self._events.put(('stopped', status))

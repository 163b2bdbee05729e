# SPDX-License-Identifier: GPL-3.0-or-later
"""A move as the client sees it: asked for, watched, waited for, and stopped by Ctrl-C.

Three threads talk to the daemon, each over a connection of its own: one waits in `set_focus`, one looks at the status
now and then, and one stops the channel if that is wanted. The main thread does nothing but take what they
put into a queue, where Ctrl-C arrives as well, so that it is never lost and never meets a half-done step.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from .constants import NO_COMMUNICATION, TERMINATED_BY_USER, CommandStatus

_LIVE_INTERVAL_S = 0.25
_QUIET_INTERVAL_S = 5
# A daemon whose machine loses its power never closes the connection in which we wait.
_GIVE_UP_AFTER_S = 30


class NoAnswer(Exception):
    """There was no usable answer: nobody there, too late, not Pyro, or an exception of the daemon's."""


def call(entry: Any, method: str, *arguments: Any) -> Any:
    """Ask the daemon, over a new connection and with the default timeout of its entry. Raises NoAnswer."""
    try:
        with entry.connect() as daemon:
            return getattr(daemon, method)(*arguments)
    except Exception as e:  # Pyro raises here whatever was raised there
        raise NoAnswer(str(e)) from e


def command(entry: Any, method: str, *arguments: Any) -> int:
    """The CommandStatus that a method of the daemon returns, NO_COMMUNICATION where it returns none."""
    try:
        return _status(call(entry, method, *arguments))
    except NoAnswer:
        return NO_COMMUNICATION


def move(entry: Any, channel: int, steps: int, offset: bool,
         show: Callable[[dict[str, Any]], None] | None = None) -> int:
    """Move, and return the CommandStatus once the move has ended, however long it takes.

    Ctrl-C stops the channel, and the result is that of the stop; a second one gives up waiting. A NO_COMMUNICATION
    says nothing about the focuser. `show` is given the status dictionary a few times per second.
    Call it from the main thread.
    """
    return _Move(entry, channel, steps, offset, show).run()


class _Move:
    def __init__(self, entry: Any, channel: int, steps: int, offset: bool,
                 show: Callable[[dict[str, Any]], None] | None) -> None:
        self._entry = entry
        self._channel = channel
        self._arguments = (channel, steps, offset)
        self._show = show
        self._events: SimpleQueue[tuple[str, Any]] = SimpleQueue()  # its put() may be used by a signal handler
        self._unwanted = threading.Event()
        self._ended = threading.Event()

    def run(self) -> int:
        handler = signal.getsignal(signal.SIGINT)
        if handler is not signal.SIG_IGN:  # a shell's background job is not meant to hear Ctrl-C
            signal.signal(signal.SIGINT, lambda *_: self._events.put(('interrupt', None)))
        try:
            self._start(self._wait)
            self._start(self._watch)
            return self._outcome()
        finally:
            signal.signal(signal.SIGINT, handler)

    def _outcome(self) -> int:
        stopping = False
        while True:
            event, value = self._events.get()
            if event == 'stopped' or (event == 'moved' and not stopping):
                return int(value)
            if event == 'lost' and not stopping:
                return NO_COMMUNICATION
            if event == 'state' and self._show is not None:
                self._show(value)
            if event == 'interrupt':
                if stopping:
                    return TERMINATED_BY_USER
                stopping = True
                self._unwanted.set()
                self._start(self._stop)

    @staticmethod
    def _start(target: Callable[[], None]) -> None:
        threading.Thread(target=target, daemon=True).start()

    def _wait(self) -> None:
        status = NO_COMMUNICATION
        try:
            with self._entry.connect() as daemon:
                daemon._pyroBind()  # within the default timeout; the move itself has none
                daemon._pyroTimeout = None
                if not self._unwanted.is_set():
                    status = _status(daemon.set_focus(*self._arguments))
        except Exception:
            pass  # whatever Pyro or the daemon raised, it is no answer
        self._ended.set()
        self._events.put(('moved', status))

    def _watch(self) -> None:
        interval = _QUIET_INTERVAL_S if self._show is None else _LIVE_INTERVAL_S
        heard = time.monotonic()
        while not self._ended.wait(interval):
            try:
                with self._entry.connect() as daemon:
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
            status = command(self._entry, 'stop_channel', self._channel)
            if status != CommandStatus.Succeeded or self._ended.wait(1):
                break
        self._events.put(('stopped', status))


def _status(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else NO_COMMUNICATION

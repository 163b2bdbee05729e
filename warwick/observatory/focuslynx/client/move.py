# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands that move a focuser: they start a motion, show its progress, wait for its end, and stop it at Ctrl-C.

Three threads call the daemon, each over a connection of its own: one waits for the move, one gets the status again
and again, and one stops the channel after Ctrl-C.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from ..constants import NO_COMMUNICATION, TERMINATED_BY_USER, CommandStatus, is_usable
from .api import EXTRA_REPORT_LIMIT_S, Focusd, NoAnswer, status_of
from .commands import Outcome
from .events import EventQueue
from .terminal import is_lively, is_terminal

if TYPE_CHECKING:
    from .progress_line import ProgressLine

LIVE_INTERVAL_S = 0.1
"""The pause between two status reports of a move that shows its progress."""
QUIET_INTERVAL_S = 5.0
"""The pause between two status reports of a move that does not."""
LOST_AFTER_S = 30.0
"""How long the daemon may be silent. A machine that loses its power never closes the connection of the move."""

_MOST_STOPS = 5
_NEXT_STOP_S = 1.0


def set_position(focusd: Focusd, channel: int, steps: int) -> Outcome:
    return move(focusd, 'set_focus', channel, steps, False)


def set_offset(focusd: Focusd, channel: int, steps: int) -> Outcome:
    return move(focusd, 'set_focus', channel, steps, True)


def center(focusd: Focusd, channel: int) -> Outcome:
    return move(focusd, 'center', channel)


def home(focusd: Focusd, channel: int) -> Outcome:
    return move(focusd, 'home', channel)


def move(focusd: Focusd, method: str, channel: int, *arguments: Any) -> Outcome:
    """Call a method of the daemon that moves a channel, and return when it has returned, however long that takes.

    Ctrl-C stops the channel, and the outcome is that of the stop; a second Ctrl-C ends the wait for the stop. After
    NO_COMMUNICATION the focuser may be moving or not. Call it from the main thread, with SIGINT blocked.
    """
    line: ProgressLine | None = None
    if is_lively(sys.stderr):
        from .progress_line import ProgressLine
        line = ProgressLine(sys.stderr, channel, time.monotonic(), homing=method == 'home')
    moving = _Move(focusd, method, (channel, *arguments), line)
    try:
        status = moving.run()
    finally:
        if line is not None:
            line.clear()
    place = ''
    if moving.stopping and status == CommandStatus.Succeeded and is_terminal(sys.stderr):
        place = _where_it_stopped(focusd, channel)
        if place and line is None:
            place = f'\n{place}'  # the terminal has printed ^C on the present line
    return Outcome.of(status, place)


def _where_it_stopped(focusd: Focusd, channel: int) -> str:
    """A sentence with the position of a channel after a stop; empty if the daemon does not answer."""
    try:
        state = focusd.report(EXTRA_REPORT_LIMIT_S)
    except NoAnswer:
        return ''
    steps = state.get(f'current_steps_{channel}')
    if is_usable(state.get(f'status_{channel}')) and isinstance(steps, int):
        return f'Channel {channel} stopped at {steps:+d} steps'
    from .status import channel_line
    return channel_line(state, channel, False)


class _Move:
    """One move: `_call`, `_follow` and `_stop` are threads, all else is done by the main thread."""

    def __init__(self, focusd: Focusd, method: str, arguments: tuple[Any, ...], line: ProgressLine | None) -> None:
        self._focusd = focusd
        self._method = method
        self._arguments = arguments  # the first one is the channel
        self._line = line
        self._events = EventQueue()
        self._status: int | None = None
        self._cancelled = threading.Event()
        self._returned = threading.Event()
        self.stopping = False

    def run(self) -> int:
        """The CommandStatus of the move or, after Ctrl-C, of the stop."""
        with self._events.handling({signal.SIGINT: self._interrupt}):
            self._events.start(self._call)
            self._events.start(self._follow)
            while self._status is None:
                self._events.do_next()
        return self._status

    def _interrupt(self) -> None:
        if self.stopping:
            self._status = TERMINATED_BY_USER
            return
        self.stopping = True
        self._cancelled.set()
        self._events.start(self._stop)

    def _end_move(self, status: int) -> None:
        if not self.stopping:
            self._status = status

    def _end_stop(self, status: int) -> None:
        self._status = status

    def _show(self, state: dict[str, Any]) -> None:
        if self._line is not None:
            self._line.show(state, self.stopping, time.monotonic())

    def _call(self) -> None:
        status = NO_COMMUNICATION
        try:
            with self._focusd.connect() as daemon:
                daemon._pyroBind()  # within the timeout of the entry; the move itself has none
                daemon._pyroTimeout = None
                if not self._cancelled.is_set():
                    status = status_of(getattr(daemon, self._method)(*self._arguments))
        except Exception:
            pass  # whatever Pyro or the daemon raised: the outcome of the move is not known
        self._returned.set()
        self._events.put(self._end_move, status)

    def _follow(self) -> None:
        interval_s = QUIET_INTERVAL_S if self._line is None else LIVE_INTERVAL_S
        answered_at = time.monotonic()
        while not self._returned.wait(interval_s):
            try:
                with self._focusd.connect() as daemon:
                    while not self._returned.is_set():
                        state = daemon.report_status()
                        answered_at = time.monotonic()
                        if isinstance(state, dict):
                            self._events.put(self._show, state)
                        self._returned.wait(interval_s)
            except Exception as e:
                if hasattr(e, '_pyroTraceback'):  # the daemon raised it, so it is there
                    answered_at = time.monotonic()
            if time.monotonic() - answered_at > LOST_AFTER_S:
                self._events.put(self._end_move, NO_COMMUNICATION)
                return

    def _stop(self) -> None:
        # The move is on another connection, so the stop can reach the daemon first and then cancels nothing. It is
        # repeated until the move has returned: only then will this client start no motion any more.
        for _ in range(_MOST_STOPS):
            status = self._focusd.command('stop_channel', self._arguments[0])
            if status != CommandStatus.Succeeded or self._returned.wait(_NEXT_STOP_S):
                break
        self._events.put(self._end_stop, status)

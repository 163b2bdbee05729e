# SPDX-License-Identifier: GPL-3.0-or-later
"""What the daemon reports to systemd: that it answers, what its channels do, and that it has not hung.

Without systemd nothing is sent.
"""

from __future__ import annotations

import math
import os
import socket
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from typing import Callable

from ..constants import FocuserStatus
from ..core import FocuserSnapshot
from .log import log

REPORT_INTERVAL_S = 1.0
"""The status is sent no more often than this, however often a position changes."""


class ServiceManager:
    """The systemd that started this process, if one did and expects notifications of its state: sd_notify(3).

    `watchdog_s` is the time without a sign of life after which it restarts the process, None if it never does.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        name = environment.get('NOTIFY_SOCKET', '')
        self.listens = name[:1] in ('/', '@')
        self.watchdog_s = _watchdog_s(environment) if self.listens else None
        self._address = os.fsencode('\0' + name[1:] if name.startswith('@') else name)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._failing = False

    def notify(self, assignments: Mapping[str, str]) -> bool:
        """Send assignments such as READY=1, without waiting; False if they were not sent. A value is one line."""
        text = '\n'.join(f'{key}={" ".join(value.split())}' for key, value in assignments.items())
        try:
            self._socket.sendto(text.encode('utf-8', 'backslashreplace'), socket.MSG_DONTWAIT, self._address)
        except OSError as error:
            if not self._failing:
                log.warning('cannot tell systemd the state of the service: %s', error.strerror or error)
            self._failing = True
            return False
        self._failing = False
        return True


def _watchdog_s(environment: Mapping[str, str]) -> float | None:
    """The time-out of systemd's watchdog, None if it watches another process: sd_watchdog_enabled(3)."""
    if environment.get('WATCHDOG_PID', str(os.getpid())) != str(os.getpid()):
        return None
    try:
        return int(environment.get('WATCHDOG_USEC', '')) / 1e6 or None
    except ValueError:
        return None


class Watchdog:
    """Keeps a service manager informed, and feeds its watchdog as long as no thread hangs.

    `progress` has, for each thread that the daemon cannot do without, the time at which it last made progress, on the
    monotonic clock. Its keys are the names of the threads. `report` and `feed` are to be called every `interval_s`, by
    one thread.
    """

    def __init__(self, manager: ServiceManager, progress: Mapping[str, Callable[[], float]]) -> None:
        self._manager = manager
        self._progress = progress
        self._status = ''   # as last sent; empty before READY was sent
        self._hung: frozenset[str] = frozenset()
        self._fed_at = -math.inf
        self._round_at = math.inf   # when feed() was called last
        self._grace = False         # that call judged nobody
        timeout_s = manager.watchdog_s
        self.interval_s = REPORT_INTERVAL_S if timeout_s is None else min(REPORT_INTERVAL_S, timeout_s / 8)

    def report(self, status: str) -> None:
        """Send the status, a line for people, if it has changed. The first time, READY as well."""
        if status != self._status:
            assignments = {'STATUS': status} if self._status else {'READY': '1', 'STATUS': status}
            if self._manager.notify(assignments):
                self._status = status

    def feed(self) -> None:
        """Log each thread that has begun to hang. Feed the watchdog if it is due, none hangs and READY was sent.

        When this thread itself comes much too late, the whole process was paused (SIGSTOP, a machine that slept), and
        the others get one round of grace to make progress.
        """
        timeout_s = self._manager.watchdog_s
        if timeout_s is None:
            return
        now = time.monotonic()
        self._grace = not self._grace and now - self._round_at > 2 * self.interval_s
        self._round_at = now
        without_s = {name: now - at() for name, at in self._progress.items()}
        hung = {name: time_s for name, time_s in without_s.items()
                if time_s > timeout_s / 2 and not (self._grace and name not in self._hung)}
        for name in hung.keys() - self._hung:
            log.critical('the thread %r has made no progress for %.1f s; the watchdog will end the daemon. It hangs '
                         'here:\n%s', name, hung[name], _stack_of(name))
        self._hung = frozenset(hung)
        feed = self._status and not hung and now - self._fed_at >= timeout_s / 4
        if feed and self._manager.notify({'WATCHDOG': '1'}):
            self._fed_at = now


def _stack_of(name: str) -> str:
    """Where a thread is, in the form of a traceback; empty if there is none of this name."""
    frames = sys._current_frames()
    return ''.join(line for thread in threading.enumerate() if thread.name == name and thread.ident in frames
                   for line in traceback.format_stack(frames[thread.ident])).rstrip()


def in_words(channels: Mapping[int, FocuserSnapshot]) -> str:
    """The state of all channels for people, on one line: `channel 1: idle at +500 steps, 21.7 C; ...`."""
    return '; '.join(f'channel {n}: {_channel_in_words(focuser)}' for n, focuser in channels.items())


def _channel_in_words(focuser: FocuserSnapshot) -> str:
    state = FocuserStatus.label(focuser.status).lower()
    if focuser.error is not None:
        return f'{state}: {focuser.error}'
    words = ['not moving' if focuser.stalled else state]
    if focuser.current_steps is not None:
        words.append(f'at {focuser.current_steps:+d}')
    if focuser.status == FocuserStatus.Moving and focuser.target_steps is not None:
        words.append(f'on the way to {focuser.target_steps:+d}')
    temperature = '' if focuser.temperature_c is None else f', {focuser.temperature_c:.1f} C'
    return ' '.join(words) + ' steps' + temperature

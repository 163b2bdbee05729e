# SPDX-License-Identifier: GPL-3.0-or-later
"""What systemd is told: that the daemon answers, what its channels do, and that it has not hung.

The watchdog is fed from the main thread, and only while all threads that the daemon cannot do without have made
progress lately. Each leaves the time at which it last did, on the monotonic clock. Without systemd nothing is sent,
and the main thread sleeps until the end.
"""

from __future__ import annotations

import logging
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
from ..core.snapshot import FocuserSnapshot

LOOK_S = 1.0
"""How often it is looked whether there is news; a position that changes is told no more often."""

_log = logging.getLogger(__name__)


class Manager:
    """The service manager that has started this process, if one has and wants to hear of it: sd_notify(3).

    `watchdog_s` is the time after which it restarts a process that it has not heard from, None where it does not.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        name = environment.get('NOTIFY_SOCKET', '')
        self.listens = name[:1] in ('/', '@')
        self.watchdog_s = _watchdog_s(environment) if self.listens else None
        self._address = os.fsencode('\0' + name[1:] if name.startswith('@') else name)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._complained = False

    def tell(self, news: Mapping[str, str]) -> bool:
        """Send assignments such as READY=1, without waiting; False if they did not go out. A value is one line."""
        text = '\n'.join(f'{key}={" ".join(value.split())}' for key, value in news.items())
        try:
            self._socket.sendto(text.encode('utf-8', 'backslashreplace'), socket.MSG_DONTWAIT, self._address)
        except OSError as error:
            if not self._complained:
                _log.warning('systemd cannot be told of the state of the service: %s', error.strerror or error)
            self._complained = True
            return False
        self._complained = False
        return True


def _watchdog_s(environment: Mapping[str, str]) -> float | None:
    """The watchdog's patience, unless it is another process that is watched: sd_watchdog_enabled(3)."""
    if environment.get('WATCHDOG_PID', str(os.getpid())) != str(os.getpid()):
        return None
    try:
        return int(environment.get('WATCHDOG_USEC', '')) / 1e6 or None
    except ValueError:
        return None


def in_words(channels: Mapping[int, FocuserSnapshot]) -> str:
    """The state of all channels for a person, on one line: `channel 1: idle at +500 steps, 21.7 C; ...`."""
    return '; '.join(f'channel {n}: {_channel_in_words(view)}' for n, view in channels.items())


def _channel_in_words(view: FocuserSnapshot) -> str:
    state = FocuserStatus.label(view.status).lower()
    if view.error is not None:
        return f'{state}: {view.error}'
    words = [state]
    if view.current_steps is not None:
        words.append(f'at {view.current_steps:+d}')
    if view.status == FocuserStatus.Moving and view.target_steps is not None:
        words.append(f'on the way to {view.target_steps:+d}')
    temperature = '' if view.temperature_c is None else f', {view.temperature_c:.1f} C'
    return ' '.join(words) + ' steps' + temperature


def supervise(manager: Manager, stop: Callable[[float | None], bool], answers: Callable[[], bool],
              channels: Callable[[], Mapping[int, FocuserSnapshot]],
              progress: Mapping[str, Callable[[], float]]) -> None:
    """Keep the manager informed until the end; to be called on the main thread.

    `stop(seconds)` waits so long, or for ever if that is None, and says whether the end is wanted.
    `answers()` makes a call as a client would, and says whether it was answered; the service is ready when it was.
    `progress` has for each thread that is watched, by its name, the time at which it last made progress.
    """
    if not manager.listens:
        stop(None)
        return
    patience_s = manager.watchdog_s
    look_s = LOOK_S if patience_s is None else min(LOOK_S, patience_s / 8)
    ready, told, fed_at, hung = False, '', -math.inf, frozenset[str]()
    pause_s = 0.0
    while not stop(pause_s):
        pause_s = look_s
        news = {}
        ready = ready or answers()
        now = time.monotonic()
        if patience_s is not None:
            stuck = frozenset(name for name, at in progress.items() if now - at() > patience_s / 2)
            for name in stuck - hung:
                _log.critical('the thread %r has made no progress for %.1f s; left to the watchdog, it is here:\n%s',
                              name, now - progress[name](), _stack_of(name))
            hung = stuck
            if ready and not hung and now - fed_at >= patience_s / 4:
                news['WATCHDOG'] = '1'
        if ready:
            words = in_words(channels())
            if words != told:
                news.update({'STATUS': words} if told else {'READY': '1', 'STATUS': words})
        if news and manager.tell(news):
            told = news.get('STATUS', told)
            fed_at = now if 'WATCHDOG' in news else fed_at


def _stack_of(name: str) -> str:
    """Where a thread is, in the form of a traceback; empty if there is none of this name."""
    frames = sys._current_frames()
    return ''.join(line for thread in threading.enumerate() if thread.name == name and thread.ident in frames
                   for line in traceback.format_stack(frames[thread.ident])).rstrip()

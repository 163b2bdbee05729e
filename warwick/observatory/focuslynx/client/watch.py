# SPDX-License-Identifier: GPL-3.0-or-later
"""`focus watch`: both channels, live, until Ctrl-C.

A thread calls the daemon again and again, and the main thread shows the answers: on a terminal on the whole screen,
elsewhere as a line for each change. The terminal gets its settings back, whatever ends the command.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

from ..constants import CHANNELS, is_usable
from .api import Focusd
from .chart import Trace
from .commands import Outcome
from .events import EventQueue
from .status import channel_line, seconds_since
from .terminal import is_screen, is_terminal, size, speaks_unicode, write_failed
from .watch_screen import ScreenData, painted, screen

_POLL_INTERVAL_S = 0.5
_RECONNECT_AFTER_S = 1.0
_ANSWER_LIMIT_S = 3.0      # for one call
_SILENT_AFTER_S = 2.5      # without an answer, the last one is not shown any more
_REDRAW_INTERVAL_S = 1.0   # at the latest, because the clock and the ages change

# The alternate screen without cursor and wrapping, and back. Some terminals draw a frame at once (mode 2026).
_ENTER_SCREEN, _LEAVE_SCREEN = '\x1b[?1049h\x1b[?25l\x1b[?7l', '\x1b[?7h\x1b[?25h\x1b[?1049l'
_BEGIN_FRAME, _END_FRAME = '\x1b[?2026h\x1b[H', '\x1b[?2026l'


def watch(focusd: Focusd) -> Outcome:
    watching = _Watch(focusd)
    try:
        if is_screen(sys.stdout):
            display = _Screen(watching)
            ended_by = watching.run(display.show, display.signals, display.entered())
        else:
            ended_by = watching.run(_Lines(watching).show)
    except OSError as e:
        message = write_failed(sys.stdout, e)
        return Outcome(1 if message else 0, stderr=message)
    if ended_by != signal.SIGINT:  # end by the same signal, so that the caller sees it
        signal.signal(ended_by, signal.SIG_DFL)
        os.kill(os.getpid(), ended_by)
    return Outcome(0)


class _Watch:
    """Calls the daemon, keeps what is known, and has it shown until a signal or a key ends it."""

    def __init__(self, focusd: Focusd) -> None:
        self.focusd = focusd
        self.events = EventQueue()
        self._ended_by = 0
        self._state: dict[str, Any] | None = None
        self._failed = False
        self._answered_at = self._date_changed_at = time.monotonic()
        self._positions = {n: Trace() for n in CHANNELS}
        self._temperatures = {n: Trace() for n in CHANNELS}

    def run(self, show: Callable[[], None], signals: Mapping[int, Callable[[], None]] | None = None,
            terminal: AbstractContextManager[None] | None = None) -> int:
        """Call `show` after each event, within `terminal`. Returns the number of the signal that ended it.

        `signals` says what to do at more signals than those that end every command.
        """
        actions: dict[int, Callable[[], None]] = {
            number: partial(self.end, number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
        with self.events.handling({**actions, **(signals or {})}), terminal or nullcontext():
            self.events.start(self._ask)
            while not self._ended_by:
                show()
                self.events.do_next(_REDRAW_INTERVAL_S)
        return self._ended_by

    def end(self, number: int) -> None:
        """End the watch as the signal of this number does."""
        self._ended_by = number

    def resume(self) -> None:
        """Go on after a suspension, in which the daemon was not called."""
        self._answered_at = time.monotonic()

    @property
    def is_silent(self) -> bool:
        """Whether the daemon does not answer."""
        return self._failed or time.monotonic() - self._answered_at > _SILENT_AFTER_S

    @property
    def state(self) -> dict[str, Any] | None:
        """The last answer; None before the first one, and while the daemon is silent."""
        return None if self.is_silent else self._state

    def screen_data(self) -> ScreenData:
        """All that the screen shows."""
        now, silent = time.monotonic(), self.is_silent
        return ScreenData(
            unit=self.focusd.unit, address=self.focusd.address, clock=time.strftime('%H:%M:%S UTC', time.gmtime()),
            now=now, state=None if silent else self._state, age_s=now - self._date_changed_at,
            silent_s=now - self._answered_at if silent else None,
            positions=self._positions, temperatures=self._temperatures)

    def _ask(self) -> None:
        while True:
            try:
                with self.focusd.connect(_ANSWER_LIMIT_S) as daemon:
                    while True:
                        state = daemon.report_status()
                        if isinstance(state, dict):
                            self.events.put(self._take_answer, state)
                        else:
                            self.events.put(self._take_failure)
                        time.sleep(_POLL_INTERVAL_S)
            except Exception:  # whatever Pyro or the daemon raised: there is no answer
                self.events.put(self._take_failure)
            time.sleep(_RECONNECT_AFTER_S)

    def _take_answer(self, state: dict[str, Any]) -> None:
        before, self._state = self._state, state
        self._failed = False
        self._answered_at = now = time.monotonic()
        if before is None or before.get('date') != state.get('date'):
            # The clocks of the two machines may differ. They are compared once; later dates are as new as their answer.
            age_s = (seconds_since(state.get('date'), time.time()) or 0) if before is None else 0
            self._date_changed_at = now - max(0.0, age_s)
        self._add_samples(now)

    def _take_failure(self) -> None:
        self._failed = True
        self._add_samples(time.monotonic())

    def _add_samples(self, now: float) -> None:
        for n in CHANNELS:
            self._positions[n].add(now, self._number('current_steps', n))
            self._temperatures[n].add(now, self._number('temperature', n))

    def _number(self, key: str, channel: int) -> float | None:
        state = self.state or {}
        value = state.get(f'{key}_{channel}')
        return value if isinstance(value, (int, float)) and is_usable(state.get(f'status_{channel}')) else None


class _Lines:
    """Prints a line for each change, where the output is no screen."""

    def __init__(self, watching: _Watch) -> None:
        self._watching = watching
        self._shown: dict[int, str] = {}

    def show(self) -> None:
        state = self._watching.state
        if self._watching.is_silent:
            lines = {0: self._watching.focusd.unreachable}
        elif state is None:
            return
        else:
            lines = {n: channel_line(state, n, False) for n in CHANNELS}
        now = time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime())
        for n, line in lines.items():
            if self._shown.get(n) != line:
                print(f'{now} {line}', flush=True)
        self._shown = lines


class _Screen:
    """Fills the terminal, follows its size, reads its keys, and gives it back when suspended."""

    def __init__(self, watching: _Watch) -> None:
        self._watching = watching
        self._frame = ''
        self._saved_settings: list[Any] | None = None
        self._has_keys = is_terminal(sys.stdin)
        self.signals: dict[int, Callable[[], None]] = {
            signal.SIGQUIT: partial(watching.end, signal.SIGQUIT),
            signal.SIGWINCH: self._forget_frame,
            signal.SIGTSTP: self._suspend,
        }

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Within this block the terminal is ours."""
        try:
            self._enter()
            if self._has_keys:
                self._watching.events.start(self._read_keys)
            yield
        finally:
            self._leave()

    def show(self) -> None:
        columns, rows = size(sys.stdout)
        lines = screen(self._watching.screen_data(), columns, rows, speaks_unicode(sys.stdout))
        frame = painted(lines, columns, rows, not os.environ.get('NO_COLOR'))
        if frame != self._frame:
            self._frame = frame
            self._write(_BEGIN_FRAME + frame + _END_FRAME)

    def _forget_frame(self) -> None:
        self._frame = ''

    def _suspend(self) -> None:
        self._leave()
        os.kill(os.getpid(), signal.SIGSTOP)
        self._watching.resume()
        self._enter()

    def _enter(self) -> None:
        if self._has_keys:
            import termios
            self._saved_settings = termios.tcgetattr(sys.stdin)
            settings = termios.tcgetattr(sys.stdin)
            settings[3] &= ~(termios.ECHO | termios.ICANON)
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, settings)
        self._forget_frame()
        self._write(_ENTER_SCREEN)

    def _leave(self) -> None:
        try:
            self._write(_LEAVE_SCREEN)
            if self._saved_settings is not None:
                import termios
                termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._saved_settings)
        except Exception:
            pass  # the terminal has gone, so there is nothing to give back

    def _read_keys(self) -> None:
        while True:
            try:
                keys = os.read(sys.stdin.fileno(), 100)
            except OSError:
                keys = b''
            if not keys or b'q' in keys.lower():
                self._watching.events.put(self._watching.end, signal.SIGINT)
                return

    @staticmethod
    def _write(text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()

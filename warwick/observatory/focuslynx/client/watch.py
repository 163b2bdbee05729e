# SPDX-License-Identifier: GPL-3.0-or-later
"""`focus watch`: both channels, live, until Ctrl-C.

A thread asks the daemon again and again; the main thread takes what it finds from a queue, where signals and keys
arrive too, and draws. On a terminal it has the alternate screen, and gives everything back on every way out; elsewhere
it prints a line for each change.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any

from .api import Focusd, HearingCtrlC, Outcome
from .chart import Trace
from .status import channel_line, duration, seconds_since
from .terminal import is_screen, size, speaks_unicode
from .watch_screen import Known, painted, screen

_INTERVAL_S = 0.5
_RETRY_S = 1.0
_PATIENCE_S = 3.0      # for one answer
_SILENT_AFTER_S = 2.5  # without an answer, the last one is not shown any more

# Alternate screen, no cursor, no wrapping; and back. A frame is drawn at once by terminals that can (2026).
_ENTER, _LEAVE = '\x1b[?1049h\x1b[?25l\x1b[?7l', '\x1b[?7h\x1b[?25h\x1b[?1049l'
_BEGIN, _END = '\x1b[?2026h\x1b[H', '\x1b[?2026l'


def watch(focusd: Focusd) -> Outcome:
    try:
        (_Screen(focusd) if is_screen(sys.stdout) else _Lines(focusd)).run()
    except OSError as e:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or Python tries once more as it exits
        if not isinstance(e, BrokenPipeError):
            return Outcome(1, complaint=f'error: cannot write: {e.strerror}')
    return Outcome(0)


class _Watch:
    """What both ways of watching share: the events, and what is known."""

    def __init__(self, focusd: Focusd) -> None:
        self._focusd = focusd
        self._events: SimpleQueue[tuple[str, Any]] = SimpleQueue()  # its put() may be used by a signal handler
        self._answered_at = time.monotonic()  # or begun
        self._state: dict[str, Any] | None = None
        self._failed = False
        self._date_seen_at = time.monotonic()
        self._positions = {1: Trace(), 2: Trace()}
        self._temperatures = {1: Trace(), 2: Trace()}

    def run(self) -> None:
        """Watch until a signal or a key ends it. One that ends programs ends this one too, when all is put back."""
        handlers = {number: signal.getsignal(number) for number in self._signals()}
        ended_by = 0
        try:
            for number, event in self._signals().items():
                if handlers[number] is not signal.SIG_IGN:
                    signal.signal(number, self._put(event, number))
            threading.Thread(target=self._ask, daemon=True).start()
            self.begin()
            while not ended_by:
                self.show()
                try:
                    with HearingCtrlC():
                        event, value = self._events.get(timeout=1)
                except Empty:
                    continue
                if event == 'end':
                    ended_by = value
                self._heed(event, value)
        finally:
            try:
                self.finish()
            finally:
                for number, handler in handlers.items():
                    signal.signal(number, handler)
        if ended_by != signal.SIGINT:
            signal.signal(ended_by, signal.SIG_DFL)
            os.kill(os.getpid(), ended_by)

    def _signals(self) -> dict[int, str]:
        return {signal.SIGINT: 'end', signal.SIGTERM: 'end', signal.SIGHUP: 'end'}

    def _put(self, event: str, value: Any) -> Callable[..., None]:
        return lambda *_: self._events.put((event, value))

    def _heed(self, event: str, value: Any) -> None:
        now = time.monotonic()
        if event == 'silence':
            self._failed = True
        elif event == 'state':
            before, self._state = self._state, value
            self._failed = False
            self._answered_at = now
            if before is None or before.get('date') != value.get('date'):
                # Only at first the age has to rely on the clocks of two machines
                apparent_s = (seconds_since(value.get('date'), time.time()) or 0) if before is None else 0
                self._date_seen_at = now - max(0.0, apparent_s)
        if event in ('state', 'silence'):
            for n in (1, 2):
                self._positions[n].add(now, self._figure(f'current_steps_{n}'))
                self._temperatures[n].add(now, self._figure(f'temperature_{n}'))

    def _figure(self, key: str) -> float | None:
        value = self._state.get(key) if self._state and not self.is_silent else None
        status = self._state.get(f'status_{key[-1]}') if self._state else None
        return value if isinstance(value, (int, float)) and status in (4, 5) else None

    @property
    def is_silent(self) -> bool:
        """Whether the daemon does not answer, so that what is known of it is not known any more."""
        return self._failed or time.monotonic() - self._answered_at > _SILENT_AFTER_S

    def begin(self) -> None: ...

    def show(self) -> None:
        raise NotImplementedError

    def finish(self) -> None: ...

    def _ask(self) -> None:
        while True:
            try:
                with self._focusd.entry.connect(_PATIENCE_S) as daemon:
                    while True:
                        state = daemon.report_status()
                        self._events.put(('state', state) if isinstance(state, dict) else ('silence', None))
                        time.sleep(_INTERVAL_S)
            except Exception:  # whatever Pyro or the daemon raised, it is no answer
                self._events.put(('silence', None))
            time.sleep(_RETRY_S)


class _Lines(_Watch):
    """A line for each change, where the output is no screen."""

    def __init__(self, focusd: Focusd) -> None:
        super().__init__(focusd)
        self._shown: dict[int, str] = {}

    def show(self) -> None:
        if self.is_silent:
            lines = {0: f'no answer from focusd at {self._focusd.address} (is {self._focusd.unit} running?)'}
        elif self._state is None:
            return
        else:
            lines = {n: channel_line(self._state, n, False) for n in (1, 2)}
        now = time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime())
        for n, line in lines.items():
            if self._shown.get(n) != line:
                print(f'{now} {line}', flush=True)
        self._shown = lines


class _Screen(_Watch):
    """The whole terminal."""

    def __init__(self, focusd: Focusd) -> None:
        super().__init__(focusd)
        self._frame = ''
        self._modes: list[Any] | None = None
        self._keys = sys.stdin is not None and sys.stdin.isatty()

    def _signals(self) -> dict[int, str]:
        return {**super()._signals(), signal.SIGQUIT: 'end', signal.SIGWINCH: 'resized', signal.SIGTSTP: 'suspend'}

    def begin(self) -> None:
        self._enter()
        if self._keys:
            threading.Thread(target=self._read_keys, daemon=True).start()

    def finish(self) -> None:
        self._leave()

    def show(self) -> None:
        columns, rows = size(sys.stdout)
        now = time.monotonic()
        silent = self.is_silent
        known = Known(
            title=f'{self._focusd.unit}  {self._focusd.address}', clock=time.strftime('%H:%M:%S UTC', time.gmtime()),
            now=now, state=None if silent else self._state, age_s=now - self._date_seen_at,
            silence=self._silence(now) if silent else (), positions=self._positions, temperatures=self._temperatures)
        lines = screen(known, columns, rows, speaks_unicode(sys.stdout))
        frame = painted(lines, columns, rows, not os.environ.get('NO_COLOR'))
        if frame != self._frame:
            self._frame = frame
            self._write(_BEGIN + frame + _END)

    def _silence(self, now: float) -> tuple[str, str]:
        return (f'no answer from focusd at {self._focusd.address} for {duration(now - self._answered_at)}',
                f'is {self._focusd.unit} running?')

    def _heed(self, event: str, value: Any) -> None:
        super()._heed(event, value)
        if event == 'resized':
            self._frame = ''
        elif event == 'suspend':
            self._leave()
            os.kill(os.getpid(), signal.SIGSTOP)
            self._answered_at = time.monotonic()  # nobody has asked meanwhile
            self._enter()

    def _enter(self) -> None:
        if self._keys:
            import termios
            self._modes = termios.tcgetattr(sys.stdin)
            quiet = termios.tcgetattr(sys.stdin)
            quiet[3] &= ~(termios.ECHO | termios.ICANON)
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, quiet)
        self._frame = ''
        self._write(_ENTER)

    def _leave(self) -> None:
        try:
            self._write(_LEAVE)
            if self._modes is not None:
                import termios
                termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._modes)
        except Exception:
            pass  # a terminal that has gone, with SIGHUP, needs nothing any more

    def _read_keys(self) -> None:
        while True:
            try:
                keys = os.read(sys.stdin.fileno(), 100)
            except OSError:
                keys = b''
            if not keys or b'q' in keys.lower():
                self._events.put(('end', signal.SIGINT))
                return

    @staticmethod
    def _write(text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()

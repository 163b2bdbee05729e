# SPDX-License-Identifier: GPL-3.0-or-later
"""The log of the daemon: standard output, and the observatory log for its events.

Both can block for seconds or for ever: a terminal that is frozen, a log daemon that does not answer. So each is written
by a thread of its own, from a bounded queue, and no call of a logger waits for either.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import select
import threading
import time
from collections import deque
from typing import Any, Callable, Generic, TypeVar

QUEUE_CAPACITY = 1000
"""Lines that wait for one output at most. A line that finds the queue full is dropped and counted."""

LINE_LIMIT = select.PIPE_BUF
"""Bytes of a line on standard output. A pipe takes so many at once, with nothing of another writer in between."""

LEVELS = {'debug': logging.DEBUG, 'info': logging.INFO, 'warning': logging.WARNING, 'error': logging.ERROR}

# sd-daemon(3)
_PRIORITIES = {logging.CRITICAL: 2, logging.ERROR: 3, logging.WARNING: 4, logging.INFO: 6, logging.DEBUG: 7}

log = logging.getLogger('focusd')
"""For all that the daemon logs: it goes to standard output."""

events = logging.getLogger('focusd.events')
"""For what goes to the observatory log as well."""

Item = TypeVar('Item')


def log_event(level: str, message: str) -> None:
    """Log an event; `level` is info, warning or error."""
    events.log(LEVELS[level], '%s', message)


class BackgroundWriter(Generic[Item]):
    """A bounded queue and a thread that writes its items in order, so that `put` never waits.

    The thread calls `write(item)` for each item, and `report_dropped(count)` when the queue has become empty and items
    were dropped before. Both may block for any time, and must not raise.
    """

    def __init__(self, name: str, write: Callable[[Item], None], report_dropped: Callable[[int], None],
                 capacity: int) -> None:
        self._write = write
        self._report_dropped = report_dropped
        self._capacity = capacity
        self._waiting: deque[Item] = deque()   # the first one stays here until it is written
        self._dropped = 0                      # since the last report
        self._finishing = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread. Items may be put before."""
        self._thread.start()

    def put(self, item: Item) -> None:
        """Add an item to the queue, or drop and count it if the queue is full."""
        with self._changed:
            if len(self._waiting) >= self._capacity:
                self._dropped += 1
            else:
                self._waiting.append(item)
                self._changed.notify()

    def finish(self, timeout_s: float) -> int:
        """Write what waits, for `timeout_s` at most; returns how many items were not written."""
        with self._changed:
            self._finishing = True
            self._changed.notify()
        self._thread.join(timeout_s)
        with self._changed:
            return len(self._waiting) + self._dropped

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._dropped or self._finishing)
                item = self._waiting[0] if self._waiting else None
                dropped = 0 if self._waiting else self._dropped
            if item is not None:
                self._write(item)
                with self._changed:
                    self._waiting.popleft()
            elif dropped:
                self._report_dropped(dropped)
                with self._changed:
                    self._dropped -= dropped
            else:
                return


class StdoutHandler(logging.Handler):
    """Writes records to a file descriptor, which may block.

    For the journal each line of a record begins with its priority, a traceback's too; otherwise a record begins with
    the time, in UTC, and its level.
    """

    def __init__(self, descriptor: int, capacity: int = QUEUE_CAPACITY) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._for_journal = is_journal(descriptor)
        self._writer = BackgroundWriter[bytes]('standard output', self._write, self._report_dropped, capacity)

    def start(self) -> None:
        """Start to write."""
        self._writer.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Queue the lines of a record."""
        for line in self._lines(record):
            self._writer.put(line)

    def finish(self, timeout_s: float) -> None:
        """Write the lines that wait, for `timeout_s` at most."""
        self._writer.finish(timeout_s)

    def _lines(self, record: logging.LogRecord) -> list[bytes]:
        text = _text(record, self.format)
        if self._for_journal:
            priority = _PRIORITIES.get(record.levelno, 6)
            lines = [f'<{priority}>{line}' for line in text.splitlines()]
        else:
            at = time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(record.created)) + f'.{int(record.msecs):03d}Z'
            lines = f'{at} {record.levelname.lower()}: {text}'.splitlines()
        return [line.encode('utf-8', 'backslashreplace')[:LINE_LIMIT - 1] + b'\n' for line in lines]

    # Both run on the thread of the writer

    def _write(self, line: bytes) -> None:
        try:
            while line:
                try:
                    line = line[os.write(self._descriptor, line):]
                except BlockingIOError:   # another program that shares the terminal has made it non-blocking
                    room = select.poll()
                    room.register(self._descriptor, select.POLLOUT)
                    room.poll()
        except OSError:
            pass   # the reader is gone, or the disk is full: the daemon works on without it

    def _report_dropped(self, count: int) -> None:
        notice = logging.makeLogRecord({'levelno': logging.WARNING, 'levelname': 'WARNING',
                                        'msg': f'{count} lines were dropped: standard output was not read'})
        for line in self._lines(notice):
            self._write(line)


class ObservatoryLog(logging.Handler):
    """Sends the messages of records to the observatory log, by `write(level, message)`, which may block and raise."""

    def __init__(self, write: Callable[[str, str], None], capacity: int = QUEUE_CAPACITY) -> None:
        super().__init__()
        self._write = write
        self._writer = BackgroundWriter[tuple[str, str]]('observatory log', self._send, self._report_dropped, capacity)

    def start(self) -> None:
        """Start to send."""
        self._writer.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Queue the message of a record."""
        level = 'error' if record.levelno >= logging.ERROR else \
            'warning' if record.levelno >= logging.WARNING else 'info'
        self._writer.put((level, _text(record, logging.LogRecord.getMessage)))

    def finish(self, timeout_s: float) -> None:
        """Send the lines that wait, for `timeout_s` at most; how many were not sent is logged."""
        unsent = self._writer.finish(timeout_s)
        if unsent:
            log.warning('%d log lines did not get through to the observatory log', unsent)

    # Both run on the thread of the writer

    def _send(self, line: tuple[str, str]) -> None:
        try:
            self._write(*line)
        except Exception as error:   # the package common is the observatory's own, and can raise anything
            log.debug('the observatory log took no line: %s', error)

    def _report_dropped(self, count: int) -> None:
        message = f'{count} log lines were dropped: the observatory log is too slow'
        log.warning(message)
        self._send(('warning', message))


def send_event(observatory_log: Any, table: str, level: str, message: str) -> None:
    """Send a message by the module `log` of the package common; can take as long as the log daemon's time-out."""
    # The module prints the message as well, which standard output has already
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        getattr(observatory_log, level)(table, message)
    for line in printed.getvalue().splitlines():
        if message not in line:   # about the log itself, as when its daemon does not answer
            log.warning('observatory log: %s', line)


class RateLimit(logging.Filter):
    """Lets one record through in `interval_s` seconds; the next one says how many were left out."""

    def __init__(self, interval_s: float) -> None:
        super().__init__()
        self._interval_s = interval_s
        self._lock = threading.Lock()
        self._quiet_until = 0.0
        self._left_out = 0

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record is let through."""
        with self._lock:
            now = time.monotonic()
            if now < self._quiet_until:
                self._left_out += 1
                return False
            self._quiet_until = now + self._interval_s
            left_out, self._left_out = self._left_out, 0
        if left_out:
            record.msg, record.args = '%s (%d more such lines were left out)', (record.getMessage(), left_out)
        return True


def _text(record: logging.LogRecord, format_record: Callable[[logging.LogRecord], str]) -> str:
    """The text of a record; of a record whose arguments do not fit its message, one that says so."""
    try:
        return format_record(record)
    except Exception as error:
        return f'cannot be logged: {record.msg!r}: {error!r}'


def is_journal(descriptor: int) -> bool:
    """Whether a file descriptor leads to systemd's journal: JOURNAL_STREAM in systemd.exec(5)."""
    try:
        status = os.fstat(descriptor)
    except OSError:
        return False
    return os.environ.get('JOURNAL_STREAM') == f'{status.st_dev}:{status.st_ino}'

# SPDX-License-Identifier: GPL-3.0-or-later
"""The way to the observatory log: a bounded queue and a thread of its own, because the log daemon can take seconds."""

from __future__ import annotations

import logging
import queue
import threading
from typing import Callable

CAPACITY = 1000
"""Lines that wait at most. What comes when the queue is full is counted, and the count is logged."""

_log = logging.getLogger(__name__)


class ObservatoryLog:
    """Takes lines from any thread without delay and hands them, in order, to `write(level, message)`."""

    def __init__(self, write: Callable[[str, str], None], capacity: int = CAPACITY) -> None:
        self._write = write
        self._lines: queue.Queue[tuple[str, str] | None] = queue.Queue(capacity)
        self._lock = threading.Lock()
        self._unwritten = 0   # lines that wait, or are on their way
        self._dropped = 0     # lines that were dropped, and not reported yet
        self._thread = threading.Thread(target=self._run, name='eventlog', daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def put(self, level: str, message: str) -> None:
        """Leave a line; level is info, warning or error."""
        with self._lock:
            try:
                self._lines.put_nowait((level, message))
                self._unwritten += 1
            except queue.Full:
                self._dropped += 1

    def close(self, timeout_s: float) -> None:
        """Give the lines that wait so long to get through; how many did not is logged."""
        try:
            self._lines.put(None, timeout=timeout_s)
        except queue.Full:
            pass
        else:
            self._thread.join(timeout_s)
        if self._thread.is_alive():
            _log.warning('%d log lines did not get through to the observatory log', self._unwritten + self._dropped)

    def _run(self) -> None:
        while True:
            line = self._lines.get()
            if line is not None:
                self._deliver(*line)
                with self._lock:
                    self._unwritten -= 1
            if self._lines.empty():
                self._report_dropped()
            if line is None:
                return

    def _report_dropped(self) -> None:
        with self._lock:
            dropped, self._dropped = self._dropped, 0
        if dropped:
            message = f'{dropped} log lines were dropped: the observatory log is too slow'
            _log.warning(message)
            self._deliver('warning', message)

    def _deliver(self, level: str, message: str) -> None:
        try:
            self._write(level, message)
        except Exception as error:   # the log daemon may be anything
            _log.debug('the observatory log took no line: %s', error)

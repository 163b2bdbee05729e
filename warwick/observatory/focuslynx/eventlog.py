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


class EventLog:
    """Takes lines from any thread without delay and hands them, in order, to `write(level, message)`."""

    def __init__(self, write: Callable[[str, str], None], capacity: int = CAPACITY) -> None:
        self._write = write
        self._lines: queue.Queue[tuple[str, str] | None] = queue.Queue(capacity)
        self._dropped = 0
        self._thread = threading.Thread(target=self._run, name='eventlog', daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def put(self, level: str, message: str) -> None:
        """Leave a line; level is info, warning or error."""
        try:
            self._lines.put_nowait((level, message))
        except queue.Full:
            self._dropped += 1

    def close(self, timeout_s: float) -> None:
        """Give the lines that wait so long to get through."""
        try:
            self._lines.put(None, timeout=timeout_s)
        except queue.Full:
            return
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while True:
            line = self._lines.get()
            if line is None:
                return
            self._deliver(*line)
            if self._dropped and self._lines.empty():
                dropped, self._dropped = self._dropped, 0
                self._deliver('warning', f'{dropped} log lines were dropped: the observatory log is too slow')

    def _deliver(self, level: str, message: str) -> None:
        try:
            self._write(level, message)
        except Exception as error:   # standard output may be closed, the log daemon may be anything
            _log.debug('the observatory log took no line: %s', error)

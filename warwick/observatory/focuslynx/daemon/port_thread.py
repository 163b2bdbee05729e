# SPDX-License-Identifier: GPL-3.0-or-later
"""The thread that opens and closes ports. Either can take seconds: a network hub that is switched off, a driver that
waits until its output has gone.

One thread does both, in order. So the old port is closed, and its lock is given back, before a new one is opened; and
no thread has to be started when a connection is lost, which can fail on a machine that has too many.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any

from .log import log
from .serial_port import close_port, explain


class PortThread:
    """Opens and closes ports in order; neither call waits. `open_port()` returns an open port, or raises."""

    def __init__(self, open_port: Callable[[], Any]) -> None:
        self._open_port = open_port
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name='port', daemon=True)

    def start(self) -> None:
        """Start the thread. Raises RuntimeError if the system allows no more threads."""
        self._thread.start()

    def open(self, is_wanted: Callable[[], bool], opened: Callable[[Any], None],
             failed: Callable[[Exception], None]) -> None:
        """Open a port once all others are closed, and give it, or the error, to one of the callbacks, on this thread.

        Nothing is opened, and nothing called, if `is_wanted` is false when it is due.
        """
        self._jobs.put(lambda: self._open(is_wanted, opened, failed))

    def close(self, port: Any) -> None:
        """Close a port."""
        self._jobs.put(lambda: _close(port))

    def finish(self, timeout_s: float) -> None:
        """Do what is left, for `timeout_s` at most, and end the thread."""
        self._jobs.put(None)
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    # Everything below runs on the thread

    def _run(self) -> None:
        while True:
            job = self._jobs.get()
            if job is None:
                return
            job()

    def _open(self, is_wanted: Callable[[], bool], opened: Callable[[Any], None],
              failed: Callable[[Exception], None]) -> None:
        if not is_wanted():
            return
        try:
            port = self._open_port()
        except Exception as error:   # pyserial's handlers raise anything
            failed(error)
        else:
            opened(port)


def _close(port: Any) -> None:
    try:
        close_port(port)
    except Exception as error:   # as above
        log.warning('closing the port: %s', explain(error))

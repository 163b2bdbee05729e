# SPDX-License-Identifier: GPL-3.0-or-later
"""Standard output as the log: with priorities for systemd's journal, with the time for everybody else.

A line is written by the thread that has it, also by the one that watches the motors. So nobody ever waits for a
reader: what standard output does not take at once is counted and dropped.
"""

from __future__ import annotations

import logging
import os
import select
import time

LONGEST_LINE = select.PIPE_BUF
"""Bytes. A descriptor that is said to be writable takes so much without waiting."""

LEVELS = {'debug': logging.DEBUG, 'info': logging.INFO, 'warning': logging.WARNING, 'error': logging.ERROR}

# sd-daemon(3)
_PRIORITIES = {logging.CRITICAL: 2, logging.ERROR: 3, logging.WARNING: 4, logging.INFO: 6, logging.DEBUG: 7}


class StdoutHandler(logging.Handler):
    """Writes records to a file descriptor, without ever waiting for it.

    For the journal each line of a record begins with its priority, a traceback's too; otherwise a record begins with
    the time, in UTC, and its level.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter('%(message)s'))
        self._descriptor = descriptor
        self._for_journal = is_journal(descriptor)
        self._writable = select.poll()
        self._writable.register(descriptor, select.POLLOUT)
        self._lost = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, after the count of the lines that were dropped before it."""
        try:
            lines = self._lines(record)
        except Exception:
            self.handleError(record)   # arguments that do not fit the message
            return
        if self._lost:
            notice = logging.makeLogRecord({'levelno': logging.WARNING, 'levelname': 'WARNING',
                                            'msg': f'{self._lost} lines were dropped: standard output was not read'})
            if not self._write(self._lines(notice)[0]):
                self._lost += len(lines)
                return
            self._lost = 0
        for line in lines:
            if not self._write(line):
                self._lost += 1

    def _lines(self, record: logging.LogRecord) -> list[bytes]:
        text = self.format(record)
        if self._for_journal:
            priority = _PRIORITIES.get(record.levelno, 6)
            lines = [f'<{priority}>{line}' for line in text.splitlines()]
        else:
            at = time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(record.created)) + f'.{int(record.msecs):03d}Z'
            lines = f'{at} {record.levelname.lower()}: {text}'.splitlines()
        return [line.encode('utf-8', 'backslashreplace')[:LONGEST_LINE - 1] + b'\n' for line in lines]

    def _write(self, line: bytes) -> bool:
        """Write a line; False if there is no room for it at the moment."""
        try:
            if not self._writable.poll(0):
                return False
            os.write(self._descriptor, line)
        except OSError:
            pass   # nobody will ever read it: the daemon works on
        return True


def is_journal(descriptor: int) -> bool:
    """Whether a file descriptor leads to systemd's journal: JOURNAL_STREAM in systemd.exec(5)."""
    try:
        status = os.fstat(descriptor)
    except OSError:
        return False
    return os.environ.get('JOURNAL_STREAM') == f'{status.st_dev}:{status.st_ino}'

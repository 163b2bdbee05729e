# SPDX-License-Identifier: GPL-3.0-or-later
"""A lock that is never waited for."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from threading import Lock


class TryLock:
    """`with TryLock(lock) as acquired:` never blocks.

    `acquired` says whether this block holds `lock`. If it does, the lock is released at the end. Use an instance for
    one `with` block at a time.
    """

    def __init__(self, lock: Lock) -> None:
        self._lock = lock
        self._acquired = False

    def __enter__(self) -> bool:
        self._acquired = self._lock.acquire(blocking=False)
        return self._acquired

    def __exit__(self, *_exception: object) -> None:
        if self._acquired:
            self._acquired = False
            self._lock.release()

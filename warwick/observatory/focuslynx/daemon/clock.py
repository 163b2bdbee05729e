# SPDX-License-Identifier: GPL-3.0-or-later
"""The clock of the hub thread, which goes on while the machine sleeps, and how long the machine has slept."""

from __future__ import annotations

import time

SLEEP_S = 0.2
"""The machine has slept if the two clocks of the kernel have parted by more than this."""

_BOOTTIME = getattr(time, 'CLOCK_BOOTTIME', time.CLOCK_MONOTONIC)
_QUICK_S = 0.05


def now_s() -> float:
    """Seconds since some moment in the past. Time asleep counts; changes of the date do not."""
    return time.clock_gettime(_BOOTTIME)


def asleep_s() -> float:
    """How long the machine has slept since it was started: by so much the clock that stands still then is behind."""
    while True:
        began = time.monotonic()
        now = now_s()
        ended = time.monotonic()
        if ended - began < _QUICK_S:   # else the process was interrupted between the clocks
            return now - ended


def has_slept(since_asleep_s: float) -> bool:
    """Whether the machine has slept since `asleep_s` was this."""
    return abs(asleep_s() - since_asleep_s) > SLEEP_S

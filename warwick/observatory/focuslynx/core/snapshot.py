# SPDX-License-Identifier: GPL-3.0-or-later
"""The published state of a channel."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..constants import FocuserStatus
from .reports import CompensationReport, ConfigReport, StatusReport


@dataclass(frozen=True)
class Reports:
    """What the hub has said of a channel, in full."""

    config: ConfigReport
    status: StatusReport
    compensation: CompensationReport | None   # None where it was not asked for, or the firmware does not tell


@dataclass(frozen=True)
class FocuserSnapshot:
    """What others may know of a channel. Below Idle every number is None.

    `as_of` is when the state was last known to be true and `good_until` when it stops being so, both in seconds on
    the clock of the link thread.
    """

    status: int                      # FocuserStatus
    as_of: float
    good_until: float = math.inf
    temperature_c: float | None = None
    current_steps: int | None = None
    target_steps: int | None = None
    requested_steps: int | None = None
    min_steps: int | None = None
    max_steps: int | None = None
    nickname: str | None = None
    device_type: str | None = None
    homed: bool | None = None        # None for a type without a home switch
    error: str | None = None
    failure: str | None = None       # why the last command that has ended failed; None if it did not
    compensating: bool | None = None   # the hub moves the focuser with the temperature
    reports: Reports | None = None   # as read last, while the hub answers

    def at(self, now: float) -> FocuserSnapshot:
        """The view as it has to be read at `now`: one that was not renewed in time says so, and shows no numbers."""
        if now <= self.good_until:
            return self
        return FocuserSnapshot(status=FocuserStatus.Error, as_of=self.good_until, nickname=self.nickname,
                           device_type=self.device_type, failure=self.failure,
                           error='there is no fresh report from the hub')

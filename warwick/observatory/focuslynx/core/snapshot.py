# SPDX-License-Identifier: GPL-3.0-or-later
"""The published state of the focusers and of the hub: frozen values, which any thread may read."""

from __future__ import annotations

import math
from typing import NamedTuple

from ..constants import FocuserStatus
from .reports import CompensationReport, ConfigReport, HubInfo, StatusReport


class Reports(NamedTuple):
    """The latest reports of the hub about one channel, in full."""

    config: ConfigReport
    status: StatusReport
    compensation: CompensationReport | None   # None if it was not requested, or the firmware does not have it


class FocuserSnapshot(NamedTuple):
    """What others may know of a focuser. Below Idle every number is None.

    `as_of` is when the state was last known to be true, `good_until` is when it has to be renewed, and `reported_at` is
    when the request for the latest report went out, also during an outage; in seconds on the clock of the hub thread.
    """

    status: int                      # FocuserStatus
    as_of: float
    good_until: float = math.inf
    reported_at: float | None = None   # None without a report since connect
    temperature_c: float | None = None
    current_steps: int | None = None
    target_steps: int | None = None
    requested_steps: int | None = None
    min_steps: int | None = None
    max_steps: int | None = None
    nickname: str | None = None
    device_type: str | None = None
    homed: bool | None = None        # None for a type without a home switch
    error: str | None = None         # why the focuser is below Idle
    failure: str | None = None       # why the last command that has ended failed; None if it did not fail
    stalled: bool | None = None      # in motion, as the hub says, but the position stays the same
    compensating: bool | None = None   # whether the hub moves the focuser with the temperature; None if not known
    reports: Reports | None = None   # while the hub answers

    def at(self, now: float) -> FocuserSnapshot:
        """The state as it is to be read at `now`: without numbers if it was not renewed in time."""
        if now <= self.good_until:
            return self
        return FocuserSnapshot(status=FocuserStatus.Error, as_of=self.good_until, reported_at=self.reported_at,
                               nickname=self.nickname, device_type=self.device_type, failure=self.failure,
                               error='there is no fresh report from the hub')


class Snapshot(NamedTuple):
    """The state of both channels at `taken_at`, on the clock of the hub thread.

    `as_of` is the Unix time of the older of their latest reports; that of the snapshot itself while there is none.
    """

    channels: dict[int, FocuserSnapshot]
    taken_at: float
    as_of: float
    hub: HubInfo | None = None   # the latest answer since the port was opened, None without one

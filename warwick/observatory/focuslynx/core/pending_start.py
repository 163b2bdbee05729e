# SPDX-License-Identifier: GPL-3.0-or-later
"""A request of ours by which a motor may yet begin to run. Pure: it is given reports and the time."""

from __future__ import annotations

import math

from .reports import StatusReport
from .requests import MoveTo, Request

MAX_BACKLASH_STEPS = 99
"""Most steps of backlash compensation that a hub can be set to (docs/protocol.md, 9.2)."""

START_LIMIT_S = 2.5
"""How long after its request a motor may begin. Up to 2 s are seen on real hubs."""

LOST_REQUEST_LIMIT_S = 60.0
"""How long after an outage a request from before it may still reach the hub: a network can keep it for a while."""


class PendingStart:
    """The latest request of one channel that sets a motor running, until a report shows that it has begun.

    Until START_LIMIT_S after it, nothing proves that the motor will not begin: Targ Pos, IsMoving and IsHoming may
    follow late, and HALT may not cancel a start (docs/protocol.md, 7.1). The hub may also have misheard the channel:
    then the motor of the other one runs. Times are in seconds.
    """

    def __init__(self) -> None:
        self._is_open = False          # the request went out, and neither was it refused nor has the motor begun
        self._ran = False              # the last report shows motion, or another place
        self._moved = False            # a report has shown IsMoving = 1
        self.sent_at = -math.inf
        self._survives_until = -math.inf   # until when it may reach the hub although the link has been opened again
        self.start_counts: int | None = None    # where the focuser was at rest when the request went out
        self.target_counts: int | None = None   # where it is to go; None for homing

    def sent(self, request: Request, start_counts: int | None, now: float) -> None:
        """The request goes out."""
        self._is_open, self._ran, self._moved = True, False, False
        self._survives_until = -math.inf
        self.sent_at = now
        self.start_counts = start_counts
        self.target_counts = request.counts if isinstance(request, MoveTo) else None

    def end(self) -> None:
        """The motor has begun, or the hub has refused the request."""
        self._is_open = False
        self._survives_until = -math.inf

    def link_opened(self, now: float) -> None:
        """The link has been opened again: the request may yet come through the old connection."""
        if self._is_open:
            self._survives_until = now + LOST_REQUEST_LIMIT_S

    def seen(self, status: StatusReport) -> None:
        """A report of this channel came: has the motor begun? One digit of it may be misread."""
        away = status.counts != self.start_counts
        runs = status.moving or away
        self._moved |= status.moving
        if (status.moving and away) or (runs and self._ran):
            self.end()
        self._ran = runs

    @property
    def until(self) -> float:
        """Until when the motor may begin; in the past if it has."""
        return self.sent_at + START_LIMIT_S if self._is_open else -math.inf

    def may_begin(self, at: float) -> bool:
        """Whether the motor may begin after `at`."""
        return at <= self.until

    def hides_motion(self, at: float) -> bool:
        """Whether the motor may run after `at` although IsMoving is 0: that may follow late, and has not been 1 yet."""
        return not self._moved and at <= self.sent_at + START_LIMIT_S

    def has_failed(self, at: float) -> bool:
        """Whether the motor should have begun, and has not."""
        return self._is_open and at > self.until

    def survives(self, at: float) -> bool:
        """Whether the request may reach the hub after `at` although the link was lost since it was sent."""
        return at <= self._survives_until

    def explains(self, status: StatusReport) -> bool:
        """Whether a motion is what the request asks for."""
        if self._is_open and status.moving:
            if self.target_counts is None:
                return status.homing
            return abs(status.target_counts - self.target_counts) <= MAX_BACKLASH_STEPS   # it may be an overshoot
        return False

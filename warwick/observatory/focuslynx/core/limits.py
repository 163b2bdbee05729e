# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits of motion and time from the configuration file, and how steps follow from the hub's counts."""

from __future__ import annotations

from dataclasses import dataclass

QUIET_AFTER_LATE_S = 1.0
"""After bytes have come, late replies may follow for so long, or for twice as long as this hub ever needs for one."""

GIVE_WAY_LIMIT_S = 0.5
"""How long a poll of a focuser at rest gives way to the polls of a moving one on the other channel."""


@dataclass(frozen=True)
class Limits:
    """What the configuration file says about motion and time. Times are in seconds, positions in signed steps."""

    soft_step_limits: tuple[int, int]
    idle_loop_delay_s: float
    moving_loop_delay_s: float
    serial_timeout_s: float
    move_timeout_s: float
    home_reset_timeout_s: float
    home_timeout_s: float = 600.0
    temperature_probe_required: bool = True
    allow_hub_compensation: bool = False

    def sees_focuser(self, probe_present: bool) -> bool:
        """Whether a focuser is plugged in, as far as its temperature probe shows."""
        return probe_present or not self.temperature_probe_required

    @property
    def oldest_report_s(self) -> float:
        """Age of the oldest report by which a focuser still counts as Idle.

        The next poll is due after idle_loop_delay. It may have to wait for an exchange of the other channel, may fail,
        and is then repeated once, after a probe and a quiet link where late replies leave no safe request.
        """
        return self.idle_loop_delay_s + 4 * self.serial_timeout_s + GIVE_WAY_LIMIT_S + QUIET_AFTER_LATE_S


@dataclass(frozen=True)
class StepScale:
    """Signed steps around the middle of the hub's range of counts, 0 to Max Pos; and the limits in steps."""

    max_counts: int
    soft_step_limits: tuple[int, int]
    overshoot_out: int = 0   # counts by which the hub passes the target of an outward move, against backlash
    overshoot_in: int = 0    # the same for an inward move

    @property
    def zero_counts(self) -> int:
        """The count that is called step 0."""
        return self.max_counts // 2

    @property
    def min_steps(self) -> int:
        """Lowest position that may be commanded: the configured limit, or one step inside the range of the hub.

        The hub has to stay within that limit during the move, too.
        """
        return max(self.soft_step_limits[0], -(self.zero_counts - 1)) + self.overshoot_in

    @property
    def max_steps(self) -> int:
        """Highest position that may be commanded, by the same rule."""
        return min(self.soft_step_limits[1], self.zero_counts - 1) - self.overshoot_out

    def allows(self, steps: int) -> bool:
        """Whether a position may be commanded."""
        return self.min_steps <= steps <= self.max_steps

    def steps(self, counts: int) -> int:
        """A position in steps, from counts."""
        return counts - self.zero_counts

    def counts(self, steps: int) -> int:
        """A position in counts, from steps."""
        return steps + self.zero_counts

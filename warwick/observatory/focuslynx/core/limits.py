# SPDX-License-Identifier: GPL-3.0-or-later
"""Steps, limits and times: what the configuration file sets, and what follows from the range of the hub."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """What the configuration file says about motion and time; seconds and signed steps."""

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
        """Whether a focuser is plugged in, as far as its temperature probe tells."""
        return probe_present or not self.temperature_probe_required


@dataclass(frozen=True)
class StepScale:
    """Signed steps around the middle of the range, from the hub's counts 0 to Max Pos, and the limits in steps."""

    max_counts: int
    soft_step_limits: tuple[int, int]
    overshoot_out: int = 0   # counts by which the hub runs past the target of an outward move, against backlash
    overshoot_in: int = 0    # ... and of an inward one

    @property
    def zero_counts(self) -> int:
        """The count that is called step 0."""
        return self.max_counts // 2

    @property
    def min_steps(self) -> int:
        """Lowest position that may be commanded: the tighter of the configured limit and one step inside the range.

        The hub has to stay within that on the way, too.
        """
        return max(self.soft_step_limits[0], -(self.zero_counts - 1)) + self.overshoot_in

    @property
    def max_steps(self) -> int:
        """Highest position that may be commanded, likewise."""
        return min(self.soft_step_limits[1], self.zero_counts - 1) - self.overshoot_out

    def allows(self, steps: int) -> bool:
        """Whether a position may be commanded."""
        return self.min_steps <= steps <= self.max_steps

    def steps(self, counts: int) -> int:
        """Position in steps of a position in counts."""
        return counts - self.zero_counts

    def counts(self, steps: int) -> int:
        """Position in counts of a position in steps."""
        return steps + self.zero_counts

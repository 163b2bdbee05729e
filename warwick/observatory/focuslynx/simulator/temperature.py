# SPDX-License-Identifier: GPL-3.0-or-later
"""The temperature probe of a channel, and the temperature around it."""
from __future__ import annotations

import math

from .kinds import Probe
from .settings import Mechanics

__all__ = ['Thermometer']

_STEP_C = 0.01


class Thermometer:
    """Reads the probe of `mechanics`, whose temperature may be constant or on a ramp.

    On a ramp the temperature changes evenly in small steps, whether the hub has power or not.
    """

    def __init__(self, mechanics: Mechanics) -> None:
        self._mechanics = mechanics
        self._origin = self._goal = 0.0
        self._start = self._end = 0.0
        self._steps = self._taken = 0

    @property
    def attached(self) -> bool:
        """What TmpProbe shows. The in/out remote uses the jack of the probe."""
        return self._mechanics.probe.present and not self._mechanics.remote_io

    @property
    def celsius(self) -> float | None:
        """Degrees C, or None while the probe gives no usable value."""
        return self._mechanics.probe.celsius if self.attached else None

    @property
    def next_at(self) -> float:
        """When (s) the ramp changes the temperature next; infinity without a ramp."""
        if self._taken == self._steps:
            return math.inf
        return self._start + (self._end - self._start) * (self._taken + 1) / self._steps

    def stay(self) -> None:
        """End the ramp at the present temperature."""
        self._steps = self._taken = 0

    def go_to(self, celsius: float, time: float, seconds: float) -> None:
        """Change evenly to `celsius`, from `time` (s) on for `seconds`. The probe must show a temperature now."""
        assert self._mechanics.probe.celsius is not None
        self._origin, self._goal = self._mechanics.probe.celsius, celsius
        self._start, self._end = time, time + seconds
        self._steps, self._taken = max(math.ceil(abs(celsius - self._origin) / _STEP_C - 1e-9), 1), 0

    def advance(self, time: float) -> None:
        """Bring the temperature up to `time`."""
        while self.next_at <= time:
            self._taken += 1
            part = self._taken / self._steps
            self._mechanics.probe = Probe(celsius=self._origin * (1 - part) + self._goal * part)

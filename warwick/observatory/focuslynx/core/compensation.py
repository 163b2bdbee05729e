# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the hub moves a focuser with the temperature. Pure: reports, halts and times are given to it.

A HALT ends compensation. Some firmware then shows TComp ON = 0, other the setting as it is stored, which a HALT does
not change (docs/protocol.md, 7.5): there TComp ON = 1 after a HALT can mean that it is off, or on again.
"""

from __future__ import annotations

import math


class HubCompensation:
    """What the settings and our halts tell of the compensation that one channel of the hub makes."""

    def __init__(self, allowed: bool) -> None:
        self._allowed = allowed
        self._shown: bool | None = None         # TComp ON, None before it was read
        self._shows_halts: bool | None = None   # whether this hub is of the first kind, None until it has shown it
        self._ended: bool | None = False        # whether a HALT has ended it; None if that is not known
        self._halted_at = -math.inf             # when the last HALT went out or was answered

    @property
    def is_on(self) -> bool | None:
        """Whether the hub compensates; None if that is not known."""
        if self._shown is None or not self._shown:
            return self._shown
        return None if self._ended is None else not self._ended

    @property
    def is_expected(self) -> bool:
        """Whether it may, as far as is known, and is allowed to."""
        return self._allowed and bool(self._shown) and self._ended is not True

    def forget(self) -> None:
        """The settings have to be read anew."""
        self._shown = None
        self.not_heard()

    def not_heard(self) -> None:
        """The hub may have been switched off and on, which brings back what is stored."""
        if self._ended:
            self._ended = None

    def read(self, shown: bool, asked_at: float) -> None:
        """TComp ON, in settings that were asked for at `asked_at`."""
        self._shown = shown
        if asked_at < self._halted_at:
            return
        if self._ended and self._shows_halts is None:
            self._shows_halts = not shown
        if not shown or self._shows_halts:
            self._ended = False   # it is off, or somebody has switched it on again

    def halt_sent(self, now: float) -> None:
        """HALT goes out: unless it is answered, nobody knows what has come of compensation."""
        if self._ended is False and (self._shown is None or self.is_expected):
            self._ended, self._halted_at = None, now

    def halted(self, now: float) -> bool:
        """The hub has answered HALTED; returns whether that has ended compensation that is allowed."""
        ends = self.is_expected
        if ends or self._shown is None:   # it may have been on
            self._ended, self._halted_at = True, now
        return ends

    def switched(self) -> None:
        """We have switched it on or off: it is as the settings show it."""
        self._ended = False

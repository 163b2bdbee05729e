# SPDX-License-Identifier: GPL-3.0-or-later
"""The halt of a motor: sent until a status shows that it stands. Pure: it is given replies and the time."""

from __future__ import annotations

import math

from .commands import Ticket
from .reports import GetStatus, StatusReport
from .requests import Halt, Request

START_LIMIT_S = 2.5
"""How long a motor may take to begin after the hub accepted the move. Up to 2 s are seen on real hubs."""

HALT_LIMIT_S = 3.5
"""How long a caller waits for a motor to stand after a halt. Its client gives up after 5 s."""

RESEND_S = 0.5
"""A motor that runs on so long after the hub answered HALTED is told once more."""


class MotorHalt:
    """HALT, until a status shows the motor at rest. It goes before everything else that the channel may want.

    Callers that wait for it are told after HALT_LIMIT_S at the latest. The halt itself goes on after that: a motor
    that nobody could stop is not left alone.
    """

    def __init__(self, channel: int, now: float) -> None:
        self._channel = channel
        self.motion_until = now + HALT_LIMIT_S  # when those who wait for the motion itself are told, too
        self.halt_due = now                     # when HALT has to go out, for the first time or again
        self._look_due = math.inf
        self._look_gap_s = 0.02
        self._resend_at = math.inf
        self._accepted = False
        self._resting_since: float | None = None
        self.gave_up = False
        self.first = True                       # no HALT has gone out yet for the latest caller
        self._waiting: list[Ticket] = []
        self.gives_up_at = now + HALT_LIMIT_S   # when the callers are told, and the pace slows down

    def join(self, ticket: Ticket, now: float) -> None:
        """Another caller wants the same: HALT goes out again for it."""
        if not self._waiting:
            self.gives_up_at = now + HALT_LIMIT_S
        self.gave_up = False
        self._waiting.append(ticket)
        self._accepted = False
        self.halt_due = now
        self._look_due = math.inf
        self.first = True

    def wanted(self, now: float) -> tuple[float, Request]:
        """The next exchange of the halt, and when. A HALT that is due goes before a look that is."""
        if self.halt_due <= max(now, self._look_due):
            return self.halt_due, Halt(self._channel)
        return self._look_due, GetStatus(self._channel)

    def accepted(self, now: float) -> None:
        """The hub answered HALTED, though perhaps to the HALT of an earlier caller: look whether the motor stands."""
        if not self.first:
            self._accepted = True
            self._resend_at = now + RESEND_S
            self.halt_due = math.inf
            self._look_due = now

    def status(self, status: StatusReport, now: float) -> bool:
        """A status that was asked for after the last HALT; returns whether the motor stands.

        Without HALTED that takes longer to believe: a motor that has been told to move may only be about to begin.
        """
        if status.moving:
            self._resting_since = None
            if now >= self._resend_at:
                self.halt_due = now
            self._look_due = now + self._look_gap_s
            self._look_gap_s = min(self._look_gap_s * 2, 0.5)
            return False
        if self._resting_since is None:
            self._resting_since = now
        if self._accepted or now - self._resting_since >= START_LIMIT_S:
            return not self.first
        self._look_due = math.inf
        return False

    def failed_exchange(self, request: Request, now: float) -> None:
        """HALT, or the look after it, had no proper answer: look, and send HALT again."""
        if self.first:
            return
        if isinstance(request, Halt):
            self._accepted = False
            self._look_due = now
            self.halt_due = now + (1.0 if self.gave_up else 0.05)
        else:
            self._look_due = math.inf
            self.halt_due = min(self.halt_due, now + (1.0 if self.gave_up else 0.05))

    def sent(self) -> None:
        """HALT has gone out."""
        self.first = False

    def give_up(self) -> list[Ticket]:
        """Nobody can wait any longer; returns the callers. HALT is sent on, at a slower pace."""
        self.gave_up = True
        self.gives_up_at = math.inf
        return self.waiting()

    def waiting(self) -> list[Ticket]:
        """Take all callers."""
        tickets, self._waiting = self._waiting, []
        return tickets

# SPDX-License-Identifier: GPL-3.0-or-later
"""The halt of a motor: sent until a status shows that it stands. Pure: it is given replies and the time."""

from __future__ import annotations

import math

from .commands import Ticket
from .protocol import GetStatus, Halt, Request, Status

HALT_LIMIT_S = 3.5
"""How long a caller waits for a motor to stand after a halt. Its client gives up after 5 s."""


class Halting:
    """HALT, until a status shows the motor at rest. It goes before everything else that the channel may want.

    Callers that wait for it are told after HALT_LIMIT_S at the latest. The halt itself goes on after that: a motor
    that nobody could stop is not left alone.
    """

    RESEND_S = 0.5

    def __init__(self, channel: int, now: float) -> None:
        self._channel = channel
        self._halt_due = now
        self._look_due = math.inf
        self._look_gap_s = 0.02
        self._accepted = False
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
        self._halt_due = now
        self._look_due = math.inf
        self.first = True

    def wanted(self) -> tuple[float, Request]:
        """The next exchange of the halt, and when."""
        if self._halt_due <= self._look_due:
            return self._halt_due, Halt(self._channel)
        return self._look_due, GetStatus(self._channel)

    def accepted(self, now: float) -> None:
        """The hub answered HALTED, though perhaps to the HALT of an earlier caller: look whether the motor stands."""
        if self.first:
            return
        self._accepted = True
        self._halt_due = now + self.RESEND_S
        self._look_due = now

    def status(self, status: Status, now: float) -> bool:
        """A status that was asked for after the last HALT; returns whether the motor stands."""
        if not self._accepted:
            return False
        if status.moving:
            self._look_due = now + self._look_gap_s
            self._look_gap_s = min(self._look_gap_s * 2, 0.5)
            return False
        return True

    def failed_exchange(self, now: float) -> None:
        """HALT, or the look after it, had no proper answer: HALT goes out again."""
        if self.first:
            return
        self._accepted = False
        self._look_due = math.inf
        self._halt_due = now + (1.0 if self.gave_up else 0.05)

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

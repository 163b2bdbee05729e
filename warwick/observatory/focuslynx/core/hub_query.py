# SPDX-License-Identifier: GPL-3.0-or-later
"""An inquiry: what polling does not read, or has not read lately, asked for once.

Pure: replies and the time are given to it.
"""

from __future__ import annotations

from .commands import Outcome, Sink, Ticket
from .reports import GetCompensation, GetConfig, GetHubInfo
from .requests import Refused, Request

INQUIRY_LIMIT_S = 3.0
"""When those who wait are told at the latest."""

FRESH_S = 1.0
"""What was read so lately is not read again: anybody may ask, and the line is for the motors."""

TRIES = 2


class HubQuery:
    """The requests of one inquiry, each after the other, and who waits for it."""

    def __init__(self, now: float, channels: tuple[int, ...]) -> None:
        """`channels`: those that answer at all; a ThirdLynx has one only."""
        # Settings first: those that are news are read once more before they are believed
        self._requests: list[Request] = [*(GetConfig(n) for n in channels), GetHubInfo(1),
                                         *(GetCompensation(n) for n in channels)]
        self._tries = 0
        self._waiting: list[Ticket] = []
        self.ends_at = now + INQUIRY_LIMIT_S

    def join(self, ticket: Ticket) -> None:
        """Somebody else wants to know."""
        self._waiting.append(ticket)

    @property
    def request(self) -> Request | None:
        """What to ask next; None once all has been answered, or refused by firmware that does not know it."""
        return self._requests[0] if self._requests else None

    def answered(self, request: Request) -> None:
        """A request of the inquiry has been answered."""
        self._tries = 0
        self._requests.remove(request)

    def failed(self, request: Request, error: Exception) -> None:
        """It was refused, garbled or not answered."""
        self._tries += 1
        if isinstance(error, Refused) or self._tries >= TRIES:
            self.answered(request)

    def end(self, outcome: Outcome, sink: Sink) -> None:
        """Tell those who wait."""
        for ticket in self._waiting:
            sink.resolve(ticket, outcome)
        self._waiting = []

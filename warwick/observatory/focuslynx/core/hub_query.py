# SPDX-License-Identifier: GPL-3.0-or-later
"""What only `hub_info` needs: the reports that polling does not read, each requested once. Pure.

It is the source of the lowest priority: its requests go out only when no focuser needs the link.
"""

from __future__ import annotations

import math

from .commands import Effects, Outcome, PendingCommand
from .reports import GetCompensation, GetConfig, GetHubInfo, HubInfo
from .requests import HubError, Interrupted, NextRequest, Priority, Refused, Reply, Request, never
from .source import Source

QUERY_LIMIT_S = 3.0
"""When the callers get their outcome at the latest."""

FRESH_S = 1.0
"""Answers that are younger than this are not read again: any client may query, and the link is for the motors."""

QUERY_TRIES = 2
"""How often each request is sent at most."""


class HubQuery(Source):
    """The requests of one query, one after the other, and the callers that wait for it."""

    def __init__(self, effects: Effects) -> None:
        self._effects = effects
        self._requests: list[Request] = []
        self._tries = 0
        self._callers: list[PendingCommand] = []
        self._ends_at = math.inf
        self._done_at = -math.inf
        self.hub: HubInfo | None = None   # the latest answer since the port was opened

    def join(self, caller: PendingCommand, answering: tuple[int, ...], now: float) -> None:
        """Add a caller. `answering` are the channels that answer at all; a ThirdLynx has only one."""
        if now - self._done_at < FRESH_S:
            self._effects.resolve(caller, Outcome.DONE)
            return
        if not self._callers:
            # Settings first: new ones are read once more before they are believed
            self._requests = [*(GetConfig(n) for n in answering), GetHubInfo(1),
                              *(GetCompensation(n) for n in answering)]
            self._tries = 0
            self._ends_at = now + QUERY_LIMIT_S
        self._callers.append(caller)

    def next_request(self, now: float) -> NextRequest:
        """The next report, at once."""
        return NextRequest(now, self._requests[0], Priority.QUERY) if self._requests else never(1)

    def answered(self, request: Request, reply: Reply, sent_at: float, now: float) -> None:
        """A report came, whichever source requested it."""
        if isinstance(reply, HubInfo):
            self.hub = reply
        if self._requests and request == self._requests[0]:
            self._go_on(now)

    def failed(self, request: Request, error: HubError, now: float, for_this: bool) -> None:
        """A request was refused by firmware that does not know it, or not answered."""
        if not for_this or not self._requests or request != self._requests[0] or isinstance(error, Interrupted):
            return
        self._tries += 1
        if isinstance(error, Refused) or self._tries >= QUERY_TRIES:
            self._go_on(now)

    def deadline(self, now: float) -> float:
        """When the callers get their outcome at the latest."""
        return self._ends_at

    def tick(self, now: float) -> None:
        """Check the deadline."""
        if now >= self._ends_at:
            self.end(Outcome.FAILED)

    def port_closed(self) -> None:
        """Nothing is known of the hub any more."""
        self.hub = None
        self._done_at = -math.inf
        self.end(Outcome.FAILED)

    def end(self, outcome: Outcome) -> None:
        """Give the callers their outcome."""
        for caller in self._callers:
            self._effects.resolve(caller, outcome)
        self._callers, self._requests, self._ends_at = [], [], math.inf

    def _go_on(self, now: float) -> None:
        self._tries = 0
        del self._requests[0]
        if not self._requests:
            self._done_at = now
            self.end(Outcome.DONE)

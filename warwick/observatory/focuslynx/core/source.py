# SPDX-License-Identifier: GPL-3.0-or-later
"""What the scheduler knows of those who have requests for the hub: the two focusers, and the query of the hub."""

from __future__ import annotations

from typing import Protocol

from .requests import HubError, NextRequest, Reply, Request


class Source(Protocol):
    """One who has requests for the hub. Times are in seconds. What a source does not say for itself has no effect."""

    @property
    def failed_polls(self) -> int:
        """How many of its polls have failed in a row."""
        return 0

    @property
    def expects_silence(self) -> bool:
        """Whether the hub may be silent for a while, because of a request of this source."""
        return False

    def next_request(self, now: float) -> NextRequest:
        """The request that it needs next, and when; `due` is math.inf for none."""

    def sent(self, request: Request, now: float) -> None:
        """A request has gone out for it: its own, or a report that has to come first."""
        return

    def answered(self, request: Request, reply: Reply, sent_at: float, now: float) -> None:
        """A reply came, to a request of any source: reports concern everybody. It went out at `sent_at`."""

    def failed(self, request: Request, error: HubError, now: float, for_this: bool) -> None:
        """An exchange of any source was refused, garbled, not answered, or interrupted; `for_this`: one of its own."""

    def reply_is_lost(self, channel: int) -> None:
        """A later request was answered: replies of a channel that did not come until now will never come."""
        return

    def hub_is_silent(self) -> None:
        """Requests of several sources in a row got no answer at all."""
        return

    def deadline(self, now: float) -> float:
        """When it has something to do next that needs no reply; math.inf for never."""

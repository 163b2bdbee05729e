# SPDX-License-Identifier: GPL-3.0-or-later
"""What a channel can be busy with, as far as all such tasks are alike. Pure: replies and the time are given to it.

A request that sets something in motion or changes something, and that got no proper answer, is never simply repeated:
a report is read first, and only if that shows that nothing happened is there one more try.
"""

from __future__ import annotations

import math
from enum import Enum

from .commands import Outcome, Sink, Ticket
from .reports import CompensationReport, ConfigReport, GetStatus, StatusReport
from .requests import HubError, Refused, Request

BEGIN_LIMIT_S = 6.0
BEGIN_REPLIES = 4
"""A motion whose first status has not come after this, or after so many waits for a reply, is not begun at all."""

TRIES = 2
"""How often a request that changes something is sent at most; the second time only if nothing came of the first."""


class Phase(Enum):
    """Where a task stands."""

    CHECK = 'reading the status before anything is sent'
    SEND = 'the request has to go out'
    DOUBT = 'the request went out but its answer is missing: a report decides'
    WATCH = 'the hub has accepted it'
    FAILED = 'given up; the motor has to be halted'
    ENDED = 'over'


class Operation:
    """Something that somebody waits for on one channel."""

    name = ''

    def __init__(self, channel: int, ticket: Ticket, sink: Sink, now: float) -> None:
        self._channel = channel
        self._ticket = ticket
        self._sink = sink
        self.began = now
        self._due = now
        self._tries = 0
        self._error: HubError | None = None
        self.went_out = False   # the request is on the wire: whether it took effect is for the hub to say
        self.phase = Phase.CHECK
        self.outcome: Outcome | None = None
        self.failure: str | None = None   # why it failed, in words
        self.deadline = math.inf

    def request(self) -> Request:
        """The request that makes it happen."""
        raise NotImplementedError

    def wanted(self) -> tuple[float, Request]:
        """The next exchange this task needs, and when."""
        return self._due, (self.request() if self.phase is Phase.SEND else GetStatus(self._channel))

    def sent(self, now: float) -> None:
        """The request has gone out."""
        self.went_out = True

    def accepted(self, now: float) -> None:
        """The hub answered the request as it should."""
        raise NotImplementedError

    def status(self, status: StatusReport, at: float, now: float) -> None:
        """A status that was asked for at `at`."""
        raise NotImplementedError

    def settings(self, report: ConfigReport | CompensationReport, at: float, now: float) -> None:
        """Settings of the channel that were read, and are believed; they were asked for at `at`."""

    def tick(self, now: float) -> None:
        """Look at the clock."""
        raise NotImplementedError

    def failed_exchange(self, request: Request, error: HubError, now: float) -> None:
        """An exchange of this channel failed: refused, garbled or silent."""
        if not isinstance(self._error, Refused):   # the first refusal is the one that tells most
            self._error = error
        if request == self.request() and self.phase is Phase.SEND:
            self.phase = Phase.DOUBT
            self._due = now

    def finish(self, outcome: Outcome) -> None:
        """Give the caller the outcome, unless that has been done."""
        if self.phase is not Phase.ENDED:
            self.phase = Phase.ENDED
            self.outcome = outcome
            self._sink.resolve(self._ticket, outcome)

    def cancel(self, reason: str) -> None:
        """End as failed, for a reason that lies outside."""
        if self.phase is not Phase.ENDED:
            self._end(Outcome.FAILED, 'warning', f'{self.name} {reason}')

    def _send(self, now: float) -> None:
        self._tries += 1
        self.phase = Phase.SEND
        self._due = now

    def _end(self, outcome: Outcome, level: str, message: str) -> None:
        self._log(level, message)
        if outcome is not Outcome.DONE:
            self.failure = message
        self.finish(outcome)

    def _log(self, level: str, message: str) -> None:
        self._sink.log(level, f'channel {self._channel}: {message}')


class Motion(Operation):
    """A task that sets the motor running: it ends when the motor stands, and not before."""

    @property
    def target_counts(self) -> int:
        """Where the focuser is to end."""
        raise NotImplementedError

    def give_up(self, why: str) -> None:
        """End as failed with a motor that may run: the channel halts it, and the caller is told when it stands."""
        if self.phase not in (Phase.FAILED, Phase.ENDED):
            self.phase = Phase.FAILED
            self.failure = f'{self.name} {why}'
            self._log('error', f'{self.failure}; halting')

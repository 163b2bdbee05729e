# SPDX-License-Identifier: GPL-3.0-or-later
"""The halt of a motor: HALT is sent until a status shows the motor at rest. Pure: replies and the time are given."""

from __future__ import annotations

import math

from .commands import PendingCommand
from .pending_start import START_LIMIT_S, PendingStart
from .reports import GetStatus, StatusReport
from .requests import SHORT_TIMEOUT_S, Halt, NextRequest, Priority, Request

CALLER_LIMIT_S = 3.5
"""How long a caller waits for a motor to be at rest after a halt. Its client gives up after 5 s."""

RESEND_AFTER_HALTED_S = 0.5
"""A motor that still runs so long after the hub answered HALTED gets another HALT."""

RESEND_S = 0.05
"""Pause before a HALT without an answer is repeated while callers wait."""

SLOW_RESEND_S = 1.0
SLOWEST_RESEND_S = 5.0
"""Pauses between HALTs to a hub that ignores them, after the callers have got an answer: each is twice as long as the
one before."""

FIRST_POLL_GAP_S = 0.02
LONGEST_POLL_GAP_S = 0.5
"""Pauses between the polls of a motor that slows down; each is twice as long as the one before."""

HALT_STANDSTILL_S = 0.15
"""How long the position has to stay the same after a HALT where IsMoving = 0 proves nothing yet."""


class MotorHalt:
    """HALT, until a status shows the motor at rest. It goes before everything else that the focuser may need.

    Callers get their outcome after CALLER_LIMIT_S at the latest. The halt itself continues after that: a motor that
    does not stop is never left alone.
    """

    def __init__(self, channel: int, pending: PendingStart, now: float) -> None:
        """`pending`: the request after which the motor may yet begin."""
        self._channel = channel
        self._pending = pending
        self.halt_due = now                     # when HALT has to go out, for the first time or again
        self._poll_due = math.inf
        self._poll_gap_s = FIRST_POLL_GAP_S
        self._resend_at = math.inf
        self._accepted = False                  # the hub has answered the latest HALT with HALTED
        self._unsent = True                     # no HALT has gone out yet for the latest caller
        self._at_rest_since: tuple[float, int] | None = None   # time and counts of the first status at rest
        self._slow_resend_s = SLOW_RESEND_S
        self._sent_since_status = False         # a HALT has gone out since the last status
        self._callers: list[PendingCommand] = []
        self.callers_answered = False           # callers could not wait any longer; HALT is repeated slowly
        self.answer_callers_at = now + CALLER_LIMIT_S
        self.answer_operation_at = now + CALLER_LIMIT_S   # when the caller of the operation gets its outcome, too

    def join(self, caller: PendingCommand, now: float) -> None:
        """Another caller wants the same: HALT goes out again for it."""
        if not self._callers:
            self.answer_callers_at = now + CALLER_LIMIT_S
        self.callers_answered = False
        self._callers.append(caller)
        self._accepted = False
        self.halt_due = now
        self._poll_due = math.inf
        self._unsent = True

    def next_request(self, now: float) -> NextRequest:
        """HALT, or the poll that shows whether the motor is at rest. A HALT that is due goes first."""
        if self.halt_due <= max(now, self._poll_due):
            return NextRequest(self.halt_due, Halt(self._channel),
                               Priority.FIRST_HALT if self._unsent else Priority.HALT)
        return NextRequest(self._poll_due, GetStatus(self._channel),
                           Priority.POLL if self.callers_answered else Priority.SAFETY_POLL,
                           timeout_s=SHORT_TIMEOUT_S)

    def sent(self, request: Request) -> None:
        """A request has gone out."""
        if isinstance(request, Halt):
            self._unsent = False
            self._sent_since_status = True

    def accepted(self, now: float) -> None:
        """The hub answered HALTED, though perhaps to the HALT of an earlier caller: poll the motor."""
        if not self._unsent:
            self._accepted = True
            self._resend_at = now + (self._slow_resend_s if self.callers_answered else RESEND_AFTER_HALTED_S)
            self.halt_due = math.inf
            self._poll_due = now

    def learn_status(self, status: StatusReport, at: float, now: float) -> bool:
        """Take a status that was requested at `at`, after the latest HALT; returns whether the motor is at rest.

        Without HALTED that takes START_LIMIT_S of rest: a motor that was sent a move may be about to begin. With it,
        the motor may still begin if it was not seen to run before: HALT may not cancel a start.
        """
        rested_at = None if self._at_rest_since is None else self._at_rest_since[1]
        begins = rested_at is not None and (status.moving or status.counts != rested_at)
        if status.moving or begins:
            self._at_rest_since = None
            if self._sent_since_status and self.callers_answered:
                self._slow_resend_s = min(2 * self._slow_resend_s, SLOWEST_RESEND_S)
            self._sent_since_status = False
            if begins or now >= self._resend_at:
                self.halt_due = now
            self._poll_again(now)
            return False
        if self._at_rest_since is None:
            self._at_rest_since = at, status.counts
        if at >= self._rest_has_to_last_until(status) and not self._unsent:
            return True
        if self._accepted:
            self._poll_again(now)
        else:
            self._poll_due = math.inf
        return False

    def _rest_has_to_last_until(self, status: StatusReport) -> float:
        assert self._at_rest_since is not None
        since, _ = self._at_rest_since
        if not self._accepted:
            return since + START_LIMIT_S
        if not self._pending.may_begin(since):
            return since + HALT_STANDSTILL_S if self._pending.hides_motion(since) else since
        has_begun = status.counts != self._pending.start_counts   # before the HALT, or just after it
        return min(self._pending.until, since + HALT_STANDSTILL_S) if has_begun else self._pending.until

    def _poll_again(self, now: float) -> None:
        self._poll_due = now + self._poll_gap_s
        self._poll_gap_s = min(self._poll_gap_s * 2, LONGEST_POLL_GAP_S)

    def exchange_failed(self, request: Request, now: float) -> None:
        """HALT, or the poll after it, had no proper answer: poll, and send HALT again."""
        if self._unsent:
            return
        if isinstance(request, Halt):
            self._accepted = False
            self._poll_due = now
            self.halt_due = self._resend_at = now + (self._slow_resend_s if self.callers_answered else RESEND_S)
        else:
            self._slow_resend_s = SLOW_RESEND_S   # it does not ignore HALT, it does not answer at all
            self._poll_due = math.inf
            self.halt_due = min(self.halt_due, now + (SLOW_RESEND_S if self.callers_answered else RESEND_S))

    def take_callers(self) -> list[PendingCommand]:
        """The callers that still wait; each is returned once."""
        callers, self._callers = self._callers, []
        return callers

    def stop_waiting(self) -> list[PendingCommand]:
        """The callers cannot wait any longer; returns them. HALT is still sent, at a slower pace."""
        self.callers_answered = True
        self.answer_callers_at = math.inf
        return self.take_callers()

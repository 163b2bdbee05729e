# SPDX-License-Identifier: GPL-3.0-or-later
"""What move, homing, zero and configure have in common: precondition, send, doubt, watch, deadline, abort.

Pure: replies and the time are given to it. A request that sets something in motion or changes something, and that got
no proper answer, is never simply repeated: a report is read first, and only if that shows that nothing happened is the
request sent once more.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from enum import Enum
from typing import ClassVar, NamedTuple

from .commands import Effects, Outcome, PendingCommand
from .limits import Limits
from .pending_start import START_LIMIT_S
from .reports import CompensationReport, ConfigReport, GetStatus, StatusReport
from .requests import SHORT_TIMEOUT_S, HubError, NextRequest, Priority, Refused, Request, as_reason

BEGIN_LIMIT_S = 6.0
BEGIN_REPLIES = 4
"""A motion does not begin at all when its first status takes longer than this, or than so many serial timeouts."""

STANDSTILL_S = 0.3
"""A focuser at rest away from its target is polled again after this long, before that is believed."""

MAX_TRIES = 2
"""How often a request that changes something is sent at most; the second time only if the first had no effect."""

LATE_TICK_S = 0.25
"""A deadline that is checked so late was missed by a pause of the process: a report is read before the verdict."""


MOVED_BY_OTHERS = 'moved by hand or by another program'


class Phase(Enum):
    """How far an operation has come."""

    CHECK = 'a status is read before anything is sent'
    SEND = 'the request has to go out'
    DOUBT = 'the request went out, but its answer is missing: a report decides'
    WATCH = 'the hub has accepted the request'
    HALTING = 'it has failed, and the motor is halted before the caller gets the outcome'
    ENDED = 'it is over'


class Situation(NamedTuple):
    """What a focuser and its hub are doing when a command comes."""

    usable: bool           # the focuser can be commanded
    answers: bool          # the hub answers for this channel, even if the focuser cannot be used
    only_unhomed: bool     # it cannot be used for the only reason that it has to be homed
    busy: str | None       # a sentence about what we are doing with the focuser; None for nothing
    halting: bool          # a HALT has not been confirmed yet
    elsewhere: str | None  # what the other focuser of the hub is doing, in words; None for nothing


class Preconditions(NamedTuple):
    """What an operation requires before it begins, in the order of the check. A text says what prevents it."""

    available: bool
    unsupported: str | None = None
    within_limits: bool = True
    busy: str | None = None


class Operation(ABC):
    """An operation on one focuser, for a caller that waits. `deadline` is when `tick` has something to do."""

    title: ClassVar[str] = ''   # of its kind, in the reason of a refusal
    name = ''                   # in log lines and reasons
    moves_motor: ClassVar[bool] = False
    needs_rest: bool = True
    needs_probe: ClassVar[bool] = True
    overdue: ClassVar[str] = 'not finished'       # in the reason of one whose time is over
    without_effect: ClassVar[str] = 'not begun'   # in the reason of one whose request had no effect

    def __init__(self, pending: PendingCommand, channel: int, effects: Effects, limits: Limits, now: float,
                 limit_s: float, begin_limit_s: float = math.inf) -> None:
        """It may take `limit_s` from `now` on, and its request has to go out within `begin_limit_s`."""
        self._pending = pending
        self._channel = channel
        self._effects = effects
        self._limits = limits
        self._limit_s = limit_s
        self._due = now
        self._sent_at = math.inf
        self._tries = 0
        self._moves = False     # the last status of the check showed motion
        self._refusals = 0      # of the request; a refused one has no effect
        self._looks_first = False   # the deadline was missed by a pause
        self._error: HubError | None = None
        self.began_at = now
        self.went_out = False   # the request is on the wire: only a report can show whether it took effect
        self.phase = Phase.CHECK
        self.outcome: Outcome | None = None
        self.failure: str | None = None   # why it failed, in words
        self.deadline = now + min(limit_s, begin_limit_s)

    # What differs between operations

    @abstractmethod
    def request(self) -> Request:
        """The request that makes it happen."""

    def explains(self, counts: int) -> bool:
        """Whether the focuser may be at `counts` because of it, after the check."""
        return True

    def _prepare(self, status: StatusReport) -> None:
        """Note what the first status shows; may succeed or abort at once."""
        return

    def _took_effect(self, status: StatusReport) -> bool:
        """Whether a status shows that a request without an answer took effect."""
        return False

    def _follow(self, status: StatusReport, at: float, now: float) -> None:
        """Judge a status that was requested at `at`, after the hub accepted the request."""
        return

    def _may_take_effect_later(self, at: float) -> bool:
        """Whether a request that shows no effect in a report from `at` may have one later."""
        return False

    def _may_repeat(self) -> bool:
        """Whether the request may be sent again, after a report has shown that it had no effect."""
        return self._tries < MAX_TRIES and not self._looks_first

    def learn_settings(self, report: ConfigReport | CompensationReport, at: float, now: float) -> None:
        """Take settings of the channel that are believed and were requested at `at`."""
        return

    # What happens to it

    def next_request(self) -> NextRequest:
        """The request that this operation needs next, and when."""
        if self.phase is Phase.SEND:
            return NextRequest(self._due, self.request(), Priority.CHANGE)
        return NextRequest(self._due, GetStatus(self._channel))

    def sent(self, now: float) -> None:
        """The request has gone out."""
        self.went_out = True
        self._sent_at = now
        self.deadline = self.began_at + self._limit_s

    def accepted(self, now: float) -> None:
        """The hub has answered the request as it should."""
        self._watch(now)

    def learn_status(self, status: StatusReport, at: float, now: float) -> None:
        """Take a status that was requested at `at`."""
        if self.phase is Phase.CHECK:
            self._check(status, now)
        elif self.phase is Phase.DOUBT:
            if self._took_effect(status):
                self._watch(now)
                self._follow(status, at, now)
            elif self._may_take_effect_later(at):
                self._due = at + self._limits.moving_loop_delay_s
            elif self._may_repeat():
                self._send(now)
            else:
                self.abort(f'{self.without_effect}: {self._error}')
        elif self.phase is Phase.WATCH:
            self._follow(status, at, now)
        if self._looks_first and status.moving:   # rest may take a second report
            self._check_time(now)

    def exchange_failed(self, request: Request, error: HubError, now: float) -> None:
        """An exchange of this channel failed: it was refused, garbled or not answered."""
        if not isinstance(self._error, Refused):   # the first refusal explains most
            self._error = as_reason(error, request)
        if self.phase is Phase.SEND and request == self.request():
            self._refusals += isinstance(error, Refused)
            self.phase = Phase.DOUBT
            self._due = now

    def tick(self, now: float) -> None:
        """Check the deadline."""
        if now < self.deadline or self.phase in (Phase.HALTING, Phase.ENDED):
            return
        if now - self.deadline > LATE_TICK_S and self.went_out and not self._looks_first:
            self._looks_first = True
            self._due = now
            self.deadline = now + min(self._limits.serial_timeout_s, SHORT_TIMEOUT_S)
        else:
            self._check_time(now)

    def _check_time(self, now: float) -> None:
        """The time is over."""
        if self.phase in (Phase.HALTING, Phase.ENDED):
            return
        if self.went_out:
            why = f': {self._error}' if self._error and not self.moves_motor else ''
            self.abort(f'{self.overdue} within {self._limit_s:g} s{why}')
        else:
            self.abort(f'not begun: {self._error or self._waits_for()}')

    # How it ends

    def succeed(self, message: str) -> None:
        """End with success."""
        self._log('info', message)
        self._end(Outcome.DONE)

    def abort(self, reason: str, outcome: Outcome = Outcome.FAILED, level: str = 'error', final: bool = False) -> None:
        """End without success.

        A motor that our request may have set in motion is halted first, unless this is `final`: it is halted already,
        or it cannot be reached. Then the operation is in Phase.HALTING, until it is aborted again.
        """
        must_halt = self.moves_motor and self.went_out and self._refusals < self._tries and not final
        if self.phase not in (Phase.HALTING, Phase.ENDED):
            self.failure = f'{self.name} {reason}'
            self._log('error' if must_halt else level, f'{self.failure}; halting' if must_halt else self.failure)
        if not must_halt:
            self._end(outcome)
        elif self.phase is not Phase.ENDED:
            self.phase = Phase.HALTING

    def _end(self, outcome: Outcome) -> None:
        if self.phase is not Phase.ENDED:
            self.phase = Phase.ENDED
            self.outcome = outcome
            self._effects.resolve(self._pending, outcome)

    # The steps in between

    def _check(self, status: StatusReport, now: float) -> None:
        moved_before, self._moves = self._moves, status.moving
        if status.moving and self.needs_rest:
            if moved_before:
                self.abort(f'refused: the focuser is being {MOVED_BY_OTHERS}')
            else:
                self._due = now   # once more: one digit may be misread
        elif self.needs_probe and not self._limits.sees_focuser(status.probe_present):
            self.abort('refused: no focuser is plugged in', Outcome.NOT_AVAILABLE)
        else:
            self._prepare(status)
            if self.phase is Phase.CHECK:
                self._send(now)

    def _send(self, now: float) -> None:
        self._tries += 1
        self.phase = Phase.SEND
        self._due = now

    def _watch(self, now: float) -> None:
        self.phase = Phase.WATCH
        self._due = now

    def _waits_for(self) -> str:
        """What an operation whose request has not gone out is waiting for."""
        return 'the request could not be sent in time'

    def _log(self, level: str, message: str) -> None:
        self._effects.log(level, f'channel {self._channel}: {message}')


class Motion(Operation):
    """An operation that sets the motor running: it ends when the motor is at rest, and not before."""

    moves_motor = True

    def __init__(self, pending: PendingCommand, channel: int, effects: Effects, limits: Limits, now: float,
                 limit_s: float) -> None:
        self._begin_limit_s = max(BEGIN_LIMIT_S, BEGIN_REPLIES * limits.serial_timeout_s)
        super().__init__(pending, channel, effects, limits, now, limit_s, self._begin_limit_s)
        self._begun = False
        self._at_rest_since: tuple[float, int] | None = None   # time and counts of the first status at rest

    @property
    @abstractmethod
    def target_counts(self) -> int:
        """Where the focuser is to end."""

    @abstractmethod
    def _has_begun(self, status: StatusReport) -> bool:
        """Whether a status shows that the motion has begun."""

    def _plan_poll(self, status: StatusReport, at: float) -> None:
        """Plan the next poll of a focuser that moves, or has yet to begin."""
        self._due = at + self._limits.moving_loop_delay_s

    def _may_take_effect_later(self, at: float) -> bool:
        return self._refusals < self._tries and at - self._sent_at <= START_LIMIT_S

    def _not_begun(self) -> None:
        """The motor has not begun within START_LIMIT_S."""
        self.abort(f'not begun within {START_LIMIT_S:g} s')

    def _arrived(self, status: StatusReport, at: float) -> bool:
        """Whether the first status at rest is proof enough; succeeds if it is."""
        return False

    @abstractmethod
    def _judge_rest(self, status: StatusReport, at: float, now: float) -> None:
        """The focuser has been at rest for STANDSTILL_S: succeed or abort."""

    def _follow(self, status: StatusReport, at: float, now: float) -> None:
        has_begun = self._has_begun(status)
        self._begun = self._begun or has_begun
        if status.moving or not self._begun:
            self._at_rest_since = None
            self._plan_poll(status, at)
            if not self._begun and at - self._sent_at > START_LIMIT_S:
                self._not_begun()
        elif not self._arrived(status, at) and self._is_at_rest(status, at):
            self._judge_rest(status, at, now)

    def _is_at_rest(self, status: StatusReport, at: float) -> bool:
        """Whether the focuser has been at rest at one place for STANDSTILL_S; plans another poll if not."""
        if self._at_rest_since is None or self._at_rest_since[1] != status.counts:
            self._at_rest_since = at, status.counts
        self._due = self._at_rest_since[0] + STANDSTILL_S
        return at >= self._due

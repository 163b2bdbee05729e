# SPDX-License-Identifier: GPL-3.0-or-later
"""What a channel can be busy with: a move or a zero. Pure: it is given replies and the time.

A move is over only when the hub says so: it has to begin (in motion, elsewhere, or already there), to end, and to end
on the commanded position. A motion or sync request that got no proper answer is never simply repeated: a status is
read first, and only if that shows that nothing happened is there one more try.
"""

from __future__ import annotations

import math
from enum import Enum

from .arrival import Arrival, History
from .commands import Outcome, Sink, Ticket
from .halting import START_LIMIT_S
from .protocol import GetStatus, HubError, MoveTo, Refused, Request, Status, Sync
from .settings import Scale, Settings

STANDSTILL_S = 0.3
"""A focuser that rests away from its target is looked at again after this long, before that is believed."""

BEGIN_LIMIT_S = 6.0
BEGIN_REPLIES = 4
"""A move whose first status has not come after this, or after so many waits for a reply, is not begun at all."""

ZERO_LIMIT_S = 4.0
"""How long the caller of a zero waits at most, whatever is configured: its client gives up after 5 s."""

TRIES = 2
"""How often a motion or sync request is sent at most; the second time only if nothing came of the first."""


class Phase(Enum):
    """Where a move or a zero stands."""

    CHECK = 'reading the status before anything is sent'
    SEND = 'the request has to go out'
    DOUBT = 'the request went out but its answer is missing: the status decides'
    WATCH = 'the hub has accepted it'
    FAILED = 'given up; the motor has to be halted'
    ENDED = 'over'


class Task:
    """A move or a zero under way on one channel."""

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

    def status(self, status: Status, at: float, now: float) -> None:
        """A status that was asked for at `at`."""
        raise NotImplementedError

    def tick(self, now: float) -> None:
        """Look at the clock."""
        raise NotImplementedError

    def failed_exchange(self, request: Request, error: HubError, now: float) -> None:
        """An exchange of this channel failed: refused, garbled or silent."""
        self._error = error
        if isinstance(request, (MoveTo, Sync)) and self.phase is Phase.SEND:
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
        self.finish(outcome)

    def _log(self, level: str, message: str) -> None:
        self._sink.log(level, f'channel {self._channel}: {message}')


class Move(Task):
    """One absolute move, from the request to the focuser at rest on its target.

    With `offset` the target depends on where the focuser really stands: it is worked out again when the first status
    shows that the focuser was moved from outside.
    """

    def __init__(self, channel: int, ticket: Ticket, sink: Sink, now: float, scale: Scale, steps: int,
                 offset: bool, known_target_steps: int, settings: Settings, history: History) -> None:
        super().__init__(channel, ticket, sink, now)
        self._scale = scale
        self._delta_steps = steps if offset else None
        self.target_steps = known_target_steps + steps if offset else steps
        self._known_target_steps = known_target_steps
        self._move_timeout_s = settings.move_timeout_s
        self._rhythm_s = settings.moving_loop_delay_s
        self._history = history
        self._start_counts = 0
        self._target_before = 0                 # Targ Pos of the hub before the request
        self._hub_target: int | None = None     # Targ Pos of the hub on the way
        self._sent_at = now
        self._begun = False
        self._arrival: Arrival | None = None
        self._resting: tuple[float, int] | None = None
        self.deadline = now + min(self._move_timeout_s, max(BEGIN_LIMIT_S, BEGIN_REPLIES * settings.serial_timeout_s))
        self._log('info', f'move to {self.target_steps:+d} steps requested, from {known_target_steps:+d}')

    @property
    def name(self) -> str:   # type: ignore[override]
        return f'move to {self.target_steps:+d} steps'

    @property
    def target_counts(self) -> int:
        """The commanded position."""
        return self._scale.counts(self.target_steps)

    def request(self) -> Request:
        return MoveTo(self._channel, self.target_counts)

    def sent(self, now: float) -> None:
        self.deadline = self.began + self._move_timeout_s
        super().sent(now)
        self._sent_at = now

    def accepted(self, now: float) -> None:
        if self.phase is Phase.SEND:   # not if it was given up meanwhile
            self._watch(now)

    def status(self, status: Status, at: float, now: float) -> None:
        if self.phase is Phase.CHECK:
            self._check(status, now)
        elif self.phase is Phase.DOUBT:
            self._decide(status, at, now)
        elif self.phase is Phase.WATCH:
            self._follow(status, at, now)

    def tick(self, now: float) -> None:
        if now < self.deadline:
            return
        if not self.went_out:
            self._end(Outcome.FAILED, 'error', f'{self.name} not begun: {self._error or "the hub had no time for it"}')
        elif self.phase is not Phase.FAILED:
            self.give_up(f'not finished within {self._move_timeout_s:g} s')

    def _check(self, status: Status, now: float) -> None:
        if status.moving:
            self._end(Outcome.FAILED, 'error', f'{self.name} refused: the focuser is being moved from outside')
            return
        if not status.probe_present:
            self._end(Outcome.NOT_AVAILABLE, 'error', f'{self.name} refused: no focuser is plugged in')
            return
        standing_steps = self._scale.steps(status.counts)
        if self._delta_steps is not None and standing_steps != self._known_target_steps:
            self.target_steps = standing_steps + self._delta_steps
            if not self._scale.allows(self.target_steps):
                self._end(Outcome.OUTSIDE_LIMITS, 'error', f'{self.name} refused: outside limits')
                return
        if status.counts == self.target_counts:
            self._end(Outcome.DONE, 'info', f'already at {self.target_steps:+d} steps')
            return
        self._start_counts = status.counts
        self._target_before = status.target_counts
        self._send(now)

    def _decide(self, status: Status, at: float, now: float) -> None:
        accepted = status.target_counts == self.target_counts != self._target_before
        if status.moving or accepted or status.counts != self._start_counts:
            self._watch(now)
            self._follow(status, at, now)
        elif self._tries < TRIES:
            self._send(now)
        else:
            self._end(Outcome.FAILED, 'error', f'{self.name} not begun: {self._error}')

    def _watch(self, now: float) -> None:
        self.phase = Phase.WATCH
        self._arrival = Arrival(self._history, self._rhythm_s, self._sent_at, self._start_counts, self.target_counts)
        self._due = max(now, self._arrival.next_look)

    def _follow(self, status: Status, at: float, now: float) -> None:
        assert self._arrival is not None
        arrived = status.counts == self.target_counts
        self._begun = self._begun or status.moving or arrived or status.counts != self._start_counts
        if status.moving or not self._begun:
            self._resting = None
            self._hub_target = status.target_counts
            self._arrival.seen(at, status.counts)
            self._due = self._arrival.next_look
            if not self._begun and at - self._sent_at > START_LIMIT_S:
                self.give_up(f'not begun within {START_LIMIT_S:g} s')
        elif arrived and status.probe_present:
            self._arrival.arrived(at)
            self._end(Outcome.DONE, 'info', f'arrived at {self.target_steps:+d} steps after {at - self._sent_at:.1f} s')
        elif self._resting is None or self._resting[1] != status.counts:
            self._resting = (at, status.counts)
            self._due = at + STANDSTILL_S
        elif at - self._resting[0] < STANDSTILL_S:
            self._due = self._resting[0] + STANDSTILL_S
        else:
            self._explain(status)

    def _explain(self, status: Status) -> None:
        """The focuser rests where it should not: say why, and see to it that it stays at rest."""
        where = f'{self._scale.steps(status.counts):+d} steps'
        if not status.probe_present:
            self.give_up('failed: the focuser was unplugged on the way')
        elif status.target_counts == self.target_counts:
            self.give_up(f'failed: came to rest at {where}, short of the target')
        elif status.counts == self._hub_target:
            self.give_up(f'failed: the hub went to {where} instead')
        elif status.target_counts == status.counts:
            self.give_up(f'failed: halted from outside at {where}')
        else:
            self.give_up(f'failed: moved from outside, now at {where}')

    def give_up(self, why: str) -> None:
        """End as failed with a motor that may run: the channel halts it, and the caller is told when it stands."""
        if self.phase not in (Phase.FAILED, Phase.ENDED):
            self.phase = Phase.FAILED
            self._log('error', f'{self.name} {why}; halting')


class Zero(Task):
    """Declare the present position to be step 0, and see that the hub took it over."""

    name = 'zero'

    def __init__(self, channel: int, ticket: Ticket, sink: Sink, now: float, scale: Scale,
                 home_reset_timeout_s: float) -> None:
        super().__init__(channel, ticket, sink, now)
        self._zero_counts = scale.zero_counts
        self._scale = scale
        self._old_steps = 0
        self._home_reset_timeout_s = min(home_reset_timeout_s, ZERO_LIMIT_S)
        self.deadline = now + self._home_reset_timeout_s
        self._log('info', 'zero requested')

    def request(self) -> Request:
        return Sync(self._channel, self._zero_counts)

    def accepted(self, now: float) -> None:
        self.phase = Phase.WATCH
        self._due = now

    def status(self, status: Status, at: float, now: float) -> None:
        if self.phase is Phase.CHECK:
            if status.moving:
                self._end(Outcome.FAILED, 'error', 'zero refused: the focuser is moving')
            elif not status.probe_present:
                self._end(Outcome.NOT_AVAILABLE, 'error', 'zero refused: no focuser is plugged in')
            else:
                self._old_steps = self._scale.steps(status.counts)
                self._send(now)
        elif status.counts == self._zero_counts and not status.moving and status.probe_present:
            self._end(Outcome.DONE, 'info', f'zero set where {self._old_steps:+d} steps were')
        elif self.phase is Phase.DOUBT and (isinstance(self._error, Refused) or self._tries == TRIES):
            self._end(Outcome.FAILED, 'error', f'zero failed: {self._error}')
        elif self.phase is Phase.DOUBT:
            self._send(now)
        else:
            self._due = at + 0.1

    def tick(self, now: float) -> None:
        if now >= self.deadline and not self.went_out:
            self._end(Outcome.FAILED, 'error', f'zero not begun: {self._error or "the hub had no time for it"}')
        elif now >= self.deadline:
            self._end(Outcome.FAILED, 'error', f'zero not confirmed within {self._home_reset_timeout_s:g} s')

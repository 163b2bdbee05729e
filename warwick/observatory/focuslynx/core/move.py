# SPDX-License-Identifier: GPL-3.0-or-later
"""A move, from the first status to the focuser at rest on its target. Pure: it is given replies and the time.

A move is over only when the hub says so: it has to begin (in motion, elsewhere, or already there), to end, and to end
on the commanded position.
"""

from __future__ import annotations

from .arrival import Arrival, History
from .commands import Outcome, Sink, Ticket
from .halt import START_LIMIT_S
from .limits import Limits, StepScale
from .operation import BEGIN_LIMIT_S, BEGIN_REPLIES, TRIES, Motion, Phase
from .reports import StatusReport
from .requests import DIGITS, FEWER_DIGITS, UNACCEPTABLE_PARAMETER, MoveTo, Refused, Request

STANDSTILL_S = 0.3
"""A focuser that rests away from its target is looked at again after this long, before that is believed."""

MOST_CORRECTED = 20
"""Counts by which a hub that compensates may have moved the focuser on until the look that finds it at rest."""

SETTLE_PACE_S = 0.1
"""How often to look whether a compensation that the hub makes by itself is over, before a move."""


class Move(Motion):
    """One absolute move, from the request to the focuser at rest on its target.

    With `offset` the target depends on where the focuser really stands: it is worked out again when the first status
    shows that the focuser was moved from outside.
    """

    def __init__(self, channel: int, ticket: Ticket, sink: Sink, now: float, scale: StepScale, steps: int,
                 offset: bool, known_target_steps: int, settings: Limits, history: History,
                 compensated: bool = False, digits: int = DIGITS) -> None:
        super().__init__(channel, ticket, sink, now)
        self._settings = settings
        self.digits = digits    # of the target in the request
        self._compensated = compensated   # the hub moves the focuser by itself, by a little, whenever it likes
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
        self._left = False    # seen elsewhere than at the start
        self._arrival: Arrival | None = None
        self._resting: tuple[float, int] | None = None
        self._begin_limit_s = max(BEGIN_LIMIT_S, BEGIN_REPLIES * settings.serial_timeout_s)
        self.deadline = now + min(self._move_timeout_s, self._begin_limit_s)
        self._log('info', f'move to {self.target_steps:+d} steps requested, from {known_target_steps:+d}')

    @property
    def name(self) -> str:   # type: ignore[override]
        return f'move to {self.target_steps:+d} steps'

    @property
    def target_counts(self) -> int:
        """The commanded position."""
        return self._scale.counts(self.target_steps)

    def request(self) -> Request:
        fits = self.target_counts < 10 ** self.digits   # what does not is for the hub to refuse
        return MoveTo(self._channel, self.target_counts, self.digits if fits else DIGITS)

    def rescale(self, scale: StepScale, compensated: bool) -> None:
        """The settings that limit the motion have been read again; what is on its way has its target already."""
        if self.phase not in (Phase.CHECK, Phase.SEND):
            return
        self._scale = scale
        if self._compensated and self._arrival is not None and not compensated:
            self.give_up('failed: somebody has halted it, and the compensation by the hub as well')
        elif self.phase is Phase.SEND and not scale.allows(self.target_steps):
            if self.went_out:
                self.give_up('given up: its target is outside the limits now')
            else:
                self._refuse_target()

    def sent(self, now: float) -> None:
        self.deadline = self.began + self._move_timeout_s
        super().sent(now)
        self._sent_at = now

    def accepted(self, now: float) -> None:
        self._watch(now)

    def status(self, status: StatusReport, at: float, now: float) -> None:
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
            why = self._error or ('the hub is compensating' if self._compensated else 'the hub had no time for it')
            self._end(Outcome.FAILED, 'error', f'{self.name} not begun: {why}')
        elif self.phase is not Phase.FAILED:
            self.give_up(f'not finished within {self._move_timeout_s:g} s')

    def _check(self, status: StatusReport, now: float) -> None:
        if status.moving and self._compensated:
            self._due = now + SETTLE_PACE_S
            self.deadline = min(self.began + self._move_timeout_s, now + self._begin_limit_s)
            return
        if status.moving:
            self._end(Outcome.FAILED, 'error', f'{self.name} refused: the focuser is being moved from outside')
            return
        if not self._settings.sees_focuser(status.probe_present):
            self._end(Outcome.NOT_AVAILABLE, 'error', f'{self.name} refused: no focuser is plugged in')
            return
        standing_steps = self._scale.steps(status.counts)
        if self._delta_steps is not None and standing_steps != self._known_target_steps:
            self.target_steps = standing_steps + self._delta_steps
        if not self._scale.allows(self.target_steps):
            self._refuse_target()
            return
        if status.counts == self.target_counts:
            self._end(Outcome.DONE, 'info', f'already at {self.target_steps:+d} steps')
            return
        self._start_counts = status.counts
        self._target_before = status.target_counts
        self._send(now)

    def _refuse_target(self) -> None:
        self._end(Outcome.OUTSIDE_LIMITS, 'error', f'{self.name} refused: outside limits')

    def _decide(self, status: StatusReport, at: float, now: float) -> None:
        accepted = status.target_counts == self.target_counts != self._target_before
        if status.moving or accepted or status.counts != self._start_counts:
            self._watch(now)
            self._follow(status, at, now)
        elif self._tries < TRIES:
            if self._may_be_too_long:
                self.digits = FEWER_DIGITS
            self._send(now)
        else:
            self._end(Outcome.FAILED, 'error', f'{self.name} not begun: {self._error}')

    @property
    def _may_be_too_long(self) -> bool:
        """Whether the hub may have refused the request only for its length. It did nothing then, in any case."""
        return (isinstance(self._error, Refused) and self._error.number == UNACCEPTABLE_PARAMETER
                and self.target_counts < 10 ** FEWER_DIGITS)

    def _watch(self, now: float) -> None:
        self.phase = Phase.WATCH
        self._arrival = Arrival(self._history, self._rhythm_s, self._sent_at, self._start_counts, self.target_counts)
        self._due = max(now, self._arrival.next_look)

    def _follow(self, status: StatusReport, at: float, now: float) -> None:
        assert self._arrival is not None
        arrived = status.counts == self.target_counts
        self._begun = self._begun or status.moving or arrived or status.counts != self._start_counts
        self._left = self._left or status.counts != self._start_counts
        if status.moving or not self._begun:
            self._resting = None
            self._hub_target = status.target_counts
            self._arrival.seen(at, status.counts)
            self._due = self._arrival.next_look
            if not self._begun and at - self._sent_at > START_LIMIT_S:
                self.give_up(f'not begun within {START_LIMIT_S:g} s')
        elif arrived and self._settings.sees_focuser(status.probe_present):
            self._arrival.arrived(at)
            self._end(Outcome.DONE, 'info', f'arrived at {self.target_steps:+d} steps after {at - self._sent_at:.1f} s')
        elif self._resting is None or self._resting[1] != status.counts:
            self._resting = (at, status.counts)
            self._due = at + STANDSTILL_S
        elif at - self._resting[0] < STANDSTILL_S:
            self._due = self._resting[0] + STANDSTILL_S
        elif self._compensated and self._tries < TRIES and abs(status.counts - self.target_counts) <= MOST_CORRECTED:
            self._send(now)   # it may have been there, and have been moved on since
        else:
            self._explain(status)

    def _explain(self, status: StatusReport) -> None:
        """The focuser rests where it should not: say why, and see to it that it stays at rest."""
        where = f'{self._scale.steps(status.counts):+d} steps'
        if not self._settings.sees_focuser(status.probe_present):
            self.give_up('failed: the focuser was unplugged on the way')
        elif self._left and status.counts == status.target_counts == self._start_counts:
            self.give_up(f'failed: the hub is back at {where}, where it began: after a power cut it does not know how '
                         f'far the focuser had moved')
        elif status.target_counts == self.target_counts:
            self.give_up(f'failed: came to rest at {where}, short of the target')
        elif status.counts == self._hub_target:
            self.give_up(f'failed: the hub went to {where} instead')
        elif status.target_counts == status.counts:
            self.give_up(f'failed: halted from outside at {where}')
        else:
            self.give_up(f'failed: moved from outside, now at {where}')

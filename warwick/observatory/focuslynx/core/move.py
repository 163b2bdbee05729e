# SPDX-License-Identifier: GPL-3.0-or-later
"""A move, from the first status to the focuser at rest on its target. Pure: replies and the time are given to it.

A move is over only when the hub says so: it has to begin (in motion, elsewhere, or already there), to end, and to end
on the commanded position.
"""

from __future__ import annotations

from typing import ClassVar

from .commands import Effects, MoveFocuser, Outcome, PendingCommand
from .focuser_state import UNHOMED, FocuserState
from .limits import Limits
from .operation import MOVED_BY_OTHERS, Motion, Phase, Preconditions, Situation
from .pending_start import START_LIMIT_S
from .poll_timing import Arrival
from .reports import CompensationReport, ConfigReport, StatusReport
from .requests import DIGITS, FEWER_DIGITS, UNACCEPTABLE_PARAMETER, MoveTo, NextRequest, Priority, Refused, Request

CORRECTION_LIMIT = 20
"""Counts by which a hub that compensates may have moved the focuser on before the poll that finds it at rest."""

SETTLE_POLL_S = 0.1
"""How often to poll whether a compensation that the hub makes by itself is over, before a move."""


class Move(Motion):
    """One absolute move, from the request to the focuser at rest on its target.

    With `offset` the target counts from the real position: it is worked out again if the first status shows that the
    focuser was moved since.
    """

    title: ClassVar[str] = 'move'

    @staticmethod
    def preconditions(command: MoveFocuser, state: FocuserState, situation: Situation) -> Preconditions:
        """A move needs a usable focuser, and a target within the limits."""
        scale = state.scale
        if not situation.usable or scale is None:
            return Preconditions(available=False)
        from_steps = scale.steps(state.target_counts) if command.offset else 0
        return Preconditions(True, within_limits=scale.allows(from_steps + command.steps), busy=situation.busy)

    def __init__(self, pending: PendingCommand, command: MoveFocuser, effects: Effects, limits: Limits,
                 state: FocuserState, now: float) -> None:
        assert state.scale is not None
        super().__init__(pending, command.channel, effects, limits, now, limits.move_timeout_s)
        self._state = state
        self._scale = state.scale
        self._digits = state.digits
        self._compensated = state.hub_compensation.is_expected   # the hub moves the focuser, by a little, at any time
        self._known_target_steps = self._scale.steps(state.target_counts)
        self._delta_steps = command.steps if command.offset else None
        self.target_steps = command.steps + (self._known_target_steps if command.offset else 0)
        self._start_counts = 0
        # Targ Pos of the hub before the request, in the last report and in the one before: one may be misread
        self._targets_before = {state.status.target_counts} if state.status else set()
        self._hub_target: int | None = None     # Targ Pos of the hub on the way
        self._target_confirmed = False          # Targ Pos was ours: a later one is of another program, or by hand
        self._suspicion: str | None = None      # why the last report looked as if the hub had misheard the request
        self._last_counts = 0                   # in the last report
        self._motion_seen = False               # in a report before the last one
        self._was_away = False                  # in the last report: elsewhere than at the start
        self._left = False                      # seen elsewhere than at the start, twice in a row
        self._arrival: Arrival | None = None
        self._log('info', f'move to {self.target_steps:+d} steps requested, from {self._known_target_steps:+d}')

    @property
    def name(self) -> str:   # type: ignore[override]
        return f'move to {self.target_steps:+d} steps'

    @property
    def target_counts(self) -> int:
        return self._scale.counts(self.target_steps)

    def request(self) -> Request:
        fits = self.target_counts < 10 ** self._digits   # the hub refuses what does not fit
        return MoveTo(self._channel, self.target_counts, self._digits if fits else DIGITS)

    def learn_settings(self, report: ConfigReport | CompensationReport, at: float, now: float) -> None:
        """Obey the limits that the settings set now; a request that the hub has accepted has its target already."""
        if self.phase not in (Phase.CHECK, Phase.SEND) or self._state.scale is None:
            return
        self._scale = self._state.scale
        if self._compensated and self._arrival is not None and not self._state.hub_compensation.is_expected:
            self.abort('failed: another program has halted it, and the compensation by the hub as well')
        elif self.phase is Phase.SEND and not self._scale.allows(self.target_steps):
            if self.went_out:
                self.abort('given up: its target is outside the limits now')
            else:
                self._refuse_target()

    def learn_status(self, status: StatusReport, at: float, now: float) -> None:
        if self._state.must_be_homed and not status.moving:
            self.abort(f'given up: {UNHOMED}', level='warning')
            return
        if self.phase in (Phase.DOUBT, Phase.WATCH):
            away = status.counts != self._start_counts
            self._left |= away and self._was_away
            self._was_away = away
        super().learn_status(status, at, now)
        self._motion_seen |= status.moving

    def _check(self, status: StatusReport, now: float) -> None:
        if status.moving and self._compensated:
            self._due = now + SETTLE_POLL_S
            self.deadline = min(self.began_at + self._limit_s, now + self._begin_limit_s)
        else:
            super()._check(status, now)

    def _prepare(self, status: StatusReport) -> None:
        present_steps = self._scale.steps(status.counts)
        if self._delta_steps is not None and present_steps != self._known_target_steps:
            self.target_steps = present_steps + self._delta_steps
        self._start_counts = self._last_counts = status.counts
        self._targets_before.add(status.target_counts)
        if not self._scale.allows(self.target_steps):
            self._refuse_target()
        elif status.counts == self.target_counts:
            self.succeed(f'already at {self.target_steps:+d} steps')

    def _refuse_target(self) -> None:
        self.abort('refused: outside limits', Outcome.OUTSIDE_LIMITS)

    def _waits_for(self) -> str:
        return 'the hub is compensating' if self._compensated else super()._waits_for()

    def _took_effect(self, status: StatusReport) -> bool:
        accepted = status.target_counts == self.target_counts and self.target_counts not in self._targets_before
        return status.moving or accepted or self._left

    def _send(self, now: float) -> None:
        # The hub may have refused the request only for its length. It did nothing then, in any case.
        config, error = self._state.config, self._error
        if (config is not None and not config.names_channel and isinstance(error, Refused)
                and error.number == UNACCEPTABLE_PARAMETER and self.target_counts < 10 ** FEWER_DIGITS):
            self._digits = FEWER_DIGITS
        super()._send(now)

    def _watch(self, now: float) -> None:
        super()._watch(now)
        self._arrival = Arrival(self._state.move_history, self._limits.moving_loop_delay_s, self._sent_at,
                                self._start_counts, self.target_counts)
        self._due = max(now, self._arrival.next_poll)

    def _has_begun(self, status: StatusReport) -> bool:
        return status.moving or status.counts == self.target_counts or self._left

    def next_request(self) -> NextRequest:
        wanted = super().next_request()
        return wanted if self._suspicion is None else wanted._replace(priority=Priority.SAFETY_POLL)

    def _follow(self, status: StatusReport, at: float, now: float) -> None:
        suspicion, before = self._suspect(status, at), self._suspicion
        self._suspicion, self._last_counts = suspicion, status.counts
        if suspicion is None:
            super()._follow(status, at, now)
        elif before is None:
            self._due = now   # once more: one digit may be misread
        else:
            self.abort(f'failed: {suspicion}')

    def _suspect(self, status: StatusReport, at: float) -> str | None:
        """What in a report looks as if the hub had misheard the request: its digits have no checksum.

        Once Targ Pos has been ours, another motion is by another program or by hand, and not for us to halt.
        """
        if self._is_possible_target(status.target_counts):
            self._target_confirmed |= status.moving or status.target_counts not in self._targets_before
        if self._target_confirmed or status.homing:
            return None
        steps, before = self._scale.steps(status.counts), self._scale.steps(self._last_counts)
        if status.moving and (steps > max(before, self._scale.max_steps + self._scale.overshoot_out)
                              or steps < min(before, self._scale.min_steps - self._scale.overshoot_in)):
            return f'the hub drives the focuser out of the limits, at {steps:+d} steps'
        follows_late = status.target_counts in self._targets_before and at - self._sent_at <= START_LIMIT_S
        if self._is_possible_target(status.target_counts) or follows_late or status.counts == self.target_counts \
                or status.target_counts == status.counts:
            return None
        return f'the hub goes to {self._scale.steps(status.target_counts):+d} steps instead'

    def _is_possible_target(self, counts: int) -> bool:
        """Whether Targ Pos may be so on the way: the target, or where the hub goes against backlash, or corrects."""
        correction = CORRECTION_LIMIT if self._compensated else 0
        return (-max(self._scale.overshoot_in, correction) <= counts - self.target_counts
                <= max(self._scale.overshoot_out, correction))

    def _plan_poll(self, status: StatusReport, at: float) -> None:
        assert self._arrival is not None
        self._hub_target = status.target_counts
        self._arrival.seen(at, status.counts)
        self._due = self._arrival.next_poll

    def _arrived(self, status: StatusReport, at: float) -> bool:
        if status.counts != self.target_counts or not self._limits.sees_focuser(status.probe_present):
            return False
        assert self._arrival is not None
        if (self._at_rest_since is None and not (self._motion_seen or self._left or self._arrival.is_as_expected)
                and _differ_in_one_digit(self._start_counts, self.target_counts)):
            self._at_rest_since = at, status.counts
            self._due = at   # once more: the focuser may be at its start, and this digit misread
            return True
        self._arrival.arrived(at)
        self._state.digits = self._digits
        self.succeed(f'arrived at {self.target_steps:+d} steps after {at - self._sent_at:.1f} s')
        return True

    def _check_time(self, now: float) -> None:
        at_target = self._at_rest_since is not None and self._at_rest_since[1] == self.target_counts
        if self.phase is Phase.WATCH and at_target and self._last_counts == self.target_counts:
            self.succeed(f'arrived at {self.target_steps:+d} steps')   # the second report was to come yet
        else:
            super()._check_time(now)

    def _judge_rest(self, status: StatusReport, at: float, now: float) -> None:
        if status.counts == self._start_counts and not self._left and at - self._sent_at <= START_LIMIT_S:
            self._due = at + self._limits.moving_loop_delay_s   # it may be about to begin, and a report was misread
            return
        close = abs(status.counts - self.target_counts) <= CORRECTION_LIMIT
        if self._compensated and close and self._may_repeat():
            self._send(now)   # it may have been there, and the hub may have moved it on since
        else:
            # A halt would end the compensation by the hub for the rest of the night, for a few counts
            self.abort(f'failed: {self._why_not_there(status)}', final=self._compensated and close)

    def _why_not_there(self, status: StatusReport) -> str:
        where = f'{self._scale.steps(status.counts):+d} steps'
        if not self._limits.sees_focuser(status.probe_present):
            return 'the focuser was unplugged during the move'
        if self._left and status.counts == status.target_counts == self._start_counts:
            return (f'the hub is back at {where}, where the move began: after a power cut it does not know how far the '
                    f'focuser had moved')
        if status.target_counts == self.target_counts:
            return f'stopped at {where}, short of the target'
        if status.counts == self._hub_target:
            return f'the hub went to {where} instead'
        if status.target_counts == status.counts:
            return f'halted by hand or by another program at {where}'
        return f'{MOVED_BY_OTHERS}, now at {where}'


def _differ_in_one_digit(counts: int, other: int) -> bool:
    """Whether a single misread digit makes one position the other."""
    return sum(a != b for a, b in zip(f'{counts:0{DIGITS}d}', f'{other:0{DIGITS}d}')) == 1

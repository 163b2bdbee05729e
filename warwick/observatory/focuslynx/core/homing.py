# SPDX-License-Identifier: GPL-3.0-or-later
"""Homing: the focuser finds its home switch, then returns to where it was. Pure: replies and the time are given to it.

Only types with a home switch can home (docs/protocol.md, 7.3). IsHoming shows that the search is on, IsHomed whether
the switch was found. The hub sets the counter to Max Pos first, and counts down to 0.
"""

from __future__ import annotations

from typing import ClassVar

from ..hub_settings import has_home_switch, in_words
from .commands import Effects, Home, PendingCommand
from .focuser_state import FocuserState
from .limits import Limits
from .operation import Motion, Preconditions, Situation
from .pending_start import START_LIMIT_S
from .poll_timing import FASTEST
from .reports import StatusReport
from .requests import Request, SeekHome

UNSEEN_LIMIT_S = 0.05
"""How long a search may have taken of which no status shows anything, because the focuser was at the switch."""


class Homing(Motion):
    """One search for the home switch, from the first status to the focuser at rest with its home known."""

    title: ClassVar[str] = 'homing'
    name = 'homing'

    @staticmethod
    def preconditions(command: Home, state: FocuserState, situation: Situation) -> Preconditions:
        """Homing needs a focuser with a home switch, at rest. That it is not homed yet does not matter."""
        config = state.config
        if config is None or state.scale is None or not (situation.usable or situation.only_unhomed):
            return Preconditions(available=False)
        unsupported = None if has_home_switch(config.device_type) else \
            f'the focuser ({config.device_type}, {in_words(config.device_type)}) has no home switch: use zero'
        return Preconditions(True, unsupported, busy=situation.busy)

    def __init__(self, pending: PendingCommand, command: Home, effects: Effects, limits: Limits, state: FocuserState,
                 now: float) -> None:
        assert state.scale is not None and state.status is not None
        super().__init__(pending, command.channel, effects, limits, now, limits.home_timeout_s)
        self._scale = state.scale
        self._target_counts = state.status.counts
        self._accepted = False
        self._was_homed: bool | None = None
        self._start_counts = 0
        self._seen_at: float | None = None   # when the first status after the request was requested
        self._homed: bool | None = None   # in the last status
        self._log('info', 'homing requested')

    @property
    def target_counts(self) -> int:
        return self._target_counts

    def request(self) -> Request:
        return SeekHome(self._channel)

    def accepted(self, now: float) -> None:
        self._accepted = True
        super().accepted(now)

    def _prepare(self, status: StatusReport) -> None:
        self._was_homed = status.homed
        self._start_counts = status.counts

    def _took_effect(self, status: StatusReport) -> bool:
        return status.homing or self._has_begun(status)

    def _has_begun(self, status: StatusReport) -> bool:
        changed = None not in (self._was_homed, status.homed) and status.homed != self._was_homed
        return status.moving or changed or status.counts != self._start_counts

    def _follow(self, status: StatusReport, at: float, now: float) -> None:
        self._seen_at = at if self._seen_at is None else self._seen_at
        self._target_counts = status.target_counts
        self._homed = status.homed
        super()._follow(status, at, now)

    def _not_begun(self) -> None:
        assert self._seen_at is not None
        unseen_s = min(self._seen_at - self._sent_at, UNSEEN_LIMIT_S)
        if self._accepted and self._homed and 2 * self._start_counts <= FASTEST * unseen_s:
            self._begun = True   # it was at the switch: the way there and back was over before the first poll
        else:
            super()._not_begun()

    def _judge_rest(self, status: StatusReport, at: float, now: float) -> None:
        if not self._limits.sees_focuser(status.probe_present):
            self.abort('failed: the focuser was unplugged during the search')
        elif status.homed:
            where = f'{self._scale.steps(status.counts):+d} steps'
            self.succeed(f'homed, at {where} after {at - self._sent_at:.1f} s')
        elif at - self._sent_at <= START_LIMIT_S:
            self._due = at + self._limits.moving_loop_delay_s   # the motor may be about to begin
        else:
            self.abort('failed: the home switch was not found, or another program has halted the search')

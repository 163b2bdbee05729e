# SPDX-License-Identifier: GPL-3.0-or-later
"""A zero: the present position is declared to be step 0. Pure: replies and the time are given to it."""

from __future__ import annotations

from typing import ClassVar

from ..hub_settings import has_home_switch, in_words
from .commands import Effects, PendingCommand, SetZero
from .focuser_state import FocuserState
from .limits import Limits
from .operation import Operation, Preconditions, Situation
from .reports import StatusReport
from .requests import Refused, Request, Sync

ZERO_LIMIT_S = 4.0
"""How long the caller of a zero waits at most, whatever is configured: its client gives up after 5 s."""

CONFIRM_POLL_S = 0.1
"""How often to poll whether the hub shows the new position."""


class Zero(Operation):
    """Declare the present position to be step 0, and see that the hub shows it."""

    title: ClassVar[str] = 'zero'
    name = 'zero'
    overdue: ClassVar[str] = 'not confirmed'
    without_effect: ClassVar[str] = 'failed'

    @staticmethod
    def preconditions(command: SetZero, state: FocuserState, situation: Situation) -> Preconditions:
        """A zero needs a usable focuser without a home switch, at rest."""
        config = state.config
        if config is None or not situation.usable:
            return Preconditions(available=False)
        unsupported = None if not has_home_switch(config.device_type) else \
            f'the focuser ({config.device_type}, {in_words(config.device_type)}) finds its zero by its home switch: ' \
            f'use home'
        return Preconditions(True, unsupported, busy=situation.busy)

    def __init__(self, pending: PendingCommand, command: SetZero, effects: Effects, limits: Limits,
                 state: FocuserState, now: float) -> None:
        assert state.scale is not None
        super().__init__(pending, command.channel, effects, limits, now, min(limits.home_reset_timeout_s, ZERO_LIMIT_S))
        self._scale = state.scale
        self._old_counts = 0
        self._log('info', 'zero requested')

    def request(self) -> Request:
        return Sync(self._channel, self._scale.zero_counts)

    def _prepare(self, status: StatusReport) -> None:
        self._old_counts = status.counts

    def explains(self, counts: int) -> bool:
        return counts in (self._old_counts, self._scale.zero_counts)

    def _took_effect(self, status: StatusReport) -> bool:
        return status.counts == self._scale.zero_counts and not status.moving

    def _may_repeat(self) -> bool:
        return super()._may_repeat() and not isinstance(self._error, Refused)

    def _follow(self, status: StatusReport, at: float, now: float) -> None:
        if self._took_effect(status):
            self.succeed(f'zero set; this position was {self._scale.steps(self._old_counts):+d} steps before')
        else:
            self._due = at + CONFIRM_POLL_S

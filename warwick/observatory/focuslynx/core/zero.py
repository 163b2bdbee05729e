# SPDX-License-Identifier: GPL-3.0-or-later
"""A zero: the present position is declared to be step 0. Pure: it is given replies and the time."""

from __future__ import annotations

from .commands import Outcome, Sink, Ticket
from .limits import Limits, StepScale
from .operation import TRIES, Operation, Phase
from .reports import StatusReport
from .requests import Refused, Request, Sync

ZERO_LIMIT_S = 4.0
"""How long the caller of a zero waits at most, whatever is configured: its client gives up after 5 s."""


class Zero(Operation):
    """Declare the present position to be step 0, and see that the hub took it over."""

    name = 'zero'

    def __init__(self, channel: int, ticket: Ticket, sink: Sink, now: float, scale: StepScale,
                 settings: Limits) -> None:
        super().__init__(channel, ticket, sink, now)
        self._settings = settings
        self._zero_counts = scale.zero_counts
        self._scale = scale
        self._old_steps = 0
        self._home_reset_timeout_s = min(settings.home_reset_timeout_s, ZERO_LIMIT_S)
        self.deadline = now + self._home_reset_timeout_s
        self._log('info', 'zero requested')

    def request(self) -> Request:
        return Sync(self._channel, self._zero_counts)

    def accepted(self, now: float) -> None:
        self.phase = Phase.WATCH
        self._due = now

    def status(self, status: StatusReport, at: float, now: float) -> None:
        if self.phase is Phase.CHECK:
            if status.moving:
                self._end(Outcome.FAILED, 'error', 'zero refused: the focuser is moving')
            elif not self._settings.sees_focuser(status.probe_present):
                self._end(Outcome.NOT_AVAILABLE, 'error', 'zero refused: no focuser is plugged in')
            else:
                self._old_steps = self._scale.steps(status.counts)
                self._send(now)
        elif status.counts == self._zero_counts and not status.moving:
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

# SPDX-License-Identifier: GPL-3.0-or-later
"""Homing: the focuser seeks its home switch, then returns to where it was. Pure: replies and the time are given to it.

Only types with a home switch can (docs/protocol.md, 7.3). The hub says by IsHoming that the search is on, and by
IsHomed whether the switch was found. The counter is set to Max Pos first, and runs down to 0.
"""

from __future__ import annotations

from .commands import Outcome, Sink, Ticket
from .halt import START_LIMIT_S
from .limits import Limits, StepScale
from .move import STANDSTILL_S
from .operation import BEGIN_LIMIT_S, BEGIN_REPLIES, TRIES, Motion, Phase
from .reports import StatusReport
from .requests import Request, SeekHome


class Homing(Motion):
    """One search for the home switch, from the first status to the focuser at rest with its home known."""

    name = 'homing'

    def __init__(self, channel: int, ticket: Ticket, sink: Sink, now: float, scale: StepScale, settings: Limits,
                 counts: int) -> None:
        super().__init__(channel, ticket, sink, now)
        self._scale = scale
        self._settings = settings
        self._target_counts = counts
        self._sent_at = now
        self._accepted = False
        self._begun = False
        self._was_homed = False
        self._resting_since: float | None = None
        begin_limit_s = max(BEGIN_LIMIT_S, BEGIN_REPLIES * settings.serial_timeout_s)
        self.deadline = now + min(settings.home_timeout_s, begin_limit_s)
        self._log('info', 'homing requested')

    @property
    def target_counts(self) -> int:
        return self._target_counts

    def request(self) -> Request:
        return SeekHome(self._channel)

    def sent(self, now: float) -> None:
        super().sent(now)
        self._sent_at = now
        self.deadline = self.began + self._settings.home_timeout_s

    def accepted(self, now: float) -> None:
        self._accepted = True
        self.phase = Phase.WATCH
        self._due = now

    def status(self, status: StatusReport, at: float, now: float) -> None:
        if self.phase is Phase.CHECK:
            self._check(status, now)
        elif self.phase is Phase.DOUBT:
            if status.homing or status.moving or bool(status.homed) != self._was_homed:
                self.phase = Phase.WATCH
                self._follow(status, at)
            elif self._tries < TRIES:
                self._send(now)
            else:
                self._end(Outcome.FAILED, 'error', f'homing not begun: {self._error}')
        elif self.phase is Phase.WATCH:
            self._follow(status, at)

    def tick(self, now: float) -> None:
        if now < self.deadline:
            return
        if not self.went_out:
            self._end(Outcome.FAILED, 'error', f'homing not begun: {self._error or "the hub had no time for it"}')
        elif self.phase is not Phase.FAILED:
            self.give_up(f'not finished within {self._settings.home_timeout_s:g} s')

    def _check(self, status: StatusReport, now: float) -> None:
        if status.moving:
            self._end(Outcome.FAILED, 'error', 'homing refused: the focuser is moving')
        elif not self._settings.sees_focuser(status.probe_present):
            self._end(Outcome.NOT_AVAILABLE, 'error', 'homing refused: no focuser is plugged in')
        else:
            self._was_homed = bool(status.homed)
            self._send(now)

    def _follow(self, status: StatusReport, at: float) -> None:
        self._target_counts = status.target_counts
        self._begun = self._begun or status.moving or bool(status.homed) != self._was_homed
        if status.moving or not self._begun:
            self._resting_since = None
            self._due = at + self._settings.moving_loop_delay_s
            if not self._begun and at - self._sent_at > START_LIMIT_S:
                if self._accepted and status.homed:
                    self._begun = True   # it stood at the switch: the way there and back was over before the first look
                else:
                    self.give_up(f'not begun within {START_LIMIT_S:g} s')
        elif self._resting_since is None:
            self._resting_since = at
            self._due = at + STANDSTILL_S
        elif at - self._resting_since < STANDSTILL_S:
            self._due = self._resting_since + STANDSTILL_S
        elif not self._settings.sees_focuser(status.probe_present):
            self.give_up('failed: the focuser was unplugged on the way')
        elif status.homed:
            where = f'{self._scale.steps(status.counts):+d} steps'
            self._end(Outcome.DONE, 'info', f'homed, at {where} after {at - self._sent_at:.1f} s')
        else:
            self.give_up('failed: the home switch was not found, or somebody has halted the search')

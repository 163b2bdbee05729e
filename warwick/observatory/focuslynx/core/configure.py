# SPDX-License-Identifier: GPL-3.0-or-later
"""A change of one of the hub's settings, confirmed by reading it back. Pure: replies and the time are given to it."""

from __future__ import annotations

from typing import ClassVar

from ..hub_settings import Value, shown
from .commands import Configure, Effects, Outcome, PendingCommand
from .focuser_state import FocuserState
from .limits import Limits
from .operation import Operation, Phase, Preconditions, Situation
from .reports import CompensationReport, ConfigReport, GetCompensation, GetConfig, StatusReport, setting_value
from .requests import HubError, NextRequest, Refused, Request, SetSetting

CHANGE_LIMIT_S = 4.0
"""How long the caller of a change waits at most: its client gives up after 5 s."""

RESTART_LIMIT_S = 15.0
"""The same for a change that restarts a channel, which can then be silent for 10 s (docs/protocol.md, 8.3)."""

SHOWN_LIMIT_S = 3.0
"""How long the new value may be known before the status that follows it. A stop may come between, and with it another
program that changes the setting again."""

READ_AGAIN_S = 0.1
READ_AGAIN_AFTER_RESTART_S = 1.0
"""How long to wait before a value that is not there yet is read again."""


class ChangeSetting(Operation):
    """Set one of the hub's settings, and see that the hub has taken it."""

    needs_probe: ClassVar[bool] = False
    overdue: ClassVar[str] = 'not confirmed by the hub'

    @staticmethod
    def preconditions(command: Configure, state: FocuserState, situation: Situation) -> Preconditions:
        """A change needs a hub that answers; the focuser may be in error, since the change may be the remedy."""
        busy = situation.busy or ('the channel is being halted' if situation.halting else None)
        if command.setting.restarts and situation.elsewhere is not None and busy is None:
            busy = f'it may restart the hub, and the other channel is {situation.elsewhere}'
        return Preconditions(state.config is not None and situation.answers, busy=busy)

    def __init__(self, pending: PendingCommand, command: Configure, effects: Effects, limits: Limits,
                 state: FocuserState, now: float) -> None:
        assert state.config is not None
        self._setting = command.setting
        limit_s = RESTART_LIMIT_S if command.setting.restarts else CHANGE_LIMIT_S
        super().__init__(pending, command.channel, effects, limits, now, limit_s)
        self._value = command.value
        self._state = state
        self._before = state.config
        self._shown_at: float | None = None   # when the hub showed the new value
        self.needs_rest = command.setting.at_rest
        self.name = f'{command.setting.key} = {shown(command.value)}'
        self._log('info', f'{self.name} requested')

    @property
    def key(self) -> str:
        """The key of the setting."""
        return self._setting.key

    @property
    def may_silence_hub(self) -> bool:
        """Whether the request has restarted the channel, which may then be silent for a while."""
        return self._setting.restarts and self.went_out

    def request(self) -> Request:
        setting = self._setting
        return SetSetting(self._channel, setting.setter(self._value), setting.of_hub, setting.restarts)

    def next_request(self) -> NextRequest:
        if self.phase in (Phase.DOUBT, Phase.WATCH) and self._shown_at is None:
            if self._setting.shown_by == 'config':
                return NextRequest(self._due, GetConfig(self._channel))
            if self._setting.shown_by == 'compensation':
                return NextRequest(self._due, GetCompensation(self._channel))
        return super().next_request()

    def exchange_failed(self, request: Request, error: HubError, now: float) -> None:
        super().exchange_failed(request, error, now)
        if isinstance(error, Refused) and request in (self.request(), self.next_request().request):
            self.abort(f'failed: {error}')
        elif self.phase in (Phase.DOUBT, Phase.WATCH):
            self._due = now + (READ_AGAIN_AFTER_RESTART_S if self.may_silence_hub else 0.0)

    def read_again_later(self, now: float) -> None:
        """The settings differ in each report: do not read them without a pause."""
        self._due = now + READ_AGAIN_S

    def learn_status(self, status: StatusReport, at: float, now: float) -> None:
        if self.phase is Phase.CHECK:
            self._check(status, now)
        elif self._shown_at is not None and at - self._shown_at > SHOWN_LIMIT_S:
            self._shown_at, self._due = None, now   # read it again
        elif self._shown_at is not None and at >= self._shown_at:
            self.succeed(f'{self.name} set, at {status.counts} counts now')
        elif self._setting.shown_by == 'status':
            self._compare(status.reverse, at, now)

    def learn_settings(self, report: ConfigReport | CompensationReport, at: float, now: float) -> None:
        shown_by = 'config' if isinstance(report, ConfigReport) else 'compensation'
        if shown_by != self._setting.shown_by or self._shown_at is not None:
            return
        if not self._proves_nothing(report, at):
            self._compare(setting_value(self.key, report), at, now)
        elif self._may_repeat():
            self._send(now)
        else:
            self.abort(f'not confirmed: the settings are unchanged; {self._error}')

    def explains(self, counts: int) -> bool:
        return False

    def _prepare(self, status: StatusReport) -> None:
        if self.key == 'max_position' and status.counts > int(self._value):
            self.abort(f'refused: the focuser is beyond that, at {status.counts} counts')

    def _may_repeat(self) -> bool:
        return super()._may_repeat() and not self._setting.dangerous

    def _watch(self, now: float) -> None:
        super()._watch(now)
        self._due = now + (READ_AGAIN_AFTER_RESTART_S if self.may_silence_hub else 0.0)

    def _proves_nothing(self, report: ConfigReport | CompensationReport, at: float) -> bool:
        """Whether a report that shows the value would be the same without the change, whose answer is missing.

        Some firmware shows compensation as on although a HALT has ended it.
        """
        if self.phase is not Phase.DOUBT or at < self._sent_at or not isinstance(report, ConfigReport):
            return False
        if self.key == 'reset':
            return report == self._before
        return self.key == 'temperature_compensation' and report.compensating and self._before.compensating

    def _compare(self, value: Value | None, at: float, now: float) -> None:
        """Judge a value from a report that was requested at `at`; a report from before the change proves nothing."""
        if self.phase not in (Phase.DOUBT, Phase.WATCH) or at < self._sent_at:
            return
        if value == self._value and self._setting.restarts:
            self._shown_at = self._due = now   # a status from then on shows where the focuser is
        elif value == self._value:
            self.succeed(f'{self.name} set')
        elif self.phase is Phase.DOUBT and self._may_repeat():
            self._send(now)
        elif value is None:
            self.abort('failed: this firmware does not show it')
        else:
            self._due = now + (READ_AGAIN_AFTER_RESTART_S if self.may_silence_hub else READ_AGAIN_S)

    def _end(self, outcome: Outcome) -> None:
        if self.key == 'temperature_compensation' and outcome is Outcome.DONE:
            self._state.hub_compensation.switched()
        super()._end(outcome)

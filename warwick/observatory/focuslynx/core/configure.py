# SPDX-License-Identifier: GPL-3.0-or-later
"""A change of one of the hub's settings, confirmed by reading it back. Pure: replies and the time are given to it."""

from __future__ import annotations

import math

from ..hub_settings import SLOTS, HubSetting, Value, shown
from .commands import Outcome, Sink, Ticket
from .operation import TRIES, Operation, Phase
from .reports import CompensationReport, ConfigReport, GetCompensation, GetConfig, GetStatus, StatusReport
from .requests import HubError, Refused, Request, SetSetting

CHANGE_LIMIT_S = 4.0
"""How long the caller of a change waits at most: its client gives up after 5 s."""

RESTART_LIMIT_S = 15.0
"""The same for what restarts a channel, which can be silent for 10 s after it."""

AGAIN_S = 0.1
AGAIN_AFTER_RESTART_S = 1.0
"""How long to wait before reading back once more what was not there yet."""

FACTORY_TYPE = 'ZZ'


class ChangeSetting(Operation):
    """Set one of the hub's settings, and see that the hub has taken it."""

    def __init__(self, channel: int, ticket: Ticket, sink: Sink, now: float, setting: HubSetting, value: Value,
                 before: ConfigReport) -> None:
        super().__init__(channel, ticket, sink, now)
        self._setting = setting
        self._value = value
        self._before = before
        self._shown_at: float | None = None   # when the hub showed the value
        self._sent_at = math.inf
        self.name = f'{setting.key} = {shown(value)}'
        self._limit_s = RESTART_LIMIT_S if setting.restarts else CHANGE_LIMIT_S
        self.deadline = now + self._limit_s
        self._log('info', f'{self.name} requested')

    @property
    def restarts(self) -> bool:
        """Whether the channel is allowed to be silent for a while."""
        return self._setting.restarts and self.went_out

    @property
    def key(self) -> str:
        """The key of the setting."""
        return self._setting.key

    def request(self) -> Request:
        return SetSetting(self._channel, self._setting.setter(self._value), self._setting.of_hub)

    def wanted(self) -> tuple[float, Request]:
        if self.phase in (Phase.DOUBT, Phase.WATCH) and self._shown_at is None:
            kind = {'config': GetConfig, 'compensation': GetCompensation, 'status': GetStatus}[self._setting.shown_by]
            return self._due, kind(self._channel)
        return super().wanted()

    def sent(self, now: float) -> None:
        super().sent(now)
        self._sent_at = now

    def accepted(self, now: float) -> None:
        self.phase = Phase.WATCH
        self._due = now + (AGAIN_AFTER_RESTART_S if self.restarts else 0.0)

    def failed_exchange(self, request: Request, error: HubError, now: float) -> None:
        super().failed_exchange(request, error, now)
        if isinstance(error, Refused) and request in (self.request(), self.wanted()[1]):
            self._end(Outcome.FAILED, 'error', f'{self.name} failed: {error}')
        elif self.phase in (Phase.DOUBT, Phase.WATCH):
            self._due = now + (AGAIN_AFTER_RESTART_S if self.restarts else 0.0)

    def status(self, status: StatusReport, at: float, now: float) -> None:
        if self.phase is not Phase.CHECK:
            if self._shown_at is not None and at >= self._shown_at:
                self._end(Outcome.DONE, 'info', f'{self.name} set, at {status.counts} counts now')
            elif self._setting.shown_by == 'status':
                self._compare(status.reverse, at, now)
        elif status.moving and self._setting.at_rest:
            self._end(Outcome.FAILED, 'error', f'{self.name} refused: the focuser is moving')
        elif self.key == 'max_position' and status.counts > int(self._value):
            self._end(Outcome.FAILED, 'error', f'{self.name} refused: the focuser is beyond that, at {status.counts} '
                                               f'counts')
        else:
            self._send(now)

    def settings(self, report: ConfigReport | CompensationReport, at: float, now: float) -> None:
        shown_by = 'config' if isinstance(report, ConfigReport) else 'compensation'
        if shown_by != self._setting.shown_by or self._shown_at is not None:
            return
        if not self._proves_nothing(report, at):
            self._compare(present(self.key, report), at, now)
        elif self._tries < TRIES and not self._setting.dangerous:
            self._send(now)
        else:
            self._end(Outcome.FAILED, 'error', f'{self.name} not confirmed: all is set as before; {self._error}')

    def tick(self, now: float) -> None:
        if now >= self.deadline:
            what = 'not confirmed by the hub' if self.went_out else 'not begun'
            why = f': {self._error}' if self._error else ''
            self._end(Outcome.FAILED, 'error', f'{self.name} {what} within {self._limit_s:g} s{why}')

    def _proves_nothing(self, report: ConfigReport | CompensationReport, at: float) -> bool:
        """Whether a report would be the same without the change, whose answer is missing, though it shows the value.

        Compensation that a HALT has ended is shown as on all the same by some firmware.
        """
        if self.phase is not Phase.DOUBT or at < self._sent_at or not isinstance(report, ConfigReport):
            return False
        if self.key == 'reset':
            return report == self._before
        return self.key == 'temperature_compensation' and report.compensating and self._before.compensating

    def _compare(self, value: Value | None, at: float, now: float) -> None:
        """A report that was asked for at `at` shows the value; one from before the change says nothing."""
        if self.phase not in (Phase.DOUBT, Phase.WATCH) or at < self._sent_at:
            return
        if value == self._value and self._setting.restarts:
            self._shown_at = self._due = now   # a status from then on says where it is
        elif value == self._value:
            self._end(Outcome.DONE, 'info', f'{self.name} set')
        elif self.phase is Phase.DOUBT and self._tries < TRIES and not self._setting.dangerous:
            self._send(now)
        elif value is None:
            self._end(Outcome.FAILED, 'error', f'{self.name} failed: this firmware does not show it')
        else:
            self._due = now + (AGAIN_AFTER_RESTART_S if self.restarts else AGAIN_S)


def present(key: str, report: ConfigReport | CompensationReport | StatusReport) -> Value | None:
    """The value of a setting in a report that shows it; None if it is not known."""
    slot = SLOTS.find(key[-1].upper())
    if isinstance(report, StatusReport):
        return report.reverse
    if isinstance(report, CompensationReport):
        return report.step_size if key == 'step_size' else report.intercepts[slot]
    if key.startswith('coefficient_'):
        return report.coefficients[slot]
    factory = report.device_type == FACTORY_TYPE and not report.interfering
    values: dict[str, Value | None] = {
        'nickname': report.nickname, 'backlash': report.backlash, 'backlash_steps': report.backlash_steps,
        'temperature_compensation': report.compensating, 'compensation_at_start': report.compensates_at_start,
        'compensation_mode': report.slot, 'led': report.led, 'max_position': report.max_counts,
        'device_type': report.device_type, 'reset': 'defaults' if factory else 'other settings',
    }
    return values[key]

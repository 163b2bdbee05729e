# SPDX-License-Identifier: GPL-3.0-or-later
"""How it stands with one focuser: whether it can be used, why not, and what is published of it.

Pure: it is given the time. Positions inside are the hub's counts; the view that leaves is in signed steps.
"""

from __future__ import annotations

import math
from dataclasses import replace

from ..constants import FocuserStatus
from ..hub_settings import has_home_switch
from .commands import Sink
from .focuser_state import FocuserState
from .limits import Limits
from .operation import Motion
from .reports import StatusReport
from .requests import HubError
from .snapshot import FocuserSnapshot, Reports

NO_FOCUSER = 'ZZ'

OFFLINE = 'not connected'

RESTART_SETTLES_S = 10.0
"""How long after a change that restarts the hub its motors may begin to run: docs/protocol.md, 8.3."""

UNHOMED = 'the focuser has to be homed, its position is not known: IsHomed = 0'


class Standing:
    """The judgement on a focuser, from what is known of it and what our own commands are doing to it."""

    def __init__(self, number: int, settings: Limits, sink: Sink, unattended: bool) -> None:
        self.number = number
        self.failures = 0                             # exchanges that failed in a row
        self._settings = settings
        self._sink = sink
        self._known = FocuserState(settings)
        self._unattended = unattended                 # one of ours lost its supervision and may still run
        self._restarted_at: float | None = None       # a change of ours, which may set the motor running
        self._failure: HubError | None = None         # of the last exchange, if it failed
        self._failure_told: str | None = None         # why the last command that has ended failed
        self._logged_trouble: str | None = None
        self._down: str | None = OFFLINE              # why there is no line to the hub, None while there is one
        self._down_status = FocuserStatus.Disabled

    @property
    def _motion(self) -> Motion | None:
        """The motion that we have begun, if one is under way."""
        raise NotImplementedError

    def view(self, now: float) -> FocuserSnapshot:
        """The present state, to be published."""
        status, trouble = self._judge(now)
        known = self._known
        config, report, scale = known.config, known.status, known.scale
        if config is None or report is None or scale is None:
            return FocuserSnapshot(status=status, as_of=now, error=trouble, failure=self._failure_told)
        if self._silent(now):
            return FocuserSnapshot(status=status, as_of=now, error=trouble, failure=self._failure_told,
                               nickname=config.nickname, device_type=config.device_type)
        certain = FocuserSnapshot(
            status=status,
            as_of=known.status_at,
            good_until=math.inf if self._commanded else self._good_until,
            error=trouble,
            failure=self._failure_told,
            nickname=config.nickname,
            device_type=config.device_type,
            homed=report.homed if has_home_switch(config.device_type) else None,
            compensating=known.hub_compensation.is_on,
            reports=Reports(config, report, known.compensation))
        if status < FocuserStatus.Idle:
            return certain
        target_counts, requested_counts = known.target_counts, known.requested_counts
        if self._motion is not None:
            target_counts = requested_counts = self._motion.target_counts
        return replace(
            certain,
            temperature_c=report.temperature_c,
            current_steps=scale.steps(report.counts),
            target_steps=scale.steps(target_counts),
            requested_steps=scale.steps(requested_counts),
            min_steps=scale.min_steps,
            max_steps=scale.max_steps)

    def usable(self, now: float) -> bool:
        """Whether the focuser answers and can be commanded."""
        return self._judge(now)[0] >= FocuserStatus.Idle

    def answered_since(self, when: float) -> bool:
        """Whether a status was asked for and answered since `when`."""
        return self._known.config is not None and self._known.status_at >= when

    def _judge(self, now: float) -> tuple[int, str | None]:
        """FocuserStatus and, below Idle, the reason."""
        if self._down is not None:
            return self._down_status, self._down
        if self._known.config is None or self._known.status is None or self._silent(now):
            if self._failure is not None:
                return FocuserStatus.Error, str(self._failure)
            if self._known.config is None or self._known.status is None:
                return FocuserStatus.Initializing, 'waiting for the first report of the hub'
            return FocuserStatus.Error, 'there is no fresh report from the hub'
        if self._commanded or self._motion is not None:
            return FocuserStatus.Moving, None
        if self._known.interfering:
            return FocuserStatus.Error, '; '.join(self._known.interfering)
        if not self._settings.sees_focuser(self._known.status.probe_present):
            return FocuserStatus.Disconnected, 'no focuser is plugged into this channel (no temperature probe)'
        if self._known.config.device_type == NO_FOCUSER and not self._settings.temperature_probe_required:
            return FocuserStatus.Disconnected, f'no focuser is configured on this channel (Dev Typ = {NO_FOCUSER})'
        if not self._known.moving and self._unhomed:
            return FocuserStatus.Error, UNHOMED
        return (FocuserStatus.Moving if self._known.moving else FocuserStatus.Idle), None

    @property
    def _unhomed(self) -> bool:
        """Whether the focuser has a home switch and has not found it: its counts then say nothing."""
        known = self._known
        return (known.config is not None and known.status is not None and known.status.homed is False
                and has_home_switch(known.config.device_type))

    @property
    def _good_until(self) -> float:
        return self._known.status_at + self._settings.idle_loop_delay_s + self._settings.serial_timeout_s

    def _silent(self, now: float) -> bool:
        """Whether the last report is too old to say anything but that our own motion may go on."""
        return now > self._good_until and not self._commanded

    def _hears(self, now: float) -> bool:
        """Whether the hub answers for this channel, even if what it says of the position cannot be believed."""
        patience_s = 2 * (self._settings.idle_loop_delay_s + self._settings.serial_timeout_s)
        return not self._silent(now) or now <= self._known.config_at + patience_s

    @property
    def motor_may_run(self) -> bool:
        """Whether a motion that we commanded, or have caused by a change that restarts the hub, may be under way."""
        return self._commanded or self._restarted_at is not None

    @property
    def _commanded(self) -> bool:
        return self._unattended or (self._motion is not None and self._motion.went_out)

    # A change that restarts the channel, and perhaps the whole hub

    def restart_begins(self, now: float, by_change_of_this: bool) -> None:
        """Such a change has gone out: nothing is known of the position any more, and the motor may begin to run."""
        if by_change_of_this or self._known.status is not None:   # not on a channel that is not there
            self._restarted_at = now
            self._known.lose_place(comparable=not by_change_of_this)
            self.ask_again()

    def _look_at_restart(self, status: StatusReport, sent_at: float) -> None:
        """A status that was asked for at `sent_at`, and is believed, may show that all of it is over."""
        if self._restarted_at is not None and not status.moving and sent_at >= self._restarted_at + RESTART_SETTLES_S:
            self._restarted_at = None

    @property
    def _restart_ends(self) -> float:
        """When what a restart has set in motion has to be over; never, if there is no such thing."""
        if self._restarted_at is None:
            return math.inf
        return self._restarted_at + RESTART_SETTLES_S + self._settings.home_timeout_s

    def ask_again(self) -> None:
        """Read settings and status as soon as possible, whatever the pace."""
        raise NotImplementedError

    def _log_trouble(self, now: float) -> None:
        """Log why the channel is not usable when that begins and when it ends; a single lost reply is no trouble."""
        status, trouble = self._judge(now)
        if self._down is not None or status == FocuserStatus.Initializing or trouble == self._logged_trouble:
            return
        if trouble is None:
            self._log('info', 'usable again')
        elif self._known.status is None or self._silent(now):
            if self._logged_trouble is not None or self.failures < 2:
                return
            self._log('error', trouble)
        else:
            self._log('warning' if status == FocuserStatus.Disconnected else 'error', trouble)
        self._logged_trouble = trouble

    def _log(self, level: str, message: str) -> None:
        self._sink.log(level, f'channel {self.number}: {message}')

# SPDX-License-Identifier: GPL-3.0-or-later
"""One focuser: what is known of it, what it is busy with, and which exchange it needs next.

Pure: a channel is given replies and the time, and answers with requests. Positions inside are the hub's counts; the
view that leaves the channel is in signed steps.
"""

from __future__ import annotations

import math
from dataclasses import replace

from .arrival import History
from .change import Setting
from .commands import Configure, Outcome, Sink, Ticket
from .constants import FocuserStatus
from .halting import Halting
from .homing import Homing
from .hub_settings import has_home_switch, in_words
from .knowledge import Knowledge
from .motion import Move
from .protocol import Garbled, Halt, HubError, Refused, Reply, Request
from .reports import Compensation, Configuration, GetConfig, GetStatus, Status
from .settings import Settings
from .task import Motion, Phase, Task
from .view import ChannelView, Reports
from .zero import Zero

NO_FOCUSER = 'ZZ'

OFFLINE = 'not connected: the daemon was not asked to connect'

UNHOMED = 'the focuser has not found its home switch, and its position is not known (IsHomed = 0): home it'

CONFIG_PACE_S = 5.0
"""How often, at most, the hub's settings are read again while nothing moves: others can change them behind our back."""

JUST_ARRIVED_S = 0.1
"""A focuser that was seen to arrive so lately is not looked at again before its next move: a sweep has many of them."""

ASIDE_S = 0.15
"""The settings of a moving focuser are read when the next look at it is so far away: this delays no look, and the next
move need not wait for them."""

CONFIG_MAX_AGE_S = 10.0
"""Settings that were read longer ago are read again before anything is set in motion: they are what limits it. A motion
that is asked for a second time wants settings that were read since the first."""

FREE_RETRIES = 3
"""Failed exchanges in a row that are repeated at once; after that the channel is asked at its ordinary pace."""


class Channel:
    """The state and the wishes of one channel. Only the controller may call it."""

    def __init__(self, number: int, settings: Settings, sink: Sink, unattended: bool = False) -> None:
        self.number = number
        self._settings = settings
        self._sink = sink
        self._history = History()
        self._known = Knowledge(settings)
        self._task: Task | None = None
        self._halting: Halting | None = None
        self._unattended = unattended               # a motion of ours lost its supervision and may still run
        self._logged_trouble: str | None = None
        self._failure_told: str | None = None       # why the last command that has ended failed
        self._down: str | None = OFFLINE   # why there is no line to the hub, None while there is one
        self._down_status = FocuserStatus.Disabled
        self._forget()

    def _forget(self) -> None:
        """Believe nothing of what was known of the focuser."""
        self._known.forget()
        self._failure: HubError | None = None   # of the last exchange, if it failed
        self._arrival: Status | None = None     # the last status, if it showed that a move of ours has arrived
        self._config_due = -math.inf
        self._config_failures = 0
        self._poll_due = -math.inf
        self._retry_at = -math.inf
        self.failures = 0               # exchanges that failed in a row

    # What is known of it

    def view(self, now: float) -> ChannelView:
        """The present state, to be published."""
        status, trouble = self._judge(now)
        known = self._known
        config, report, scale = known.config, known.status, known.scale
        if config is None or report is None or scale is None:
            return ChannelView(status=status, as_of=now, error=trouble, failure=self._failure_told)
        if self._silent(now):
            return ChannelView(status=status, as_of=now, error=trouble, failure=self._failure_told,
                               nickname=config.nickname, device_type=config.device_type)
        certain = ChannelView(
            status=status,
            as_of=known.status_at,
            good_until=math.inf if self.motor_may_run else self._good_until,
            error=trouble,
            failure=self._failure_told,
            nickname=config.nickname,
            device_type=config.device_type,
            homed=report.homed if has_home_switch(config.device_type) else None,
            compensating=config.compensating,
            reports=Reports(config, report, known.compensation))
        if status < FocuserStatus.Idle:
            return certain
        target_counts, requested_counts = known.target_counts, known.requested_counts
        if isinstance(self._task, Motion):
            target_counts = requested_counts = self._task.target_counts
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
        if self.motor_may_run or isinstance(self._task, Motion):
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
        return now > self._good_until and not self.motor_may_run

    @property
    def motor_may_run(self) -> bool:
        """Whether a motion that we commanded may be under way."""
        return self._unattended or (isinstance(self._task, Motion) and self._task.went_out)

    # The line to the hub

    def line_down(self, status: int, reason: str) -> None:
        """There is no line to the hub: nothing is known any more, and what was under way has failed.

        `status` is what to report meanwhile: Disabled, Initializing or Error.
        """
        if self._down is None:
            self._unattended = self.motor_may_run
            if self._task is not None:
                self._task.cancel(f'failed: {reason}')
                self._release()
            if self._halting is not None:
                for ticket in self._halting.waiting():
                    self._sink.resolve(ticket, Outcome.FAILED)
                self._halting = None
            self._forget()
        self._down, self._down_status = reason, status
        self._logged_trouble = reason if status == FocuserStatus.Error else None

    def line_up(self, now: float) -> None:
        """The port is open: ask for everything anew. An outage that was reported lasts until the hub answers.

        A motion of ours that nobody has watched to its end is halted without a look: it may only be about to begin.
        """
        self._forget()
        if self._down is not None and self._down_status == FocuserStatus.Error:
            self._failure = HubError(self._down)
        self._down = None
        if self._unattended:
            self._log('warning', 'halting, because the last motion was not watched to its end')
            self.stop(None, now)

    def blame(self, error: HubError) -> None:
        """Somebody waited in vain for this channel: say so at once, before the exchange itself has timed out."""
        if self._failure is None:
            self._failure = error

    def ask_again(self) -> None:
        """Read settings and status as soon as possible, whatever the pace."""
        self._config_due = self._poll_due = self._retry_at = -math.inf
        self.failures = 0

    # Commands

    def move(self, steps: int, offset: bool, ticket: Ticket, now: float) -> None:
        """Begin a move to `steps`, or by `steps` from the present target with `offset`."""
        scale = self._known.scale
        if not self.usable(now) or scale is None:
            self._sink.resolve(ticket, Outcome.NOT_AVAILABLE)
            return
        target_steps = scale.steps(self._known.target_counts)
        if not scale.allows(target_steps + steps if offset else steps):
            self._sink.resolve(ticket, Outcome.OUTSIDE_LIMITS)
        elif self._busy and not (self._task is None and self._halting is None and self._known.compensating):
            self._refuse('move', f'the channel is {self._busy}', ticket)
        else:
            self._task = Move(self.number, ticket, self._sink, now, scale, steps, offset, target_steps, self._settings,
                              self._history, self._known.compensating, self._known.digits)
            if self._arrival is not None and now - self._known.status_at <= JUST_ARRIVED_S \
                    and not self._config_is_too_old:
                self._task.status(self._arrival, self._known.status_at, now)
                self._settle(now)

    def zero(self, ticket: Ticket, now: float) -> None:
        """Begin to declare the present position to be step 0."""
        config, scale = self._known.config, self._known.scale
        if not self.usable(now) or scale is None or config is None:
            self._sink.resolve(ticket, Outcome.NOT_AVAILABLE)
        elif has_home_switch(config.device_type):
            self._refuse('zero', f'the focuser ({config.device_type}, {in_words(config.device_type)}) finds its zero '
                                 f'by its home switch: use home', ticket, Outcome.NOT_SUPPORTED)
        elif self._busy:
            self._refuse('zero', f'the channel is {self._busy}', ticket)
        else:
            self._task = Zero(self.number, ticket, self._sink, now, scale, self._settings)

    def home(self, ticket: Ticket, now: float) -> None:
        """Begin to seek the home switch. Not having found it yet is no obstacle."""
        config, status, scale = self._known.config, self._known.status, self._known.scale
        lost = self._unhomed and not self._known.moving and not self._silent(now) and not self._known.interfering \
            and self._down is None
        if config is None or status is None or scale is None or not (self.usable(now) or lost):
            self._sink.resolve(ticket, Outcome.NOT_AVAILABLE)
        elif not has_home_switch(config.device_type):
            self._refuse('homing', f'the focuser ({config.device_type}, {in_words(config.device_type)}) has no home '
                                   f'switch: use zero', ticket, Outcome.NOT_SUPPORTED)
        elif self._busy:
            self._refuse('homing', f'the channel is {self._busy}', ticket)
        else:
            self._task = Homing(self.number, ticket, self._sink, now, scale, self._settings, status.counts)

    def configure(self, command: Configure, ticket: Ticket, now: float) -> None:
        """Begin to change a setting of the hub: also on a channel in error, which may be the way out of it."""
        if self._down is not None or self._known.config is None or self._silent(now):
            self._sink.resolve(ticket, Outcome.NOT_AVAILABLE)
        elif self._task is not None or self._halting is not None:
            self._refuse(command.setting.key, f'the channel is {self._busy or "being halted"}', ticket)
        else:
            self._task = Setting(self.number, ticket, self._sink, now, command.setting, command.value)

    def _refuse(self, what: str, why: str, ticket: Ticket, outcome: Outcome = Outcome.FAILED) -> None:
        self._failure_told = f'{what} refused: {why}'
        self._log('error', self._failure_told)
        self._sink.resolve(ticket, outcome)

    def stop(self, ticket: Ticket | None, now: float) -> None:
        """Halt, whatever the channel is doing and whatever is known of it."""
        if self._halting is None:
            self._halting = Halting(self.number, now)
        if ticket is not None:
            self._log('info', 'stop requested')
            self._halting.join(ticket, now)
        if isinstance(self._task, Motion):
            self._drop_task('stopped before it began')

    def secure(self, now: float) -> bool:
        """Before the port is closed: halt a motion of ours; returns whether it has to be waited for."""
        if self.motor_may_run and self._halting is None:
            self.stop(None, now)
        self._drop_task('given up: the daemon disconnects')
        return self._halting is not None

    @property
    def _busy(self) -> str | None:
        if self._halting is not None and self.motor_may_run:
            return 'being halted'
        if self._task is not None:
            return f'busy with a {self._task.name}'
        return 'being moved from outside' if self._known.moving else None

    # Exchanges

    @property
    def halt_due(self) -> float:
        """When a HALT is due, which does not wait long for another exchange; never, if there is none to be sent."""
        return math.inf if self._down is not None or self._halting is None else self._halting.halt_due

    @property
    def is_halting(self) -> bool:
        """Whether a halt is under way, whose looks go before everything but a HALT."""
        return self._halting is not None

    @property
    def is_at_rest(self) -> bool:
        """Whether there is nothing to do on this channel but to poll it."""
        return self._task is None and self._halting is None and not self._known.wants_config and not self.failures

    @property
    def is_moving(self) -> bool:
        """Whether a motion of ours is being followed."""
        return isinstance(self._task, Motion) and self._task.phase is Phase.WATCH

    @property
    def may_be_silent(self) -> bool:
        """Whether a change is under way that restarts the channel: then silence does not mean that the hub is lost."""
        return isinstance(self._task, Setting) and self._task.restarts

    @property
    def halts_first(self) -> bool:
        """Whether the HALT that is due is the first one: it does not even wait for a HALT of the other channel."""
        return self._halting is not None and self._halting.first

    def wanted(self, now: float) -> tuple[float, Request]:
        """The next exchange and when it is due; at no time without a line."""
        if self._down is not None:
            return math.inf, GetStatus(self.number)
        if self._halting is not None:
            return self._halting.wanted(now)
        due: float
        request: Request
        if self._known.wants_config or 0 < self._config_failures <= FREE_RETRIES:
            due, request = -math.inf, GetConfig(self.number)
        elif self._task is not None:
            due, request = self._task.wanted()
            if self._config_is_too_old:
                request = GetConfig(self.number)
            elif self._task.phase is Phase.WATCH and self._config_due <= now < due - ASIDE_S:
                due, request = now, GetConfig(self.number)
        elif self._config_due <= self._poll_due:
            due, request = self._poll_due, GetConfig(self.number)
        else:
            due, request = self._poll_due, GetStatus(self.number)
        return max(due, self._retry_at), request

    def sent(self, request: Request, now: float) -> None:
        """A request of this channel has gone out."""
        if isinstance(request, Halt):
            if self._halting is not None:
                self._halting.sent()
        elif self._task is not None and request == self._task.request():
            self._task.sent(now)

    def answered(self, request: Request, reply: Reply, sent_at: float, now: float) -> None:
        """A request that went out at `sent_at` was answered."""
        config = self._known.config
        if isinstance(reply, Status) and config is not None and reply.counts > config.max_counts:
            self._config_due = -math.inf
            self.failed(request, Garbled(f'the hub reports {reply.counts} counts, beyond its Max Pos of '
                                         f'{config.max_counts}'), now)
            return
        if isinstance(reply, Configuration):
            self._take_config(reply, sent_at, now)
        elif isinstance(reply, Compensation):
            self._known.compensation = reply
            if self._task is not None:
                self._task.settings(reply, sent_at, now)
        elif isinstance(reply, Status):
            # Only this ends a row of failures: a channel that answers everything else still does not say where it is.
            self._failure = None
            self._retry_at = -math.inf
            self.failures = 0
            self._take_status(reply, sent_at, now)
        elif isinstance(request, Halt):
            if self._halting is not None:
                self._halting.accepted(now)
        elif self._task is not None:
            self._task.accepted(now)
        self._settle(now)

    def failed(self, request: Request, error: HubError, now: float) -> None:
        """A request was refused, or its reply was garbled or did not come."""
        if isinstance(request, (GetStatus, GetConfig)) or not isinstance(error, Refused):
            self._failure = error
            self.failures += 1
            self._config_failures += isinstance(request, GetConfig)
            if self.failures > FREE_RETRIES:
                pace_s = self._settings.idle_loop_delay_s if self._task is None else self._settings.moving_loop_delay_s
                self._retry_at = now + pace_s
        if self._halting is not None:
            self._halting.failed_exchange(request, now)
            self._retry_at = -math.inf
        if self._task is not None and not isinstance(request, Halt):
            self._task.failed_exchange(request, error, now)
        self._settle(now)

    def tick(self, now: float) -> None:
        """Look at the clock: deadlines of commands, and troubles to be logged."""
        if self._task is not None:
            self._task.tick(now)
        if self._halting is not None and now >= self._halting.gives_up_at:
            self._lose_patience()
        self._settle(now)
        self._log_trouble(now)

    def deadline(self, now: float) -> float:
        """When `tick` has something to do next, apart from the exchange that is `wanted`."""
        times = [self._good_until + 0.001]
        if self._task is not None:
            times.append(self._task.deadline)
        if self._halting is not None:
            times.append(self._halting.gives_up_at)
        return min((when for when in times if when > now), default=math.inf)

    @property
    def _config_is_too_old(self) -> bool:
        """Whether the settings have to be read again before the task sets anything in motion."""
        task = self._task
        if task is None or task.phase not in (Phase.CHECK, Phase.SEND) or isinstance(task, Setting):
            return False
        return self._known.config_at < (task.began if task.went_out else task.began - CONFIG_MAX_AGE_S)

    def _take_config(self, config: Configuration, sent_at: float, now: float) -> None:
        before = self._known.learn_config(config, now)
        if before is None:
            return
        if before.max_counts != config.max_counts:
            self._log('warning', f'Max Pos of the hub changed from {before.max_counts} to {config.max_counts}: '
                                 f'all positions in steps have shifted')
            self._give_up_task('the range of the hub has changed')
        if before.compensating and not config.compensating and not isinstance(self._task, Setting):
            self._log('warning', 'temperature compensation is off now: a halt ends it')
        if self._known.interfering:
            self._give_up_task(self._known.interfering[0])
        self._config_failures = 0
        self._config_due = now + (0 if self._known.interfering else max(CONFIG_PACE_S, 10 * (now - sent_at)))
        if self._task is not None:
            self._task.settings(config, sent_at, now)

    def _give_up_task(self, reason: str) -> None:
        """What the task was built on has changed: end it, and halt a motor that may run."""
        if isinstance(self._task, Motion) and self._task.went_out:
            self._task.give_up(f'given up: {reason}')
        elif self._task is not None and not isinstance(self._task, Setting):
            self._task.cancel(f'given up: {reason}')
            self._release()

    def _drop_task(self, reason: str) -> None:
        """Give up what has not reached the wire yet."""
        if self._task is not None and not self._task.went_out:
            self._task.cancel(reason)
            self._release()

    def _take_status(self, status: Status, sent_at: float, now: float) -> None:
        self._arrival = None
        checking = self._task is None or self._task.phase is Phase.CHECK
        may_have_moved = self._halting is not None or self._unattended or not checking
        if not self._known.learn_status(status, sent_at, may_have_moved):
            self._poll_due = -math.inf
            return
        pace_s = self._settings.moving_loop_delay_s if status.moving else self._settings.idle_loop_delay_s
        self._poll_due = sent_at + pace_s
        if self._halting is not None:
            if self._halting.status(status, now):
                self._halted(status)
            return
        if checking:
            news = self._known.follow_outside_motion()
            if news is not None:
                self._log('info' if self._known.compensating else 'warning', news)
        if self._task is not None and not (self._task.phase is Phase.CHECK and self._config_is_too_old):
            self._task.status(status, sent_at, now)

    def _release(self) -> None:
        """The task has ended."""
        assert self._task is not None
        self._failure_told, self._task = self._task.failure, None

    def _halted(self, status: Status) -> None:
        """A status after HALT shows the motor at rest."""
        assert self._halting is not None
        where = self._known.in_steps(status.counts)
        tickets = self._halting.waiting()
        worth_a_line = tickets or self._halting.gave_up
        self._halting = None
        self._unattended = False
        self._known.rest()
        if self._known.compensating:
            self._config_due = -math.inf   # HALT has ended that as well
        if isinstance(self._task, Motion) and self._task.went_out:
            if self._task.phase is Phase.FAILED:
                self._log('info', f'halted at {where}')
                self._task.finish(Outcome.FAILED)
            else:
                self._task.cancel(f'stopped at {where}')
            self._release()
        elif worth_a_line:
            self._log('info', f'stopped at {where}')
        for ticket in tickets:
            self._sink.resolve(ticket, Outcome.DONE)

    def _lose_patience(self) -> None:
        """Nobody can wait any longer for the motor to stand: tell them, and go on halting."""
        assert self._halting is not None
        tickets = self._halting.give_up()
        if tickets or self.motor_may_run:
            self._log('error', f'the hub did not confirm the halt: {self._failure or "the motor still runs"}')
        for ticket in tickets:
            self._sink.resolve(ticket, Outcome.FAILED)
        if isinstance(self._task, Motion) and self._task.went_out:
            self._task.finish(Outcome.FAILED)
            self._unattended = True
            self._release()

    def _settle(self, now: float) -> None:
        """Draw the consequences of what a task has decided."""
        if self._task is None:
            return
        if self._task.phase is Phase.FAILED and self._halting is None:
            self.stop(None, now)
        elif self._task.phase is Phase.ENDED:
            self._arrival = None
            if isinstance(self._task, Move) and self._task.outcome is Outcome.DONE:
                self._arrival = self._known.status
                self._known.digits = self._task.digits
            self._release()
            if self._known.status is not None and not self._known.moving:
                self._known.rest()

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

# SPDX-License-Identifier: GPL-3.0-or-later
"""One focuser: what it is busy with, and which exchange it needs next.

Pure: a channel is given replies and the time, and answers with requests.
"""

from __future__ import annotations

import math

from ..constants import FocuserStatus
from .availability import UNHOMED
from .commands import Outcome, Sink
from .configure import ChangeSetting
from .limits import Limits
from .move import Move
from .operation import Motion, Phase
from .orders import Orders
from .reports import CompensationReport, ConfigReport, GetConfig, GetStatus, StatusReport
from .requests import Garbled, Halt, HubError, Refused, Reply, Request, Silent

CONFIG_PACE_S = 5.0
"""How often, at most, the hub's settings are read again while nothing moves: others can change them behind our back."""

ASIDE_S = 0.15
"""The settings of a moving focuser are read when the next look at it is so far away: this delays no look, and the next
move need not wait for them."""

FREE_RETRIES = 3
"""Failed exchanges in a row that are repeated at once; after that the channel is asked at its ordinary pace."""


class Focuser(Orders):
    """The state and the wishes of one channel. Only the controller may call it."""

    def __init__(self, number: int, settings: Limits, sink: Sink, unattended: bool = False) -> None:
        super().__init__(number, settings, sink, unattended)
        self._forget()

    def _forget(self) -> None:
        """Believe nothing of what was known of the focuser."""
        self._known.forget()
        self._restarted_at = None
        self._doubted: int | None = None   # the last position beyond Max Pos
        self._failure = None
        self._arrival = None
        self._config_due = -math.inf
        self._config_failures = 0
        self._poll_due = -math.inf
        self._retry_at = -math.inf
        self.failures = 0

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

    def secure(self, now: float) -> bool:
        """Before the port is closed: halt a motion of ours; returns whether it has to be waited for."""
        if self.motor_may_run and self._halting is None:
            self.stop(None, now)
        self._drop_task('given up: the daemon disconnects')
        return self._halting is not None

    # Exchanges

    @property
    def halt_due(self) -> float:
        """When a HALT is due, which does not wait long for another exchange; never, if there is none to be sent."""
        return math.inf if self._down is not None or self._halting is None else self._halting.halt_due

    @property
    def is_halting(self) -> bool:
        """Whether a halt is under way that somebody waits for: its looks go before everything but a HALT."""
        return self._halting is not None and not self._halting.gave_up

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
        return isinstance(self._task, ChangeSetting) and self._task.restarts

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
            self._known.hub_compensation.halt_sent(now)
            if self._halting is not None:
                self._halting.sent()
        elif self._task is not None and request == self._task.request():
            self._task.sent(now)
            if isinstance(self._task, Motion):
                self._restarted_at = None   # what runs from now on is that

    def answered(self, request: Request, reply: Reply, sent_at: float, now: float) -> None:
        """A request that went out at `sent_at` was answered."""
        config = self._known.config
        if isinstance(reply, StatusReport) and config is not None and reply.counts > config.max_counts:
            self._doubt_place(request, reply, config.max_counts, sent_at, now)
        elif isinstance(reply, ConfigReport):
            self._take_config(reply, sent_at, now)
        elif isinstance(reply, CompensationReport):
            self._known.compensation = reply
            if self._task is not None:
                self._task.settings(reply, sent_at, now)
        elif isinstance(reply, StatusReport):
            # Only this ends a row of failures: a channel that answers everything else still does not say where it is.
            self._failure = None
            self._retry_at = -math.inf
            self.failures = 0
            self._take_status(reply, sent_at, now)
        elif isinstance(request, Halt):
            self._note_halt(now)
            if self._halting is not None:
                self._halting.accepted(now)
        elif self._task is not None and self._task.phase is Phase.SEND and request == self._task.request():
            self._task.accepted(now)   # not what was given up meanwhile, and not what another task has asked
        self._settle(now)

    def failed(self, request: Request, error: HubError, now: float) -> None:
        """A request was refused, or its reply was garbled or did not come."""
        self._note_failure(request, error, now)
        if isinstance(error, Silent):
            self._known.hub_compensation.not_heard()
        if self._halting is not None:
            self._halting.failed_exchange(request, now)
            self._retry_at = -math.inf
        if self._task is not None and not isinstance(request, Halt):
            self._task.failed_exchange(request, error, now)
        self._settle(now)

    def _note_failure(self, request: Request, error: HubError, now: float) -> None:
        if isinstance(request, (GetStatus, GetConfig)) or not isinstance(error, Refused):
            self._failure = error
            self.failures += 1
            self._config_failures += isinstance(request, GetConfig)
            if self.failures > FREE_RETRIES:
                pace_s = self._settings.idle_loop_delay_s if self._task is None else self._settings.moving_loop_delay_s
                self._retry_at = now + pace_s

    def _doubt_place(self, request: Request, status: StatusReport, max_counts: int, sent_at: float, now: float) -> None:
        """A position beyond Max Pos: neither is believed any more, and the settings are read again.

        That the motor runs, or stands, it tells all the same: for a halt, and, when it is said twice, for the change
        that makes both agree.
        """
        error = Garbled(f'the hub reports {status.counts} counts, beyond its Max Pos of {max_counts}')
        self._config_due = self._poll_due = -math.inf
        self._note_failure(request, error, now)
        said_twice, self._doubted = status.counts == self._doubted, status.counts
        if self._halting is not None:
            self._retry_at = -math.inf
            if self._halting.status(status, now):
                self._known.lose_place(comparable=False)
                self._halted(f'{status.counts} counts, beyond Max Pos', now)
        elif isinstance(self._task, ChangeSetting) and said_twice:
            self._task.status(status, sent_at, now)
        elif self._task is not None:
            self._task.failed_exchange(request, error, now)

    def tick(self, now: float) -> None:
        """Look at the clock: deadlines of commands, and troubles to be logged."""
        if self._task is not None:
            self._task.tick(now)
        if self._halting is not None and now >= self._halting.gives_up_at:
            self._lose_patience()
        elif self._halting is not None and now >= self._halting.motion_until:
            self._leave_to_the_halt()
        if self._restart_ends <= now and self._halting is None:
            self._log('error', 'what a change has set in motion has not come to rest in time; halting')
            self.stop(None, now)
        self._settle(now)
        self._log_trouble(now)

    def _note_halt(self, now: float) -> None:
        if self._known.hub_compensation.halted(now):
            self._log('warning', 'temperature compensation is off now: a halt ends it')
            self._config_due = self._poll_due = -math.inf

    def deadline(self, now: float) -> float:
        """When `tick` has something to do next, apart from the exchange that is `wanted`."""
        times = [self._good_until + 0.001, self._restart_ends]
        if self._task is not None:
            times.append(self._task.deadline)
        if self._halting is not None:
            times += [self._halting.gives_up_at, self._halting.motion_until]
        return min((when for when in times if when > now), default=math.inf)

    def _take_config(self, config: ConfigReport, sent_at: float, now: float) -> None:
        compensated = self._known.hub_compensation.is_expected
        before = self._known.learn_config(config, sent_at, now)
        if before is None:
            return
        if before.max_counts != config.max_counts:
            self._log('warning', f'Max Pos of the hub changed from {before.max_counts} to {config.max_counts}: '
                                 f'all positions in steps have shifted')
            self._give_up_task('the range of the hub has changed')
        changed_by_us = isinstance(self._task, ChangeSetting) and self._task.key == 'temperature_compensation'
        if compensated and not config.compensating and not changed_by_us:
            self._log('warning', 'temperature compensation is off now: a halt ends it')
        if self._known.interfering:
            self._give_up_task(self._known.interfering[0])
        self._config_failures = 0
        self._config_due = now + (0 if self._known.interfering else max(CONFIG_PACE_S, 10 * (now - sent_at)))
        if isinstance(self._task, Move) and self._known.scale is not None:
            self._task.rescale(self._known.scale, self._known.hub_compensation.is_expected)
        if self._task is not None:
            self._task.settings(config, sent_at, now)

    def _give_up_task(self, reason: str) -> None:
        """What the task was built on has changed: end it, and halt a motor that may run."""
        if isinstance(self._task, Motion) and self._task.went_out:
            self._task.give_up(f'given up: {reason}')
        elif self._task is not None and not isinstance(self._task, ChangeSetting):
            self._task.cancel(f'given up: {reason}')
            self._release()

    def _take_status(self, status: StatusReport, sent_at: float, now: float) -> None:
        self._arrival = None
        checking = self._task is None or self._task.phase is Phase.CHECK or isinstance(self._task, ChangeSetting)
        may_have_moved = self._halting is not None or self._unattended or not checking
        if not self._known.learn_status(status, sent_at, may_have_moved):
            self._poll_due = -math.inf
            return
        pace_s = self._settings.moving_loop_delay_s if status.moving else self._settings.idle_loop_delay_s
        self._poll_due = sent_at + pace_s
        if self._halting is not None:
            if self._halting.status(status, now):
                self._known.rest()
                self._halted(self._known.in_steps(status.counts), now)
            return
        if checking and self._restarted_at is not None:
            self._known.rest()
            self._look_at_restart(status, sent_at)
        elif checking:
            news = self._known.follow_outside_motion()
            if news is not None:
                self._log('info' if self._known.hub_compensation.is_expected else 'warning', news)
        if isinstance(self._task, Move) and self._unhomed and not status.moving:
            self._give_up_task(UNHOMED)
        if self._task is not None and not (self._task.phase is Phase.CHECK and self._config_is_too_old):
            self._task.status(status, sent_at, now)

    def _halted(self, where: str, now: float) -> None:
        """A status after HALT shows the motor at rest, at a place in words."""
        assert self._halting is not None
        self._note_halt(now)
        tickets = self._halting.waiting()
        worth_a_line = tickets or self._halting.gave_up
        self._halting = None
        self._unattended, self._restarted_at = False, None
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
        self._leave_to_the_halt()
        if self._known.config is None and not self.motor_may_run:
            self._halting = None   # a channel that has never answered: there may be none

    def _leave_to_the_halt(self) -> None:
        """Tell who waits for a motion that it has failed, however often others ask for a stop; it is halted on."""
        if isinstance(self._task, Motion) and self._task.went_out:
            if self._task.phase is not Phase.FAILED:   # then it has been said already why
                self._task.cancel('failed: it was to be stopped, and may go on')
            self._task.finish(Outcome.FAILED)
            self._unattended = True
            self._known.target_counts = self._known.requested_counts = self._task.target_counts
            self._release()

# SPDX-License-Identifier: GPL-3.0-or-later
"""One focuser: which commands it accepts, what it is doing, and which exchange it needs next.

Pure: replies and the time are given to it. It has a state (what is confirmed), at most one operation, at most one halt,
which goes before the operation, and a note of motion that no operation follows.
"""

from __future__ import annotations

import math
import re
from typing import Any

from ..constants import FocuserStatus, is_usable
from . import availability
from .commands import Configure, Effects, Home, MoveFocuser, Outcome, PendingCommand, SetZero
from .configure import ChangeSetting
from .focuser_state import UNHOMED, FocuserState
from .halt import MotorHalt
from .homing import Homing
from .limits import Limits
from .move import Move
from .operation import MOVED_BY_OTHERS, Motion, Operation, Phase, Situation
from .pending_start import MAX_BACKLASH_STEPS, START_LIMIT_S, PendingStart
from .polling import Polling
from .reports import CompensationReport, ConfigReport, GetConfig, GetStatus, StatusReport
from .requests import (
    SHORT_TIMEOUT_S,
    Garbled,
    Halt,
    HubError,
    MoveTo,
    NextRequest,
    Priority,
    Refused,
    Reply,
    Request,
    SeekHome,
    Silent,
    never,
)
from .snapshot import FocuserSnapshot
from .source import Source
from .unsupervised import UnsupervisedMotion
from .zero import Zero

OPERATIONS: dict[type, Any] = {MoveFocuser: Move, SetZero: Zero, Home: Homing, Configure: ChangeSetting}
"""The operation that each command begins."""

JUST_ARRIVED_S = 0.1
"""A focuser that was seen to arrive so lately is not polled again before its next move: a sweep has many of them."""

CONFIG_MAX_AGE_S = 10.0
"""Settings that were read longer ago are read again before anything is set in motion, since they limit it. A motion
that is requested for a second time needs settings that were read since the first."""

CONFIG_GAP_S = 0.15
"""The settings of a moving focuser are read when its next poll is so far away: this delays no poll, and the next move
need not wait for them."""


class Focuser(Source):
    """The focuser on one channel, as a source of requests. Only the hub may call it."""

    def __init__(self, channel: int, limits: Limits, effects: Effects, pending_start: PendingStart,
                 neighbours_start: PendingStart, lost_motion: bool = False) -> None:
        """`pending_start` is of this channel, `neighbours_start` of the other one.

        `lost_motion`: a motion of ours may be under way that nothing has followed.
        """
        self.channel = channel
        self._pending_start = pending_start
        self._neighbours_start = neighbours_start
        self._limits = limits
        self._effects = effects
        self._state = FocuserState(limits)
        self._polling = Polling(channel)
        self._operation: Operation | None = None
        self._halt: MotorHalt | None = None
        self._unsupervised = UnsupervisedMotion(lost_motion)
        self._link_down: availability.LinkDown | None = availability.LinkDown(availability.NOT_CONNECTED,
                                                                              FocuserStatus.Disabled)
        self._arrived: StatusReport | None = None     # the last status, if it showed that a move of ours has arrived
        self._beyond_range: int | None = None         # the last position beyond Max Pos
        self._misplaced: str | None = None            # why the last report looked as if the wrong motor ran
        self._failure: str | None = None              # why the last command that has ended failed
        self._stall_logged = False
        self._unconfirmed_logged = False              # that the hub does not confirm a halt
        self._lost_motion_logged = False              # that a motion of ours was not followed to its end
        self._logged_reason: str | None = None        # why it cannot be used, as it was logged last

    # What others may know

    def snapshot(self, now: float) -> FocuserSnapshot:
        """The present state, to be published."""
        return availability.snapshot(self._facts, now)

    def usable(self, now: float) -> bool:
        """Whether the focuser answers and can be commanded."""
        return is_usable(availability.judge(self._facts, now)[0])

    def answered_since(self, when: float) -> bool:
        """Whether a status was requested and answered since `when`."""
        return self._state.config is not None and self._state.status_at >= when

    @property
    def motor_may_run(self) -> bool:
        """Whether a motion that we have commanded or caused may be under way."""
        return availability.motor_may_run(self._facts)

    @property
    def busy(self) -> str | None:
        """What the focuser is doing, in words; None at rest."""
        if self._state.moving and self._operation is None and not (self._halt and self.motor_may_run):
            return f'being {MOVED_BY_OTHERS}'
        return self._busy_with

    @property
    def _busy_with(self) -> str | None:
        """What we are doing with the focuser, in words."""
        if self._halt is not None and self.motor_may_run:
            return 'being halted'
        return None if self._operation is None else f'busy with a {self._operation.name}'

    @property
    def _facts(self) -> availability.Facts:
        return availability.Facts(self._limits, self._state, self._polling, self._operation, self._unsupervised,
                                  self._link_down, self._failure)

    # Commands

    def begin(self, pending: PendingCommand, elsewhere: str | None, now: float) -> None:
        """Begin the operation of a command, or refuse it. `elsewhere` is what the other focuser of the hub is doing."""
        facts, command = self._facts, pending.command
        status, reason = availability.judge(facts, now)
        usable, kind = is_usable(status), OPERATIONS[type(command)]
        required = kind.preconditions(command, self._state, Situation(
            usable, availability.hub_answers(facts, now), not usable and reason == UNHOMED,
            self._busy_with and f'the channel is {self._busy_with}', self._halt is not None, elsewhere))
        if not required.available:
            self._failure = f'{_title(command)} refused: {reason or "the hub does not answer"}'
            self._effects.resolve(pending, Outcome.NOT_AVAILABLE)
        elif required.unsupported is not None:
            self._refuse(required.unsupported, pending, Outcome.NOT_SUPPORTED)
        elif not required.within_limits:
            self._failure = self._outside_limits(command)
            self._effects.resolve(pending, Outcome.OUTSIDE_LIMITS)
        elif required.busy is not None:
            self._refuse(required.busy, pending, Outcome.FAILED)
        else:
            self._operation = kind(pending, command, self._effects, self._limits, self._state, now)
            self._polling.not_before = -math.inf   # do not wait for the next poll of a channel that did not answer
            if self._arrived is not None and now - self._state.status_at <= JUST_ARRIVED_S \
                    and not self._needs_fresh_config:
                self._operation.learn_status(self._arrived, self._state.status_at, now)
                self._settle(now)

    def refuse_without_link(self, pending: PendingCommand) -> None:
        """There is no link to the hub, or it is being closed."""
        reason = 'focusd disconnects' if self._link_down is None else self._link_down.reason
        self._failure = f'{_title(pending.command)} refused: {reason}'
        self._effects.resolve(pending, Outcome.NOT_AVAILABLE)

    def _outside_limits(self, command: Any) -> str:
        scale = self._state.scale
        assert scale is not None
        steps = command.steps + (scale.steps(self._state.target_counts) if command.offset else 0)
        return f'move to {steps:+d} steps refused: outside the limits of {scale.min_steps:+d} to {scale.max_steps:+d}'

    def _refuse(self, why: str, pending: PendingCommand, outcome: Outcome) -> None:
        self._failure = f'{_title(pending.command)} refused: {why}'
        self._log('error', self._failure)
        self._effects.resolve(pending, outcome)

    def note_failure(self, why: str) -> None:
        """A command for this channel was refused before it came here: publish why."""
        self._failure = why

    def stop(self, pending: PendingCommand | None, now: float) -> None:
        """Halt the motor, whatever the focuser is doing and whatever is known of it."""
        if self._halt is None:
            self._halt = MotorHalt(self.channel, self._pending_start, now)
        if pending is not None:
            self._log('info', 'stop requested')
            self._halt.join(pending, now)
        if self._operation is not None and self._operation.moves_motor:
            self._drop_operation('stopped before it began')

    def secure(self, now: float) -> bool:
        """Before the port is closed: halt a motion of ours; returns whether that is not over yet.

        Without a link nothing can be halted: then a motion that has lost its supervision is not over.
        """
        if self._link_down is not None:
            return self.motor_may_run
        if self.motor_may_run and self._halt is None:
            self.stop(None, now)
        self._drop_operation('given up: the daemon disconnects')
        return self.motor_may_run

    def _drop_operation(self, reason: str) -> None:
        """End an operation whose request is not on the wire."""
        if self._operation is not None and not self._operation.went_out:
            self._operation.abort(reason, level='warning')
            self._release()

    # The link to the hub

    def link_goes_down(self, status: int, reason: str, now: float) -> None:
        """There is no link to the hub: nothing is known any more, and everything under way has failed.

        `status` is what to report until the link is up: Disabled, Initializing or Error.
        """
        if self._link_down is None:
            if self.motor_may_run:
                self._unsupervised.supervision_lost(now)
            if self._operation is not None:
                self._operation.abort(f'failed: {reason}', level='warning', final=True)
                self._release()
            if self._halt is not None:
                for caller in self._halt.take_callers():
                    self._effects.resolve(caller, Outcome.FAILED)
                self._halt = None
            self._forget()
        if status == FocuserStatus.Disabled:
            self._state.reported_at = None   # the connection is over; an outage is not its end
        self._link_down = availability.LinkDown(reason, status)
        self._logged_reason = reason if status == FocuserStatus.Error else None

    def link_comes_up(self, now: float) -> None:
        """The port is open: read everything again. An outage that was reported lasts until the hub answers.

        A motion of ours that has lost its supervision is halted without a poll before: it may be about to begin.
        """
        self._forget()
        if self._link_down is not None and self._link_down.status == FocuserStatus.Error:
            self._polling.known_reason = self._link_down.reason
        self._link_down = None
        self._pending_start.link_opened(now)
        if self._unsupervised.is_lost_motion:
            if not self._lost_motion_logged:
                self._lost_motion_logged = True
                self._log('warning', 'halting, because the last motion was not followed to its end')
            self.stop(None, now)

    def _forget(self) -> None:
        self._state.forget()
        self._polling.restart()
        self._beyond_range = None
        self._misplaced = None
        self._arrived = None

    def report_silence(self, reason: str) -> None:
        """A caller has waited for this channel: report at once that it does not answer."""
        self._polling.known_reason = self._polling.silence or reason

    def machine_slept(self, now: float) -> None:
        """The machine was suspended: a poll has to show where the focuser is. An operation goes on with it."""
        if self._link_down is None:
            self._state.lose_position()
            self._state.config_at = -math.inf   # nothing is set in motion by the settings of before
            self._arrived = None
            self._polling.read_now()

    def read_now(self) -> None:
        """Read settings and status as soon as possible, whatever the pace."""
        self._polling.read_now()

    def hub_restarts(self, by_change_of_this: bool, now: float) -> None:
        """A change that restarts the hub has gone out: the position is not known, and the motor may begin to run."""
        if by_change_of_this or self._state.status is not None:   # not on a channel that is not there
            self._unsupervised.hub_restarts(now, self._limits.home_timeout_s)
            self._state.lose_position(comparable=not by_change_of_this)
            self._polling.read_now()

    # A source of requests

    @property
    def expects_silence(self) -> bool:
        """Whether a change is under way that restarts the channel."""
        return isinstance(self._operation, ChangeSetting) and self._operation.may_silence_hub

    @property
    def failed_polls(self) -> int:
        """Polls that have failed in a row."""
        return self._polling.failures

    def next_request(self, now: float) -> NextRequest:
        """The request that this focuser needs next."""
        if self._link_down is not None:
            return never(self.channel)
        if self._halt is not None:
            return self._halt.next_request(now)
        if self._state.needs_config and (self._state.config is None or self.failed_polls != 1):
            wanted = NextRequest(-math.inf, GetConfig(self.channel))
        elif self._operation is None:
            wanted = self._polling.next_request()
        elif self._polling.config_must_be_repeated and not self.failed_polls:
            wanted = NextRequest(-math.inf, GetConfig(self.channel))
        else:
            wanted = self._next_of_operation(self._operation, now)
        if self._misplaced is not None:
            return NextRequest(now, GetStatus(self.channel), Priority.SAFETY_POLL)
        if self._operation is None and (self._neighbours_start.may_begin(now) or self._pending_start.survives(now)):
            last = max(self._state.status_at, self._neighbours_start.sent_at)
            watched_at = last + self._limits.moving_loop_delay_s
            wanted = min(wanted, NextRequest(watched_at, GetStatus(self.channel)), key=lambda each: each.due)
        if self._operation is not None and not self._operation.moves_motor:
            wanted = wanted._replace(timeout_s=SHORT_TIMEOUT_S)
        not_before = self._polling.not_before
        return wanted if wanted.due >= not_before else wanted._replace(due=not_before)

    def _next_of_operation(self, operation: Operation, now: float) -> NextRequest:
        wanted = operation.next_request()
        if self._needs_fresh_config:
            return NextRequest(wanted.due, GetConfig(self.channel))
        if operation.phase is Phase.WATCH:
            if self._polling.config_due <= now < wanted.due - CONFIG_GAP_S:
                return NextRequest(now, GetConfig(self.channel))
            return wanted._replace(follows_motion=operation.moves_motor)
        return wanted

    @property
    def _needs_fresh_config(self) -> bool:
        """Whether the settings have to be read again before the operation sets anything in motion."""
        operation = self._operation
        if operation is None or operation.phase not in (Phase.CHECK, Phase.SEND) \
                or isinstance(operation, ChangeSetting):
            return False
        oldest = operation.began_at if operation.went_out else operation.began_at - CONFIG_MAX_AGE_S
        return self._state.config_at < oldest

    def sent(self, request: Request, now: float) -> None:
        """A request has gone out for this focuser."""
        if isinstance(request, Halt):
            self._state.hub_compensation.halt_sent(now)
        if self._halt is not None:
            self._halt.sent(request)
        elif self._operation is not None and request == self._operation.request():
            self._operation.sent(now)
            if self._operation.moves_motor:
                self._unsupervised.end()   # from now on, the operation follows the motor
                status = self._state.status
                self._pending_start.sent(request, None if status is None else status.counts, now)

    def answered(self, request: Request, reply: Reply, sent_at: float, now: float) -> None:
        """A reply came to a request that went out at `sent_at`, for this or for another channel."""
        if request.channel != self.channel or self._link_down is not None:
            return
        self._polling.not_before = -math.inf   # it answers
        config = self._state.config
        if isinstance(reply, ConfigReport):
            self._learn_config(reply, sent_at, now)
        elif isinstance(reply, CompensationReport):
            self._state.compensation = reply
            if self._operation is not None:
                self._operation.learn_settings(reply, sent_at, now)
        elif isinstance(reply, StatusReport) and config is not None and reply.counts > config.max_counts:
            self._reject_position(request, reply, config.max_counts, sent_at, now)
        elif isinstance(reply, StatusReport):
            self._learn_status(reply, sent_at, now)
        elif isinstance(request, Halt):
            self._note_halted(now)
            if self._halt is not None:
                self._halt.accepted(now)
        elif self._operation is not None and self._operation.phase is Phase.SEND \
                and request == self._operation.request():
            self._operation.accepted(now)   # not a request that was given up, nor one of another operation
        self._settle(now)

    def failed(self, request: Request, error: HubError, now: float, for_this: bool) -> None:
        """An exchange was refused, garbled, not answered, or interrupted.

        A report of this channel that did not come counts as a failed poll, whichever source requested it.
        """
        if for_this or (request.channel == self.channel and isinstance(request, (GetStatus, GetConfig))):
            self._note_failed_poll(request, error, now)
        if not for_this:
            return
        if isinstance(error, Silent):
            self._state.hub_compensation.not_answered()
        if self._halt is not None:
            self._halt.exchange_failed(request, now)
            self._polling.not_before = -math.inf
        if self._operation is not None and not isinstance(request, Halt):
            self._operation.exchange_failed(request, error, now)
            if isinstance(error, Refused) and isinstance(request, (MoveTo, SeekHome)):
                self._pending_start.end()
        self._settle(now)

    def _note_failed_poll(self, request: Request, error: HubError, now: float) -> None:
        at_rest = self._operation is None
        self._polling.failed(request, error, now, self._limits.idle_loop_delay_s if at_rest
                             else self._limits.moving_loop_delay_s)

    def reply_is_lost(self, channel: int) -> None:
        """An exchange that was interrupted would never have been answered: its poll has failed."""
        if channel == self.channel:
            self._polling.interrupted_polls_have_failed()

    def hub_is_silent(self) -> None:
        """Requests of several sources in a row got no answer: one failed poll of this channel is proof enough."""
        self._polling.hub_is_silent()

    def deadline(self, now: float) -> float:
        """When `tick` has something to do next."""
        times = [self._unsupervised.until]
        if self._operation is not None:
            times.append(self._operation.deadline)
        if self._halt is not None:
            times += [self._halt.halt_due, self._halt.answer_callers_at, self._halt.answer_operation_at]
        return min((when for when in times if when > now), default=math.inf)

    def tick(self, now: float, quietly: bool) -> None:
        """Check the deadlines of commands and of unsupervised motion; log if the focuser can be used, unless `quietly`.
        """
        if self._operation is not None:
            self._operation.tick(now)
        if self._halt is not None and now >= self._halt.answer_callers_at:
            self._halt_not_confirmed(self._halt)
        elif self._halt is not None and now >= self._halt.answer_operation_at:
            self._leave_operation_to_halt()
        if self._unsupervised.until <= now and self._halt is None:
            self._log('error', 'the motion caused by a changed setting did not end in time; halting')
            self.stop(None, now)
        self._settle(now)
        if not quietly:
            self._log_reason(now)

    # What follows from reports

    def _learn_config(self, config: ConfigReport, sent_at: float, now: float) -> None:
        state, operation = self._state, self._operation
        compensated = state.hub_compensation.is_expected
        before = state.learn_config(config, sent_at, now, isinstance(operation, ChangeSetting))
        if before is None:
            if state.config_surprises > 1:
                self._polling.config_contradicted(now)
                if isinstance(operation, ChangeSetting):
                    operation.read_again_later(now)
            if state.contradiction is not None:
                self._give_up('the settings differ in each report of the hub')
            return
        if before.device_type != config.device_type:
            self._log('warning', f'device type of the hub changed from {before.device_type} to {config.device_type}')
        if before.max_counts != config.max_counts:
            self._log('warning', f'Max Pos of the hub changed from {before.max_counts} to {config.max_counts}: '
                                 f'all positions in steps have shifted')
            self._give_up('the range of the hub has changed')
        changed_by_us = isinstance(operation, ChangeSetting) and operation.key == 'temperature_compensation'
        if compensated and not config.compensating and not changed_by_us:
            self._log('warning', 'temperature compensation is off: a halt has ended it')
        if state.self_moving_settings:
            self._give_up(state.self_moving_settings[0])
        self._polling.config_received(sent_at, now, again_soon=bool(state.self_moving_settings))
        if self._operation is not None:
            self._operation.learn_settings(config, sent_at, now)

    def _give_up(self, reason: str) -> None:
        """The settings that the operation depends on have changed: abort it."""
        if self._operation is not None and not isinstance(self._operation, ChangeSetting):
            self._operation.abort(f'given up: {reason}', level='warning')
            if self._operation.phase is Phase.ENDED:
                self._release()

    def _learn_status(self, status: StatusReport, sent_at: float, now: float) -> None:
        state, operation = self._state, self._operation
        self._arrived = None
        explained = operation is not None and operation.phase is not Phase.CHECK and operation.explains(status.counts)
        may_have_moved = explained or self._halt is not None or self._unsupervised.is_lost_motion
        if not state.learn_status(status, sent_at, may_have_moved):
            self._polling.status_due = -math.inf
            return
        assert state.status is not None
        status = state.status
        drifts = availability.drifts(state, now)
        self._log_stall()
        pace_s = self._limits.moving_loop_delay_s if status.moving and not drifts else self._limits.idle_loop_delay_s
        self._polling.status_received(sent_at, pace_s, at_rest=operation is None and self._halt is None)
        misplaced = self._why_misplaced(status, sent_at)
        self._pending_start.seen(status)
        if self._halt is not None:
            if self._halt.learn_status(status, sent_at, now):
                state.adopt_position_as_target()
                self._halted(self._halt, state.in_steps(status.counts), now)
            return
        seen_twice = operation is None or self._misplaced is not None
        self._misplaced = None if seen_twice else misplaced
        if misplaced is not None and seen_twice:
            self._halt_misplaced(misplaced, now)
            return
        if not explained and self._unsupervised.follows_restart:
            state.adopt_position_as_target()
            self._unsupervised.seen(status, sent_at)
        elif not explained:
            message = state.follow_others_motion()
            if message is not None:
                self._log('info' if state.hub_compensation.is_expected else 'warning', message)
        settings_first = state.awaits_config and not status.moving   # nothing is done in a range that is not known
        if operation is not None and not settings_first \
                and not (operation.phase is Phase.CHECK and self._needs_fresh_config):
            operation.learn_status(status, sent_at, now)
            if operation.outcome is Outcome.DONE:
                self._pending_start.end()

    def _why_misplaced(self, status: StatusReport, at: float) -> str | None:
        """Why a motion is ours although no operation of this channel asks for it: not for us to halt if None."""
        operation, start = self._operation, self._neighbours_start
        if isinstance(operation, Motion) and operation.went_out \
                and abs(status.target_counts - operation.target_counts) <= MAX_BACKLASH_STEPS:
            return None
        if at > start.sent_at and start.explains(status):
            return 'the hub has misheard the channel of a request to the other focuser'
        if operation is None and status.moving and start.has_failed(at) \
                and start.sent_at <= self._state.others_motion_seen_at <= start.sent_at + START_LIMIT_S:
            return 'it began when the other focuser should have begun to move'
        if operation is None and self._pending_start.survives(at) and self._pending_start.explains(status):
            return 'a request from before the outage has reached the hub'
        return None

    def _halt_misplaced(self, reason: str, now: float) -> None:
        if self._operation is not None and self._operation.moves_motor:
            self._operation.abort(f'failed: {reason}')
        else:
            self._log('error', f'the motor runs without a command: {reason}; halting')
            self.stop(None, now)

    def _reject_position(self, request: Request, status: StatusReport, max_counts: int, sent_at: float,
                         now: float) -> None:
        """A position beyond Max Pos: neither is believed any more, and the settings are read again.

        The report still shows whether the motor runs: for a halt, and, when it comes twice, for a change of the setting
        that makes both agree.
        """
        error = Garbled(f'the hub reports {status.counts} counts, beyond its Max Pos of {max_counts}')
        self._note_failed_poll(request, error, now)
        self._polling.read_next()
        came_twice, self._beyond_range = status.counts == self._beyond_range, status.counts
        if self._halt is not None:
            self._polling.not_before = -math.inf
            if self._halt.learn_status(status, sent_at, now):
                self._state.lose_position(comparable=False)
                self._halted(self._halt, f'{status.counts} counts, beyond Max Pos', now)
        elif isinstance(self._operation, ChangeSetting) and came_twice:
            self._operation.learn_status(status, sent_at, now)
        elif self._operation is not None:
            self._operation.exchange_failed(request, error, now)

    # The halt

    def _note_halted(self, now: float) -> None:
        if self._state.hub_compensation.halt_answered(now):
            self._log('warning', 'temperature compensation is off: a halt has ended it')
            self._polling.read_next()

    def _halted(self, halt: MotorHalt, where: str, now: float) -> None:
        """A status after HALT shows the motor at rest, at a position in words."""
        self._note_halted(now)
        callers = halt.take_callers()
        self._halt = None
        self._lost_motion_logged = self._unconfirmed_logged = False
        self._unsupervised.end()
        operation = self._operation
        if operation is not None and operation.moves_motor and operation.went_out:
            if operation.phase is Phase.HALTING:
                self._log('info', f'halted at {where}')
            operation.abort(f'stopped at {where}', level='warning', final=True)
            self._release()
        elif callers or halt.callers_answered:
            self._log('info', f'stopped at {where}')
        for caller in callers:
            self._effects.resolve(caller, Outcome.DONE)

    def _halt_not_confirmed(self, halt: MotorHalt) -> None:
        """The callers cannot wait any longer for the motor to be at rest: end their wait, and go on halting."""
        callers = halt.stop_waiting()
        if callers or (self.motor_may_run and not self._unconfirmed_logged):
            self._unconfirmed_logged = True
            self._log('error', f'the hub did not confirm the halt: {self._polling.error or "the motor still runs"}')
        if callers:
            self._failure = 'stop not confirmed by the hub: the motor may still run'
        for caller in callers:
            self._effects.resolve(caller, Outcome.FAILED)
        self._leave_operation_to_halt()
        if self._state.config is None and not self.motor_may_run:
            self._halt = None   # a channel that has never answered: there may be none

    def _leave_operation_to_halt(self) -> None:
        """Give the caller of a motion its outcome, even if others request a stop again; the halt goes on."""
        operation = self._operation
        if isinstance(operation, Motion) and operation.went_out:
            operation.abort('failed: the halt was not confirmed, and the motor may still run', level='warning',
                            final=True)
            self._unsupervised.supervision_lost(operation.began_at)
            self._state.target_counts = self._state.requested_counts = operation.target_counts
            self._release()

    # The end of operations, and the log

    def _settle(self, now: float) -> None:
        """Do what follows from a decision of the operation: halt the motor, or end."""
        operation, state = self._operation, self._state
        if operation is None:
            return
        if operation.phase is Phase.HALTING and self._halt is None:
            self.stop(None, now)
        elif operation.phase is Phase.ENDED:
            arrived = isinstance(operation, Move) and operation.outcome is Outcome.DONE
            self._arrived = state.status if arrived else None
            if isinstance(operation, ChangeSetting) and operation.outcome is not Outcome.DONE and operation.went_out:
                self._polling.read_now()   # the hub may have changed it all the same
            self._release()
            if state.status is not None and not state.moving:
                state.adopt_position_as_target()

    def _release(self) -> None:
        """The operation has ended."""
        assert self._operation is not None
        self._failure, self._operation = self._operation.failure, None

    def _log_stall(self) -> None:
        """Log when a motor begins to be stalled, and when it moves again."""
        state, status = self._state, self._state.status
        if status is None or state.is_stalled == self._stall_logged:
            return
        self._stall_logged = state.is_stalled
        if state.is_stalled:
            self._log('warning', f'not moving: the hub says IsMoving = 1, but the position stays at '
                                 f'{state.in_steps(status.counts)}; jammed?')
        elif status.moving:
            self._log('info', 'moves again')

    def _log_reason(self, now: float) -> None:
        """Log why the focuser cannot be used when that begins, and when it ends."""
        status, reason = availability.judge(self._facts, now)
        if self._link_down is not None or status == FocuserStatus.Initializing \
                or _without_numbers(reason) == _without_numbers(self._logged_reason):
            return
        if reason is None:
            self._log('info', 'usable again')
        elif self._state.status is None or availability.is_silent(self._facts):
            if self._logged_reason is not None or self._polling.failures < 2:
                return
            self._log('error', reason)
        else:
            self._log('warning' if status == FocuserStatus.Disconnected else 'error', reason)
        self._logged_reason = reason

    def _log(self, level: str, message: str) -> None:
        self._effects.log(level, f'channel {self.channel}: {message}')


def _title(command: Any) -> str:
    """A command in the reason of its refusal."""
    title: str = command.setting.key if isinstance(command, Configure) else OPERATIONS[type(command)].title
    return title


def _without_numbers(reason: str | None) -> str | None:
    """What makes a reason a new one for the log: other numbers alone do not."""
    return None if reason is None else re.sub('[0-9]+', '0', reason)

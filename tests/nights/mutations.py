# SPDX-License-Identifier: GPL-3.0-or-later
"""Small, deliberate faults in the core. Each breaks a promise, and the nights have to notice.

They replace public names of the core: one that is gone fails the test, since a fault that is not there proves nothing.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

from warwick.observatory.focuslynx.core import (
    availability,
    exchange,
    focuser,
    halt,
    homing,
    hub,
    move,
    operation,
    pending_start,
    polling,
)
from warwick.observatory.focuslynx.core.commands import Outcome
from warwick.observatory.focuslynx.core.configure import ChangeSetting
from warwick.observatory.focuslynx.core.exchange import LateReplies
from warwick.observatory.focuslynx.core.focuser import Focuser
from warwick.observatory.focuslynx.core.focuser_state import FocuserState
from warwick.observatory.focuslynx.core.halt import MotorHalt
from warwick.observatory.focuslynx.core.homing import Homing
from warwick.observatory.focuslynx.core.limits import StepScale
from warwick.observatory.focuslynx.core.move import CORRECTION_LIMIT, Move
from warwick.observatory.focuslynx.core.operation import Operation, Phase
from warwick.observatory.focuslynx.core.reply_parser import ReplyParser
from warwick.observatory.focuslynx.core.reports import GetStatus, StatusReport
from warwick.observatory.focuslynx.core.requests import (
    Halt,
    HubError,
    MoveTo,
    NextRequest,
    Priority,
    Reply,
    Request,
    SeekHome,
)
from warwick.observatory.focuslynx.core.scheduler import Scheduler
from warwick.observatory.focuslynx.core.snapshot import FocuserSnapshot
from warwick.observatory.focuslynx.core.unsupervised import UnsupervisedMotion

Patches = list[tuple[Any, str, Any]]


def first_rest_ends_a_move() -> Patches:
    def learn_status(self: Move, status: StatusReport, at: float, now: float) -> None:
        if self.phase is Phase.WATCH and not status.moving:
            self.succeed('done')
        else:
            real(self, status, at, now)

    real = Move.learn_status
    return [(Move, 'learn_status', learn_status)]


def a_move_without_answer_is_sent_again() -> Patches:
    def exchange_failed(self: Move, request: Request, error: HubError, now: float) -> None:
        if isinstance(request, MoveTo):
            self.phase = Phase.SEND
        else:
            real(self, request, error, now)

    real = Move.exchange_failed
    return [(Move, 'exchange_failed', exchange_failed)]


def a_limit_is_off_by_one() -> Patches:
    def allows(self: StepScale, steps: int) -> bool:
        return self.min_steps - 1 <= steps <= self.max_steps + 1

    return [(StepScale, 'allows', allows)]


def a_wake_up_is_lost() -> Patches:
    def next_time(self: Scheduler, now: float) -> float:
        return math.inf if self.is_waiting else real(self, now)

    real = Scheduler.next_time
    return [(Scheduler, 'next_time', next_time)]


def a_halt_waits_its_turn() -> Patches:
    def next_request(self: MotorHalt, now: float) -> NextRequest:
        wanted = real(self, now)
        return wanted._replace(due=wanted.due + 3.0) if isinstance(wanted.request, Halt) else wanted

    real = MotorHalt.next_request
    return [(MotorHalt, 'next_request', next_request)]


def a_poll_goes_before_the_halt() -> Patches:
    def next_request(self: MotorHalt, now: float) -> NextRequest:
        wanted = real(self, now)
        if wanted.priority is Priority.FIRST_HALT:
            return NextRequest(wanted.due, GetStatus(wanted.request.channel))
        return wanted

    real = MotorHalt.next_request
    return [(MotorHalt, 'next_request', next_request)]


class CarelessParser(ReplyParser):
    """Takes the report of either channel for the one that was requested."""

    def __init__(self, request: Request, skip_stale: bool = False) -> None:
        super().__init__(request, skip_stale)
        self.own_channel = str(request.channel).encode()

    def feed(self, data: bytes) -> Reply | None:
        return super().feed(re.sub(b'(STATUS|CONFIG)[12]', lambda found: found[1] + self.own_channel, data))


def a_late_reply_is_taken_for_that_of_the_other_channel() -> Patches:
    return [(LateReplies, 'add', lambda self, exchange, now: None), (exchange, 'ReplyParser', CarelessParser)]


def old_reports_are_believed() -> Patches:
    return [(FocuserSnapshot, 'at', lambda self, now: self), (availability, 'is_silent', lambda facts: False)]


def a_failed_move_is_not_halted() -> Patches:
    def abort(self: Move, reason: str, outcome: Outcome = Outcome.FAILED, level: str = 'error',
              final: bool = False) -> None:
        real(self, reason, outcome, level, final=True)

    real = Move.abort
    return [(Move, 'abort', abort)]


def a_motion_that_lost_its_supervision_is_forgotten() -> Patches:
    return [(UnsupervisedMotion, 'supervision_lost', lambda self, now: None)]


def a_lost_link_is_not_opened_again() -> Patches:
    return [(hub, 'REOPEN_S', math.inf)]


def any_rest_is_the_target() -> Patches:
    def learn_status(self: Move, status: StatusReport, at: float, now: float) -> None:
        real(self, status, at, now)
        if status.moving:
            moved.add(id(self))
        elif id(self) in moved and self.phase is Phase.WATCH:
            self.succeed('done')

    real = Move.learn_status
    moved: set[int] = set()
    return [(Move, 'learn_status', learn_status)]


def settings_are_read_only_once() -> Patches:
    return [(polling, 'CONFIG_PACE_S', math.inf), (focuser, 'CONFIG_MAX_AGE_S', math.inf)]


def a_caller_gets_no_outcome_after_a_lost_link() -> Patches:
    def abort(self: Operation, reason: str, outcome: Outcome = Outcome.FAILED, level: str = 'error',
              final: bool = False) -> None:
        if not (final and reason.startswith('failed')):
            real(self, reason, outcome, level, final)

    real = Operation.abort
    return [(Operation, 'abort', abort)]


def only_one_motor_is_secured() -> Patches:
    def secure(self: Focuser, now: float) -> bool:
        return self.channel == 1 and real(self, now)

    real = Focuser.secure
    return [(Focuser, 'secure', secure)]


def homing_without_answer_is_begun_again() -> Patches:
    def exchange_failed(self: Homing, request: Request, error: HubError, now: float) -> None:
        if isinstance(request, SeekHome):
            self.phase = Phase.SEND
        else:
            real(self, request, error, now)

    real = Homing.exchange_failed
    return [(Homing, 'exchange_failed', exchange_failed)]


def a_change_is_done_when_the_hub_says_set() -> Patches:
    def accepted(self: ChangeSetting, now: float) -> None:
        self.succeed('done')

    def exchange_failed(self: ChangeSetting, request: Request, error: HubError, now: float) -> None:
        self.succeed('done')

    return [(ChangeSetting, 'accepted', accepted), (ChangeSetting, 'exchange_failed', exchange_failed)]


def a_focuser_that_is_not_homed_is_taken_for_idle() -> Patches:
    return [(FocuserState, 'must_be_homed', False)]


def a_correction_is_taken_for_the_end_of_a_move() -> Patches:
    def learn_status(self: Move, status: StatusReport, at: float, now: float) -> None:
        close = abs(status.counts - self.target_counts) <= CORRECTION_LIMIT
        if self.phase is Phase.WATCH and close and not status.moving:
            self.succeed('done')
        else:
            real(self, status, at, now)

    real = Move.learn_status
    return [(Move, 'learn_status', learn_status)]


def an_overshoot_may_pass_the_limit() -> Patches:
    def max_steps(self: StepScale) -> int:
        return min(self.soft_step_limits[1], self.zero_counts - 1)

    return [(StepScale, 'max_steps', property(max_steps))]


def rest_is_believed_without_halted() -> Patches:
    return [(MotorHalt, 'learn_status', lambda self, status, at, now: not status.moving)]


def a_move_begins_while_the_focuser_is_moved_by_hand() -> Patches:
    return [(Move, 'needs_rest', False)]


def a_motor_has_to_begin_within_a_third_of_a_second() -> Patches:
    users = (pending_start, availability, focuser, halt, homing, move, operation)
    return [(module, 'START_LIMIT_S', 0.3) for module in users]


def late_replies_expire_while_the_link_is_silent() -> Patches:
    return [(LateReplies, 'expire', lambda self, now: self.clear())]


def disconnecting_is_done_while_a_motor_runs() -> Patches:
    return [(Focuser, 'secure', lambda self, now: False)]


def halt_is_never_sent_again_to_a_running_motor() -> Patches:
    def learn_status(self: MotorHalt, status: StatusReport, at: float, now: float) -> bool:
        at_rest = real(self, status, at, now)
        self.halt_due = math.inf
        return at_rest

    real = MotorHalt.learn_status
    return [(MotorHalt, 'learn_status', learn_status)]


def homing_ends_at_the_first_rest() -> Patches:
    def learn_status(self: Homing, status: StatusReport, at: float, now: float) -> None:
        if self.phase is Phase.WATCH and not status.moving:
            self.succeed('done')
        else:
            real(self, status, at, now)

    real = Homing.learn_status
    return [(Homing, 'learn_status', learn_status)]


MUTATIONS: dict[str, Callable[[], Patches]] = {function.__name__: function for function in (
    first_rest_ends_a_move, a_move_without_answer_is_sent_again, a_limit_is_off_by_one,
    a_wake_up_is_lost, a_halt_waits_its_turn, a_poll_goes_before_the_halt,
    a_late_reply_is_taken_for_that_of_the_other_channel, old_reports_are_believed, a_failed_move_is_not_halted,
    a_motion_that_lost_its_supervision_is_forgotten, a_lost_link_is_not_opened_again, any_rest_is_the_target,
    settings_are_read_only_once, a_caller_gets_no_outcome_after_a_lost_link, only_one_motor_is_secured,
    homing_without_answer_is_begun_again, a_change_is_done_when_the_hub_says_set,
    a_focuser_that_is_not_homed_is_taken_for_idle, a_correction_is_taken_for_the_end_of_a_move,
    an_overshoot_may_pass_the_limit, rest_is_believed_without_halted, a_move_begins_while_the_focuser_is_moved_by_hand,
    a_motor_has_to_begin_within_a_third_of_a_second, late_replies_expire_while_the_link_is_silent,
    disconnecting_is_done_while_a_motor_runs, halt_is_never_sent_again_to_a_running_motor,
    homing_ends_at_the_first_rest)}


@contextlib.contextmanager
def mutated(name: str) -> Iterator[None]:
    """The core with one of the faults, for as long as the block lasts. Raises if it does not apply."""
    with contextlib.ExitStack() as stack:
        for owner, attribute, replacement in MUTATIONS[name]():
            if attribute.startswith('_'):
                raise AttributeError(f'{attribute} of {owner.__name__} is not public: a rename could disarm this fault')
            stack.enter_context(mock.patch.object(owner, attribute, replacement))
        yield

# SPDX-License-Identifier: GPL-3.0-or-later
"""Small, deliberate faults in the core. Each breaks a promise, and the nights have to notice."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

from warwick.observatory.focuslynx.core import availability as standing
from warwick.observatory.focuslynx.core import exchange, orders
from warwick.observatory.focuslynx.core import focuser as channel
from warwick.observatory.focuslynx.core import halt as halting
from warwick.observatory.focuslynx.core import hub as controller
from warwick.observatory.focuslynx.core import limits as settings
from warwick.observatory.focuslynx.core import operation as task
from warwick.observatory.focuslynx.core import scheduler as traffic
from warwick.observatory.focuslynx.core import snapshot as view
from warwick.observatory.focuslynx.core.commands import Outcome
from warwick.observatory.focuslynx.core.configure import ChangeSetting
from warwick.observatory.focuslynx.core.homing import Homing
from warwick.observatory.focuslynx.core.move import Move
from warwick.observatory.focuslynx.core.operation import Phase
from warwick.observatory.focuslynx.core.reports import StatusReport
from warwick.observatory.focuslynx.core.requests import HubError, MoveTo, ReplyParser, Request, SeekHome

Patches = list[tuple[Any, str, Any]]


def first_rest_ends_a_move() -> Patches:
    def follow(self: Move, status: StatusReport, at: float, now: float) -> None:
        if status.moving:
            real(self, status, at, now)
        else:
            self._end(Outcome.DONE, 'info', 'done')

    real = Move._follow
    return [(Move, '_follow', follow)]


def a_move_without_answer_is_sent_again() -> Patches:
    def failed_exchange(self: Move, request: Request, error: HubError, now: float) -> None:
        if isinstance(request, MoveTo):
            self.phase = Phase.SEND
        else:
            real(self, request, error, now)

    real = Move.failed_exchange
    return [(Move, 'failed_exchange', failed_exchange)]


def a_limit_is_off_by_one() -> Patches:
    def allows(self: settings.StepScale, steps: int) -> bool:
        return self.min_steps - 1 <= steps <= self.max_steps + 1

    return [(settings.StepScale, 'allows', allows)]


def a_wake_up_is_lost() -> Patches:
    def next_time(self: traffic.Scheduler, now: float) -> float:
        return math.inf if self.exchange is not None else real(self, now)

    real = traffic.Scheduler.next_time
    return [(traffic.Scheduler, 'next_time', next_time)]


def a_halt_waits_its_turn() -> Patches:
    def wanted(self: channel.Focuser, now: float) -> tuple[float, Request]:
        due, request = real(self, now)
        return (due + 3.0 if isinstance(request, halting.Halt) else due), request

    real = channel.Focuser.wanted
    return [(channel.Focuser, 'wanted', wanted), (channel.Focuser, 'halt_due', math.inf)]


def a_poll_goes_before_the_halt() -> Patches:
    def wanted(self: halting.MotorHalt, now: float) -> tuple[float, Request]:
        return self.halt_due, halting.GetStatus(self._channel) if self.first and self._waiting else halting.Halt(
            self._channel)

    return [(halting.MotorHalt, 'wanted', wanted)]


def a_late_reply_is_taken_for_that_of_the_other_channel() -> Patches:
    def is_payload(self: ReplyParser, text: str) -> bool:
        request = self._request
        return text.split()[0] in request.words or bool(request.header and text.startswith(request.header))

    return [(exchange.Owed, 'add', lambda self, exchange, now: None), (ReplyParser, '_is_payload', is_payload)]


def old_reports_are_believed() -> Patches:
    return [(view.FocuserSnapshot, 'at', lambda self, now: self),
            (channel.Focuser, '_silent', lambda self, now: False)]


def a_failed_move_is_not_halted() -> Patches:
    def give_up(self: Move, why: str) -> None:
        self._end(Outcome.FAILED, 'error', why)

    return [(Move, 'give_up', give_up)]


def a_motion_that_lost_its_supervision_is_forgotten() -> Patches:
    def line_up(self: channel.Focuser, now: float) -> None:
        self._unattended = False
        real(self, now)

    real = channel.Focuser.line_up
    return [(channel.Focuser, 'line_up', line_up)]


def a_lost_link_is_not_opened_again() -> Patches:
    return [(controller, 'REOPEN_S', math.inf)]


def any_rest_is_the_target() -> Patches:
    def follow(self: Move, status: StatusReport, at: float, now: float) -> None:
        real(self, status, at, now)
        if self._resting is not None and self.phase is Phase.WATCH:
            self._end(Outcome.DONE, 'info', 'done')

    real = Move._follow
    return [(Move, '_follow', follow)]


def settings_are_read_only_once() -> Patches:
    return [(channel, 'CONFIG_PACE_S', math.inf), (orders, 'CONFIG_MAX_AGE_S', math.inf)]


def a_caller_is_not_told_of_a_lost_link() -> Patches:
    def cancel(self: task.Operation, reason: str) -> None:
        if not reason.startswith('failed'):
            real(self, reason)

    real = task.Operation.cancel
    return [(task.Operation, 'cancel', cancel)]


def only_one_motor_is_secured() -> Patches:
    def secure(self: controller.Hub, now: float) -> bool:
        return any(channel.secure(now) for channel in list(self._channels.values())[:1])

    return [(controller.Hub, '_secure', secure)]


def homing_without_answer_is_begun_again() -> Patches:
    def failed_exchange(self: Homing, request: Request, error: HubError, now: float) -> None:
        if isinstance(request, SeekHome):
            self.phase = Phase.SEND
        else:
            real(self, request, error, now)

    real = Homing.failed_exchange
    return [(Homing, 'failed_exchange', failed_exchange)]


def a_change_is_done_when_the_hub_says_set() -> Patches:
    def accepted(self: ChangeSetting, now: float) -> None:
        self._end(Outcome.DONE, 'info', 'done')

    def failed_exchange(self: ChangeSetting, request: Request, error: HubError, now: float) -> None:
        self._end(Outcome.DONE, 'info', 'done')

    return [(ChangeSetting, 'accepted', accepted), (ChangeSetting, 'failed_exchange', failed_exchange)]


def a_focuser_that_is_not_homed_is_taken_for_idle() -> Patches:
    return [(standing.Standing, '_unhomed', False)]


def a_correction_is_taken_for_the_end_of_a_move() -> Patches:
    def follow(self: Move, status: StatusReport, at: float, now: float) -> None:
        if self._compensated and not status.moving and status.counts != self._start_counts:
            self._end(Outcome.DONE, 'info', 'done')
        else:
            real(self, status, at, now)

    real = Move._follow
    return [(Move, '_follow', follow)]


def an_overshoot_may_pass_the_limit() -> Patches:
    def max_steps(self: settings.StepScale) -> int:
        return min(self.soft_step_limits[1], self.zero_counts - 1)

    return [(settings.StepScale, 'max_steps', property(max_steps))]


MUTATIONS: dict[str, Callable[[], Patches]] = {function.__name__: function for function in (
    first_rest_ends_a_move, a_move_without_answer_is_sent_again, a_limit_is_off_by_one,
    a_wake_up_is_lost, a_halt_waits_its_turn, a_poll_goes_before_the_halt,
    a_late_reply_is_taken_for_that_of_the_other_channel, old_reports_are_believed, a_failed_move_is_not_halted,
    a_motion_that_lost_its_supervision_is_forgotten, a_lost_link_is_not_opened_again, any_rest_is_the_target,
    settings_are_read_only_once, a_caller_is_not_told_of_a_lost_link, only_one_motor_is_secured,
    homing_without_answer_is_begun_again, a_change_is_done_when_the_hub_says_set,
    a_focuser_that_is_not_homed_is_taken_for_idle, a_correction_is_taken_for_the_end_of_a_move,
    an_overshoot_may_pass_the_limit)}


@contextlib.contextmanager
def mutated(name: str) -> Iterator[None]:
    """The core with one of the faults, for as long as the block lasts."""
    with contextlib.ExitStack() as stack:
        for owner, attribute, replacement in MUTATIONS[name]():
            stack.enter_context(mock.patch.object(owner, attribute, replacement))
        yield

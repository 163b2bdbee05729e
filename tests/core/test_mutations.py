# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults that are put into the core on purpose: for each a situation, in simulated time, goes wrong by it.

The nights (tests/nights/mutations.py) find the faults that random trouble finds. Those here need a certain situation.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, NamedTuple
from unittest import mock

import pytest

from tests.core.world import SETTINGS, World
from warwick.observatory.focuslynx.core import move, operation, pending_start, scheduler, unsupervised
from warwick.observatory.focuslynx.core.commands import (
    Configure,
    Connect,
    Disconnect,
    Effects,
    Home,
    MoveFocuser,
    Outcome,
    PendingCommand,
    SetZero,
    Stop,
)
from warwick.observatory.focuslynx.core.configure import ChangeSetting
from warwick.observatory.focuslynx.core.exchange import LateReplies
from warwick.observatory.focuslynx.core.focuser import Focuser
from warwick.observatory.focuslynx.core.focuser_state import FocuserState
from warwick.observatory.focuslynx.core.halt import MotorHalt
from warwick.observatory.focuslynx.core.homing import Homing
from warwick.observatory.focuslynx.core.hub import Hub
from warwick.observatory.focuslynx.core.move import Move
from warwick.observatory.focuslynx.core.operation import Motion, Operation, Phase, Preconditions
from warwick.observatory.focuslynx.core.pending_start import PendingStart
from warwick.observatory.focuslynx.core.poll_timing import Arrival
from warwick.observatory.focuslynx.core.reports import ConfigReport, StatusReport
from warwick.observatory.focuslynx.core.zero import Zero
from warwick.observatory.focuslynx.hub_settings import HUB_SETTINGS

Patch = tuple[Any, str, Any]


class Mutation(NamedTuple):
    """A fault as patches of public names, and the situation that is right without it and wrong with it."""

    patches: list[Patch]
    is_right: Callable[[], bool]


def ready(**hub: str) -> World:
    world = World(hub=hub).connected()
    world.run(1)
    return world


def heard_as(world: World, sent: bytes, heard: bytes) -> None:
    """The hub mishears the next such request."""
    left = [sent]

    def wrote(data: bytes) -> bytes:
        return data.replace(left.pop(), heard) if left and data.startswith(left[0]) else data

    world.wrote = wrote   # type: ignore[method-assign]


def polled_later(delay_s: float) -> Callable[..., None]:
    real = Arrival.seen

    def seen(self: Arrival, at: float, counts: int) -> None:
        real(self, at, counts)
        self.next_poll = at + delay_s

    return seen


def polls_keep_the_pace_of_a_moving_focuser() -> bool:
    world = ready()
    world.ask(MoveFocuser(1, 8000))
    world.run(6)
    return len(world.requests(b'<F1GETSTATUS>', since=1002)) >= 8


def a_focuser_short_of_its_target_is_halted() -> bool:
    world = ready()
    world.hub.focusers[1].short_by = 5
    return world.do(MoveFocuser(1, 500)) is Outcome.FAILED and len(world.requests(b'F1HALT')) >= 1


def final_abort(self: Move, reason: str, outcome: Outcome = Outcome.FAILED, level: str = 'error',
                final: bool = False) -> None:
    Operation.abort(self, reason, outcome, level, final=True)


def a_halt_that_another_channel_heard_is_sent_again() -> bool:
    world = ready()
    world.ask(MoveFocuser(1, 9000))
    world.run(1)
    heard_as(world, b'<F1HALT>', b'<F2HALT>')
    world.ask(Stop(1))
    world.run(3)
    return not world.hub.focusers[1].running


def halt_once() -> Callable[..., bool]:
    real = MotorHalt.learn_status

    def learn_status(self: MotorHalt, status: StatusReport, at: float, now: float) -> bool:
        ended = real(self, status, at, now)
        self.halt_due = float('inf')
        return ended

    return learn_status


def moved_by_hand(command: Any, word: bytes) -> Callable[[], bool]:
    def is_right() -> bool:
        world = ready()
        world.hub.hand(1, 3000, world.now)
        world.run(1)
        return world.do(command) is Outcome.FAILED and world.requests(word) == []

    return is_right


def no_move_begins_while_the_motor_is_halted() -> bool:
    world = ready(start_latency='1.5')
    world.ask(MoveFocuser(1, 3000))
    world.run(0.2)
    world.ask(Stop(1))
    world.run(0.2)
    return world.do(MoveFocuser(1, 500)) is Outcome.FAILED and len(world.requests(b'MA')) == 1


def careless_preconditions(command: MoveFocuser, state: FocuserState, situation: Any) -> Preconditions:
    return Preconditions(True)


def homing_ends_with_its_motion() -> bool:
    world = ready(type='OE', speed='20000', moving_latency='1.0')
    caller = world.ask(Home(1))
    return world.finish(caller) is Outcome.DONE and caller.waited_s > 5


def first_rest_ends(kind: type[Motion]) -> Callable[..., None]:
    real = kind.learn_status

    def learn_status(self: Motion, status: StatusReport, at: float, now: float) -> None:
        if self.phase is Phase.WATCH and not status.moving:
            self.succeed('done')
        else:
            real(self, status, at, now)

    return learn_status


def one_misread_ismoving_ends_no_move() -> bool:
    world = ready()
    caller = world.ask(MoveFocuser(1, 5000))
    world.run(2)
    spoil = world.faults.spoil
    left = ['once']

    def misread(reply: bytes) -> bytes:
        if b'IsMoving = 1' in reply and left:
            left.pop()
            reply = reply.replace(b'IsMoving = 1', b'IsMoving = 0')
        return spoil(reply)

    world.faults.spoil = misread   # type: ignore[method-assign]
    return world.finish(caller) is Outcome.DONE


def a_link_with_garbage_has_to_be_quiet() -> bool:
    world = ready()
    world.faults.garble = 1
    world.until(lambda: world.faults.garble == 0)
    garbled_at = world.now
    world.until(lambda: world.sent[-1][0] > garbled_at)
    return world.sent[-1][0] - garbled_at >= 0.1


def owed_replies_outlast_silence_and_the_first_byte() -> bool:
    late = LateReplies()
    late.add_unknown()
    late.expire(1e6)
    owed_in_silence = bool(late)
    late.bytes_came(b'STAT', 1e6 + 1)
    return owed_in_silence and bool(late)


def a_report_from_before_a_change_confirms_nothing() -> bool:
    config = ConfigReport('', 'FA', 65535, False, False, False, led=40)
    state = FocuserState(SETTINGS)
    state.learn_config(config, 0.0, 0.0)
    state.learn_config(config, 0.0, 0.0)
    command = Configure(1, HUB_SETTINGS['led'], 40)
    change = ChangeSetting(PendingCommand(command, lambda outcome: None), command, Effects(), SETTINGS, state, 10.0)
    change.sent(10.0)
    change.accepted(10.1)
    change.learn_settings(config, 9.0, 10.2)
    return change.outcome is None


def believed_whenever_requested() -> Callable[..., None]:
    real = ChangeSetting.learn_settings

    def learn_settings(self: ChangeSetting, report: Any, at: float, now: float) -> None:
        real(self, report, now, now)

    return learn_settings


def a_focuser_far_from_its_target_is_not_sent_again() -> bool:
    world = World(replace(SETTINGS, allow_hub_compensation=True), hub={'tcomp': '1'}).connected()
    world.run(1)
    world.hub.focusers[1].short_by = 500
    return world.do(MoveFocuser(1, 3000)) is Outcome.FAILED and len(world.requests(b'MA')) == 1


def a_stop_waits_for_a_start_that_halt_did_not_cancel() -> bool:
    world = ready(start_latency='1.0', halt_cancels_start='0')
    world.ask(MoveFocuser(1, 9000))
    world.run(0.2)
    done = world.do(Stop(1)) is Outcome.DONE
    at = world.hub.focusers[1].position
    world.run(5)
    return done and world.hub.focusers[1].position == at


def a_lost_halt_ends_no_stop_while_the_motor_may_begin() -> bool:
    world = ready(start_latency='1.0')
    world.ask(MoveFocuser(1, 9000))
    world.run(0.2)
    world.faults.lose_requests = 1
    stop = world.ask(Stop(1))
    world.finish(stop)
    at = world.hub.focusers[1].position
    world.run(5)
    return world.hub.focusers[1].position == at


def a_late_motor_arrives() -> bool:
    return ready(start_latency='1.5').do(MoveFocuser(1, 700)) is Outcome.DONE


def a_silent_move_is_not_sent_again_while_it_may_begin() -> bool:
    hub = {'start_latency': '1.5', 'late_target': '1'}
    world = World(replace(SETTINGS, serial_timeout_s=0.5), hub=hub).connected()
    world.run(1)
    caller = world.ask(MoveFocuser(1, 3000))
    world.until(lambda: bool(world.requests(b'MA')))
    world.faults.mute_next = 1
    return world.finish(caller) is Outcome.DONE and len(world.requests(b'MA')) == 1


def no_disconnect_is_done_while_a_motor_runs() -> bool:
    world = ready()
    world.ask(MoveFocuser(1, 9000))
    world.run(1)
    world.faults.deafen()
    return world.do(Disconnect()) is Outcome.FAILED and world.port_open


def the_wrong_motor_is_halted() -> bool:
    world = ready()
    heard_as(world, b'<F1MA', b'<F2MA')
    world.do(MoveFocuser(1, 9000))
    world.run(3)
    return not world.hub.focusers[2].running


def a_misheard_target_is_halted_on_the_way() -> bool:
    world = ready()
    focuser = world.hub.focusers[1]
    heard = focuser.position + 9000
    heard_as(world, f'<F1MA{heard - 5000:06d}'.encode(), f'<F1MA{heard:06d}'.encode())
    return world.do(MoveFocuser(1, 4000)) is Outcome.FAILED and focuser.position < heard


def every_target_seems_to_be_ours() -> Callable[..., None]:
    real = Move.learn_status

    def learn_status(self: Move, status: StatusReport, at: float, now: float) -> None:
        real(self, status._replace(target_counts=self.target_counts), at, now)

    return learn_status


class WithinRange(int):
    """A position that passes for one within Max Pos, whatever that is."""

    def __gt__(self, other: object) -> bool:
        return False


def any_position_is_within_range() -> Callable[..., None]:
    real = Focuser.answered

    def answered(self: Focuser, request: Any, reply: Any, sent_at: float, now: float) -> None:
        if isinstance(reply, StatusReport):
            reply = reply._replace(counts=WithinRange(reply.counts))
        real(self, request, reply, sent_at, now)

    return answered


def a_focuser_beyond_max_pos_has_no_position() -> bool:
    world = ready()
    focuser = world.hub.focusers[1]
    focuser.place(focuser.memory.max_pos + 100)
    world.run(30)
    return world.snapshot(1).current_steps is None


def an_offset_counts_from_where_the_focuser_is() -> bool:
    world = ready()
    focuser = world.hub.focusers[1]
    here = focuser.position + 500
    focuser.place(here)
    return world.do(MoveFocuser(1, 100, offset=True)) is Outcome.DONE and focuser.position == here + 100


def the_target_stays_as_requested() -> Callable[..., None]:
    real = Move.learn_status

    def learn_status(self: Move, status: StatusReport, at: float, now: float) -> None:
        target_steps = self.target_steps
        real(self, status, at, now)
        self.target_steps = target_steps

    return learn_status


def a_late_motion_by_a_restart_is_halted_before_the_port_closes() -> bool:
    world = ready(restart='1', start_latency='4', moving_latency='0.1', speed='5000')
    assert world.do(Configure(1, HUB_SETTINGS['device_type'], 'OE')) is Outcome.DONE
    focuser = world.hub.focusers[1]
    assert world.until(lambda: focuser.running, limit_s=20.0)
    world.do(Disconnect())
    return not focuser.running


def the_halted_of_one_channel_secures_no_other() -> bool:
    world = ready(start_latency='2.0')
    world.ask(MoveFocuser(2, 9000))
    world.run(0.2)
    world.core, world.port_open = Hub(SETTINGS, 'the port', lost_motions=frozenset({1, 2})), False   # a new process
    world.faults.settings.reply_delay, world.faults.delay_replies = 0.3, 1
    world.ask(Connect())
    world.until(lambda: bool(world.requests(b'<F1HALT>')))
    world.run(0.01)
    world.faults.lose_requests = 1   # the HALT of channel 2
    here = world.hub.focusers[2].position
    world.run(20)
    return world.hub.focusers[2].position == here


MUTATIONS = {
    'a moving focuser is polled at the idle pace': Mutation(
        [(Arrival, 'seen', polled_later(5.0))], polls_keep_the_pace_of_a_moving_focuser),
    'a focuser short of its target is not halted': Mutation(
        [(Move, 'abort', final_abort)], a_focuser_short_of_its_target_is_halted),
    'HALT is never sent again to a running motor': Mutation(
        [(MotorHalt, 'learn_status', halt_once())], a_halt_that_another_channel_heard_is_sent_again),
    'a zero is accepted while the focuser moves': Mutation(
        [(Zero, 'needs_rest', False)], moved_by_hand(SetZero(1), b'SCCP')),
    'a move is begun while the focuser is moved by hand': Mutation(
        [(Move, 'needs_rest', False)], moved_by_hand(MoveFocuser(1, 500), b'MA')),
    'a second move begins while the motor is halted': Mutation(
        [(Move, 'preconditions', staticmethod(careless_preconditions))], no_move_begins_while_the_motor_is_halted),
    'homing is done at the first rest': Mutation(
        [(Homing, 'learn_status', first_rest_ends(Homing))], homing_ends_with_its_motion),
    'the standstill takes no time': Mutation(
        [(operation, 'STANDSTILL_S', 0.0)], one_misread_ismoving_ends_no_move),
    'the quiet after garbage takes no time': Mutation(
        [(scheduler, 'QUIET_S', 0.0)], a_link_with_garbage_has_to_be_quiet),
    'owed replies are forgotten at the first byte': Mutation(
        [(LateReplies, 'bytes_came', lambda self, data, quiet_at: self.clear())],
        owed_replies_outlast_silence_and_the_first_byte),
    'owed replies expire while the link is silent': Mutation(
        [(LateReplies, 'expire', lambda self, now: self.clear())], owed_replies_outlast_silence_and_the_first_byte),
    'a report from before a change confirms it': Mutation(
        [(ChangeSetting, 'learn_settings', believed_whenever_requested())],
        a_report_from_before_a_change_confirms_nothing),
    'any distance may be a correction': Mutation(
        [(move, 'CORRECTION_LIMIT', 10 ** 6)], a_focuser_far_from_its_target_is_not_sent_again),
    'rest is believed without HALTED': Mutation(
        [(MotorHalt, 'learn_status', lambda self, status, at, now: not status.moving)],
        a_lost_halt_ends_no_stop_while_the_motor_may_begin),
    'a motor has to begin within 0.3 s': Mutation(
        [(module, 'START_LIMIT_S', 0.3) for module in (pending_start, operation, move)], a_late_motor_arrives),
    'a silent move is sent again at once': Mutation(
        [(module, 'START_LIMIT_S', 0.0) for module in (pending_start, operation, move)],
        a_silent_move_is_not_sent_again_while_it_may_begin),
    'a stop does not wait for a pending start': Mutation(
        [(PendingStart, 'may_begin', lambda self, at: False)], a_stop_waits_for_a_start_that_halt_did_not_cancel),
    'disconnecting is done while a motor runs': Mutation(
        [(Focuser, 'secure', lambda self, now: False)], no_disconnect_is_done_while_a_motor_runs),
    'the wrong motor is not halted': Mutation(
        [(PendingStart, 'explains', lambda self, status: False), (PendingStart, 'has_failed', lambda self, at: False)],
        the_wrong_motor_is_halted),
    'a misheard target is not halted': Mutation(
        [(Move, 'learn_status', every_target_seems_to_be_ours())], a_misheard_target_is_halted_on_the_way),
    'a position beyond Max Pos is believed': Mutation(
        [(Focuser, 'answered', any_position_is_within_range())], a_focuser_beyond_max_pos_has_no_position),
    'an offset counts from a stale target': Mutation(
        [(Move, 'learn_status', the_target_stays_as_requested())], an_offset_counts_from_where_the_focuser_is),
    'a restarted hub settles at once': Mutation(
        [(unsupervised, 'RESTART_SETTLES_S', 0.0)], a_late_motion_by_a_restart_is_halted_before_the_port_closes),
    'HALTED counts for the other channel': Mutation(
        [(LateReplies, 'may_answer', lambda self, halt: False)], the_halted_of_one_channel_secures_no_other),
}


@pytest.mark.parametrize('name', MUTATIONS)
def test_a_broken_core_does_the_wrong_thing(name: str) -> None:
    mutation = MUTATIONS[name]
    assert mutation.is_right(), 'without the fault'
    with ExitStack() as stack:
        for owner, attribute, replacement in mutation.patches:
            assert not attribute.startswith('_'), 'a rename could disarm this fault'
            stack.enter_context(mock.patch.object(owner, attribute, replacement))
        assert not mutation.is_right(), 'with the fault'

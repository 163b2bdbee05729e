# SPDX-License-Identifier: GPL-3.0-or-later
"""When a channel counts as silent: when its polls have failed, and not before; in simulated time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.core.world import SETTINGS, World
from warwick.observatory.focuslynx.constants import CHANNELS, FocuserStatus
from warwick.observatory.focuslynx.core.commands import (
    Connect,
    Effects,
    MoveFocuser,
    Outcome,
    PendingCommand,
    QueryHub,
    SetZero,
    Stop,
)
from warwick.observatory.focuslynx.core.exchange import LateReplies
from warwick.observatory.focuslynx.core.focuser_state import FocuserState
from warwick.observatory.focuslynx.core.operation import Phase
from warwick.observatory.focuslynx.core.reports import GetConfig, GetStatus, StatusReport
from warwick.observatory.focuslynx.core.requests import Halt
from warwick.observatory.focuslynx.core.zero import Zero

SLACK_S = 0.15   # the exchanges that are not bad


class Watched(World):
    """A world that notes every state below Idle."""

    below: list[tuple[float, int, str | None]]

    def happened(self) -> None:
        for n in CHANNELS:
            snapshot = self.snapshot(n)
            if snapshot.status < FocuserStatus.Idle and hasattr(self, 'below'):
                self.below.append((self.now, n, snapshot.error))

    def watch(self) -> Watched:
        self.below = []
        return self


def watched(**settings: float) -> Watched:
    world = Watched(replace(SETTINGS, **settings))   # type: ignore[arg-type]
    assert world.do(Connect()) is Outcome.DONE
    world.run(1)
    return world.watch()


@pytest.mark.parametrize('delay_s, timeout_s, idle_s', [
    (1.2, 2.0, 5.0), (0.8, 1.0, 1.0), (1.9, 2.0, 5.0), (0.3, 0.5, 0.2)])
def test_a_hub_that_answers_slowly_makes_no_alarm(delay_s: float, timeout_s: float, idle_s: float) -> None:
    world = watched(serial_timeout_s=timeout_s, idle_loop_delay_s=idle_s)
    world.faults.settings.delay = delay_s
    world.run(120 * idle_s)
    assert world.below == []


def test_no_move_is_refused_on_a_slow_hub() -> None:
    world = watched()
    world.faults.settings.delay = 1.2
    for number in range(40):
        callers = [world.ask(MoveFocuser(n, 100 * (number % 2))) for n in CHANNELS]
        assert [world.finish(caller) for caller in callers] == [Outcome.DONE] * 2
        world.run(number % 7)
    assert world.below == []


BAD_REPLIES: dict[str, Callable[[World], None]] = {
    'truncated': lambda world: setattr(world.faults, 'cut', 1),
    'garbled': lambda world: setattr(world.faults, 'garble', 1),
    'lost': lambda world: setattr(world.faults, 'mute_next', 1),
    'not heard': lambda world: setattr(world.faults, 'lose_requests', 1),
    'doubled': lambda world: setattr(world.faults, 'double', 1),
}


@pytest.mark.parametrize('bad', BAD_REPLIES)
@pytest.mark.parametrize('idle_s', [0.3, 5.0])
def test_one_bad_reply_shows_no_channel_below_idle(bad: str, idle_s: float) -> None:
    world = watched(idle_loop_delay_s=idle_s)
    for number in range(8):
        BAD_REPLIES[bad](world)
        world.run(3 * idle_s + 1.3 + number / 10)
    assert world.below == []


@pytest.mark.parametrize('bad', BAD_REPLIES)
def test_one_bad_reply_refuses_no_command(bad: str) -> None:
    world = watched()
    for number in range(1, 11):
        BAD_REPLIES[bad](world)
        world.run(2.5 + number / 10)   # some of them in the middle of the bad exchange
        assert world.do(MoveFocuser(1, 10 * number)) is Outcome.DONE
        world.run(10)
    assert world.below == []


def test_the_second_poll_follows_a_failed_one_at_once() -> None:
    world = watched(idle_loop_delay_s=60.0)
    world.until(lambda: world.sent[-1][1] == b'<F1GETSTATUS>' and world.core.is_waiting)
    world.faults.mute_next = 1
    sent_at = world.sent[-1][0]
    world.run(5)
    times = [at for at, data in world.sent if data.startswith(b'<F1') and at > sent_at]
    assert times[0] - sent_at <= world.settings.serial_timeout_s + SLACK_S


@pytest.mark.parametrize('later_s', [0.0, 0.01, 2.0, 4.99])
def test_a_mute_hub_is_in_error_when_two_polls_have_failed(later_s: float) -> None:
    world = watched()
    world.run(20 + later_s)
    world.faults.mute()
    settings = world.settings
    reported_at = {n: world.snapshot(n).as_of for n in CHANNELS}
    for n in CHANNELS:
        while world.snapshot(n).status == FocuserStatus.Idle:
            reported_at[n] = world.snapshot(n).as_of
            world.run(0.01)
        other_s = settings.serial_timeout_s
        bound_s = settings.idle_loop_delay_s + 2 * settings.serial_timeout_s + other_s
        assert world.below[0][0] - reported_at[n] <= bound_s + SLACK_S
    first = {n: next(at for at, channel, _ in world.below if channel == n) for n in CHANNELS}
    for n in CHANNELS:
        assert first[n] - reported_at[n] <= bound_s + SLACK_S
        assert first[n] - reported_at[n] >= settings.idle_loop_delay_s + settings.serial_timeout_s


def test_a_channel_that_dies_while_the_other_one_moves_is_noticed() -> None:
    world = watched()
    world.run(20)
    move = world.ask(MoveFocuser(1, 25000))
    world.run(1)
    world.hub.variants.thirdlynx = True   # channel 2 answers no more
    reported_at = world.snapshot(2).as_of
    world.until(lambda: world.snapshot(2).status == FocuserStatus.Error)
    assert move.outcome is None
    assert world.now - reported_at <= world.settings.oldest_report_s
    world.until(lambda: move.outcome is not None)
    assert move.outcome is Outcome.DONE


def test_a_silent_channel_is_usable_when_a_position_is_confirmed() -> None:
    world = watched()
    world.run(20)
    world.faults.mute()
    world.run(60)
    assert world.snapshot(1).status == FocuserStatus.Error
    world.hub.focusers[1].place(32767 + 300)   # a surprise, which one report does not confirm
    world.faults.unmute()
    world.until(lambda: world.snapshot(1).status != FocuserStatus.Error)
    assert (world.snapshot(1).status, world.snapshot(1).current_steps) == (FocuserStatus.Idle, 300)


@pytest.mark.parametrize('mute_s', [0.0, 12.0, 60.0])
def test_a_silent_channel_is_idle_by_the_settings_of_now(mute_s: float) -> None:
    world = watched()
    world.until(lambda: world.sent[-1][1] == b'<F1GETCONFIG>' and world.core.is_waiting)
    world.faults.mute()
    world.until(lambda: world.snapshot(1).status == FocuserStatus.Error)
    world.run(mute_s)
    world.hub.set('max_pos.1', '90001', world.now)   # by another program
    world.faults.unmute()
    while world.snapshot(1).status == FocuserStatus.Error:
        world.run(0.001)
    assert world.snapshot(1).current_steps == 32767 - 45000


def test_a_new_connect_makes_no_silent_channel_idle() -> None:
    world = watched()
    world.run(20)
    world.faults.mute()
    world.until(lambda: world.snapshot(1).status == FocuserStatus.Error)
    world.ask(Connect())
    world.below.clear()
    world.run(3)
    assert world.snapshot(1).status == FocuserStatus.Error


def test_garbled_replies_of_one_channel_silence_no_hub() -> None:
    world = watched()
    dropped = [False]

    def answer(request: bytes) -> list[tuple[float, bytes]]:
        reply = world.hub.receive(request, world.now)
        if request.startswith(b'<F2'):
            return [(0.01, b'!\nSTATUS9\n' + b'x' * 20 + b'\n')]
        if request == b'<F1GETSTATUS>' and not dropped[0]:
            dropped[0] = True
            return []
        return [(0.01, reply)]

    world.answers(answer)
    world.run(300)
    assert dropped[0]
    assert [error for _, n, error in world.below if n == 1] == []
    assert world.snapshot(2).status == FocuserStatus.Error
    assert not world.logged('no connection')


def test_a_query_that_failed_is_made_again_at_once() -> None:
    world = watched()
    world.faults.mute()
    query = world.ask(QueryHub())
    world.until(lambda: query.outcome is not None)
    assert query.outcome is Outcome.FAILED
    world.faults.unmute()
    again = world.ask(QueryHub())
    assert again.outcome is None
    world.until(lambda: again.outcome is not None)
    world.run(5)   # until no late reply can come any more
    assert world.do(QueryHub()) is Outcome.DONE


def test_a_query_that_succeeded_is_not_made_again_at_once() -> None:
    world = watched()
    assert world.do(QueryHub()) is Outcome.DONE
    sent = len(world.sent)
    assert world.do(QueryHub()) is Outcome.DONE
    assert len(world.sent) == sent


def test_a_zero_succeeds_by_no_report_from_before_its_request() -> None:
    state = FocuserState(SETTINGS)
    world = World().connected()
    reports = world.snapshot(1).reports
    assert reports is not None
    for _ in range(2):
        state.learn_config(reports.config, 0.0, 0.0)
    outcomes: list[Outcome] = []
    zero = Zero(PendingCommand(SetZero(1), outcomes.append), SetZero(1), Effects(), SETTINGS, state, 0.0)
    in_the_middle = StatusReport(counts=32767, target_counts=32767, moving=False, temperature_c=9.0, probe_present=True)
    zero.learn_status(in_the_middle, 0.0, 0.02)
    assert zero.phase is Phase.SEND
    zero.learn_status(in_the_middle, 0.03, 0.05)   # a report that had to come before the request could go out
    assert zero.phase is Phase.SEND
    zero.sent(0.06)
    zero.accepted(0.08)
    zero.learn_status(in_the_middle, 0.08, 0.1)
    assert zero.outcome is Outcome.DONE


def test_halted_settles_nothing_from_before_the_port_was_opened() -> None:
    late = LateReplies()
    late.add_unknown()
    assert not late.is_settled_by(Halt(1))
    assert late.is_settled_by(GetStatus(1)) and late.is_settled_by(GetConfig(2))
    late.clear()
    assert late.is_settled_by(Halt(1))


@pytest.mark.parametrize('stall_s', [5.5, 6.0, 12.0, 20.0])
@pytest.mark.parametrize('timeout_s', [0.5, 1.0, 2.0])
def test_replies_that_stall_and_come_in_order_are_not_believed(stall_s: float, timeout_s: float) -> None:
    world = watched(serial_timeout_s=timeout_s)
    world.faults.stall(world.now + stall_s)
    world.until(lambda: len(world.requests(b'<F1GETSTATUS>')) > 3, 10)
    world.hub.hand(1, 1234, world.now)
    moved_at = world.now
    world.run(8)

    while world.now < moved_at + stall_s + 30:
        world.run(0.05)
        snapshot = world.snapshot(1)
        truth = world.hub.focusers[1].position - 32767
        untrue = snapshot.status == FocuserStatus.Idle and snapshot.current_steps != truth
        assert not untrue or (snapshot.reported_at or 0.0) <= moved_at + 4, 'an old position with a new date'
    assert world.snapshot(1).current_steps == 1234


def test_that_an_exchange_gave_way_is_no_reason_of_an_error() -> None:
    world = World(replace(SETTINGS, serial_timeout_s=5.0)).connected()
    world.faults.mute()
    for _ in range(20):
        world.ask(Stop(1))
        world.run(0.7)
        assert 'given up' not in (world.snapshot(1).error or '') + (world.snapshot(2).error or '')

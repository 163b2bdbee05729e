# SPDX-License-Identifier: GPL-3.0-or-later
"""The course of a move, in simulated time, against the simulated hub."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from tests.core.world import SETTINGS, World
from warwick.observatory.focuslynx.constants import FocuserStatus
from warwick.observatory.focuslynx.core.commands import Command, MoveFocuser, Outcome, SetZero, Stop


def test_a_move_ends_on_its_target() -> None:
    world = World().connected()
    assert world.do(MoveFocuser(1, 500)) is Outcome.DONE
    snapshot = world.snapshot(1)
    assert snapshot.status == FocuserStatus.Idle
    assert (snapshot.current_steps, snapshot.target_steps, snapshot.requested_steps) == (500, 500, 500)
    assert world.hub.focusers[1].position == 32767 + 500
    assert world.requests(b'MA') == [b'<F1MA033267>']


@pytest.mark.parametrize('rhythm_s', [0.05, 0.5, 3.0])
@pytest.mark.parametrize('steps', [1, 37, 800, 12345, -12345])
def test_a_move_ends_on_its_target_however_coarse_the_clock(rhythm_s: float, steps: int) -> None:
    world = World(replace(SETTINGS, moving_loop_delay_s=rhythm_s)).connected()
    assert world.do(MoveFocuser(1, steps)) is Outcome.DONE
    assert world.hub.focusers[1].position == 32767 + steps
    assert not world.hub.focusers[1].moving


def test_the_state_is_moving_from_first_request_to_last_report() -> None:
    world = World().connected()
    caller = world.ask(MoveFocuser(1, 3000))
    states = set()
    while caller.outcome is None:
        states.add(world.snapshot(1).status)
        world.run(0.01)
    assert states == {FocuserStatus.Moving}
    assert world.snapshot(1).status == FocuserStatus.Idle


def test_a_moving_channel_reports_where_it_is_and_where_it_goes() -> None:
    world = World().connected()
    world.ask(MoveFocuser(1, 3000))
    world.run(1.7)
    snapshot = world.snapshot(1)
    assert 500 < (snapshot.current_steps or 0) < 2000
    assert (snapshot.target_steps, snapshot.requested_steps) == (3000, 3000)


def test_both_channels_move_at_the_same_time() -> None:
    world = World().connected()
    first, second = world.ask(MoveFocuser(1, 3000)), world.ask(MoveFocuser(2, -3000))
    world.until(lambda: first.outcome is not None and second.outcome is not None)
    assert (first.outcome, second.outcome) == (Outcome.DONE, Outcome.DONE)
    assert max(first.waited_s, second.waited_s) < 3.2
    assert [world.hub.focusers[n].position for n in (1, 2)] == [32767 + 3000, 32767 - 3000]


def test_a_move_to_where_the_focuser_is_needs_no_motion() -> None:
    world = World().connected()
    assert world.do(MoveFocuser(1, 0)) is Outcome.DONE
    assert world.requests(b'MA') == []


def test_an_offset_counts_from_the_target() -> None:
    world = World().connected()
    world.do(MoveFocuser(1, 500))
    assert world.do(MoveFocuser(1, -200, offset=True)) is Outcome.DONE
    assert world.snapshot(1).current_steps == 300


def test_an_offset_counts_from_where_the_focuser_was_put_by_hand() -> None:
    world = World().connected()
    world.hub.hand(1, 1000, world.now)   # at 400 steps/s
    world.run(3)
    assert world.snapshot(1).current_steps == 0, 'the daemon cannot know yet'
    assert world.do(MoveFocuser(1, 10, offset=True)) is Outcome.DONE
    assert world.hub.focusers[1].position == 32767 + 1010


@pytest.mark.parametrize(('steps', 'outcome'), [
    (30000, Outcome.DONE), (-30000, Outcome.DONE),
    (30001, Outcome.OUTSIDE_LIMITS), (-30001, Outcome.OUTSIDE_LIMITS), (2**70, Outcome.OUTSIDE_LIMITS),
])
def test_the_soft_limits_are_inclusive(steps: int, outcome: Outcome) -> None:
    world = World().connected()
    assert world.do(MoveFocuser(1, steps)) is outcome
    assert len(world.requests(b'MA')) == (outcome is Outcome.DONE)


@pytest.mark.parametrize(
    ('max_pos', 'low', 'high'), [(65535, -32766, 32766), (112000, -55999, 55999), (1001, -499, 499)])
def test_the_range_of_the_hub_limits_as_well(max_pos: int, low: int, high: int) -> None:
    world = World(replace(SETTINGS, soft_step_limits=(-60000, 60000)), hub={'max_pos': str(max_pos)}).connected()
    assert (world.snapshot(1).min_steps, world.snapshot(1).max_steps) == (low, high)
    assert world.do(MoveFocuser(1, high + 1)) is Outcome.OUTSIDE_LIMITS
    assert world.do(MoveFocuser(1, low - 1)) is Outcome.OUTSIDE_LIMITS
    assert world.do(MoveFocuser(1, high)) is Outcome.DONE
    assert world.do(MoveFocuser(1, low)) is Outcome.DONE
    assert world.hub.focusers[1].position == max_pos // 2 + low


def test_an_offset_beyond_the_limits_is_refused() -> None:
    world = World().connected()
    world.do(MoveFocuser(1, 29990))
    assert world.do(MoveFocuser(1, 11, offset=True)) is Outcome.OUTSIDE_LIMITS
    assert world.do(MoveFocuser(1, 10, offset=True)) is Outcome.DONE


def test_a_motor_may_start_late() -> None:
    world = World(hub={'start_latency': '1.9'}).connected()
    assert world.do(MoveFocuser(1, 700)) is Outcome.DONE
    assert world.hub.focusers[1].position == 32767 + 700


def test_a_motor_that_never_starts_is_halted_and_the_move_failed() -> None:
    world = World(hub={'start_latency': '60'}).connected()
    caller = world.ask(MoveFocuser(1, 700))
    assert world.finish(caller) is Outcome.FAILED
    assert caller.waited_s < 5
    assert world.requests()[-2:] == [b'<F1HALT>', b'<F1GETSTATUS>']
    assert world.logged('not begun within 2.5 s')
    world.run(120)
    assert world.hub.focusers[1].position == 32767


def test_a_move_that_takes_too_long_is_halted_and_failed() -> None:
    world = World(replace(SETTINGS, move_timeout_s=3.0)).connected()
    caller = world.ask(MoveFocuser(1, 10000))
    assert world.finish(caller) is Outcome.FAILED
    assert 3.0 <= caller.waited_s < 3.5
    assert not world.hub.focusers[1].moving
    assert world.snapshot(1).status == FocuserStatus.Idle
    assert world.snapshot(1).target_steps == world.snapshot(1).current_steps
    assert world.logged('not finished within 3 s')


def test_a_jammed_focuser_fails_its_move_and_is_halted() -> None:
    world = World(replace(SETTINGS, move_timeout_s=10.0)).connected()
    caller = world.ask(MoveFocuser(1, 5000))
    world.run(2)
    world.hub.focusers[1].jam()
    assert world.finish(caller) is Outcome.FAILED
    assert len(world.requests(b'MA')) == 1
    assert len(world.requests(b'HALT')) == 1


def test_a_focuser_at_rest_short_of_its_target_has_failed() -> None:
    world = World().connected()
    caller = world.ask(MoveFocuser(1, 2000))
    world.after(1.0, lambda: world.hub.receive(b'<F1HALT>', world.now, port=9))
    assert world.finish(caller) is Outcome.FAILED
    assert caller.waited_s < 3
    assert world.logged('halted by hand or by another program at')
    assert len(world.requests(b'MA')) == 1, 'the target must not be sent again'
    assert world.snapshot(1).status == FocuserStatus.Idle
    assert world.snapshot(1).target_steps == world.snapshot(1).current_steps != 2000


def test_a_move_that_others_redirect_has_failed() -> None:
    world = World().connected()
    caller = world.ask(MoveFocuser(1, 2000))
    world.after(1.0, lambda: world.hub.receive(b'<F1MA033000>', world.now, port=9))
    assert world.finish(caller) is Outcome.FAILED
    assert world.snapshot(1).current_steps == world.snapshot(1).target_steps == 33000 - 32767


def test_a_target_that_the_hub_clamps_is_not_reached() -> None:
    world = World(hub={'ma_over_limit': 'clamp'}).connected()
    world.hub.focusers[1].memory.max_pos = 33000
    caller = world.ask(MoveFocuser(1, 2000))
    assert world.finish(caller) is Outcome.FAILED
    assert len(world.requests(b'MA')) == 1


def test_a_move_during_a_motion_by_hand_is_refused() -> None:
    world = World().connected()
    world.hub.hand(1, 3000, world.now)
    assert world.do(MoveFocuser(1, 100)) is Outcome.FAILED
    assert world.requests(b'MA') == []
    assert world.logged('is being moved by hand or by another program')


def test_a_move_back_after_a_motion_by_hand_is_carried_out() -> None:
    world = World().connected()
    world.do(MoveFocuser(1, 100))
    world.hub.hand(1, 300, world.now)
    world.run(2)
    assert world.do(MoveFocuser(1, 100)) is Outcome.DONE
    assert world.hub.focusers[1].position == 32767 + 100
    assert len(world.requests(b'MA')) == 2


def test_motion_by_hand_is_reported_and_the_target_follows() -> None:
    world = World().connected()
    world.hub.hand(1, 8000, world.now)   # at 400 steps/s
    world.run(6)
    assert world.snapshot(1).status == FocuserStatus.Moving
    world.run(20)
    snapshot = world.snapshot(1)
    assert (snapshot.status, snapshot.current_steps, snapshot.target_steps, snapshot.requested_steps) == (
        FocuserStatus.Idle, 8000, 8000, 8000)
    assert world.requests(b'MA') == world.requests(b'HALT') == []
    assert len(world.logged('moved by hand or by another program')) == 2


def test_a_failed_move_does_not_latch_the_channel() -> None:
    world = World(replace(SETTINGS, move_timeout_s=3.0)).connected()
    assert world.do(MoveFocuser(1, 10000)) is Outcome.FAILED
    assert world.do(MoveFocuser(1, 1500)) is Outcome.DONE


def test_a_move_refused_once_is_tried_once_more() -> None:
    world = World().connected()
    refuse = iter([b'!\nER=4 Cannot Execute Command While Device Is Moving\n'])
    _answer_moves(world, refuse)
    assert world.do(MoveFocuser(1, 500)) is Outcome.DONE
    assert len(world.requests(b'MA')) == 2


def test_a_move_that_is_always_refused_leaves_a_usable_channel() -> None:
    world = World().connected()
    _answer_moves(world, iter([b'ER=1 No\n'] * 9))
    caller = world.ask(MoveFocuser(1, 500))
    assert world.finish(caller) is Outcome.FAILED
    assert caller.waited_s < 1
    assert len(world.requests(b'MA')) == 2
    assert world.snapshot(1).status == FocuserStatus.Idle
    assert world.logged('refused <F1MA033267>: ER=1 No')


def test_a_move_is_not_begun_when_the_hub_falls_silent_before_it() -> None:
    world = World().connected()
    world.faults.mute()
    caller = world.ask(MoveFocuser(1, 500))
    assert world.finish(caller) is Outcome.FAILED
    assert world.requests(b'MA') == []


def test_a_move_is_logged_when_it_is_requested_and_when_it_ends() -> None:
    world = World().connected()
    world.log.clear()
    world.do(MoveFocuser(2, -350))
    requested, arrived = (line for _, line in world.log)
    assert requested == 'info: channel 2: move to -350 steps requested, from +0'
    assert re.fullmatch(r'info: channel 2: arrived at -350 steps after 0\.\d s', arrived)


def test_commands_for_a_channel_without_focuser_are_refused() -> None:
    world = World(hub={'channels': '1'}).connected()
    assert world.snapshot(2).status == FocuserStatus.Disconnected
    assert world.do(MoveFocuser(2, 100)) is Outcome.NOT_AVAILABLE
    assert world.do(Stop(2)) is Outcome.DONE, 'HALT is sent whatever state the channel is in'


def _answer_moves(world: World, answers: object) -> None:
    """Let the hub answer the next moves with these bytes, without carrying them out."""
    link = world.link
    write = link.write

    def answer(data: bytes, now: float) -> None:
        reply = next(answers, None) if b'MA' in data else None   # type: ignore[call-overload]
        if reply is None:
            write(data, now)
        else:
            link.say(reply, now)   # type: ignore[attr-defined]

    link.write = answer   # type: ignore[method-assign]


@pytest.mark.parametrize('command', [MoveFocuser(1, 100), SetZero(1)])
@pytest.mark.parametrize(('setting', 'value'), [('max_pos.1', '80000'), ('backlash.1', '1')])
def test_settings_changed_by_others_are_noticed_before_a_motion(
        setting: str, value: str, command: Command) -> None:
    world = World(replace(SETTINGS, idle_loop_delay_s=600.0)).connected()
    world.run(60)
    world.hub.set(setting, value, world.now)
    assert world.do(command) is Outcome.FAILED
    assert world.requests(b'MA') == world.requests(b'SCCP') == []


def test_a_sweep_takes_little_longer_than_its_motions() -> None:
    world = World().connected()
    began = world.now
    for step in range(30):
        assert world.do(MoveFocuser(1, 200 * (step + 1))) is Outcome.DONE
    assert world.now - began <= 1.15 * 30 * 0.2


def test_a_move_right_after_another_requests_no_second_report() -> None:
    world = World().connected()
    world.do(MoveFocuser(1, 200))
    began = world.now
    world.do(MoveFocuser(1, 400))
    assert world.requests(since=began)[0] == b'<F1MA033167>'


def test_a_move_some_time_after_another_begins_with_a_report() -> None:
    world = World().connected()
    world.do(MoveFocuser(1, 200))
    world.run(0.2)
    began = world.now
    world.do(MoveFocuser(1, 400))
    assert world.requests(since=began)[0] == b'<F1GETSTATUS>'


@pytest.mark.parametrize('hub', [{}, {'ramp': '0.3'}, {'start_latency': '0.5'}])
@pytest.mark.parametrize('steps', [1, 100, 5000])
def test_a_move_polls_in_its_rhythm_and_six_times_more(hub: dict[str, str], steps: int) -> None:
    world = World(hub=hub).connected()
    for target in (steps, 0, steps):
        world.run(1)
        began = world.now
        caller = world.ask(MoveFocuser(1, target))
        world.finish(caller)
        assert len(world.requests(b'<F1GETSTATUS>', began)) <= caller.waited_s / 0.5 + 6


def test_a_motor_that_makes_no_progress_is_reported_while_it_lasts() -> None:
    world = World().connected()
    caller = world.ask(MoveFocuser(1, 5000))
    world.run(2)
    assert world.snapshot(1).stalled is False
    world.hub.jam(1, world.now)
    world.run(4)
    assert world.snapshot(1).stalled is True
    assert len(world.logged('warning: channel 1: not moving: the hub says IsMoving = 1, but the position stays')) == 1
    world.hub.unjam(1, world.now)
    world.run(1)
    assert world.snapshot(1).stalled is False
    assert world.finish(caller) is Outcome.DONE
    assert world.logged('channel 1: moves again')


def test_a_motor_that_starts_late_is_not_stalled() -> None:
    world = World(hub={'start_latency': '2.0'}).connected()
    assert world.do(MoveFocuser(1, 700)) is Outcome.DONE
    assert world.logged('not moving') == []


def test_a_move_that_has_arrived_during_a_pause_is_done() -> None:
    world = World(replace(SETTINGS, move_timeout_s=10.0)).connected()
    caller = world.ask(MoveFocuser(1, 5000))
    world.run(1)
    world.now += 60
    assert world.finish(caller) is Outcome.DONE
    assert world.requests(b'HALT') == []


def test_a_move_that_runs_after_a_pause_beyond_its_time_is_halted() -> None:
    world = World(replace(SETTINGS, move_timeout_s=10.0), hub={'speed': '100'}).connected()
    caller = world.ask(MoveFocuser(1, 10000))
    world.run(1)
    world.now += 60
    assert world.finish(caller) is Outcome.FAILED
    assert not world.hub.focusers[1].running

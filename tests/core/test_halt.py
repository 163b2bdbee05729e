# SPDX-License-Identifier: GPL-3.0-or-later
"""A stop always gets through: in simulated time, against the simulated hub."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.core.world import SETTINGS, World
from warwick.observatory.focuslynx.constants import FocuserStatus
from warwick.observatory.focuslynx.core.commands import Connect, Disconnect, MoveFocuser, Outcome, SetZero, Stop


def moving(world: World, channel: int = 1) -> bool:
    return world.hub.focusers[channel].moving


def test_a_stop_ends_a_move_where_the_focuser_is() -> None:
    world = World().connected()
    move = world.ask(MoveFocuser(1, 5000))
    world.run(2)
    stop = world.ask(Stop(1))
    world.finish(stop)
    assert (stop.outcome, move.outcome) == (Outcome.DONE, Outcome.FAILED)
    assert stop.waited_s < 0.1
    snapshot = world.snapshot(1)
    assert snapshot.status == FocuserStatus.Idle
    assert snapshot.current_steps == world.hub.focusers[1].position - 32767
    assert snapshot.current_steps == snapshot.target_steps == snapshot.requested_steps
    assert 1900 < (snapshot.current_steps or 0) < 2100
    assert world.logged('move to +5000 steps stopped at')


def test_a_stop_waits_only_for_the_exchange_under_way() -> None:
    world = World().connected()
    world.ask(MoveFocuser(1, 5000))
    world.until(lambda: len(world.requests(b'GETSTATUS')) > 8)
    stop = world.ask(Stop(1))
    world.until(lambda: bool(world.requests(b'HALT')))
    assert world.now - stop.at < 0.02


@pytest.mark.parametrize('serial_timeout_s', [0.5, 2.0, 30.0])
def test_a_stop_goes_out_while_the_hub_is_mute(serial_timeout_s: float) -> None:
    world = World(replace(SETTINGS, serial_timeout_s=serial_timeout_s)).connected()
    world.ask(MoveFocuser(1, 5000))
    world.run(1)
    world.faults.mute()
    world.run(0.6)
    stop = world.ask(Stop(1))
    world.until(lambda: bool(world.requests(b'HALT')))
    assert world.now - stop.at <= 0.0501
    world.run(0.01)
    assert not moving(world)
    assert world.finish(stop) is Outcome.FAILED, 'that the motor is at rest is not known'
    assert stop.waited_s < 4.5


def test_a_stop_of_one_channel_does_not_wait_for_the_other() -> None:
    world = World().connected()
    world.ask(MoveFocuser(1, 5000))
    world.ask(MoveFocuser(2, 5000))
    world.run(1)
    world.faults.mute()
    world.ask(Stop(1))
    stop = world.ask(Stop(2))
    world.until(lambda: bool(world.requests(b'<F2HALT>')))
    assert world.now - stop.at <= 0.1001
    world.run(0.01)
    assert not moving(world, 1) and not moving(world, 2)


def test_a_lost_halt_is_repeated_until_the_motor_is_at_rest() -> None:
    world = World().connected()
    move = world.ask(MoveFocuser(1, 5000))
    world.run(1)
    stop = world.ask(Stop(1))
    world.faults.lose_requests = 2
    world.finish(stop)
    assert (stop.outcome, move.outcome) == (Outcome.DONE, Outcome.FAILED)
    assert not moving(world)
    assert len(world.requests(b'HALT')) >= 2


def test_a_halt_whose_answer_was_lost_is_sent_again() -> None:
    world = World().connected()
    world.run(1)
    world.faults.mute_next = 1
    assert world.do(Stop(1)) is Outcome.DONE
    assert len(world.requests(b'HALT')) == 2


def test_halting_goes_on_after_the_stop_has_failed() -> None:
    world = World().connected()
    world.ask(MoveFocuser(1, 20000))
    world.run(1)
    world.faults.lose_requests = 1000
    stop = world.ask(Stop(1))
    assert world.finish(stop) is Outcome.FAILED
    assert moving(world)
    world.faults.lose_requests = 0
    world.run(2)
    assert not moving(world)
    world.run(10)
    assert world.snapshot(1).status == FocuserStatus.Idle


def test_a_stop_before_the_move_is_on_the_wire_cancels_it() -> None:
    world = World().connected()
    move, stop = world.ask(MoveFocuser(1, 5000)), world.ask(Stop(1))
    world.finish(stop)
    assert (stop.outcome, move.outcome) == (Outcome.DONE, Outcome.FAILED)
    assert world.requests(b'MA') == []
    assert len(world.requests(b'HALT')) == 1


def test_a_stop_while_the_answer_to_the_move_is_awaited_halts_it() -> None:
    world = World().connected()
    move = world.ask(MoveFocuser(1, 5000))
    world.until(lambda: bool(world.requests(b'MA')))
    stop = world.ask(Stop(1))
    world.finish(stop)
    assert (stop.outcome, move.outcome) == (Outcome.DONE, Outcome.FAILED)
    world.run(10)
    assert not moving(world)
    assert world.snapshot(1).status == FocuserStatus.Idle


def test_a_stop_while_idle_does_not_cancel_the_move_that_follows() -> None:
    world = World().connected()
    assert world.do(Stop(1)) is Outcome.DONE
    assert world.do(MoveFocuser(1, 500)) is Outcome.DONE
    assert world.snapshot(1).current_steps == 500


def test_a_stop_of_one_channel_leaves_the_other_alone() -> None:
    world = World().connected()
    first, second = world.ask(MoveFocuser(1, 3000)), world.ask(MoveFocuser(2, 3000))
    world.run(1)
    assert world.do(Stop(1)) is Outcome.DONE
    world.finish(second)
    assert (first.outcome, second.outcome) == (Outcome.FAILED, Outcome.DONE)


def test_a_stop_halts_motion_by_hand() -> None:
    world = World().connected()
    world.hub.hand(1, 5000, world.now)
    world.run(1)
    assert world.do(Stop(1)) is Outcome.DONE
    assert not moving(world)


def test_a_stop_while_disconnected_is_refused_and_forgotten() -> None:
    world = World()
    assert world.do(Stop(1)) is Outcome.NOT_AVAILABLE
    world.connected()
    world.run(20)
    assert world.requests(b'HALT') == []


def test_a_stop_reaches_a_channel_that_is_in_error() -> None:
    world = World(hub={'tcomp.1': '1'})
    world.do(Connect())
    assert world.snapshot(1).status == FocuserStatus.Error
    assert world.do(Stop(1)) is Outcome.DONE
    assert world.requests(b'<F1HALT>')


def test_every_stop_sends_a_halt_of_its_own() -> None:
    world = World().connected()
    first, second = world.ask(Stop(1)), world.ask(Stop(1))
    world.finish(second)
    assert (first.outcome, second.outcome) == (Outcome.DONE, Outcome.DONE)
    third = world.ask(Stop(1))
    world.finish(third)
    assert len(world.requests(b'HALT')) >= 2


def test_disconnecting_first_halts_our_motions() -> None:
    world = World().connected()
    move = world.ask(MoveFocuser(1, 5000))
    world.run(1)
    assert world.do(Disconnect()) is Outcome.DONE
    assert move.outcome is Outcome.FAILED
    assert not moving(world)
    assert not world.port_open


def test_disconnecting_fails_while_a_motor_cannot_be_halted() -> None:
    world = World().connected()
    world.ask(MoveFocuser(1, 20000))
    world.run(1)
    world.faults.deafen()
    caller = world.ask(Disconnect())
    assert world.finish(caller) is Outcome.FAILED
    assert caller.waited_s <= 4.0
    assert world.port_open
    assert world.logged('error: not disconnected: the motor of channel 1 may still run')
    assert world.do(Connect()) is Outcome.ALREADY_CONNECTED
    assert world.do(Disconnect()) is Outcome.FAILED
    world.faults.undeafen()
    world.run(6)
    assert not moving(world)
    world.run(20)
    assert world.port_open, 'nothing more happens by itself'
    assert world.snapshot(1).status == FocuserStatus.Idle
    assert world.do(Disconnect()) is Outcome.DONE


@pytest.mark.parametrize('away_s', [3.0, 8.0, 20.0])
def test_no_disconnect_succeeds_while_an_unhalted_motor_runs(away_s: float) -> None:
    world = World(replace(SETTINGS, serial_timeout_s=0.5), hub={'max_pos': '900000', 'position': '1000'}).connected()
    world.ask(MoveFocuser(1, -20000))
    world.run(1)
    assert moving(world)
    world.faults.deafen(world.now + away_s)
    outcomes = [world.do(Disconnect())]
    while outcomes[-1] is Outcome.FAILED:
        outcomes.append(world.do(Disconnect()))
    assert outcomes[-1] is Outcome.DONE
    assert not moving(world)


def test_a_motor_in_an_unplugged_hub_keeps_focusd_trying() -> None:
    world = World().connected()
    world.ask(MoveFocuser(1, 20000))
    world.run(1)
    world.faults.unplug()
    world.run(1)
    assert world.do(Disconnect()) is Outcome.FAILED
    world.faults.plug()
    world.run(5)
    assert not moving(world)
    assert world.do(Disconnect()) is Outcome.DONE


def test_a_zero_is_carried_out_in_spite_of_a_stop() -> None:
    world = World().connected()
    world.do(MoveFocuser(1, 700))
    zero, stop = world.ask(SetZero(1)), world.ask(Stop(1))
    world.until(lambda: zero.outcome is not None and stop.outcome is not None)
    assert (zero.outcome, stop.outcome) == (Outcome.DONE, Outcome.DONE)
    assert world.snapshot(1).current_steps == 0


def test_a_repeated_halt_does_not_wait_for_another_poll() -> None:
    world = World(replace(SETTINGS, serial_timeout_s=60.0, idle_loop_delay_s=1.0)).connected()
    world.ask(MoveFocuser(1, 20000))
    world.run(1)
    world.faults.lose_requests = 1000
    world.do(Stop(1))
    world.run(5)
    world.faults.lose_requests = 0
    world.run(2)
    assert not moving(world)


@pytest.mark.parametrize('lost', ['requests', 'replies'])
def test_disconnecting_halts_both_motors_even_if_one_cannot_be(lost: str) -> None:
    world = World().connected()
    world.ask(MoveFocuser(1, 20000))
    world.ask(MoveFocuser(2, 20000))
    world.run(1)
    if lost == 'requests':
        world.faults.lose_requests = 1
    else:
        world.faults.mute()
    world.do(Disconnect())
    assert {b'<F1HALT>', b'<F2HALT>'} <= set(world.requests(b'HALT'))
    assert not moving(world, 1) and not moving(world, 2)


def test_a_channel_moved_by_hand_while_it_is_halted_is_not_idle() -> None:
    world = World().connected()
    world.hub.hand(1, 8000, world.now)
    world.run(6)

    def again(data: bytes) -> bytes:
        world.hub.hand(1, 8000, world.now)
        return data

    world.wrote = again   # type: ignore[method-assign]
    world.ask(Stop(1))
    for _ in range(100):
        world.run(0.1)
        if world.hub.focusers[1].moving and world.now - world.snapshot(1).as_of < 0.1:
            assert world.snapshot(1).status == FocuserStatus.Moving


@pytest.mark.parametrize('answer', [b'!\nER=4 No\n', b'!\n', b'!\nOK\n'])
def test_after_an_improper_answer_to_a_halt_the_hub_is_polled(answer: bytes) -> None:
    world = World()
    hub = world.hub
    world.answers(lambda request: [(0.002, answer if b'HALT' in request else hub.receive(request, world.now))])
    world.connected()
    move = world.ask(MoveFocuser(1, 3000))
    world.run(1)
    stop = world.ask(Stop(1))
    world.finish(stop)
    world.run(10)
    assert move.outcome is Outcome.FAILED
    assert world.snapshot(1).status == FocuserStatus.Idle
    assert world.snapshot(1).current_steps == 3000
    assert world.do(MoveFocuser(1, 0)) is Outcome.DONE


@pytest.mark.parametrize('delay_s', [0.4, 0.8, 1.2])
def test_a_stop_of_a_slow_hub_succeeds(delay_s: float) -> None:
    world = World()
    world.faults.settings.delay = delay_s
    world.do(Connect())
    world.run(15)
    world.ask(MoveFocuser(1, 20000))
    world.run(4)
    assert world.do(Stop(1)) is Outcome.DONE
    assert not moving(world)


def test_a_stop_of_a_silent_channel_goes_out_at_once() -> None:
    world = World(replace(SETTINGS, idle_loop_delay_s=60.0)).connected()
    world.hub.variants.thirdlynx = True
    world.run(200)
    move = world.ask(MoveFocuser(1, 20000))
    world.run(1)
    stop = world.ask(Stop(2))
    world.until(lambda: bool(world.requests(b'<F2HALT>')))
    assert world.now - stop.at <= 0.051
    world.finish(stop)
    assert stop.waited_s <= 4.5
    assert world.finish(move) is Outcome.DONE


def test_repeated_stops_do_not_keep_the_caller_of_a_move_waiting() -> None:
    world = World().connected()
    move = world.ask(MoveFocuser(1, 20000))
    world.run(1)
    world.faults.mute(world.now + 60)
    for moment_s in range(0, 60, 3):
        world.after(moment_s, lambda: world.ask(Stop(1)))
    assert world.finish(move) is Outcome.FAILED
    assert move.waited_s < 5
    world.run(80)
    assert not world.hub.focusers[1].moving
    assert world.snapshot(1).status == FocuserStatus.Idle


def test_an_unconfirmed_stop_reports_why_the_move_failed() -> None:
    world = World().connected()
    move = world.ask(MoveFocuser(1, 20000))
    world.run(1.5)
    world.faults.mute()
    world.faults.deafen()
    stop = world.ask(Stop(1))
    world.until(lambda: stop.outcome is not None and move.outcome is not None)
    assert (stop.outcome, move.outcome) == (Outcome.FAILED, Outcome.FAILED)
    snapshot = world.snapshot(1)
    assert (snapshot.status, snapshot.target_steps, snapshot.requested_steps) == (FocuserStatus.Moving, 20000, 20000)
    assert snapshot.failure == 'move to +20000 steps failed: the halt was not confirmed, and the motor may still run'
    assert len(world.logged('move to +20000 steps failed')) == 1
    world.faults.unmute()
    world.faults.undeafen()
    world.run(5)
    snapshot = world.snapshot(1)
    assert snapshot.status == FocuserStatus.Idle
    assert snapshot.target_steps == snapshot.current_steps == world.hub.focusers[1].position - 32767


def test_a_stop_while_the_range_grows_leaves_a_usable_channel() -> None:
    world = World(hub={'speed': '20000'}).connected()
    world.run(12)
    world.hub.receive(b'<F1SETMAX112000><F1MA111999>', world.now, 7)   # another program
    world.until(lambda: world.hub.focusers[1].position > 66000)
    assert world.do(Stop(1)) is Outcome.DONE
    assert not world.hub.focusers[1].moving
    assert world.snapshot(1).current_steps is None, 'what the position means is not known yet'
    world.run(1)
    assert world.snapshot(1).current_steps == world.hub.focusers[1].position - 56000
    assert world.do(MoveFocuser(1, 0)) is Outcome.DONE


def test_a_motor_that_is_not_halted_is_sent_halts_at_a_slow_pace() -> None:
    world = World().connected()
    world.ask(MoveFocuser(1, 20000))
    world.run(1.5)
    world.answers(lambda request: [(0.01, b'!\nHALTED\n')] if b'HALT' in request else [(0.01, b'!\nnonsense\n')])
    world.do(Stop(1))
    world.run(10)
    before = len(world.requests(b'F1HALT'))
    world.run(60)
    assert 10 <= len(world.requests(b'F1HALT')) - before <= 70


@pytest.mark.parametrize('answer', [b'!\nHALTED\n', b''])
def test_a_hub_that_ignores_halt_gets_it_with_growing_gaps(answer: bytes) -> None:
    world = World().connected()
    world.ask(MoveFocuser(1, 20000))
    world.run(1)
    moving_status = world.hub.receive(b'<F1GETSTATUS>', world.now)
    config = world.hub.receive(b'<F1GETCONFIG>', world.now)

    def reply(request: bytes) -> list[tuple[float, bytes]]:
        if b'HALT' in request:
            return [(0.01, answer)]
        channel = request[2:3]
        return [(0.01, (moving_status if b'STATUS' in request else config).replace(b'1\n', channel + b'\n', 1))]

    world.answers(reply)
    world.do(Stop(1))
    world.run(30)
    before = len(world.requests(b'F1HALT'))
    world.run(60)
    assert 5 <= len(world.requests(b'F1HALT')) - before <= 15

# SPDX-License-Identifier: GPL-3.0-or-later
"""Lost, late, cut and foreign replies: the outcome of a move is true all the same. In simulated time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.core.world import SETTINGS, World
from warwick.observatory.focuslynx.constants import FocuserStatus
from warwick.observatory.focuslynx.core.commands import Connect, Effects, MoveFocuser, Outcome
from warwick.observatory.focuslynx.core.exchange import Exchange, LateReplies
from warwick.observatory.focuslynx.core.hub_query import HubQuery
from warwick.observatory.focuslynx.core.reports import GetConfig, GetStatus
from warwick.observatory.focuslynx.core.requests import Request
from warwick.observatory.focuslynx.simulator.model import Hub

SHORT = replace(SETTINGS, serial_timeout_s=0.5)


def lose_next(world: World, count: int) -> None:
    world.faults.mute_next = count


def garble_next(world: World, count: int) -> None:
    world.faults.garble = count


def cut_next(world: World, count: int) -> None:
    world.faults.cut = count


def noise_before_next(world: World, count: int) -> None:
    world.faults.garbage = count


def double_next(world: World, count: int) -> None:
    world.faults.double = count


def lose_next_requests(world: World, count: int) -> None:
    world.faults.lose_requests = count


@pytest.mark.parametrize('count', [1, 3])
@pytest.mark.parametrize(
    'fault', [lose_next, garble_next, cut_next, noise_before_next, double_next, lose_next_requests])
@pytest.mark.parametrize('moment_s', [0.0, 0.02, 0.3, 1.0, 1.98])
def test_a_move_survives_a_few_spoilt_exchanges(fault: Callable[[World, int], None], count: int,
                                                  moment_s: float) -> None:
    world = World(SHORT).connected()
    caller = world.ask(MoveFocuser(1, 2000))
    world.run(moment_s)
    fault(world, count)
    world.finish(caller)
    if caller.outcome is Outcome.DONE:
        assert (world.hub.focusers[1].position, world.hub.focusers[1].moving) == (32767 + 2000, False)
    else:
        # A move may be given up only if the hub did not answer before the motion, or refused it.
        assert world.requests(b'MA') == [] or world.hub.focusers[1].position == 32767
    assert len(world.requests(b'MA')) <= 2
    world.run(10)
    assert world.snapshot(1).status == FocuserStatus.Idle


@pytest.mark.parametrize('fault', [lose_next, cut_next, garble_next, noise_before_next])
def test_a_move_whose_answer_was_spoilt_is_not_sent_again(fault: Callable[[World, int], None]) -> None:
    world = World(SHORT).connected()
    caller = world.ask(MoveFocuser(1, 2000))
    world.until(lambda: bool(world.requests(b'MA')))
    fault(world, 1)
    assert world.finish(caller) is Outcome.DONE
    assert len(world.requests(b'MA')) == 1


def test_a_move_that_was_lost_on_the_wire_is_sent_once_more() -> None:
    world = World(SHORT).connected()
    caller = world.ask(MoveFocuser(1, 2000))
    world.until(lambda: bool(world.requests(b'MA')))
    world.faults.lose_requests = 1
    assert world.finish(caller) is Outcome.DONE
    assert len(world.requests(b'MA')) == 2


def test_a_move_survives_a_hub_that_is_silent_until_it_ends() -> None:
    world = World(SHORT).connected()
    caller = world.ask(MoveFocuser(1, 1500))
    world.run(0.1)
    world.faults.mute(world.now + 2.0)
    assert world.finish(caller) is Outcome.DONE
    assert world.hub.focusers[1].position == 32767 + 1500


@pytest.mark.parametrize('delay_s', [0.3, 0.6, 0.9, 1.7])
def test_a_late_reply_is_never_taken_for_that_of_another_request(delay_s: float) -> None:
    world = World(SHORT).connected()
    world.run(2)
    world.hub.focusers[1].place(32767 + 100)
    world.hub.focusers[2].place(32767 - 100)
    world.run(10)
    for _ in range(20):
        world.faults.settings.delay = delay_s
        world.run(0.8)
        world.faults.settings.delay = 0.0
        world.run(7)
        snapshots = world.snapshot(1), world.snapshot(2)
        assert [snapshot.current_steps for snapshot in snapshots] == [100, -100]


@pytest.mark.parametrize('personality', ['pre-release', 'rev3'])
@pytest.mark.parametrize('delay_s', [0.6, 0.7, 0.9])
def test_a_late_report_without_a_channel_is_taken_for_no_other(
        personality: str, delay_s: float) -> None:
    hub = {'personality': personality, 'max_pos.1': '90000', 'max_pos.2': '50000'}
    world = World(SHORT, hub=hub).connected()
    world.run(12)
    for n in range(40):
        world.faults.settings.delay = delay_s
        world.run(1 + n / 40)
        world.faults.settings.delay = 0.0
        for _ in range(60):
            world.run(0.1)
            for channel, middle in ((1, 45000), (2, 25000)):
                assert world.snapshot(channel).current_steps in (0, None)
                assert world.snapshot(channel).max_steps in (min(middle - 1, 30000), None)


def owed(*requests: Request) -> LateReplies:
    late = LateReplies()
    for request in requests:
        late.add(Exchange(HubQuery(Effects()), request, False, 0.0, 1.0), 2.0)
    return late


ALL_REPORTS = (GetConfig(2), GetStatus(1), GetConfig(1), GetStatus(2))


def test_replies_are_owed_for_as_long_as_bytes_of_others_come() -> None:
    late = owed(*ALL_REPORTS)
    for now in range(1, 30):
        late.bytes_came(b'STAT', now + 1.0)
        late.expire(now + 0.5)
        assert late.marker(GetStatus(1)) is None
    late.expire(40.0)
    assert late.marker(GetStatus(1)) == GetConfig(2), 'the one that is owed for longest; it settles the others'
    assert late


def test_replies_are_owed_for_as_long_as_the_link_is_silent() -> None:
    late = owed(*ALL_REPORTS)
    late.expire(1e6)
    assert late.marker(GetStatus(1)) is None
    late.bytes_came(b'STATUS1', 1e6 + 1)
    late.expire(1e6 + 0.9)
    assert late.marker(GetStatus(1)) is None
    late.expire(1e6 + 1)
    assert late.marker(GetStatus(1)) == GetConfig(2)


def test_a_hub_that_always_takes_its_time_is_served() -> None:
    world = World()
    world.faults.settings.delay = 1.5
    world.do(Connect())
    world.run(30)
    assert world.snapshot(1).status == FocuserStatus.Idle
    caller = world.ask(MoveFocuser(1, 5000))
    assert world.finish(caller) is Outcome.DONE


def test_bytes_that_drip_are_assembled() -> None:
    world = World(replace(SETTINGS, serial_timeout_s=10.0))
    world.faults.settings.drip = 0.02
    world.do(Connect())
    world.run(60)
    assert world.do(MoveFocuser(1, 500)) is Outcome.DONE
    assert world.do(MoveFocuser(2, 500)) is Outcome.DONE


def test_a_dead_second_channel_delays_the_first_one_little() -> None:
    world = World(replace(SETTINGS, idle_loop_delay_s=1.0)).connected()
    world.hub.variants.thirdlynx = True
    world.run(15)
    assert world.snapshot(1).status == FocuserStatus.Idle
    assert world.snapshot(2).status == FocuserStatus.Error
    for steps in (2000, 0, 2000, 0):
        caller = world.ask(MoveFocuser(1, steps))
        assert world.finish(caller) is Outcome.DONE
        assert caller.waited_s < 3.0
    world.hub.variants.thirdlynx = False
    world.run(15)
    assert world.snapshot(2).status == FocuserStatus.Idle


def test_a_channel_that_dies_does_not_delay_a_move_of_the_other() -> None:
    world = World(replace(SETTINGS, serial_timeout_s=5.0, idle_loop_delay_s=1.0)).connected()
    caller = world.ask(MoveFocuser(1, 4000))
    world.run(1)
    world.hub.variants.thirdlynx = True
    assert world.finish(caller) is Outcome.DONE
    assert caller.waited_s < 4.4


def scripted(answer: Callable[[bytes], bytes]) -> World:
    """A world with a real hub whose replies pass through `answer(request)`; None leaves the reply alone."""
    world = World(SHORT)
    hub = Hub({'channels': '1,2', 'speed': '1000'}, now=world.now)
    world.hub = hub

    def reply(data: bytes) -> list[tuple[float, bytes]]:
        real = hub.receive(data, world.now)
        return [(0.002, answer(data).replace(b'REAL', real))]

    world.answers(reply)
    return world


def test_a_report_of_the_wrong_channel_is_requested_again() -> None:
    wrong = iter([True])
    world = scripted(lambda data: b'!\nSTATUS2\nEND\n' if data == b'<F1GETSTATUS>' and next(wrong, False) else b'REAL')
    assert world.do(Connect()) is Outcome.DONE
    assert world.snapshot(1).status == FocuserStatus.Idle
    assert len(world.requests(b'<F1GETSTATUS>')) == 3, 'one more than the two that agree'


def test_a_device_that_babbles_is_not_taken_for_a_hub() -> None:
    world = scripted(lambda data: b'$GPGGA,123519,4807.038,N\r\n' * 3)
    caller = world.ask(Connect())
    assert world.finish(caller) is Outcome.FAILED
    assert caller.waited_s <= 4
    assert '$GPGGA' in (world.snapshot(1).error or '')
    begin = len(world.sent)
    world.run(60)
    assert len(world.sent) - begin < 120, 'it is not to be flooded'
    assert len(world.log) <= 4


def test_a_device_that_echoes_is_not_taken_for_a_hub() -> None:
    world = World(SHORT)
    world.answers(lambda data: [(0.001, data)])
    assert world.do(Connect()) is Outcome.FAILED


def test_after_a_stale_word_the_status_decides() -> None:
    world = scripted(lambda data: b'SET\nREAL' if b'MA' in data else b'REAL')
    world.do(Connect())
    assert world.do(MoveFocuser(1, 1000)) is Outcome.DONE
    assert len(world.requests(b'MA')) == 1


def test_a_position_beyond_the_range_of_the_hub_is_not_believed() -> None:
    lies = iter([True, True])
    world = scripted(lambda data: b'REAL')
    world.do(Connect())
    hub = world.hub

    def reply(data: bytes) -> list[tuple[float, bytes]]:
        real = hub.receive(data, world.now)
        if data == b'<F1GETSTATUS>' and next(lies, False):
            real = real.replace(b'Curr Pos = 0', b'Curr Pos = 9')
        return [(0.002, real)]

    world.answers(reply)
    world.run(6)
    assert world.snapshot(1).current_steps == 0


def test_before_a_move_is_repeated_the_settings_are_read_again() -> None:
    world = World(replace(SHORT, soft_step_limits=(-50000, 50000)), hub={'max_pos': '112000'}).connected()
    caller = world.ask(MoveFocuser(1, 30000))
    world.until(lambda: bool(world.requests(b'MA')))
    world.faults.lose_requests = 1
    world.run(0.1)
    world.hub.set('position.1', '30000', world.now)
    world.hub.set('max_pos.1', '65535', world.now)
    assert world.finish(caller) is Outcome.FAILED
    assert len(world.requests(b'MA')) == 1


def test_a_single_garbled_digit_of_the_range_shifts_nothing() -> None:
    world = World().connected()
    hub = world.hub
    lies = iter([True])

    def reply(request: bytes) -> list[tuple[float, bytes]]:
        real = hub.receive(request, world.now)
        if request == b'<F1GETCONFIG>' and next(lies, False):
            real = real.replace(b'065535', b'065935')
        return [(0.002, real)]

    world.answers(reply)
    for _ in range(100):
        world.run(0.2)
        assert world.snapshot(1).current_steps == 0


def test_a_refused_move_is_repeated_though_its_target_is_shown() -> None:
    world = World(SHORT).connected()
    hub = world.hub
    refusals = iter([True])

    def reply(request: bytes) -> list[tuple[float, bytes]]:
        if b'MA' in request and next(refusals, False):
            return [(0.002, b'!\nER=4 Busy\n')]
        real = hub.receive(request, world.now)
        if b'1GETSTATUS' in request and not hub.focusers[1].moving:
            real = real.replace(b'Targ Pos = 032767', b'Targ Pos = 033767')   # from a move that was halted
        return [(0.002, real)]

    world.answers(reply)
    world.run(6)
    assert world.do(MoveFocuser(1, 1000)) is Outcome.DONE

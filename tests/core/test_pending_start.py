# SPDX-License-Identifier: GPL-3.0-or-later
"""Motors that begin late, or that begin because the hub has misheard a request; in simulated time."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests.core.world import SETTINGS, World
from warwick.observatory.focuslynx.constants import FocuserStatus
from warwick.observatory.focuslynx.core.commands import Home, MoveFocuser, Outcome, Stop
from warwick.observatory.focuslynx.core.limits import Limits
from warwick.observatory.focuslynx.core.pending_start import START_LIMIT_S


class Misheard(World):
    """A world in which the hub hears another request: `mishear` maps what is sent to what is heard, once."""

    def __init__(self, settings: Limits = SETTINGS, hub: Mapping[str, str] | None = None) -> None:
        super().__init__(settings, hub)
        self.mishear: dict[bytes, bytes] = {}

    def wrote(self, data: bytes) -> bytes:
        for sent in self.mishear:
            if data.startswith(sent):
                return data.replace(sent, self.mishear.pop(sent))
        return data

    def times(self, request: bytes) -> list[float]:
        return [at for at, data in self.sent if data.startswith(request)]


def ready(**hub: str) -> Misheard:
    world = Misheard(hub=hub)
    world.connected()
    world.run(1)
    return world


@pytest.mark.parametrize('latency_s', [0.6, 1.0, 1.5, 2.0])
@pytest.mark.parametrize('fault', ['garble', 'mute_next', 'lose_requests', 'cut'])
@pytest.mark.parametrize('number', [1, 2])
def test_a_move_is_not_sent_again_while_it_may_begin(latency_s: float, fault: str, number: int) -> None:
    world = ready(start_latency=str(latency_s))
    caller = world.ask(MoveFocuser(1, 7000))
    world.until(lambda: bool(world.requests(b'MA')))
    setattr(world.faults, fault, number)
    world.finish(caller)
    sent = world.times(b'<F1MA')
    assert all(later - earlier > START_LIMIT_S for earlier, later in zip(sent, sent[1:]))
    assert caller.outcome is Outcome.DONE
    assert world.hub.focusers[1].position == 32767 + 7000


@pytest.mark.parametrize('latency_s', [0.6, 1.5])
def test_homing_is_not_sent_again_while_it_may_begin(latency_s: float) -> None:
    world = ready(type='OE', start_latency=str(latency_s), speed='20000')
    caller = world.ask(Home(1))
    world.until(lambda: bool(world.requests(b'HOME')))
    world.faults.garble = 1
    assert world.finish(caller) is Outcome.DONE
    assert len(world.requests(b'HOME')) == 1


def test_a_refused_move_is_sent_again_at_once() -> None:
    world = ready()
    world.mishear = {b'<F1MA03': b'<F1MA9'}
    assert world.do(MoveFocuser(1, 500)) is Outcome.DONE
    first, second = world.times(b'<F1MA')
    assert second - first < 0.1


@pytest.mark.parametrize('latency_s', ['0', '1.0', '2.0'])
def test_a_motor_that_goes_elsewhere_is_halted(latency_s: str) -> None:
    world = ready(max_pos='130000', start_latency=latency_s)
    world.mishear = {b'<F1MA06': b'<F1MA09'}
    caller = world.ask(MoveFocuser(1, 1000))
    assert world.finish(caller) is Outcome.FAILED
    assert world.times(b'<F1HALT>')[0] - world.times(b'<F1MA')[0] <= 0.4
    assert world.logged('failed: the hub goes to +31000 steps instead; halting')
    world.run(10)
    assert not world.hub.focusers[1].moving
    assert world.hub.focusers[1].position <= 65400


@pytest.mark.parametrize('latency_s', ['0', '1.0', '2.0'])
@pytest.mark.parametrize('sent_to', [1, 2])
def test_the_wrong_motor_is_halted(latency_s: str, sent_to: int) -> None:
    world = ready(start_latency=latency_s)
    wrong = 3 - sent_to
    world.mishear = {b'<F%dMA' % sent_to: b'<F%dMA' % wrong}
    caller = world.ask(MoveFocuser(sent_to, 9000))
    world.until(lambda: world.hub.focusers[wrong].moving)
    began_at = world.now
    assert world.finish(caller) is Outcome.FAILED
    world.run(1)
    assert world.times(b'<F%dHALT>' % wrong)[0] - began_at <= 0.6
    assert not world.hub.focusers[wrong].moving
    assert world.logged(f'channel {wrong}: the motor runs without a command: the hub has misheard the channel')


def test_the_wrong_motor_is_halted_in_a_move_of_its_own() -> None:
    world = ready()
    other = world.ask(MoveFocuser(2, -9000))
    world.run(1)
    world.mishear = {b'<F1MA': b'<F2MA'}
    caller = world.ask(MoveFocuser(1, 9000))
    assert world.finish(caller) is Outcome.FAILED
    assert world.finish(other) is Outcome.FAILED
    world.run(5)
    assert not world.hub.focusers[2].moving
    assert -1000 < world.hub.focusers[2].position - 32767 - 9000 < 0 or world.hub.focusers[2].position < 32767


def test_a_motor_that_cannot_reach_the_misheard_target_is_halted() -> None:
    world = ready(**{'max_pos.2': '36000', 'position.2': '1000', 'ma_over_limit': 'clamp'})
    world.mishear = {b'<F1MA': b'<F2MA'}
    assert world.do(MoveFocuser(1, 9000)) is Outcome.FAILED
    world.run(1)
    assert not world.hub.focusers[2].moving
    assert world.logged('channel 2: the motor runs without a command: it began when the other focuser should have')


@pytest.mark.parametrize('moves', [1, 2])
def test_motion_by_hand_beside_a_move_is_not_halted(moves: int) -> None:
    world = ready(start_latency='1.0')
    caller = world.ask(MoveFocuser(moves, 3000))
    world.after(0.2, lambda: world.hub.hand(3 - moves, 3000, world.now))
    assert world.finish(caller) is Outcome.DONE
    world.run(10)
    assert world.requests(b'HALT') == []


def test_motion_by_hand_after_a_move_is_not_halted() -> None:
    world = ready()
    assert world.do(MoveFocuser(1, 300)) is Outcome.DONE
    world.hub.hand(1, 3000, world.now)
    world.run(10)
    assert world.requests(b'HALT') == []
    assert world.snapshot(1).current_steps == 3300


@pytest.mark.parametrize('field, value', [(b'Targ Pos = 03', b'Targ Pos = 02'), (b'Curr Pos = 03', b'Curr Pos = 09'),
                                          (b'IsMoving = 1', b'IsMoving = 0'), (b'IsMoving = 0', b'IsMoving = 1')])
@pytest.mark.parametrize('poll', range(6))
@pytest.mark.parametrize('latency_s', ['0', '1.0'])
def test_a_misread_digit_fails_no_move(field: bytes, value: bytes, poll: int, latency_s: str) -> None:
    world = ready(start_latency=latency_s)
    spoil, polls = world.faults.spoil, iter(range(99))
    caller = world.ask(MoveFocuser(1, 1000))

    def misread(reply: bytes) -> bytes:
        right = b'STATUS1' in reply and next(polls) == poll
        return spoil(reply.replace(field, value) if right else reply)

    world.faults.spoil = misread   # type: ignore[method-assign]
    assert world.finish(caller) is Outcome.DONE
    assert world.hub.focusers[1].position == 32767 + 1000
    assert world.requests(b'HALT') == []


def test_a_position_that_is_misread_as_the_target_ends_no_move() -> None:
    world = ready(start_latency='1.0')
    caller = world.ask(MoveFocuser(1, 1000))
    world.until(lambda: bool(world.requests(b'MA')))
    spoil, polls = world.faults.spoil, iter(range(99))

    def misread(reply: bytes) -> bytes:
        first = b'STATUS1' in reply and next(polls) == 0
        return spoil(reply.replace(b'Curr Pos = 032767', b'Curr Pos = 033767') if first else reply)

    world.faults.spoil = misread   # type: ignore[method-assign]
    assert world.finish(caller) is Outcome.DONE
    assert caller.waited_s > 2.0
    assert world.snapshot(1).status == FocuserStatus.Idle


def test_halted_for_one_channel_does_not_count_for_the_other() -> None:
    world = ready(**{'start_latency.2': '2.0'})
    world.ask(MoveFocuser(2, 20000))
    world.until(lambda: bool(world.requests(b'<F2MA')))
    world.run(0.05)
    world.faults.settings.delay = 0.6
    first = world.ask(Stop(1))
    world.until(lambda: bool(world.requests(b'<F1HALT>')))
    world.run(0.01)
    world.faults.settings.delay = 0.0
    world.faults.lose_requests = 1
    second = world.ask(Stop(2))
    world.finish(second)
    at = world.hub.focusers[2].position
    world.run(5)
    assert world.hub.focusers[2].position == at, 'the stop was reported as done, and then the motor began'
    assert world.finish(first) is Outcome.DONE


def test_a_request_from_before_an_outage_is_halted() -> None:
    world = ready()
    world.ask(MoveFocuser(1, 20000))
    world.until(lambda: bool(world.requests(b'MA')))
    world.faults.deafen()
    world.run(9)
    world.faults.undeafen()
    world.faults.unplug(world.now + 1)
    world.run(5)
    assert world.snapshot(1).status == FocuserStatus.Idle
    world.run(20)
    world.hub.receive(b'<F1MA052767>', world.now, port=9)
    world.run(2)
    assert not world.hub.focusers[1].moving
    assert world.logged('the motor runs without a command: a request from before the outage has reached the hub')

# SPDX-License-Identifier: GPL-3.0-or-later
"""A hub that moves the focuser by itself, where the configuration allows it; in simulated time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.core.world import SETTINGS, World
from warwick.observatory.focuslynx.constants import FocuserStatus
from warwick.observatory.focuslynx.core.commands import Configure, Connect, MoveFocuser, Outcome, Stop
from warwick.observatory.focuslynx.hub_settings import find
from warwick.observatory.focuslynx.simulator.model import Hub

ALLOWED = replace(SETTINGS, allow_hub_compensation=True, idle_loop_delay_s=1.0)
COMPENSATING = {'tcomp.1': '1', 'tempco': '-50,0,0,0,0', 'compensation_speed': '50'}


def warm(world: World, celsius: float) -> None:
    world.hub.set('probe.1', str(celsius), world.now)


@pytest.mark.parametrize('setting', ['tcomp.1', 'tc_at_start.1', 'backlash.1'])
def test_it_is_refused_unless_it_is_allowed(setting: str) -> None:
    world = World(hub={setting: '1'})
    world.do(Connect())
    assert world.snapshot(1).status == FocuserStatus.Error
    assert World(ALLOWED, hub={setting: '1'}).connected().snapshot(1).status == FocuserStatus.Idle


def test_a_correction_is_followed_and_the_target_with_it() -> None:
    world = World(ALLOWED, hub=COMPENSATING).connected()
    warm(world, 23.7)
    states = set()
    for _ in range(100):
        world.run(0.1)
        states.add(world.snapshot(1).status)
    assert states == {FocuserStatus.Idle, FocuserStatus.Moving}
    snapshot = world.snapshot(1)
    assert (snapshot.current_steps, snapshot.target_steps, snapshot.requested_steps) == (-100, -100, -100)
    assert world.logged('compensated by the hub, from +0 steps to -100 steps')
    assert not world.logged('by hand')


def test_a_move_waits_for_a_correction_to_settle() -> None:
    world = World(ALLOWED, hub=COMPENSATING).connected()
    warm(world, 23.7)
    world.run(0.5)
    assert world.hub.focusers[1].moving
    assert world.do(MoveFocuser(1, 500)) is Outcome.DONE
    assert world.hub.focusers[1].position == 32767 + 500


def test_a_move_requested_during_a_correction_waits_as_well() -> None:
    world = World(ALLOWED, hub=COMPENSATING).connected()
    warm(world, 23.7)
    world.until(lambda: world.snapshot(1).status == FocuserStatus.Moving)
    assert world.do(MoveFocuser(1, 500)) is Outcome.DONE
    assert world.snapshot(1).current_steps == 500


def test_a_correction_that_does_not_end_fails_the_move_in_time() -> None:
    settings = replace(ALLOWED, move_timeout_s=30.0)
    world = World(settings, hub={**COMPENSATING, 'tempco': '-9999,0,0,0,0'}).connected()
    warm(world, 22.7)
    world.run(0.5)
    caller = world.ask(MoveFocuser(1, 500))
    assert world.finish(caller) is Outcome.FAILED
    assert caller.waited_s <= 30.1
    assert 'compensating' in (world.snapshot(1).failure or '')
    assert world.requests(b'MA') == []


def test_a_correction_that_takes_long_is_waited_for() -> None:
    world = World(ALLOWED, hub=COMPENSATING).connected()
    warm(world, 41.7)
    world.run(0.5)
    assert world.hub.focusers[1].moving
    caller = world.ask(MoveFocuser(1, 500))
    assert world.finish(caller) is Outcome.DONE
    assert caller.waited_s > 15


def test_a_hub_silent_while_compensating_fails_the_move_soon() -> None:
    world = World(ALLOWED, hub={**COMPENSATING, 'tempco': '-999,0,0,0,0'}).connected()
    warm(world, 22.7)
    world.run(0.5)
    caller = world.ask(MoveFocuser(1, 500))
    world.run(2)
    world.faults.mute()
    assert world.finish(caller) is Outcome.FAILED
    assert caller.waited_s <= 15


@pytest.mark.parametrize('shown', ['working', 'stored'])
@pytest.mark.parametrize('idle_loop_delay_s', [1.0, 60.0])
def test_a_stop_ends_the_compensation_and_says_so(shown: str, idle_loop_delay_s: float) -> None:
    settings = replace(ALLOWED, idle_loop_delay_s=idle_loop_delay_s)
    world = World(settings, hub={**COMPENSATING, 'tcomp_line': shown}).connected()
    assert world.snapshot(1).compensating is True
    assert world.do(Stop(1)) is Outcome.DONE
    assert world.snapshot(1).compensating is False
    world.run(200)
    # What is stored does not show whether another program has switched it on again
    assert world.snapshot(1).compensating is (False if shown == 'working' else None)
    assert world.snapshot(1).status == FocuserStatus.Idle
    assert len(world.logged('temperature compensation is off')) == 1
    assert world.requests(b'SCTE') == []


@pytest.mark.parametrize('shown', ['working', 'stored'])
def test_a_change_switches_compensation_on_again_after_a_stop(shown: str) -> None:
    world = World(ALLOWED, hub={**COMPENSATING, 'tcomp_line': shown}).connected()
    assert world.do(Stop(1)) is Outcome.DONE
    assert world.do(Configure(1, find('nickname'), 'North')) is Outcome.DONE
    assert world.logged('temperature compensation is off')
    assert world.snapshot(1).compensating is not True
    assert world.do(Configure(1, find('temperature_compensation'), True)) is Outcome.DONE
    assert world.hub.focusers[1].tc_on
    assert world.snapshot(1).compensating is True
    world.run(10)
    assert world.snapshot(1).compensating is True


@pytest.mark.parametrize('shown', ['working', 'stored'])
@pytest.mark.parametrize('disturb', [lambda world: world.hub.receive(b'<F1HALT>', world.now, 7),
                                     lambda world: world.hub.hand(1, -500, world.now)], ids=['halt', 'hand'])
def test_a_move_that_others_have_ended_is_not_resumed(
        shown: str, disturb: Callable[[World], object]) -> None:
    world = World(ALLOWED, hub={**COMPENSATING, 'tcomp_line': shown}).connected()
    move = world.ask(MoveFocuser(1, 8000))
    world.run(2)
    disturb(world)
    assert world.finish(move) is Outcome.FAILED
    world.run(30)
    assert world.requests(b'MA') == [b'<F1MA040767>']
    assert (world.snapshot(1).current_steps or 0) < 3000


def test_a_correction_is_repeated_only_while_the_hub_compensates() -> None:
    world = World(ALLOWED, hub={**COMPENSATING, 'tcomp_line': 'working'}).connected()
    move = world.ask(MoveFocuser(1, 1000))
    while world.hub.focusers[1].position < 32767 + 985:
        world.run(0.002)
    world.hub.receive(b'<F1HALT>', world.now, 7)   # by another program, near the target
    assert world.finish(move) is Outcome.FAILED
    assert len(world.requests(b'MA')) == 1


def test_the_stored_setting_does_not_prove_compensation_is_on() -> None:
    world = World(ALLOWED, hub={**COMPENSATING, 'tcomp_line': 'stored'}).connected()
    assert world.do(Stop(1)) is Outcome.DONE
    world.run(6)
    lost: list[bytes] = []

    def wrote(data: bytes) -> bytes:
        if b'SCTE' in data and not lost:
            lost.append(data)
            return b''
        return data

    world.wrote = wrote   # type: ignore[method-assign]
    assert world.do(Configure(1, find('temperature_compensation'), True)) is Outcome.DONE
    assert world.hub.focusers[1].tc_on
    assert world.snapshot(1).compensating is True


def test_compensation_that_stays_off_is_not_reported_as_on() -> None:
    settings = replace(ALLOWED, temperature_probe_required=False)
    world = World(settings, hub={**COMPENSATING, 'tcomp_line': 'stored'}).connected()
    assert world.do(Stop(1)) is Outcome.DONE
    world.hub.set('probe.1', 'NP', world.now)
    world.run(6)
    assert world.do(Configure(1, find('temperature_compensation'), True)) is Outcome.FAILED
    assert world.snapshot(1).compensating is not True


def test_compensation_that_others_switch_on_is_seen() -> None:
    world = World(ALLOWED, hub={**COMPENSATING, 'tcomp.1': '0'}).connected()
    assert world.do(Stop(1)) is Outcome.DONE
    for _ in range(2):
        world.run(1)
        world.hub.receive(b'<F1SCTE1>', world.now, 7)
        world.run(20)
        assert world.snapshot(1).compensating is True
        warm(world, 31.7)
        world.run(1)
        assert world.do(MoveFocuser(1, 500)) is Outcome.DONE
        assert world.do(Stop(1)) is Outcome.DONE
        world.run(2)
        assert world.snapshot(1).compensating is False
        warm(world, 21.7)


def test_an_unanswered_halt_may_have_ended_compensation() -> None:
    world = World(ALLOWED, hub={**COMPENSATING, 'tcomp_line': 'stored'}).connected()
    world.run(2)
    world.faults.mute_next = 1
    world.ask(Stop(1))
    world.run(0.01)
    assert world.requests(b'HALT') == [b'<F1HALT>']
    world.faults.unplug(world.now + 5)
    world.run(20)
    assert world.snapshot(1).status == FocuserStatus.Idle
    assert world.snapshot(1).compensating is None
    assert not world.hub.focusers[1].tc_on


@pytest.mark.parametrize('shown', ['working', 'stored'])
def test_what_others_switch_around_a_halt_is_reported_right(shown: str) -> None:
    world = World(ALLOWED, hub={**COMPENSATING, 'tcomp_line': shown}).connected()
    for switches in ('0', '1', '01', '10'):
        assert world.do(Stop(1)) is Outcome.DONE
        for switch in switches:
            world.run(3)
            world.hub.receive(f'<F1SCTE{switch}>'.encode(), world.now, 7)
        world.run(15)   # the settings are read every 5 s, and surprises twice
        for _ in range(5):
            world.run(3)
            assert world.snapshot(1).compensating in (world.hub.focusers[1].tc_on, None)


def test_after_an_outage_it_is_unknown_if_a_halt_still_counts() -> None:
    world = World(ALLOWED, hub={**COMPENSATING, 'tcomp_line': 'stored'}).connected()
    assert world.do(Stop(1)) is Outcome.DONE
    world.hub.power_off(world.now, 2.0)
    world.run(20)
    assert world.hub.focusers[1].tc_on
    assert world.snapshot(1).compensating is None
    warm(world, 41.7)
    world.run(1)
    assert world.do(MoveFocuser(1, 500)) is Outcome.DONE


def test_moves_arrive_though_the_temperature_never_rests() -> None:
    world = World(ALLOWED, hub={**COMPENSATING, 'tempco': '-86,0,0,0,0', 'backlash.1': '1'}).connected()
    world.hub.temperature_ramp(1, -20.0, 15000.0, world.now)   # 10 degrees in an hour
    for number in range(60):
        assert world.do(MoveFocuser(1, 1700 if number % 2 else -1300)) is Outcome.DONE
        world.run(number % 7)


def test_an_overshoot_against_backlash_is_not_taken_for_arrival() -> None:
    world = World(ALLOWED, hub={'backlash.1': '1', 'backlash_steps': '99', 'speed': '100'}).connected()
    caller = world.ask(MoveFocuser(1, 300))
    highest = 0
    while caller.outcome is None:
        highest = max(highest, world.hub.focusers[1].position - 32767)
        world.run(0.01)
    assert highest == 399
    assert caller.outcome is Outcome.DONE
    assert world.hub.focusers[1].position == 32767 + 300
    assert not world.hub.focusers[1].moving


def test_an_overshoot_stays_within_the_limits() -> None:
    world = World(ALLOWED, hub={'backlash.1': '1', 'backlash_steps': '40'}).connected()
    assert world.snapshot(1).max_steps == 30000 - 40
    assert world.do(MoveFocuser(1, 29961)) is Outcome.OUTSIDE_LIMITS
    assert world.do(MoveFocuser(1, 29960)) is Outcome.DONE


def test_an_overshoot_of_inward_moves_stays_within_the_limits() -> None:
    world = World(ALLOWED, hub={'backlash.1': '1', 'backlash_steps': '-40', 'speed': '10000'}).connected()
    assert (world.snapshot(1).min_steps, world.snapshot(1).max_steps) == (-30000 + 40, 30000)
    assert world.do(MoveFocuser(1, 30001)) is Outcome.OUTSIDE_LIMITS
    assert world.do(MoveFocuser(1, -29961)) is Outcome.OUTSIDE_LIMITS
    caller = world.ask(MoveFocuser(1, -29960))
    lowest = 0
    while caller.outcome is None:
        lowest = min(lowest, world.hub.focusers[1].position - 32767)
        world.run(0.001)
    assert caller.outcome is Outcome.DONE
    assert -30000 <= lowest < -29990


def test_an_overshoot_that_is_not_known_may_be_any() -> None:
    hub = Hub({'channels': '1,2', 'backlash': '1'}, now=0.0)

    def answer(request: bytes) -> list[tuple[float, bytes]]:
        return [(0.01, hub.receive(request, 0.0).replace(b'BLC Stps = +40\n', b''))]

    world = World(ALLOWED)
    world.answers(answer)
    world.connected()
    assert (world.snapshot(1).min_steps, world.snapshot(1).max_steps) == (-30000 + 99, 30000 - 99)


@pytest.mark.parametrize('offset', [False, True])
def test_a_move_obeys_the_limits_that_were_read_again_for_it(offset: bool) -> None:
    world = World(replace(ALLOWED, idle_loop_delay_s=60.0, soft_step_limits=(-1000, 1000))).connected()
    world.run(20)
    world.hub.set('backlash.1', '1', world.now)   # by another program, since the settings were read
    assert world.do(MoveFocuser(1, 1000, offset)) is Outcome.OUTSIDE_LIMITS
    assert world.requests(b'MA') == []
    assert world.snapshot(1).failure == 'move to +1000 steps refused: outside limits'
    assert world.do(MoveFocuser(1, 960, offset)) is Outcome.DONE


def test_a_move_arrives_though_the_temperature_changes_meanwhile() -> None:
    world = World(ALLOWED, hub=COMPENSATING).connected()
    caller = world.ask(MoveFocuser(1, 3000))
    for tenths in range(30):
        world.after(0.1 * tenths, lambda tenths=tenths: warm(world, 21.7 + tenths / 10))   # type: ignore[misc]
    assert world.finish(caller) is Outcome.DONE

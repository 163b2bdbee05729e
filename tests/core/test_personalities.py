# SPDX-License-Identifier: GPL-3.0-or-later
"""Every kind of hub that the simulator can be, in simulated time: what an operator does in a night, on each of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.core.world import World
from warwick.observatory.focuslynx.constants import FocuserStatus
from warwick.observatory.focuslynx.core.commands import (
    Configure,
    Connect,
    Disconnect,
    Home,
    MoveFocuser,
    Outcome,
    QueryHub,
    SetZero,
    Stop,
)
from warwick.observatory.focuslynx.hub_settings import HUB_SETTINGS, Value
from warwick.observatory.focuslynx.simulator.personalities import PERSONALITIES

IDLE = FocuserStatus.Idle


@dataclass(frozen=True)
class Kind:
    """What to expect of a hub. `unknown` are the settings that its firmware cannot change."""

    max_pos: int = 65535
    homes: bool = False
    homes_at_power_up: bool = False
    channels: tuple[int, ...] = (1, 2)
    unknown: frozenset[str] = frozenset()


BEFORE_2021 = frozenset({'max_position', 'step_size'})
BEFORE_2017 = BEFORE_2021 | {'intercept_b'}
BEFORE_2015 = BEFORE_2017 | {'reverse'}
KINDS = {
    'pre-release': Kind(unknown=BEFORE_2015),
    'rev3': Kind(unknown=BEFORE_2015),
    '1.0.9': Kind(unknown=BEFORE_2017),
    '2.0.4': Kind(),
    'focusboss': Kind(unknown=BEFORE_2017),
    '1.2.0': Kind(unknown=BEFORE_2021),
    '2021': Kind(),
    '2021-home': Kind(),
    '2.3.9': Kind(),
    'thirdlynx': Kind(channels=(1,)),
    'tcf-s': Kind(125440, homes=True, homes_at_power_up=True),
    'leo': Kind(112000, homes=True, homes_at_power_up=True),
    'sagitta': Kind(125440, homes=True),
}


@pytest.fixture(params=KINDS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def kind(name: str) -> Kind:
    return KINDS[name]


@pytest.fixture
def world(name: str) -> World:
    """The driver, connected to such a hub."""
    return World(hub={'personality': name, 'speed': '5000'}).connected()


@pytest.fixture
def moving_world(world: World) -> Iterator[World]:
    """The same, for what needs a move. All that is sent must be known to the hub."""
    yield world
    assert not world.logged('Unknown Command')


def test_there_is_a_row_for_every_personality() -> None:
    assert list(KINDS) == list(PERSONALITIES)


def test_connecting_shows_the_focuser_of_each_channel(world: World, kind: Kind) -> None:
    world.run(20)
    for channel in (1, 2):
        snapshot = world.snapshot(channel)
        if channel in kind.channels:
            assert (snapshot.status, snapshot.current_steps, snapshot.temperature_c) == (IDLE, 0, 21.7)
            assert snapshot.homed is (True if kind.homes else None)
            assert snapshot.reports is not None and snapshot.reports.config.max_counts == kind.max_pos
        else:
            assert snapshot.status == FocuserStatus.Error
            assert 'no answer' in (snapshot.error or '')


def test_moves_end_where_they_were_sent(moving_world: World, kind: Kind) -> None:
    world = moving_world
    for channel in kind.channels:
        for steps in (1000, -29999, 0, 30000):
            assert world.do(MoveFocuser(channel, steps)) is Outcome.DONE
            assert world.snapshot(channel).current_steps == steps
            assert world.hub.focusers[channel].position == kind.max_pos // 2 + steps
        assert world.do(MoveFocuser(channel, -100, offset=True)) is Outcome.DONE
        assert world.snapshot(channel).current_steps == 29900


def test_a_target_with_too_many_digits_is_refused_with_a_reason() -> None:
    world = World(hub={'personality': 'pre-release', 'max_pos': '150000', 'speed': '5000'}).connected()
    assert world.do(MoveFocuser(1, 100)) is Outcome.DONE
    assert world.do(MoveFocuser(1, 29000)) is Outcome.FAILED
    assert 'ER=1' in (world.snapshot(1).failure or '')
    assert world.do(MoveFocuser(1, -100)) is Outcome.DONE


def check_channel_1_works_alone(world: World) -> None:
    assert world.do(Stop(2)) is Outcome.FAILED
    world.run(20)
    for _ in range(100):
        world.run(1)
        assert world.snapshot(1).status == IDLE
    assert world.do(MoveFocuser(1, 1000)) is Outcome.DONE


def test_a_stop_of_an_absent_channel_leaves_the_other_usable() -> None:
    world = World(hub={'personality': 'thirdlynx', 'speed': '5000'}).connected()
    check_channel_1_works_alone(world)
    assert world.do(QueryHub()) is Outcome.DONE
    assert world.core.info is not None


def test_a_stop_of_a_channel_that_died_leaves_the_other_usable() -> None:
    world = World(hub={'speed': '5000'}).connected()
    world.hub.variants.thirdlynx = True
    check_channel_1_works_alone(world)


def test_a_move_beyond_the_limits_is_refused_and_not_sent(world: World, kind: Kind) -> None:
    assert world.do(MoveFocuser(1, 30001)) is Outcome.OUTSIDE_LIMITS
    assert world.requests(b'MA') == []


def test_a_stop_ends_a_move_where_it_is(moving_world: World, kind: Kind) -> None:
    world = moving_world
    for channel in kind.channels:
        move = world.ask(MoveFocuser(channel, 25000))
        world.run(2)
        assert world.do(Stop(channel)) is Outcome.DONE
        assert move.outcome is Outcome.FAILED
        snapshot = world.snapshot(channel)
        assert snapshot.status == IDLE
        assert not world.hub.focusers[channel].moving
        assert 0 < (snapshot.current_steps or 0) < 25000
        assert snapshot.target_steps == snapshot.current_steps
        assert snapshot.current_steps == world.hub.focusers[channel].position - kind.max_pos // 2
        assert world.do(MoveFocuser(channel, 0)) is Outcome.DONE


def test_the_zero_is_declared_or_sought_as_the_focuser_can(moving_world: World, kind: Kind) -> None:
    world = moving_world
    for channel in kind.channels:
        assert world.do(MoveFocuser(channel, 400)) is Outcome.DONE
        if kind.homes:
            assert world.do(SetZero(channel)) is Outcome.NOT_SUPPORTED
            assert world.do(Home(channel)) is Outcome.DONE
            assert (world.snapshot(channel).current_steps, world.snapshot(channel).homed) == (400, True)
        else:
            assert world.do(Home(channel)) is Outcome.NOT_SUPPORTED
            assert world.do(SetZero(channel)) is Outcome.DONE
            assert world.snapshot(channel).current_steps == 0
        assert world.snapshot(channel).status == IDLE
        assert world.do(MoveFocuser(channel, -400)) is Outcome.DONE


def test_a_stop_ends_homing_and_homing_again_mends_it(world: World, kind: Kind) -> None:
    if not kind.homes:
        assert world.do(Home(1)) is Outcome.NOT_SUPPORTED
        assert world.requests(b'HOME') == []
        return
    homing = world.ask(Home(1))
    world.run(3)
    assert world.snapshot(1).status == FocuserStatus.Moving
    assert world.do(Stop(1)) is Outcome.DONE
    assert homing.outcome is Outcome.FAILED
    assert world.snapshot(1).status == FocuserStatus.Error
    assert world.do(MoveFocuser(1, 10)) is Outcome.NOT_AVAILABLE
    assert world.do(Home(1)) is Outcome.DONE
    assert world.do(MoveFocuser(1, 10)) is Outcome.DONE


@pytest.mark.parametrize('off_s', [0.2, 30.0])
def test_a_power_cycle_at_rest_is_survived(moving_world: World, kind: Kind, off_s: float) -> None:
    world = moving_world
    for channel in kind.channels:
        assert world.do(MoveFocuser(channel, 500)) is Outcome.DONE
    world.run(1)
    world.hub.power_off(world.now, off_s)
    # A homing type needs its time for the way in and back.
    world.run(off_s + 120)
    for channel in kind.channels:
        if kind.homes and not kind.homes_at_power_up:
            assert world.snapshot(channel).status == FocuserStatus.Error
            assert 'IsHomed = 0' in (world.snapshot(channel).error or '')
            assert world.do(Home(channel)) is Outcome.DONE
        else:
            assert (world.snapshot(channel).status, world.snapshot(channel).current_steps) == (IDLE, 500)
        assert world.do(MoveFocuser(channel, -500)) is Outcome.DONE
        assert world.hub.focusers[channel].position == kind.max_pos // 2 - 500


def test_after_a_power_cycle_in_a_move_the_position_is_the_hubs(
        moving_world: World, kind: Kind) -> None:
    world = moving_world
    move = world.ask(MoveFocuser(1, 25000))
    world.run(2)
    world.hub.power_off(world.now, 5)
    assert world.finish(move) is Outcome.FAILED
    world.run(120)
    snapshot, focuser = world.snapshot(1), world.hub.focusers[1]
    assert not focuser.moving
    assert len(world.requests(b'MA')) == (2 if world.hub.personality == 'pre-release' else 1)
    if kind.homes and not focuser.homed:
        assert snapshot.status == FocuserStatus.Error
        assert world.do(Home(1)) is Outcome.DONE
    else:
        assert (snapshot.status, snapshot.current_steps) == (IDLE, focuser.position - kind.max_pos // 2)
    assert world.do(MoveFocuser(1, 700)) is Outcome.DONE
    assert focuser.position == kind.max_pos // 2 + 700


def test_a_pulled_plug_and_a_connection_given_up_come_back(moving_world: World, kind: Kind) -> None:
    world = moving_world
    assert world.do(MoveFocuser(1, 500)) is Outcome.DONE
    world.faults.unplug(replug_at=world.now + 8)
    world.run(1)
    assert world.snapshot(1).status == FocuserStatus.Error
    world.run(20)
    assert (world.snapshot(1).status, world.snapshot(1).current_steps) == (IDLE, 500)
    assert world.do(Disconnect()) is Outcome.DONE
    world.run(10)
    assert world.snapshot(1).status == FocuserStatus.Disabled
    assert world.do(Connect()) is Outcome.DONE
    assert (world.snapshot(1).status, world.snapshot(1).current_steps) == (IDLE, 500)
    assert world.do(MoveFocuser(1, 0)) is Outcome.DONE


def test_idleness_leaves_nothing_in_the_log(world: World, kind: Kind) -> None:
    world.run(60)
    world.log.clear()
    world.run(300)
    assert world.log == []
    assert world.snapshot(1).status == IDLE


def test_the_hub_and_its_channels_report_what_they_can(
        world: World, name: str, kind: Kind) -> None:
    assert world.do(QueryHub()) is Outcome.DONE
    hub = world.core.info
    assert hub is not None and hub.firmware == world.hub.variants.firmware
    assert (hub.wired_ip is None) is (name == 'thirdlynx')
    reports = world.snapshot(1).reports
    assert reports is not None
    assert (reports.compensation is None) is ('intercept_b' in kind.unknown)
    assert (reports.status.reverse is None) is ('reverse' in kind.unknown)


@pytest.mark.parametrize(('key', 'value'), [
    ('nickname', 'West'), ('backlash_steps', 7), ('coefficient_d', -92), ('led', 5), ('reverse', True),
    ('step_size', 250), ('intercept_b', -1000), ('max_position', 65000)])
def test_a_setting_is_changed_if_the_firmware_can(world: World, kind: Kind, key: str, value: Value) -> None:
    outcome = world.do(Configure(1, HUB_SETTINGS[key], value))
    if key in kind.unknown or (key == 'max_position' and kind.homes):
        assert outcome is Outcome.FAILED
        assert 'ER=' in (world.snapshot(1).failure or '')
    else:
        assert outcome is Outcome.DONE
    world.run(20)
    assert world.snapshot(1).status == IDLE


@pytest.mark.parametrize(('device_type', 'restarts'), [('FB', 'channel'), ('OE', 'channel'), ('OE', 'hub')])
def test_a_device_type_is_set_though_the_hub_restarts_for_it(
        world: World, kind: Kind, device_type: str, restarts: str) -> None:
    world.hub.set('type.1', 'SB', world.now)
    world.hub.set('restarts', restarts, world.now)
    world.run(20)
    assert world.do(Configure(1, HUB_SETTINGS['device_type'], device_type)) is Outcome.DONE
    world.run(120)
    assert world.snapshot(1).device_type == device_type
    for channel in kind.channels:
        if world.hub.focusers[channel].shows_homed:
            assert world.snapshot(channel).status == IDLE
        else:
            assert world.snapshot(channel).status == FocuserStatus.Error

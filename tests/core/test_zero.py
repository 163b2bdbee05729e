# SPDX-License-Identifier: GPL-3.0-or-later
"""Declaring the zero point, in simulated time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.core.world import SETTINGS, World
from warwick.observatory.focuslynx.constants import FocuserStatus
from warwick.observatory.focuslynx.core.commands import MoveFocuser, Outcome, SetZero


@pytest.mark.parametrize('max_pos', [65535, 112000, 1001])
def test_the_present_position_becomes_step_0(max_pos: int) -> None:
    world = World(hub={'max_pos': str(max_pos)}).connected()
    world.do(MoveFocuser(1, 400))
    assert world.do(SetZero(1)) is Outcome.DONE
    snapshot = world.snapshot(1)
    assert (snapshot.current_steps, snapshot.target_steps, snapshot.requested_steps) == (0, 0, 0)
    assert world.hub.focusers[1].position == max_pos // 2
    assert world.logged('zero set; this position was +400 steps before')


def test_firmware_that_omits_the_word_is_believed_after_a_poll() -> None:
    world = World(hub={'sccp_no_set': '1'}).connected()
    world.do(MoveFocuser(1, 400))
    zero = world.ask(SetZero(1))
    assert world.finish(zero) is Outcome.DONE
    assert zero.waited_s < 1.5
    assert len(world.requests(b'SCCP')) == 1


def test_a_focuser_with_a_home_switch_is_not_zeroed() -> None:
    world = World(hub={'type': 'OE'}).connected()
    world.do(MoveFocuser(1, 400))
    assert world.do(SetZero(1)) is Outcome.NOT_SUPPORTED
    assert world.snapshot(1).status == FocuserStatus.Idle
    assert world.snapshot(1).current_steps == 400
    assert world.requests(b'SCCP') == []
    assert world.logged('zero refused: the focuser (OE, Optec TCF-S Classic, converted) finds its zero by its home')


def test_a_focuser_in_motion_is_not_zeroed() -> None:
    world = World().connected()
    world.hub.hand(1, 5000, world.now)
    assert world.do(SetZero(1)) is Outcome.FAILED
    assert world.requests(b'SCCP') == []


def test_a_sync_that_took_effect_is_not_sent_again() -> None:
    world = World().connected()
    world.do(MoveFocuser(1, 400))
    zero = world.ask(SetZero(1))
    world.until(lambda: bool(world.requests(b'SCCP')))
    world.faults.mute_next = 1
    assert world.finish(zero) is Outcome.DONE
    assert len(world.requests(b'SCCP')) == 1


def test_a_sync_that_was_lost_is_sent_once_more() -> None:
    world = World().connected()
    world.do(MoveFocuser(1, 400))
    zero = world.ask(SetZero(1))
    world.until(lambda: bool(world.requests(b'SCCP')))
    world.faults.lose_requests = 1
    assert world.finish(zero) is Outcome.DONE
    assert world.snapshot(1).current_steps == 0
    assert len(world.requests(b'SCCP')) == 2


def test_a_channel_without_focuser_is_not_zeroed() -> None:
    world = World(hub={'channels': '1'}).connected()
    assert world.do(SetZero(2)) is Outcome.NOT_AVAILABLE
    assert world.requests(b'SCCP') == []


def test_a_zero_is_given_up_inside_the_patience_of_a_client() -> None:
    world = World(replace(SETTINGS, serial_timeout_s=30.0, home_reset_timeout_s=60.0)).connected()
    world.faults.mute()
    zero = world.ask(SetZero(1))
    assert world.finish(zero) is Outcome.FAILED
    assert zero.waited_s <= 4.0

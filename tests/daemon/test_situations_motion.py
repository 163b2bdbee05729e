# SPDX-License-Identifier: GPL-3.0-or-later
"""Situations of motion: lost requests, refusals, focusers that do not arrive, hands, halts. A real pty, truly paced."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.daemon import wire
from tests.daemon.test_pyro_object import ERROR, FAILED, IDLE, MOVING, NOT_AVAILABLE, SUCCEEDED
from tests.daemon.test_situations_replies import cut, late, lost
from tests.daemon.wire import ZERO, Pieces, Site, Spoil
from tests.simulator.harness import eventually

bench, site, prepare = wire.bench, wire.site, wire.prepare

REFUSED_BEFORE_THE_ACK = b'ER=4 Cannot Execute Command While Device Is Moving\n'
REFUSED_AFTER_THE_ACK = b'!\n' + REFUSED_BEFORE_THE_ACK
REFUSALS = pytest.mark.parametrize('refusal', [REFUSED_BEFORE_THE_ACK, REFUSED_AFTER_THE_ACK],
                                   ids=['before the ack', 'after the ack'])


def test_a_move_request_that_is_lost_is_sent_once_more(site: Site) -> None:
    site.wire.lose('F1MA.*')
    assert site.daemon.call('set_focus', 1, 2000) == SUCCEEDED
    assert site.is_at(1, 2000)
    assert site.wire.sent('F1MA.*') == ['F1MA058000'] * 2
    site.is_well(1, 2)


def with_a_wrong_letter(reply: bytes) -> Pieces:
    return [(0.0, reply.replace(b'M', b'\xcd'))]


@pytest.mark.parametrize('spoil', [lost, with_a_wrong_letter, cut, late], ids=['lost', 'garbled', 'cut', 'late'])
def test_a_move_whose_reply_is_spoilt_is_not_sent_again(site: Site, spoil: Spoil) -> None:
    site.wire.spoil('F1MA.*', spoil)
    assert site.daemon.call('set_focus', 1, 2000) == SUCCEEDED
    assert site.is_at(1, 2000)
    assert site.wire.sent('F1MA.*') == ['F1MA058000'], site.wire.requests
    site.is_well(1, 2)


@REFUSALS
def test_a_move_that_is_refused_once_is_tried_again(site: Site, refusal: bytes) -> None:
    site.wire.answer('F1MA.*', refusal)
    assert site.daemon.call('set_focus', 1, 2000) == SUCCEEDED
    assert site.is_at(1, 2000)
    assert site.wire.sent('F1MA.*') == ['F1MA058000'] * 2
    site.is_well(1, 2)


@REFUSALS
def test_a_move_that_is_always_refused_fails_promptly(site: Site, refusal: bytes) -> None:
    site.wire.answer('F1MA.*', refusal, times=1000)
    begun = time.monotonic()
    assert site.daemon.call('set_focus', 1, 2000) == FAILED
    assert time.monotonic() - begun < 5
    assert site.is_at(1, 0)
    assert site.wire.sent('F1MA.*') == ['F1MA058000'] * 2
    site.wire.heal()
    site.is_well(1, 2)


def test_a_move_arrives_though_the_hub_is_silent_to_its_end(site: Site) -> None:
    site.wire.mute(after='F1MA.*')
    move = site.daemon.begin('set_focus', 1, 4000)
    eventually(lambda: site.truth(1) == 4000 and site.at_rest(1))
    assert not move.done, 'it cannot know'
    site.wire.heal()
    assert move.wait() == SUCCEEDED
    assert site.is_at(1, 4000)
    assert site.wire.sent('F1MA.*') == ['F1MA060000']
    site.is_well(1, 2)


def test_a_silent_hub_does_not_hold_the_caller_for_ever(prepare: Callable[..., Site]) -> None:
    site = prepare(move_timeout=3).connect()
    site.wire.mute(after='F1MA.*')
    assert site.daemon.call('set_focus', 1, 40000) == FAILED
    eventually(lambda: site.daemon.state(1) == ERROR)
    site.wire.heal()
    eventually(lambda: site.at_rest(1))
    assert 0 < site.truth(1) < 40000, 'it was halted'
    assert site.wire.sent('F1HALT')
    assert site.wire.sent('F1MA.*') == ['F1MA096000']
    site.is_well(1, 2)


def test_a_channel_that_dies_does_not_disturb_a_move(site: Site) -> None:
    move = site.begin_move(1, 4000)
    site.wire.lose('F2.*', times=1e9)
    assert move.wait() == SUCCEEDED
    assert site.is_at(1, 4000)
    assert site.wire.sent('F1MA.*') == ['F1MA060000']
    eventually(lambda: site.daemon.state(2) == ERROR)
    assert site.daemon.status()['error_2']
    assert site.daemon.call('set_focus', 2, 100) == NOT_AVAILABLE
    site.is_well(1)
    site.wire.heal()
    site.is_well(1, 2)


def failed_and_halted(site: Site, result: int) -> None:
    """What has to be true of a move that does not arrive, when its caller gets the outcome."""
    assert result == FAILED
    assert site.at_rest(1)
    assert site.wire.sent('F1HALT')
    assert len(site.wire.sent('F1MA.*')) == 1


def test_a_focuser_that_jams_half_way_is_halted(prepare: Callable[..., Site]) -> None:
    site = prepare(move_timeout=2).connect()
    move = site.begin_move(1, 4000)
    site.hub('jam 1')
    jammed_at = site.truth(1)
    failed_and_halted(site, move.wait())
    site.hub('unjam 1')
    assert site.is_at(1, jammed_at)
    site.is_well(1, 2)


def test_a_focuser_that_stops_short_fails_the_move(site: Site) -> None:
    site.hub('lose-steps 1 100')
    failed_and_halted(site, site.daemon.call('set_focus', 1, 2000))
    assert site.is_at(1, 1900)
    site.is_well(1, 2)


@pytest.mark.parametrize('latency_s', [0.5, 1.9])
def test_a_motor_that_starts_late_arrives(prepare: Callable[..., Site], latency_s: float) -> None:
    site = prepare('--start-latency', f'{latency_s}').connect()
    assert site.daemon.call('set_focus', 1, 2000) == SUCCEEDED
    assert site.is_at(1, 2000)
    assert site.wire.sent('F1MA.*') == ['F1MA058000']
    site.is_well(1)


def test_a_motor_that_starts_far_too_late_is_halted_before(prepare: Callable[..., Site]) -> None:
    site = prepare('--start-latency.1', '6').connect()
    failed_and_halted(site, site.daemon.call('set_focus', 1, 2000))
    assert site.is_at(1, 0)
    site.hub('start_latency 1 0')
    site.is_well(1, 2)


def test_a_motor_that_is_slower_than_the_move_timeout_is_halted(prepare: Callable[..., Site]) -> None:
    site = prepare('--speed', '500', move_timeout=1.5).connect()
    failed_and_halted(site, site.daemon.call('set_focus', 1, 2000))
    assert 0 < site.truth(1) < 2000
    site.is_well(1, 2)


def test_a_motor_that_goes_to_another_target_is_halted(site: Site) -> None:
    site.wire.alter('F1MA060000', lambda _: b'<F1MA058000>')
    failed_and_halted(site, site.daemon.call('set_focus', 1, 4000))
    assert 0 < site.truth(1) < 2000
    assert site.wire.sent('F1MA.*') == ['F1MA060000']
    site.is_well(1, 2)


def test_a_move_halted_by_hand_fails_and_is_not_sent_again(site: Site) -> None:
    move = site.begin_move(1, 20000)
    site.hub('request <F1HALT>')
    halted_at, begun = site.truth(1), time.monotonic()
    assert move.wait() == FAILED
    assert time.monotonic() - begun < 5
    assert site.wire.sent('F1MA.*') == ['F1MA076000']
    assert site.is_at(1, halted_at)
    site.is_well(1, 2)


def test_a_move_redirected_by_hand_fails_and_is_not_sent_again(site: Site) -> None:
    move = site.begin_move(1, 20000)
    site.hub('hand 1 -300')
    assert move.wait() == FAILED
    assert site.wire.sent('F1MA.*') == ['F1MA076000']
    eventually(lambda: site.at_rest(1))
    site.is_well(1, 2)


def test_a_motion_by_hand_while_idle_is_reported_and_allowed(site: Site) -> None:
    site.hub('hand 1 500')
    eventually(lambda: site.daemon.state(1) == MOVING)
    assert site.daemon.call('set_focus', 1, 0) == FAILED, 'it is moved by hand'
    eventually(lambda: site.daemon.state(1) == IDLE)
    assert site.is_at(1, 500)
    assert site.daemon.status()['target_steps_1'] == 500
    assert site.wire.sent('F1(MA.*|HALT)') == []
    site.is_well(1, 2)


def test_a_move_back_after_a_motion_by_hand_is_carried_out(prepare: Callable[..., Site]) -> None:
    site = prepare(idle_loop_delay=60).connect()
    assert site.daemon.call('set_focus', 1, 2000) == SUCCEEDED
    site.hub('hand 1 -100')
    eventually(lambda: site.at_rest(1) and site.truth(1) == 1900)
    assert site.daemon.steps(1) == 2000, 'the daemon has not seen it'
    assert site.daemon.call('set_focus', 1, 2000) == SUCCEEDED
    assert site.is_at(1, 2000)
    assert site.wire.sent('F1MA.*') == ['F1MA058000'] * 2
    site.is_well(1, 2)


@pytest.mark.parametrize('count', [1, 3])
@pytest.mark.parametrize('what', ['request', 'reply'])
def test_a_lost_halt_is_repeated_until_the_motor_is_at_rest(site: Site, what: str, count: int) -> None:
    move = site.begin_move(1, 45000)
    if what == 'request':
        site.wire.lose('F1HALT', count)
    else:
        site.wire.spoil('F1HALT', lost, count)
    assert site.daemon.call('stop_channel', 1) == SUCCEEDED
    assert site.at_rest(1)
    assert move.wait() == FAILED
    assert len(site.wire.sent('F1HALT')) >= count + 1
    assert site.wire.sent('F1MA.*') == [f'F1MA{ZERO + 45000:06d}']
    site.is_well(1, 2)


def test_a_stop_while_idle_does_not_cancel_the_move_that_follows(site: Site) -> None:
    for steps in (1000, 2000, 1000):
        assert site.daemon.call('stop_channel', 1) == SUCCEEDED
        assert site.daemon.call('set_focus', 1, steps) == SUCCEEDED
        assert site.is_at(1, steps)
    assert len(site.wire.sent('F1MA.*')) == 3
    site.is_well(1, 2)


@REFUSALS
def test_a_refused_zero_fails_and_is_not_repeated_later(site: Site, refusal: bytes) -> None:
    assert site.daemon.call('set_focus', 1, 1000) == SUCCEEDED
    site.wire.answer('F1SCCP.*', refusal, times=1000)
    assert site.daemon.call('reset_home_position', 1) == FAILED
    assert site.is_at(1, 1000)
    assert site.wire.sent('F1SCCP.*') == ['F1SCCP056000']
    assert site.daemon.call('shutdown') == SUCCEEDED
    site.connect()
    site.is_well(1, 2)
    assert site.wire.sent('F1SCCP.*') == ['F1SCCP056000']
    site.wire.heal()
    assert site.daemon.call('reset_home_position', 1) == SUCCEEDED
    assert site.is_at(1, 0)
    site.is_well(1)

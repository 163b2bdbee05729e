# SPDX-License-Identifier: GPL-3.0-or-later
"""When a moving focuser is polled: in simulated time, for all the ways in which motors run."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest

from warwick.observatory.focuslynx.core.poll_timing import EXTRA_POLLS, REMEMBERED_MOVES, Arrival, History

RHYTHM_S = 0.5
POLL_S = 0.017   # what a poll takes on the wire

Motor = Callable[[float], float]   # seconds since the start -> part of the way, 1 once at rest on the target


def steady(duration_s: float) -> Motor:
    return lambda t: t / duration_s


def ramped(distance: int, speed: float, ramp_s: float) -> Motor:
    """Up to speed within `ramp_s`, and down again; a triangle where the way is too short for that."""
    ramp_way = speed * ramp_s / 2
    if 2 * ramp_way > distance:
        ramp_s *= math.sqrt(distance / (2 * ramp_way))
        speed *= ramp_s / (2 * ramp_way / speed)
        ramp_way = distance / 2
    cruise_s = (distance - 2 * ramp_way) / speed
    total_s = cruise_s + 2 * ramp_s

    def way(t: float) -> float:
        if t >= total_s:
            return 1.0
        if t < ramp_s:
            return ramp_way * (t / ramp_s) ** 2 / distance
        if t < ramp_s + cruise_s:
            return (ramp_way + speed * (t - ramp_s)) / distance
        return 1 - ramp_way * ((total_s - t) / ramp_s) ** 2 / distance

    return way


def late(motor: Motor, latency_s: float) -> Motor:
    return lambda t: 0.0 if t < latency_s else motor(t - latency_s)


def end_of(motor: Motor) -> float:
    low, high = 0.0, 1000.0
    while high - low > 1e-6:
        middle = (low + high) / 2
        low, high = (low, middle) if motor(middle) >= 1 else (middle, high)
    return high


def follow(history: History, motor: Motor, distance: int) -> tuple[float, int]:
    """Watch one move to its end; returns how late the end was seen, and how many polls it took."""
    arrival = Arrival(history, RHYTHM_S, 100.0, 0, distance)
    polls = 0
    now = 100.0
    while True:
        now = max(now, arrival.next_poll)
        polls += 1
        assert polls < 10000
        part = motor(now - 100.0)
        if part >= 1:
            arrival.arrived(now)
            return now - 100.0 - end_of(motor), polls
        arrival.seen(now, int(part * distance))
        now += POLL_S


MOTORS = {
    'steady': lambda distance: steady(distance / 1000),
    'ramps': lambda distance: ramped(distance, 1000, 0.3),
    'start latency': lambda distance: late(steady(distance / 1000), 0.5),
}


@pytest.mark.parametrize('distance', [1, 100, 200, 1000, 5000, 60000])
@pytest.mark.parametrize('kind', MOTORS)
def test_the_end_is_seen_within_the_rhythm_for_every_motor(kind: str, distance: int) -> None:
    motor = MOTORS[kind](distance)
    history = History()
    for _ in range(20):
        late_s, polls = follow(history, motor, distance)
        assert late_s <= RHYTHM_S + POLL_S
        assert polls <= end_of(motor) / RHYTHM_S + 1 + EXTRA_POLLS


@pytest.mark.parametrize('distance', [1, 100, 200, 1000, 5000, 60000])
@pytest.mark.parametrize('kind', MOTORS)
def test_a_move_that_is_repeated_is_seen_to_end_almost_at_once(kind: str, distance: int) -> None:
    motor = MOTORS[kind](distance)
    history = History()
    lates = sorted(follow(history, motor, distance)[0] for _ in range(41))
    assert lates[20] <= 0.02


@pytest.mark.parametrize('jitter_s', [0.001, 0.003, 0.006])
@pytest.mark.parametrize('distance', [1, 100, 1000])
@pytest.mark.parametrize('kind', MOTORS)
def test_an_irregular_motor_is_seen_to_end_soon_after_one_move(
        kind: str, distance: int, jitter_s: float) -> None:
    for seed in range(10):
        chance = random.Random(seed)
        history = History()
        follow(history, MOTORS[kind](distance), distance)
        for _ in range(30):
            motor = late(MOTORS[kind](distance), abs(chance.gauss(0, jitter_s)))
            assert follow(history, motor, distance)[0] <= 0.1


def test_a_move_that_ends_a_little_sooner_is_expected_sooner() -> None:
    history = History()
    history.learn(1, 0.515, 0.520, None)
    history.learn(1, 0.0, 0.500, None)   # the first poll, in the regular rhythm, has found it at rest
    assert history.expected_s(1) == pytest.approx(0.5)


def test_an_expected_end_replaces_a_regular_poll_just_before_it() -> None:
    history = History()
    for _ in range(10):
        late_s, polls = follow(history, steady(RHYTHM_S + 0.003), 503)
    assert polls == 1
    assert late_s <= 0.02


def test_the_first_long_steady_move_is_seen_to_end_at_once() -> None:
    assert follow(History(), steady(5.0), 5000)[0] <= 0.02


def test_a_move_over_a_new_distance_profits_from_earlier_ones() -> None:
    history = History()
    follow(history, MOTORS['ramps'](5000), 5000)
    follow(history, MOTORS['ramps'](5000), 5000)
    assert follow(history, MOTORS['ramps'](7000), 7000)[0] <= 0.1


@pytest.mark.parametrize('factor', [0.2, 0.5, 2.0, 5.0])
def test_a_changed_motor_speed_costs_a_poll_and_is_learnt_again(factor: float) -> None:
    history = History()
    for _ in range(5):
        follow(history, steady(3.0), 3000)
    late_s, polls = follow(history, steady(3.0 * factor), 3000)
    assert late_s <= RHYTHM_S + POLL_S
    assert polls <= 3.0 * factor / RHYTHM_S + 1 + EXTRA_POLLS
    lates = [follow(history, steady(3.0 * factor), 3000)[0] for _ in range(10)]
    assert min(lates) <= 0.02


def test_a_jammed_focuser_is_polled_in_the_regular_rhythm() -> None:
    arrival = Arrival(History(), RHYTHM_S, 0.0, 0, 5000)
    polls = []
    now = 0.0
    while now < 60:
        now = arrival.next_poll
        polls.append(now)
        arrival.seen(now, min(int(now * 1000), 2500))
    assert len(polls) <= 60 / RHYTHM_S + 1 + EXTRA_POLLS
    assert max(b - a for a, b in zip(polls, polls[1:])) <= RHYTHM_S + 1e-9


@pytest.mark.parametrize('ramp_s', [0.1, 0.3, 0.6])
@pytest.mark.parametrize('latency_s', [0.0, 0.5])
def test_the_first_long_move_with_ramps_is_seen_to_end_soon(ramp_s: float, latency_s: float) -> None:
    assert follow(History(), late(ramped(5000, 1000, ramp_s), latency_s), 5000)[0] <= 0.08


def test_a_known_backlash_overshoot_is_seen_to_end_soon() -> None:
    """Outward past the target by 40 counts, and back at half the speed."""
    def motor(t: float) -> float:
        return t / 2.0 if t < 2.04 else 1.02 - (t - 2.04) * 0.25 if t < 2.12 else 1.0

    history = History()
    lates = []
    for _ in range(8):
        arrival = Arrival(history, RHYTHM_S, 100.0, 0, 2000)
        polls, now = 1, arrival.next_poll
        while now < 102.12:
            arrival.seen(now, int(motor(now - 100.0) * 2000))
            now = max(now + POLL_S, arrival.next_poll)
            polls += 1
        arrival.arrived(now)
        lates.append(now - 102.12)
        assert polls <= 2.12 / RHYTHM_S + 1 + EXTRA_POLLS
    assert lates[0] <= RHYTHM_S
    assert lates[-1] <= 0.02


def test_a_focuser_sent_elsewhere_and_back_is_polled_in_rhythm() -> None:
    """Another program retargets it: it runs away from the target and comes back."""
    def motor(t: float) -> float:
        return t / 3.0 if t < 1.5 else 0.5 - (t - 1.5) / 3.0 if t < 2.5 else (t - 2.0) / 3.0 if t < 5.0 else 1.0

    arrival = Arrival(History(), RHYTHM_S, 100.0, 0, 3000)
    polls = [arrival.next_poll]
    while polls[-1] < 105.0:
        arrival.seen(polls[-1], int(motor(polls[-1] - 100.0) * 3000))
        polls.append(max(polls[-1] + POLL_S, arrival.next_poll))
    assert max(b - a for a, b in zip(polls, polls[1:])) <= RHYTHM_S + 1e-9
    assert len(polls) <= 5.0 / RHYTHM_S + 1 + EXTRA_POLLS
    assert polls[-1] <= 105.0 + RHYTHM_S


def test_inward_and_outward_moves_may_take_different_times() -> None:
    history = History()
    for _ in range(10):
        outward = follow(history, steady(1.3), 1000)[0]
        inward = follow(history, steady(1.0), -1000)[0]
    assert max(outward, inward) <= 0.02


def test_late_positions_delay_the_end_by_no_more_than_that() -> None:
    motor = late(steady(3.0), 0.2)
    assert follow(History(), motor, 3000)[0] <= 0.25


def test_moves_that_are_no_longer_made_are_forgotten() -> None:
    history = History()
    for distance in range(1, 1000):
        history.learn(distance, 0.0, distance / 100, 100.0)
    assert sum(history.longest_s(distance) is not None for distance in range(1, 1000)) == REMEMBERED_MOVES

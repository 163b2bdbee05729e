# SPDX-License-Identifier: GPL-3.0-or-later
"""When to poll a moving focuser next, so that its arrival is seen at once with few polls.

The regular rhythm guarantees that a moving focuser is always supervised; a few additional polls, placed where the end
is expected, find it sooner. A wrong expectation costs one of those polls, never a wrong answer: operation.py and
move.py decide what ends a move, from what the hub says.

The end is expected, in this order: where earlier moves over the same distance ended; where the cruising speed leads to;
and, once that is past, at the end of a ramp that brings the speed to zero evenly.

All times are in seconds on the caller's clock, positions in counts. The time of a poll is when its request went out.
"""

from __future__ import annotations

import math
from typing import NamedTuple

EXTRA_POLLS = 4
"""Polls that a move may spend beyond its regular rhythm."""

SHORTEST_GAP_S = 0.02
"""A status exchange takes 17 ms on the wire: a poll sooner can show no more."""

FIRST_GAP_S = 0.025
"""Between the first polls of a move of which nothing is known; each gap is twice the one before."""

FASTEST = 4000.0
"""No focuser is known to run faster (counts/s). A first move is not polled before it can have arrived."""

JITTER_S = 0.004
"""How much the duration of one and the same move may vary: an expectation is not made sharper than this."""

SAME_SPEED = 0.95
"""Speeds that differ by less than this factor are the same: positions are whole counts, and polls are not punctual."""

LONGEST_RAMP_S = 0.5
"""A focuser that takes longer than this to stop is not on a ramp: it runs slower than before."""

SPREAD_LIMIT_S = 0.1
"""If earlier moves over the same way leave the end uncertain by more than this, the speed may show more."""

REMEMBERED_MOVES = 32


class _Duration(NamedTuple):
    """How long a move took: longer than `more_than_s`, and not longer than `at_most_s`."""

    more_than_s: float
    at_most_s: float

    @property
    def expected_s(self) -> float:
        """In the middle, which halves the uncertainty; or at the end, where a poll too early costs more than that."""
        if self.at_most_s - self.more_than_s <= 2 * JITTER_S:
            return self.at_most_s
        return (self.more_than_s + self.at_most_s) / 2

    def narrowed(self, by: _Duration) -> _Duration:
        """The overlap of both observations; the later one alone if there is none.

        A move that ends at most SHORTEST_GAP_S sooner than ever before is still the same move: then JITTER_S before its
        end becomes the lower bound. (If a single poll saw the move, its own lower bound is 0 and says nothing.)
        """
        more_than_s, at_most_s = max(self.more_than_s, by.more_than_s), min(self.at_most_s, by.at_most_s)
        if more_than_s < at_most_s:
            return _Duration(more_than_s, at_most_s)
        if 0 <= self.more_than_s - by.at_most_s <= SHORTEST_GAP_S:
            return _Duration(max(by.more_than_s, by.at_most_s - JITTER_S), by.at_most_s)
        return by


class History:
    """What earlier moves of one focuser teach about the next: how long a way takes, and the cruising speed.

    A way has a sign: outward and inward differ by what is done about backlash.
    """

    def __init__(self) -> None:
        self._durations: dict[int, _Duration] = {}
        self._speed: float | None = None
        self._speed_way = 0   # the way on which that was seen: a short one has none of its own

    def expected_s(self, way: int) -> float | None:
        """Duration expected for a move by `way` counts, from the most similar one so far; None if unknown."""
        if way in self._durations:
            return self._durations[way].expected_s
        if not self._durations:
            return None
        known = min(self._durations, key=lambda other: (abs(abs(other) - abs(way)), (other > 0) != (way > 0)))
        longer = abs(way) - abs(known)
        if longer and self._speed is None:
            return None
        return max(self._durations[known].expected_s + (longer / self._speed if self._speed else 0.0), 0.0)

    def longest_s(self, way: int) -> float | None:
        """How long a move by just that way took at most; None if it was not made before."""
        return self._durations[way].at_most_s if way in self._durations else None

    def learn(self, way: int, more_than_s: float, at_most_s: float, speed: float | None) -> None:
        """Remember a completed move, and what repetitions of it have narrowed its duration down to."""
        seen = _Duration(min(more_than_s, at_most_s), at_most_s)
        known = self._durations.pop(way, None)
        if len(self._durations) == REMEMBERED_MOVES:
            del self._durations[next(iter(self._durations))]
        self._durations[way] = seen if known is None else known.narrowed(seen)
        if speed is not None and abs(way) >= self._speed_way / 2:
            self._speed, self._speed_way = speed, abs(way)


class Arrival:
    """The polls of one move, from its start on. `next_poll` is when the next one should go out."""

    def __init__(self, history: History, rhythm_s: float, now: float, counts: int, target_counts: int) -> None:
        self._history = history
        self._rhythm_s = rhythm_s
        self._start = now
        self._way = target_counts - counts
        self._target = target_counts
        self._polls = 0
        self._last = (now, counts)
        self._speed: float | None = None                        # between the last two polls
        self._cruise: tuple[float, int, float] | None = None    # time, counts and speed when it last ran evenly
        self._gap_s = FIRST_GAP_S
        expected_s = history.expected_s(self._way)
        longest_s = history.longest_s(self._way)
        self._latest = math.inf if longest_s is None else now + longest_s   # no move by this way has taken longer
        self._expected_at = now + (abs(self._way) / FASTEST if expected_s is None else expected_s)
        self.next_poll = min(self._expected_at, self._regular(now))

    @property
    def is_as_expected(self) -> bool:
        """Whether earlier moves tell when this one ends."""
        return self._history.expected_s(self._way) is not None

    def seen(self, at: float, counts: int) -> None:
        """The poll that went out at `at` found the focuser at `counts`, still moving."""
        self._polls += 1
        last_at, last_counts = self._last
        before, self._speed = self._speed, None
        if counts != last_counts and at > last_at:
            self._speed = abs(counts - last_counts) / (at - last_at)
            if self._is_even(self._speed, before):
                self._cruise = (at, counts, self._speed)
        self._last = (at, counts)
        self.next_poll = self._plan(at)

    def arrived(self, at: float) -> None:
        """The poll that went out at `at` found the focuser on its target."""
        speed = None if self._cruise is None else self._cruise[2]
        self._history.learn(self._way, self._last[0] - self._start, at - self._start, speed)

    def _is_even(self, speed: float, before: float | None) -> bool:
        """Whether the focuser runs at its cruising speed, as far as that is known: as fast as ever, or evenly."""
        if self._cruise is None or speed >= SAME_SPEED * self._cruise[2]:
            return True
        return before is not None and SAME_SPEED <= speed / before <= 1 / SAME_SPEED

    def _plan(self, now: float) -> float:
        """Time of the next poll after one at `now`."""
        regular = self._regular(now)
        early = max(self._estimate(now), now + SHORTEST_GAP_S)
        affordable = self._polls + 1 <= (early - self._start) / self._rhythm_s + EXTRA_POLLS
        return early if early < regular and affordable else regular

    def _regular(self, now: float) -> float:
        """Time of the next regular poll after one at `now`; or the expected end, if that comes just after it."""
        regular = now + self._rhythm_s
        return self._expected_at if regular < self._expected_at <= regular + SHORTEST_GAP_S else regular

    def _estimate(self, now: float) -> float:
        """When the focuser should arrive, or, if nothing is known, when another poll is worth while."""
        if self._expected_at > now and (self._cruise is None or self._latest - self._expected_at <= SPREAD_LIMIT_S):
            return self._expected_at
        if self._cruise is None and now < self._latest < math.inf:
            return (now + self._latest) / 2
        if self._cruise is None:
            gap_s, self._gap_s = self._gap_s, self._gap_s * 2
            return now + gap_s
        at, counts, cruising = self._cruise
        straight = at + abs(self._target - counts) / cruising
        if straight <= now:
            straight = self._end_of_ramp(now, straight, cruising) or now + self._way_left() / (self._speed or math.inf)
        return min(straight, self._expected_at) if self._expected_at > now else straight

    def _way_left(self) -> float:
        return abs(self._target - self._last[1]) or 1.0

    def _end_of_ramp(self, now: float, straight: float, cruising: float) -> float | None:
        """When a focuser stops that slows down evenly and would otherwise have arrived at `straight`; or None.

        An even ramp of duration 2x ends x later than `straight`, and y before its end leaves a way of v y**2 / 4x.
        """
        late = now - straight
        half = late + 2 * self._way_left() / cruising
        end = straight + half + math.sqrt(half * half - late * late)
        return end if end - now <= LONGEST_RAMP_S else None

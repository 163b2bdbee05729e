# SPDX-License-Identifier: GPL-3.0-or-later
"""When to look at a moving focuser next, so that its arrival is seen at once with few looks.

The regular rhythm guarantees that a focuser is never left alone; a few looks more, placed where the end is expected,
find it sooner. A wrong expectation costs one of those looks, never a wrong answer: what ends a move is decided
elsewhere, from what the hub says.

All times are in seconds on the caller's clock, positions in counts. A look is dated by the moment its request went out.
"""

from __future__ import annotations

from dataclasses import dataclass

EXTRA_LOOKS = 5
"""Looks that a move may spend beyond its regular rhythm."""

SHORTEST_GAP_S = 0.02
"""A status exchange takes 17 ms on the wire: asking sooner cannot tell more."""

FIRST_GAP_S = 0.025
"""The first look at a move of which nothing is known; the following ones grow apart twofold."""

JITTER_S = 0.002
"""How much the duration of one and the same move may vary: an expectation is not made sharper than this."""

REMEMBERED_MOVES = 16


@dataclass(frozen=True)
class _Duration:
    """How long a move took: longer than `more_than_s`, and not longer than `at_most_s`."""

    more_than_s: float
    at_most_s: float

    @property
    def expected_s(self) -> float:
        """In the middle, so that the uncertainty halves with each repetition."""
        return (self.more_than_s + self.at_most_s) / 2


class History:
    """What earlier moves of one focuser teach about the next: how long a distance takes, and the cruising speed."""

    def __init__(self) -> None:
        self._durations: dict[int, _Duration] = {}
        self._speed: float | None = None

    def expected_s(self, distance: int) -> float | None:
        """Duration expected for a move over `distance` counts, from the most similar one so far; None if unknown."""
        if distance in self._durations:
            return self._durations[distance].expected_s
        if self._speed is None or not self._durations:
            return None
        known = min(self._durations, key=lambda other: abs(other - distance))
        return max(self._durations[known].expected_s + (distance - known) / self._speed, 0.0)

    def learn(self, distance: int, more_than_s: float, at_most_s: float, speed: float | None) -> None:
        """Remember a completed move, and what repetitions of it have narrowed its duration down to."""
        known = self._durations.pop(distance, None)
        if known is not None and known.more_than_s < at_most_s:
            more_than_s = max(more_than_s, min(known.more_than_s, at_most_s - JITTER_S))
        if len(self._durations) == REMEMBERED_MOVES:
            del self._durations[next(iter(self._durations))]
        self._durations[distance] = _Duration(min(more_than_s, at_most_s), at_most_s)
        if speed is not None:
            self._speed = speed


class Arrival:
    """The looks of one move, from its start on. `next_look` is when the next one should go out."""

    def __init__(self, history: History, rhythm_s: float, now: float, counts: int, target_counts: int) -> None:
        self._history = history
        self._rhythm_s = rhythm_s
        self._start = now
        self._distance = abs(target_counts - counts)
        self._target = target_counts
        self._last = (now, counts)
        self._speed: float | None = None     # between the last two looks
        self._fastest: float | None = None   # between any two looks: the best guess at the cruising speed
        self._gap_s = FIRST_GAP_S
        expected_s = history.expected_s(self._distance)
        self._expected_at = now + (FIRST_GAP_S if expected_s is None else expected_s)
        self.next_look = min(self._expected_at, now + rhythm_s)
        self._extra = EXTRA_LOOKS - (self.next_look == self._expected_at)

    def seen(self, at: float, counts: int) -> None:
        """The focuser was at `counts`, still on its way, in the look that went out at `at`."""
        last_at, last_counts = self._last
        if counts != last_counts and at > last_at:
            self._speed = abs(counts - last_counts) / (at - last_at)
            self._fastest = max(self._fastest or 0.0, self._speed)
        self._last = (at, counts)
        self.next_look = self._plan(at)

    def arrived(self, at: float) -> None:
        """The look that went out at `at` found the focuser on its target."""
        self._history.learn(self._distance, self._last[0] - self._start, at - self._start, self._fastest)

    def _plan(self, now: float) -> float:
        """Time of the next look after one at `now`."""
        regular = now + self._rhythm_s
        early = max(self._estimate(now), now + SHORTEST_GAP_S)
        if early >= regular or not self._extra:
            return regular
        self._extra -= 1
        return early

    def _estimate(self, now: float) -> float:
        """When the focuser should arrive, or, if nothing tells, when another look is worth while."""
        if self._expected_at > now:
            return self._expected_at
        if self._speed:
            at, counts = self._last
            return at + abs(self._target - counts) / self._speed
        self._gap_s *= 2
        return now + self._gap_s

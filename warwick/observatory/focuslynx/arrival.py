# SPDX-License-Identifier: GPL-3.0-or-later
"""When to look at a moving focuser next, so that its arrival is seen at once with few looks.

The regular rhythm guarantees that a focuser is never left alone; a few looks more, placed where the end is expected,
find it sooner. A wrong expectation costs one of those looks, never a wrong answer: what ends a move is decided
elsewhere, from what the hub says.

All times are in seconds on the caller's clock, positions in counts. A look is dated by the moment its request went out.
"""

from __future__ import annotations

EXTRA_LOOKS = 5
"""Looks that a move may spend beyond its regular rhythm."""

SHORTEST_GAP_S = 0.02
"""A status exchange takes 17 ms on the wire: asking sooner cannot tell more."""

FIRST_GAP_S = 0.025
"""The first look at a move of which nothing is known; the following ones grow apart twofold."""

TRIM_S = 0.002
"""How much sooner to look the next time, after a first look that found the focuser already there."""

REMEMBERED_MOVES = 16


class History:
    """What earlier moves of one focuser teach about the next: how long a distance takes, and the cruising speed."""

    def __init__(self) -> None:
        self._durations: list[tuple[int, float]] = []
        self._speed: float | None = None

    def expected_s(self, distance: int) -> float | None:
        """Duration expected for a move over `distance` counts, from the most similar one so far; None if unknown."""
        if not self._durations:
            return None
        known, duration_s = min(self._durations, key=lambda entry: abs(entry[0] - distance))
        if known != distance:
            if self._speed is None:
                return None
            duration_s += (distance - known) / self._speed
        return max(duration_s, 0.0)

    def learn(self, distance: int, duration_s: float, speed: float | None) -> None:
        """Remember a completed move."""
        self._durations = [entry for entry in self._durations if entry[0] != distance][-(REMEMBERED_MOVES - 1):]
        self._durations.append((distance, duration_s))
        if speed is not None:
            self._speed = speed


class Arrival:
    """The looks of one move, from its start on."""

    def __init__(self, history: History, rhythm_s: float, now: float, counts: int, target_counts: int) -> None:
        self._history = history
        self._rhythm_s = rhythm_s
        self._start = now
        self._distance = abs(target_counts - counts)
        self._target = target_counts
        self._last = (now, counts)
        self._speed: float | None = None     # between the last two looks
        self._fastest: float | None = None   # between any two looks: the best guess at the cruising speed
        self._extra = EXTRA_LOOKS
        self._gap_s = FIRST_GAP_S
        self._looks = 0
        self._expected_at: float | None = None
        expected_s = history.expected_s(self._distance)
        if expected_s is not None:
            self._expected_at = now + expected_s
        self.next_look = min(now + (FIRST_GAP_S if expected_s is None else expected_s), now + rhythm_s)
        self._extra -= self.next_look < now + rhythm_s

    def seen(self, at: float, counts: int) -> None:
        """The focuser was at `counts`, still on its way, in the look that went out at `at`."""
        self._looks += 1
        last_at, last_counts = self._last
        if counts != last_counts and at > last_at:
            self._speed = abs(counts - last_counts) / (at - last_at)
            self._fastest = max(self._fastest or 0.0, self._speed)
        self._last = (at, counts)
        self.next_look = self._plan(at)

    def arrived(self, at: float) -> None:
        """The look that went out at `at` found the focuser on its target."""
        duration_s = at - self._start
        if self._looks == 0:
            duration_s -= TRIM_S
        elif self._speed:
            last_at, last_counts = self._last
            duration_s = min(duration_s, last_at - self._start + abs(self._target - last_counts) / self._speed + TRIM_S)
        self._history.learn(self._distance, max(duration_s, 0.0), self._fastest)

    def _plan(self, now: float) -> float:
        """Time of the next look after one at `now`."""
        regular = now + self._rhythm_s
        if not self._extra:
            return regular
        early = self._estimate(now)
        if early is None:
            early = now + self._gap_s
            self._gap_s *= 2
        early = max(early, now + SHORTEST_GAP_S)
        if early >= regular:
            return regular
        self._extra -= 1
        return early

    def _estimate(self, now: float) -> float | None:
        """When the focuser should arrive; None if nothing tells."""
        if self._expected_at is not None and self._expected_at > now:
            return self._expected_at
        if self._speed:
            at, counts = self._last
            return at + abs(self._target - counts) / self._speed
        return None

# SPDX-License-Identifier: GPL-3.0-or-later
"""One motion in closed form: the position of the motor at any time, without a simulation in steps."""
from __future__ import annotations

import math

__all__ = ['Leg']

# In counts. Distances are sums of floats: a rounding error must not hide a count that is reached exactly.
_ROUNDING_COUNTS = 1e-6


class Leg:
    """Motion from `origin` to `goal` (counts), at rest until `start` (s) and from `end` (s) on.

    `ramp` is the time (s) from rest to full speed, and from full speed to rest: the velocity is a trapezoid, or a
    triangle if the distance is too short. If `slow_for` (s) is above 0, the motion has `slow_speed` for that time
    first. Speeds are in counts per second.
    """

    __slots__ = ('_pieces', '_sign', 'end', 'goal', 'origin', 'start')

    def __init__(self, origin: int, goal: int, start: float, speed: float, ramp: float = 0.0,
                 slow_speed: float = 0.0, slow_for: float = 0.0) -> None:
        self.origin = origin
        self.goal = goal
        self.start = start
        self._sign = 1 if goal >= origin else -1
        distance = abs(goal - origin)
        if slow_for > 0:
            shape = _in_two_gears(distance, slow_speed, slow_for, speed)
        elif ramp > 0:
            shape = _trapezoid(distance, speed, ramp)
        else:
            shape = [(distance / speed, speed, speed)]
        # Each piece: time and distance at its start, its duration, velocity at its start, acceleration.
        self._pieces: list[tuple[float, float, float, float, float]] = []
        time, way = 0.0, 0.0
        for duration, first, last in shape:
            if duration > 0:
                self._pieces.append((time, way, duration, first, (last - first) / duration))
                time += duration
                way += duration * (first + last) / 2
        self.end = start + time

    def at(self, time: float) -> int:
        """Position (counts) at `time` (s)."""
        if time >= self.end:
            return self.goal
        elapsed = time - self.start
        if elapsed <= 0:
            return self.origin
        way = 0.0
        for begun, before, duration, velocity, acceleration in self._pieces:
            if elapsed <= begun + duration:
                dt = elapsed - begun
                way = before + dt * (velocity + acceleration * dt / 2)
                break
        return self.origin + self._sign * min(int(way + _ROUNDING_COUNTS), abs(self.goal - self.origin))

    def reaches(self, counts: int) -> float:
        """The earliest time (s) at which the position is `counts`. Raises ValueError if it is never reached."""
        if not min(self.origin, self.goal) <= counts <= max(self.origin, self.goal):
            raise ValueError(f'{counts} is not between {self.origin} and {self.goal}')
        wanted = abs(counts - self.origin)
        early, late = self.start, self.end
        if abs(self.at(early) - self.origin) >= wanted:
            return early
        while late - early > 1e-7:
            middle = (early + late) / 2
            if abs(self.at(middle) - self.origin) >= wanted:
                late = middle
            else:
                early = middle
        return late


def _trapezoid(distance: float, speed: float, ramp: float) -> list[tuple[float, float, float]]:
    cruise = distance - speed * ramp
    if cruise >= 0:
        return [(ramp, 0.0, speed), (cruise / speed, speed, speed), (ramp, speed, 0.0)]
    peak = math.sqrt(distance * speed / ramp)
    half = peak * ramp / speed
    return [(half, 0.0, peak), (half, peak, 0.0)]


def _in_two_gears(distance: float, slow: float, slow_for: float, fast: float) -> list[tuple[float, float, float]]:
    if distance <= slow * slow_for:
        return [(distance / slow, slow, slow)]
    return [(slow_for, slow, slow), ((distance - slow * slow_for) / fast, fast, fast)]

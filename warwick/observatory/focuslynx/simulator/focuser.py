# SPDX-License-Identifier: GPL-3.0-or-later
"""One channel of the hub: its motor, its counter and its compensation (docs/protocol.md, motion and compensation).

All positions are in counts of the hub. All times are seconds on the hub's own clock, which never runs backwards.
"""
from __future__ import annotations

import enum
import math
from typing import Callable

from .motion import Leg
from .settings import ChannelMemory, Mechanics, is_homing
from .temperature import Thermometer

__all__ = ['Focuser', 'Phase']


class Phase(enum.Enum):
    """What the motor is doing, in the words of docs/protocol.md."""

    IDLE = 'idle'
    MOVE = 'move'
    BLC_OUT = 'backlash overshoot'
    REL = 'relative move'
    HAND = 'hand controller'
    HOME_IN = 'homing, inward'
    HOME_BACK = 'homing, back'
    TC = 'temperature compensation'


_HOMING = (Phase.HOME_IN, Phase.HOME_BACK)


class Focuser:
    """A focuser as the hub drives it.

    `position`, `target`, `moving` and `homing` are what the hub shows as Curr Pos, Targ Pos, IsMoving and IsHoming, at
    the time of the last `advance`. `starting`, `running` and `in_homing_run` are the truth, which the hub itself obeys.
    `tube` is the true position of the draw tube. The two positions differ after a power cut during a motion, after
    slipped steps, and after an aborted homing run. `store` is called whenever the memory has changed.
    """

    def __init__(self, channel: int, memory: ChannelMemory, mechanics: Mechanics, store: Callable[[], None]) -> None:
        self.channel = channel
        self.memory = memory
        self.mechanics = mechanics
        self.thermometer = Thermometer(mechanics)
        self.position = memory.position
        self.target = memory.position
        self.phase = Phase.IDLE
        self.homed = is_homing(memory.type)
        # A working copy of memory.tcomp: HALT clears this one only.
        self.tc_on = memory.tcomp
        self.jammed = False
        self.short_by = 0
        self.leg: Leg | None = None
        self.final_target = 0   # of a move that overshoots, while it does
        self._store = store
        self._now = 0.0
        self._begins = 0.0      # when the motor begins or has begun, from rest
        self._leg_target = 0    # Targ Pos of the leg, which late_target may hide until the motor begins
        self._slip = 0
        self._gear = (0.0, 0.0)
        self._wants_start_move = False
        self._back_at: float | None = None

    # What a host and a test can see

    @property
    def starting(self) -> bool:
        """Whether a motion is accepted, and the motor has not begun."""
        return self.leg is not None and self._now < self.leg.start

    @property
    def running(self) -> bool:
        """Whether the hub drives the motor now, jammed or not."""
        return self.leg is not None and self._now >= self.leg.start

    @property
    def moving(self) -> bool:
        """What IsMoving shows."""
        return self.running and self._now >= self._shows_at

    @property
    def in_homing_run(self) -> bool:
        """Whether a homing run is accepted or under way."""
        return self.phase in _HOMING

    @property
    def homing(self) -> bool:
        """What IsHoming shows. Without moving_latency that is 1 from the reply on."""
        return self.in_homing_run and (self.moving or not self.mechanics.moving_latency)

    @property
    def _shows_at(self) -> float:
        return self._begins + self.mechanics.moving_latency

    @property
    def shows_homed(self) -> bool:
        """What IsHomed shows. It has a meaning for homing types only."""
        if is_homing(self.memory.type):
            return self.homed
        return self.memory.type != 'ZZ' and self.mechanics.syncing_homed

    @property
    def tube(self) -> int:
        return self.position + self._slip

    @property
    def restarting(self) -> bool:
        """Whether the channel is initialising itself and does not answer."""
        return self._back_at is not None

    def next_event(self) -> float | None:
        """When this channel does something by itself next; None if never."""
        times = [self.thermometer.next_at]
        if self._back_at is not None:
            times.append(self._back_at)
        if self.leg is not None:
            if self.starting:
                times.append(self.leg.start)
            elif not self.moving:
                times.append(self._shows_at)
            if not self.jammed:
                times.append(self.leg.end)
        return None if math.isinf(min(times)) else min(times)

    # Time

    def advance(self, time: float) -> None:
        """Bring everything up to `time`."""
        while self.thermometer.next_at <= time:
            at = self.thermometer.next_at
            self._run(at)
            self.thermometer.advance(at)
            self.compensate(at)
        self._run(time)

    def _run(self, time: float) -> None:
        self._now = time
        if self._back_at is not None and time >= self._back_at:
            began, self._back_at = self._back_at, None
            if is_homing(self.memory.type):
                self.home(began)
        while self.leg is not None:
            leg = self.leg
            self._now = time
            if self.running:
                self.target = self._leg_target
            if self.jammed:
                return
            if time < leg.end:
                self.position = leg.at(time)
                return
            self.position = leg.goal
            self._arrive(leg.end)

    def _arrive(self, time: float) -> None:
        if self.phase is Phase.BLC_OUT:
            self.phase = Phase.MOVE
            self._drive(self.final_target, time)
        elif self.phase is Phase.HOME_IN:
            if self.mechanics.home_switch_missing:
                # The tube is at its inner end stop, and the counter has counted down to 0.
                self._slip = -self.position
                self._rest()
            else:
                self.position = self._slip = 0
                self.homed = True
                self.phase = Phase.HOME_BACK
                back = self.memory.position
                if self._wants_start_move:
                    back = self._compensated(back)
                self._drive(back, time)
        else:
            corrected = self.phase is Phase.TC
            self._rest(keep_target=self.phase is Phase.MOVE)
            self._wants_start_move = False
            if not corrected:
                self._note_reference()
            self.save()
            self.compensate(time)

    def _rest(self, keep_target: bool = False) -> None:
        self.phase = Phase.IDLE
        self.leg = self._back_at = None
        if not keep_target:
            self.target = self.position

    def _recount(self, position: int) -> None:
        """Change the counter while the tube stays where it is."""
        self._slip += self.position - position
        self.position = position

    def _drive(self, goal: int, time: float, speed: float = 0.0, slow_for: float = 0.0, shown: int = -1) -> None:
        """Start a leg. `start_latency` applies only to a motor at rest. `shown` is Targ Pos if that differs."""
        mechanics = self.mechanics
        self._leg_target = goal if shown < 0 else shown
        if not mechanics.late_target:
            self.target = self._leg_target
        self._gear = (speed, slow_for)
        if self.leg is None:
            self._begins = time + mechanics.start_latency
        start = max(time, self._begins)
        if self.phase is Phase.MOVE and self.short_by:
            lost = min(self.short_by, abs(goal - self.position))
            goal += lost if goal < self.position else -lost
            self.short_by = 0
        self.leg = Leg(self.position, goal, start, speed or mechanics.speed, mechanics.ramp,
                       mechanics.low_speed, slow_for)
        self._run(time)

    # Commands. The caller has checked that they are allowed.

    def move(self, goal: int, time: float) -> None:
        """Move to `goal`, from rest or from another motion, with an overshoot if backlash compensation requires one."""
        if goal == self.position and self.leg is None:
            self.target = goal
            return
        memory = self.memory
        overshoot = min(max(goal + memory.backlash_steps, 0), memory.max_pos)
        if memory.backlash and (self.position < goal < overshoot or overshoot < goal < self.position):
            self.phase = Phase.BLC_OUT
            self.final_target = goal
            self._drive(overshoot, time, shown=goal if self.mechanics.blc_target == 'final' else -1)
        else:
            self.phase = Phase.MOVE
            self._drive(goal, time)

    def run(self, outward: bool, slow: bool, time: float) -> None:
        """Relative move: run to the end of the travel."""
        self.phase = Phase.REL
        mechanics = self.mechanics
        goal = self.memory.max_pos if outward else 0
        if slow:
            self._drive(goal, time, speed=mechanics.low_speed)
        else:
            self._drive(goal, time, slow_for=mechanics.slow_start)

    def hand(self, delta: int, time: float) -> None:
        """Move by `delta` as with the hand controller, as far as the travel allows."""
        self.phase = Phase.HAND
        goal = min(max(self.position + delta, 0), self.memory.max_pos)
        self._drive(goal, time, speed=self.mechanics.low_speed)

    def home(self, time: float) -> None:
        """Move in to the home switch, then back to the stored position. The counter starts at Max Pos."""
        top = self.memory.max_pos
        tube = min(max(self.tube, 0), top)   # the counter stays from 0 to Max Pos
        self._recount(top)
        self.homed = False
        self.phase = Phase.HOME_IN
        goal = 0 if self.mechanics.home_switch_missing else top - tube
        self._drive(goal, time, shown=0)

    def stop(self, time: float) -> None:
        """Stop a relative move, or any other motion but homing (ERM)."""
        if self.leg is not None:
            self._rest()
            self._note_reference()
        self.save()
        self.compensate(time)

    def halt(self) -> None:
        """Stop any motion, and clear the working copy of temperature compensation (HALT)."""
        self.tc_on = False
        self._wants_start_move = False
        if self.starting and not self.mechanics.halt_cancels_start:
            return
        aborted = self.in_homing_run
        self._rest()
        if aborted:
            # The counter of an aborted homing run means nothing: the position before the run stays stored.
            self.homed = False
        else:
            self.save()

    def sync(self, position: int) -> None:
        """Set the present position to `position` (SCCP)."""
        self._recount(position)
        self._rest()
        self._note_reference()
        self.save()

    def place(self, position: int) -> None:
        """Put tube and counter at `position`, at rest."""
        self.position = position
        self._slip = 0
        self._rest()
        self._note_reference()
        self.save()

    def retype(self, device_type: str, max_pos: int, back_at: float) -> None:
        """Initialise the channel as another type: the counter starts at 0, and a homing type homes at `back_at`."""
        self.memory.type = device_type
        self.memory.max_pos = max_pos
        self._recount(0)
        self._rest()
        self.homed = False
        self.save()
        self._back_at = back_at

    def save(self) -> None:
        """Store the memory and the position, but never the position during a homing run."""
        if not self.in_homing_run:
            self.memory.position = self.position
        self._store()

    # Faults

    def jam(self) -> None:
        """Jam: the hub drives the motor, but the position stays the same."""
        self.jammed = True

    def unjam(self, time: float) -> None:
        """End a jam. An interrupted motion continues from the present position."""
        self.jammed = False
        if self.leg is not None:
            self._drive(self.leg.goal, time, *self._gear, shown=self._leg_target)

    def slip(self, counts: int) -> None:
        """Let the tube slip inward by `counts`: its position changes, and the hub does not notice."""
        self._slip -= counts

    # Power

    def power_off(self) -> None:
        """Lose everything that is not stored. The tube stays where it is."""
        tube = self.tube
        self.position = self.memory.position
        self._slip = tube - self.position
        self._rest()
        self.short_by = 0

    def power_on(self, time: float) -> None:
        """Start: a syncing type is at its stored position; a homing type is at 0 and homes."""
        memory = self.memory
        self.target = self.position
        self.tc_on = memory.tcomp
        if is_homing(memory.type):
            self.homed = False
            self._recount(0)
            self.target = 0
            if self.mechanics.home_on_start:
                self._wants_start_move = memory.tc_at_start
                self.home(time)
        elif memory.tc_at_start:
            self._correct(self._compensated(self.position), time)
        elif self.tc_on:
            self._note_reference()

    # Temperature compensation

    def set_compensation(self, on: bool, time: float) -> None:
        """Switch compensation on or off, now and in the memory, and note the reference (SCTE)."""
        self.tc_on = self.memory.tcomp = on
        if on:
            if self.leg is None:
                self._note_reference()
        elif self.phase is Phase.TC:
            self._rest()
        self.save()

    def compensate(self, time: float) -> None:
        """Start a correction for the temperature, if compensation is on and no other motion is under way."""
        if self.tc_on and self.phase in (Phase.IDLE, Phase.TC):
            self._correct(self._compensated(self.position if self.leg is None else self.leg.goal), time)

    def _correct(self, goal: int, time: float) -> None:
        if goal != (self.position if self.leg is None else self.leg.goal):
            self.phase = Phase.TC
            self._drive(goal, time, speed=self.mechanics.compensation_speed)

    def _compensated(self, otherwise: int) -> int:
        """The position for the present temperature; `otherwise` without a temperature or without a reference."""
        memory = self.memory
        celsius = self.thermometer.celsius
        if celsius is None or memory.reference_counts < 0:
            return otherwise
        change = memory.tempco['ABCDE'.index(memory.tc_mode)] * (celsius - memory.reference_c)
        return min(max(memory.reference_counts + math.floor(change + 0.5), 0), memory.max_pos)

    def _note_reference(self) -> None:
        celsius = self.thermometer.celsius
        if self.tc_on and celsius is not None:
            self.memory.reference_c = celsius
            self.memory.reference_counts = self.position

# SPDX-License-Identifier: GPL-3.0-or-later
"""Nights of operation in simulated time: a seed becomes clients, faults and their moments, and nothing may go wrong.

`events(seed)` is the plan of a night, `Night` plays a plan and checks the invariants at every step, `shorten` finds a
smaller plan that fails in the same way.
"""

from __future__ import annotations

import math
import random
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass

from tests.core.world import Caller, World
from warwick.observatory.focuslynx.commands import (
    Command,
    Connect,
    Disconnect,
    Inquire,
    MoveFocuser,
    Outcome,
    SetZero,
    Stop,
)
from warwick.observatory.focuslynx.constants import FocuserStatus
from warwick.observatory.focuslynx.controller import Controller
from warwick.observatory.focuslynx.orders import CONFIG_MAX_AGE_S
from warwick.observatory.focuslynx.settings import Settings

NIGHT_S = 8 * 3600.0

COMMANDS = ('move', 'move to a limit', 'offset', 'zero', 'stop', 'init', 'kill', 'end', 'stop during a move',
            'move both')
FAULTS = ('mute', 'lose replies', 'lose requests', 'garble', 'cut', 'double', 'noise', 'delay', 'drip', 'unplug',
          'power cut', 'jam', 'lose steps', 'hand', 'halt by hand', 'probe', 'setting', 'range', 'start late', 'babble',
          'dead channel', 'refuse', 'late replies to a move')


@dataclass(frozen=True)
class Event:
    """Something that a client does or that goes wrong, `at` seconds after the beginning of the night."""

    at: float
    what: str
    channel: int
    amount: float   # 0 to 1; what it means is a matter of the event

    def __str__(self) -> str:
        return f'{self.at:10.3f} s  {self.what:20} channel {self.channel}  {self.amount:.6f}'


def settings(seed: int) -> Settings:
    """The configuration of a night: sites differ in their paces and timeouts."""
    chance = random.Random(seed + 0.5)
    return Settings(
        soft_step_limits=chance.choice([(-30000, 30000), (-50000, 50000), (-500, 20000)]),
        idle_loop_delay_s=chance.choice([120.0, 300.0, 600.0]),
        moving_loop_delay_s=chance.choice([0.25, 0.5, 1.0]),
        serial_timeout_s=chance.choice([0.3, 1.0, 2.0]),
        move_timeout_s=chance.choice([20.0, 60.0]),
        home_reset_timeout_s=chance.choice([2.0, 5.0]))


def events(seed: int) -> list[Event]:
    """The plan of a night. Events come in bursts: trouble begins in the middle of something else."""
    chance = random.Random(seed)
    plan = [Event(1.0, 'init', 1, 0.0)]
    at = 5.0
    while True:
        at += chance.expovariate(1 / 600.0)
        if at > NIGHT_S:
            return plan
        moment = at
        for _ in range(chance.randint(1, 6)):
            what = chance.choice(COMMANDS if chance.random() < 0.6 else FAULTS)
            plan.append(Event(round(moment, 6), what, chance.randint(1, 2), round(chance.random(), 6)))
            moment += chance.choice([0.0, 0.001, 0.02, 0.1, 0.5, 2.0, 6.0]) * chance.random()


class Violation(AssertionError):
    """An invariant does not hold."""


class Night(World):
    """Plays the events of a night and checks what must always be true, against the truth of the simulated hub."""

    def __init__(self, seed: int, plan: list[Event] | None = None, trace: Callable[[str], None] | None = None,
                 controller: type[Controller] = Controller) -> None:
        super().__init__(settings(seed), {'max_pos': '100000', 'speed': '2000'}, controller=controller)
        self.faults.settings.pace = False
        self.faults.settings.delay = 0.015
        self.faults.random.seed(seed)
        self.seed = seed
        self.plan = events(seed) if plan is None else plan
        self.counts: Counter[str] = Counter()
        self.transitions: set[tuple[int, int]] = set()
        self._trace = trace
        self._begin = self.now
        self._states = {1: FocuserStatus.Disabled, 2: FocuserStatus.Disabled}
        self._halt_first: set[int] = set()
        self._in_flight: Counter[tuple[Caller, str]] = Counter()
        self._range_changes: dict[int, list[tuple[float, int]]] = {1: [], 2: []}
        self._commanded: dict[int, int] = {}
        self._disturbed_at = {1: -math.inf, 2: -math.inf}
        self._running_since: dict[int, float | None] = {1: None, 2: None}
        self._still_since = {1: self.now, 2: self.now}
        self._where = {n: (self.hub.focusers[n].position, False) for n in (1, 2)}
        self._unwatched_since: dict[int, float | None] = {1: None, 2: None}
        self._ill_until = -math.inf
        self._open_callers: deque[Caller] = deque()
        self._refusals = 0
        self._spoken = 0
        for event in self.plan:
            self.at(self._begin + event.at, lambda event=event: self._play(event))   # type: ignore[misc]

    def pass_(self) -> None:
        """Live through the night, and through its end. Raises Violation."""
        last = max((event.at for event in self.plan), default=0.0)
        self.run(min(NIGHT_S, last + 400.0))
        self._heal()
        if not self._wanted():
            self._submit(Connect())
        self._say('the last fault is over')
        patience_s = 20 + 6 * self.settings.serial_timeout_s + self.settings.idle_loop_delay_s \
            + self.settings.move_timeout_s
        ready = self.until(lambda: self._all_idle() and not self._open_callers, patience_s)
        self._require(ready, f'not both channels are Idle {patience_s:g} s after the last fault: '
                      + ', '.join(f'{n}: {self.view(n).status} {self.view(n).error}' for n in (1, 2)))
        self._require(not any(self.hub.focusers[n].moving for n in (1, 2)), 'a motor runs though all is Idle')
        bound = 30 + 14 * len(self.plan)
        self._require(len(self.log) <= bound, f'{len(self.log)} log lines for {len(self.plan)} events')

    # Events

    def _play(self, event: Event) -> None:
        self._say(f'* {event.what} (channel {event.channel}, {event.amount:.3f})')
        self.counts['commands' if event.what in COMMANDS else 'faults'] += 1
        self.counts[event.what] += 1
        getattr(self, '_do_' + event.what.replace(' ', '_'))(event.channel, event.amount)

    def _submit(self, command: Command, blocked: bool = True) -> None:
        """As the daemon does: commands that another one blocks do not come through to the core."""
        channels = {command.channel} if isinstance(command, (MoveFocuser, SetZero)) else {1, 2}
        if blocked and not isinstance(command, Stop) and any(
                isinstance(caller.command, (Connect, Disconnect)) or getattr(caller.command, 'channel', 0) in channels
                for caller in self._open_callers if not isinstance(caller.command, Stop)):
            return
        if isinstance(command, Stop) and self.port_open and self.view(command.channel).status != FocuserStatus.Disabled:
            self._halt_first.add(command.channel)
        caller = Caller(command, self.now)
        self.callers.append(caller)
        self._open_callers.append(caller)
        self.controller.submit(command, caller, self.now)

    def _do_move(self, channel: int, amount: float) -> None:
        self._submit(MoveFocuser(channel, int((amount - 0.5) * 70000)))

    def _limits(self, max_counts: int) -> tuple[int, int]:
        """Lowest and highest step that may be commanded."""
        low, high = self.settings.soft_step_limits
        return max(low, 1 - max_counts // 2), min(high, max_counts // 2 - 1)

    def _do_move_to_a_limit(self, channel: int, amount: float) -> None:
        low, high = self._limits(self.hub.focusers[channel].memory.max_pos)
        self._submit(MoveFocuser(channel, [low - 1, low, high, high + 1][int(amount * 4)]))

    def _do_end(self, channel: int, amount: float) -> None:
        """As at the end of the process: nothing blocks it. Another one begins after a while."""
        self._submit(Disconnect(), blocked=False)
        self.after(3 + amount * 5, lambda: self._submit(Connect()))

    def _do_offset(self, channel: int, amount: float) -> None:
        self._submit(MoveFocuser(channel, int((amount - 0.5) * 2000), offset=True))

    def _do_zero(self, channel: int, amount: float) -> None:
        self._submit(SetZero(channel))

    def _do_stop(self, channel: int, amount: float) -> None:
        self._submit(Stop(channel))

    def _do_init(self, channel: int, amount: float) -> None:
        self._submit(Connect())

    def _do_kill(self, channel: int, amount: float) -> None:
        self._submit(Disconnect())
        if amount < 0.8:   # nights without a connection teach little
            self.after(amount * 5, lambda: self._submit(Connect()))

    def _do_stop_during_a_move(self, channel: int, amount: float) -> None:
        self._do_move(channel, amount)
        self.after(amount * 3, lambda: self._submit(Stop(channel)))

    def _do_move_both(self, channel: int, amount: float) -> None:
        self._do_move(1, amount)
        self._do_move(2, 1 - amount)

    # Faults

    def _ill(self, seconds: float) -> None:
        """The link or the hub is not itself for so long."""
        self._ill_until = max(self._ill_until, self.now + seconds)

    def _disturb(self, channel: int | None = None) -> None:
        for n in (1, 2) if channel is None else (channel,):
            self._disturbed_at[n] = self.now

    def _do_mute(self, channel: int, amount: float) -> None:
        seconds = 40 * amount ** 3
        self._ill(seconds)
        self.faults.mute(self.now + seconds)

    def _do_lose_replies(self, channel: int, amount: float) -> None:
        self.faults.mute_next = 1 + int(amount * 5)

    def _do_lose_requests(self, channel: int, amount: float) -> None:
        self.faults.lose_requests = 1 + int(amount * 5)

    def _do_garble(self, channel: int, amount: float) -> None:
        self.faults.garble = 1 + int(amount * 5)

    def _do_cut(self, channel: int, amount: float) -> None:
        self.faults.cut = 1 + int(amount * 5)

    def _do_double(self, channel: int, amount: float) -> None:
        self.faults.double = 1 + int(amount * 5)

    def _do_noise(self, channel: int, amount: float) -> None:
        self.faults.garbage = 1 + int(amount * 5)

    def _do_delay(self, channel: int, amount: float) -> None:
        self.faults.settings.delay = 3 * amount
        self._ill(10 * amount)
        self.after(10 * amount, lambda: setattr(self.faults.settings, 'delay', 0.015))

    def _do_drip(self, channel: int, amount: float) -> None:
        self.faults.settings.drip = 0.05 * amount
        self._ill(10 * amount)
        self.after(10 * amount, lambda: setattr(self.faults.settings, 'drip', 0.0))

    def _do_unplug(self, channel: int, amount: float) -> None:
        self._ill(20 * amount)
        self.faults.unplug(replug_at=self.now + 20 * amount)

    def _do_power_cut(self, channel: int, amount: float) -> None:
        self._disturb()
        self._ill(15 * amount)
        self.hub.power_off(self.now, 15 * amount)

    def _do_jam(self, channel: int, amount: float) -> None:
        self.hub.focusers[channel].jam()
        self.after(30 * amount, lambda: self.hub.unjam(channel, self.now))

    def _do_lose_steps(self, channel: int, amount: float) -> None:
        self.hub.focusers[channel].slip(int(amount * 50))

    def _do_hand(self, channel: int, amount: float) -> None:
        self._disturb(channel)
        if not self.hub.focusers[channel].homing:
            self.hub.hand(channel, int((amount - 0.5) * 4000), self.now)

    def _do_halt_by_hand(self, channel: int, amount: float) -> None:
        self._disturb(channel)
        self.hub.receive(b'<F%dHALT>' % channel, self.now, port=7)

    def _do_probe(self, channel: int, amount: float) -> None:
        self.hub.set(f'probe.{channel}', 'NP' if amount < 0.7 else '-@1.6', self.now)
        self.after(60 * amount, lambda: self.hub.set(f'probe.{channel}', '12.5', self.now))

    def _do_setting(self, channel: int, amount: float) -> None:
        self.hub.set(f'backlash.{channel}', '1', self.now)
        self.after(60 * amount, lambda: self.hub.set(f'backlash.{channel}', '0', self.now))

    def _do_range(self, channel: int, amount: float) -> None:
        focuser = self.hub.focusers[channel]
        if not focuser.moving:
            self._disturb(channel)
            self._range_changes[channel].append((self.now, focuser.memory.max_pos))
            self.hub.set(f'max_pos.{channel}', str(max(focuser.position, 60001 + int(60000 * amount))), self.now)

    def _do_start_late(self, channel: int, amount: float) -> None:
        self.hub.set(f'start_latency.{channel}', f'{3 * amount:.3f}', self.now)
        self.after(60, lambda: self.hub.set(f'start_latency.{channel}', '0', self.now))

    def _do_babble(self, channel: int, amount: float) -> None:
        self._ill(2)
        for n in range(20):
            self.after(0.1 * n, self._babble)

    def _babble(self) -> None:
        if self.port_open:
            self._line.say(b'$GPRMC,,,*00\r\n', self.now)

    def _do_dead_channel(self, channel: int, amount: float) -> None:
        self.hub.variants.thirdlynx = True
        self.after(60 * amount, lambda: setattr(self.hub.variants, 'thirdlynx', False))

    def _do_refuse(self, channel: int, amount: float) -> None:
        self._refusals = 1 + int(amount * 3)

    def _do_late_replies_to_a_move(self, channel: int, amount: float) -> None:
        self._ill(4)
        self._do_move(channel, amount)
        self.after(0.01 + 0.05 * amount, lambda: setattr(
            self.faults.settings, 'delay', self.settings.serial_timeout_s * (0.8 + 2 * amount)))
        self.after(3 * (1 - amount) + 0.5, lambda: setattr(self.faults.settings, 'delay', 0.015))

    def _heal(self) -> None:
        delay = 0.015
        self.faults.clear()
        self.faults.settings.delay = delay
        self.hub.variants.thirdlynx = False
        self._refusals = 0
        if not self.hub.powered:
            self.hub.power_on(self.now)
        for n in (1, 2):
            self.hub.set(f'backlash.{n}', '0', self.now)
            self.hub.set(f'probe.{n}', '12.5', self.now)
            self.hub.set(f'start_latency.{n}', '0', self.now)
            self.hub.unjam(n, self.now)

    # What has to be true

    def _require(self, condition: bool, complaint: str) -> None:
        if not condition:
            raise Violation(f'at {self.now - self._begin:.3f} s: {complaint}')

    def _wanted(self) -> bool:
        return any(self.view(n).status != FocuserStatus.Disabled for n in (1, 2))

    @property
    def _spoilt(self) -> bool:
        """Whether the next exchanges are going to fail."""
        faults = self.faults
        return bool(faults.mute_next + faults.lose_requests + faults.garble + faults.cut + faults.garbage
                    or self.hub.variants.thirdlynx)

    def _all_idle(self) -> bool:
        return all(self.view(n).status == FocuserStatus.Idle for n in (1, 2))

    def _say(self, text: str) -> None:
        if self._trace is not None:
            self._trace(f'{self.now - self._begin:12.4f}  {text}')

    def wrote(self, data: bytes) -> bytes:
        """A request goes out: is it allowed?"""
        self._say(f'  C: {data!r}')
        channel, text = int(data[2:3]), data[3:-1].decode('ascii')
        if channel in self._halt_first:
            self._require(text == 'HALT', f'{data!r} went out before the HALT of an accepted stop')
            self._halt_first.discard(channel)
        if text.startswith('MA'):
            self._check_motion(channel, int(text[2:]), 'MA', MoveFocuser)
            if self._refusals:
                self._refusals -= 1
                return b'<F1MA1>'   # the hub refuses it for its five missing digits
        elif text.startswith('SCCP'):
            self._check_motion(channel, int(text[4:]), 'SCCP', SetZero)
        else:
            self._require(text in ('GETSTATUS', 'GETCONFIG', 'HALT'), f'{data!r} is never asked for')
        return data

    def _ranges(self, channel: int, within_s: float = CONFIG_MAX_AGE_S + 10.0) -> list[int]:
        """Every Max Pos that the channel had lately."""
        changes = self._range_changes[channel]
        return [self.hub.focusers[channel].memory.max_pos] + [
            before for at, before in changes if self.now - at <= within_s]

    def _check_motion(self, channel: int, counts: int, word: str, kind: type) -> None:
        callers = [caller for caller in self._open_callers
                   if isinstance(caller.command, kind) and getattr(caller.command, 'channel', 0) == channel]
        self._require(len(callers) == 1, f'{word} to {counts} without a command')
        self._in_flight[callers[0], word] += 1
        self._require(self._in_flight[callers[0], word] <= 2, f'{word} was sent a third time')
        # A change is known when the settings are read again, a bounded time later.
        ranges = self._ranges(channel)
        if word == 'SCCP':
            self._require(counts in [max_counts // 2 for max_counts in ranges], f'SCCP {counts} is not the middle')
        else:
            self._commanded[channel] = counts
            allowed = any(low <= counts - max_counts // 2 <= high
                          for max_counts in ranges for low, high in [self._limits(max_counts)])
            self._require(allowed, f'MA {counts} is outside the limits')
            focuser = self.hub.focusers[channel]
            if focuser.moving and focuser.target == counts and self._in_flight[callers[0], word] == 2:
                self._require(False, 'MA was repeated although the first one was being carried out')

    def resolved(self, caller: Caller, outcome: Outcome) -> None:
        """A caller is told: is it true, and in time?"""
        self._say(f'  {caller.command} -> {outcome.name} after {self.now - caller.at:.3f} s')
        self._open_callers.remove(caller)
        if isinstance(caller.command, Stop) and outcome is not Outcome.DONE:
            self._halt_first.discard(caller.command.channel)
        command, waited_s = caller.command, self.now - caller.at
        bound_s = 5.0
        if isinstance(command, MoveFocuser):
            bound_s += self.settings.move_timeout_s
        elif isinstance(command, SetZero):
            bound_s += self.settings.home_reset_timeout_s
        self._require(waited_s <= bound_s, f'{command} took {waited_s:.3f} s')
        if isinstance(command, Disconnect) and outcome is Outcome.DONE and self.now - 5.0 > self._ill_until:
            for n in (1, 2):
                ours = self.hub.focusers[n].moving and self.hub.focusers[n].target == self._commanded.get(n)
                self._require(not ours or self._spoilt, f'disconnected, but the motor of channel {n} runs')
        if outcome is not Outcome.DONE or isinstance(command, (Connect, Disconnect, Inquire)):
            return
        # Between the report and the news of it something else may have begun, that nobody can know of yet.
        if self.now - self._disturbed_at[command.channel] < 5.0:
            return
        focuser = self.hub.focusers[command.channel]
        self._require(not focuser.moving, f'{command} is done, but the motor runs')
        view = self.controller.views(self.now)[command.channel]
        middles = [max_counts // 2 for max_counts in self._ranges(command.channel, waited_s + CONFIG_MAX_AGE_S + 10)]
        if isinstance(command, MoveFocuser):
            self._require(any(view.current_steps == focuser.position - middle for middle in middles),
                          f'{command} is done at {view.current_steps}, the focuser is at {focuser.position}')
            self._require(command.offset or view.current_steps == command.steps, f'{command} is done at another place')
        elif isinstance(command, SetZero):
            in_the_middle = focuser.position in middles and view.current_steps == 0
            self._require(in_the_middle, 'zero is done, but not in the middle')

    def happened(self) -> None:
        """At every step: is what is reported true, and is every caller told in time?"""
        if self._spoilt:
            self._ill(0.0)
        for caller in self._open_callers:
            limit_s = 5.0 if not isinstance(caller.command, (MoveFocuser, SetZero)) else \
                6.0 + self.settings.move_timeout_s
            self._require(self.now - caller.at <= limit_s, f'nobody answers {caller.command}')
        views = {n: view.at(self.now) for n, view in self.controller.views(self.now).items()}
        for n, view in views.items():
            if view.status != self._states[n]:
                self.transitions.add((self._states[n], view.status))
                self._states[n] = view.status
                self._say(f'  channel {n}: {FocuserStatus.label(view.status)} {view.error or ""}')
            focuser = self.hub.focusers[n]
            if not focuser.moving:
                self._running_since[n] = None
            elif self._running_since[n] is None:
                self._running_since[n] = self.now
            self._check_supervision(n)
            where = (focuser.position, focuser.moving)
            if where != self._where[n]:
                self._where[n], self._still_since[n] = where, self.now
            if view.status == FocuserStatus.Idle:
                age_s = self.now - view.as_of
                allowed_s = self.settings.idle_loop_delay_s + self.settings.serial_timeout_s
                self._require(age_s <= allowed_s + 1e-6, f'channel {n} is Idle by a report that is {age_s:.3f} s old')
                since = self._running_since[n]
                self._require(since is None or self.now - since <= allowed_s + 1e-6,
                              f'channel {n} is reported Idle while its motor runs')
                self._require(view.error is None, f'channel {n} is Idle with an error')
                if not focuser.moving and self._still_since[n] < view.as_of:
                    ranges = self._ranges(n, age_s + 2 * allowed_s)
                    steps = [focuser.position - max_counts // 2 for max_counts in ranges]
                    self._require(view.current_steps in steps, f'channel {n} is reported at {view.current_steps}, '
                                                               f'but stands at {focuser.position} counts')
            if view.status < FocuserStatus.Idle:
                self._require(view.current_steps is None and bool(view.error), f'channel {n}: numbers without a state')
        if self._trace is not None and len(self.log) > self._spoken:
            for _, line in self.log[self._spoken:]:
                self._say(f'  log: {line}')
            self._spoken = len(self.log)

    def _check_supervision(self, channel: int) -> None:
        """A motion that was commanded and that nobody waits for any more is halted as soon as the hub can hear it."""
        focuser = self.hub.focusers[channel]
        ours = focuser.moving and focuser.target == self._commanded.get(channel) and not focuser.jammed
        waiting = any(isinstance(caller.command, MoveFocuser) and caller.command.channel == channel
                      for caller in self._open_callers)
        deaf = not self.port_open or self.now < self._ill_until or self._spoilt
        if not ours or waiting or deaf:
            self._unwatched_since[channel] = None
        elif self._unwatched_since[channel] is None:
            self._unwatched_since[channel] = self.now
        since = self._unwatched_since[channel]
        limit_s = 6.0 + 3 * self.settings.serial_timeout_s
        self._require(since is None or self.now - since <= limit_s,
                      f'the motor of channel {channel} has run for {limit_s:g} s since nobody waits for it')


def shorten(fails: Callable[[list[Event]], bool], plan: list[Event], tries: int = 300) -> list[Event]:
    """A smaller plan that still fails: chunks are left out as long as that goes on failing."""
    size = max(1, len(plan) // 2)
    while size >= 1 and tries > 0:
        start, smaller = 0, False
        while start < len(plan) and tries > 0:
            shorter = plan[:start] + plan[start + size:]
            tries -= 1
            if fails(shorter):
                plan, smaller = shorter, True
            else:
                start += size
        if not smaller:
            size //= 2
    return plan


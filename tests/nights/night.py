# SPDX-License-Identifier: GPL-3.0-or-later
"""Nights of operation in simulated time: a seed becomes a site, clients, faults and their moments, and nothing may go
wrong. `Night` plays a plan and checks the invariants at every step, against the truth of the simulated hub.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Callable
from typing import NamedTuple

from tests.core.world import Caller
from tests.nights.fault_actions import FaultActions
from tests.nights.plan import Event, events, site
from warwick.observatory.focuslynx.constants import FocuserStatus
from warwick.observatory.focuslynx.core.availability import UNHOMED
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
from warwick.observatory.focuslynx.core.focuser import CONFIG_MAX_AGE_S
from warwick.observatory.focuslynx.core.hub import Hub
from warwick.observatory.focuslynx.core.scheduler import HALT_PATIENCE_S
from warwick.observatory.focuslynx.core.snapshot import FocuserSnapshot
from warwick.observatory.focuslynx.hub_settings import NO_FOCUSER_TYPE, SLOTS, Value, has_home_switch
from warwick.observatory.focuslynx.simulator.focuser import Focuser, Phase

JUST_NOW_S = 5.0
"""Between a report and the snapshot that shows it something else may have begun."""


RATE_WINDOW_S, MOST_REQUESTS = 10.0, 300
"""Requests in so many seconds at most: a HALT to each channel, repeated every 50 ms for 3.5 s, with polls between."""

MOVES_LIMITS = ('backlash', 'backlash_steps', 'max_position', 'device_type', 'reset')


class Violation(AssertionError):
    """An invariant does not hold."""


class MotionSettings(NamedTuple):
    """The settings in the hub that limit how a channel may be moved."""

    max_counts: int
    overshoot: int
    homes: bool


class Night(FaultActions):
    """Plays the events of a night and checks what must always be true."""

    def __init__(self, seed: int, plan: list[Event] | None = None, trace: Callable[[str], None] | None = None,
                 core: type[Hub] = Hub) -> None:
        super().__init__(site(seed), seed, trace, core)
        self.plan = events(seed) if plan is None else plan
        self.transitions: set[tuple[int, int]] = set()
        self._states = {1: FocuserStatus.Disabled, 2: FocuserStatus.Disabled}
        self._in_flight: Counter[tuple[Caller, str]] = Counter()
        self._settings_now = {n: self._motion_settings(n) for n in (1, 2)}
        self._settings_before: dict[int, list[tuple[float, MotionSettings]]] = {1: [], 2: []}
        self._commanded: dict[int, int] = {}
        self._seeking: set[int] = set()   # channels that seek their home switch because we said so
        self._unknown_at = {1: self.now, 2: self.now}
        self._corrected_at = {1: -math.inf, 2: -math.inf}
        self._running_since: dict[int, float | None] = {1: None, 2: None}
        self._unhomed_since: dict[int, float | None] = {1: None, 2: None}
        self._still_since = {1: self.now, 2: self.now}
        self._where = {n: (self.hub.focusers[n].position, False) for n in (1, 2)}
        self._unsupervised_since: dict[int, float | None] = {1: None, 2: None}
        self._sent_at: deque[float] = deque()
        self._lines_shown = 0
        for event in self.plan:
            self.at(self._begin + event.at, lambda event=event: self.play(event))   # type: ignore[misc]

    def play_to_the_end(self) -> None:
        """Play the night to its end, and check the end. Raises Violation."""
        last = max((event.at for event in self.plan), default=0.0)
        self.run(last + 400.0)
        self.heal()
        if not self._wanted():
            self._submit(Connect())
        patience_s = 20 + 6 * self.settings.serial_timeout_s + self.settings.idle_loop_delay_s \
            + max(self.settings.move_timeout_s, self.settings.home_timeout_s)
        ready = self.until(lambda: self._all_settled() and not self._open_callers, patience_s)
        self._require(ready, f'not all channels are usable {patience_s:g} s after the last fault: '
                             f'{self._states_in_words()}')
        for n in self.site.channels:
            if self._unhomed(n):
                self.hub.set(f'speed.{n}', '20000', self.now)
                self._submit(Home(n))
                homed = self.finish(self.callers[-1]) is Outcome.DONE
                self._require(homed, f'channel {n} cannot be homed: {self._states_in_words()}')
        self._require(self._all_idle(), f'not all channels are Idle: {self._states_in_words()}')
        self._require(not any(self.hub.focusers[n].running for n in self.site.channels),
                      'a motor runs though all is Idle')
        bound = 30 + 14 * len(self.plan)
        self._require(len(self.log) <= bound, f'{len(self.log)} log lines for {len(self.plan)} events')

    # The truth

    def _motion_settings(self, channel: int) -> MotionSettings:
        memory = self.hub.focusers[channel].memory
        return MotionSettings(memory.max_pos, self.overshoot(channel), has_home_switch(memory.type))

    def _note_settings(self, channel: int) -> None:
        settings = self._motion_settings(channel)
        if settings != self._settings_now[channel]:
            self._settings_before[channel].append((self.now, self._settings_now[channel]))
            self._settings_now[channel] = settings

    def _recent_settings(self, channel: int, within_s: float = CONFIG_MAX_AGE_S + 10.0) -> list[MotionSettings]:
        """The present settings and recent ones: a change is known when the settings are read again."""
        before = [each for at, each in self._settings_before[channel] if self.now - at <= within_s]
        return [self._settings_now[channel], *before]

    def _unhomed(self, channel: int) -> bool:
        focuser = self.hub.focusers[channel]
        return has_home_switch(focuser.memory.type) and not focuser.homed

    def _value(self, channel: int, key: str) -> Value:
        """A setting of the hub, as its memory has it."""
        focuser = self.hub.focusers[channel]
        memory, slot = focuser.memory, SLOTS.find(key[-1].upper())
        if key.startswith('coefficient_'):
            return memory.tempco[slot]
        if key.startswith('intercept_'):
            return memory.tempin[slot]
        stored = self.hub.variants.tcomp_line == 'stored'
        factory = memory.type == NO_FOCUSER_TYPE and not (memory.backlash or memory.tcomp or memory.tc_at_start)
        values: dict[str, Value] = {
            'nickname': memory.nickname, 'backlash': memory.backlash, 'backlash_steps': memory.backlash_steps,
            'temperature_compensation': memory.tcomp if stored else focuser.tc_on,
            'compensation_at_start': memory.tc_at_start, 'compensation_mode': memory.tc_mode,
            'led': self.hub.memory.led, 'reverse': memory.reverse, 'step_size': memory.step_size,
            'max_position': memory.max_pos, 'device_type': memory.type, 'reset': 'defaults' if factory else 'others'}
        return values[key]

    def _runs_for_us(self, focuser: Focuser) -> bool:
        """Whether the motor does what we have commanded."""
        if not focuser.running:
            return False
        goal = focuser.final_target if focuser.phase is Phase.BLC_OUT else focuser.target
        to_our_target = focuser.phase in (Phase.MOVE, Phase.BLC_OUT) and goal == self._commanded.get(focuser.channel)
        return to_our_target or focuser.channel in self._seeking

    def _starts_for_us(self, focuser: Focuser) -> bool:
        """Whether the motor is about to begin what we have commanded."""
        commanded = self._commanded.get(focuser.channel)
        to_our_target = focuser.leg is not None and commanded in (focuser.leg.goal, focuser.final_target)
        return focuser.starting and (to_our_target or focuser.channel in self._seeking)

    # What has to be true

    def _require(self, condition: bool, what_is_wrong: str) -> None:
        if not condition:
            raise Violation(f'at {self.now - self._begin:.3f} s: {what_is_wrong}')

    def _wanted(self) -> bool:
        return any(self.snapshot(n).status != FocuserStatus.Disabled for n in (1, 2))

    def _all_settled(self) -> bool:
        """Whether every channel is Idle, or waits to be homed."""
        snapshots = {n: self.snapshot(n) for n in self.site.channels}
        return all(snapshot.error == UNHOMED if self._unhomed(n) else snapshot.status == FocuserStatus.Idle
                   for n, snapshot in snapshots.items())

    def _all_idle(self) -> bool:
        return all(self.snapshot(n).status == FocuserStatus.Idle for n in self.site.channels)

    def _states_in_words(self) -> str:
        return ', '.join(f'{n}: {FocuserStatus.label(self.snapshot(n).status)} {self.snapshot(n).error or ""}'
                         for n in self.site.channels)

    # Requests

    def wrote(self, data: bytes) -> bytes:
        """A request goes out: is it allowed?"""
        if self._spoilt:
            self._note_outage(0.0)   # its answer may be the last one to be spoilt
        self._say(f'  C: {data!r}')
        self._sent_at.append(self.now)
        while self._sent_at[0] < self.now - RATE_WINDOW_S:
            self._sent_at.popleft()
        self._require(len(self._sent_at) <= MOST_REQUESTS, f'{len(self._sent_at)} requests in {RATE_WINDOW_S:g} s')
        target, text = data[2:3], data[3:-1].decode('ascii')
        if self._halt_first:
            self._require(text == 'HALT', f'{data!r} went out before the HALT of an accepted stop')
            self._halt_first.pop(int(target), None)
        if text in ('GETSTATUS', 'GETCONFIG', 'HALT'):
            return data
        channels = (1, 2) if target == b'H' else (int(target),)
        for n in channels:
            self._note_settings(n)
        if text.startswith('MA'):
            self._check_move(channels[0], int(text[2:]))
            if self._refusals:
                self._refusals -= 1
                return b'<F1MA1>'   # the hub refuses it for its missing digits
            if self._misheard is not None:
                return self._mishear(channels[0], int(text[2:]), self._misheard)
        elif text.startswith('SCCP'):
            self._count(channels, 'SCCP', SetZero)
            middles = [each.max_counts // 2 for each in self._recent_settings(channels[0])]
            self._require(int(text[4:]) in middles, f'{text} is not the middle')
        elif text == 'HOME':
            self._check_home(channels[0])
        elif text == 'GETHUBINFO':
            self._require(self._is_waiting(QueryHub), f'{data!r} without a query')
        elif text == 'GETTCI':
            self._require(self._is_waiting(QueryHub) or self._is_waiting(Configure), f'{data!r} without a query')
        else:
            self._check_change(channels, text)
        return data

    def _mishear(self, channel: int, counts: int, amount: float) -> bytes:
        """What the hub hears in place of a move: the other channel, or one digit that is another one."""
        self._misheard = None
        if amount < 0.4:
            heard = f'<F{3 - channel}MA{counts:06d}>'
        else:
            place = 10 ** int(amount * 100 % 5)
            counts += place if counts // place % 10 < 9 else -place
            heard = f'<F{channel}MA{counts:06d}>'
        heard_by = int(heard[2])
        self._disturb()
        self._commanded[heard_by] = counts
        self._say(f'  heard: {heard}')
        return heard.encode()

    def _is_waiting(self, kind: type) -> bool:
        return any(isinstance(caller.command, kind) for caller in self._open_callers)

    def _count(self, channels: tuple[int, ...], word: str, kind: type, most: int = 2) -> Caller:
        """The caller of a request that sets something in motion or changes something. It is sent a few times only."""
        callers = [caller for caller in self._open_callers
                   if isinstance(caller.command, kind) and getattr(caller.command, 'channel', 0) in channels
                   and (not isinstance(caller.command, Configure)
                        or caller.command.setting.setter(caller.command.value) == word)]
        self._require(bool(callers), f'{word} without a command')
        # Two callers may set the same brightness of the LED
        caller = min(callers, key=lambda caller: self._in_flight[caller, word])
        self._in_flight[caller, word] += 1
        self._require(self._in_flight[caller, word] <= most, f'{word} was sent once too often')
        return caller

    def _check_move(self, channel: int, counts: int) -> None:
        caller = self._count((channel,), 'MA', MoveFocuser)
        allowed = any(low <= counts - each.max_counts // 2 <= high for each in self._recent_settings(channel)
                      for low, high in [self.limits(each.max_counts, each.overshoot)])
        self._require(allowed, f'MA {counts} is outside the limits')
        focuser = self.hub.focusers[channel]
        if self._in_flight[caller, 'MA'] == 2 and self._commanded.get(channel) == counts:
            self._require(not self._runs_for_us(focuser), 'MA was repeated although the first was being carried out')
        unhomed = self._unhomed_since[channel]
        self._require(unhomed is None or self.now - unhomed < JUST_NOW_S, 'MA to a focuser that is not homed')
        self._commanded[channel] = counts

    def _check_home(self, channel: int) -> None:
        caller = self._count((channel,), 'HOME', Home)
        self._require(any(each.homes for each in self._recent_settings(channel)), 'HOME to a focuser without a switch')
        if self._in_flight[caller, 'HOME'] == 2:
            self._require(channel not in self._seeking, 'HOME was repeated although the first was being carried out')
        self._seeking.add(channel)

    def _check_change(self, channels: tuple[int, ...], text: str) -> None:
        command = self._count(channels, text, Configure).command
        assert isinstance(command, Configure)
        if command.setting.dangerous:
            self._count(channels, text, Configure, most=2)   # counted twice, so sent once
        focuser = self.hub.focusers[command.channel]
        self._require(not (command.setting.at_rest and self._runs_for_us(focuser)),
                      f'{text} was sent while the motor runs')
        if command.setting.restarts:
            for n in (1, 2) if self.hub.variants.restarts == 'hub' else channels:
                self._disturb(n)
                self._settings_changed_at[n] = self.now
            self._note_outage(self.hub.variants.restart + 1)

    # Outcomes

    def resolved(self, caller: Caller, outcome: Outcome) -> None:
        """A caller gets its outcome: is it true, and in time?"""
        self._say(f'  {caller.command} -> {outcome.name} after {self.now - caller.at:.3f} s')
        self._open_callers.remove(caller)
        command, waited_s = caller.command, self.now - caller.at
        self._require(waited_s <= self._patience_s(caller), f'{command} took {waited_s:.3f} s')
        self.counts[f'{type(command).__name__} {outcome.name}'] += 1
        if isinstance(command, Stop) and outcome is not Outcome.DONE:
            self._halt_first.pop(command.channel, None)
        if isinstance(command, Disconnect) and outcome is Outcome.DONE:
            for n in (1, 2):
                focuser = self.hub.focusers[n]
                ours = self._runs_for_us(focuser) or self._starts_for_us(focuser)
                self._require(not ours, f'disconnected, but the motor of channel {n} runs')
        if isinstance(command, QueryHub) and outcome is Outcome.DONE:
            self._check_query()
        if isinstance(command, (Connect, Disconnect, QueryHub)):
            return
        assert isinstance(command, (MoveFocuser, SetZero, Home, Configure, Stop))
        if outcome is Outcome.DONE:
            self._check_done(command)
        lately = self._recent_settings(command.channel, 2 * self._idle_s + CONFIG_MAX_AGE_S)
        if isinstance(command, (Home, SetZero)) and outcome is Outcome.NOT_SUPPORTED:
            self._require(isinstance(command, SetZero) in [each.homes for each in lately],
                          f'{command} is refused for want of what the focuser has')
        elif isinstance(command, MoveFocuser) and outcome is Outcome.OUTSIDE_LIMITS and not command.offset:
            within = all(low <= command.steps <= high for each in lately
                         for low, high in [self.limits(each.max_counts, each.overshoot)])
            self._require(not within, f'{command} is within the limits')

    def _patience_s(self, caller: Caller) -> float:
        """How long a caller may have to wait."""
        command = caller.command
        if isinstance(command, MoveFocuser):
            return 5.0 + self.settings.move_timeout_s
        if isinstance(command, SetZero):
            return 5.0 + self.settings.home_reset_timeout_s
        if isinstance(command, Home):
            return 5.0 + self.settings.home_timeout_s
        if isinstance(command, Configure):
            return 20.0 if command.setting.restarts else 4.5
        return 4.5 if isinstance(command, QueryHub) else 5.0

    def _check_done(self, command: MoveFocuser | SetZero | Home | Configure | Stop) -> None:
        """What is reported as done has been done."""
        channel = command.channel
        if isinstance(command, Configure):
            self._check_changed(command)
            return
        snapshot = self.core.snapshots(self.now)[channel]
        if isinstance(command, MoveFocuser):
            arrived = command.offset or snapshot.current_steps == command.steps or self._is_unknowable(channel)
            self._require(arrived, f'{command} is done at another place')
        focuser = self.hub.focusers[channel]
        if focuser.phase is Phase.TC:
            self._corrected_at[channel] = self.now
        if self.now - max(self._disturbed_at[channel], self._corrected_at[channel]) < JUST_NOW_S:
            return
        self._require(not focuser.running, f'{command} is done, but the motor runs')
        self._require(not (isinstance(command, Stop) and self._starts_for_us(focuser)),
                      f'{command} is done, but the motor is about to begin')
        middles = [each.max_counts // 2 for each in self._recent_settings(channel, self._patience_s(
            Caller(command, self.now)) + CONFIG_MAX_AGE_S + 10)]
        if isinstance(command, (MoveFocuser, Home)):
            self._require(any(snapshot.current_steps == focuser.position - middle for middle in middles),
                          f'{command} is done at {snapshot.current_steps}, the focuser is at {focuser.position}')
        elif isinstance(command, SetZero):
            unplugged = snapshot.status == FocuserStatus.Disconnected
            in_the_middle = focuser.position in middles and (snapshot.current_steps == 0 or unplugged)
            self._require(in_the_middle, 'zero is done, but not in the middle')
        if isinstance(command, Home):
            self._require(focuser.homed and snapshot.homed is True, 'homing is done, but the switch was not found')

    def _check_changed(self, command: Configure) -> None:
        channel, key = command.channel, command.setting.key
        self.counts[f'{key} changed'] += 1
        restarted = command.setting.restarts
        if not restarted and self.now - self._settings_changed_at[channel] < JUST_NOW_S:
            return
        value = self._value(channel, key)
        self._require(value == command.value, f'{key} is reported to be {command.value} now, but it is {value}')
        if key in MOVES_LIMITS:
            self._note_settings(channel)
            self._settings_before[channel].clear()   # what it was before must be forgotten at once

    def _check_query(self) -> None:
        if self.now - self._outage_until < 10.0 or self._spoilt:
            return
        hub = self.core.info
        self._require(hub is not None and hub.firmware == self.hub.variants.firmware, f'the hub is not {hub}')
        for n in self.site.channels:
            reports, memory = self.snapshot(n).reports, self.hub.focusers[n].memory
            if reports is not None and not self.hub.variants.no_gettci and not self._setting_just_changed(n) \
                    and self.now - self._unknown_at[n] > 6.0:   # a query is for channels that answered before it
                compensation = reports.compensation
                truth = (memory.tempin, memory.step_size)
                known = compensation and (compensation.intercepts, compensation.step_size)
                self._require(known == truth,
                              f'channel {n} is not set as {compensation}')

    def _is_unknowable(self, channel: int) -> bool:
        """Whether reports that nobody can tell from right ones may decide about the channel."""
        return self.now - self._idle_s <= self._unknowable_until[channel]

    def _setting_just_changed(self, channel: int) -> bool:
        return self.now - self._settings_changed_at[channel] < JUST_NOW_S

    # States

    @property
    def _idle_s(self) -> float:
        """How old a report may be that is still believed."""
        return self.settings.oldest_report_s

    def happened(self) -> None:
        """At every step: is what is reported true, and does every caller get its outcome in time?"""
        now = self.now
        if self._spoilt:
            self._note_outage(0.0)
        for caller in self._open_callers:
            self._require(now - caller.at <= self._patience_s(caller) + 1.0, f'no outcome for {caller.command}')
        for n, at in self._halt_first.items():
            self._require(now - at <= 2 * HALT_PATIENCE_S + 1e-6, f'channel {n} got no HALT')
        snapshots = self.core.snapshots(now)
        for n, focuser in self.hub.focusers.items():
            snapshot = snapshots[n].at(now)
            if snapshot.status != self._states[n]:
                self.transitions.add((self._states[n], snapshot.status))
                self._states[n] = snapshot.status
                self._say(f'  channel {n}: {FocuserStatus.label(snapshot.status)} {snapshot.error or ""}')
            if snapshot.reports is None:
                self._unknown_at[n] = now
            self._observe(focuser)
            self._check_supervision(focuser)
            if snapshot.status == FocuserStatus.Idle:
                self._check_idle(snapshot, focuser)
            elif snapshot.status < FocuserStatus.Idle:
                explained = snapshot.current_steps is None and bool(snapshot.error)
                self._require(explained, f'channel {n}: numbers without a state')
        if self._trace is not None and len(self.log) > self._lines_shown:
            for _, line in self.log[self._lines_shown:]:
                self._say(f'  log: {line}')
            self._lines_shown = len(self.log)

    def _observe(self, focuser: Focuser) -> None:
        """Note what a focuser does, and since when."""
        n = focuser.channel
        self._note_settings(n)
        if not focuser.running:
            self._running_since[n] = None
        elif self._running_since[n] is None:
            self._running_since[n] = self.now
        if focuser.phase is Phase.TC:
            self._corrected_at[n] = self.now
        if not focuser.in_homing_run:
            self._seeking.discard(n)
        if not self._unhomed(n):
            self._unhomed_since[n] = None
        elif self._unhomed_since[n] is None:
            self._unhomed_since[n] = self.now
        where = (focuser.position, focuser.running)
        if where != self._where[n]:
            self._where[n], self._still_since[n] = where, self.now

    def _check_idle(self, snapshot: FocuserSnapshot, focuser: Focuser) -> None:
        n = focuser.channel
        age_s, allowed_s = self.now - snapshot.as_of, self._idle_s
        self._require(age_s <= allowed_s + 1e-6, f'channel {n} is Idle by a report that is {age_s:.3f} s old')
        since = self._running_since[n]
        self._require(since is None or self.now - since <= allowed_s + 1e-6,
                      f'channel {n} is reported Idle while its motor runs')
        self._require(snapshot.error is None, f'channel {n} is Idle with an error')
        unhomed = self._unhomed_since[n]
        if unhomed is not None:
            known = has_home_switch(snapshot.device_type or '') and unhomed < snapshot.as_of
            self._require(not known and self.now - unhomed <= 2 * allowed_s, f'channel {n} is Idle and not homed')
        if not focuser.running and self._still_since[n] < snapshot.as_of and not self._is_unknowable(n):
            steps = [focuser.position - each.max_counts // 2
                     for each in self._recent_settings(n, age_s + 2 * allowed_s)]
            self._require(snapshot.current_steps in steps, f'channel {n} is reported at {snapshot.current_steps}, '
                                                       f'but is at {focuser.position} counts')

    def _check_supervision(self, focuser: Focuser) -> None:
        """A motion that was commanded and has no caller any more is halted as soon as the hub can receive it."""
        n = focuser.channel
        ours = self._runs_for_us(focuser) and not focuser.jammed
        waiting = ours and any(isinstance(caller.command, (MoveFocuser, Home)) and caller.command.channel == n
                               for caller in self._open_callers)
        deaf = not self.port_open or self.now < self._outage_until or self._spoilt
        if not ours or waiting or deaf:
            self._unsupervised_since[n] = None
        elif self._unsupervised_since[n] is None:
            self._unsupervised_since[n] = self.now
        since = self._unsupervised_since[n]
        limit_s = 6.0 + 3 * self.settings.serial_timeout_s
        self._require(since is None or self.now - since <= limit_s,
                      f'the motor of channel {n} has run for {limit_s:g} s without a caller')

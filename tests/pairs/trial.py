# SPDX-License-Identifier: GPL-3.0-or-later
"""One operation on one hub, with certain faults at certain exchanges; nothing that is promised may break.

A trial is played in simulated time, and its invariants are checked at every step against the truth of the simulated
hub. Nothing in it is random but which digit or bit is wrong, and that follows from the fault and its exchange.
"""

from __future__ import annotations

import copyreg
import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from tests.core.world import Caller, HubLink, World
from warwick.observatory.focuslynx.constants import CHANNELS, FocuserStatus, is_usable
from warwick.observatory.focuslynx.core.availability import UNHOMED
from warwick.observatory.focuslynx.core.commands import (
    Command,
    Configure,
    Connect,
    Disconnect,
    Home,
    MoveFocuser,
    Outcome,
    SetZero,
    Stop,
)
from warwick.observatory.focuslynx.core.limits import QUIET_AFTER_LATE_S, Limits
from warwick.observatory.focuslynx.core.pending_start import START_LIMIT_S
from warwick.observatory.focuslynx.core.requests import Refused
from warwick.observatory.focuslynx.hub_settings import HUB_SETTINGS, HubSetting, has_home_switch
from warwick.observatory.focuslynx.simulator.focuser import Focuser

SETTINGS = Limits(
    soft_step_limits=(-30000, 30000), idle_loop_delay_s=2.5, moving_loop_delay_s=1.0, serial_timeout_s=1.0,
    move_timeout_s=20.0, home_reset_timeout_s=5.0, home_timeout_s=20.0)

HUBS: dict[str, dict[str, str]] = {
    'usual': {},
    'late start': {'start_latency': '1.0'},
    'late report': {'start_latency': '0.4', 'late_target': '1', 'moving_latency': '0.8', 'halt_cancels_start': '0'},
    'backlash': {'backlash': '1', 'backlash_steps': '40'},
}
"""What is particular about each hub, as settings of the simulator."""

BEGINS_AT = -200
TARGET = 600
OFFSET = 700

OPERATIONS: dict[str, tuple[tuple[float, Command], ...]] = {
    'move': ((0.0, MoveFocuser(1, TARGET)),),
    'offset': ((0.0, MoveFocuser(1, OFFSET, offset=True)),),
    'zero': ((0.0, SetZero(1)),),
    'home': ((0.0, Home(1)),),
    'stop in a move': ((0.0, MoveFocuser(1, TARGET)), (0.5, Stop(1))),
    'configure': ((0.0, Configure(1, HUB_SETTINGS['backlash_steps'], 25)),),
    'initialize': ((0.0, Connect()),),
    'shutdown in a move': ((0.0, MoveFocuser(1, TARGET)), (0.5, Disconnect())),
}
"""The commands of each operation, and when they come (s)."""

_ALIKE = {'offset': ('late start', 'late report', 'backlash'), 'zero': ('late start', 'late report', 'backlash'),
          'home': ('backlash',), 'configure': ('late start', 'late report'),
          'initialize': ('late start', 'late report', 'backlash')}
"""Hubs on which an operation is as on the usual one: no motor begins, or there is no overshoot. An offset is a move to
a position once its request has gone out, and that is played on all of them."""


def hubs_for(operation: str) -> list[str]:
    """The hubs that an operation is played on."""
    return [hub for hub in HUBS if hub not in _ALIKE.get(operation, ())]


AFTER_S = 3.0
"""Faults hit the exchanges of an operation, and those of so long after it."""

BLINK_S = 0.5
LATE_S = 0.3
VERY_LATE_S = 6.0

FAULTS = ('request lost', 'channel wrong', 'digit wrong', 'reply lost', 'bit wrong', 'cut', 'doubled', '0.3 s late',
          '6 s late', 'ER', 'noise', 'blink')
OUTAGES = ('6 s late', 'blink')
"""After these the hub is out of reach for a while, in truth."""

MISHEARD = 'the hub confirms another request than ours, which is not sent again after that'
MAY_FAIL = {
    ('channel wrong', b'MA'): 'the other focuser moves, and is halted',
    ('digit wrong', b'MA'): 'the focuser goes elsewhere, and is halted',
    ('channel wrong', b'HOME'): 'the other focuser seeks its switch, and is halted',
    ('channel wrong', b'SCCP'): MISHEARD,
    ('digit wrong', b'SCCP'): MISHEARD,
    ('channel wrong', b'SCBS'): MISHEARD,
    ('digit wrong', b'SCBS'): MISHEARD,
    ('ER', b'SCCP'): 'the hub refuses it',
    ('ER', b'SCBS'): 'the hub refuses it',
}
"""A single fault that makes a command fail, by the request that it hits, and why. Outages may fail any."""

_OF_REPLIES = ('reply lost', 'bit wrong', 'cut', 'doubled', '0.3 s late', '6 s late', 'noise')
_COUNTERS = ('lose_requests', 'garble_requests', 'mute_next', 'flip_bit', 'cut', 'double', 'delay_replies', 'refuse',
             'garbage')
_REPORTS = (b'GETSTATUS', b'GETCONFIG', b'GETTCI', b'GETHUBINFO')

UNWATCHED_LIMIT_S = 2 * SETTINGS.moving_loop_delay_s + 4 * SETTINGS.serial_timeout_s
"""How long a motor may run that no caller follows: until the next poll of a moving focuser, its repetition, and HALT,
where two of these exchanges fail."""


copyreg.pickle(HubSetting, lambda setting: (_setting, (setting.key,)))
copyreg.pickle(Refused, lambda error: (_copy_of_refused, (vars(error), error.args)))   # its arguments are not its args


def _setting(key: str) -> HubSetting:
    return HUB_SETTINGS[key]


def _copy_of_refused(values: dict[str, Any], args: tuple[Any, ...]) -> Refused:
    error = Refused.__new__(Refused, *args)
    vars(error).update(values)
    return error


class Fault(NamedTuple):
    """What goes wrong, and at which exchange of the operation, from 0 on."""

    exchange: int
    kind: str

    def __str__(self) -> str:
        return f'{self.kind} at exchange {self.exchange}'


class Case(NamedTuple):
    """A trial in words."""

    operation: str
    hub: str
    faults: tuple[Fault, ...] = ()

    def __str__(self) -> str:
        return f'{self.operation}; hub: {self.hub}; {", ".join(map(str, self.faults)) or "no fault"}'


def kinds(request: bytes) -> list[str]:
    """The kinds of fault that can happen to the exchange of a request."""
    text = request[3:-1]
    impossible = {'request lost'} if text in _REPORTS else set()   # it is the same as a lost reply, for both sides
    if text in (*_REPORTS, b'HALT'):
        impossible.add('ER')
    if not any(byte in b'0123456789' for byte in text):
        impossible.add('digit wrong')
    return [kind for kind in FAULTS if kind not in impossible]


def can_coincide(first: str, second: str) -> bool:
    """Whether both happen to one exchange: the hub mishears or refuses the request, and its reply is spoilt as well."""
    return first in ('channel wrong', 'digit wrong', 'ER') and second in _OF_REPLIES


class Violation(AssertionError):
    """An invariant does not hold."""


class Tap:
    """A link that tells what comes from the hub."""

    def __init__(self, link: HubLink, came: Callable[[bytes], None]) -> None:
        self._link = link
        self._came = came
        self.open, self.write, self.next_event = link.open, link.write, link.next_event

    def read(self, now: float) -> bytes:
        data = self._link.read(now)
        if data:
            self._came(data)
        return data


class Trial(World):
    """Plays a case. `exchanges` are the requests that a fault could hit."""

    def __init__(self, case: Case, trace: Callable[[str], None] | None = None) -> None:
        settings = SETTINGS
        hub = {'speed': '1000', 'position.1': str(32767 + BEGINS_AT), 'position.2': '12767', **HUBS[case.hub]}
        if case.hub == 'backlash':
            settings = Limits(**{**vars(settings), 'allow_hub_compensation': True})
        if case.operation == 'home':
            hub.update({'type': 'OE', 'max_pos': '4000', 'position.1': '600', 'position.2': '3400'})
        super().__init__(settings, hub)
        self.link = Tap(self.simulated_link, self._came)
        self.faults.settings.pace = False
        self.faults.settings.delay = 0.015
        self.exchanges: list[bytes] = []
        self._trace = trace
        self._lines_shown = 0
        self._playing = False
        self._began_at = self.now
        self._window_ends_at = math.inf
        self._to_come = 0                       # commands of the operation that have not been given yet
        self._commands: list[Caller] = []       # those that have been
        self._is_answered = False               # all of them have their outcome
        self._faults: dict[int, list[Fault]] = {}
        self._alone = True
        self._states = dict.fromkeys(CHANNELS, FocuserStatus.Disabled)
        self._wanted = case.operation != 'initialize'   # no channel may be below Idle
        self._deaf_until = -math.inf
        self._by_itself = dict.fromkeys(CHANNELS, False)   # the hub homes because its power is back
        self._motion_sent_at = dict.fromkeys(CHANNELS, -math.inf)
        self._sought = False                               # channel 1 has sought its home switch
        self._stopped = dict.fromkeys(CHANNELS, False)     # a stop is done, and nothing was commanded since
        self._unwatched_since = dict.fromkeys(CHANNELS, math.inf)
        self._still = {n: (self.now, self.hub.focusers[n].position) for n in CHANNELS}
        self.open_callers: list[Caller] = []
        self.case = case._replace(faults=())
        for fault in case.faults:
            self.add(fault)

    # The play

    def play(self) -> Trial:
        """Play the case from its beginning to its end. Raises Violation."""
        self.begin()
        while self.step():
            pass
        return self

    def begin(self) -> None:
        """Play up to the moment when the operation begins."""
        if self._wanted:
            self._wanted = False
            self.do(Connect())
            self.run(1.0)
            self._wanted = True
        self._began_at, self._window_ends_at = self.now, self.now + 60.0
        for delay_s, command in OPERATIONS[self.case.operation]:
            self._to_come += 1
            self.after(delay_s, partial(self._come, command))
        self._say(f'* {self.case}')

    def step(self) -> bool:
        """Go on to the next moment at which something happens. After the last one, judge the whole, and return False.

        Between two steps a trial can be pickled.
        """
        self._playing = True
        within = self._step(self._window_ends_at)
        self._playing = False
        if not self._to_come and not self.open_callers and not self._is_answered:
            self._is_answered = True
            self._window_ends_at = self.now + AFTER_S
        if within:
            return True
        self._judge_outcomes()
        self._use_it_again()
        return False

    def add(self, fault: Fault) -> None:
        """Let another fault happen at an exchange to come."""
        self.case = self.case._replace(faults=(*self.case.faults, fault))
        self._faults.setdefault(fault.exchange, []).append(fault)
        self._alone = len(self.case.faults) < 2

    @property
    def outcomes(self) -> list[str]:
        """The outcomes of the commands of the operation."""
        return [caller.outcome.value for caller in self._commands if caller.outcome is not None]

    def _come(self, command: Command) -> None:
        self._to_come -= 1
        self._commands.append(self._submit(command))

    def _submit(self, command: Command) -> Caller:
        caller = Caller(command, self.now)
        self.callers.append(caller)
        self.open_callers.append(caller)
        self.hand_over(caller)
        return caller

    def _judge_outcomes(self) -> None:
        """A single fault may fail only what it makes impossible."""
        if not self._alone:
            return
        for caller in self._commands:
            stopped = caller is not self._commands[-1]   # by the next command
            may_fail = stopped or self._first_hit[0] in OUTAGES or self._first_hit in MAY_FAIL
            self._require(may_fail or caller.outcome is Outcome.DONE, f'{caller.command} failed')

    def _use_it_again(self) -> None:
        """In the end everything is usable, and a move works."""
        self._say('* the end: a move')
        self.run(max(self._deaf_until - self.now, 0.0))
        if all(self.snapshot(n).status == FocuserStatus.Disabled for n in CHANNELS):
            self._wanted = False
            self._submit(Connect())
        self._require(self.until(self._is_settled, 25.0), f'not usable 25 s later: {self._states_in_words()}')
        self._wanted = self._wanted or self._alone
        for name, value in (('speed', '20000'), ('start_latency', '0'), ('moving_latency', '0')):   # only to be quick
            self.hub.set(f'{name}.1', value, self.now)
        if self.snapshot(1).status != FocuserStatus.Idle:
            self._finish(Home(1))
        self._finish(MoveFocuser(1, BEGINS_AT // 2))

    def _finish(self, command: Command) -> None:
        caller = self._submit(command)
        self.finish(caller, 60.0)
        self._require(caller.outcome is Outcome.DONE, f'{command} is {caller.outcome} in the end')

    def _is_settled(self) -> bool:
        homing = any(self._by_itself.values())
        return not self.open_callers and not homing and all(
            self.snapshot(n).status == FocuserStatus.Idle or self.snapshot(n).error == UNHOMED for n in CHANNELS)

    @property
    def _first_hit(self) -> tuple[str, bytes]:
        """The kind of the first fault, and the word of the request that it has hit."""
        number, kind = self.case.faults[0] if self.case.faults else (0, '')
        return kind, self.exchanges[number][3:-1].rstrip(b'0123456789') if number < len(self.exchanges) else b''

    def _states_in_words(self) -> str:
        return ', '.join(f'{n}: {FocuserStatus.label(self.snapshot(n).status)} {self.snapshot(n).error or ""}'
                         for n in CHANNELS)

    def _say(self, text: str) -> None:
        if self._trace is not None:
            self._trace(f'{self.now - self._began_at:9.4f}  {text}')

    def _require(self, condition: bool, what_is_wrong: str) -> None:
        if not condition:
            raise Violation(f'at {self.now - self._began_at:.3f} s: {what_is_wrong}')

    # The wire

    def wrote(self, data: bytes) -> bytes:
        self._check_request(data)
        number = len(self.exchanges)
        if self._playing:
            self.exchanges.append(data)
            self._say(f'  {number:3} C: {data.decode()}')
            hits = self._faults.get(number, ())
            for counter in _COUNTERS if hits else ():
                setattr(self.faults, counter, 0)   # of an exchange that had no reply to spoil
            for fault in hits:
                self._say(f'      {fault.kind}')
                self._bring_about(fault)
        else:
            self._say(f'      C: {data.decode()}')
        return data

    def _bring_about(self, fault: Fault) -> None:
        """Let a fault hit the request that goes out now, or its reply."""
        faults, kind = self.faults, fault.kind
        faults.random.seed(f'{self.case.operation} {self.case.hub} {fault.exchange} {kind}')
        if kind == 'request lost':
            faults.lose_requests = 1
        elif kind in ('channel wrong', 'digit wrong'):
            faults.garble_requests = 1
            faults.garble_digit = 0 if kind == 'channel wrong' else faults.random.randint(1, 6)
        elif kind in ('0.3 s late', '6 s late'):
            faults.delay_replies = 1
            faults.settings.reply_delay = LATE_S if kind == '0.3 s late' else VERY_LATE_S
            self._note_outage(faults.settings.reply_delay)
        elif kind == 'blink':
            self.hub.power_off(self.now, BLINK_S)
            self._note_outage(BLINK_S)
            for n in CHANNELS:
                self._by_itself[n] = has_home_switch(self.hub.focusers[n].memory.type)
        else:
            setattr(faults, {'reply lost': 'mute_next', 'bit wrong': 'flip_bit', 'cut': 'cut', 'doubled': 'double',
                             'ER': 'refuse', 'noise': 'garbage'}[kind], 1)

    def _note_outage(self, seconds: float) -> None:
        self._deaf_until = max(self._deaf_until, self.now + seconds + QUIET_AFTER_LATE_S)

    def _came(self, data: bytes) -> None:
        self._say(f'      H: {data!r}')
        if b'ER=' in data:
            self._motion_sent_at = dict.fromkeys(CHANNELS, -math.inf)

    def _check_request(self, data: bytes) -> None:
        target, text = data[2:3], data[3:-1].decode()
        if text[:2] != 'MA' and text != 'HOME':
            return
        n = int(target)
        waiting = [caller for caller in self.open_callers if isinstance(caller.command, (MoveFocuser, Home))]
        self._require(bool(waiting), f'{data!r} without a command')
        self._require(self.now - self._motion_sent_at[n] > START_LIMIT_S,
                      f'{data!r} was sent again while the first may be pending')
        self._require(self.hub.focusers[n].leg is None or self._by_itself[n], f'{data!r} although the motor runs')
        self._motion_sent_at[n] = self.now
        self._stopped[n] = self._by_itself[n] = False
        if text != 'HOME':
            memory = self.hub.focusers[n].memory
            steps = int(text[2:]) - memory.max_pos // 2
            low, high = self.settings.soft_step_limits
            high -= memory.backlash_steps if memory.backlash else 0
            self._require(max(low, 1 - memory.max_pos // 2) <= steps <= min(high, memory.max_pos // 2 - 1),
                          f'{data!r} is outside the limits')

    # Outcomes

    def resolved(self, caller: Caller, outcome: Outcome) -> None:
        self._say(f'  {caller.command} -> {outcome.name}')
        self.open_callers = [each for each in self.open_callers if each is not caller]
        self._require(self.now - caller.at <= self._patience_s(caller.command), f'{caller.command} took too long')
        if outcome is Outcome.DONE:
            self._check_done(caller.command)

    def _patience_s(self, command: Command) -> float:
        if isinstance(command, MoveFocuser):
            return 4.0 + self.settings.move_timeout_s
        return 4.0 + self.settings.home_timeout_s if isinstance(command, Home) else 4.5

    def _check_done(self, command: Command) -> None:
        """What is reported as done has been done."""
        if isinstance(command, Connect):
            self._require(any(is_usable(self.snapshot(n).status) for n in CHANNELS), 'connected, but nothing is usable')
        elif isinstance(command, Disconnect):
            self._wanted = False
            for n in CHANNELS:
                self._require(not self._runs(n), f'disconnected, but the motor of channel {n} runs')
        elif isinstance(command, Configure):
            value = self.hub.focusers[1].memory.backlash_steps
            self._require(value == command.value, f'{command} is done, but the value is {value}')
        else:
            assert isinstance(command, (MoveFocuser, SetZero, Home, Stop))
            n = command.channel
            self._motion_sent_at[n] = -math.inf
            focuser = self.hub.focusers[n]
            middle = focuser.memory.max_pos // 2
            if isinstance(command, Stop):
                self._stopped[n] = True
                self._require(not focuser.running or self._by_itself[n], 'stopped, but the motor runs')
                return
            self._require(focuser.leg is None or self._by_itself[n], f'{command} is done, but the motor runs')
            if isinstance(command, MoveFocuser):
                steps = command.steps if not command.offset else BEGINS_AT + OFFSET
                self._require(focuser.position == middle + steps, f'{command} is done, but the focuser is at '
                                                                  f'{focuser.position - middle:+d} steps')
            elif isinstance(command, SetZero):
                self._require(focuser.position == middle, 'zero is done, but not in the middle')
            else:
                self._require(focuser.homed and self._sought, 'homing is done, but the switch was not found')

    # States

    def _runs(self, channel: int) -> bool:
        """Whether the motor obeys us, or is about to."""
        return self.hub.focusers[channel].leg is not None and not self._by_itself[channel]

    def happened(self) -> None:
        now = self.now
        for caller in self.open_callers:
            self._require(now - caller.at <= self._patience_s(caller.command), f'no outcome for {caller.command}')
        snapshots = self.core.snapshots(now)
        for n, focuser in self.hub.focusers.items():
            snapshot = snapshots[n].at(now)
            if snapshot.status != self._states[n]:
                self._states[n] = snapshot.status
                self._say(f'  channel {n}: {FocuserStatus.label(snapshot.status)} {snapshot.error or ""}')
            if focuser.leg is None and not focuser.restarting and self.hub.powered:
                self._by_itself[n] = False
            if focuser.position != self._still[n][1] or focuser.leg is not None:
                self._still[n] = now, focuser.position
            self._sought |= n == 1 and focuser.in_homing_run
            runs = self._runs(n)
            self._require(not (self._stopped[n] and runs and focuser.running), f'channel {n} runs after its stop')
            self._check_supervision(focuser, runs)
            if self._wanted and snapshot.status < FocuserStatus.Idle:
                lost_home = self._first_hit == ('channel wrong', b'HOME') and snapshot.error == UNHOMED
                self._require(not self._alone or self._first_hit[0] in OUTAGES or lost_home,
                              f'channel {n} is not usable: {snapshot.error}')
            if snapshot.status == FocuserStatus.Idle:
                self._require(not (runs and self._motion_sent_at[n] > -math.inf),
                              f'channel {n} is Idle while its motor runs, or is about to')
                self._require(snapshot.error is None, f'channel {n} is Idle with an error')
                self._require(now - snapshot.as_of <= self._idle_s + 1e-6, f'channel {n} is Idle by an old report')
                since, position = self._still[n]
                middle = focuser.memory.max_pos // 2
                self._require(not since < snapshot.as_of or snapshot.current_steps == position - middle,
                              f'channel {n} is reported at {snapshot.current_steps}, but is at {position - middle}')
        if self._trace is not None and len(self.log) > self._lines_shown:
            for _, line in self.log[self._lines_shown:]:
                self._say(f'  log: {line}')
            self._lines_shown = len(self.log)

    @property
    def _idle_s(self) -> float:
        """How old a report may be that is still believed."""
        return self.settings.oldest_report_s

    def _check_supervision(self, focuser: Focuser, runs: bool) -> None:
        """A motor that no caller follows is halted in time."""
        n = focuser.channel
        followed = any(isinstance(caller.command, (MoveFocuser, Home)) and caller.command.channel == n
                       for caller in self.open_callers)
        if not runs or not focuser.running or followed or not self.port_open or self.now < self._deaf_until:
            self._unwatched_since[n] = math.inf
        elif self._unwatched_since[n] == math.inf:
            self._unwatched_since[n] = self.now
        self._require(self.now - self._unwatched_since[n] <= UNWATCHED_LIMIT_S,
                      f'the motor of channel {n} has run for {UNWATCHED_LIMIT_S:g} s without a caller')


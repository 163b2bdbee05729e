# SPDX-License-Identifier: GPL-3.0-or-later
"""A world in simulated time: the core on one side, the simulated hub on the other, and a clock between them."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Protocol

from warwick.observatory.focuslynx.core.commands import (
    ClosePort,
    Command,
    Connect,
    Log,
    OpenPort,
    Outcome,
    PendingCommand,
    Resolve,
    Write,
)
from warwick.observatory.focuslynx.core.hub import Hub
from warwick.observatory.focuslynx.core.limits import Limits
from warwick.observatory.focuslynx.core.snapshot import FocuserSnapshot
from warwick.observatory.focuslynx.simulator.link import Link, LinkFaults
from warwick.observatory.focuslynx.simulator.model import Hub as SimulatedHub

SETTINGS = Limits(
    soft_step_limits=(-30000, 30000), idle_loop_delay_s=5.0, moving_loop_delay_s=0.5, serial_timeout_s=2.0,
    move_timeout_s=180.0, home_reset_timeout_s=5.0)


class Caller:
    """Has given a command, and notes its outcome, and when that came."""

    def __init__(self, command: Command, at: float) -> None:
        self.command = command
        self.at = at
        self.outcome: Outcome | None = None
        self.answered_at = math.inf

    @property
    def waited_s(self) -> float:
        return self.answered_at - self.at


class HubLink(Protocol):
    def open(self, now: float) -> None: ...
    def write(self, data: bytes, now: float) -> None: ...
    def read(self, now: float) -> bytes: ...
    def next_event(self) -> float | None: ...


class ScriptedLink:
    """A hub that says what a function makes of each request: `answer(request)` gives pieces of (delay in s, bytes)."""

    def __init__(self, answer: Callable[[bytes], list[tuple[float, bytes]]]) -> None:
        self._answer = answer
        self._coming: list[tuple[float, bytes]] = []

    def open(self, now: float) -> None:
        self._coming = []

    def write(self, data: bytes, now: float) -> None:
        self._coming += [(now + delay_s, piece) for delay_s, piece in self._answer(data)]

    def read(self, now: float) -> bytes:
        data = b''.join(piece for at, piece in self._coming if at <= now)
        self._coming = [(at, piece) for at, piece in self._coming if at > now]
        return data

    def next_event(self) -> float | None:
        return min((at for at, _ in self._coming), default=None)


class World:
    """Core, simulated hub and clock. `sent` and `log` hold (time, bytes or text) of everything so far."""

    def __init__(self, settings: Limits = SETTINGS, hub: Mapping[str, str] | None = None,
                 link: HubLink | None = None, core: type[Hub] = Hub) -> None:
        self.now = 1000.0
        self.settings = settings
        self.hub = SimulatedHub({'channels': '1,2', 'speed': '1000', **(hub or {})}, now=self.now)
        self.faults = LinkFaults()
        self.faults.settings.pace = True
        self.simulated_link = Link(self.hub, self.faults)
        self.link: HubLink = link or self.simulated_link
        self.core = core(settings, 'the port')
        self.open_error: str | None = None
        self.opening_takes_s = 0.0
        self.port_open = False
        self._opened_at: float | None = None
        self.sent: list[tuple[float, bytes]] = []
        self.log: list[tuple[float, str]] = []
        self.callers: list[Caller] = []
        self._serial = itertools.count()   # plans for the same time are carried out in the order of planning
        self._plans: list[tuple[float, int, Callable[[], Any]]] = []

    # Commands and time

    def ask(self, command: Command) -> Caller:
        """Submit a command now."""
        caller = Caller(command, self.now)
        self.callers.append(caller)
        self.hand_over(caller)
        self._settle()
        return caller

    def hand_over(self, caller: Caller) -> None:
        """Give the command of a caller to the core."""
        self.core.submit(PendingCommand(caller.command, partial(self._give_outcome, caller)), self.now)

    def do(self, command: Command, limit_s: float = 300.0) -> Outcome | None:
        """Submit a command and wait for its outcome."""
        return self.finish(self.ask(command), limit_s)

    def finish(self, caller: Caller, limit_s: float = 300.0) -> Outcome | None:
        """Let time pass until a caller has its outcome, and return it; None if it has none within the limit."""
        self.until(lambda: caller.outcome is not None, limit_s)
        return caller.outcome

    def connected(self) -> World:
        assert self.do(Connect()) is Outcome.DONE
        return self

    def at(self, when: float, what: Callable[[], Any]) -> None:
        """Plan something for a time to come."""
        heapq.heappush(self._plans, (when, next(self._serial), what))

    def after(self, seconds: float, what: Callable[[], Any]) -> None:
        self.at(self.now + seconds, what)

    def run(self, seconds: float) -> None:
        """Let time pass."""
        end = self.now + seconds
        self._settle()
        while self._step(end):
            pass

    def until(self, condition: Callable[[], bool], limit_s: float = 300.0) -> bool:
        """Let time pass until a condition holds; returns whether it came to hold within the limit."""
        end = self.now + limit_s
        self._settle()
        while not condition():
            if not self._step(end):
                return condition()
        return True

    # For subclasses that check what happens

    def wrote(self, data: bytes) -> bytes:
        """A request goes out; returns what reaches the wire."""
        return data

    def resolved(self, caller: Caller, outcome: Outcome) -> None:
        """A caller gets its outcome."""

    def happened(self) -> None:
        """Something happened, and everything that follows from it at once has been done."""

    def answers(self, request: Callable[[bytes], list[tuple[float, bytes]]]) -> None:
        self.link = ScriptedLink(request)

    # What can be observed

    def snapshot(self, channel: int) -> FocuserSnapshot:
        return self.core.snapshots(self.now)[channel].at(self.now)

    def requests(self, word: bytes = b'', since: float = -math.inf) -> list[bytes]:
        """What went over the wire to the hub and contains `word`."""
        return [data for at, data in self.sent if word in data and at >= since]

    def logged(self, text: str) -> list[str]:
        return [line for _, line in self.log if text in line]

    # How time passes

    def _step(self, end: float) -> bool:
        """Go to the next moment at which something happens, at most to `end`."""
        times = [end, self.core.next_time(self.now)]
        if self.port_open:
            event = self.link.next_event()
            if event is not None:
                times.append(event)
        if self._opened_at is not None:
            times.append(self._opened_at)
        if self._plans:
            times.append(self._plans[0][0])
        replug_at = self.faults.replug_at
        if replug_at is not None:
            times.append(replug_at)
        if min(times) >= end:
            self.now = max(self.now, end)
            self._happen()
            return False
        self.now = max(self.now, min(times))
        self._happen()
        return True

    def _happen(self) -> None:
        self.hub.advance(self.now)
        self.faults.advance(self.now)
        while self._plans and self._plans[0][0] <= self.now:
            heapq.heappop(self._plans)[2]()
        self._settle()

    def _settle(self) -> None:
        """Let the core do all that is due at this moment."""
        for _ in range(200):
            self._open_now()
            self._read()
            self.core.advance(self.now)
            effects = self.core.take_effects()
            for effect in effects:
                self._carry_out(effect)
            if not effects:
                self.happened()
                return
        raise AssertionError(f'the core goes on without end at {self.now}')

    def _read(self) -> None:
        if not self.port_open:
            return
        try:
            data = self.link.read(self.now)
        except OSError as error:
            self.port_open = False
            self.core.lost(str(error), self.now)
            return
        if data:
            self.core.received(data, self.now)

    def _open_now(self) -> None:
        if self._opened_at is None or self.now < self._opened_at:
            return
        self._opened_at = None
        try:
            if self.open_error is not None:
                raise OSError(self.open_error)
            self.link.open(self.now)
        except OSError as error:
            self.core.not_opened(str(error), self.now)
        else:
            self.port_open = True
            self.core.opened(self.now)

    def _carry_out(self, effect: object) -> None:
        if isinstance(effect, Write):
            self.sent.append((self.now, effect.data))
            data = self.wrote(effect.data)
            try:
                if self.port_open:
                    self.link.read(self.now)
                    self.link.write(data, self.now)
            except OSError as error:
                self.port_open = False
                self.core.lost(str(error), self.now)
        elif isinstance(effect, OpenPort):
            self._opened_at = self.now + self.opening_takes_s
        elif isinstance(effect, ClosePort):
            self.port_open = False
            self._opened_at = None
        elif isinstance(effect, Log):
            self.log.append((self.now, f'{effect.level}: {effect.message}'))
        elif isinstance(effect, Resolve):
            effect.pending.on_outcome(effect.outcome)

    def _give_outcome(self, caller: Caller, outcome: Outcome) -> None:
        assert caller.outcome is None, 'a command got two outcomes'
        self.resolved(caller, outcome)
        caller.outcome = outcome
        caller.answered_at = self.now

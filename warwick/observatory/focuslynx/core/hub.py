# SPDX-License-Identifier: GPL-3.0-or-later
"""One hub: whether there is a line to it, and whom a command is for.

Pure: it is given commands, bytes and the time, and leaves effects (bytes to write, a port to open or close, outcomes
and log lines) for the thread that owns the port. What goes over the line, and when, is the business of traffic.py.
"""

from __future__ import annotations

import math
from enum import Enum

from ..constants import CHANNELS, FocuserStatus
from .availability import OFFLINE
from .commands import (
    ClosePort,
    Command,
    Configure,
    Connect,
    Disconnect,
    Effect,
    Effects,
    Home,
    MoveFocuser,
    OpenPort,
    Outcome,
    QueryHub,
    Stop,
    Ticket,
)
from .focuser import Focuser
from .limits import Limits
from .reports import HubInfo
from .requests import Silent
from .scheduler import Scheduler
from .snapshot import FocuserSnapshot

REOPEN_S = 1.0
CONNECT_LIMIT_S = 4.0
"""When a caller of connect is told at the latest. Its client gives up after 5 s."""

CONNECT_PATIENCE_S = 1.5
"""How long connect waits for the second channel when the first is usable."""

SECURE_LIMIT_S = 2.0
"""How long disconnecting waits for a motor to stand."""


class Line(Enum):
    """Where the connection stands."""

    OFFLINE = 'nobody wants one'
    OPENING = 'the port is being opened'
    WAITING = 'the next attempt to open is due later'
    OPEN = 'the port is open'
    SECURING = 'the port is open until the motors stand'


class Hub:
    """The conversation with one hub.

    Whoever runs it calls `submit`, `received`, `opened`, `not_opened` and `lost` as things happen, `advance` after
    each of them and whenever `next_time` has come, and carries out what `take_effects` returns, in its order.
    """

    def __init__(self, settings: Limits, port_name: str, unattended: frozenset[int] = frozenset()) -> None:
        """`unattended`: channels whose motors a former controller set in motion and could not watch to the end."""
        self._port_name = port_name
        self._effects = Effects()
        self._channels: dict[int, Focuser] = {n: Focuser(n, settings, self._effects, n in unattended) for n in CHANNELS}
        self._line = Line.OFFLINE
        self._traffic = Scheduler(settings, self._channels, self._effects, self._note_contact)
        self._in_contact = False        # the hub has answered since the port was opened
        self._outage_logged = False
        self._reopen_at = math.inf
        self._connecting: list[tuple[float, Ticket]] = []   # who waits for a connection, and since when
        self._disconnecting: list[Ticket] = []
        self._secure_until = math.inf

    # What others may know

    def views(self, now: float) -> dict[int, FocuserSnapshot]:
        """The state of all channels."""
        return {n: channel.view(now) for n, channel in self._channels.items()}

    @property
    def hub(self) -> HubInfo | None:
        """What the hub has told of itself since the port was opened, when it was last asked."""
        return self._traffic.hub

    @property
    def is_at_leisure(self) -> bool:
        """Whether nobody waits for anything: only polls go over the line."""
        return self._line is Line.OPEN and not self._connecting and self._traffic.is_at_leisure

    def unattended(self) -> frozenset[int]:
        """Channels in which a motion of ours may be under way."""
        return frozenset(n for n, channel in self._channels.items() if channel.motor_may_run)

    def take_effects(self) -> list[Effect]:
        """What has to be done, in this order; taken once."""
        effects = list(self._effects)
        self._effects.clear()
        return effects

    def next_time(self, now: float) -> float:
        """When to call `advance` next, if nothing happens before."""
        times = [self._reopen_at, self._secure_until]
        times += [began + limit_s for began, _ in self._connecting for limit_s in (CONNECT_PATIENCE_S, CONNECT_LIMIT_S)
                  if began + limit_s > now]
        if self._line in (Line.OPEN, Line.SECURING):
            times.append(self._traffic.next_time(now))
        return min(times)

    # What happens

    def submit(self, command: Command, ticket: Ticket, now: float) -> None:
        """Take a command. Its ticket is resolved exactly once, now or later."""
        if isinstance(command, Connect):
            self._connect(ticket, now)
        elif isinstance(command, Disconnect):
            self._disconnect(ticket, now)
        elif isinstance(command, Stop):
            if self._line in (Line.OPEN, Line.SECURING):
                self._channels[command.channel].stop(ticket, now)
            else:
                self._effects.resolve(ticket, Outcome.NOT_AVAILABLE)
        elif self._line is not Line.OPEN:
            self._effects.resolve(ticket, Outcome.NOT_AVAILABLE)
        elif isinstance(command, MoveFocuser):
            self._channels[command.channel].move(command.steps, command.offset, ticket, now)
        elif isinstance(command, Home):
            self._channels[command.channel].home(ticket, now)
        elif isinstance(command, Configure):
            elsewhere = self._channels[3 - command.channel].busy
            self._channels[command.channel].configure(command, elsewhere, ticket, now)
        elif isinstance(command, QueryHub):
            self._traffic.inquire(ticket, now)
        else:
            self._channels[command.channel].zero(ticket, now)

    def opened(self, now: float) -> None:
        """The port is open."""
        if self._line is not Line.OPENING:
            return
        self._line = Line.OPEN
        self._in_contact = False
        self._traffic.opened(now)
        for channel in self._channels.values():
            channel.line_up(now)

    def not_opened(self, reason: str, now: float) -> None:
        """The port could not be opened."""
        if self._line is Line.OPENING:
            self._outage(reason, now)

    def lost(self, reason: str, now: float) -> None:
        """The port broke."""
        if self._line is Line.OPEN:
            self._effects.append(ClosePort())
            self._outage(reason, now)
        elif self._line is Line.SECURING:
            self._go_offline(f'the connection broke while it was being closed: {reason}')

    def received(self, data: bytes, now: float) -> None:
        """Bytes came. Those that no exchange waits for are dropped."""
        self._traffic.received(data, now)

    def advance(self, now: float) -> None:
        """Do what is due."""
        if self._line is Line.WAITING and now >= self._reopen_at:
            self._open()
        if self._line in (Line.OPEN, Line.SECURING):
            for channel in self._channels.values():
                channel.tick(now)
            self._traffic.watch(now)
            if self._traffic.is_lost(now):
                self.lost(f'the hub on {self._port_name} does not answer: {self._traffic.last_error}', now)
            else:
                self._traffic.start(now)
        if self._line is Line.SECURING and (not self._secure(now) or now >= self._secure_until):
            self._go_offline('disconnected on request')
        self._judge_connect(now)

    # Connection

    def _connect(self, ticket: Ticket, now: float) -> None:
        if self._line is Line.SECURING:
            self._effects.resolve(ticket, Outcome.FAILED)
            return
        if self._line is Line.OPEN and any(channel.usable(now) for channel in self._channels.values()):
            self._effects.resolve(ticket, Outcome.ALREADY_CONNECTED)
            return
        self._connecting.append((now, ticket))
        if self._line is Line.OFFLINE:
            for channel in self._channels.values():
                channel.line_down(FocuserStatus.Initializing, f'connecting to the hub on {self._port_name}')
        for channel in self._channels.values():
            channel.ask_again()
        if self._line in (Line.OFFLINE, Line.WAITING):
            self._open()

    def _open(self) -> None:
        self._line = Line.OPENING
        self._reopen_at = math.inf
        self._effects.append(OpenPort())

    def _disconnect(self, ticket: Ticket, now: float) -> None:
        if self._line is Line.OFFLINE:
            self._effects.resolve(ticket, Outcome.NOT_CONNECTED)
            return
        self._disconnecting.append(ticket)
        if self._line is Line.OPEN:
            self._line = Line.SECURING
            self._secure_until = now + SECURE_LIMIT_S
            self._secure(now)
        elif self._line is not Line.SECURING:
            self._go_offline('disconnected on request')

    def _secure(self, now: float) -> bool:
        """Halt what we have set in motion; returns whether that has to be waited for."""
        unsecured = [channel for channel in self._channels.values() if channel.secure(now)]
        return bool(unsecured)

    def _go_offline(self, reason: str) -> None:
        self._line = Line.OFFLINE
        self._effects.append(ClosePort())
        self._reopen_at = self._secure_until = math.inf
        self._traffic.closed()
        self._outage_logged = False
        for channel in self._channels.values():
            channel.line_down(FocuserStatus.Disabled, OFFLINE)
        self._effects.log('info', reason)
        self._fail_connect()
        for ticket in self._disconnecting:
            self._effects.resolve(ticket, Outcome.DONE)
        self._disconnecting = []

    def _outage(self, reason: str, now: float) -> None:
        """The line is gone; logged once until the hub answers again, however often opening is tried."""
        self._line = Line.WAITING
        self._reopen_at = now + REOPEN_S
        self._traffic.closed()
        if not self._outage_logged:
            self._outage_logged = True
            self._effects.log('error', f'no connection to the hub: {reason}')
        for channel in self._channels.values():
            channel.line_down(FocuserStatus.Error, reason)
        self._fail_connect()

    def _fail_connect(self) -> None:
        for _, ticket in self._connecting:
            self._effects.resolve(ticket, Outcome.FAILED)
        self._connecting = []

    def _judge_connect(self, now: float) -> None:
        """Tell those who wait for a connection as soon as the outcome is certain."""
        for began, ticket in list(self._connecting):
            outcome = self._connected(began, now)
            if outcome is None:
                continue
            self._connecting.remove((began, ticket))
            if outcome is Outcome.FAILED:
                self._blame_silence(began, now)
            self._effects.resolve(ticket, outcome)

    def _connected(self, began: float, now: float) -> Outcome | None:
        """What has come of a connection asked for at `began`; None while that is open."""
        channels = self._channels.values()
        if self._line is Line.OPEN:
            decided = all(channel.answered_since(began) or channel.failures >= 2 for channel in channels)
            usable = any(channel.usable(now) and channel.answered_since(began) for channel in channels)
            if usable and (decided or now >= began + CONNECT_PATIENCE_S):
                return Outcome.DONE
            if decided:
                return Outcome.FAILED
        return Outcome.FAILED if now >= began + CONNECT_LIMIT_S else None

    def _blame_silence(self, began: float, now: float) -> None:
        silence = Silent(f'the hub on {self._port_name} does not answer')
        for channel in self._channels.values():
            if not channel.answered_since(began):
                channel.blame(silence)
        self._effects.log('error', 'connecting failed for now: ' + '; '.join(
            f'channel {n}: {view.error}' for n, view in self.views(now).items() if view.error))

    def _note_contact(self, now: float) -> None:
        """The hub has told where a focuser is: an outage, or the time before the first contact, is over."""
        self._outage_logged = False
        if not self._in_contact:
            self._in_contact = True
            self._effects.log('info', f'connected to the hub on {self._port_name}')

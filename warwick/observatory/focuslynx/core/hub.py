# SPDX-License-Identifier: GPL-3.0-or-later
"""One hub: whether there is a link to it, and which focuser a command is for.

Pure: commands, bytes and the time are given to it, and it leaves effects (bytes to write, a port to open or close,
outcomes and log lines) for the thread that owns the port. scheduler.py decides what goes over the link, and when.
"""

from __future__ import annotations

import math
from enum import Enum

from ..constants import CHANNELS, FocuserStatus
from .availability import NOT_CONNECTED
from .commands import (
    ClosePort,
    Connect,
    Disconnect,
    Effect,
    Effects,
    FocuserCommand,
    NoteRefusal,
    OpenPort,
    Outcome,
    PendingCommand,
    QueryHub,
    Stop,
)
from .focuser import Focuser
from .hub_query import HubQuery
from .limits import Limits
from .pending_start import PendingStart
from .reports import HubInfo
from .requests import SHORT_TIMEOUT_S, SetSetting
from .scheduler import Scheduler
from .snapshot import FocuserSnapshot

REOPEN_S = 1.0
"""Pause between two attempts to open the port."""

STEADY_S = 10.0
"""How long a connection has to hold after an outage. If it breaks sooner, the outage goes on, for the log."""

CONNECT_LIMIT_S = 4.0
"""When a caller of connect gets its outcome at the latest. Its client gives up after 5 s."""

SECOND_CHANNEL_LIMIT_S = 1.5
"""How long connect waits for the second channel when the first is usable."""

SECURE_LIMIT_S = 3.5
"""How long disconnecting waits for the motors to be at rest. A motor may begin for START_LIMIT_S after its request."""


class LinkState(Enum):
    """The state of the link to the hub."""

    OFFLINE = 'no connection is requested'
    OPENING = 'the port is being opened'
    WAITING = 'the next attempt to open the port is due later'
    OPEN = 'the port is open'


class Hub:
    """The conversation with one hub.

    Its owner calls `submit`, `received`, `opened`, `not_opened` and `lost` when they happen, calls `advance` after each
    of them and at `next_time`, and carries out the effects that `take_effects` returns, in their order.
    """

    def __init__(self, limits: Limits, port_name: str, lost_motions: frozenset[int] = frozenset()) -> None:
        """`lost_motions`: channels whose motors an earlier Hub set in motion and could not follow to the end."""
        self._port_name = port_name
        self._effects = Effects()
        starts = {n: PendingStart() for n in CHANNELS}
        self._focusers = {n: Focuser(n, limits, self._effects, starts[n], starts[other], n in lost_motions)
                          for n, other in zip(CHANNELS, reversed(CHANNELS))}
        self._query = HubQuery(self._effects)
        self._scheduler = Scheduler(limits, (*self._focusers.values(), self._query), self._effects, self._note_contact)
        self._link = LinkState.OFFLINE
        self._in_contact = False        # the hub has answered since the port was opened
        self._outage_logged = False
        self._contact_at = -math.inf    # since when the hub has answered, after an outage
        self._breaks_again = False      # the connection broke so soon after an outage that this one goes on
        self._reopen_at = math.inf
        self._connecting: list[tuple[float, PendingCommand]] = []   # callers of connect, and since when they wait
        self._disconnecting: list[PendingCommand] = []   # callers of disconnect: motors are halted first
        self._secure_until = math.inf
        self._stays_for_halt = False    # a motor could not be halted, so disconnecting has failed

    # What others may know

    def snapshots(self, now: float) -> dict[int, FocuserSnapshot]:
        """The state of all focusers by channel."""
        return {n: focuser.snapshot(now) for n, focuser in self._focusers.items()}

    @property
    def info(self) -> HubInfo | None:
        """The hub's latest answer about itself since the port was opened."""
        return self._query.hub

    @property
    def is_waiting(self) -> bool:
        """Whether a request is on its way."""
        return self._scheduler.is_waiting

    def only_polls(self, now: float) -> bool:
        """Whether no caller waits for anything: only regular polls go over the link."""
        idle = not self._connecting and not self._disconnecting
        return self._link is LinkState.OPEN and idle and self._scheduler.only_polls(now)

    def running_motors(self) -> frozenset[int]:
        """Channels in which a motion of ours may be under way."""
        return frozenset(n for n, focuser in self._focusers.items() if focuser.motor_may_run)

    def take_effects(self) -> list[Effect]:
        """What has to be done, in this order; each effect is returned once."""
        effects = list(self._effects)
        self._effects.clear()
        return effects

    def next_time(self, now: float) -> float:
        """When to call `advance` next, if nothing happens before."""
        times = [self._reopen_at, self._secure_until]
        times += [began + limit_s for began, _ in self._connecting
                  for limit_s in (SECOND_CHANNEL_LIMIT_S, CONNECT_LIMIT_S) if began + limit_s > now]
        if self._link is LinkState.OPEN:
            times.append(self._scheduler.next_time(now))
            if self._breaks_again and self._in_contact:
                times.append(self._contact_at + STEADY_S)
        return min(times)

    # What happens

    def submit(self, pending: PendingCommand, now: float) -> None:
        """Take a command. It gets its outcome exactly once, now or later."""
        command = pending.command
        if isinstance(command, Connect):
            self._connect(pending, now)
        elif isinstance(command, Disconnect):
            self._disconnect(pending, now)
        elif isinstance(command, NoteRefusal):
            self._focusers[command.channel].note_failure(command.why)
            self._effects.resolve(pending, Outcome.DONE)
        elif isinstance(command, Stop) and self._link is LinkState.OPEN:
            self._focusers[command.channel].stop(pending, now)
        elif isinstance(command, (Stop, QueryHub)) and (self._link is not LinkState.OPEN or self._disconnecting):
            self._effects.resolve(pending, Outcome.NOT_AVAILABLE)
        elif isinstance(command, FocuserCommand) and (self._link is not LinkState.OPEN or self._disconnecting):
            self._focusers[command.channel].refuse_without_link(pending)
        elif isinstance(command, QueryHub):
            answering = tuple(n for n, focuser in self._focusers.items() if focuser.answered_since(-math.inf))
            self._query.join(pending, answering, now)
        elif isinstance(command, FocuserCommand):
            elsewhere = next((focuser.busy for n, focuser in self._focusers.items() if n != command.channel), None)
            self._focusers[command.channel].begin(pending, elsewhere, now)

    def opened(self, now: float) -> None:
        """The port is open."""
        if self._link is not LinkState.OPENING:
            return
        self._link = LinkState.OPEN
        self._in_contact = False
        self._scheduler.opened(now)
        for focuser in self._focusers.values():
            focuser.link_comes_up(now)

    def not_opened(self, reason: str, now: float) -> None:
        """The port could not be opened."""
        if self._link is LinkState.OPENING:
            self._begin_outage(reason, now)

    def lost(self, reason: str, now: float) -> None:
        """The port broke."""
        if self._link is LinkState.OPEN:
            self._effects.append(ClosePort())
            self._begin_outage(reason, now)

    def machine_slept(self, now: float) -> None:
        """The machine was suspended: what was known before may not be true any more, until each channel is polled."""
        self._scheduler.machine_slept(now)
        for focuser in self._focusers.values():
            focuser.machine_slept(now)

    def received(self, data: bytes, now: float) -> None:
        """Bytes came."""
        self._scheduler.received(data, now)

    def advance(self, now: float) -> None:
        """Do what is due."""
        if self._link is LinkState.WAITING and now >= self._reopen_at:
            self._open()
        if self._link is LinkState.OPEN:
            self._note_steady(now)
            for focuser in self._focusers.values():
                focuser.tick(now, quietly=self._breaks_again)
            self._query.tick(now)
            self._scheduler.end_overdue(now)
            if self._scheduler.is_lost(now):
                self.lost(f'the hub on {self._port_name} does not answer: {self._scheduler.last_error}', now)
            else:
                self._start_exchange(now)
        self._judge_disconnect(now)
        self._judge_connect(now)

    def _start_exchange(self, now: float) -> None:
        request = self._scheduler.start(now, SHORT_TIMEOUT_S if self._connecting else math.inf)
        if isinstance(request, SetSetting) and request.restarts:
            for n, focuser in self._focusers.items():   # some hubs restart as a whole
                focuser.hub_restarts(n == request.channel, now)

    # Connection

    def _connect(self, pending: PendingCommand, now: float) -> None:
        if self._disconnecting:
            self._effects.resolve(pending, Outcome.FAILED)
            return
        usable = self._link is LinkState.OPEN and any(focuser.usable(now) for focuser in self._focusers.values())
        if usable or (self._stays_for_halt and self.running_motors()):
            self._effects.resolve(pending, Outcome.ALREADY_CONNECTED)
            return
        self._connecting.append((now, pending))
        self._scheduler.hurry(now)
        for focuser in self._focusers.values():
            if self._link is LinkState.OFFLINE:
                reason = f'connecting to the hub on {self._port_name}'
                focuser.link_goes_down(FocuserStatus.Initializing, reason, now)
            focuser.read_now()
        if self._link in (LinkState.OFFLINE, LinkState.WAITING):
            self._open()

    def _open(self) -> None:
        self._link = LinkState.OPENING
        self._reopen_at = math.inf
        self._effects.append(OpenPort())

    def _disconnect(self, pending: PendingCommand, now: float) -> None:
        if self._link is LinkState.OFFLINE:
            self._effects.resolve(pending, Outcome.NOT_CONNECTED)
            return
        if not self._disconnecting:
            self._secure_until = now + SECURE_LIMIT_S
        self._disconnecting.append(pending)
        self._judge_disconnect(now)

    def _judge_disconnect(self, now: float) -> None:
        """Halt the motors that we have set in motion; then disconnect, or stay connected if they cannot be halted."""
        if not self._disconnecting:
            return
        unsecured = [n for n, focuser in self._focusers.items() if focuser.secure(now)]
        if not unsecured:
            self._go_offline('disconnected on request', now)
        elif now >= self._secure_until:
            which = ' and '.join(f'channel {n}' for n in unsecured)
            self._effects.log('error', f'not disconnected: the motor of {which} may still run; HALT is sent until the '
                                       f'hub confirms it')
            self._stays_for_halt = True
            self._end_disconnect(Outcome.FAILED)

    def _end_disconnect(self, outcome: Outcome) -> None:
        for pending in self._disconnecting:
            self._effects.resolve(pending, outcome)
        self._disconnecting = []
        self._secure_until = math.inf

    def _go_offline(self, reason: str, now: float) -> None:
        self._link = LinkState.OFFLINE
        self._effects.append(ClosePort())
        self._reopen_at = math.inf
        self._stays_for_halt = self._breaks_again = False
        self._outage_logged = False
        self._link_is_down(FocuserStatus.Disabled, NOT_CONNECTED, now)
        self._effects.log('info', reason)
        self._fail_connect()
        self._end_disconnect(Outcome.DONE)

    def _begin_outage(self, reason: str, now: float) -> None:
        """There is no link; logged once until the hub answers again, however often opening is tried."""
        self._link = LinkState.WAITING
        self._reopen_at = now + REOPEN_S
        if now - self._contact_at < STEADY_S and not self._breaks_again:
            self._breaks_again = True
            self._effects.log('error', f'the connection to the hub breaks again and again: {reason}')
        elif not self._outage_logged and not self._breaks_again:
            self._effects.log('error', f'no connection to the hub: {reason}')
        self._outage_logged = True
        self._link_is_down(FocuserStatus.Error, reason, now)
        self._fail_connect()

    def _link_is_down(self, status: int, reason: str, now: float) -> None:
        self._scheduler.closed()
        self._query.port_closed()
        for focuser in self._focusers.values():
            focuser.link_goes_down(status, reason, now)

    def _fail_connect(self) -> None:
        for _, pending in self._connecting:
            self._effects.resolve(pending, Outcome.FAILED)
        self._connecting = []

    def _judge_connect(self, now: float) -> None:
        """Give the callers of connect their outcome as soon as it is certain."""
        for began, pending in list(self._connecting):
            outcome = self._outcome_of_connect(began, now)
            if outcome is None:
                continue
            self._connecting.remove((began, pending))
            if outcome is Outcome.FAILED:
                self._report_silence(began, now)
            self._effects.resolve(pending, outcome)

    def _outcome_of_connect(self, began: float, now: float) -> Outcome | None:
        """The outcome of a connection requested at `began`; None if it is not certain yet."""
        focusers = self._focusers.values()
        if self._link is LinkState.OPEN:
            decided = all(focuser.answered_since(began) or focuser.failed_polls >= 2 for focuser in focusers)
            usable = any(focuser.usable(now) and focuser.answered_since(began) for focuser in focusers)
            if usable and (decided or now >= began + SECOND_CHANNEL_LIMIT_S):
                return Outcome.DONE
            if decided:
                return Outcome.FAILED
        return Outcome.FAILED if now >= began + CONNECT_LIMIT_S else None

    def _report_silence(self, began: float, now: float) -> None:
        for focuser in self._focusers.values():
            if not focuser.answered_since(began):
                focuser.report_silence(f'the hub on {self._port_name} does not answer')
        self._effects.log('error', 'connecting failed for now: ' + '; '.join(
            f'channel {n}: {snapshot.error}' for n, snapshot in self.snapshots(now).items() if snapshot.error))

    def _note_contact(self, now: float) -> None:
        """The hub has reported a position: an outage, or the time before the first contact, is over."""
        if self._in_contact:
            return
        self._in_contact = True
        if self._outage_logged:
            self._contact_at = now
        self._outage_logged = False
        if not self._breaks_again:
            self._effects.log('info', f'connected to the hub on {self._port_name}')

    def _note_steady(self, now: float) -> None:
        """The connection has held for a while."""
        if self._breaks_again and self._in_contact and now >= self._contact_at + STEADY_S:
            self._breaks_again = False
            self._contact_at = -math.inf
            self._effects.log('info', f'connected to the hub on {self._port_name}')

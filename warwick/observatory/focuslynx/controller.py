# SPDX-License-Identifier: GPL-3.0-or-later
"""One hub: which exchange goes next, what its reply means, and whether there is a line at all.

Pure: it is given commands, bytes and the time, and leaves effects (bytes to write, a port to open or close, outcomes
and log lines) for the thread that owns the port. Both channels share the line, one exchange after the other; the hub
answers in order and its replies carry no number, so:

- after an exchange that did not end well, the hub may owe its reply. The next request is then a report of a kind that
  is not owed, and everything up to its header is passed over: a late reply is never taken for that of another
  request, and no motion request goes out while a reply is owed.
- HALT waits for nothing but the end of the exchange under way, and for that no longer than HALT_PATIENCE_S.
"""

from __future__ import annotations

import math
from enum import Enum

from .channel import OFFLINE, Channel
from .commands import (
    ClosePort,
    Command,
    Configure,
    Connect,
    Disconnect,
    Effect,
    Effects,
    Home,
    Inquire,
    MoveFocuser,
    OpenPort,
    Outcome,
    Stop,
    Ticket,
    Write,
)
from .constants import FocuserStatus
from .exchange import Exchange, Owed
from .inquiry import FRESH_S, Inquiry
from .protocol import Garbled, Halt, HubError, Refused, Reply, Request, Silent, no_answer
from .reports import GetCompensation, GetConfig, GetHubInfo, GetStatus, HubInfo
from .settings import Settings
from .view import ChannelView

CHANNELS = (1, 2)

HALT_PATIENCE_S = 0.05
"""A status exchange takes 17 ms: one that is not over after this does not hold up a HALT any longer."""

HALT_TIMEOUT_S = 0.5
"""HALT does no harm when it is repeated, so its answer is not waited for as long as others."""

QUIET_S = 0.1
LONGEST_QUIET_S = 1.0
"""After garbage the line has to be silent for so long; one that never falls silent is tried again after a while."""

SHORTEST_OVERDUE_S = 0.1
OVERDUE_FACTOR = 5
"""A reply is overdue when it takes several times longer than this hub ever needs; the other channel may go first."""

MOST_PATIENT_S = 0.5
"""How long a poll of a channel at rest gives way to the looks of the other one."""

LOST_AFTER_FAILURES = 5
"""Exchanges without an answer, on either channel, after which the port is closed and opened again."""

REOPEN_S = 1.0
CONNECT_LIMIT_S = 4.0
"""When a caller of connect is told at the latest. Its client gives up after 5 s."""

CONNECT_PATIENCE_S = 1.5
"""How long connect waits for the second channel when the first is usable."""

SECURE_LIMIT_S = 2.0
"""How long disconnecting waits for a motor to stand."""


_REPORTS = (GetStatus, GetConfig, GetCompensation, GetHubInfo)


class Line(Enum):
    """Where the connection stands."""

    OFFLINE = 'nobody wants one'
    OPENING = 'the port is being opened'
    WAITING = 'the next attempt to open is due later'
    OPEN = 'the port is open'
    SECURING = 'the port is open until the motors stand'


class Controller:
    """The conversation with one hub.

    Whoever runs it calls `submit`, `received`, `opened`, `not_opened` and `lost` as things happen, `advance` after
    each of them and whenever `next_time` has come, and carries out what `take_effects` returns, in its order.
    """

    def __init__(self, settings: Settings, port_name: str, unattended: frozenset[int] = frozenset()) -> None:
        """`unattended`: channels whose motors a former controller set in motion and could not watch to the end."""
        self._settings = settings
        self._port_name = port_name
        self._effects = Effects()
        self._channels: dict[int, Channel] = {n: Channel(n, settings, self._effects, n in unattended) for n in CHANNELS}
        self._line = Line.OFFLINE
        self._exchange: Exchange | None = None
        self._owed = Owed()
        self._quiet_until = self._quiet_limit = -math.inf
        self._slowest_reply_s: float | None = None
        self._failures = 0              # exchanges in a row without an answer, on either channel
        self._last_error: HubError | None = None
        self._heard_at = -math.inf
        self._in_contact = False        # the hub has answered since the port was opened
        self._outage_logged = False
        self._reopen_at = math.inf
        self._connecting: list[tuple[float, Ticket]] = []   # who waits for a connection, and since when
        self._disconnecting: list[Ticket] = []
        self._secure_until = math.inf
        self._inquiry: Inquiry | None = None
        self._inquired_at = -math.inf
        self.hub: HubInfo | None = None   # as read last, since the port was opened

    # What others may know

    def views(self, now: float) -> dict[int, ChannelView]:
        """The state of all channels."""
        return {n: channel.view(now) for n, channel in self._channels.items()}

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
            exchange = self._exchange
            for channel in self._channels.values():
                times.append(channel.deadline(now))
                due, request = channel.wanted(now)
                if exchange is None and isinstance(request, Halt):
                    times.append(due)
                elif exchange is None and self._gives_way(channel, due, now):
                    pass   # the look that it gives way to is among the times
                elif exchange is None:
                    blocked_until = self._owed.free_at() if self._owed.marker(request) is None else -math.inf
                    times.append(max(due, self._quiet_until, blocked_until))
                elif self._may_break_in(channel, exchange):
                    times.append(channel.halt_due + HALT_PATIENCE_S)
                elif self._may_overtake(channel, exchange):
                    times.append(max(due, self._overdue_at(exchange)))
                elif self._inquiry is not None and exchange.request != self._inquiry.request:
                    times.append(self._overdue_at(exchange))
            if exchange is not None:
                times.append(exchange.deadline)
            if self._inquiry is not None:
                times.append(self._inquiry.ends_at)
                if exchange is None and self._inquiry.request is not None:
                    free_at = self._owed.free_at() if self._owed.marker(self._inquiry.request) is None else -math.inf
                    times.append(max(now, self._quiet_until, free_at))
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
            self._channels[command.channel].configure(command, ticket, now)
        elif isinstance(command, Inquire):
            self._inquire(ticket, now)
        else:
            self._channels[command.channel].zero(ticket, now)

    def opened(self, now: float) -> None:
        """The port is open."""
        if self._line is not Line.OPENING:
            return
        self._line = Line.OPEN
        self._in_contact = False
        self._inquired_at, self.hub = -math.inf, None
        self._owed.add_unknown(now)
        self._failures = 0
        self._heard_at = now
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
        exchange = self._exchange
        if exchange is None:
            self._owed.hear(data)
            if now < self._quiet_until:
                self._quiet_until = min(now + QUIET_S, self._quiet_limit)
            return
        exchange.heard = True
        self._heard_at = now
        was_acknowledged = exchange.reader.acknowledged
        try:
            reply = exchange.reader.feed(data)
        except HubError as error:
            self._fail(error, now)
            return
        if reply is not None:
            self._succeed(reply, now)
        elif exchange.settled_by_acknowledgement and not was_acknowledged:
            exchange.deadline = min(exchange.deadline, now + (exchange.request.word_optional_s or 0.0))

    def advance(self, now: float) -> None:
        """Do what is due."""
        if self._line is Line.WAITING and now >= self._reopen_at:
            self._open()
        if self._line in (Line.OPEN, Line.SECURING):
            for channel in self._channels.values():
                channel.tick(now)
            self._watch_exchange(now)
            if self._inquiry is not None and (self._inquiry.request is None or now >= self._inquiry.ends_at):
                self._end_inquiry(Outcome.DONE if self._inquiry.request is None else Outcome.FAILED)
                self._inquired_at = now
            if self._exchange is None and self._failures >= LOST_AFTER_FAILURES \
                    and now - self._heard_at >= LOST_AFTER_FAILURES * self._settings.serial_timeout_s \
                    and not any(channel.halts_first or channel.may_be_silent for channel in self._channels.values()):
                self.lost(f'the hub on {self._port_name} does not answer: {self._last_error}', now)
            elif self._exchange is None:
                self._start_exchange(now)
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
        self._end_inquiry(Outcome.FAILED)
        self._effects.append(ClosePort())
        self._reopen_at = self._secure_until = math.inf
        self._exchange = None
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
        self._end_inquiry(Outcome.FAILED)
        self._reopen_at = now + REOPEN_S
        self._exchange = None
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

    # Inquiries

    def _inquire(self, ticket: Ticket, now: float) -> None:
        if now - self._inquired_at < FRESH_S:
            self._effects.resolve(ticket, Outcome.DONE)
            return
        if self._inquiry is None:
            answering = tuple(n for n, channel in self._channels.items() if channel.answered_since(-math.inf))
            self._inquiry = Inquiry(now, answering)
        self._inquiry.join(ticket)

    def _end_inquiry(self, outcome: Outcome) -> None:
        if self._inquiry is not None:
            self._inquiry.end(outcome, self._effects)
            self._inquiry = None

    # Exchanges

    def _overdue_at(self, exchange: Exchange) -> float:
        """From when on another channel may go first; never, once a part of the reply has come."""
        if self._slowest_reply_s is None or exchange.heard or not isinstance(exchange.request, _REPORTS):
            return math.inf
        return exchange.sent_at + max(SHORTEST_OVERDUE_S, OVERDUE_FACTOR * self._slowest_reply_s)

    def _gives_way(self, channel: Channel, due: float, now: float) -> bool:
        """Whether a poll of a channel at rest lets the other one go first, whose arrival is looked for any moment."""
        if not channel.is_at_rest or due < now - MOST_PATIENT_S:
            return False
        other = self._channels[3 - channel.number]
        return other.is_moving and now < other.wanted(now)[0] <= now + 2 * (self._slowest_reply_s or 0.0)

    @property
    def is_at_leisure(self) -> bool:
        """Whether nobody waits for anything: only polls go over the line."""
        return (self._line is Line.OPEN and self._inquiry is None and not self._connecting
                and all(channel.is_at_rest for channel in self._channels.values()))

    def _may_break_in(self, channel: Channel, exchange: Exchange) -> bool:
        """Whether a channel has a HALT that does not wait for this exchange to end."""
        return channel.halt_due < math.inf and (channel.halts_first or not isinstance(exchange.request, Halt))

    def _may_overtake(self, channel: Channel, exchange: Exchange) -> bool:
        """Whether a channel, itself in good order, need not wait for ever for the other one's reply."""
        return channel.number != exchange.request.channel and channel.failures == 0

    def _watch_exchange(self, now: float) -> None:
        """End an exchange that waited long enough."""
        exchange = self._exchange
        if exchange is None:
            return
        if now >= exchange.deadline:
            if exchange.settled_by_acknowledgement:
                self._succeed('', now)
                self._owed.add(exchange, now)
            else:
                self._fail(no_answer(exchange.request, exchange.timeout_s, exchange.reader.passed_over), now)
            return
        for channel in self._channels.values():
            if self._may_break_in(channel, exchange) and now >= channel.halt_due + HALT_PATIENCE_S:
                self._fail(Silent(f'{exchange.request} was given up for a halt'), now, waited_out=False)
                return
            if self._may_overtake(channel, exchange) and now >= max(channel.wanted(now)[0], self._overdue_at(exchange)):
                self._fail(Silent(f'no answer to {exchange.request} in good time'), now, waited_out=False)
                return
        if self._inquiry is not None and exchange.request != self._inquiry.request \
                and now >= self._overdue_at(exchange):
            self._fail(Silent(f'no answer to {exchange.request} in good time'), now, waited_out=False)

    def _start_exchange(self, now: float) -> None:
        self._owed.expire(now)
        wishes: list[tuple[float, Request]] = [
            (due, request) for due, request, channel in
            sorted(((*channel.wanted(now), channel) for channel in self._channels.values()),
                   key=lambda wish: (not isinstance(wish[1], Halt), not wish[2].is_halting,
                                     wish[0] > now or isinstance(wish[1], _REPORTS), wish[0]))
            if not self._gives_way(channel, due, now)]
        if self._inquiry is not None and self._inquiry.request is not None:
            wishes.append((now, self._inquiry.request))
        for due, request in wishes:
            timeout_s = self._settings.serial_timeout_s
            if due > now:
                continue
            if isinstance(request, Halt):
                timeout_s = min(timeout_s, max(HALT_TIMEOUT_S, 2 * (self._slowest_reply_s or 0.0)))
            elif now < self._quiet_until:
                continue
            elif self._owed:
                marker = self._owed.marker(request)
                if marker is None:
                    continue
                request = marker
            self._exchange = Exchange(request, bool(self._owed), now, timeout_s)
            self._channels[request.channel].sent(request, now)
            self._effects.append(Write(request.encode()))
            return

    def _succeed(self, reply: Reply, now: float) -> None:
        exchange, self._exchange = self._exchange, None
        assert exchange is not None
        if self._owed.is_settled_by(exchange.request):
            self._owed.clear()
        if isinstance(exchange.request, (GetStatus, GetConfig)):
            self._slowest_reply_s = max(now - exchange.sent_at, 0.9 * (self._slowest_reply_s or 0.0))
        if isinstance(exchange.request, GetStatus):
            self._note_contact(now)
        if isinstance(reply, HubInfo):
            self.hub = reply
        if self._inquiry is not None and exchange.request == self._inquiry.request:
            self._inquiry.answered(exchange.request)
        if isinstance(reply, HubInfo):
            return
        self._channels[exchange.request.channel].answered(exchange.request, reply, exchange.sent_at, now)

    def _fail(self, error: HubError, now: float, waited_out: bool = True) -> None:
        exchange, self._exchange = self._exchange, None
        assert exchange is not None
        if not isinstance(error, Refused):
            self._owed.add(exchange, now)
            if waited_out:
                self._failures += 1
                self._last_error = error
            if isinstance(error, Garbled):
                self._quiet_until, self._quiet_limit = now + QUIET_S, now + LONGEST_QUIET_S
        if self._inquiry is not None and exchange.request == self._inquiry.request:
            self._inquiry.failed(exchange.request, error)
        elif isinstance(exchange.request, GetHubInfo):
            return   # the inquiry has ended meanwhile
        else:
            self._channels[exchange.request.channel].failed(exchange.request, error, now)

    def _note_contact(self, now: float) -> None:
        """The hub has told where a focuser is: an outage, or the time before the first contact, is over."""
        self._failures = 0
        self._heard_at = now
        self._outage_logged = False
        if not self._in_contact:
            self._in_contact = True
            self._effects.log('info', f'connected to the hub on {self._port_name}')

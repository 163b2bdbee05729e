# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes over the line, one exchange after the other: which is next, how long it is waited for, what it ends in.

Pure: bytes and the time are given to it, and it leaves bytes to be written. Both channels share the line. The hub
answers in order and its replies carry no number, so:

- after an exchange that did not end well, the hub may owe its reply. The next request is then a report of a kind that
  is not owed, and everything up to its header is passed over: a late reply is never taken for that of another
  request, and no motion request goes out while a reply is owed.
- HALT waits for nothing but the end of the exchange under way, and for that no longer than HALT_PATIENCE_S.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from .commands import Effects, Outcome, Ticket, Write
from .exchange import Exchange, Owed
from .focuser import Focuser
from .hub_query import FRESH_S, HubQuery
from .limits import Limits
from .reports import GetCompensation, GetConfig, GetHubInfo, GetStatus, HubInfo
from .requests import Garbled, Halt, HubError, Refused, Reply, Request, SetSetting, Silent, no_answer

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

_REPORTS = (GetStatus, GetConfig, GetCompensation, GetHubInfo)


class Scheduler:
    """The exchanges of one hub while the port is open. `on_contact(now)` is called for each status that comes."""

    def __init__(self, settings: Limits, channels: dict[int, Focuser], effects: Effects,
                 on_contact: Callable[[float], None]) -> None:
        self._settings = settings
        self._channels = channels
        self._effects = effects
        self._on_contact = on_contact
        self.exchange: Exchange | None = None
        self._failures = 0               # exchanges in a row without an answer, on either channel
        self.last_error: HubError | None = None
        self._heard_at = -math.inf
        self._owed = Owed()
        self._quiet_until = self._quiet_limit = -math.inf
        self._slowest_reply_s: float | None = None
        self._inquiry: HubQuery | None = None
        self._inquired_at = -math.inf
        self._inquired = Outcome.FAILED   # what came of it
        self.hub: HubInfo | None = None   # as read last, since the port was opened

    def opened(self, now: float) -> None:
        """The port is open: there may be something on the line from before."""
        self._owed.add_unknown(now)
        self._failures = 0
        self._heard_at = now
        self._inquired_at = -math.inf

    def closed(self) -> None:
        """The port is closed, or lost."""
        self.exchange = None
        self.hub = None
        self.end_inquiry(Outcome.FAILED)

    def is_lost(self, now: float) -> bool:
        """Whether the hub has not answered for so long that the port had better be opened anew."""
        return (self.exchange is None and self._failures >= LOST_AFTER_FAILURES
                and now - self._heard_at >= LOST_AFTER_FAILURES * self._settings.serial_timeout_s
                and not any(channel.halts_first or channel.may_be_silent for channel in self._channels.values()))

    @property
    def is_at_leisure(self) -> bool:
        """Whether nobody waits for anything: only polls go over the line."""
        return self._inquiry is None and all(channel.is_at_rest for channel in self._channels.values())

    def next_time(self, now: float) -> float:
        """When there is something to do next, if nothing comes before."""
        times = [math.inf]
        exchange = self.exchange
        for channel in self._channels.values():
            times.append(channel.deadline(now))
            due, request = channel.wanted(now)
            if exchange is None and isinstance(request, Halt):
                times.append(due)
            elif exchange is None and self._gives_way(channel, due, now):
                pass   # the look that it gives way to is among the times
            elif exchange is None:
                times.append(max(due, self._free_at(request)))
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
                times.append(max(now, self._free_at(self._inquiry.request)))
        return min(times)

    def _free_at(self, request: Request) -> float:
        """From when on a request may go out, for all that was heard before."""
        return max(self._quiet_until, self._owed.free_at() if self._owed.marker(request) is None else -math.inf)

    def received(self, data: bytes, now: float) -> None:
        """Bytes came. Those that no exchange waits for are dropped."""
        exchange = self.exchange
        self._owed.put_off(now)
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

    def inquire(self, ticket: Ticket, now: float) -> None:
        if now - self._inquired_at < FRESH_S:
            self._effects.resolve(ticket, self._inquired)
            return
        if self._inquiry is None:
            answering = tuple(n for n, channel in self._channels.items() if channel.answered_since(-math.inf))
            self._inquiry = HubQuery(now, answering)
        self._inquiry.join(ticket)

    def end_inquiry(self, outcome: Outcome) -> None:
        if self._inquiry is not None:
            self._inquiry.end(outcome, self._effects)
            self._inquiry = None

    def _overdue_at(self, exchange: Exchange) -> float:
        """From when on another channel may go first; never, once a part of the reply has come."""
        if self._slowest_reply_s is None or exchange.heard or not isinstance(exchange.request, _REPORTS):
            return math.inf
        return exchange.sent_at + max(SHORTEST_OVERDUE_S, OVERDUE_FACTOR * self._slowest_reply_s)

    def _gives_way(self, channel: Focuser, due: float, now: float) -> bool:
        """Whether a poll of a channel at rest lets the other one go first, whose arrival is looked for any moment."""
        if not channel.is_at_rest or due < now - MOST_PATIENT_S:
            return False
        other = self._channels[3 - channel.number]
        return other.is_moving and now < other.wanted(now)[0] <= now + 2 * (self._slowest_reply_s or 0.0)

    def _may_break_in(self, channel: Focuser, exchange: Exchange) -> bool:
        """Whether a channel has a HALT that does not wait for this exchange to end."""
        return channel.halt_due < math.inf and (channel.halts_first or not isinstance(exchange.request, Halt))

    def _may_overtake(self, channel: Focuser, exchange: Exchange) -> bool:
        """Whether a channel, itself in good order, need not wait for ever for a reply that somebody else wants."""
        others = channel.number != exchange.request.channel or (
            self._is_of_inquiry(exchange.request) and not channel.is_at_rest)
        return others and channel.failures == 0

    def _is_of_inquiry(self, request: Request) -> bool:
        """Whether an inquiry has asked for this, perhaps one that has ended meanwhile."""
        return isinstance(request, GetHubInfo) or (self._inquiry is not None and request == self._inquiry.request)

    def watch(self, now: float) -> None:
        """End what has waited long enough."""
        self._watch_exchange(now)
        if self._inquiry is not None and (self._inquiry.request is None or now >= self._inquiry.ends_at):
            self._inquired = Outcome.DONE if self._inquiry.request is None else Outcome.FAILED
            self.end_inquiry(self._inquired)
            self._inquired_at = now

    def _watch_exchange(self, now: float) -> None:
        exchange = self.exchange
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
                self._fail(Silent(f'{exchange.request} was given up for a halt'), now, waited_out=False, for_halt=True)
                return
            if self._may_overtake(channel, exchange) and now >= max(channel.wanted(now)[0], self._overdue_at(exchange)):
                self._fail(Silent(f'no answer to {exchange.request} in good time'), now, waited_out=False)
                return
        if self._inquiry is not None and exchange.request != self._inquiry.request \
                and now >= self._overdue_at(exchange):
            self._fail(Silent(f'no answer to {exchange.request} in good time'), now, waited_out=False)

    def start(self, now: float) -> None:
        """Begin the exchange that is due, if the line is free."""
        if self.exchange is not None:
            return
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
            self.exchange = Exchange(request, bool(self._owed), now, timeout_s)
            self._channels[request.channel].sent(request, now)
            if isinstance(request, SetSetting) and self._channels[request.channel].may_be_silent:
                for n, channel in self._channels.items():
                    channel.restart_begins(now, n == request.channel)
            self._effects.append(Write(request.encode()))
            return

    def _succeed(self, reply: Reply, now: float) -> None:
        exchange, self.exchange = self.exchange, None
        assert exchange is not None
        self._owed.note_header(exchange)
        if self._owed.is_settled_by(exchange.request):
            self._owed.clear()
        if isinstance(exchange.request, (GetStatus, GetConfig)):
            self._slowest_reply_s = max(now - exchange.sent_at, 0.9 * (self._slowest_reply_s or 0.0))
        if isinstance(exchange.request, GetStatus):
            self._on_contact(now)
            self._failures = 0
            self._heard_at = now
        if isinstance(reply, HubInfo):
            self.hub = reply
        if self._inquiry is not None and exchange.request == self._inquiry.request:
            self._inquiry.answered(exchange.request)
        if isinstance(reply, HubInfo):
            return
        self._channels[exchange.request.channel].answered(exchange.request, reply, exchange.sent_at, now)

    def _fail(self, error: HubError, now: float, waited_out: bool = True, for_halt: bool = False) -> None:
        exchange, self.exchange = self.exchange, None
        assert exchange is not None
        if not isinstance(error, Refused):
            self._owed.add(exchange, now)
            if waited_out:
                self._failures += 1
                self.last_error = error
            if isinstance(error, Garbled):
                self._quiet_until, self._quiet_limit = now + QUIET_S, now + LONGEST_QUIET_S
        # Before the inquiry goes on to its next request; what nobody but an inquiry asks for concerns no channel
        concerns_channel = isinstance(exchange.request, GetConfig) or not self._is_of_inquiry(exchange.request)
        if self._inquiry is not None and exchange.request == self._inquiry.request \
                and not for_halt:   # that is no fault of the request
            self._inquiry.failed(exchange.request, error)
        if concerns_channel:
            self._channels[exchange.request.channel].failed(exchange.request, error, now)

# SPDX-License-Identifier: GPL-3.0-or-later
"""Which exchange goes over the serial link next, how long its reply is waited for, and how it ends.

Pure: bytes and the time are given to it, and it leaves bytes to be written. All sources share the link. The hub answers
in order and its replies carry no number, so:

- After an exchange that did not end well, a late reply may come. Apart from HALT, the next request is then for a report
  of another kind, and everything before its header is skipped: a late reply is never taken for that of another
  request, and no request for a motion goes out while a late reply may come.
- Where no such report is left, a probe asks whether the hub is there (exchange.py).
- HALT waits only for the end of the exchange under way, and for that no longer than HALT_PATIENCE_S.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from ..constants import CHANNELS
from .commands import Effects, Write
from .exchange import Exchange, LateReplies
from .limits import GIVE_WAY_LIMIT_S, QUIET_AFTER_LATE_S, Limits
from .reports import GetCompensation, GetConfig, GetHubInfo, GetStatus
from .requests import (
    SHORT_TIMEOUT_S,
    Garbled,
    Halt,
    HubError,
    Interrupted,
    NextRequest,
    Priority,
    Refused,
    Reply,
    Request,
    Silent,
    quoted,
)
from .source import Source

HALT_PATIENCE_S = 0.05
"""A status exchange takes 17 ms: a HALT does not wait longer than this for the end of another exchange."""

HALT_TIMEOUT_S = 0.5
"""A repeated HALT does no harm, so its answer is not waited for as long as others."""

QUIET_S = 0.1
LONGEST_QUIET_S = 1.0
"""After garbage the link has to be silent for so long; a link that is never silent is tried again after a while."""

SHORTEST_OVERDUE_S = 0.1
OVERDUE_FACTOR = 5
"""A reply is overdue when it takes several times longer than this hub ever needs; another source may then go first."""

SILENT_AFTER_FAILURES = 3
"""Exchanges in a row without an answer, of any source, after which the whole hub counts as silent. One is enough
where late replies leave no safe request at all."""

LOST_AFTER_FAILURES = 5
"""Exchanges without an answer, of any source, after which the port is closed and opened again."""

_REPORT_REQUESTS = (GetStatus, GetConfig, GetCompensation, GetHubInfo)


class Scheduler:
    """The exchanges with one hub while the port is open. `on_status(now)` is called for each status that comes."""

    def __init__(self, limits: Limits, sources: Sequence[Source], effects: Effects,
                 on_status: Callable[[float], None]) -> None:
        self._limits = limits
        self._sources = sources
        self._effects = effects
        self._on_status = on_status
        self._exchange: Exchange | None = None
        self._unanswered = 0             # exchanges in a row without an answer, of any source
        self.last_error: HubError | None = None
        self._bytes_came_at = -math.inf
        self._last_source: Source | None = None   # of the latest exchange
        self._late = LateReplies()
        self._quiet_until = self._quiet_limit = -math.inf
        self._slowest_reply_s: float | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether a request is on its way."""
        return self._exchange is not None

    def opened(self, now: float) -> None:
        """The port is open: replies to earlier requests may come."""
        self._late.add_unknown()
        self._unanswered = 0
        self._bytes_came_at = now

    def machine_slept(self, now: float) -> None:
        """The reply to a request from before the sleep shows how it was before: it is not believed."""
        if self._exchange is not None:
            self._fail(Interrupted(f'the machine slept after {self._exchange.request}'), now)

    def closed(self) -> None:
        """The port is closed, or lost."""
        self._exchange = None

    def is_lost(self, now: float) -> bool:
        """Whether the hub has been silent for so long that the port has to be opened again."""
        return (self._exchange is None and self._unanswered >= LOST_AFTER_FAILURES
                and now - self._bytes_came_at >= LOST_AFTER_FAILURES * self._limits.serial_timeout_s
                and not any(source.expects_silence or source.next_request(now).priority is Priority.FIRST_HALT
                            for source in self._sources))

    def only_polls(self, now: float) -> bool:
        """Whether no caller waits for anything: only regular polls go over the link."""
        return all(source.next_request(now).can_wait for source in self._sources)

    def next_time(self, now: float) -> float:
        """When there is something to do next, if nothing comes before."""
        times = [source.deadline(now) for source in self._sources]
        if self._exchange is None:
            times += [when for when, _, _ in self._waiting_requests(now)]
        else:
            times += [when for when, _ in self._reasons_to_end(self._exchange, now)]
        return min(times)

    def received(self, data: bytes, now: float) -> None:
        """Bytes came. Bytes without a request are dropped."""
        exchange = self._exchange
        if exchange is not None and exchange.is_probe:
            self._fail(Interrupted(f'the answer to {exchange.request} may be a late one'), now)
            exchange = None
        self._late.bytes_came(data, self._quiet_at(now))
        self._late.note_bytes(data)
        if exchange is None:
            if now < self._quiet_until:
                self._quiet_until = min(now + QUIET_S, self._quiet_limit)
            return
        exchange.reply_has_begun = True
        self._bytes_came_at = now
        was_acknowledged = exchange.parser.acknowledged
        try:
            reply = exchange.parser.feed(data)
        except HubError as error:
            self._fail(error, now)
            return
        if reply is not None and isinstance(exchange.request, Halt) and self._late.may_answer(exchange.request):
            self._fail(Interrupted('HALTED may be the answer to the HALT of the other channel'), now)
        elif reply is not None:
            self._succeed(reply, now)
        elif exchange.settled_by_acknowledgement and not was_acknowledged:
            exchange.deadline = min(exchange.deadline, now + (exchange.request.word_optional_s or 0.0))

    def end_overdue(self, now: float) -> None:
        """End the exchange under way if there is a reason to."""
        if self._exchange is None:
            return
        for when, end in self._reasons_to_end(self._exchange, now):
            if now >= when:
                end(now)
                return

    def hurry(self, now: float) -> None:
        """A caller waits for the hub: do not wait longer than SHORT_TIMEOUT_S for the reply that is on its way."""
        if self._exchange is not None:
            self._exchange.deadline = min(self._exchange.deadline, now + SHORT_TIMEOUT_S)

    def start(self, now: float, longest_s: float = math.inf) -> Request | None:
        """Begin the exchange that is due, if the link is free; returns the request that goes out.

        Its reply is waited for until `longest_s` at most.
        """
        if self._exchange is not None:
            return None
        self._late.expire(now)
        for when, source, next_request in self._waiting_requests(now):
            if when > now:
                continue
            request = next_request.request
            timeout_s = min(self._limits.serial_timeout_s, next_request.timeout_s, longest_s)
            is_probe = False
            if isinstance(request, Halt):
                timeout_s = min(timeout_s, max(HALT_TIMEOUT_S, 2 * (self._slowest_reply_s or 0.0)))
            elif self._late:
                safe = self._late.marker(request)
                is_probe = safe is None
                request = safe or GetStatus(request.channel)
            self._exchange = Exchange(source, request, bool(self._late), now, timeout_s, is_probe)
            self._last_source = source
            source.sent(request, now)
            self._effects.append(Write(request.encode()))
            return request
        return None

    def _waiting_requests(self, now: float) -> list[tuple[float, Source, NextRequest]]:
        """The next request of each source and when it may go out, in the order of their priority.

        A poll of a focuser at rest that gives way is left out: the poll that it gives way to is in the list.
        """
        waiting = [(source, source.next_request(now)) for source in self._sources]
        # What is to be read at once waits for a due poll of a moving focuser; not twice in a row, for a slow hub
        motion_first = any(poll.follows_motion and poll.due <= now and source is not self._last_source
                           for source, poll in waiting)
        at_once = now if motion_first else -math.inf
        waiting.sort(key=lambda each: (each[1].priority, at_once if each[1].due == -math.inf else each[1].due,
                                       not each[1].follows_motion))
        return [(max(each.due, self._free_at(each.request)), source, each) for source, each in waiting
                if not self._gives_way(each, [other for _, other in waiting], now)]

    def _free_at(self, request: Request) -> float:
        """From when on a request may go out, after all bytes that came before."""
        if isinstance(request, Halt):
            return -math.inf
        quiet_at = self._late.quiet_at()
        if self._late and self._late.marker(request) is None and quiet_at < math.inf:
            return max(self._quiet_until, quiet_at)
        return self._quiet_until

    def _quiet_at(self, now: float) -> float:
        """Until when late replies may follow bytes that come now."""
        return now + max(QUIET_AFTER_LATE_S, 2 * (self._slowest_reply_s or 0.0))

    def _gives_way(self, poll: NextRequest, others: list[NextRequest], now: float) -> bool:
        """Whether a poll of a focuser at rest lets a moving one go first, whose arrival is expected at any moment."""
        soon = now + 2 * (self._slowest_reply_s or 0.0)
        return (poll.can_wait and poll.due >= now - GIVE_WAY_LIMIT_S
                and any(other.follows_motion and now < other.due <= soon for other in others))

    def _reasons_to_end(self, exchange: Exchange, now: float) -> Iterator[tuple[float, Callable[[float], None]]]:
        """When the exchange under way ends without a reply, and what is done then; the first one counts."""
        yield exchange.deadline, self._time_out
        for source in self._sources:
            waiting = source.next_request(now)
            if waiting.priority is Priority.FIRST_HALT or (
                    waiting.priority is Priority.HALT and not isinstance(exchange.request, Halt)):
                yield waiting.due + HALT_PATIENCE_S, partial(
                    self._fail, Interrupted(f'{exchange.request} was given up for a halt'))
            elif self._may_overtake(source, waiting, exchange.source):
                yield max(waiting.due, self._overdue_at(exchange)), partial(
                    self._fail, Interrupted(f'no answer to {exchange.request} in good time'))

    @staticmethod
    def _may_overtake(source: Source, waiting: NextRequest, other: Source) -> bool:
        """Whether a source need not wait for an exchange of another one that is overdue.

        It has to work itself, and to need more than a regular poll.
        """
        return source is not other and source.failed_polls == 0 and not waiting.can_wait

    def _overdue_at(self, exchange: Exchange) -> float:
        """From when on another source may go first; never, once a part of the reply has come.

        Nor on firmware that does not name the channel in reports: a late reply there leaves no safe request.
        """
        if (self._slowest_reply_s is None or exchange.reply_has_begun or not self._late.channels_are_named
                or not isinstance(exchange.request, _REPORT_REQUESTS)):
            return math.inf
        return exchange.sent_at + max(SHORTEST_OVERDUE_S, OVERDUE_FACTOR * self._slowest_reply_s)

    def _time_out(self, now: float) -> None:
        exchange = self._exchange
        assert exchange is not None
        if exchange.settled_by_acknowledgement:
            self._succeed('', now)
            self._late.add(exchange, self._quiet_at(now))
            return
        skipped = exchange.parser.skipped
        only = f', only {quoted(skipped)}' if skipped not in ('', '!') else ''
        error = Silent(f'no answer to {exchange.request} within {exchange.timeout_s:g} s{only}')
        self._unanswered += 1
        self.last_error = error
        self._fail(error, now)
        if self._unanswered >= SILENT_AFTER_FAILURES or self._late.marker(GetStatus(CHANNELS[0])) is None:
            for source in self._sources:
                source.hub_is_silent()

    def _succeed(self, reply: Reply, now: float) -> None:
        exchange, self._exchange = self._exchange, None
        assert exchange is not None
        self._late.note_header(exchange)
        if self._late.is_settled_by(exchange.request):
            for channel in self._late.clear():
                for source in self._sources:
                    source.reply_is_lost(channel)
        if isinstance(exchange.request, (GetStatus, GetConfig)):
            self._slowest_reply_s = max(now - exchange.sent_at, 0.9 * (self._slowest_reply_s or 0.0))
        if isinstance(exchange.request, GetStatus):
            self._on_status(now)
            self._unanswered = 0
            self._bytes_came_at = now
        for source in self._sources:
            source.answered(exchange.request, reply, exchange.sent_at, now)

    def _fail(self, error: HubError, now: float) -> None:
        exchange, self._exchange = self._exchange, None
        assert exchange is not None
        if not isinstance(error, Refused):
            self._late.add(exchange, self._quiet_at(now))
            if isinstance(error, Garbled):
                self.last_error = error
                self._quiet_until, self._quiet_limit = now + QUIET_S, now + LONGEST_QUIET_S
        for source in self._sources:
            source.failed(exchange.request, error, now, source is exchange.source)

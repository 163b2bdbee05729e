# SPDX-License-Identifier: GPL-3.0-or-later
"""One request and its reply, and the replies that the hub may still owe. Pure: bytes and the time are given to it.

The hub answers in order, and its replies carry no number. A request that was given up may yet be answered, and that
late reply must never be taken for the reply to a later request of the same kind. So while replies are owed, only such
a report is asked for as none is owed of: when it comes, everything before it has come or will never come.
"""

from __future__ import annotations

import math

from .reports import GetCompensation, GetConfig, GetHubInfo, GetStatus
from .requests import MAX_LINE, Halt, ReplyReader, Request

Kind = tuple[type, str]
"""Type and target of a request: one kind of reply."""

LATEST_S = 5.0
"""A reply that has not come so long after it was given up never will, unless the line is still busy with others."""

BUSY_S = 1.0
"""A line on which bytes came so lately may have more of what was asked before."""


class Exchange:
    """A request on its way, and what has come of the reply. Times are in seconds."""

    def __init__(self, request: Request, skip_stale: bool, now: float, timeout_s: float) -> None:
        self.request = request
        self.reader = ReplyReader(request, skip_stale)
        self.sent_at = now
        self.timeout_s = timeout_s
        self.deadline = now + timeout_s
        self.heard = False   # some bytes have come

    @property
    def settled_by_acknowledgement(self) -> bool:
        """Whether the hub has acknowledged a request whose word old firmware omits."""
        return self.reader.acknowledged and self.request.word_optional_s is not None


class Owed:
    """The requests that were given up and may still be answered, in the order in which they went out."""

    def __init__(self) -> None:
        self._kinds: dict[Kind | None, float] = {}   # kind of reply -> when to expect it no more
        self._partial_line = b''
        self._coming: Kind | None = None             # kind of the report whose header was heard last
        self._unnumbered: set[type] = set()          # kinds of reports in which this hub does not name the channel

    def __bool__(self) -> bool:
        return bool(self._kinds)

    def add(self, exchange: Exchange, now: float) -> None:
        """An exchange was given up."""
        self._kinds[_kind(exchange.request)] = now + LATEST_S

    def note_header(self, exchange: Exchange) -> None:
        """A reply came: old firmware does not name the channel in it, and that of the other one looks the same."""
        if exchange.reader.unnumbered:
            self._unnumbered.add(type(exchange.request))

    def add_unknown(self, now: float) -> None:
        """There may be something on the line from before it was ours."""
        self._kinds[None] = now + LATEST_S

    def expire(self, now: float) -> None:
        """Stop waiting for what is too late."""
        if self._kinds:
            self._kinds = {kind: until for kind, until in self._kinds.items() if until > now}

    def put_off(self, now: float) -> None:
        """Bytes came: what is owed may be queueing behind them."""
        if self._kinds:
            self._kinds = {kind: max(until, now + BUSY_S) for kind, until in self._kinds.items()}

    def clear(self) -> None:
        """A reply came that cannot be a late one: nothing before it is owed any more."""
        self._kinds = {}
        self._partial_line, self._coming = b'', None

    def is_settled_by(self, request: Request) -> bool:
        """Whether the reply to this request, asked for while replies were owed, cannot be a late one.

        Reports are only asked for when that is so. HALTED does not say of which channel.
        """
        if isinstance(request, Halt):
            return not any(_kind(Halt(channel)) in self._kinds for channel in (1, 2))
        return isinstance(request, (GetStatus, GetConfig))

    def hear(self, data: bytes) -> None:
        """Bytes came while nothing was asked: a report that is complete is owed no more, nor is what went before it."""
        *lines, partial = (self._partial_line + data).split(b'\n')
        self._partial_line = partial[-MAX_LINE:]
        for line in lines:
            text = line.strip()
            if text in _HEADERS:
                self._coming = _HEADERS[text]
            elif text in _UNNUMBERED:
                self._coming = next((kind for kind in self._kinds if _UNNUMBERED[text] in (kind or ())), None)
            elif text == b'END' and self._coming in self._kinds:
                kinds = list(self._kinds)
                for kind in kinds[:kinds.index(self._coming) + 1]:
                    del self._kinds[kind]

    def free_at(self) -> float:
        """When the first of them expires."""
        return min(self._kinds.values(), default=-math.inf)

    def marker(self, wanted: Request) -> Request | None:
        """The report to ask for in place of `wanted`: itself if possible, else the first of which none is owed."""
        others = [kind(channel) for channel in (wanted.channel, 3 - wanted.channel) for kind in (GetConfig, GetStatus)]
        reports = [wanted] if isinstance(wanted, (GetStatus, GetConfig)) else []
        return next((request for request in reports + others if not self._may_be_owed(request)), None)

    def _may_be_owed(self, request: Request) -> bool:
        if type(request) in self._unnumbered:
            return any(type(request) in (kind or ()) for kind in self._kinds)
        return _kind(request) in self._kinds


def _kind(request: Request) -> Kind:
    return type(request), request.target


_HEADERS = {f'{kind.header}{channel}'.encode(): _kind(kind(channel))
            for kind in (GetStatus, GetConfig, GetCompensation) for channel in (1, 2)}
_UNNUMBERED = {kind.header.encode(): kind for kind in (GetStatus, GetConfig, GetCompensation)}
_HEADERS[GetHubInfo.header.encode()] = _kind(GetHubInfo(1))

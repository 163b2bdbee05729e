# SPDX-License-Identifier: GPL-3.0-or-later
"""One request and its reply, and the late replies that may still come. Pure: bytes and the time are given to it.

The hub answers in order, and its replies carry no number. A request that was given up may be answered later, and that
late reply must never be taken for the reply to a later request of the same kind. So while late replies may come, the
only requests apart from HALT are for reports of which no late reply can come. When such a report arrives, everything
before it has arrived or will never arrive.

While the link is silent, replies may be held up on their way for any time. If a late reply to every report is possible,
a probe goes out: a request whose reply is not believed. Once bytes come, others follow: when
the link has been quiet for a while after that, the report that is owed for longest is safe to request, and it settles
the others.
"""

from __future__ import annotations

import math

from ..constants import CHANNELS
from .reply_parser import MAX_LINE, ReplyParser
from .reports import GetCompensation, GetConfig, GetHubInfo, GetStatus
from .requests import Halt, Request
from .source import Source

Kind = tuple[type, str]
"""Type and target of a request: one kind of reply."""



class Exchange:
    """A request of one source on its way, and the reply as far as it has come. Times are in seconds."""

    def __init__(self, source: Source, request: Request, skip_stale: bool, now: float, timeout_s: float,
                 is_probe: bool = False) -> None:
        """`is_probe`: its reply cannot be told from a late one, and is not believed."""
        self.source = source
        self.request = request
        self.is_probe = is_probe
        self.parser = ReplyParser(request, skip_stale)
        self.sent_at = now
        self.timeout_s = timeout_s
        self.deadline = now + timeout_s
        self.reply_has_begun = False   # some bytes have come

    @property
    def settled_by_acknowledgement(self) -> bool:
        """Whether the hub has acknowledged a request whose word old firmware omits."""
        return self.parser.acknowledged and self.request.word_optional_s is not None


class LateReplies:
    """The replies that may still come to requests that were given up, in the order in which those went out."""

    def __init__(self) -> None:
        self._kinds: dict[Kind | None, float] = {}   # kind of reply -> until when it may come; inf while it is silent
        self._twice = False                          # two replies of one kind may come
        self._partial_line = b''
        self._coming: Kind | None = None             # kind of the report whose header came last
        self._unnumbered: set[type] = set()          # kinds of reports in which this hub does not name the channel

    def __bool__(self) -> bool:
        return bool(self._kinds)

    def add(self, exchange: Exchange, quiet_at: float) -> None:
        """An exchange was given up. If bytes of its reply have come, the rest comes before `quiet_at`.

        HALTED that may be late is followed by nothing that is not waited for anyway.
        """
        if isinstance(exchange.request, Halt) and self._kinds:
            quiet_at = min(quiet_at, self.quiet_at())
        kind = _kind(exchange.request)
        self._twice |= self._kinds.pop(kind, None) is not None   # and it becomes the latest one
        self._kinds[kind] = quiet_at if exchange.reply_has_begun else math.inf

    def note_header(self, exchange: Exchange) -> None:
        """A reply came: old firmware does not name the channel in it, so those of both channels are alike."""
        if exchange.parser.unnumbered:
            self._unnumbered.add(type(exchange.request))

    @property
    def channels_are_named(self) -> bool:
        """Whether the reports of this hub name their channel, as far as is known."""
        return not self._unnumbered

    def add_unknown(self) -> None:
        """Replies to any requests from before the port was opened may come."""
        self._kinds[None] = math.inf

    def expire(self, now: float) -> None:
        """When the link has been quiet: do not expect those any more that are owed for longest.

        Just so many that a report is safe to request: it settles the others, which may still be on their way.
        """
        if self._kinds and all(until <= now for until in self._kinds.values()):
            while self.marker(GetStatus(CHANNELS[0])) is None:
                del self._kinds[next(iter(self._kinds))]
            self._kinds = dict.fromkeys(self._kinds, math.inf)

    def bytes_came(self, data: bytes, quiet_at: float) -> None:
        """Bytes came: late replies may follow them until `quiet_at`.

        Answers to HALT, which is repeated meanwhile, do not keep the link busy.
        """
        only_halted = set(data) <= set(b'!HALTED \r\n')
        self._kinds = {kind: min(until, quiet_at) if only_halted else quiet_at for kind, until in self._kinds.items()}

    def clear(self) -> set[int]:
        """A reply came that cannot be a late one: no earlier reply can come any more.

        Returns the channels whose replies are lost by that.
        """
        lost = {int(kind[1]) for kind in self._kinds if kind is not None and kind[1].isdigit()}
        self._kinds, self._twice = {}, False
        self._partial_line, self._coming = b'', None
        return lost

    def may_answer(self, halt: Halt) -> bool:
        """Whether HALTED, which does not name its channel, may be the late answer to a HALT of the other channel."""
        return None in self._kinds or any(_kind(Halt(n)) in self._kinds for n in CHANNELS if n != halt.channel)

    def is_settled_by(self, request: Request) -> bool:
        """Whether the reply to this request proves that no earlier reply can come any more.

        A status or settings report does: `marker` requests it only if no late one of its kind is possible. HALTED does
        not name its channel: it proves that only if no HALT of either channel was given up, and if no reply from before
        the port was opened is possible.
        """
        if isinstance(request, Halt):
            return None not in self._kinds and not any(_kind(Halt(channel)) in self._kinds for channel in CHANNELS)
        return isinstance(request, (GetStatus, GetConfig))

    def note_bytes(self, data: bytes) -> None:
        """Bytes came: a report that is complete in them will not come again, nor will anything before it."""
        *lines, partial = (self._partial_line + data).split(b'\n')
        self._partial_line = partial[-MAX_LINE:]
        for line in lines:
            text = line.strip()
            if text in _HEADERS:
                self._coming = _HEADERS[text]
            elif text in _UNNUMBERED:
                self._coming = next((kind for kind in self._kinds if _UNNUMBERED[text] in (kind or ())), None)
            elif text == b'END' and self._coming in self._kinds and not self._twice:
                kinds = list(self._kinds)
                for kind in kinds[:kinds.index(self._coming) + 1]:
                    del self._kinds[kind]

    def quiet_at(self) -> float:
        """When none of them can come any more; math.inf while the link is silent."""
        return max(self._kinds.values(), default=-math.inf)

    def marker(self, wanted: Request) -> Request | None:
        """The report to request in place of `wanted`: itself if it is safe, else the first safe one, else None."""
        kinds = (GetConfig, GetStatus)   # of the other channel the status first: it may be due
        others = [kind(channel) for channel in sorted(CHANNELS, key=lambda n: n != wanted.channel)
                  for kind in (kinds if channel == wanted.channel else reversed(kinds))]
        reports = [wanted] if isinstance(wanted, (GetStatus, GetConfig)) else []
        return next((request for request in reports + others if not self._may_come(request)), None)

    def _may_come(self, request: Request) -> bool:
        if type(request) in self._unnumbered:
            return any(type(request) in (kind or ()) for kind in self._kinds)
        return _kind(request) in self._kinds


def _kind(request: Request) -> Kind:
    return type(request), request.target


_HEADERS = {f'{kind.header}{channel}'.encode(): _kind(kind(channel))
            for kind in (GetStatus, GetConfig, GetCompensation) for channel in CHANNELS}
_UNNUMBERED = {kind.header.encode(): kind for kind in (GetStatus, GetConfig, GetCompensation)}
_HEADERS[GetHubInfo.header.encode()] = _kind(GetHubInfo(1))

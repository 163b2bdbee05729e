# SPDX-License-Identifier: GPL-3.0-or-later
"""The requests to the hub: frozen values that can write themselves and know how their replies begin.

All statements about bytes come from docs/protocol.md, section 5.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar, NamedTuple

from ..text import shortened

DIGITS = 6
FEWER_DIGITS = 5
"""Digits of the target of a move. Pre-release hubs take five, and refuse six as an unacceptable parameter. The headers
of their reports do not name the channel (docs/protocol.md, 14)."""

MAX_COUNTS = 10 ** DIGITS - 1
"""Largest position that a request can name."""

UNACCEPTABLE_PARAMETER = 1
"""Error number of that refusal."""


class HubError(Exception):
    """An exchange did not end with the reply to its request. The text is one sentence for an operator."""


class Refused(HubError):
    """The hub received a request and declined it with an `ER=` line.

    Attributes:
        number: Optec's error number. Numbers above 4 differ between products: decide nothing from them.
    """

    def __init__(self, request: Request, number: int, text: str) -> None:
        super().__init__(f'the hub refused {request}: ER={number} {text}'.rstrip())
        self.number = number


class Garbled(HubError):
    """The bytes that came are no reply to this request. The link has to be silent before the next request."""


class Silent(HubError):
    """No reply, or no complete one, came within the time allowed."""


class Interrupted(Silent):
    """The exchange was given up for a more urgent one before its time was over: this proves nothing."""


HEADER_FIELD = ''
"""The key by which the fields of a report have its header."""

Reply = object
"""The result of an exchange: a report (reports.py), or the word that the hub answered with."""


@dataclass(frozen=True)
class Request:
    """One request to a channel.

    A request knows its reply: `header` is the first word of a report block, or `words` are the words that may follow
    the acknowledgement.
    """

    channel: int   # 1 or 2, as printed on the hub

    header: ClassVar[str] = ''
    words: ClassVar[tuple[str, ...]] = ()
    word_optional_s: ClassVar[float | None] = None

    @property
    def text(self) -> str:
        """Command word and arguments, which follow the target."""
        raise NotImplementedError

    @property
    def target(self) -> str:
        """The addressee, which follows the `F`: the channel, or H for the hub."""
        return str(self.channel)

    def __str__(self) -> str:
        return f'<F{self.target}{self.text}>'

    def encode(self) -> bytes:
        """The bytes to send. They need no terminator: the closing bracket ends the request."""
        return str(self).encode('ascii')

    def read(self, fields: dict[str, str]) -> Reply:
        """Turn the fields of a report block into a value; raises Garbled for one that cannot be."""
        raise NotImplementedError


def as_reason(error: HubError, request: Request) -> HubError:
    """An error as an operator is told it: that an exchange gave way to another one explains nothing."""
    return Silent(f'no answer to {request}') if isinstance(error, Interrupted) else error


@dataclass(frozen=True)
class MoveTo(Request):
    """Start a move; the hub answers `M` when the motor is about to run. (One old driver expects `H`.)"""

    counts: int   # 0 to Max Pos
    digits: int = DIGITS

    words: ClassVar[tuple[str, ...]] = ('M', 'H')

    @property
    def text(self) -> str:
        return f'MA{_padded(self.counts, self.digits)}'


class Halt(Request):
    """Stop at once; accepted in every state. It also switches the hub's temperature compensation off."""

    words: ClassVar[tuple[str, ...]] = ('HALTED',)

    @property
    def text(self) -> str:
        return 'HALT'


@dataclass(frozen=True)
class Sync(Request):
    """Declare the present position to be `counts`, without motion; the hub answers `SET`.

    Firmware from before about 2019 sends the acknowledgement alone. `word_optional_s` is how long to wait for the word
    before the acknowledgement is taken as the reply. The next status shows whether the request took effect.
    """

    counts: int   # 0 to Max Pos

    words: ClassVar[tuple[str, ...]] = ('SET',)
    word_optional_s: ClassVar[float | None] = 1.0

    @property
    def text(self) -> str:
        return f'SCCP{_padded(self.counts, DIGITS)}'


class SeekHome(Request):
    """Start homing; the hub answers `H`. Only for types with a home switch (docs/protocol.md, 7.3)."""

    words: ClassVar[tuple[str, ...]] = ('H',)

    @property
    def text(self) -> str:
        return 'HOME'


@dataclass(frozen=True)
class SetSetting(Request):
    """Change a setting; the hub answers `SET`. The next report shows the value that the hub has taken."""

    setter: str             # command word and argument, such as SCBE1 (docs/protocol.md, 5.1 and 5.2)
    of_hub: bool = False    # a setting of the whole hub; `channel` is then that of the command
    restarts: bool = False  # the channel restarts, and perhaps the whole hub (docs/protocol.md, 8.3)

    words: ClassVar[tuple[str, ...]] = ('SET',)
    word_optional_s: ClassVar[float | None] = 1.0

    @property
    def target(self) -> str:
        return 'H' if self.of_hub else str(self.channel)

    @property
    def text(self) -> str:
        return self.setter


class Priority(IntEnum):
    """Which of the requests that are due goes first: the lowest number."""

    FIRST_HALT = 0    # no HALT has gone out yet for the latest stop: does not even wait for a HALT of the other channel
    HALT = 1          # a HALT that is repeated
    SAFETY_POLL = 2   # a poll that shows whether a motor has to be halted, or halted again
    CHANGE = 3        # sets something in motion, or changes something
    POLL = 4
    QUERY = 5         # only gets information


SHORT_TIMEOUT_S = 2.0
"""How long a reply is waited for at most while a caller waits who gives up after 5 s: so one bad exchange does not fail
a command, whatever the serial timeout is."""


class NextRequest(NamedTuple):
    """The request that a source of requests needs next."""

    due: float                         # when it is to go out, in seconds; math.inf for never
    request: Request
    priority: Priority = Priority.POLL
    can_wait: bool = False             # only a regular poll of a focuser at rest, or nothing at all
    follows_motion: bool = False       # a poll of a moving focuser, placed where its arrival is expected
    timeout_s: float = math.inf        # how long its reply is waited for, if that is less than the serial timeout


def never(channel: int) -> NextRequest:
    """No request at all. NextRequest needs one, so it holds a HALT, which harms least."""
    return NextRequest(math.inf, Halt(channel), Priority.QUERY, can_wait=True)


def _padded(counts: int, digits: int) -> str:
    if not 0 <= counts < 10 ** digits:
        raise ValueError(f'a position of {counts} counts cannot be sent: 0 to {10 ** digits - 1} can')
    return f'{counts:0{digits}d}'


def quoted(text: str) -> str:
    """A text from the hub as an error message quotes it. What is not printable has been escaped already."""
    return f"'{shortened(text)}'"

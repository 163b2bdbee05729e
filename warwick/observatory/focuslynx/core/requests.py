# SPDX-License-Identifier: GPL-3.0-or-later
"""The wire language of the hub: requests that can write themselves, and replies read from bytes in any pieces.

Nothing here waits or keeps time. Every statement about bytes is taken from docs/protocol.md.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar, Union

MAX_LINE = 256
"""Longest line that can belong to a reply. The hub's own stay below 64 bytes."""

MAX_FIELDS = 64
"""Most fields that a report block can have. The longest known has 14."""

DIGITS = 6
FEWER_DIGITS = 5
"""Of the target of a move. Pre-release hubs take five, and refuse six as an unacceptable parameter."""

MAX_COUNTS = 10 ** DIGITS - 1
"""Largest position that a request can name."""

UNACCEPTABLE_PARAMETER = 1
"""Number of that refusal."""


class HubError(Exception):
    """An exchange that did not end with the reply that was asked for. The text is one sentence for an operator."""


class Refused(HubError):
    """The hub understood that something was asked and declined: an `ER=` line.

    Attributes:
        number: Optec's error number. Numbers above 4 differ between products: decide nothing from them.
    """

    def __init__(self, request: Request, number: int, text: str) -> None:
        super().__init__(f'the hub refused {request}: ER={number} {text}'.rstrip())
        self.number = number


class Garbled(HubError):
    """What came is not a reply to this request. The line has to fall silent before the next one."""


class Silent(HubError):
    """No reply, or no complete one, within the time allowed."""


class Report:
    """A report block of the hub as a value: where a focuser is, how it is set, what hub this is (reports.py)."""


Reply = Union[Report, str]
"""What an exchange yields: a parsed report, or the word that the hub answered with."""


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
        """Command word and arguments, as they stand behind the target."""
        raise NotImplementedError

    @property
    def target(self) -> str:
        """Whom the request is for, as it stands behind the `F`: the channel, or H for the hub."""
        return str(self.channel)

    def __str__(self) -> str:
        return f'<F{self.target}{self.text}>'

    def encode(self) -> bytes:
        """The bytes to send. They need no terminator: the closing bracket ends the request."""
        return str(self).encode('ascii')

    def read(self, fields: dict[str, str]) -> Reply:
        """Turn the fields of a report block into a value; raises Garbled for one that cannot be."""
        raise NotImplementedError


@dataclass(frozen=True)
class MoveTo(Request):
    """Start moving; the hub answers `M` once the motor is about to run. (`H` is what one old driver expects.)"""

    counts: int   # 0 to Max Pos
    digits: int = DIGITS

    words: ClassVar[tuple[str, ...]] = ('M', 'H')

    @property
    def text(self) -> str:
        return f'MA{_padded(self.counts, self.digits)}'


@dataclass(frozen=True)
class Halt(Request):
    """Stop at once; accepted in every state. It also switches the hub's temperature compensation off."""

    words: ClassVar[tuple[str, ...]] = ('HALTED',)

    @property
    def text(self) -> str:
        return 'HALT'


@dataclass(frozen=True)
class Sync(Request):
    """Declare the present position to be `counts`, without motion; the hub answers `SET`.

    Firmware from before about 2019 sends the acknowledgement alone, hence `word_optional_s`: how long to wait for the
    word before the acknowledgement has to do. The next status shows whether it took effect.
    """

    counts: int   # 0 to Max Pos

    words: ClassVar[tuple[str, ...]] = ('SET',)
    word_optional_s: ClassVar[float | None] = 1.0

    @property
    def text(self) -> str:
        return f'SCCP{_padded(self.counts, DIGITS)}'


@dataclass(frozen=True)
class SeekHome(Request):
    """Start homing; the hub answers `H`. Only for types with a home switch (docs/protocol.md, 7.3)."""

    words: ClassVar[tuple[str, ...]] = ('H',)

    @property
    def text(self) -> str:
        return 'HOME'


@dataclass(frozen=True)
class SetSetting(Request):
    """Change a setting; the hub answers `SET`. What it has made of it, the next report shows."""

    setter: str             # command word and argument, such as SCBE1 (docs/protocol.md, 5.1 and 5.2)
    of_hub: bool = False    # a setting of the hub, not of the channel whose name it goes by

    words: ClassVar[tuple[str, ...]] = ('SET',)
    word_optional_s: ClassVar[float | None] = 1.0

    @property
    def target(self) -> str:
        return 'H' if self.of_hub else str(self.channel)

    @property
    def text(self) -> str:
        return self.setter


def no_answer(request: Request, waited_s: float, instead: str = '') -> Silent:
    """The error for a request that was waited for in vain; `instead` is a line that came in place of the reply."""
    other = f', only {quoted(instead)}' if instead and instead != '!' else ''
    return Silent(f'no answer to {request} within {waited_s:g} s{other}')


class ReplyReader:
    """Assembles the reply to one request from bytes in any pieces.

    With `skip_stale` the line may still carry replies to requests that were given up: everything up to the header or
    word of this request is passed over. That is safe because the hub answers in order.
    """

    def __init__(self, request: Request, skip_stale: bool = False) -> None:
        self._request = request
        self._skip_stale = skip_stale
        self._buffer = b''
        self._fields: dict[str, str] | None = None
        self.passed_over = ''       # the last line that was taken for stale
        self.unnumbered = False     # the header did not name the channel
        self.acknowledged = False   # `!` was read: the hub has the request, whatever comes of it

    def feed(self, data: bytes) -> Reply | None:
        """Take more bytes; returns the reply once it is complete, else None. What follows a reply is ignored.

        Raises Refused when the hub declines, and Garbled when the bytes cannot belong to the reply; neither leaves
        anything to wait for.
        """
        *lines, self._buffer = (self._buffer + data).split(b'\n')
        for line in lines:
            self._check_length(line)
            text = _shown(line)
            if text:
                reply = self._line(text)
                if reply is not None:
                    return reply
        self._check_length(self._buffer)
        return None

    def _check_length(self, line: bytes) -> None:
        if len(line) > MAX_LINE:
            raise Garbled(f'expected a reply to {self._request}, got a line of more than {MAX_LINE} bytes')

    def _line(self, text: str) -> Reply | None:
        if self._fields is not None:
            return self._field(text, self._fields)
        if self._skip_stale and not self._is_payload(text):
            self.passed_over = text
            return None
        error = re.fullmatch(r'ER=(\d{1,4})\s*(.*)', text)
        if error:
            raise Refused(self._request, int(error.group(1)), shortened(error.group(2)))
        if not self.acknowledged and not self._skip_stale:
            if text != '!':
                raise Garbled(f"expected '!' after {self._request}, got {quoted(text)}")
            self.acknowledged = True
            return None
        if not self._is_payload(text):
            request = self._request
            expected = request.words[0] if request.words else f'{request.header}{request.channel}'
            raise Garbled(f'expected {expected!r} after {self._request}, got {quoted(text)}')
        self.acknowledged = True
        if self._request.words:
            return text.split()[0]
        self._fields = {}
        self.unnumbered = text == self._request.header
        return None

    def _is_payload(self, text: str) -> bool:
        if self._request.words:
            return text.split()[0] in self._request.words
        return text in (self._request.header, f'{self._request.header}{self._request.channel}')

    def _field(self, text: str, fields: dict[str, str]) -> Reply | None:
        if text == 'END':
            return self._request.read(fields)
        key, equals, value = text.partition('=')
        key, value = key.rstrip(), value.lstrip()
        if key in _BEGINNINGS:
            raise Garbled(f'the reply to {self._request} was cut off by {quoted(text)}')
        if not equals:
            return None
        if key in fields:
            raise Garbled(f'the reply to {self._request} has {quoted(key)} twice')
        if len(fields) == MAX_FIELDS:
            raise Garbled(f'the reply to {self._request} does not end')
        fields[key] = value
        return None


# What the first or second line of a reply can be, and no field: another reply has begun.
_BEGINNINGS = frozenset(['!', 'ER', 'HUB INFO', *(f'{header}{n}' for header in ('STATUS', 'CONFIG', 'TEMP COMP')
                                                  for n in ('', 1, 2))])


def _shown(line: bytes) -> str:
    """A line as text that can be put into a log or on a terminal: what is not printable ASCII becomes `\\xNN`."""
    text = line.strip().decode('ascii', 'backslashreplace')
    return text if text.isprintable() else re.sub(r'[^ -~]', lambda found: f'\\x{ord(found[0]):02x}', text).strip()


def _padded(counts: int, digits: int) -> str:
    if not 0 <= counts < 10 ** digits:
        raise ValueError(f'a position of {counts} counts cannot be sent: 0 to {10 ** digits - 1} can')
    return f'{counts:0{digits}d}'


def quoted(text: str) -> str:
    return repr(shortened(text))


def shortened(text: str) -> str:
    return text if len(text) <= 40 else text[:37] + '...'

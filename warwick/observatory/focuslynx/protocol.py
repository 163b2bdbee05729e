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

MAX_COUNTS = 999_999
"""Largest position that the six digits of a request can name."""


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


@dataclass(frozen=True)
class Status:
    """One report of where a focuser is and what it does (docs/protocol.md, GETSTATUS)."""

    counts: int                      # encoder position, 0 to Max Pos
    target_counts: int               # where the hub believes it is going, or last went
    moving: bool                     # in motion for whatever reason, homing included
    temperature_c: float | None   # None without a probe, or with one that reads nonsense
    probe_present: bool              # False for `NP`: no probe, and so for us no focuser


@dataclass(frozen=True)
class Configuration:
    """The settings of a channel that a driver has to know (docs/protocol.md, GETCONFIG)."""

    nickname: str
    device_type: str                 # two letters; ZZ for none
    max_counts: int                  # Max Pos
    interfering: tuple[str, ...]     # settings, quoted as the hub shows them, by which it moves the focuser by itself


Reply = Union[Status, Configuration, str]
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

    def __str__(self) -> str:
        return f'<F{self.channel}{self.text}>'

    def encode(self) -> bytes:
        """The bytes to send. They need no terminator: the closing bracket ends the request."""
        return str(self).encode('ascii')

    def read(self, fields: dict[str, str]) -> Reply:
        """Turn the fields of a report block into a value; raises Garbled for one that cannot be."""
        raise NotImplementedError


@dataclass(frozen=True)
class GetStatus(Request):
    """Ask where the focuser is; the hub answers with the block `STATUSx`."""

    header: ClassVar[str] = 'STATUS'

    @property
    def text(self) -> str:
        return 'GETSTATUS'

    def read(self, fields: dict[str, str]) -> Status:
        temperature_c, probe_present = _temperature(_required(fields, 'Temp(C)'))
        return Status(
            counts=_number(fields, 'Curr Pos'),
            target_counts=_number(fields, 'Targ Pos'),
            moving=_flag(fields, 'IsMoving') or ('IsHoming' in fields and _flag(fields, 'IsHoming')),
            temperature_c=temperature_c,
            probe_present=probe_present)


@dataclass(frozen=True)
class GetConfig(Request):
    """Ask for the channel's settings; the hub answers with the block `CONFIGx`."""

    header: ClassVar[str] = 'CONFIG'

    @property
    def text(self) -> str:
        return 'GETCONFIG'

    def read(self, fields: dict[str, str]) -> Configuration:
        interfering = tuple(
            f'{what} ({key} = 1)'
            for key, what in (('TComp ON', 'temperature compensation is on'),
                              ('TC@Start', 'temperature compensation at power-up is on'),
                              ('BLC En', 'backlash compensation is on'))
            if _flag(fields, key))
        return Configuration(
            nickname=fields.get('Nickname', ''),
            device_type=fields.get('Dev Typ', fields.get('Dev Type', '')),
            max_counts=_number(fields, 'Max Pos'),
            interfering=interfering)


@dataclass(frozen=True)
class MoveTo(Request):
    """Start moving; the hub answers `M` once the motor is about to run. (`H` is what one old driver expects.)"""

    counts: int   # 0 to Max Pos

    words: ClassVar[tuple[str, ...]] = ('M', 'H')

    @property
    def text(self) -> str:
        return f'MA{_six_digits(self.counts)}'


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
        return f'SCCP{_six_digits(self.counts)}'


def no_answer(request: Request, waited_s: float, instead: str = '') -> Silent:
    """The error for a request that was waited for in vain; `instead` is a line that came in place of the reply."""
    other = f', only {_quoted(instead)}' if instead and instead != '!' else ''
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
            raise Refused(self._request, int(error.group(1)), _shortened(error.group(2)))
        if not self.acknowledged and not self._skip_stale:
            if text != '!':
                raise Garbled(f"expected '!' after {self._request}, got {_quoted(text)}")
            self.acknowledged = True
            return None
        if not self._is_payload(text):
            request = self._request
            expected = request.words[0] if request.words else f'{request.header}{request.channel}'
            raise Garbled(f'expected {expected!r} after {self._request}, got {_quoted(text)}')
        self.acknowledged = True
        if self._request.words:
            return text.split()[0]
        self._fields = {}
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
            raise Garbled(f'the reply to {self._request} was cut off by {_quoted(text)}')
        if not equals:
            return None
        if key in fields:
            raise Garbled(f'the reply to {self._request} has {_quoted(key)} twice')
        if len(fields) == MAX_FIELDS:
            raise Garbled(f'the reply to {self._request} does not end')
        fields[key] = value
        return None


# What the first or second line of a reply can be, and no field: another reply has begun.
_BEGINNINGS = frozenset(['!', 'ER', *(f'{header}{n}' for header in ('STATUS', 'CONFIG') for n in ('', 1, 2))])


def _shown(line: bytes) -> str:
    """A line as text that can be put into a log or on a terminal: what is not printable ASCII becomes `\\xNN`."""
    text = line.strip().decode('ascii', 'backslashreplace')
    return text if text.isprintable() else re.sub(r'[^ -~]', lambda found: f'\\x{ord(found[0]):02x}', text).strip()


def _six_digits(counts: int) -> str:
    if not 0 <= counts <= MAX_COUNTS:
        raise ValueError(f'a position of {counts} counts cannot be sent: 0 to {MAX_COUNTS} can')
    return f'{counts:06d}'


def _quoted(text: str) -> str:
    return repr(_shortened(text))


def _shortened(text: str) -> str:
    return text if len(text) <= 40 else text[:37] + '...'


def _required(fields: dict[str, str], key: str) -> str:
    if key not in fields:
        raise Garbled(f'the report lacks {key!r}')
    return fields[key]


def _number(fields: dict[str, str], key: str) -> int:
    value = _required(fields, key)
    if not re.fullmatch(r'[0-9]{1,8}', value):
        raise Garbled(f'{key!r} should be a number of counts, got {_quoted(value)}')
    return int(value)


def _flag(fields: dict[str, str], key: str) -> bool:
    value = _required(fields, key)
    if value not in ('0', '1'):
        raise Garbled(f'{key!r} should be 0 or 1, got {_quoted(value)}')
    return value == '1'


def _temperature(value: str) -> tuple[float | None, bool]:
    if value == 'NP':
        return None, False
    if not re.fullmatch(r'[+-]?[0-9]{1,3}\.[0-9]{1,6}', value):
        return None, True
    temperature_c = float(value)
    # A broken probe can also read as a well-formed number; no mountain with a telescope on it is this cold or this hot.
    return (temperature_c if -60 <= temperature_c <= 80 else None), True

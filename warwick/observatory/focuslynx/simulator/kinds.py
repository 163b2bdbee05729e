# SPDX-License-Identifier: GPL-3.0-or-later
"""The kinds of values of the settings: how a text is read, which values are accepted, and the words for them."""
from __future__ import annotations

import re
from dataclasses import dataclass
from re import Pattern

__all__ = ['Choice', 'Flag', 'Kind', 'Number', 'Probe', 'ProbeKind', 'Text', 'Whole', 'WholeList']


class Kind:
    """One kind of value. `accepts` says in words which values those are, for help and error texts."""

    accepts = ''

    def parse(self, text: str) -> object:
        """Return the value that `text` means. Raises ValueError, whose text is `accepts`."""
        raise NotImplementedError

    def check(self, value: object) -> object:
        """Convert a value from JSON to that of the model. Raises ValueError if it is not of this kind."""
        if not isinstance(value, str):
            raise self.refuse()
        return self.parse(value)

    def refuse(self) -> ValueError:
        return ValueError(self.accepts)


@dataclass(frozen=True)
class Number(Kind):
    """A decimal fraction from `low` to `high`, both inclusive."""

    low: float
    high: float
    unit: str = ''

    @property
    def accepts(self) -> str:  # type: ignore[override]
        return f'a number from {self.low:g} to {self.high:g} {self.unit}'.strip()

    def parse(self, text: str) -> float:
        if not re.fullmatch(r'[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)', text):
            raise self.refuse()
        return self.check(float(text))

    def check(self, value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not self.low <= value <= self.high:
            raise self.refuse()
        return float(value)


@dataclass(frozen=True)
class Whole(Kind):
    """A whole number from `low` to `high`, both inclusive."""

    low: int
    high: int
    unit: str = ''

    @property
    def accepts(self) -> str:  # type: ignore[override]
        return f'a whole number from {self.low} to {self.high} {self.unit}'.strip()

    def parse(self, text: str) -> int:
        if not re.fullmatch(r'[+-]?[0-9]{1,9}', text):
            raise self.refuse()
        return self.check(int(text))

    def check(self, value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not self.low <= value <= self.high:
            raise self.refuse()
        return value


@dataclass(frozen=True)
class WholeList(Kind):
    """`count` whole numbers, separated by commas; held as a tuple."""

    count: int
    low: int
    high: int

    @property
    def accepts(self) -> str:  # type: ignore[override]
        return f'{self.count} whole numbers from {self.low} to {self.high}, separated by commas'

    def parse(self, text: str) -> tuple[int, ...]:
        if not re.fullmatch(r' *[+-]?[0-9]{1,9} *(, *[+-]?[0-9]{1,9} *)*', text):
            raise self.refuse()
        return self.check([int(part) for part in text.split(',')])

    def check(self, value: object) -> tuple[int, ...]:
        if not isinstance(value, (list, tuple)) or len(value) != self.count:
            raise self.refuse()
        one = Whole(self.low, self.high)
        try:
            return tuple(one.check(item) for item in value)
        except ValueError:
            raise self.refuse() from None


class Flag(Kind):
    """On or off."""

    accepts = '1 or 0 (or on, off, true, false, yes, no)'

    def parse(self, text: str) -> bool:
        word = text.lower()
        if word in ('1', 'on', 'true', 'yes'):
            return True
        if word in ('0', 'off', 'false', 'no'):
            return False
        raise self.refuse()

    def check(self, value: object) -> bool:
        if not isinstance(value, bool):
            raise self.refuse()
        return value


@dataclass(frozen=True)
class Choice(Kind):
    """One of a few words."""

    words: tuple[str, ...]

    @property
    def accepts(self) -> str:  # type: ignore[override]
        return ' or '.join(self.words) if len(self.words) < 4 else 'one of ' + ' '.join(self.words)

    def parse(self, text: str) -> str:
        if text not in self.words:
            raise self.refuse()
        return text


@dataclass(frozen=True)
class Text(Kind):
    """A text that matches a pattern as a whole."""

    pattern: Pattern[str]
    accepts: str = ''

    def parse(self, text: str) -> str:
        if not self.pattern.fullmatch(text):
            raise self.refuse()
        return text


@dataclass(frozen=True)
class Probe:
    """What the temperature probe gives: degrees C, the raw text of a defective probe, or nothing."""

    celsius: float | None = None
    raw: str | None = None

    @property
    def present(self) -> bool:
        return self.celsius is not None or self.raw is not None

    def render(self) -> str:
        """The text of `Temp(C)`: sign, two digits, point, one digit; `NP` without a probe.

        The tens digit is computed as in the hub, whatever the number: -161.6 becomes `-@1.6`.
        """
        if self.raw is not None:
            return self.raw
        if self.celsius is None:
            return 'NP'
        tenths = round(self.celsius * 10)
        tens, rest = divmod(abs(tenths), 100)
        return f'{"-" if tenths < 0 else "+"}{chr(ord("0") + tens)}{rest // 10}.{rest % 10}'

    def __str__(self) -> str:
        if self.celsius is None:
            return 'NP' if self.raw is None else self.raw
        return f'{self.celsius:+g}'


class ProbeKind(Kind):
    """`NP`, a temperature, or any other text, which the hub then reports unchanged."""

    accepts = 'NP, a temperature from -700 to 700 degrees C, or a raw text of 1 to 12 printable characters'

    def parse(self, text: str) -> Probe:
        if text == 'NP':
            return Probe()
        try:
            return Probe(celsius=Number(-700, 700).parse(text))
        except ValueError:
            if re.fullmatch(r'[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)', text) or not re.fullmatch(r'[!-~]{1,12}', text):
                raise self.refuse() from None
            return Probe(raw=text)

# SPDX-License-Identifier: GPL-3.0-or-later
"""The reply to one request, read from bytes in pieces of any size. Sources: docs/protocol.md, 3.3, 4 and 6."""

from __future__ import annotations

import re

from ..text import shortened
from .requests import HEADER_FIELD, Garbled, Refused, Reply, Request, quoted

MAX_LINE = 256
"""Longest line that can belong to a reply, in bytes. The hub's own lines are shorter than 64 bytes."""

MAX_FIELDS = 64
"""Most fields that a report block can have. The longest known block has 14."""


class ReplyParser:
    """Assembles the reply to one request from bytes in pieces of any size.

    With `skip_stale`, replies to requests that were given up may still come first: everything before the header or word
    of this request is skipped. That is safe because the hub answers in order (docs/protocol.md, 3.3).
    """

    def __init__(self, request: Request, skip_stale: bool = False) -> None:
        self._request = request
        self._skip_stale = skip_stale
        self._buffer = b''
        self._fields: dict[str, str] | None = None
        self.skipped = ''           # the last line that was taken for a late reply
        self.unnumbered = False     # the header did not name the channel
        self.acknowledged = False   # `!` was read: the hub has the request, whatever it makes of it

    def feed(self, data: bytes) -> Reply | None:
        """Take more bytes; returns the reply once it is complete, else None. Bytes after the reply are ignored.

        Raises Refused when the hub declines, and Garbled when the bytes cannot belong to the reply. Nothing more of
        the reply can come after either.
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
            self.skipped = text
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
        self._fields = {HEADER_FIELD: text}
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
        if key in _FIRST_LINES:
            raise Garbled(f'the reply to {self._request} was cut off by {quoted(text)}')
        if not equals:
            return None
        if key in fields:
            raise Garbled(f'the reply to {self._request} has {quoted(key)} twice')
        if len(fields) == MAX_FIELDS:
            raise Garbled(f'the reply to {self._request} does not end')
        fields[key] = value
        return None


# The first or second line of a reply. In place of a field, it means that another reply has begun.
_FIRST_LINES = frozenset(['!', 'ER', 'HUB INFO', *(f'{header}{n}' for header in ('STATUS', 'CONFIG', 'TEMP COMP')
                                                  for n in ('', 1, 2))])


def _shown(line: bytes) -> str:
    """A line as text for a log or a terminal: what is not printable ASCII becomes `\\xNN`."""
    text = line.strip().decode('ascii', 'backslashreplace')
    return text if text.isprintable() else re.sub(r'[^ -~]', lambda found: f'\\x{ord(found[0]):02x}', text).strip()

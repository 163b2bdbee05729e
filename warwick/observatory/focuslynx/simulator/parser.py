# SPDX-License-Identifier: GPL-3.0-or-later
"""The byte parser of the hub (docs/protocol.md, framing and errors)."""
from __future__ import annotations

import re
from typing import Callable

from .error_replies import TOO_LONG, UNKNOWN_COMMAND

__all__ = ['Parser']

_MAX_TEXT_BYTES = 21
_WHOLE = re.compile(rb'<F([12H])([^<>\r\n]{0,21})>')
_CR, _LF, _LT, _GT, _F = b'\r\n<>F'


class Parser:
    """Finds commands in a stream of bytes. Each port has its own parser, with its own unfinished command."""

    _IDLE, _GOT_LT, _GOT_F, _TEXT = range(4)

    def __init__(self) -> None:
        self._state = self._IDLE
        self._target = 0
        self._text = bytearray()

    def feed(self, data: bytes, execute: Callable[[str, str], bytes],
             silent: Callable[[str], bool] = lambda target: False) -> bytes:
        """Return the replies to all commands that `data` completes. `execute(target, text)` carries out one command.

        `silent(target)` says whether errors of this target, or of no target (''), get no reply now.
        """
        # Nearly always `data` is one whole command, which has the same effect in every state. This saves much time in
        # tests with many thousand commands.
        whole = _WHOLE.fullmatch(data)
        if whole:
            self._state = self._IDLE
            return execute(whole[1].decode('latin-1'), whole[2].decode('latin-1'))
        replies: list[bytes] = []
        for byte in data:
            if byte == _LT:
                self._state = self._GOT_LT
            elif self._state == self._IDLE or byte in (_LF, _CR):
                pass
            elif self._state == self._TEXT:
                if byte == _GT:
                    self._state = self._IDLE
                    replies.append(execute(chr(self._target), self._text.decode('latin-1')))
                else:
                    self._text.append(byte)
                    if len(self._text) > _MAX_TEXT_BYTES:
                        self._state = self._IDLE
                        if not silent(chr(self._target)):
                            replies.append(TOO_LONG)
            elif self._state == self._GOT_LT and byte == _F:
                self._state = self._GOT_F
            elif self._state == self._GOT_F and byte in b'12H':
                self._target = byte
                self._text.clear()
                self._state = self._TEXT
            else:
                self._state = self._IDLE
                if not silent(''):
                    replies.append(UNKNOWN_COMMAND)
        return b''.join(replies)

# SPDX-License-Identifier: GPL-3.0-or-later
"""How a command finds what it does: words, forms of their arguments, error replies (docs/protocol.md, errors)."""
from __future__ import annotations

import re
from re import Match, Pattern
from typing import TYPE_CHECKING, Callable, NamedTuple

from .focuser import Focuser

if TYPE_CHECKING:
    from .model import Hub

__all__ = ['BAD_PARAMETER', 'MOVING', 'NO_PROBE', 'NO_WIFI', 'SLEEPING', 'TOO_LONG', 'UNKNOWN', 'WIFI_INCOMPLETE',
           'Action', 'Call', 'Table']

BAD_PARAMETER = b'ER=1 Unacceptable Parameter Received In Command\n'
TOO_LONG = b'ER=2 Received Command Was Too Long\n'
UNKNOWN = b'ER=3 Unknown Command Received\n'
MOVING = b'ER=4 Cannot Execute Command While Device Is Moving\n'
SLEEPING = b'ER=5 Cannot Execute Command While Device Is Sleeping\n'
NO_PROBE = b'ER=6 Cannot Execute Command Without Temp Probe Attached\n'
NO_WIFI = b'ER=7 Comm Problem With Wi-Fi Board\n'
WIFI_INCOMPLETE = b'ER=9 Necessary Wi-Fi Settings Missing\n'
_EMPTY = re.compile('')
# Commands that some firmware does not have, and the setting that says so.
_NEWER = {'GETTCI': 'no_gettci', 'REVERSE': 'no_reverse', 'SETMAX': 'no_setmax', 'SETFSS': 'no_setfss',
          'SETINT': 'no_setint'}
_AWAKE = ('HELLO', 'GETSTATUS', 'GETCONFIG', 'GETTCI', 'GETHUBINFO', 'HALT')


class Call(NamedTuple):
    """One execution of a command."""

    hub: Hub
    focuser: Focuser
    time: float
    argument: Match[str]

    def whole(self) -> int:
        return int(self.argument[1])

    def flag(self) -> bool:
        return self.argument[1] == '1'


Action = Callable[[Call], bytes]


class Table:
    """Commands by word.

    A word without argument must be the whole text; of the others the argument must match as a whole, or the reply is
    ER=1.
    """

    def __init__(self) -> None:
        self.patterns: dict[str, Pattern[str] | None] = {}
        self._actions: dict[str, Action] = {}
        self._lengths: list[int] = []

    def add(self, word: str, argument: str | None = None) -> Callable[[Action], Action]:
        """Decorator: carry out `word` by this function; `argument` is a pattern, None for a word without one."""
        def register(action: Action) -> Action:
            self.patterns[word] = None if argument is None else re.compile(argument)
            self._actions[word] = action
            if argument is not None:
                self._lengths = sorted({*self._lengths, len(word)}, reverse=True)
            return action
        return register

    def run(self, text: str, hub: Hub, focuser: Focuser, time: float) -> bytes:
        """Carry out the command `text` (after the target); return what follows the acknowledgement."""
        word = text
        if self.patterns.get(text) is None and text not in self._actions:
            for length in self._lengths:
                word = text[:length]
                if self.patterns.get(word) is not None:
                    break
            else:
                return UNKNOWN
        if word in _NEWER and getattr(hub.variants, _NEWER[word]):
            return UNKNOWN
        if hub.variants.sleeping and word not in _AWAKE:
            return SLEEPING
        pattern = self.patterns[word]
        match = _EMPTY.match('') if pattern is None else pattern.fullmatch(text, len(word))
        if match is None:
            return BAD_PARAMETER
        return self._actions[word](Call(hub, focuser, time, match))

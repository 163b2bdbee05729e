# SPDX-License-Identifier: GPL-3.0-or-later
"""How the hub finds the action for a command: its word, the form of its argument, and the errors for both."""
from __future__ import annotations

import re
from re import Match, Pattern
from typing import Callable, NamedTuple, Protocol

from .error_replies import BAD_PARAMETER, SLEEPING, UNKNOWN_COMMAND
from .focuser import Focuser
from .settings import HubMemory, Variants

__all__ = ['REPORTS_AND_HALT', 'Action', 'Call', 'CommandTable', 'CommandedHub']

_EMPTY = re.compile('')
# Commands that some firmware does not have, and the setting that says so.
_NEWER = {'GETTCI': 'no_gettci', 'REVERSE': 'no_reverse', 'SETMAX': 'no_setmax', 'SETFSS': 'no_setfss',
          'SETINT': 'no_setint'}
# The commands that a sleeping hub carries out.
REPORTS_AND_HALT = ('HELLO', 'GETSTATUS', 'GETCONFIG', 'GETTCI', 'GETHUBINFO', 'HALT')


class CommandedHub(Protocol):
    """What a command may read of the hub, and do to it."""

    variants: Variants
    memory: HubMemory

    def store(self) -> None:
        """Note that the memory has changed."""

    def retype(self, focuser: Focuser, device_type: str, time: float) -> None:
        """Initialise a channel as this type."""

    def reset_channel(self, channel: int, time: float) -> None:
        """Give a channel the defaults of one without a focuser."""


class Call(NamedTuple):
    """One execution of a command. `time` (s) is on the hub's own clock."""

    hub: CommandedHub
    focuser: Focuser
    time: float
    argument: Match[str]

    def number(self) -> int:
        return int(self.argument[1])

    def flag(self) -> bool:
        return self.argument[1] == '1'


Action = Callable[[Call], bytes]


class CommandTable:
    """Commands by word.

    A word without argument must be the whole text. For the other words the whole argument must match its pattern,
    or the reply is ER=1.
    """

    def __init__(self) -> None:
        self.patterns: dict[str, Pattern[str] | None] = {}
        self._actions: dict[str, Action] = {}
        self._lengths: list[int] = []

    def add(self, word: str, argument: str | None = None) -> Callable[[Action], Action]:
        """Decorator: this function carries out `word`. `argument` is a pattern, None for a word without argument."""
        def register(action: Action) -> Action:
            self.patterns[word] = None if argument is None else re.compile(argument)
            self._actions[word] = action
            if argument is not None:
                self._lengths = sorted({*self._lengths, len(word)}, reverse=True)
            return action
        return register

    def run(self, text: str, hub: CommandedHub, focuser: Focuser, time: float) -> bytes:
        """Carry out the command `text` (without its target). Return the reply without its acknowledgement."""
        word = text
        if self.patterns.get(text) is None and text not in self._actions:
            for length in self._lengths:
                word = text[:length]
                if self.patterns.get(word) is not None:
                    break
            else:
                return UNKNOWN_COMMAND
        if word in _NEWER and getattr(hub.variants, _NEWER[word]):
            return UNKNOWN_COMMAND
        if hub.variants.sleeping and word not in REPORTS_AND_HALT:
            return SLEEPING
        pattern = self.patterns[word]
        match = _EMPTY.match('') if pattern is None else pattern.fullmatch(text, len(word))
        if match is None:
            return BAD_PARAMETER
        return self._actions[word](Call(hub, focuser, time, match))

# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands that the core takes, how they can end, and what the core asks of the thread that runs it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Union

from ..hub_settings import HubSetting, Value


class Outcome(Enum):
    """How a command ended. The numbers of the Pyro interface are elsewhere."""

    DONE = 'done'
    FAILED = 'failed'
    NOT_AVAILABLE = 'not available'
    OUTSIDE_LIMITS = 'outside limits'
    NOT_CONNECTED = 'not connected'
    ALREADY_CONNECTED = 'already connected'
    NOT_SUPPORTED = 'not supported'


@dataclass(frozen=True)
class Connect:
    """Open the port, and keep it open until Disconnect."""


@dataclass(frozen=True)
class Disconnect:
    """Halt the motors that we have set in motion, then close the port and leave it closed."""


@dataclass(frozen=True)
class MoveFocuser:
    """Move to `steps`, or by `steps` from the target."""

    channel: int
    steps: int
    offset: bool = False


@dataclass(frozen=True)
class SetZero:
    """Declare the present position to be step 0."""

    channel: int


@dataclass(frozen=True)
class Home:
    """Find the home switch."""

    channel: int


@dataclass(frozen=True)
class Configure:
    """Change a setting that the hub keeps. The value has been checked."""

    channel: int
    setting: HubSetting
    value: Value


@dataclass(frozen=True)
class QueryHub:
    """Read all settings again, and what polling does not read: the hub itself, and reports of newer firmware."""


@dataclass(frozen=True)
class Stop:
    """Halt the motor."""

    channel: int


FocuserCommand = Union[MoveFocuser, SetZero, Home, Configure]
"""The commands that are operations of a focuser: each takes a while, and one of them runs at a time."""

Command = Union[Connect, Disconnect, FocuserCommand, QueryHub, Stop]


@dataclass(frozen=True, eq=False)
class PendingCommand:
    """A command without an outcome yet. The core keeps it and returns it in a Resolve effect, exactly once.

    `on_outcome(outcome)` is for the thread that carries out the effects; the core does not call it.
    """

    command: Command
    on_outcome: Callable[[Outcome], None]


@dataclass(frozen=True)
class Write:
    """Send these bytes. Bytes that have come and were not read are dropped first."""

    data: bytes


@dataclass(frozen=True)
class OpenPort:
    """Try to open the port; the result comes back by `opened` or `not_opened`."""


@dataclass(frozen=True)
class ClosePort:
    """Close the port; an attempt to open it that has not ended yet is abandoned."""


@dataclass(frozen=True)
class Log:
    """A line for the observatory log. `level` is info, warning or error."""

    level: str
    message: str


@dataclass(frozen=True)
class Resolve:
    """Tell the caller of a command its outcome."""

    pending: PendingCommand
    outcome: Outcome


Effect = Union[Write, OpenPort, ClosePort, Log, Resolve]


class Effects(list[Effect]):
    """What has to happen outside of the core, in this order."""

    def log(self, level: str, message: str) -> None:
        """Add a line for the observatory log; level is info, warning or error."""
        self.append(Log(level, message))

    def resolve(self, pending: PendingCommand, outcome: Outcome) -> None:
        """Add the outcome of a command; exactly once for each."""
        self.append(Resolve(pending, outcome))

# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be asked of the core, how it can end, and what the core in turn asks of the thread that runs it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Protocol, Union

from ..hub_settings import HubSetting, Value


class Outcome(Enum):
    """How a command ended, in words that do not depend on the numbers of the Pyro interface."""

    DONE = 'done'
    FAILED = 'failed'
    NOT_AVAILABLE = 'not available'
    OUTSIDE_LIMITS = 'outside limits'
    NOT_CONNECTED = 'not connected'
    ALREADY_CONNECTED = 'already connected'
    NOT_SUPPORTED = 'not supported'


class Ticket:
    """What a command is known by until it has its outcome. The core carries tickets about, and resolves none itself."""

    def resolve(self, outcome: Outcome) -> None:
        """Tell the caller. Only the thread that carries out effects calls this."""
        raise NotImplementedError


@dataclass(frozen=True)
class Connect:
    """Open the port, and keep it open until Disconnect."""


@dataclass(frozen=True)
class Disconnect:
    """Halt what we have set in motion, then close the port and leave it closed."""


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
    """Seek the home switch."""

    channel: int


@dataclass(frozen=True)
class Configure:
    """Change a setting that the hub keeps. The value has been checked."""

    channel: int
    setting: HubSetting
    value: Value


@dataclass(frozen=True)
class QueryHub:
    """Read the settings anew, and what polling does not: the hub itself, and what only newer firmware shows."""


@dataclass(frozen=True)
class Stop:
    """Halt the motor."""

    channel: int


Command = Union[Connect, Disconnect, MoveFocuser, SetZero, Home, Configure, QueryHub, Stop]


@dataclass(frozen=True)
class Write:
    """Send these bytes, after dropping what was received and not yet read."""

    data: bytes


@dataclass(frozen=True)
class OpenPort:
    """Try to open the port; the result comes back by `opened` or `not_opened`."""


@dataclass(frozen=True)
class ClosePort:
    """Close the port; an attempt to open it that is still under way is abandoned."""


@dataclass(frozen=True)
class Log:
    """A line for the observatory log."""

    level: str
    message: str


@dataclass(frozen=True)
class Resolve:
    """Tell whoever holds the ticket."""

    ticket: Ticket
    outcome: Outcome


Effect = Union[Write, OpenPort, ClosePort, Log, Resolve]


class Sink(Protocol):
    """Where the core leaves what has to happen outside."""

    def log(self, level: str, message: str) -> None:
        """Leave a line for the observatory log; level is info, warning or error."""

    def resolve(self, ticket: Ticket, outcome: Outcome) -> None:
        """Give a command its outcome. Called exactly once for each ticket."""


class Effects(list[Effect]):
    """Collects effects in their order; the sink of channels and their tasks."""

    def log(self, level: str, message: str) -> None:
        self.append(Log(level, message))

    def resolve(self, ticket: Ticket, outcome: Outcome) -> None:
        self.append(Resolve(ticket, outcome))

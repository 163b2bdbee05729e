# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands that the core takes, how they can end, and what the thread that runs the core has to do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple, Union

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
class Command:
    """A request of a caller to the core."""


class Connect(Command):
    """Open the port, and keep it open until Disconnect."""


class Disconnect(Command):
    """Halt the motors that we have set in motion, then close the port and leave it closed."""


class QueryHub(Command):
    """Read all settings again, and what polling does not read: the hub itself, and reports of newer firmware."""


@dataclass(frozen=True)
class FocuserCommand(Command):
    """A command for the focuser of one channel."""

    channel: int


class Stop(FocuserCommand):
    """Halt the motor."""


@dataclass(frozen=True)
class MoveFocuser(FocuserCommand):
    """Move to `steps`, or by `steps` from the target."""

    steps: int
    offset: bool = False


class SetZero(FocuserCommand):
    """Declare the present position to be step 0."""


class Home(FocuserCommand):
    """Find the home switch."""


@dataclass(frozen=True)
class Configure(FocuserCommand):
    """Change a setting that the hub keeps. The value has been checked."""

    setting: HubSetting
    value: Value


@dataclass(frozen=True)
class NoteRefusal(FocuserCommand):
    """Publish why another command was refused, which for that reason does not come to the core. It is always DONE."""

    why: str


class PendingCommand:
    """A command without an outcome yet. The core keeps it and returns it in a Resolve effect, exactly once.

    `on_outcome(outcome)` is for the thread that carries out the effects; the core does not call it.
    """

    def __init__(self, command: Command, on_outcome: Callable[[Outcome], None]) -> None:
        self.command = command
        self.on_outcome = on_outcome


class Write(NamedTuple):
    """Send these bytes. Bytes that have come and were not read are dropped first."""

    data: bytes


class OpenPort:
    """Try to open the port; the result comes back by `opened` or `not_opened`."""


class ClosePort:
    """Close the port; an attempt to open it that has not ended yet is abandoned."""


class Log(NamedTuple):
    """A line for the observatory log. `level` is info, warning or error."""

    level: str
    message: str


class Resolve(NamedTuple):
    """Give the caller of a command its outcome."""

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

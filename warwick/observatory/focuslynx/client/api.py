# SPDX-License-Identifier: GPL-3.0-or-later
"""A call of the daemon, what a command leaves behind, and the commands that are one call."""

from __future__ import annotations

import os
import signal
from typing import Any, NamedTuple

from ..constants import NO_COMMUNICATION, CommandStatus


class NoAnswer(Exception):
    """There was no usable answer: nobody there, too late, not Pyro, or an exception of the daemon's."""


class Outcome(NamedTuple):
    """What a command leaves behind: the exit code, and what to print where."""

    status: int
    output: str = ''
    complaint: str = ''

    @classmethod
    def of(cls, status: int, complaint: str = '') -> Outcome:
        """A CommandStatus with its message."""
        return cls(status, CommandStatus.message(status), complaint)


class Focusd:
    """The daemon that a configuration file names. `entry` is that of warwick.observatory.common.daemons."""

    def __init__(self, entry: Any, path: str) -> None:
        self.entry = entry
        self.path = path

    @property
    def address(self) -> str:
        """Where it answers: `host:port`."""
        return f'{self.entry.host}:{self.entry.port}'

    @property
    def unit(self) -> str:
        """The name of its service, as systemd knows it."""
        name = os.path.basename(self.path)
        return f'focusd@{name[:-5] if name.endswith(".json") else name}'

    def call(self, method: str, *arguments: Any, timeout_s: float | None = None) -> Any:
        """Ask over a new connection. Raises NoAnswer.

        `timeout_s` bounds connection and call each; None takes the default of the entry.
        """
        try:
            with self.entry.connect(timeout_s) as daemon:
                return getattr(daemon, method)(*arguments)
        except Exception as e:  # Pyro raises here whatever was raised there
            raise NoAnswer(str(e)) from e

    def command(self, method: str, *arguments: Any, timeout_s: float | None = None) -> int:
        """The CommandStatus that a method returns, NO_COMMUNICATION where it returns none."""
        try:
            return status_of(self.call(method, *arguments, timeout_s=timeout_s))
        except NoAnswer:
            return NO_COMMUNICATION

    def report(self, timeout_s: float | None = None) -> dict[str, Any]:
        """The status dictionary, from whatever daemon: anything may be missing in it. Raises NoAnswer."""
        state = self.call('report_status', timeout_s=timeout_s)
        if not isinstance(state, dict):
            raise NoAnswer(f'report_status returned {type(state).__name__}')
        return state


def status_of(value: Any) -> int:
    """The CommandStatus in what a method returned."""
    return value if isinstance(value, int) and not isinstance(value, bool) else NO_COMMUNICATION


class HearingCtrlC:
    """`with HearingCtrlC():` lets Ctrl-C through, which waits at any other time; it may do so at once."""

    def __enter__(self) -> None:
        self._mask = signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})

    def __exit__(self, *_exception: object) -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)


def stop(focusd: Focusd, channel: int) -> Outcome:
    return _called(focusd, 'stop_channel', channel)


def zero(focusd: Focusd, channel: int) -> Outcome:
    return _called(focusd, 'reset_home_position', channel)


def connect(focusd: Focusd) -> Outcome:
    return _called(focusd, 'initialize')


def disconnect(focusd: Focusd) -> Outcome:
    return _called(focusd, 'shutdown')


def _called(focusd: Focusd, method: str, *arguments: Any) -> Outcome:
    with HearingCtrlC():
        return Outcome.of(focusd.command(method, *arguments))

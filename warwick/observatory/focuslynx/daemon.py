# SPDX-License-Identifier: GPL-3.0-or-later
"""The Pyro object: who may, with which arguments, and the outcome as a number.

Every method returns plain JSON types and raises nothing, whatever it is called with. Commands are checked in the
order permission, channel, arguments, another command; availability and limits are for the core to judge.
"""

from __future__ import annotations

import inspect
import logging
import math
import threading
import time
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import ExitStack
from functools import wraps
from typing import Any, Callable, TypeVar

import Pyro4

from warwick.observatory.common import helpers

from ._version import __version__
from .commands import Command, Connect, Disconnect, MoveFocuser, Outcome, SetZero, Stop
from .constants import CommandStatus, FocuserStatus
from .controller import CHANNELS
from .link import Link

QUICK_LIMIT_S = 4.5
"""How long a caller of anything but a move waits at most: clients give up after 5 s."""

MOVE_MARGIN_S = 10.0
"""What a move may take beyond move_timeout: its first status, the halt, and the look after it."""

COMMAND_STATUS: dict[Outcome, int] = {
    Outcome.DONE: CommandStatus.Succeeded,
    Outcome.FAILED: CommandStatus.Failed,
    Outcome.NOT_AVAILABLE: CommandStatus.ChannelNotAvailable,
    Outcome.OUTSIDE_LIMITS: CommandStatus.PositionOutsideLimits,
    Outcome.NOT_CONNECTED: CommandStatus.NotConnected,
    Outcome.ALREADY_CONNECTED: CommandStatus.NotDisconnected,
}

_log = logging.getLogger(__name__)

Method = TypeVar('Method', bound=Callable[..., int])


def _control(method: Method) -> Method:
    """Make a method a command: refused to strangers, and a CommandStatus for whatever it is called with."""
    signature = inspect.signature(method)

    @wraps(method)
    def command(self: FocuserDaemon, /, *args: Any, **kwargs: Any) -> int:
        try:
            if not helpers.pyro_client_matches(self.control_ips):
                return CommandStatus.InvalidControlIP
            given = signature.bind_partial(self, *args[:len(signature.parameters) - 1]).arguments
            if 'channel' in signature.parameters and not _is_channel(given.get('channel', kwargs.get('channel'))):
                return CommandStatus.InvalidChannel
            try:
                signature.bind(self, *args, **kwargs)
            except TypeError:
                return CommandStatus.Failed
            return method(self, *args, **kwargs)
        except Exception:
            _log.exception('unforeseen failure in %s', method.__name__)
            return CommandStatus.Failed

    return command   # type: ignore[return-value]


class FocuserDaemon:
    """What other programs see of the daemon. Its methods run on Pyro's threads."""

    def __init__(self, link: Link, control_ips: list[str], move_timeout_s: float, home_reset_timeout_s: float) -> None:
        self._link = link
        self.control_ips = control_ips
        self._move_limit_s = move_timeout_s + MOVE_MARGIN_S
        self._zero_limit_s = home_reset_timeout_s + MOVE_MARGIN_S
        self._busy = {n: threading.Lock() for n in CHANNELS}

    @Pyro4.expose
    def report_status(self, /, *_args: Any, **_kwargs: Any) -> dict[str, Any]:
        """The state of both channels as a dictionary of JSON types; never waits for the hub."""
        snapshot = self._link.snapshot()
        report: dict[str, Any] = {
            'date': time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(snapshot.as_of)),
            'software_version': __version__,
        }
        for n, view in snapshot.channels.items():
            report.update({
                f'status_{n}': view.status,
                f'status_label_{n}': FocuserStatus.label(view.status),
                f'temperature_{n}': view.temperature_c,
                f'current_steps_{n}': view.current_steps,
                f'target_steps_{n}': view.target_steps,
                f'requested_steps_{n}': view.requested_steps,
                f'min_steps_{n}': view.min_steps,
                f'max_steps_{n}': view.max_steps,
                f'nickname_{n}': view.nickname,
                f'device_type_{n}': view.device_type,
                f'error_{n}': view.error,
            })
        return report

    @Pyro4.expose
    @_control
    def set_focus(self, channel: int, steps: int, offset: bool = False) -> int:
        """Move to `steps`, or by `steps` from the target with `offset`; returns when the focuser has arrived."""
        whole_steps = _whole_number(steps)
        if whole_steps is None or offset not in (True, False):
            return CommandStatus.Failed
        return self._exclusively([channel], MoveFocuser(channel, whole_steps, bool(offset)), self._move_limit_s)

    @Pyro4.expose
    @_control
    def reset_home_position(self, channel: int) -> int:
        """Declare the present position to be step 0."""
        return self._exclusively([channel], SetZero(channel), self._zero_limit_s)

    @Pyro4.expose
    @_control
    def stop_channel(self, channel: int) -> int:
        """Halt the motor, whatever else is going on."""
        return self._run(Stop(channel), QUICK_LIMIT_S)

    @Pyro4.expose
    @_control
    def initialize(self) -> int:
        """Connect to the hub, and stay connected until `shutdown`."""
        return self._exclusively(list(CHANNELS), Connect(), QUICK_LIMIT_S)

    @Pyro4.expose
    @_control
    def shutdown(self) -> int:
        """Disconnect from the hub."""
        return self._exclusively(list(CHANNELS), Disconnect(), QUICK_LIMIT_S)

    def _exclusively(self, channels: list[int], command: Command, limit_s: float) -> int:
        """Run a command that shares its channels with no other.

        The channels are free again when the command has ended, not when its caller has been told: a caller that was
        told about a stop can move at once.
        """
        with ExitStack() as locks:
            for n in channels:
                if not self._busy[n].acquire(blocking=False):
                    return CommandStatus.Blocked
                locks.callback(self._busy[n].release)
            return self._run(command, limit_s, release=locks.pop_all().close)

    def _run(self, command: Command, limit_s: float, release: Callable[[], None] | None = None) -> int:
        future = self._link.submit(command)
        if release is not None:
            future.add_done_callback(lambda _: release())
        try:
            return COMMAND_STATUS[future.result(limit_s)]
        except FutureTimeoutError:
            _log.error('%s had no outcome after %g s', command, limit_s)
            return CommandStatus.Failed


def _is_channel(channel: object) -> bool:
    return type(channel) is int and channel in CHANNELS


def _whole_number(steps: object) -> int | None:
    """The number of steps, or None for what is no whole number. A float that is one, such as 500.0, is accepted."""
    if isinstance(steps, float) and math.isfinite(steps) and steps.is_integer():
        return int(steps)
    return steps if type(steps) is int else None

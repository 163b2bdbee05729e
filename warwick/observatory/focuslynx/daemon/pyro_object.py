# SPDX-License-Identifier: GPL-3.0-or-later
"""The Pyro object: who may call what with which arguments, and the outcome as a number.

Every method returns plain JSON types and raises nothing, whatever it is called with. Commands are checked in the
order permission, channel, arguments, another command; availability and limits are for the core to judge.

A method returns when the outcome is known. A oneway call has nobody who waits for it: its command is handed over to the
hub thread, and the method returns. So the commands of a connection reach the hub in the order in which they were read:
a stop that follows a oneway move ends it.
"""

from __future__ import annotations

import inspect
import math
import threading
import time
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import ExitStack
from functools import wraps
from typing import Any, Callable, Protocol, TypeVar

import Pyro4
from Pyro4.message import FLAGS_ONEWAY

from warwick.observatory.common import helpers

from .._version import SOFTWARE_VERSION
from ..constants import CHANNELS, CommandStatus, FocuserStatus
from ..core import (
    Command,
    Configure,
    Connect,
    Disconnect,
    FocuserSnapshot,
    Home,
    HubInfo,
    Limits,
    MoveFocuser,
    NoteRefusal,
    Outcome,
    QueryHub,
    Reports,
    SetZero,
    Snapshot,
    Stop,
    setting_value,
)
from ..hub_settings import HUB_SETTINGS, find, has_home_switch, in_words
from ..text import one_line, printable, shortened
from .log import log

CALL_LIMIT_S = 4.5
"""How long a caller of anything but a motion waits at most: clients give up after 5 s."""

RESTART_CALL_LIMIT_S = 20.0
"""The same for a change that restarts a channel of the hub."""

MOVE_MARGIN_S = 10.0
"""What a move may take beyond move_timeout: its first status, the halt, and the poll after it."""

ONEWAY_LIMIT = 32
"""So many commands without a lock of oneway calls may be under way. Then such a call, too, waits for its outcome."""

MOST_STEPS = 10**9
"""What is asked for beyond this is taken for this, which is outside all limits as well, and can be written."""

REASON_LIMIT = 300
"""Characters of the reason of a refusal, which may quote what the client has sent."""

DENIAL_INTERVAL_S = 60.0
"""In this time, control that was denied to an address is logged once."""

DENIAL_ADDRESSES = 100
"""So many addresses have a line of their own in this time."""

COMMAND_STATUS: dict[Outcome, int] = {
    Outcome.DONE: CommandStatus.Succeeded,
    Outcome.FAILED: CommandStatus.Failed,
    Outcome.NOT_AVAILABLE: CommandStatus.ChannelNotAvailable,
    Outcome.OUTSIDE_LIMITS: CommandStatus.PositionOutsideLimits,
    Outcome.NOT_CONNECTED: CommandStatus.NotConnected,
    Outcome.ALREADY_CONNECTED: CommandStatus.NotDisconnected,
    Outcome.NOT_SUPPORTED: CommandStatus.NotSupported,
}

Method = TypeVar('Method', bound=Callable[..., int])


class _Refusal(Exception):
    """A command is refused, with this CommandStatus; the text is the reason."""

    def __init__(self, status: int, reason: object) -> None:
        super().__init__(shortened(printable(one_line(reason)), REASON_LIMIT))
        self.status = status


def _control(title: str = '') -> Callable[[Method], Method]:
    """Make a method a command: refused to strangers, and a CommandStatus for whatever it is called with.

    Why it was refused becomes the failure of its channel, if it has a `title` for that.
    """
    def decorate(method: Method) -> Method:
        signature = inspect.signature(method)

        @wraps(method)
        def command(self: FocuserDaemon, /, *args: Any, **kwargs: Any) -> int:
            try:
                if not helpers.pyro_client_matches(self.control_ips):
                    self._denials.log(method.__name__)
                    return CommandStatus.InvalidControlIP
                given = signature.bind_partial(self, *args[:len(signature.parameters) - 1]).arguments
                channel: Any = given.get('channel', kwargs.get('channel'))
                if 'channel' in signature.parameters and not _is_channel(channel):
                    return CommandStatus.InvalidChannel
                try:
                    signature.bind(self, *args, **kwargs)
                except TypeError as error:
                    raise _Refusal(CommandStatus.Failed, f'wrong arguments: {error}') from None
                return method(self, *args, **kwargs)
            except _Refusal as refusal:
                if title:
                    self._without_lock(NoteRefusal(channel, f'{title} refused: {refusal}'))
                return refusal.status
            except Exception:
                log.exception('unexpected failure in %s', method.__name__)
                return CommandStatus.Failed

        return command   # type: ignore[return-value]

    return decorate


class HubAccess(Protocol):
    """What the Pyro object needs of the thread that owns the hub. Callable from any thread."""

    def submit(self, command: Command) -> Future[Outcome]:
        """Hand a command over; the Future gets its outcome in any case."""

    def snapshot(self) -> Snapshot:
        """The state as it is known now, without waiting for anything."""


class FocuserDaemon:
    """What other programs see of the daemon. Its methods run on Pyro's threads."""

    def __init__(self, hub: HubAccess, control_ips: list[str], limits: Limits) -> None:
        self._hub = hub
        self.control_ips = control_ips
        self._limits = limits
        self._busy = {n: threading.Lock() for n in CHANNELS}
        self._oneway_places = threading.BoundedSemaphore(ONEWAY_LIMIT)
        self._denials = _Denials()
        self._started = time.time()

    @Pyro4.expose
    def report_status(self, /, *_args: Any, **_kwargs: Any) -> dict[str, Any]:
        """The state of both channels as a dictionary of JSON types; never waits for the hub."""
        snapshot = self._hub.snapshot()
        report: dict[str, Any] = {
            'date': _date(snapshot.as_of),
            'software_version': SOFTWARE_VERSION,
            'started': _date(self._started),
        }
        for n, focuser in snapshot.channels.items():
            report.update({
                f'status_{n}': focuser.status,
                f'status_label_{n}': FocuserStatus.label(focuser.status),
                f'temperature_{n}': focuser.temperature_c,
                f'current_steps_{n}': focuser.current_steps,
                f'target_steps_{n}': focuser.target_steps,
                f'requested_steps_{n}': focuser.requested_steps,
                f'min_steps_{n}': focuser.min_steps,
                f'max_steps_{n}': focuser.max_steps,
                f'nickname_{n}': focuser.nickname,
                f'device_type_{n}': focuser.device_type,
                f'error_{n}': focuser.error,
                f'failure_{n}': focuser.failure,
                f'homed_{n}': focuser.homed,
                f'stalled_{n}': focuser.stalled,
                f'compensating_{n}': focuser.compensating,
                f'age_{n}': None if focuser.reported_at is None else snapshot.taken_at - focuser.reported_at,
            })
        return report

    @Pyro4.expose
    @_control('move')
    def set_focus(self, channel: int, steps: int, offset: bool = False) -> int:
        """Move to `steps`, or by `steps` from the target with `offset`; returns when the focuser has arrived."""
        whole_steps = _whole_number(steps)
        if whole_steps is None:
            raise _Refusal(CommandStatus.Failed, f'steps: {_quoted(steps)}: must be a whole number')
        if offset not in (True, False):
            raise _Refusal(CommandStatus.Failed, f'offset: {_quoted(offset)}: must be True or False')
        return self._exclusively([channel], MoveFocuser(channel, whole_steps, bool(offset)),
                                 self._limits.move_timeout_s + MOVE_MARGIN_S)

    @Pyro4.expose
    @_control('zero')
    def reset_home_position(self, channel: int) -> int:
        """Declare the present position to be step 0."""
        return self._exclusively([channel], SetZero(channel), self._limits.home_reset_timeout_s + MOVE_MARGIN_S)

    @Pyro4.expose
    @_control('move')
    def center(self, channel: int) -> int:
        """Move to step 0, the middle of the range. By an absolute move: CENTER goes by a Max Pos read by the hub."""
        return self._exclusively([channel], MoveFocuser(channel, 0), self._limits.move_timeout_s + MOVE_MARGIN_S)

    @Pyro4.expose
    @_control('homing')
    def home(self, channel: int) -> int:
        """Seek the home switch and return; NotSupported for a focuser without one."""
        return self._exclusively([channel], Home(channel), self._limits.home_timeout_s + MOVE_MARGIN_S)

    @Pyro4.expose
    @_control('change of a setting')
    def configure(self, channel: int, key: str, value: object, confirmed: bool = False) -> int:
        """Change one of the hub's settings (hub_settings.py), and read it back.

        InvalidSetting for a key or value that is none. What can damage a focuser or lose its position wants
        `confirmed`, and is NotConfirmed without.
        """
        try:
            setting = find(key)
            command = Configure(channel, setting, setting.parse(value))
        except ValueError as error:
            raise _Refusal(CommandStatus.InvalidSetting, error) from None
        if setting.dangerous and confirmed is not True:
            raise _Refusal(CommandStatus.NotConfirmed, f'{setting.key} is changed only with confirmation')
        # A change that restarts the channel may restart the whole hub
        return self._exclusively(list(CHANNELS) if setting.restarts else [channel], command,
                                 RESTART_CALL_LIMIT_S if setting.restarts else CALL_LIMIT_S)

    @Pyro4.expose
    def hub_info(self, /, *_args: Any, **_kwargs: Any) -> dict[str, Any]:
        """All that the hub reports about itself and its channels, as a dictionary of JSON types.

        What polling does not read is requested; that can take some seconds. What is not known is None.
        """
        if _is_oneway():
            return {}
        try:
            self._hub.submit(QueryHub()).result(CALL_LIMIT_S)
        except FutureTimeoutError:
            pass   # what is known will do
        snapshot = self._hub.snapshot()
        return {
            'date': _date(snapshot.as_of),
            'software_version': SOFTWARE_VERSION,
            **{field: getattr(snapshot.hub, field, None) for field in HubInfo._fields},
            **{f'channel_{n}': self._channel_info(focuser) for n, focuser in snapshot.channels.items()},
        }

    def _channel_info(self, focuser: FocuserSnapshot) -> dict[str, Any]:
        reports = focuser.reports
        return {
            'status': focuser.status,
            'status_label': FocuserStatus.label(focuser.status),
            'error': focuser.error,
            'device_type': focuser.device_type,
            'device': None if focuser.device_type is None else in_words(focuser.device_type),
            'has_home_switch': None if focuser.device_type is None else has_home_switch(focuser.device_type),
            'homed': focuser.homed,
            'max_counts': reports and reports.config.max_counts,
            'soft_step_limits': list(self._limits.soft_step_limits),
            'min_steps': focuser.min_steps,
            'max_steps': focuser.max_steps,
            'temperature': reports and reports.status.temperature_c,
            'probe': None if reports is None else _probe(reports),
            'hand_controller': reports and reports.status.hand_controller,
            'remote': reports and reports.status.remote,
            'settings': {key: reports and _setting_value(key, reports) for key in HUB_SETTINGS if key != 'reset'},
        }

    @Pyro4.expose
    @_control()
    def stop_channel(self, channel: int) -> int:
        """Halt the motor, whatever else is going on."""
        return self._without_lock(Stop(channel))

    @Pyro4.expose
    @_control()
    def initialize(self) -> int:
        """Connect to the hub, and stay connected until `shutdown`."""
        return self._exclusively(list(CHANNELS), Connect(), CALL_LIMIT_S)

    @Pyro4.expose
    @_control()
    def shutdown(self) -> int:
        """Disconnect from the hub."""
        return self._exclusively(list(CHANNELS), Disconnect(), CALL_LIMIT_S)

    def _exclusively(self, channels: list[int], command: Command, limit_s: float) -> int:
        """Run a command that shares its channels with no other. Raises _Refusal if another one runs.

        The channels are free again when the command has ended, not when its caller has got the outcome: after a stop,
        a caller can move at once.
        """
        with ExitStack() as locks:   # given back here, too, if the command cannot be handed over
            for n in channels:
                if not self._busy[n].acquire(blocking=False):
                    raise _Refusal(CommandStatus.Blocked, 'another command is already running')
                locks.callback(self._busy[n].release)
            future = self._hub.submit(command)
            release = locks.pop_all().close
        future.add_done_callback(lambda _: release())
        return CommandStatus.Succeeded if _is_oneway() else _outcome(command, future, limit_s)

    def _without_lock(self, command: Command) -> int:
        """Run a command that no other one excludes, and that soon ends.

        It is handed over before anything else: no crowd of such calls keeps a stop out.
        """
        future = self._hub.submit(command)
        if _is_oneway() and self._oneway_places.acquire(blocking=False):
            future.add_done_callback(lambda _: self._oneway_places.release())
            return CommandStatus.Succeeded
        return _outcome(command, future, CALL_LIMIT_S)


class _Denials:
    """Logs from which addresses control was requested that may not have it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._logged: dict[str, float] = {}   # when an address was logged last, if that was lately

    def log(self, method: str) -> None:
        """Log that the client whose call runs on this thread may not call `method`, if that is not said already."""
        peer = Pyro4.current_context.client_sock_addr
        address = peer[0] if isinstance(peer, tuple) else 'unknown'
        now = time.monotonic()
        with self._lock:
            self._logged = {each: at for each, at in self._logged.items() if now - at < DENIAL_INTERVAL_S}
            if address in self._logged or len(self._logged) >= DENIAL_ADDRESSES:
                return
            self._logged[address] = now
        log.warning('%s: refused: %s, because this address is not one of the control_machines', address, method)


def _is_oneway() -> bool:
    """Whether nobody waits for the result of the call that runs on this thread."""
    return bool(Pyro4.current_context.msg_flags & FLAGS_ONEWAY)


def _outcome(command: Command, future: Future[Outcome], limit_s: float) -> int:
    try:
        return COMMAND_STATUS[future.result(limit_s)]
    except FutureTimeoutError:
        log.error('%s had no outcome after %g s', command, limit_s)
        return CommandStatus.Failed


def _date(unix_time_s: float) -> str:
    return time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(unix_time_s))


def _probe(reports: Reports) -> str:
    if not reports.status.probe_present:
        return 'none'
    return 'present' if reports.status.temperature_c is not None else 'defective'


def _setting_value(key: str, reports: Reports) -> Any:
    by = {'config': reports.config, 'compensation': reports.compensation, 'status': reports.status}
    report = by[HUB_SETTINGS[key].shown_by]
    return None if report is None else setting_value(key, report)


def _is_channel(channel: object) -> bool:
    return type(channel) is int and channel in CHANNELS


def _whole_number(steps: object) -> int | None:
    """The number of steps, or None for what is no whole number. A float that is one, such as 500.0, is accepted."""
    if isinstance(steps, float) and math.isfinite(steps) and steps.is_integer():
        steps = int(steps)
    return max(-MOST_STEPS, min(steps, MOST_STEPS)) if type(steps) is int else None


def _quoted(value: object) -> str:
    """What a client has sent, for a message."""
    try:
        return repr(value)
    except ValueError:
        return type(value).__name__   # Python does not write integers of thousands of digits

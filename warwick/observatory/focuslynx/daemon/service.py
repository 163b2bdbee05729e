# SPDX-License-Identifier: GPL-3.0-or-later
"""The life of the daemon process: put the parts together, serve, and end without leaving a motor running."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import select
import signal
import socket
import threading
from functools import partial
from typing import Any

from warwick.observatory.common import log as observatory_log

from ..config import Config
from ..core.commands import Connect
from ..core.limits import Limits
from .hub_thread import HubThread
from .log import ObservatoryLog
from .pyro_object import FocuserDaemon
from .pyro_server import Server, StartError
from .serial_port import open_port
from .systemd import Manager, supervise

SECURE_LIMIT_S = 3.0
"""How long the end of the process waits for moving channels to be halted."""

CALLS_LIMIT_S = 1.0
"""How long it then waits for the callers of commands to be told."""

LOG_LIMIT_S = 1.0
"""How long it waits for the last log lines."""

SELF_CALL_S = 2.0
"""How long the daemon's own first call may take."""

_log = logging.getLogger(__name__)


def run(config: Config) -> int:
    """Serve until a signal ends the process; returns the exit code.

    Raises StartError if the address or the serial port belongs to another daemon.
    """
    claim = _claim_port(config.serial_port)
    stop = Stop()
    collapsed = threading.Event()

    def collapse() -> None:
        collapsed.set()
        stop.set()

    def report(level: str, message: str) -> None:
        getattr(_log, level)('%s', message)
        events.put(level, message)

    manager = Manager(os.environ)
    events = ObservatoryLog(partial(_write_event, config.log_name))
    settings = Limits(
        soft_step_limits=config.soft_step_limits,
        idle_loop_delay_s=config.idle_loop_delay,
        moving_loop_delay_s=config.moving_loop_delay,
        serial_timeout_s=config.serial_timeout,
        move_timeout_s=config.move_timeout,
        home_reset_timeout_s=config.home_reset_timeout,
        home_timeout_s=config.home_timeout,
        temperature_probe_required=config.temperature_probe_required,
        allow_hub_compensation=config.allow_hub_compensation)
    link = HubThread(settings, config.serial_port, partial(open_port, config.serial_port, config.serial_baud),
                report, collapse)
    focuser = FocuserDaemon(link, config.control_ips, settings)
    server = Server(config.daemon.host, config.daemon.port, config.daemon.name, focuser, config.control_ips)
    events.start()
    link.start()
    stop.on_signals()
    server.start()
    report('info', f'{config.daemon.name} serves at {config.daemon.host}:{config.daemon.port}, '
                   f'hub on {config.serial_port}')
    if config.connect_on_start:
        link.submit(Connect())
    supervise(manager, stop.wait, partial(_answers, config.daemon), lambda: link.snapshot().channels,
              {'link': lambda: link.progress_at, 'server': lambda: server.progress_at})
    if manager.listens:
        manager.tell({'STOPPING': '1', 'STATUS': 'ending: what moves is halted first'})
    link.close(SECURE_LIMIT_S)
    server.close(CALLS_LIMIT_S)
    report('info', f'{config.daemon.name} ends')
    events.close(LOG_LIMIT_S)
    if claim is not None:
        claim.close()
    return 1 if collapsed.is_set() else 0


def _answers(daemon: Any) -> bool:
    """Whether the Pyro object answers a call over the network."""
    try:
        with daemon.connect(timeout=SELF_CALL_S) as proxy:
            return bool(proxy.report_status())
    except Exception as error:   # the package common is the observatory's own
        _log.warning('%s does not answer yet: %s', daemon.name, error)
        return False


def _write_event(log_name: str, level: str, message: str) -> None:
    """Send a line to the observatory log, which prints it as well; that it has already been printed is our business."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        getattr(observatory_log, level)(log_name, message)
    for line in printed.getvalue().splitlines():
        if message not in line:   # about the log itself, as when its daemon does not answer
            _log.warning('observatory log: %s', line)


class Stop:
    """The wish to end the process, which a signal or a thread may utter at any moment.

    An Event is not made for that: its wait() sleeps through a signal that comes just before it begins, and its set()
    can lock up in a signal handler. Here the interpreter itself writes a byte for each signal, which no poll() misses.
    """

    def __init__(self) -> None:
        self._read_end, self._write_end = os.pipe()
        os.set_blocking(self._write_end, False)
        self._uttered = select.poll()
        self._uttered.register(self._read_end, select.POLLIN)

    def on_signals(self) -> None:
        """Let the first SIGTERM or SIGINT be the wish, and the second end the process at once."""
        received: list[int] = []

        def handle(number: int, _frame: object) -> None:
            if received:
                os._exit(128 + number)
            received.append(number)

        signal.set_wakeup_fd(self._write_end, warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, handle)
        signal.signal(signal.SIGINT, handle)

    def set(self) -> None:
        """Utter the wish."""
        try:
            os.write(self._write_end, b'.')
        except BlockingIOError:
            pass   # it has been uttered often enough

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for the wish, at most so long; whether it has been uttered."""
        return bool(self._uttered.poll(None if seconds is None else seconds * 1000))


def _claim_port(name: str) -> socket.socket | None:
    """Claim the hub's port for this process, so that a second daemon for it ends at once instead of waiting for ever.

    The claim is a name among the abstract Unix sockets, which the kernel gives back however the process ends. A hub
    that is simulated inside the process cannot be shared, and needs no claim. The configured name is claimed: what a
    link points to may be another device tomorrow. Two names for one device meet when the second is opened.
    """
    if name.startswith('lynxsim://'):
        return None
    claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        claim.bind(b'\0focusd:' + os.fsencode(name)[-90:])
    except OSError as error:
        raise StartError(f'{name} is in use by another focusd') from error
    return claim

# SPDX-License-Identifier: GPL-3.0-or-later
"""The life of the daemon process: put the parts together, serve, and end without leaving a motor running."""

from __future__ import annotations

import errno
import logging
import os
import signal
import socket
import threading
from functools import partial
from typing import Any

import Pyro4

from warwick.observatory.common import log as observatory_log

from .commands import Connect
from .config import Config
from .daemon import FocuserDaemon
from .eventlog import EventLog
from .link import Link
from .port import open_port
from .settings import Settings

SECURE_LIMIT_S = 3.0
"""How long the end of the process waits for moving channels to be halted."""

CALLS_LIMIT_S = 1.0
"""How long it then waits for the callers of commands to be told."""

LOG_LIMIT_S = 1.0
"""How long it waits for the last log lines."""

_log = logging.getLogger(__name__)


class StartError(Exception):
    """The daemon cannot start; the text is one line that says why."""


def run(config: Config) -> int:
    """Serve until a signal ends the process; returns the exit code.

    Raises StartError if the address or the serial port belongs to another daemon.
    """
    claims = _claim_port(config.serial_port)
    stop = threading.Event()
    collapsed = threading.Event()

    def collapse() -> None:
        collapsed.set()
        stop.set()

    events = EventLog(partial(_write_event, config.log_name))
    settings = Settings(
        soft_step_limits=config.soft_step_limits,
        idle_loop_delay_s=config.idle_loop_delay,
        moving_loop_delay_s=config.moving_loop_delay,
        serial_timeout_s=config.serial_timeout,
        move_timeout_s=config.move_timeout,
        home_reset_timeout_s=config.home_reset_timeout)
    link = Link(settings, config.serial_port, partial(open_port, config.serial_port, config.serial_baud),
                events.put, collapse)
    focuser = FocuserDaemon(link, config.control_ips, config.move_timeout, config.home_reset_timeout)
    pyro = _pyro_daemon(config.daemon)
    pyro.register(focuser, objectId=config.daemon.name)
    events.start()
    link.start()
    _end_on_signals(stop)
    server = threading.Thread(target=pyro.requestLoop, name='pyro', daemon=True)
    server.start()
    events.put('info', f'{config.daemon.name} serves at {config.daemon.host}:{config.daemon.port}, '
                       f'hub on {config.serial_port}')
    if config.connect_on_start:
        link.submit(Connect())
    while not stop.wait(3600):
        pass
    link.close(SECURE_LIMIT_S)
    focuser.calls.wait_for_none(CALLS_LIMIT_S)
    pyro.shutdown()
    server.join(CALLS_LIMIT_S)
    events.put('info', f'{config.daemon.name} ends')
    events.close(LOG_LIMIT_S)
    for claim in claims:
        claim.close()
    return 1 if collapsed.is_set() else 0


def _write_event(log_name: str, level: str, message: str) -> None:
    getattr(observatory_log, level)(log_name, message)


def _end_on_signals(stop: threading.Event) -> None:
    """The first SIGTERM or SIGINT ends the process in good order, the second at once."""
    def handle(number: int, _frame: object) -> None:
        if stop.is_set():
            os._exit(128 + number)
        stop.set()

    signal.signal(signal.SIGTERM, handle)
    signal.signal(signal.SIGINT, handle)


def _pyro_daemon(entry: Any) -> Pyro4.Daemon:
    """The Pyro daemon at the address of a daemon entry; raises StartError if it cannot be had."""
    Pyro4.config.SERIALIZERS_ACCEPTED = {'serpent'}
    Pyro4.config.THREADPOOL_SIZE = 64
    Pyro4.config.COMMTIMEOUT = 30.0   # for a client that is silent in the middle of a message; calls may take longer
    Pyro4.config.MAX_MESSAGE_SIZE = 64 * 1024
    Pyro4.config.DETAILED_TRACEBACK = False
    try:
        return Pyro4.Daemon(host=entry.host, port=entry.port)
    except OSError as error:
        where = f'{entry.host}:{entry.port}'
        if error.errno == errno.EADDRINUSE:
            raise StartError(f'{where} is in use by another program: is {entry.name} running already?') from error
        if error.errno == errno.EADDRNOTAVAIL:
            raise StartError(f'{where} is not an address of this machine: {entry.name} has to run elsewhere') from error
        raise StartError(f'cannot serve at {where}: {error.strerror or error}') from error


def _claim_port(name: str) -> list[socket.socket]:
    """Claim the hub's port for this process, so that a second daemon for it ends at once instead of waiting for ever.

    The claim is a name among the abstract Unix sockets, which the kernel gives back however the process ends. A hub
    that is simulated inside the process cannot be shared, and needs no claim.
    """
    if name.startswith('lynxsim://'):
        return []
    names = {name} if '://' in name else {name, os.path.realpath(name)}
    claims = []
    for each in sorted(names):
        claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            claim.bind(b'\0focusd:' + os.fsencode(each)[-90:])
        except OSError as error:
            raise StartError(f'{name} is in use by another focusd') from error
        claims.append(claim)
    return claims

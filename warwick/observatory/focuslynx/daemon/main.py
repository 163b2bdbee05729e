# SPDX-License-Identifier: GPL-3.0-or-later
"""focusd: read the command line; then serve until a signal, or check a configuration, or print help or the version.

What needs Pyro4, pyserial or the observatory's package common is imported by the functions that use it, so that
`--help` and `--version` work without them, and so that an error can say what to install.
"""

from __future__ import annotations

import argparse
import gc
import logging
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NoReturn

from .._version import SOFTWARE_VERSION
from ..config import Config, ConfigError
from ..missing_dependency import missing_dependency
from .log import LEVELS, ObservatoryLog, StdoutHandler, events, is_journal, log, log_event, send_event

FINAL_HALT_LIMIT_S = 4.0
"""How long the end of the process waits for moving focusers to be halted. The hub needs 3.5 s to say that they are not.
"""

CALLS_LIMIT_S = 1.0
"""How long it then waits for the callers of commands to get their answers."""

LOG_LIMIT_S = 1.0
"""How long it then waits for the last lines to reach the observatory log, and as long again for standard output."""

SELF_CALL_LIMIT_S = 2.0
"""How long the daemon's first call of its own Pyro object may take."""

ENDING_SIGNALS = frozenset((
    signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGALRM, signal.SIGVTALRM, signal.SIGPROF,
    signal.SIGXCPU, signal.SIGIO, signal.SIGPWR, *range(signal.SIGRTMIN, signal.SIGRTMAX + 1)))
"""Signals that end the process once moving focusers are halted. By default they would end it at once."""

USUAL_ENDS = frozenset((signal.SIGHUP, signal.SIGINT, signal.SIGTERM))
"""After these the exit code is 0. After others the process ends by the signal, so that systemd starts it again."""

IGNORED_SIGNALS = frozenset((signal.SIGUSR1, signal.SIGUSR2))
"""Signals that are logged, and do nothing else."""

IMPATIENCE_S = 1.0
"""A second SIGINT or SIGTERM ends the process at once if it comes so long after the first signal. A dropped ssh session
and an impatient systemd send two within a moment."""

_EPILOG = """\
CONFIG is a JSON file, usually in /etc/focusd. focusd runs until SIGTERM, SIGINT or SIGHUP, which halt moving focusers.
Exit codes: 0 done; 1 the configuration or the system does not allow it; 2 wrong arguments.
"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        _complain(self.prog, f'{" ".join(message.split())}; see {self.prog} --help')
        sys.exit(2)


def make_parser(program: str) -> argparse.ArgumentParser:
    """The parser of the command line; the manual page is made from it too."""
    parser = _Parser(prog=program, add_help=False, allow_abbrev=False, epilog=_EPILOG,
                     description='Drive the focusers of an Optec FocusLynx hub.',
                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', metavar='CONFIG', nargs='?', help='the configuration file')
    parser.add_argument('--check', action='store_true',
                        help='check the configuration, print what focusd would do with it, and exit')
    parser.add_argument('--log-level', metavar='LEVEL', choices=LEVELS, default='info', type=str.lower,
                        help=f'lowest level of lines on standard output: {", ".join(LEVELS)}; info by default')
    parser.add_argument('--version', action='store_true', help='print the version, and exit')
    parser.add_argument('-h', '--help', action='store_true', help='print this, and exit')
    return parser


def main(arguments: list[str]) -> int:
    """Carry out the command line `arguments`, the program's name first; returns the exit code."""
    program = os.path.basename(arguments[0])
    parser = make_parser(program)
    options = parser.parse_args(arguments[1:])
    if options.help:
        return _print(program, parser.format_help())
    if options.version:
        return _print(program, f'{program} {SOFTWARE_VERSION}\n{_libraries()}\n')
    if options.config is None:
        parser.error('CONFIG is missing')
    try:
        if options.check:
            return _print(program, _plan(options.config, _checked(options.config)))
        code = _run(program, options.config, LEVELS[options.log_level])
        return code if code >= 0 else _end_by(-code)
    except ConfigError as error:
        _complain(program, str(error))
    except ImportError as error:
        _complain(program, missing_dependency(error))
    return 1


def _print(program: str, text: str) -> int:
    """Print text on standard output; returns the exit code."""
    try:
        with open(1, 'w', encoding='utf-8', errors='backslashreplace', closefd=False) as output:
            output.write(text)
    except OSError as error:
        _complain(program, f'cannot write to standard output: {error.strerror}')
        return 1
    return 0


def _complain(program: str, text: str) -> None:
    """Print one line on standard error, with the priority of an error for the journal."""
    try:
        print(f'{"<3>" if is_journal(2) else ""}{program}: {text}', file=sys.stderr)
    except OSError:
        pass   # the reader is gone; the exit code remains


def _libraries() -> str:
    """The versions of Python and of the libraries, for the report of a fault."""
    import platform
    from importlib.metadata import PackageNotFoundError, version

    def shown(name: str) -> str:
        try:
            return f'{name} {version(name)}'
        except PackageNotFoundError:
            return f'no {name}'
    return ', '.join([f'Python {platform.python_version()}', *map(shown, ('Pyro4', 'pyserial', 'jsonschema'))])


def _checked(path: str) -> Config:
    """The configuration, with a serial port that can exist. Raises ConfigError."""
    from .serial_port import check_address

    config = Config(path)
    try:
        check_address(config.serial_port)
    except ValueError as error:
        raise ConfigError(f'{path}: serial_port: "{config.serial_port}": {error}') from None
    return config


def _plan(path: str, config: Config) -> str:
    """What focusd would do with a configuration, for people."""
    from .config_warnings import warnings_of
    from .serial_port import NOTES, scheme_of

    lowest, highest = config.soft_step_limits
    machines = [f'{name} ({address})' for name, address in zip(config.control_machines, config.control_ips)]
    required = (['a temperature probe'] if config.temperature_probe_required else []) \
        + ([] if config.allow_hub_compensation else ['hub compensation switched off'])
    rows = {
        'serves': f'{config.daemon.name} at {config.daemon.host}, port {config.daemon.port}',
        'controlled by': ', '.join(machines) or 'no machine',
        'hub': f'{config.serial_port} at {config.serial_baud} baud, replies within {config.serial_timeout:g} s',
        'connects': 'when it starts' if config.connect_on_start else 'on the command focus init',
        'polls': f'every {config.idle_loop_delay:g} s at rest, every {config.moving_loop_delay:g} s in motion',
        'moves': f'from {lowest:+d} to {highest:+d} steps, within {config.move_timeout:g} s',
        'zero': f'within {config.home_reset_timeout:g} s, homing within {config.home_timeout:g} s',
        'requires': ' and '.join(required) or 'nothing',
        'log': f'table {config.log_name} of the observatory log',
    }
    note = NOTES.get(scheme_of(config.serial_port))
    lines = [*rows.items(), *([] if note is None else [('note', f'{config.serial_port}: {note}')]),
             *(('warning', warning) for warning in warnings_of(config))]
    return f'{path}: good\n' + ''.join(f'{key + ":":15}{value}\n' for key, value in lines)


def _run(program: str, path: str, level: int) -> int:
    """Serve a configuration; returns the exit code, or minus the number of the signal by which the process has to end.
    """
    signal.pthread_sigmask(signal.SIG_SETMASK, ())   # who started focusd may have blocked even SIGTERM
    gc.disable()   # loading leaves no garbage, and is faster by a twentieth without a search for it
    from .pyro_server import StartError

    _occupy_standard_descriptors()
    config = Config(path)
    output = StdoutHandler(1)
    output.setLevel(level)
    logging.getLogger().addHandler(output)
    logging.getLogger().setLevel(level)
    events.setLevel(logging.INFO)   # the observatory log gets all events, whatever standard output shows
    try:
        with _enough_threads():
            output.start()
        try:
            return _serve(config)
        finally:
            output.finish(LOG_LIMIT_S)
    except StartError as error:
        _complain(program, str(error))
        return 1


@contextmanager
def _enough_threads() -> Iterator[None]:
    """Raise StartError if the system does not allow a thread that the block starts."""
    from .pyro_server import StartError

    try:
        yield
    except RuntimeError as error:
        raise StartError(f'the system allows no more threads: {error}') from error


def _occupy_standard_descriptors() -> None:
    """Open those of 0, 1 and 2 that are closed. Otherwise the hub could get such a number, and with it the log."""
    while True:
        descriptor = os.open(os.devnull, os.O_RDWR)
        if descriptor > 2:
            os.close(descriptor)
            return


def _serve(config: Config) -> int:
    """Serve until a signal ends the process; returns what `_run` does.

    Raises StartError if the address or the serial port belongs to another daemon.
    """
    from warwick.observatory.common import log as observatory_log

    from ..core import Connect, Limits
    from .config_warnings import warnings_of
    from .hub_thread import HubThread
    from .pyro_object import FocuserDaemon
    from .pyro_server import Server, StartError
    from .serial_port import claim_port, open_port
    from .systemd import ServiceManager, Watchdog, in_words

    try:
        claim = claim_port(config.serial_port)
    except OSError as error:
        raise StartError(f'{config.serial_port} is in use by another focusd') from error
    end = EndRequest()
    gave_up = threading.Event()

    def give_up() -> None:
        gave_up.set()
        end.set()

    limits = Limits(
        soft_step_limits=config.soft_step_limits,
        idle_loop_delay_s=config.idle_loop_delay,
        moving_loop_delay_s=config.moving_loop_delay,
        serial_timeout_s=config.serial_timeout,
        move_timeout_s=config.move_timeout,
        home_reset_timeout_s=config.home_reset_timeout,
        home_timeout_s=config.home_timeout,
        temperature_probe_required=config.temperature_probe_required,
        allow_hub_compensation=config.allow_hub_compensation)
    hub = HubThread(limits, config.serial_port, partial(open_port, config.serial_port, config.serial_baud),
                    log_event, give_up)
    focusers = FocuserDaemon(hub, config.control_ips, limits)
    server = Server(config.daemon.host, config.daemon.port, config.daemon.name, focusers, config.control_ips)
    event_log = ObservatoryLog(partial(send_event, observatory_log, config.log_name))
    events.addHandler(event_log)
    gc.freeze()
    gc.enable()
    with _enough_threads():
        event_log.start()
        hub.start()
        end.on_signals()
        server.start()
    events.info('%s serves at %s:%d, hub on %s', config.daemon.name, config.daemon.host, config.daemon.port,
                config.serial_port)
    for warning in warnings_of(config):
        log.warning('%s', warning)
    if config.connect_on_start:
        hub.submit(Connect())
    manager = ServiceManager(os.environ)
    if manager.listens:
        watchdog = Watchdog(manager, {'hub': lambda: hub.progress_at, 'server': lambda: server.progress_at})
        ready, pause_s = False, 0.0
        while not end.wait(pause_s):
            pause_s = watchdog.interval_s
            ready = ready or _answers(config.daemon)
            if ready:
                watchdog.report(in_words(hub.snapshot().channels))
            watchdog.feed()
        manager.notify({'STOPPING': '1', 'STATUS': 'ending: moving focusers are halted first'})
    end.wait()
    hub.close(FINAL_HALT_LIMIT_S)
    server.close(CALLS_LIMIT_S)
    events.info('%s ends', config.daemon.name)
    event_log.finish(LOG_LIMIT_S)
    if claim is not None:
        claim.close()
    if gave_up.is_set():
        return 1
    return 0 if end.signal is None or end.signal in USUAL_ENDS else -end.signal


def _answers(entry: Any) -> bool:
    """Whether the Pyro object of a daemon entry answers a call over the network."""
    try:
        with entry.connect(timeout=SELF_CALL_LIMIT_S) as proxy:
            return bool(proxy.report_status())
    except Exception as error:   # the package common is the observatory's own, and can raise anything
        log.warning('%s does not answer yet: %s', entry.name, error)
        return False


class EndRequest:
    """The request to end the process, which a signal or a thread can make at any moment.

    An Event does not serve for that: its wait() can miss a signal that comes just before it begins, and its set() can
    lock up in a signal handler. Here the interpreter writes the number of each signal into a pipe, which no poll()
    misses. `signal` is the first signal that has made the request, None without one.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self._is_made = False
        self._read_end, self._write_end = os.pipe()
        os.set_blocking(self._read_end, False)
        os.set_blocking(self._write_end, False)
        self._written = select.poll()
        self._written.register(self._read_end, select.POLLIN)

    def on_signals(self) -> None:
        """Make the request at each of ENDING_SIGNALS, and only log IGNORED_SIGNALS. Signals that come again are borne.

        Only a second SIGINT or SIGTERM, IMPATIENCE_S or more after the first signal, ends the process at once. A signal
        that was ignored when the process began, as SIGHUP is by nohup, stays ignored.
        """
        began: list[float] = []

        def handle(number: int, _frame: object) -> None:
            now = time.monotonic()
            if not began:
                began.append(now)
            elif number in (signal.SIGINT, signal.SIGTERM) and now - began[0] >= IMPATIENCE_S:
                os._exit(128 + number)

        signal.set_wakeup_fd(self._write_end, warn_on_full_buffer=False)
        for number in (*ENDING_SIGNALS, *IGNORED_SIGNALS):
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, handle if number in ENDING_SIGNALS else lambda _number, _frame: None)

    def set(self) -> None:
        """Make the request."""
        try:
            os.write(self._write_end, b'\0')
        except BlockingIOError:
            pass   # the pipe is full of requests

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for the request, for so long at most; returns whether it was made. To be called by one thread."""
        deadline = None if seconds is None else time.monotonic() + seconds
        while not self._is_made:
            wait_s = None if deadline is None else deadline - time.monotonic()
            if not self._written.poll(None if wait_s is None else max(0.0, wait_s) * 1000):
                break
            for number in os.read(self._read_end, 4096):
                self._take(number)
        return self._is_made

    def _take(self, number: int) -> None:
        if number in IGNORED_SIGNALS:
            log.warning('%s is ignored', signal.Signals(number).name)
        elif not self._is_made:
            self._is_made = True
            self.signal = number or None


def _end_by(number: int) -> int:
    """End the process by this signal, so that its parent learns of it; returns an exit code where that fails."""
    signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(number)
    return 128 + number   # process 1 of a container is not ended by a signal

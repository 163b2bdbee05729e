# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line of focusd: run, or check a configuration, or say which version this is."""

from __future__ import annotations

import argparse
import logging
import os
import platform
import sys
from typing import NoReturn

from .._version import SOFTWARE_VERSION
from ..config import Config, ConfigError
from ..missing_dependency import missing_dependency
from .journal import LEVELS, StdoutHandler, is_journal

_EPILOG = """\
CONFIG is a JSON file, usually in /etc/focusd. focusd runs until SIGTERM or SIGINT, which halt moving focusers.
Exit codes: 0 done; 1 the configuration or the system does not allow it; 2 wrong arguments.
"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        _complain(self.prog, f'{" ".join(message.split())}; {self.prog} --help tells what is accepted')
        sys.exit(2)


def main(arguments: list[str]) -> int:
    """Do what the command line `arguments`, the program's name first, asks for; returns the exit code."""
    program = os.path.basename(arguments[0])
    parser = _parser(program)
    options = parser.parse_args(arguments[1:])
    if options.help:
        return _say(program, parser.format_help())
    if options.version:
        return _say(program, f'{program} {SOFTWARE_VERSION}\n{_libraries()}\n')
    if options.config is None:
        parser.error('CONFIG is missing')
    try:
        if options.check:
            return _say(program, _plan(options.config, _checked(options.config)))
        return _run(program, options.config, LEVELS[options.log_level])
    except ConfigError as error:
        _complain(program, str(error))
    except ImportError as error:
        _complain(program, missing_dependency(error))
    return 1


def _parser(program: str) -> argparse.ArgumentParser:
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


def _run(program: str, path: str, level: int) -> int:
    from .service import StartError, run

    _occupy_standard_descriptors()
    logging.basicConfig(handlers=[StdoutHandler(1)], level=level)
    try:
        return run(Config(path))
    except StartError as error:
        _complain(program, str(error))
        return 1


def _occupy_standard_descriptors() -> None:
    """Where one of them is closed, what is opened next would take its number, and get the log: the hub, for example."""
    while True:
        descriptor = os.open(os.devnull, os.O_RDWR)
        if descriptor > 2:
            os.close(descriptor)
            return


def _checked(path: str) -> Config:
    """The configuration, with a serial port that can be opened some day. Raises ConfigError."""
    from .serial_port import check_address

    config = Config(path)
    try:
        check_address(config.serial_port)
    except ValueError as error:
        raise ConfigError(f'{path}: serial_port: "{config.serial_port}": {error}') from None
    return config


def _plan(path: str, config: Config) -> str:
    """What focusd would do with a configuration, for a person."""
    lowest, highest = config.soft_step_limits
    machines = [f'{name} ({address})' for name, address in zip(config.control_machines, config.control_ips)]
    demands = (['a temperature probe'] if config.temperature_probe_required else []) \
        + ([] if config.allow_hub_compensation else ['a hub that moves nothing by itself'])
    rows = {
        'serves': f'{config.daemon.name} at {config.daemon.host}, port {config.daemon.port}',
        'controlled by': ', '.join(machines) or 'nobody',
        'hub': f'{config.serial_port} at {config.serial_baud} baud, replies within {config.serial_timeout:g} s',
        'connects': 'when it starts' if config.connect_on_start else 'when it is told to: focus init',
        'looks': f'every {config.idle_loop_delay:g} s at rest, every {config.moving_loop_delay:g} s in motion',
        'moves': f'from {lowest:+d} to {highest:+d} steps, within {config.move_timeout:g} s',
        'zero': f'within {config.home_reset_timeout:g} s, homing within {config.home_timeout:g} s',
        'insists on': ' and '.join(demands) or 'nothing',
        'log': f'table {config.log_name} of the observatory log',
    }
    return f'{path}: good\n' + ''.join(f'{key + ":":15}{value}\n' for key, value in rows.items())


def _libraries() -> str:
    """What it runs on, for the report of a fault."""
    from importlib.metadata import PackageNotFoundError, version

    def shown(name: str) -> str:
        try:
            return f'{name} {version(name)}'
        except PackageNotFoundError:
            return f'no {name}'
    return ', '.join([f'Python {platform.python_version()}', *map(shown, ('Pyro4', 'pyserial', 'jsonschema'))])


def _say(program: str, text: str) -> int:
    """Print text on standard output; returns the exit code."""
    try:
        with open(1, 'w', encoding='utf-8', errors='backslashreplace', closefd=False) as output:
            output.write(text)
    except OSError as error:
        _complain(program, f'cannot write to standard output: {error.strerror}')
        return 1
    return 0


def _complain(program: str, text: str) -> None:
    """One line on standard error, which the journal takes for an error."""
    try:
        print(f'{"<3>" if is_journal(2) else ""}{program}: {text}', file=sys.stderr)
    except OSError:
        pass   # nobody listens; the exit code tells

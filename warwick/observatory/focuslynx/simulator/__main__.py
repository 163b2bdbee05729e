# SPDX-License-Identifier: GPL-3.0-or-later
"""The simulator as a process: `python3 -m warwick.observatory.focuslynx.simulator --help`."""
from __future__ import annotations

import argparse
import signal
import sys
import time
from typing import NoReturn

from .client import ControlClient, Refused
from .control import CONTROL_COMMANDS
from .link import LinkFaults
from .personalities import PERSONALITIES
from .server import ControlSocket, Server, TransportError
from .settings import SETTINGS, BadSetting
from .state import StateError, hub_with_state
from .transports import PtyTransport, TcpTransport, parse_address

_PROGRAM = 'python3 -m warwick.observatory.focuslynx.simulator'


class _Parser(argparse.ArgumentParser):
    """Reports a mistake in one line."""

    def error(self, message: str) -> NoReturn:
        print(f'error: {message}', file=sys.stderr)
        sys.exit(2)


def _personalities() -> str:
    return '\n'.join(f'  {row.name}\n      {row.help}' for row in PERSONALITIES.values())


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog=_PROGRAM, allow_abbrev=False, usage='%(prog)s [--link PATH] [--tcp HOST:PORT] [options]',
        description='A simulated FocusLynx hub at a pseudo-terminal, a TCP port, or both.',
        epilog='A setting of a channel can be given for one channel alone: --probe.2 NP. '
               '"control PATH COMMAND..." sends a command to a running simulator; "control --help" lists them.'
               '\n\npersonalities (with sections of docs/protocol.md):\n' + _personalities().replace('%', '%%'),
        formatter_class=argparse.RawDescriptionHelpFormatter)
    connections = parser.add_argument_group('connections')
    connections.add_argument('--link', metavar='PATH', help='pseudo-terminal; PATH is a symbolic link to it')
    connections.add_argument('--tcp', metavar='HOST:PORT',
                            help='the networked hub; the usual port is 9760, and 0 is any free port')
    connections.add_argument('--control', metavar='PATH', help='Unix socket for settings and faults at run time')
    parser.add_argument('--state', metavar='FILE', help='file for the memory of the hub; when it exists, type, '
                        'max_pos, position, nickname and the like are read from it')
    options = parser.add_argument_group('settings')
    for row in SETTINGS.values():
        names = ['--' + row.name.replace('_', '-')]
        options.add_argument(*names, dest=row.name, metavar='VALUE', help=f'{row.help}; {row.kind.accepts}'
                             .replace('%', '%%'))
        if row.scope == 'channel':
            for channel in '12':
                options.add_argument(f'{names[0]}.{channel}', dest=f'{row.name}.{channel}', help=argparse.SUPPRESS)
    return parser


def _serve(arguments: list[str]) -> int:
    parser = _parser()
    chosen = vars(parser.parse_args(_with_negative_values(arguments)))
    symlink, tcp, control, state = (chosen.pop(name) for name in ('link', 'tcp', 'control', 'state'))
    options: dict[str, str] = {name: value for name, value in chosen.items() if value is not None}
    if symlink is None and tcp is None:
        parser.error('no transport: give --link PATH, --tcp HOST:PORT, or both (a lynxsim:// port needs no process)')
    faults = LinkFaults()
    try:
        address = None if tcp is None else parse_address(tcp)
        faults.take_settings(options)
        hub = hub_with_state(options, state, time.monotonic())
    except (BadSetting, ValueError) as error:
        parser.error(str(error))
    except StateError as error:
        return _fail(str(error))
    server = Server(hub, faults)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: server.stop())
    ready = []
    try:
        if symlink is not None:
            server.add(PtyTransport(server, symlink))
            ready.append(f'{symlink} (pty)')
        if address is not None:
            transport = TcpTransport(server, *address)
            server.add(transport)
            ready.append(f'{transport} (tcp)')
        if control is not None:
            server.add(ControlSocket(server, control))
        print('hub simulator ready on ' + ' and '.join(ready), flush=True)
        server.run()
    except TransportError as error:
        return _fail(str(error))
    finally:
        server.close()
    return 0


def _with_negative_values(arguments: list[str]) -> list[str]:
    # argparse reads "--probe -5.2" as two options, and "--probe=-5.2" as one option with a value.
    joined: list[str] = []
    for argument in arguments:
        if (joined and joined[-1].startswith('--') and '=' not in joined[-1]
                and argument.startswith('-') and not argument.startswith('--') and len(argument) > 1):
            joined[-1] += '=' + argument
        else:
            joined.append(argument)
    return joined


def _control(arguments: list[str]) -> int:
    usage = f'usage: {_PROGRAM} control PATH COMMAND...'
    if arguments and arguments[0] in ('-h', '--help'):
        print(usage + '\n\ncommands:')
        for command in CONTROL_COMMANDS.values():
            print(f'  {command.usage}\n      {command.help}')
        print('\npersonalities (only at the start; with sections of docs/protocol.md):\n' + _personalities())
        print('\nsettings (NAME VALUE, or NAME CHANNEL VALUE):')
        for row in SETTINGS.values():
            print(f'  {row.name}\n      {row.help}; {row.kind.accepts}')
        return 0
    if len(arguments) < 2:
        print(f'error: {usage}', file=sys.stderr)
        return 2
    path = arguments[0]
    try:
        with ControlClient(path) as simulator:
            said = simulator(' '.join(arguments[1:]))
    except Refused as error:
        print(f'error: {error}')
        return 1
    except OSError as error:
        return _fail(f'no simulator answers at {path}: {error.strerror or error}')
    print(f'ok {said}'.rstrip(' '))
    return 0


def _fail(message: str) -> int:
    print(f'error: {message}', file=sys.stderr)
    return 1


def main(arguments: list[str] | None = None) -> int:
    """Run the program; return its exit code: 0 after SIGTERM or SIGINT, 1 for a failure, 2 for wrong options."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments and arguments[0] == 'control':
        return _control(arguments[1:])
    return _serve(arguments)


if __name__ == '__main__':
    sys.exit(main())

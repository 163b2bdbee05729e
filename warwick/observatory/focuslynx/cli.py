# SPDX-License-Identifier: GPL-3.0-or-later
"""The `focus` client. One table of commands drives parsing, usage and help, and the completion is checked against it.

The client loads what a command needs when it needs it: the usage wants nothing but the standard library, and a call
does without jsonschema.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

from .constants import NO_COMMUNICATION, TERMINATED_BY_USER, CommandStatus, FocuserStatus

CONFIG_DIRECTORY = '/etc/focusd'
WRONG_ARGUMENTS = 255

_CHANNEL = '(1|2)'


class Outcome(NamedTuple):
    """What a command leaves behind: the exit code, and what to print where."""

    status: int
    output: str = ''
    complaint: str = ''


class Command(NamedTuple):
    """One line of the table. Every argument is an integer; `run` is given the daemon's entry and the integers."""

    group: str
    name: str
    arguments: tuple[str, ...]
    summary: str
    run: Callable[..., Outcome]


def main(argv: list[str], program: str) -> int:
    """Run the command `argv` (without the name of the program), print what there is to say, and return the exit code.

    `program` is the name for the usage lines. Ctrl-C is heeded while the daemon is asked, and waits at any other time.
    Call it from the main thread. Raises nothing but, if it comes too late to matter, KeyboardInterrupt.
    """
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, 'reconfigure'):
            stream.reconfigure(errors='replace')  # a degree sign is no reason to fail in an ASCII locale

    try:
        outcome = _run(argv, program)
    except KeyboardInterrupt:
        outcome = _of(TERMINATED_BY_USER)
    except ImportError as e:
        from .missing import missing_dependency
        outcome = Outcome(1, complaint=missing_dependency(e))
    except Exception as e:
        outcome = Outcome(1, complaint='error: ' + ' '.join(f'{type(e).__name__}: {e}'.split()))
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})

    written = _print(outcome.output, sys.stdout) and _print(outcome.complaint, sys.stderr)
    status = outcome.status if written or outcome.status else 1
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    return status if status == 0 or status % 256 else 1  # the shell sees eight bits, and no failure may look like a 0


def _run(argv: list[str], program: str) -> Outcome:
    if not argv or argv[0] in ('help', '-h', '--help'):
        return Outcome(0, usage(program))

    command = next((c for c in COMMANDS if c.name == argv[0]), None)
    if command is None:
        return Outcome(WRONG_ARGUMENTS, f'error: unknown command {argv[0]!r}\n{usage(program)}')

    arguments = _parsed(command, argv[1:])
    if arguments is None:
        return Outcome(WRONG_ARGUMENTS, f'usage: {program} {_synopsis(command)}')

    from .config import ConfigError, daemon_of
    try:
        entry = daemon_of(_config_path())
    except ConfigError as e:
        return Outcome(1, complaint=f'error: {e}')

    import Pyro4  # noqa: F401  where it is missing this raises, and is not taken for a daemon that does not answer

    from . import cli_move  # noqa: F401  nothing is left to be loaded once Ctrl-C is heard
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    return command.run(entry, *arguments)


def usage(program: str) -> str:
    """The help: every command of the table in its group, one line each."""
    width = max(len(_synopsis(command)) for command in COMMANDS)
    lines = [f'usage: {program} <command> [<arguments>]']
    for group in dict.fromkeys(command.group for command in COMMANDS):
        lines += ['', f'{group} commands:']
        lines += [f'   {_synopsis(c):{width}}   {c.summary}' for c in COMMANDS if c.group == group]
    return '\n'.join(lines)


def _synopsis(command: Command) -> str:
    return ' '.join((command.name, *command.arguments))


def _parsed(command: Command, texts: list[str]) -> list[int] | None:
    """The integers of the arguments, None if they are not what the command takes."""
    if len(texts) != len(command.arguments):
        return None
    numbers = []
    for text, kind in zip(texts, command.arguments):
        number = _integer(text)
        if number is None or (kind == _CHANNEL and number not in (1, 2)):
            return None
        numbers.append(number)
    return numbers


def _integer(text: str) -> int | None:
    """A decimal integer with an optional sign, leading zeros and surrounding blanks; None for anything else."""
    text = text.strip(' \t\r\n')
    digits = text[1:] if text[:1] in ('+', '-') else text
    if not (digits.isascii() and digits.isdigit()):
        return None
    try:
        return int(text)
    except ValueError:  # Python refuses thousands of digits
        return None


def _config_path() -> str:
    """The file that FOCUSD_CONFIG_PATH names, or the only one of the machine. Raises ConfigError."""
    from .config import ConfigError
    path = os.environ.get('FOCUSD_CONFIG_PATH')
    if path is not None:
        if not path:
            raise ConfigError('FOCUSD_CONFIG_PATH is set, but empty: it must be the path of a configuration file')
        return path

    remedy = 'name a configuration file in FOCUSD_CONFIG_PATH'
    try:
        names = sorted(n for n in os.listdir(CONFIG_DIRECTORY) if n.endswith('.json') and not n.startswith('.'))
    except FileNotFoundError:
        names = []
    except OSError as e:
        raise ConfigError(f'{CONFIG_DIRECTORY}: cannot be read: {e.strerror}; {remedy}') from None
    if not names:
        raise ConfigError(f'{CONFIG_DIRECTORY}: holds no configuration (*.json); {remedy}')
    if len(names) > 1:
        raise ConfigError(f'{CONFIG_DIRECTORY}: holds several configurations ({", ".join(names)}); {remedy}')
    return os.path.join(CONFIG_DIRECTORY, names[0])


def _of(status: int) -> Outcome:
    return Outcome(status, CommandStatus.message(status))


def _call(entry: Any, method: str, *arguments: int) -> Outcome:
    from .cli_move import command
    return _of(command(entry, method, *arguments))


def _report(entry: Any, render: Callable[[dict[str, Any]], str]) -> Outcome:
    from .cli_move import NoAnswer, call
    try:
        state = call(entry, 'report_status')
    except NoAnswer:
        state = None
    return Outcome(0, render(state)) if isinstance(state, dict) else _of(NO_COMMUNICATION)


def _json(state: dict[str, Any]) -> str:
    import json
    return json.dumps(state)


def _move(entry: Any, channel: int, steps: int, offset: bool) -> Outcome:
    from .cli_move import move
    if not _is_lively(sys.stderr):
        return _of(move(entry, channel, steps, offset))
    try:
        return _of(move(entry, channel, steps, offset, lambda state: _progress(_channel_line(state, channel, False))))
    finally:
        _progress('')


def _progress(text: str) -> None:
    """Put a line in the place of the one before; an empty one clears it."""
    try:
        columns = os.get_terminal_size(sys.stderr.fileno()).columns or 80
        sys.stderr.write('\r' + text[:columns - 1] + '\x1b[K')
        sys.stderr.flush()
    except (OSError, ValueError):
        pass  # a terminal that went away is no reason to leave the move


def _status_text(state: dict[str, Any]) -> str:
    colour = _is_lively(sys.stdout)
    date = str(state.get('date', 'at an unknown time')).replace('T', ' ').rstrip('Z')
    return '\n'.join([f'Data received {date}:'] + [_channel_line(state, channel, colour) for channel in (1, 2)])


def _channel_line(state: dict[str, Any], channel: int, colour: bool) -> str:
    """The line for a channel, from whatever daemon: one that is older or newer may leave something out."""
    def steps(key: str) -> str:
        value = state.get(f'{key}_steps_{channel}')
        text = f'{value:+7d}' if isinstance(value, int) else 'unknown'
        return bold + text + clear

    bold = clear = ''
    status = state.get(f'status_{channel}')
    if status not in (FocuserStatus.Idle, FocuserStatus.Moving):
        return f'Channel {channel}: {FocuserStatus.label(status if isinstance(status, int) else -1, colour)}'
    if colour:
        from warwick.observatory.common import TFmt
        bold, clear = TFmt.Bold, TFmt.Clear
    line = f'Channel {channel}: {steps("current")} steps'
    if status == FocuserStatus.Moving:
        line += f' (moving to {steps("target")} steps)'
    celsius = state.get(f'temperature_{channel}')
    return line + (f', {celsius:.1f}°C' if isinstance(celsius, (int, float)) else ', temperature unknown')


def _is_lively(stream: Any) -> bool:
    """Whether somebody looks at a stream who likes colour and motion."""
    return (stream is not None and stream.isatty() and not os.environ.get('NO_COLOR')
            and os.environ.get('TERM') != 'dumb')


def _print(text: str, stream: Any) -> bool:
    """Print a text if there is one, and tell whether that worked. A reader who has seen enough is no failure."""
    try:
        if text and stream is not None:
            print(text, file=stream, flush=True)
        return True
    except OSError as e:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # or Python tries once more as it exits
        if isinstance(e, BrokenPipeError):
            return True
        if stream is not sys.stderr:
            _print(f'error: cannot write: {e.strerror}', sys.stderr)
        return False


COMMANDS = (
    Command('general', 'set', (_CHANNEL, '<step position>'), 'move to a position, and wait until it is reached',
            lambda entry, channel, steps: _move(entry, channel, steps, False)),
    Command('general', 'offset', (_CHANNEL, '<step delta>'), 'move by so many steps, up or down, and wait',
            lambda entry, channel, steps: _move(entry, channel, steps, True)),
    Command('general', 'stop', (_CHANNEL,), 'stop moving',
            lambda entry, channel: _call(entry, 'stop_channel', channel)),
    Command('general', 'status', (), 'show the state of both channels',
            lambda entry: _report(entry, _status_text)),
    Command('general', 'json', (), 'print the same as one line of JSON',
            lambda entry: _report(entry, _json)),
    Command('engineering', 'zero', (_CHANNEL,), 'make the present position step 0',
            lambda entry, channel: _call(entry, 'reset_home_position', channel)),
    Command('engineering', 'init', (), 'connect the daemon to the hub',
            lambda entry: _call(entry, 'initialize')),
    Command('engineering', 'kill', (), 'disconnect the daemon from the hub',
            lambda entry: _call(entry, 'shutdown')),
)

# SPDX-License-Identifier: GPL-3.0-or-later
"""The `focus` client: from a command line to an exit code. The table of commands is in `commands`.

The client has to start fast, so each command loads only what it needs: help needs the standard library alone, a call of
the daemon needs no jsonschema, and only a failure loads `hints`.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from importlib import import_module

from ..constants import NO_COMMUNICATION, TERMINATED_BY_USER, CommandStatus
from .api import Focusd, NoAnswer
from .commands import CHANNEL, COMMANDS, Command, Outcome
from .terminal import print_to

CONFIG_DIRECTORY = '/etc/focusd'
WRONG_ARGUMENTS = 255

_HELP_OPTIONS = ('-h', '--help')


def main(argv: list[str], program: str) -> int:
    """Run the command `argv` (without the name of the program), print its outcome, and return the exit code.

    `program` is the name for the usage lines. Ctrl-C takes effect during calls of the daemon; at other times it waits.
    Call it from the main thread. It raises nothing, except a KeyboardInterrupt that comes when all is printed.
    """
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, 'reconfigure'):
            stream.reconfigure(errors='replace')  # an ASCII locale cannot show a degree sign

    hint_of_failure = None
    try:
        outcome, hint_of_failure = _run(argv, program)
    except KeyboardInterrupt:
        outcome = Outcome.of(TERMINATED_BY_USER)
    except ImportError as e:
        from ..missing_dependency import missing_dependency
        outcome = Outcome(1, stderr=missing_dependency(e))
    except Exception as e:
        from ..text import one_line
        outcome = Outcome(1, stderr=f'error: {one_line(f"{type(e).__name__}: {e}")}')
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})

    printed = print_to(sys.stdout, outcome.stdout) and print_to(sys.stderr, outcome.stderr)
    if hint_of_failure is not None:
        print_to(sys.stderr, hint_of_failure())
    status = outcome.status if printed or outcome.status else 1
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    return status if status == 0 or status % 256 else 1  # a shell takes eight bits, and must not see a failure as 0


def _run(argv: list[str], program: str) -> tuple[Outcome, Callable[[], str] | None]:
    """The outcome of a command line and, if the daemon refused it or failed, a function that makes the hint."""
    if not argv or argv[0] in ('help', *_HELP_OPTIONS):
        return _help(argv[1:], program), None

    command = _command(argv[0])
    if command is None:
        return _unknown(argv[0], program), None
    if any(word in _HELP_OPTIONS for word in argv[1:]):  # whatever else it could mean, such as a nickname
        return _help([command.name], program), None
    values = command.parsed(argv[1:])
    if values is None:
        return Outcome(WRONG_ARGUMENTS, f'usage: {program} {command.synopsis}'), None

    from ..config import ConfigError, daemon_of
    try:
        path = _config_path()
        focusd = Focusd(daemon_of(path), path)
    except ConfigError as e:
        return Outcome(1, stderr=f'error: {e}'), None

    import Pyro4  # noqa: F401  if it is missing this raises; a call would take that for a daemon that does not answer

    from .events import interruptible
    module, function = command.run.split(':')
    run: Callable[..., Outcome] = getattr(import_module(f'.{module}', __package__), function)
    arguments, options = values
    with interruptible():
        pass  # a Ctrl-C that came while packages were loaded ends the client here, before it calls the daemon
    try:
        outcome = run(focusd, *arguments, **options)
    except NoAnswer:
        outcome = Outcome.of(NO_COMMUNICATION)
    if outcome.status == CommandStatus.Succeeded or outcome.stderr:
        return outcome, None

    def hint_of_failure() -> str:
        from .hints import hint
        channel = arguments[0] if command.arguments[:1] == (CHANNEL,) else None
        return hint(program, command.name, focusd, outcome.status, channel)

    return outcome, hint_of_failure


def _command(name: str) -> Command | None:
    return next((c for c in COMMANDS if c.name == name), None)


def _unknown(name: str, program: str) -> Outcome:
    from .help import usage
    return Outcome(WRONG_ARGUMENTS, f'error: unknown command {name!r}\n{usage(program)}')


def _help(words: list[str], program: str) -> Outcome:
    from .help import explained, usage
    if not words or words[0] in ('help', *_HELP_OPTIONS):
        return Outcome(0, usage(program))
    command = _command(words[0])
    return _unknown(words[0], program) if command is None else Outcome(0, explained(command, program))


def _config_path() -> str:
    """The file that FOCUSD_CONFIG_PATH names, or the only one of this machine. Raises ConfigError."""
    from ..config import ConfigError
    path = os.environ.get('FOCUSD_CONFIG_PATH')
    if path is not None:
        if not path:
            raise ConfigError('FOCUSD_CONFIG_PATH is set, but empty: it must be the path of a configuration file')
        return path

    advice = 'name a configuration file in FOCUSD_CONFIG_PATH'
    try:
        names = sorted(n for n in os.listdir(CONFIG_DIRECTORY) if n.endswith('.json') and not n.startswith('.'))
    except FileNotFoundError:
        names = []
    except OSError as e:
        raise ConfigError(f'{CONFIG_DIRECTORY}: cannot be read: {e.strerror}; {advice}') from None
    if not names:
        raise ConfigError(f'{CONFIG_DIRECTORY}: holds no configuration (*.json); {advice}')
    if len(names) > 1:
        raise ConfigError(f'{CONFIG_DIRECTORY}: holds several configurations ({", ".join(names)}); {advice}')
    return os.path.join(CONFIG_DIRECTORY, names[0])

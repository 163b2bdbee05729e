# SPDX-License-Identifier: GPL-3.0-or-later
"""The `focus` client: from the words of the command line to an exit code. The commands stand in `cli_table`.

Starting fast is a feature. What only some commands need is a module of its own, and loaded only for them: the usage
wants nothing but the standard library, a call does without jsonschema, and a failure loads its own explanation.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

from ..constants import TERMINATED_BY_USER, CommandStatus
from .api import Focusd, HearingCtrlC, Outcome
from .commands import COMMANDS, Command

CONFIG_DIRECTORY = '/etc/focusd'
WRONG_ARGUMENTS = 255

_HELP_OPTIONS = ('-h', '--help')


def main(argv: list[str], program: str) -> int:
    """Run the command `argv` (without the name of the program), print what there is to say, and return the exit code.

    `program` is the name for the usage lines. Ctrl-C is heeded while the daemon is asked, and waits at any other time.
    Call it from the main thread. Raises nothing but, if it comes too late to matter, KeyboardInterrupt.
    """
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, 'reconfigure'):
            stream.reconfigure(errors='replace')  # a degree sign is no reason to fail in an ASCII locale

    explain = None
    try:
        outcome, explain = _run(argv, program)
    except KeyboardInterrupt:
        outcome = Outcome.of(TERMINATED_BY_USER)
    except ImportError as e:
        from ..missing_dependency import missing_dependency
        outcome = Outcome(1, complaint=missing_dependency(e))
    except Exception as e:
        outcome = Outcome(1, complaint='error: ' + ' '.join(f'{type(e).__name__}: {e}'.split()))
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})

    written = _print(outcome.output, sys.stdout) and _print(outcome.complaint, sys.stderr)
    if explain is not None:
        _print(explain(), sys.stderr)
    status = outcome.status if written or outcome.status else 1
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    return status if status == 0 or status % 256 else 1  # the shell sees eight bits, and no failure may look like a 0


def _run(argv: list[str], program: str) -> tuple[Outcome, Callable[[], str] | None]:
    """The outcome of a command line and, for a failure of the daemon's, what finds out what to do about it."""
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
        return Outcome(1, complaint=f'error: {e}'), None

    import Pyro4  # noqa: F401  where it is missing this raises, and is not taken for a daemon that does not answer

    module, function = command.run.split(':')
    run: Callable[..., Outcome] = getattr(import_module(f'.{module}', __package__), function)
    arguments, options = values
    with HearingCtrlC():
        pass  # one that came while packages were loaded: nothing has been asked yet
    outcome = run(focusd, *arguments, **options)
    if outcome.status == CommandStatus.Succeeded or outcome.complaint:
        return outcome, None
    return outcome, lambda: _remedy(program, command, focusd, outcome.status, arguments)


def _remedy(program: str, command: Command, focusd: Focusd, status: int, arguments: list[Any]) -> str:
    from .commands import CHANNEL
    from .hints import remedy
    channel = arguments[0] if command.arguments[:1] == (CHANNEL,) else None
    return remedy(program, command.name, focusd, status, channel)


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
    """The file that FOCUSD_CONFIG_PATH names, or the only one of the machine. Raises ConfigError."""
    from ..config import ConfigError
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

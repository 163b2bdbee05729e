# SPDX-License-Identifier: GPL-3.0-or-later
"""The help texts, made from the table of commands."""

from __future__ import annotations

import textwrap

from ..constants import CommandStatus
from .commands import COMMANDS, Command

_WIDTH = 79
_LONGEST = 26   # of a synopsis in the overview


def usage(program: str) -> str:
    """Every command of the table in its group, one line each; what a synopsis has too much for that is `...`."""
    synopses = {command: _short(command) for command in COMMANDS}
    width = max(map(len, synopses.values()))
    lines = [f'usage: {program} <command> [<arguments>]', f'       {program} <command> --help']
    for group in dict.fromkeys(command.group for command in COMMANDS):
        lines += ['', f'{group} commands:']
        lines += [f'   {synopsis:{width}}   {command.summary}' for command, synopsis in synopses.items()
                  if command.group == group]
    return '\n'.join(lines)


def _short(command: Command) -> str:
    synopsis = command.synopsis
    return synopsis if len(synopsis) <= _LONGEST else synopsis.partition(' [')[0] + ' ...'


def explained(command: Command, program: str) -> str:
    """One command: synopsis, description, examples, exit codes."""
    blocks = [f'usage: {program} {command.synopsis}', f'{command.summary[0].upper()}{command.summary[1:]}.']
    blocks += [textwrap.fill(paragraph, _WIDTH) for paragraph in command.details.split('\n\n')]
    examples = [(f'{program} {words}', what) for words, what in command.examples]
    if examples:
        blocks.append(_listed('examples', examples))
    blocks.append(_listed('exit codes', [(str(code), what) for code, what in exit_codes(command)]))
    return '\n\n'.join(blocks)


def exit_codes(command: Command) -> list[tuple[int, str]]:
    """What a command can exit with, as a shell shows it, and what that means."""
    failed = [_plain(1)] if 1 in command.statuses else []
    codes = [(0, 'done'), (1, ', or '.join([*failed, 'the configuration cannot be used']))]
    codes += [(status % 256, _plain(status)) for status in command.statuses if status != 1]
    return sorted([*codes, (255, 'wrong arguments')])


def _plain(status: int) -> str:
    return CommandStatus.message(status)[len('error: '):]


def _listed(title: str, rows: list[tuple[str, str]]) -> str:
    width = max(len(left) for left, _ in rows)
    return '\n'.join([f'{title}:', *(f'   {left:{width}}   {right}' for left, right in rows)])

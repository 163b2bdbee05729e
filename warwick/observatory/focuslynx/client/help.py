# SPDX-License-Identifier: GPL-3.0-or-later
"""The help texts, made from the table of commands."""

from __future__ import annotations

import textwrap

from ..constants import CommandStatus
from .commands import COMMANDS, Command
from .terminal import TEXT_WIDTH

_LONGEST_SYNOPSIS = 26   # in the list of commands


def usage(program: str) -> str:
    """The list of commands: one line for each, in its group. A long synopsis is cut and ends with `...`."""
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
    return synopsis if len(synopsis) <= _LONGEST_SYNOPSIS else synopsis.partition(' [')[0] + ' ...'


def explained(command: Command, program: str) -> str:
    """The help of one command: synopsis, description, examples, exit codes."""
    blocks = [f'usage: {program} {command.synopsis}', f'{command.summary[0].upper()}{command.summary[1:]}.']
    blocks += [textwrap.fill(paragraph, TEXT_WIDTH) for paragraph in command.details.split('\n\n')]
    examples = [(f'{program} {words}', what) for words, what in command.examples]
    if examples:
        blocks.append(_listed('examples', examples))
    blocks.append(_listed('exit codes', [(str(code), what) for code, what in exit_codes(command)]))
    return '\n\n'.join(blocks)


def exit_codes(command: Command) -> list[tuple[int, str]]:
    """The exit codes of a command, as a shell shows them, each with its meaning."""
    failed = [_meaning(1)] if 1 in command.statuses else []
    codes = [(0, 'done'), (1, ', or '.join([*failed, 'the configuration cannot be used']))]
    codes += [(status % 256, _meaning(status)) for status in command.statuses if status != 1]
    return sorted([*codes, (255, 'wrong arguments')])


def _meaning(status: int) -> str:
    return CommandStatus.message(status)[len('error: '):]


def _listed(title: str, rows: list[tuple[str, str]]) -> str:
    width = max(len(left) for left, _ in rows)
    return '\n'.join([f'{title}:', *(f'   {left:{width}}   {right}' for left, right in rows)])

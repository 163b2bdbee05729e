# SPDX-License-Identifier: GPL-3.0-or-later
"""The bash completion, in a real bash, against the table of commands."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pexpect
import pytest

from warwick.observatory.focuslynx.cli import COMMANDS

COMPLETION = Path(__file__).resolve().parents[2] / 'completion' / 'focus'
BASH = shutil.which('bash') or ''
NAMES = [command.name for command in COMMANDS]
WITH_CHANNEL = [command.name for command in COMMANDS if command.arguments]

pytestmark = pytest.mark.skipif(not BASH, reason='bash is not installed')


def complete(*words: str) -> list[str]:
    """What Tab offers after `words`, the last of which is being typed, in a bash that finds no program at all."""
    script = 'PATH=; source "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _focus; printf "%s\\n" "${COMPREPLY[@]}"'
    completed = subprocess.run([BASH, '--norc', '-c', script, COMPLETION, *words], capture_output=True,
                               encoding='utf-8', timeout=60)
    assert (completed.returncode, completed.stderr) == (0, '')
    return completed.stdout.split()


def test_the_first_word_is_any_command_of_the_table_or_help() -> None:
    assert complete('focus', '') == [*NAMES, 'help']


def test_a_beginning_narrows_the_choice() -> None:
    assert complete('focus', 'st') == ['stop', 'status']


@pytest.mark.parametrize('name', [*NAMES, 'help', 'nonsense'])
def test_a_channel_is_offered_to_the_commands_that_take_one(name: str) -> None:
    assert complete('focus', name, '') == (['1', '2'] if name in WITH_CHANNEL else [])


@pytest.mark.parametrize('name', NAMES)
def test_nothing_is_offered_after_the_channel(name: str) -> None:
    assert complete('focus', name, '1', '') == []


def test_tab_completes_a_command_line_in_an_interactive_bash() -> None:
    bash = pexpect.spawn(BASH, ['--norc', '--noprofile', '-i'], encoding='utf-8', timeout=20,
                         env={'PATH': '/nonexistent', 'PS1': 'ready> ', 'TERM': 'dumb'})
    bash.expect_exact('ready> ')
    bash.sendline(f'source "{COMPLETION}"; focus() {{ echo "called with <$1> <$2>"; }}')
    bash.expect_exact('ready> ')
    bash.send('focus off\t1\r')
    bash.expect_exact('called with <offset> <1>')
    bash.close()

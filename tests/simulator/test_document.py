# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/simulator.md against the program: its lists are the tables, its examples print what they say they print."""
from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.simulator.harness import DEADLINE_S, ROOT
from warwick.observatory.focuslynx.simulator.control import CONTROL_COMMANDS
from warwick.observatory.focuslynx.simulator.motion import Leg
from warwick.observatory.focuslynx.simulator.personalities import PERSONALITIES
from warwick.observatory.focuslynx.simulator.settings import SETTINGS, Setting

DOCUMENT = ROOT / 'docs/simulator.md'
TITLES = {'channel': 'Of a channel', 'hub': 'Of the hub', 'link': 'Of the link'}


def default(row: Setting) -> str:
    value = row.default
    if row.name == 'nickname':
        return 'FocusLynx Foc1, FocusLynx Foc2'
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, tuple):
        return ','.join(map(str, value))
    return f'{value:g}' if isinstance(value, float) else str(value)


def settings_as_markdown(scope: str) -> str:
    lines = [f'### {TITLES[scope]}', '', '| name | meaning | accepts | default |', '|---|---|---|---|']
    for row in SETTINGS.values():
        if row.scope == scope:
            lines.append(f'| `{row.name}` | {row.help} | {row.kind.accepts} | `{default(row)}` |')
    return '\n'.join(lines)


def commands_as_markdown() -> str:
    lines = ['| command | what it does |', '|---|---|']
    lines += [f'| `{command.usage}` | {command.help} |' for command in CONTROL_COMMANDS.values()]
    return '\n'.join(lines)


@pytest.mark.parametrize('scope', TITLES)
def test_it_lists_every_setting_as_the_program_has_it(scope: str) -> None:
    assert settings_as_markdown(scope) in DOCUMENT.read_text('utf-8')


def test_it_lists_every_control_command_as_the_program_has_it() -> None:
    assert commands_as_markdown() in DOCUMENT.read_text('utf-8')


def test_it_lists_every_personality_as_the_program_has_it() -> None:
    rows = [f'| `{row.name}` | {row.help} |' for row in PERSONALITIES.values()]
    assert '\n'.join(['| personality | what it is |', '|---|---|', *rows, '']) in DOCUMENT.read_text('utf-8')


def examples() -> list[list[tuple[str, str]]]:
    """The console blocks: commands and what they print."""
    blocks = []
    for block in re.findall(r'```console\n(.*?)```', DOCUMENT.read_text('utf-8'), re.DOTALL):
        parts = re.split(r'^\$ (.*)\n', block, flags=re.MULTILINE)
        assert parts[0] == ''
        blocks.append(list(zip(parts[1::2], parts[2::2])))
    return blocks


def test_its_example_of_a_test_without_a_process_does_what_it_says() -> None:
    block = DOCUMENT.read_text('utf-8').split('## In a test')[1].split('```python\n')[1].split('```')[0]
    names: dict[str, Any] = {}
    exec(block, names)
    assert names['hub'].focusers[1].position == 40000
    assert Leg(32767, 40000, 0.0, 1000.0).end == pytest.approx(7.233)


def test_its_examples_print_what_they_say(tmp_path: Path) -> None:
    environment = {**os.environ, 'PYTHONPATH': str(ROOT)}
    background: list[subprocess.Popen[str]] = []

    def arguments(command: str) -> list[str]:
        words = shlex.split(command.replace('/tmp/', f'{tmp_path}/'))
        return [sys.executable, *words[1:]] if words[0] == 'python3' else words

    tried = 0
    try:
        for block in examples():
            for command, printed in block:
                tried += 1
                expected = printed.replace('/tmp/', f'{tmp_path}/')
                if command.endswith(' &'):
                    background.append(subprocess.Popen(arguments(command[:-2]), stdout=subprocess.PIPE, text=True,
                                                       env=environment, cwd=tmp_path))
                    output = background[-1].stdout
                    assert output is not None and output.readline() == expected
                elif command == 'kill %1':
                    ended = background.pop()
                    ended.terminate()
                    ended.communicate(timeout=DEADLINE_S)
                    assert ended.returncode == 0
                else:
                    done = subprocess.run(arguments(command), env=environment, cwd=tmp_path, capture_output=True,
                                          text=True, timeout=DEADLINE_S, check=False)
                    assert done.stdout + done.stderr == expected, command
    finally:
        for process in background:
            process.kill()
            process.communicate()
    assert tried >= 8

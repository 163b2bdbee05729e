# SPDX-License-Identifier: GPL-3.0-or-later
"""The completions, in a real bash, zsh and fish that find no program at all, against the table of commands."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType
from typing import Any

import pexpect
import pytest

from warwick.observatory.focuslynx.client.commands import COMMANDS, SETTING
from warwick.observatory.focuslynx.hub_settings import DEVICE_TYPES, HUB_SETTINGS

COMPLETION = Path(__file__).resolve().parents[2] / 'completion'
NAMES = [command.name for command in COMMANDS]
VALUES = {'off': ['on', 'off'], 'E': list('ABCDE'), 'ZZ': list(DEVICE_TYPES), 'defaults': ['defaults']}
NOTHING_TO_RUN = {'PATH': '/nonexistent', 'TERM': 'dumb', 'HOME': '/nonexistent', 'LANG': 'C.UTF-8'}


def expected() -> dict[str, list[str]]:
    """What has to be offered for each beginning of a command line, as the table has it."""
    offers = {'focus ': [*NAMES, 'help'], 'focus st': [n for n in NAMES if n.startswith('st')], 'focus help ': NAMES,
              'focus nonsense ': [], 'focus nonsense --': [], 'focus help set ': [], 'focus set 1 -': []}
    for command in COMMANDS:
        words = ''
        for argument in command.arguments:
            choices = HUB_SETTINGS if argument is SETTING else argument.choices
            offers[f'focus {command.name} {words}'] = list(choices)
            words += (argument.choices or ('word',))[0] + ' '
        offers[f'focus {command.name} {words}'] = []
        offers[f'focus {command.name} {words}--'] = [*command.options, '--help']
    for key, setting in HUB_SETTINGS.items():
        offers[f'focus configure 2 {key} '] = VALUES.get(setting.kind.accepts.split()[-1], [])
    offers['focus configure --yes 1 '] = list(HUB_SETTINGS)
    offers['focus configure 1 --yes reverse '] = ['on', 'off']
    offers['focus configure 1 compensation_mode --'] = ['--yes', '--help']
    offers['focus info --'] = ['--json', '--help']
    offers['focus set 1 reverse '] = []
    return offers


class Bash:
    def offers(self, lines: list[str]) -> dict[str, list[str]]:
        return {line: self._offered(line.split(' ')) for line in lines}

    def _offered(self, words: list[str]) -> list[str]:
        script = 'source "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _focus; printf "%s\\n" "${COMPREPLY[@]}"'
        completed = subprocess.run([shutil.which('bash') or '', '--norc', '-c', script, COMPLETION / 'focus', *words],
                                   capture_output=True, encoding='utf-8', env=NOTHING_TO_RUN, timeout=60)
        assert (completed.returncode, completed.stderr) == (0, '')
        return completed.stdout.split()


class Zsh:
    """An interactive zsh, whose Tab is pressed; what it would show is recorded on the way to it."""

    def __init__(self, record: Path) -> None:
        self._record = record
        self.shell = pexpect.spawn(shutil.which('zsh') or '', ['-f', '-i'], encoding='utf-8', timeout=20,
                                   env={**NOTHING_TO_RUN, 'PS1': 'ready> ', 'RECORD': str(record)})
        self.shell.expect_exact('ready> ')
        self.run(f'autoload -Uz compinit; compinit -D -u; source "{COMPLETION}/_focus"; compadd() {{ local -a found; '
                 'builtin compadd -O found "$@"; print -rl -- $found >>$RECORD; builtin compadd "$@" }')

    def run(self, typed: str) -> None:
        # What is echoed is not what is printed
        self.shell.send(f"{typed}; print do''ne\r")
        self.shell.expect_exact('done')
        self.shell.expect_exact('ready> ')

    def offers(self, lines: list[str]) -> dict[str, list[str]]:
        found = {}
        for line in lines:
            self._record.write_text('')
            self.run(f'{line}\t\x15true')
            found[line] = list(dict.fromkeys(self._record.read_text().split()))
        return found


class Fish:
    def offers(self, lines: list[str]) -> dict[str, list[str]]:
        script = 'source $argv[1]; for line in $argv[2..]; complete -C $line; echo "end of $line"; end'
        completed = subprocess.run(
            [shutil.which('fish') or '', '--no-config', '-c', script, COMPLETION / 'focus.fish', *lines],
            capture_output=True, encoding='utf-8', env=NOTHING_TO_RUN, timeout=60)
        assert completed.returncode == 0, completed
        found, rest = {}, completed.stdout
        for line in lines:
            block, rest = rest.split(f'end of {line}\n', 1)
            found[line] = [offer.split('\t')[0] for offer in block.splitlines()]
        return found


@pytest.fixture(params=['bash', 'zsh', 'fish'])
def shell(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    if not shutil.which(request.param):
        pytest.skip(f'{request.param} is not installed')
    makers: dict[str, Callable[[], Any]] = {'bash': Bash, 'zsh': lambda: Zsh(tmp_path / 'offers'), 'fish': Fish}
    made = makers[request.param]()
    yield made
    if request.param == 'zsh':
        made.shell.close(force=True)


def test_a_shell_offers_what_the_table_has_and_nothing_after_that(shell: Any) -> None:
    wanted = expected()
    if isinstance(shell, Fish):  # which sorts
        offered = {line: sorted(words) for line, words in shell.offers(list(wanted)).items()}
        assert offered == {line: sorted(words) for line, words in wanted.items()}
    else:
        assert shell.offers(list(wanted)) == wanted


@pytest.fixture(scope='module')
def generator() -> ModuleType:
    loader = SourceFileLoader('generate_completions', str(COMPLETION / 'generate.py'))
    spec = spec_from_loader(loader.name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


@pytest.mark.parametrize('name', ['focus', '_focus', 'focus.fish'])
def test_the_scripts_are_those_that_the_generator_writes(generator: ModuleType, name: str) -> None:
    assert (COMPLETION / name).read_text() == generator.SCRIPTS[name](), 'run completion/generate.py'


def test_every_value_that_is_offered_is_accepted() -> None:
    offered = {key: setting.kind.choices for key, setting in HUB_SETTINGS.items()}
    assert {key for key, values in offered.items() if values} >= {'reverse', 'backlash', 'device_type', 'reset'}
    for key, values in offered.items():
        for value in values:
            HUB_SETTINGS[key].parse(value)


def test_tab_completes_a_command_line_in_an_interactive_bash() -> None:
    bash = pexpect.spawn(shutil.which('bash') or '', ['--norc', '--noprofile', '-i'], encoding='utf-8', timeout=20,
                         env={**NOTHING_TO_RUN, 'PS1': 'ready> '})
    bash.expect_exact('ready> ')
    bash.sendline(f'source "{COMPLETION}/focus"; focus() {{ echo "called with <$1> <$2>"; }}')
    bash.expect_exact('ready> ')
    bash.send('focus off\t1\r')
    bash.expect_exact('called with <offset> <1>')
    bash.close()

# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/operations.md against the programs: every command is run, every message is there.

Each section is played on a machine of its own, which `stage.sh` sets up: real programs in namespaces, focusd at the
address and with the configuration of CLASP, the simulated hub at /dev/focuser. Three things are not what they are on a
mountain: the journal is filled from the output of focusd; udevadm sees a USB adapter that umockdev pretends; and there
is no running systemd, so that `systemctl` works on files, and a stage direction starts what the unit says.

The blocks that are not run are in `CHECKS`, with what is checked of them.
"""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Callable

import pytest

from tests.docs.document import Direction, NotRun, Typed, sections
from tests.docs.stage import ROOT, Stage, why_not
from warwick.observatory.focuslynx.client.commands import COMMANDS
from warwick.observatory.focuslynx.hub_settings import find

SECTIONS = sections((ROOT / 'docs/operations.md').read_text('utf-8'))
NO_STAGE = why_not()

needs_a_stage = pytest.mark.skipif(NO_STAGE is not None, reason=str(NO_STAGE))


@needs_a_stage
@pytest.mark.parametrize('heading', SECTIONS)
def test_the_commands_of_a_section_do_what_it_says(heading: str) -> None:
    ran = 0
    with Stage() as stage:
        for part in SECTIONS[heading]:
            if isinstance(part, Direction):
                for line in part.script.splitlines():
                    assert stage.run(line) == ('', 0), line
            elif isinstance(part, Typed):
                ran += 1
                printed, status = stage.run(part.command)
                assert part.prints(printed), f'$ {part.command}\n{printed}'
                failed = part.shown.startswith('error:')
                assert (status != 0) == failed, f'$ {part.command}\n{printed}exit status {status}'
            else:
                for command in part.commands:
                    check(stage, command)
    assert ran


def check(stage: Stage, command: str) -> None:
    """Look at a command that cannot be run as far as that is possible."""
    words = [word for word in shlex.split(command) if word != 'sudo']
    CHECKS[words[0]](stage, command, words[1:])


def check_systemctl(stage: Stage, command: str, words: list[str]) -> None:
    """It takes the command, and finds the unit; what it does with files, it does."""
    printed, status = stage.run(command)
    assert status == 0, printed
    assert 'Created symlink' in printed if 'enable' in words else 'ignoring command' in printed, printed
    for unit in words[1:]:
        assert unit == 'focusd@clasp'
        assert stage.run('test -e /etc/systemd/system/focusd@.service -a -e /etc/focusd/clasp.json') == ('', 0)


def check_udevadm(stage: Stage, command: str, words: list[str]) -> None:
    """It takes the options, and fails only for want of udevd."""
    printed, status = stage.run(command)
    assert status == 0 or printed == 'Failed to send reload request: No such file or directory\n', printed


def check_firewall_cmd(stage: Stage, command: str, words: list[str]) -> None:
    """The service exists, and has the port of the daemon's entry."""
    for service in [word.split('=')[1] for word in words if word.startswith('--add-service=')]:
        assert '<port protocol="tcp" port="9036"/>' in (ROOT / f'config/{service}.xml').read_text('utf-8')
    assert {word.split('=')[0] for word in words} <= {'--permanent', '--add-service', '--reload'}


def check_dnf(stage: Stage, command: str, words: list[str]) -> None:
    """The packages are made here."""
    names = set()
    for spec in (ROOT / 'packaging').glob('*.spec'):
        text = spec.read_text('utf-8')
        name = re.findall(r'^Name:\s*(\S+)', text, re.MULTILINE)[0]
        names |= {name, *re.findall(r'^%package -n (\S+)', text, re.MULTILINE)}
        names |= {f'{name}-{part}' for part in re.findall(r'^%package ([^-\s]\S*)', text, re.MULTILINE)}
    assert words[0] == 'install' and set(words[1:]) <= names, names


def check_focus(stage: Stage, command: str, words: list[str]) -> None:
    """A block that is run elsewhere has it too."""
    assert any(isinstance(part, Typed) and part.command == command for parts in SECTIONS.values() for part in parts)


CHECKS: dict[str, Callable[[Stage, str, list[str]], None]] = {
    'systemctl': check_systemctl, 'udevadm': check_udevadm, 'firewall-cmd': check_firewall_cmd, 'dnf': check_dnf,
    'focus': check_focus,
}


PROSE = re.sub(r'^```.*?^```$|^ +```.*?^ +```$|<!--.*?-->', '', (ROOT / 'docs/operations.md').read_text('utf-8'),
               flags=re.DOTALL | re.MULTILINE)
OURS, TOOLS = ('focus', 'focusd'), ('df', 'journalctl', 'ls', 'make', 'rpm', 'ss', 'sudo', 'systemctl')
INLINE = [code.split() for code in sorted(set(re.findall('`([a-z]+ [^`]+)`', PROSE)))]


@pytest.mark.parametrize('command', [' '.join(words) for words in INLINE if words[0] in OURS])
def test_a_command_within_a_sentence_is_one_that_the_program_takes(command: str) -> None:
    program, name, *words = shlex.split(command)
    if program == 'focusd':
        assert name in ('--check', '--version')
        return
    row = next((row for row in COMMANDS if row.name == name), None)
    assert row is not None
    if not words and row.arguments:
        return   # a sentence about the command
    parsed = row.parsed(words)
    assert parsed is not None
    arguments, _ = parsed
    if name == 'configure' and len(arguments) == 3:
        find(arguments[1]).parse(arguments[2])


@needs_a_stage
@pytest.mark.parametrize('command', [' '.join(words) for words in INLINE if words[0] in TOOLS])
def test_a_tool_within_a_sentence_is_there(command: str) -> None:
    assert shutil.which(next(word for word in command.split() if word != 'sudo'))


def test_commands_within_sentences_are_found() -> None:
    commands = {' '.join(words) for words in INLINE}
    assert {'focus init', 'focus stop 1', 'focus configure 1 reverse on', 'sudo chmod 755 /etc/focusd'} <= commands


def test_there_are_few_commands_that_are_not_run() -> None:
    parts = [part for section in SECTIONS.values() for part in section]
    not_run = [command for part in parts if isinstance(part, NotRun) for command in part.commands]
    assert len(not_run) * 5 < sum(isinstance(part, Typed) for part in parts)


@pytest.mark.parametrize('name', sorted(path.name for path in (ROOT / 'docs').glob('*.md')))
def test_the_links_of_a_document_lead_somewhere(name: str) -> None:
    for text, target in re.findall(r'(?<!!)\[([^]]+)\]\(([^)\s]+)\)', (ROOT / 'docs' / name).read_text('utf-8')):
        file, _, anchor = target.partition('#')
        if '://' not in target:
            linked = (ROOT / 'docs' / (file or name)).resolve()
            assert linked.exists(), f'[{text}]({target})'
            assert not anchor or anchor in anchors(linked.read_text('utf-8')), f'[{text}]({target})'


def anchors(text: str) -> set[str]:
    """The names of the headings, as GitHub makes them."""
    headings = re.findall(r'^#+ (.*)$', re.sub(r'^```.*?^```$', '', text, flags=re.DOTALL | re.MULTILINE), re.MULTILINE)
    return {re.sub(r'[^\w\- ]', '', heading.lower()).replace(' ', '-') for heading in headings}

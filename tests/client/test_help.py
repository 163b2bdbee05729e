# SPDX-License-Identifier: GPL-3.0-or-later
"""The help of each command, and the table that it is made from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from warwick.observatory.focuslynx.client import main as cli
from warwick.observatory.focuslynx.client.commands import CHANNEL, COMMANDS, Argument, Command, integer, one_of

if TYPE_CHECKING:
    from tests.client.conftest import Client, Daemon

NAMES = [command.name for command in COMMANDS]


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    status = cli.main(list(words), 'refocus')
    output, complaint = capsys.readouterr()
    assert complaint == ''
    return status, output


@pytest.mark.parametrize('command', COMMANDS, ids=NAMES)
def test_the_help_of_a_command_has_all_its_parts(
    capsys: pytest.CaptureFixture[str], command: Command
) -> None:
    status, text = printed(capsys, command.name, '--help')
    assert status == 0
    blocks = text.split('\n\n')
    assert blocks[0] == f'usage: refocus {command.synopsis}'
    assert blocks[1].lower() == f'{command.summary}.'.lower()
    assert ' '.join(' '.join(blocks[2:-2]).split()) == ' '.join(command.details.split())
    assert blocks[-2].splitlines()[0] == 'examples:'
    assert [line.split()[:2] for line in blocks[-2].splitlines()[1:]] == [['refocus', command.name]] * len(
        command.examples)
    assert blocks[-1].splitlines()[:2] == ['exit codes:', '   0     done']
    assert {int(line.split()[0]) for line in blocks[-1].splitlines()[1:]} == {
        0, 1, 255, *(status % 256 for status in command.statuses)}
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize('words', [('set', '-h'), ('set', '1', '--help'), ('help', 'set'), ('-h', 'set'),
                                   ('--help', 'set'), ('set', '1', '500', '--help')], ids=' '.join)
def test_every_way_to_ask_for_help_gives_the_same(capsys: pytest.CaptureFixture[str], words: tuple[str, ...]) -> None:
    assert printed(capsys, *words) == printed(capsys, 'set', '--help')


def test_help_for_an_unknown_command_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    status, text = printed(capsys, 'help', 'sett')
    assert (status, text.splitlines()[0]) == (255, "error: unknown command 'sett'")


def test_the_help_of_a_command_needs_neither_daemon_nor_configuration(client: Client) -> None:
    client.config.unlink()
    completed = client.run('status', '--help', PYTHONPATH='')
    assert (completed.returncode, completed.stderr) == (0, '')
    assert completed.stdout.startswith('usage: focus status\n')


@pytest.mark.parametrize('command', COMMANDS, ids=NAMES)
def test_each_example_is_a_command_line_that_is_accepted(command: Command) -> None:
    for line, _ in command.examples:
        name, *words = line.split(' >>')[0].split()
        assert name == command.name
        assert command.parsed(words) is not None


@pytest.mark.parametrize('command', COMMANDS, ids=NAMES)
def test_each_row_names_a_function(command: Command) -> None:
    from importlib import import_module
    module, function = command.run.split(':')
    assert callable(getattr(import_module(f'warwick.observatory.focuslynx.client.{module}'), function))


CONFIGURE = Command(
    'engineering', 'configure', (CHANNEL, one_of('led', 'nickname', optional=True),
                                 Argument('<value>', str, optional=True)),
    'summary', 'details', (('configure 1', 'what it does'),), (), 'module:function', ('--yes', '--dry-run'))


def test_optional_arguments_and_options_are_in_the_synopsis() -> None:
    assert CONFIGURE.synopsis == 'configure (1|2) [(led|nickname) <value>] [--yes] [--dry-run]'


@pytest.mark.parametrize('words, values', [
    (['1'], ([1], {})),
    (['1', 'led', '50'], ([1, 'led', '50'], {})),
    (['--yes', '1', 'nickname', 'a b', '--dry-run'], ([1, 'nickname', 'a b'], {'yes': True, 'dry_run': True})),
    ([], None), (['1', 'led'], None), (['1', 'colour', 'x'], None), (['1', 'led', '5', '6'], None), (['--yes'], None),
    (['1', '--no'], None), (['3'], None),
])
def test_arguments_are_read_by_the_table(words: list[str], values: object) -> None:
    assert CONFIGURE.parsed(words) == values


@pytest.mark.parametrize('option', ['-h', '--help'])
@pytest.mark.parametrize('words', [(), ('1',), ('1', 'nickname'), ('1', 'nickname', 'North'), ('--yes', '1', 'reset'),
                                   ('nonsense',)], ids=str)
def test_help_goes_before_every_other_meaning_of_the_words(
    client: Client, daemon: Daemon, words: tuple[str, ...], option: str
) -> None:
    completed = client.run('configure', *words, option, FOCUSD_CONFIG_PATH='/nonexistent')
    assert (completed.returncode, completed.stderr) == (0, '')
    assert completed.stdout.startswith('usage: focus configure (1|2) ')
    assert client.run('configure', option, *words).stdout == completed.stdout
    assert daemon.control.calls() == []


def test_integers_are_decimal() -> None:
    assert integer(' +007 ') == 7
    with pytest.raises(ValueError):
        integer('7.0')

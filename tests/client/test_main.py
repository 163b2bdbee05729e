# SPDX-License-Identifier: GPL-3.0-or-later
"""Which configuration the client takes, and what it says where there is none to take."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from warwick.observatory.focuslynx.client import main as cli

if TYPE_CHECKING:
    from tests.client.conftest import Client, Daemon


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(cli, 'CONFIG_DIRECTORY', str(tmp_path))
    monkeypatch.delenv('FOCUSD_CONFIG_PATH', raising=False)
    return tmp_path


def complaint(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert cli.main(list(arguments) or ['status'], 'focus') == 1
    output, error = capsys.readouterr()
    assert output == ''
    assert error.count('\n') == 1
    return error.rstrip('\n')


REMEDY = 'name a configuration file in FOCUSD_CONFIG_PATH'


def test_an_empty_directory_is_named(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (directory / 'site.json.rpmsave').touch()
    (directory / '.hidden.json').touch()
    assert complaint(capsys) == f'error: {directory}: holds no configuration (*.json); {REMEDY}'


def test_a_missing_directory_is_named(
    directory: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, 'CONFIG_DIRECTORY', str(directory / 'none'))
    assert complaint(capsys) == f'error: {directory}/none: holds no configuration (*.json); {REMEDY}'


def test_several_files_are_named(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ('b.json', 'a.json'):
        (directory / name).touch()
    assert complaint(capsys) == f'error: {directory}: holds several configurations (a.json, b.json); {REMEDY}'


def test_a_directory_that_is_none_is_named(
    directory: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (directory / 'file').touch()
    monkeypatch.setattr(cli, 'CONFIG_DIRECTORY', str(directory / 'file'))
    assert complaint(capsys) == f'error: {directory}/file: cannot be read: Not a directory; {REMEDY}'


def test_the_only_file_of_the_directory_is_taken(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (directory / 'only.json').write_text('[]')
    assert complaint(capsys).startswith(f'error: {directory}/only.json: []: must be a JSON object')


def test_the_environment_goes_before_the_directory(
    directory: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (directory / 'only.json').write_text('[]')
    monkeypatch.setenv('FOCUSD_CONFIG_PATH', str(directory / 'other.json'))
    assert complaint(capsys) == f'error: {directory}/other.json: cannot be read: No such file or directory'


def test_an_empty_variable_does_not_stand_for_the_real_focuser(
    directory: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (directory / 'only.json').write_text('[]')
    monkeypatch.setenv('FOCUSD_CONFIG_PATH', '')
    assert complaint(capsys) == ('error: FOCUSD_CONFIG_PATH is set, but empty: '
                                 'it must be the path of a configuration file')


@pytest.mark.parametrize('command', [['set', '1', '5'], ['stop', '1'], ['zero', '2'], ['init'], ['kill'], ['json']])
def test_every_command_refuses_a_file_without_a_known_daemon(
    directory: Path, capsys: pytest.CaptureFixture[str], settings: dict[str, Any], command: list[str]
) -> None:
    path = directory / 'wrong.json'
    path.write_text(json.dumps(dict(settings, daemon=9036)))
    assert complaint(capsys, *command) == f'error: {path}: daemon: 9036: must be a string'


def test_a_wrong_configuration_gives_one_line_and_exit_1(
    client: Client, settings: dict[str, Any]
) -> None:
    client.config.write_text(json.dumps({key: value for key, value in settings.items() if key != 'daemon'}))
    completed = client.run('status')
    assert (completed.returncode, completed.stdout) == (1, '')
    assert completed.stderr == f'error: {client.config}: daemon: required key is missing\n'


def test_what_is_wrong_in_other_keys_does_not_stop_the_client(
    client: Client, daemon: Daemon, settings: dict[str, Any]
) -> None:
    client.config.write_text(json.dumps(dict(settings, serial_baud='fast', colour='red', move_timeout=-1)))
    completed = client.run('status')
    assert (completed.returncode, completed.stderr) == (0, '')


def test_a_broken_site_file_is_one_line_too(client: Client) -> None:
    with open(client.environment['OBSERVATORY_SITE'], 'w') as site:
        site.write('{')
    completed = client.run('status')
    assert (completed.returncode, completed.stdout, completed.stderr.count('\n')) == (1, '', 1)
    assert client.environment['OBSERVATORY_SITE'] in completed.stderr

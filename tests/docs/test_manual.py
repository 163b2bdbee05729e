# SPDX-License-Identifier: GPL-3.0-or-later
"""The manual pages as readers get them: made by tools/manual.py, rendered by groff, and complete."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.stage import ROOT
from warwick.observatory.focuslynx._version import __version__
from warwick.observatory.focuslynx.client.commands import COMMANDS
from warwick.observatory.focuslynx.config import KEYS
from warwick.observatory.focuslynx.constants import CommandStatus
from warwick.observatory.focuslynx.hub_settings import HUB_SETTINGS

PAGES = ('focus.1', 'focusd.8', 'focusd.json.5')
MAKER = ROOT / 'tools/manual.py'


def make(directory: Path | str, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *options, str(MAKER), str(directory)], text=True, check=False, timeout=60,
                          capture_output=True, env={**os.environ, 'SOURCE_DATE_EPOCH': '1700000000', **variables})


@pytest.fixture(scope='module')
def manual(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory with the pages."""
    directory = tmp_path_factory.mktemp('man')
    made = make(directory)
    assert (made.returncode, made.stdout, made.stderr) == (0, '', '')
    return directory


def tool(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        pytest.skip(f'{name} is not installed')
    return path


def rendered(page: Path) -> str:
    """What a reader sees, without what is bold and how lines are broken."""
    shown = subprocess.run([tool('groff'), '-man', '-Tutf8', '-P-cbou', '-rHY=0', str(page)], check=True, text=True,
                           capture_output=True, encoding='utf-8')
    return ' '.join(re.sub('[\\u2010\\u2212]', '-', shown.stdout).split())


def as_read(text: str) -> str:
    return ' '.join(text.replace('`', '').split())


@pytest.mark.parametrize('page', PAGES)
@pytest.mark.parametrize('command', [
    ('groff', '-ww', '-man', '-z'), ('man', '--warnings', '-E', 'UTF-8', '-l', '-Tutf8', '-Z'),
    ('mandoc', '-T', 'lint', '-W', 'all')], ids=lambda command: str(command[0]))
def test_a_page_is_rendered_without_a_warning(manual: Path, page: str, command: tuple[str, ...]) -> None:
    shown = subprocess.run([tool(command[0]), *command[1:], str(manual / page)], text=True, check=False,
                           capture_output=True)
    said = shown.stdout + shown.stderr if command[0] == 'mandoc' else shown.stderr
    assert (shown.returncode, said) == (0, '')


@pytest.mark.parametrize('page', PAGES)
def test_a_page_fits_into_80_columns(manual: Path, page: str) -> None:
    shown = subprocess.run([tool('groff'), '-man', '-Tutf8', '-P-cbou', '-rLL=78n', str(manual / page)], check=True,
                           capture_output=True, encoding='utf-8').stdout
    assert [line for line in shown.splitlines() if len(line) > 80] == []


@pytest.mark.parametrize('page', PAGES)
def test_a_page_has_its_sections(manual: Path, page: str) -> None:
    headings = re.findall(r'^\.SH (.*)$', (manual / page).read_text(), re.MULTILINE)
    wanted = {'NAME', 'SYNOPSIS', 'DESCRIPTION', 'ENVIRONMENT', 'FILES', 'EXAMPLES', 'SEE ALSO'}
    wanted |= set() if page == 'focusd.json.5' else {'EXIT STATUS'}
    assert wanted <= set(headings) and len(headings) == len(set(headings))
    assert all(other in (manual / page).read_text().split('.SH SEE ALSO')[1].replace('\\fB', '').replace('\\fR', '')
               for other in ('focus(1)', 'focusd(8)', 'focusd.json(5)')
               if other != f'{page.rpartition(".")[0]}({page[-1]})')


def test_the_page_of_the_client_has_all_of_its_table(manual: Path) -> None:
    text = rendered(manual / 'focus.1')
    for command in COMMANDS:
        assert re.sub('[<>]', '', command.synopsis) in text
        assert command.summary[1:] in text
        for paragraph in command.details.split('\n\n'):
            assert as_read(paragraph) in text
        for words, _ in command.examples:
            assert f'focus {words}' in text
        for status in command.statuses:
            assert f' {status % 256} ' in text and CommandStatus.message(status)[len('error: '):] in text


def test_the_page_of_the_client_has_every_setting_of_the_hub(manual: Path) -> None:
    text = rendered(manual / 'focus.1').split(' SETTINGS ')[1].split(' EXIT STATUS ')[0]
    for key, setting in HUB_SETTINGS.items():
        row = text.split(f' {key} ')[1]
        assert row.startswith(f'{setting.meaning[0].upper()}{setting.meaning[1:]}. Accepted: {setting.kind.accepts}. ')
        assert (' Wants --yes.' in row[:len(setting.meaning + setting.kind.accepts) + 40]) is setting.dangerous


def test_the_page_of_the_daemon_has_all_of_its_options(manual: Path) -> None:
    text = rendered(manual / 'focusd.8')
    help_text = subprocess.run([sys.executable, str(ROOT / 'focusd'), '--help'], check=True, text=True,
                               capture_output=True, env={**os.environ, 'COLUMNS': '1000'}).stdout
    options = re.findall(r'^  (-\S+)(?:, (--\S+))?(?: [A-Z]+)?\s\s+(.*)$', help_text, re.MULTILINE)
    assert len(options) >= 4
    for short, long, meaning in options:
        assert short in text and long in text and meaning[1:] in text
    for code, meaning in re.findall(r'(\d) ([^;.]+)', help_text.split('Exit codes:')[1]):
        assert f'{code} {as_read(meaning)}' in text


def test_the_page_of_the_configuration_has_every_key(manual: Path) -> None:
    text = rendered(manual / 'focusd.json.5')
    required, optional = text.split('OPTIONAL KEYS')
    for key in KEYS:
        meaning = as_read(key.meaning)
        shown = f' {key.name} {meaning[0].upper()}{meaning[1:]}. Accepted: {as_read(key.kind.accepts)}.'
        assert shown in (required if key.is_required else optional)


def test_the_table_of_keys_in_the_readme_is_the_one_of_the_programs() -> None:
    printed = make('--table-of-keys')
    assert (printed.returncode, printed.stderr) == (0, '')
    assert f'\n\n{printed.stdout}\n' in (ROOT / 'README.md').read_text('utf-8')


def test_the_table_of_settings_in_the_readme_is_the_one_of_the_programs() -> None:
    table = (ROOT / 'README.md').read_text('utf-8').split('| setting | accepted |')[1].split('\n\n')[0]
    rows = {row[0]: row[1:] for row in re.findall(r'^\| `(\w+)`[^|]*\| ([^|]*) \| ([^|]*) \|$', table, re.MULTILINE)}
    assert list(rows) == [key for key in HUB_SETTINGS if key[-2:] not in ('_b', '_c', '_d', '_e')]
    for key, (accepted, meaning) in rows.items():
        setting = HUB_SETTINGS[key]
        assert (' (A)' in meaning) is setting.dangerous
        if not key.endswith('_a'):
            assert meaning.replace(' (A)', '') == setting.meaning
        if key not in ('device_type', 'reset'):
            assert accepted == setting.kind.accepts


@pytest.mark.parametrize('page', PAGES)
def test_a_page_has_the_version_and_the_date_that_was_given(manual: Path, page: str) -> None:
    title = next(line for line in (manual / page).read_text().splitlines() if line.startswith('.TH '))
    assert f' 2023-11-14 "focusd {__version__}" ' in title


def test_the_same_source_gives_the_same_pages(manual: Path, tmp_path: Path) -> None:
    make(tmp_path, PYTHONHASHSEED='7', TZ='Pacific/Auckland', LC_ALL='C')
    assert [(tmp_path / page).read_bytes() for page in PAGES] == [(manual / page).read_bytes() for page in PAGES]


def test_the_pages_are_made_without_the_libraries_of_the_programs(tmp_path: Path) -> None:
    program = ("import runpy, sys; sys.modules.update(Pyro4=None, serial=None, jsonschema=None); "
               f"sys.argv = ['m', {str(tmp_path)!r}]; runpy.run_path({str(MAKER)!r}, run_name='__main__')")
    made = subprocess.run([sys.executable, '-c', program], check=False, text=True, capture_output=True)
    assert (made.returncode, made.stderr) == (0, '') and (tmp_path / 'focus.1').exists()


def test_wrong_arguments_get_one_line_and_2() -> None:
    for arguments in ([], ['a', 'b'], ['--help']):
        made = subprocess.run([sys.executable, str(MAKER), *arguments], check=False, text=True, capture_output=True)
        assert (made.returncode, made.stdout, made.stderr) == (2, '', 'usage: manual.py DIRECTORY | --table-of-keys\n')


def test_a_place_that_cannot_be_written_gets_one_line_and_1(tmp_path: Path) -> None:
    (tmp_path / 'file').write_text('')
    made = make(tmp_path / 'file')
    assert (made.returncode, made.stderr) == (1, f'manual.py: {tmp_path}/file: cannot be written: File exists\n')

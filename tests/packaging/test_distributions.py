# SPDX-License-Identifier: GPL-3.0-or-later
"""Two distributions share the namespace `warwick.observatory`, with each other and with strangers."""

from __future__ import annotations

import json
import re
import shutil
import zipfile
from pathlib import Path

import pytest

from tests.packaging.environments import ROOT, Environment

OWN_DIRECTORIES = {'focuslynx': 'warwick/observatory/focuslynx/', 'common': 'warwick/observatory/common/'}

IMPORT_BOTH = '''
import warwick, warwick.observatory
assert getattr(warwick, '__file__', None) is None and getattr(warwick.observatory, '__file__', None) is None
from warwick.observatory.focuslynx import CommandStatus, Config, FocuserStatus
from warwick.observatory.common import daemons, IP
print(CommandStatus.Succeeded, FocuserStatus.Idle, daemons.clasp_focus.port, IP.LocalHost)
'''


def names_in(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return [name for name in archive.namelist() if not name.endswith('/')]


def metadata_of(wheel: Path) -> str:
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith('.dist-info/METADATA'))
        return archive.read(name).decode().split('\n\n')[0]


@pytest.mark.parametrize('name', ['focuslynx', 'common'])
def test_a_wheel_holds_its_own_package_alone(wheels: dict[str, Path], name: str) -> None:
    packaged = [entry for entry in names_in(wheels[name]) if '.dist-info/' not in entry and '.data/' not in entry]
    assert packaged
    assert [entry for entry in packaged if not entry.startswith(OWN_DIRECTORIES[name])] == []


@pytest.mark.parametrize(('name', 'source'), [('focuslynx', ROOT), ('common', ROOT / 'common')])
def test_a_wheel_holds_every_module_of_its_package(wheels: dict[str, Path], name: str, source: Path) -> None:
    modules = {str(path.relative_to(source)) for path in (source / OWN_DIRECTORIES[name]).rglob('*.py')}
    assert modules <= set(names_in(wheels[name]))


def test_the_programs_are_installed_by_focuslynx_alone(wheels: dict[str, Path]) -> None:
    scripts = {name: {entry.rpartition('/')[2] for entry in names_in(wheels[name]) if '.data/scripts/' in entry}
               for name in ('focuslynx', 'common')}
    assert scripts == {'focuslynx': {'focus', 'focusd'}, 'common': set()}


def test_focuslynx_requires_three_libraries_and_no_common(wheels: dict[str, Path]) -> None:
    required = re.findall(r'^Requires-Dist: ([\w.-]+)', metadata_of(wheels['focuslynx']), re.MULTILINE)
    assert sorted(required) == ['Pyro4', 'jsonschema', 'pyserial']


@pytest.mark.parametrize('name', ['focuslynx', 'common'])
def test_a_wheel_carries_version_licence_and_oldest_python(wheels: dict[str, Path], name: str) -> None:
    metadata = metadata_of(wheels[name])
    version = (ROOT / {'focuslynx': '', 'common': 'common'}[name] / OWN_DIRECTORIES[name] / '_version.py').read_text()
    assert f"__version__ = '{wheels[name].name.split('-')[1]}'" in version
    assert re.search(r'^License(-Expression)?: GPL-3\.0-or-later$', metadata, re.MULTILINE)
    assert 'Requires-Python: >=3.9' in metadata
    licence, = [entry for entry in names_in(wheels[name]) if entry.endswith('/LICENSE')]
    with zipfile.ZipFile(wheels[name]) as archive:
        assert b'GNU GENERAL PUBLIC LICENSE' in archive.read(licence)


def test_the_stand_in_is_not_called_as_the_observatorys_own(wheels: dict[str, Path]) -> None:
    name = re.search(r'^Name: (.*)$', metadata_of(wheels['common']), re.MULTILINE)
    assert name is not None
    assert 'warwick' not in name[1]


@pytest.mark.parametrize('order', [('focuslynx', 'common'), ('common', 'focuslynx')], ids='-then-'.join)
@pytest.mark.parametrize('kinds', [(False, False), (True, True), (False, True)],
                         ids=['wheels', 'editable', 'wheel-then-editable'])
def test_both_can_be_installed(
    environment: Environment, wheels: dict[str, Path], sources: Path,
    order: tuple[str, str], kinds: tuple[bool, bool],
) -> None:
    directories = {'focuslynx': sources, 'common': sources / 'common'}
    for name, editable in zip(order, kinds):
        environment.install(directories[name] if editable else wheels[name], editable)
    assert environment.evaluate(IMPORT_BOTH) == '0 4 9036 127.0.0.1'
    for program in ('focus', 'focusd'):
        assert (environment.directory / 'bin' / program).is_file()


def test_either_can_be_taken_away_without_harm_to_the_other(environment: Environment, wheels: dict[str, Path]) -> None:
    environment.install(wheels['common'])
    environment.install(wheels['focuslynx'])
    environment.uninstall('warwick.observatory.focuslynx')
    assert environment.evaluate('from warwick.observatory.common import IP; print(IP.LocalHost)') == '127.0.0.1'
    environment.install(wheels['focuslynx'])
    environment.uninstall('focusd-standin-common')
    program = 'from warwick.observatory.focuslynx import CommandStatus; print(CommandStatus.Failed)'
    assert environment.evaluate(program) == '1'


def test_an_installed_client_finds_its_daemon_silent(environment: Environment, wheels: dict[str, Path]) -> None:
    environment.install(wheels['focuslynx'])
    environment.install(wheels['common'])
    config = {**json.loads((ROOT / 'test.json').read_text()), 'daemon': 'localhost_test5'}
    (environment.directory / 'test.json').write_text(json.dumps(config))
    result = environment.run(environment.directory / 'bin' / 'focus', 'status', FOCUSD_CONFIG_PATH='test.json')
    assert result.returncode == 155
    assert result.stderr == 'error: no answer from focusd at 127.0.0.1:9004 (is focusd@test running?)\n'
    assert 'error: unable to communicate with focus daemon' in result.stdout


@pytest.fixture
def foreign(environment: Environment, wheels: dict[str, Path]) -> Environment:
    """An environment with the observatory's own common in it."""
    environment.install(wheels['foreign'])
    return environment


@pytest.mark.parametrize('kind', ['directory', 'wheel', 'editable'])
def test_focuslynx_leaves_a_common_that_it_finds_as_it_is(
    foreign: Environment, wheels: dict[str, Path], sources: Path, kind: str
) -> None:
    before = foreign.files('warwick/observatory/common')
    assert before
    foreign.install(wheels['focuslynx'] if kind == 'wheel' else sources, editable=kind == 'editable')
    assert foreign.files('warwick/observatory/common') == before
    where = foreign.evaluate('import warwick.observatory.common as common; print(common.__file__)')
    assert where == str(foreign.site_packages / 'warwick/observatory/common/__init__.py')
    program = 'from warwick.observatory.focuslynx import CommandStatus; print(CommandStatus.Blocked)'
    assert foreign.evaluate(program) == '2'
    assert list(foreign.site_packages.glob('focusd_standin*')) == []


def test_focuslynx_uses_the_names_of_a_foreign_common(foreign: Environment, wheels: dict[str, Path]) -> None:
    foreign.install(wheels['focuslynx'])
    config = json.loads((ROOT / 'test.json').read_text())
    config.update(daemon='foreign_focus', control_machines=['ForeignMachine'])
    path = foreign.directory / 'foreign.json'
    path.write_text(json.dumps(config))
    shown = foreign.evaluate(
        'from warwick.observatory.focuslynx import Config\n'
        f'config = Config({str(path)!r})\n'
        'print(config.daemon.name, config.control_ips)\n'
    )
    assert shown == "foreign_daemon ['127.0.0.1']"
    result = foreign.run(foreign.directory / 'bin' / 'focus', 'status', FOCUSD_CONFIG_PATH=str(path))
    assert result.returncode == 155
    assert result.stderr == 'error: no answer from focusd at 127.0.0.1:1 (is focusd@foreign running?)\n'


@pytest.mark.parametrize('editable', [False, True], ids=['directory', 'editable'])
def test_the_stand_in_refuses_to_go_over_a_foreign_common(
    foreign: Environment, sources: Path, editable: bool
) -> None:
    before = foreign.files('warwick/observatory/common')
    result = foreign.install(sources / 'common', editable, check=False)
    assert result.returncode != 0
    present = foreign.site_packages / 'warwick/observatory/common'
    assert f'focusd-standin-common: not installed: {present} is there already' in result.stdout + result.stderr
    assert foreign.files('warwick/observatory/common') == before


def test_the_stand_in_can_be_installed_again_over_itself(environment: Environment, sources: Path) -> None:
    environment.install(sources / 'common')
    environment.install(sources / 'common', editable=True)
    assert environment.evaluate('from warwick.observatory.common import IP; print(IP.LocalHost)') == '127.0.0.1'


@pytest.mark.parametrize('program', [('focusd', 'test.json'), ('focus', 'status'), ('focus', 'set', '1', '500')])
def test_without_a_common_a_program_says_in_one_line_what_to_install(
    environment: Environment, wheels: dict[str, Path], program: tuple[str, ...]
) -> None:
    environment.install(wheels['focuslynx'])
    shutil.copy(ROOT / 'test.json', environment.directory)
    script, *args = program
    result = environment.run(environment.directory / 'bin' / script, *args, FOCUSD_CONFIG_PATH='test.json')
    lines = (result.stdout + result.stderr).splitlines()
    assert result.returncode == 1
    assert len(lines) == 1, lines
    assert 'warwick.observatory.common' in lines[0]
    assert 'install' in lines[0]


def test_focus_shows_its_usage_without_a_common(environment: Environment, wheels: dict[str, Path]) -> None:
    environment.install(wheels['focuslynx'])
    result = environment.run(environment.directory / 'bin' / 'focus', 'help')
    assert (result.returncode, result.stderr) == (0, '')
    assert 'offset' in result.stdout

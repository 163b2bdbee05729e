# SPDX-License-Identifier: GPL-3.0-or-later
"""Fresh virtual environments, and the distributions to put in them. Nothing here needs a network.

Wheels are built once, from a copy of the clone, with the setuptools of the interpreter that runs the tests. The
libraries that focusd requires are lent to each environment from that interpreter, through a directory of links.
"""

from __future__ import annotations

import shutil
import sys
import sysconfig
import venv
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.packaging.environments import ROOT, Environment, once, pip
from tests.packaging.rpms import Built, Calls, Root, build, copy_clone

# Of a clone, what no distribution is made from
NOT_SOURCE = shutil.ignore_patterns(
    '.git', '.*_cache', '.venv*', '.hypothesis', '__pycache__', '*.egg-info', 'build', 'dist', 'docs', 'tests')

FOREIGN_SETUP = '''
from setuptools import find_namespace_packages, setup
setup(name='the-observatorys-own', version='7', packages=find_namespace_packages(include=['warwick.*']))
'''
# The least that focuslynx may use of a common; the entry and the machine are not those of the stand-in
FOREIGN_INIT = '''
class Entry:
    name, host, port, uri = 'foreign_daemon', '127.0.0.1', 1, 'PYRO:foreign_daemon@127.0.0.1:1'

    def connect(self, timeout=None):
        import Pyro4
        return Pyro4.Proxy(self.uri)


class daemons:
    foreign_focus = Entry()


class IP:
    ForeignMachine = '127.0.0.1'


class TFmt:
    Green = Red = Cyan = Yellow = Bold = Clear = ''
'''
FOREIGN_VALIDATION = '''
def validate_config(config_json, schema, validators):
    raise AssertionError('not needed here')


def daemon_name_validator(validator, value, instance, schema):
    yield from ()


machine_name_validator = daemon_name_validator
'''


@pytest.fixture(scope='session')
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the clone, which may be built in. Its path has a blank."""
    copy = tmp_path_factory.mktemp('sources') / 'a clone'
    shutil.copytree(ROOT, copy, ignore=NOT_SOURCE, symlinks=True)
    return copy


@pytest.fixture(scope='session')
def foreign_sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A distribution with a `warwick.observatory.common` that is not ours."""
    directory = tmp_path_factory.mktemp('foreign')
    package = directory / 'warwick' / 'observatory' / 'common'
    package.mkdir(parents=True)
    (directory / 'setup.py').write_text(FOREIGN_SETUP)
    (package / '__init__.py').write_text(FOREIGN_INIT)
    (package / 'validation.py').write_text(FOREIGN_VALIDATION)
    (package / 'log.py').write_text('def info(table, message): pass\nwarning = error = info\n')
    (package / 'helpers.py').write_text('def pyro_client_matches(addresses): return False\n')
    return directory


@pytest.fixture(scope='session')
def wheels(tmp_path_factory: pytest.TempPathFactory, sources: Path, foreign_sources: Path) -> dict[str, Path]:
    """The wheels of `focuslynx`, `common` (the stand-in) and `foreign`."""
    def fill(directory: Path) -> None:
        for name, source in (('focuslynx', sources), ('common', sources / 'common'), ('foreign', foreign_sources)):
            options = ['--no-index', '--no-deps', '--no-build-isolation', '--wheel-dir', directory / name]
            pip(sys.executable, 'wheel', *options, source)

    return {wheel.parent.name: wheel for wheel in once(tmp_path_factory, 'wheels', fill).glob('*/*.whl')}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A clone of which every file is committed, as it is in this one."""
    return copy_clone(tmp_path)


@pytest.fixture(scope='session')
def rpms(tmp_path_factory: pytest.TempPathFactory, libraries: Path) -> Built:
    """What `make rpm` builds; packages of two commits, the second with another configuration."""
    return Built(once(tmp_path_factory, 'rpms', lambda directory: build(directory, libraries)))


@pytest.fixture
def root(tmp_path: Path) -> Root:
    """One into which nothing has been installed."""
    return Root(tmp_path / 'a root')


@pytest.fixture
def calls(root: Root) -> Calls:
    """Of scriptlets, in `root`."""
    return Calls(root)


@pytest.fixture
def started(root: Root) -> None:
    """`root` appears to be one whose systemd and udev run."""
    (root.top / 'run' / 'systemd' / 'system').mkdir(parents=True)
    (root.top / 'run' / 'udev').mkdir()
    (root.top / 'run' / 'udev' / 'control').touch()


@pytest.fixture(scope='session')
def libraries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Links to all that is installed beside these tests, except the distributions under test."""
    directory = tmp_path_factory.mktemp('libraries')
    for place in {sysconfig.get_path('purelib'), sysconfig.get_path('platlib')}:
        for entry in Path(place).iterdir():
            ours = any(part in entry.name.lower() for part in ('warwick', 'focusd', 'focuslynx', '__editable__'))
            if not ours and entry.suffix != '.pth':
                (directory / entry.name).symlink_to(entry)
    return directory


@pytest.fixture
def environment(tmp_path: Path, libraries: Path) -> Environment:
    """A fresh one, with the libraries but none of the distributions."""
    directory = tmp_path / 'environment'
    venv.create(directory, symlinks=True)
    environment = Environment(directory)
    (environment.site_packages / 'libraries.pth').write_text(f'{libraries}\n')
    return environment


def pytest_collection_modifyitems(items: Iterable[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.packaging)

# SPDX-License-Identifier: GPL-3.0-or-later
"""The source distribution, the wheel, and the commit that both carry."""

from __future__ import annotations

import shutil
import sys
import zipfile
from pathlib import Path

import pytest

from tests.packaging.rpms import commit, head, run
from warwick.observatory.focuslynx._version import __version__

VERSION_FILE = 'warwick/observatory/focuslynx/_version.py'
# What is about the clone itself
NOT_IN_SOURCES = {'.gitignore', '.ci/run'}
MADE = {'PKG-INFO', 'setup.cfg'}

pytestmark = pytest.mark.skipif(shutil.which('git') is None, reason='git is not installed')


def build(kind: str, source: Path, directory: Path) -> Path:
    """Make a `wheel` or an `sdist` of a directory, in the way of pip and build, at a certain time."""
    program = f'import sys; from setuptools.build_meta import build_{kind}; build_{kind}(sys.argv[1])'
    run(sys.executable, '-c', program, directory, cwd=source, SOURCE_DATE_EPOCH='1600000000')
    made, = (path for path in directory.iterdir() if path.is_file())
    return made


def make_sources(clone: Path) -> Path:
    """The source distribution of a clone, unpacked beside it."""
    archive = build('sdist', clone, clone.parent / 'made')
    run('tar', '--extract', '--file', archive, '--directory', clone.parent)
    return clone.parent / archive.name[:-len('.tar.gz')]


def software_version(wheel: Path) -> str:
    values: dict[str, str] = {}
    with zipfile.ZipFile(wheel) as archive:
        exec(archive.read(VERSION_FILE), values)
    return values['SOFTWARE_VERSION']


def test_the_sources_are_the_whole_clone(repository: Path) -> None:
    sources = make_sources(repository)
    files = {str(path.relative_to(sources)) for path in sources.rglob('*') if path.is_file()}
    tracked = set(run('git', 'ls-files', cwd=repository).stdout.splitlines())
    assert {path for path in files if '.egg-info/' not in path} - MADE == tracked - NOT_IN_SOURCES
    assert run('git', 'status', '--porcelain', cwd=repository).stdout == ''


def test_the_sources_build_the_wheel_that_the_clone_builds(repository: Path, tmp_path: Path) -> None:
    sources = make_sources(repository)
    from_clone = build('wheel', repository, tmp_path / 'from clone')
    from_sources = build('wheel', sources, tmp_path / 'from sources')
    contents = []
    for wheel in (from_clone, from_sources):
        with zipfile.ZipFile(wheel) as archive:
            contents.append({name: archive.read(name) for name in archive.namelist()})
    assert contents[0] == contents[1]
    assert from_clone.read_bytes() == from_sources.read_bytes()
    assert software_version(from_sources) == f'{__version__}+{head(repository)}'


def test_a_wheel_of_changed_files_says_so(repository: Path, tmp_path: Path) -> None:
    (repository / 'README.md').write_text('changed')
    assert software_version(build('wheel', repository, tmp_path / 'made')) == f'{__version__}+{head(repository)}.dirty'


def test_a_wheel_carries_the_commit_that_it_was_built_from_and_not_that_of_an_earlier_one(
    repository: Path, tmp_path: Path
) -> None:
    earlier = head(repository)
    assert software_version(build('wheel', repository, tmp_path / 'earlier')) == f'{__version__}+{earlier}'
    (repository / 'README.md').write_text('changed')
    later = commit(repository)
    assert software_version(build('wheel', repository, tmp_path / 'later')) == f'{__version__}+{later}'
    assert earlier != later


def test_sources_within_a_clone_of_something_else_do_not_take_its_commit(
    repository: Path, sources: Path, tmp_path: Path
) -> None:
    shutil.copytree(sources, repository / 'inner', symlinks=True)
    assert software_version(build('wheel', repository / 'inner', tmp_path / 'made')) == __version__


def test_a_clone_that_runs_in_place_claims_no_commit(repository: Path, tmp_path: Path) -> None:
    link = build('editable', repository, tmp_path / 'made')
    with zipfile.ZipFile(link) as archive:
        assert VERSION_FILE not in archive.namelist()
    program = 'from warwick.observatory.focuslynx._version import SOFTWARE_VERSION; print(SOFTWARE_VERSION)'
    shown = run(sys.executable, '-c', program, cwd=repository, PYTHONPATH=str(repository)).stdout
    assert shown == f'{__version__}+clone\n'

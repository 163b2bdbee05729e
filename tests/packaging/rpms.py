# SPDX-License-Identifier: GPL-3.0-or-later
"""RPM packages: built by `make rpm` in clones made for it, queried by rpm, installed into roots of their own."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.packaging.environments import ROOT, Environment, clean_variables

NAMES = ('clasp-focuslynx-data', 'observatory-focuslynx-client', 'observatory-focuslynx-server',
         'python3-warwick-observatory-focuslynx')
# What does not belong to a clone, but may lie in it
NOT_CLONED = shutil.ignore_patterns(
    '.git', '.*_cache', '.venv*', '.hypothesis', '__pycache__', '*.egg-info', 'build', 'dist')
TIMES = {'first': '2020-11-23T05:10:00Z', 'second': '2020-11-24T05:10:00Z'}
# For root there is nothing that would have to be pretended
AS_ROOT = [] if os.geteuid() == 0 else ['unshare', '--map-root-user']
WITHOUT_NETWORK = ['unshare', '--net', *([] if os.geteuid() == 0 else ['--map-root-user'])]
SYSTEMCTL, UDEVADM = '/usr/bin/systemctl', '/usr/bin/udevadm'
# Debian's rpm says that it is not meant for Debian
WARNINGS = ('rpm: RPM should not be used directly install RPM packages, use Alien instead!',
            'rpm: However assuming you know what you are doing...')

needs_rpm = pytest.mark.skipif(
    not all(map(shutil.which, ('rpm', 'rpmbuild', 'git'))), reason='rpm or git is not installed')


def run(
    *command: str | Path, cwd: Path = ROOT, check: bool = True, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a command; one that fails is a failure of the test unless `check` is False."""
    result = subprocess.run(
        command, cwd=cwd, env=clean_variables(**variables), stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=120, check=False,
    )
    assert not check or result.returncode == 0, result.stdout + result.stderr
    return result


def head(clone: Path) -> str:
    """The commit of a clone, as it is in versions."""
    return 'g' + run('git', 'rev-parse', '--short=10', 'HEAD', cwd=clone).stdout.strip()


def commit(clone: Path, time: str = TIMES['first']) -> str:
    """Commit every file of a clone; returns the new `head`."""
    git = ['git', '-c', 'user.name=Nobody', '-c', 'user.email=nobody@localhost', '-c', 'commit.gpgsign=false']
    run('git', 'add', '--all', cwd=clone)
    run(*git, 'commit', '--quiet', '--message', 'x', cwd=clone, GIT_AUTHOR_DATE=time, GIT_COMMITTER_DATE=time)
    return head(clone)


def copy_clone(directory: Path) -> Path:
    """A clone of one commit. Its path has a blank."""
    clone = directory / 'a clone'
    shutil.copytree(ROOT, clone, ignore=NOT_CLONED, symlinks=True)
    run('git', 'init', '--quiet', cwd=clone)
    commit(clone)
    return clone


def set_up(clone: Path, libraries: Path) -> None:
    """Give the clone a .venv like that of `make setup`, with links to what is installed already."""
    venv.create(clone / '.venv', symlinks=True)
    (Environment(clone / '.venv').site_packages / 'libraries.pth').write_text(f'{libraries}\n')
    (clone / '.venv' / '.ready').write_text(f'{clone.resolve()}\n')


def has_namespaces() -> bool:
    return run(*WITHOUT_NETWORK, 'true', check=False).returncode == 0


def fedoras_generator(home: Path) -> None:
    """Let rpm find requirements in the metadata of Python packages, as it does on Fedora; Debian's does not."""
    home.mkdir()
    generator = home / 'generator'
    generator.write_text('#!/bin/sh\ncat >/dev/null\necho "python3dist(pyro4) >= 4.80"\n')
    generator.chmod(0o755)
    (home / '.rpmmacros').write_text(f'%__pythondist_requires {generator}\n')


def make_rpm(clone: Path) -> str:
    """What `make rpm` prints; without a network, where that can be taken away, and without macros of the user's."""
    home = clone.parent / 'home'
    if not home.exists():
        fedoras_generator(home)
    return run(*(WITHOUT_NETWORK if has_namespaces() else []), 'make', 'rpm', f'PYTHON={sys.executable}',
               cwd=clone, HOME=str(home)).stdout


def build(directory: Path, libraries: Path) -> None:
    """Fill `directory` as `Built` describes it."""
    clone = copy_clone(directory)
    set_up(clone, libraries)
    facts = {'first': head(clone)}
    facts['said'] = make_rpm(clone)
    facts['traces'] = run('git', 'status', '--porcelain', cwd=clone).stdout
    shutil.copytree(clone / 'dist' / 'rpm', directory / 'first')
    config = clone / 'config' / 'clasp.json'
    config.write_text(json.dumps({**json.loads(config.read_text()), 'move_timeout': 240}))
    facts['second'] = commit(clone, TIMES['second'])
    # As where a file was written long before it was committed
    os.utime(clone / 'README.md', (10 ** 9, 10 ** 9))
    make_rpm(clone)
    shutil.copytree(clone / 'dist' / 'rpm', directory / 'second')
    (directory / 'facts.json').write_text(json.dumps(facts))


class Built:
    """Packages of the commit `first`, and of `second` with another default of `move_timeout`, in directories.

    `said` is what the first build printed, `traces` what git saw of it in the clone.
    """

    def __init__(self, directory: Path) -> None:
        facts = json.loads((directory / 'facts.json').read_text())
        self.clone = directory / 'a clone'
        self.commits: dict[str, str] = {name: facts[name] for name in ('first', 'second')}
        self.said: str = facts['said']
        self.traces: str = facts['traces']
        self.first, self.second = ({package.name.rsplit('-', 2)[0]: package
                                    for package in (directory / name).glob('*.rpm')} for name in ('first', 'second'))

    def query(self, name: str, *options: str) -> list[str]:
        """Lines that rpm prints about a package of the first commit."""
        return run('rpm', '--query', '--package', *options, self.first[name]).stdout.splitlines()

    def files(self, name: str) -> dict[str, str]:
        """Mode, as in `-rw-r--r--`, of every path of a package of the first commit."""
        lines = self.query(name, '--queryformat', r'[%{FILEMODES:perms} %{FILENAMES}\n]')
        return {path: mode for mode, path in (line.split(' ', 1) for line in lines)}


class Root:
    """A directory that is a root for rpm, and has nothing in it but what rpm puts there."""

    def __init__(self, top: Path) -> None:
        self.top = top
        top.mkdir()

    def rpm(self, *args: str | Path, warning: str = '') -> str:
        """What rpm prints; it must succeed, and warn, Debian aside, of what the pattern `warning` says."""
        result = run(*AS_ROOT, 'rpm', '--root', self.top, '--dbpath', '/var/lib/rpm', *args)
        warnings = [line for line in result.stderr.splitlines() if line not in WARNINGS]
        assert re.fullmatch(warning, '\n'.join(warnings)), warnings
        return result.stdout

    def install(self, packages: dict[str, Path], warning: str = '') -> None:
        """Install or upgrade; what the packages require is not checked."""
        self.rpm('--upgrade', '--nodeps', *packages.values(), warning=warning)

    def provide(self, path: str, text: str) -> None:
        """A program written for sh, with a shell for it, which the root does not have otherwise."""
        shell = Path('/bin/sh').resolve()
        needed = [word for word in run('ldd', shell).stdout.split() if word.startswith('/')]
        for source, place in [(shell, '/bin/sh'), *((Path(word).resolve(), word) for word in needed)]:
            (self.top / place[1:]).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, self.top / place[1:])
        program = self.top / path[1:]
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(f'#!/bin/sh\n{text}\n')
        program.chmod(0o755)


class Calls:
    """What scriptlets call in a root with stand-ins for systemctl and udevadm, which fail all the same."""

    def __init__(self, root: Root) -> None:
        self._file = root.top / 'calls'
        for program in (SYSTEMCTL, UDEVADM):
            root.provide(program, 'echo "${0##*/} $*" >>/calls; exit 1')

    def taken(self) -> list[str]:
        """Those since the last time, in their order."""
        lines = self._file.read_text().splitlines() if self._file.exists() else []
        self._file.unlink(missing_ok=True)
        return lines

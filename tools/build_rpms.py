# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the RPM packages of this clone, or source distribution, into dist/rpm. No network is needed.

Everything comes from a source distribution that is made first; version and commit are those in it. Where the system
is not made of RPM packages (Debian), the paths that Fedora's macros know are given, and the interpreter that runs
this replaces the required packages.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from datetime import datetime, timezone
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OUTPUT = ROOT / 'dist' / 'rpm'
# Macros of Fedora's systemd-rpm-macros and python-rpm-macros
PATHS = {
    '__python3': sys.executable,
    'python3_sitelib': f'/usr/lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages',
    '_unitdir': '/usr/lib/systemd/system',
    '_udevrulesdir': '/usr/lib/udev/rules.d',
}
# The same commit gives the same packages. The names of the macro for times differ between versions of rpm.
REPRODUCIBLE = {
    '_buildhost': 'localhost',
    'use_source_date_epoch_as_buildtime': '1',
    'clamp_mtime_to_source_date_epoch': '1',
    'build_mtime_policy': 'clamp_to_source_date_epoch',
}


class BuildError(Exception):
    """The message says which step failed, and what it printed."""


def run(*command: str | Path) -> str:
    """Standard output of a command that runs in the clone; raises BuildError where it fails."""
    try:
        result = subprocess.run(
            command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors='replace', check=False,
        )
    except FileNotFoundError as error:
        where = 'Debian has it in rpm, Rocky and Fedora in rpm-build'
        raise BuildError(f'{command[0]} is not installed; {where}') from error
    if result.returncode:
        output = (result.stdout + result.stderr).strip()
        raise BuildError(f'{command[0]} failed with exit code {result.returncode}:\n{output}')
    return result.stdout


def of_git(*args: str) -> str | None:
    """What git says about this clone; None without git, outside of one, and where the answer is no."""
    try:
        return run('git', *args).strip() if (ROOT / '.git').exists() else None
    except BuildError:
        return None


def make_sources(directory: Path) -> Path:
    """A source distribution in `directory`, made without leaving a trace in the clone."""
    run(sys.executable, 'setup.py', '--quiet', 'egg_info', '--egg-base', directory, 'sdist', '--formats', 'gztar',
        '--dist-dir', directory)
    sources, = directory.glob('*.tar.gz')
    return sources


def version_of(sources: Path) -> tuple[str, str]:
    """Version, and commit or '', of a source distribution."""
    top = sources.name[:-len('.tar.gz')]
    with tarfile.open(sources) as archive:
        member = archive.extractfile(f'{top}/warwick/observatory/focuslynx/_version.py')
        assert member is not None
        text = member.read().decode('utf-8')
    version, build = (re.search(f"^{name} = '(.*)'$", text, re.MULTILINE) for name in ('__version__', 'BUILD'))
    assert version is not None
    assert build is not None
    return version[1], build[1]


def release_of(version: str, commit: str, time: str | None) -> str:
    """`1` for a released version; what lies between two of them is newer than the first, and in order of time."""
    tag = f'v{version}'
    if time is None or of_git('describe', '--tags', '--exact-match', '--dirty=.dirty', '--match', tag) == tag:
        return '1'
    return f'1.{datetime.fromtimestamp(int(time), timezone.utc):%Y%m%d%H%M%S}.{commit}'


def defines(macros: dict[str, str]) -> list[str]:
    return [argument for name, value in macros.items() for argument in ('--define', f'{name} {value}')]


def build() -> list[Path]:
    """The packages, in dist/rpm, which is emptied first."""
    unknown = {name: path for name, path in PATHS.items() if not run('rpm', '--eval', f'%{{?{name}}}').strip()}
    try:
        run('rpm', '--query', 'rpm')
        options = []
    except BuildError:
        options = ['--nodeps']
    time = of_git('log', '-1', '--format=%ct')
    if time is not None:
        os.environ.setdefault('SOURCE_DATE_EPOCH', time)
    # In a place of its own: rpm cannot do with a blank in a path
    with tempfile.TemporaryDirectory(prefix='focusd-rpm-') as temporary:
        top = Path(temporary)
        (top / 'SOURCES').mkdir()
        sources = make_sources(top / 'SOURCES')
        version, commit = version_of(sources)
        known = {
            'focusd_version': version,
            'focusd_release': release_of(version, commit, time),
            'focusd_source': sources.name[:-len('.tar.gz')],
        }
        macros = {**unknown, **REPRODUCIBLE, '_topdir': temporary,
                  '_build_name_fmt': '%%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm'}
        for spec in sorted((ROOT / 'packaging').glob('*.spec')):
            text = ''.join(f'%global {name} {value}\n' for name, value in known.items()) + spec.read_text()
            (top / spec.name).write_text(text)
            run('rpmbuild', '-bb', '--quiet', *options, *defines(macros), top / spec.name)
        shutil.rmtree(OUTPUT, ignore_errors=True)
        OUTPUT.mkdir(parents=True)
        return [Path(shutil.copy(package, OUTPUT)) for package in sorted(top.glob('RPMS/*.rpm'))]


def main() -> int:
    try:
        packages = build()
    except BuildError as error:
        print(f'rpm: error: {error}', file=sys.stderr)
        return 1
    for package in packages:
        print(package.relative_to(ROOT))
    return 0


if __name__ == '__main__':
    sys.exit(main())

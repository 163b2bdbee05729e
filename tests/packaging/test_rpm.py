# SPDX-License-Identifier: GPL-3.0-or-later
"""What `make rpm` builds: which files are in which package, and what each of them requires."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from tests.packaging.environments import ROOT
from tests.packaging.rpms import NAMES, TIMES, Built, commit, has_namespaces, make_rpm, needs_rpm, run, set_up
from tools import build_rpms
from warwick.observatory.common import daemons
from warwick.observatory.focuslynx._version import __version__

pytestmark = needs_rpm

DATA, CLIENT, SERVER, MODULE = NAMES
SITE_PACKAGES = f'/usr/lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages'
OUR_MODULE = f'{SITE_PACKAGES}/warwick/observatory/focuslynx'

# Directories are in the lists where no other package need be there that has them
FILES = {
    DATA: {
        '/etc/focusd/clasp.json',
        '/usr/lib/firewalld', '/usr/lib/firewalld/services', '/usr/lib/firewalld/services/focusd-clasp.xml',
        '/usr/lib/udev/rules.d/10-clasp-focuser.rules',
    },
    CLIENT: {
        '/usr/bin/focus',
        '/usr/share/bash-completion', '/usr/share/bash-completion/completions',
        '/usr/share/bash-completion/completions/focus',
        '/usr/share/fish', '/usr/share/fish/vendor_completions.d', '/usr/share/fish/vendor_completions.d/focus.fish',
        '/usr/share/zsh', '/usr/share/zsh/site-functions', '/usr/share/zsh/site-functions/_focus',
        '/usr/share/man/man1/focus.1.gz',
    },
    SERVER: {
        '/usr/bin/focusd', '/usr/lib/systemd/system/focusd@.service', '/usr/share/man/man8/focusd.8.gz',
    },
    MODULE: {
        '/etc/focusd', f'{SITE_PACKAGES}/warwick', f'{SITE_PACKAGES}/warwick/observatory',
        '/usr/share/man/man5/focusd.json.5.gz',
    },
}
# Below these everything belongs to one package, and is compared with the clone
DOCUMENTS, METADATA, LICENCES = '/usr/share/doc/', '.dist-info', '/usr/share/licenses/'
REQUIRED = {
    DATA: {f'config({DATA})'},
    CLIENT: {MODULE, '/usr/bin/python3', 'python3-Pyro4', 'python3-warwick-observatory-common'},
    SERVER: {MODULE, '/usr/bin/python3', 'python3-Pyro4', 'python3-warwick-observatory-common', 'python3-pyserial'},
    MODULE: {'python(abi)', 'python3-jsonschema'},
}


def test_make_rpm_lists_the_four_packages_that_it_has_built(rpms: Built) -> None:
    time = re.sub(r'\D', '', TIMES['first'])
    release = f'{__version__}-1.{time}.{rpms.commits["first"]}.noarch.rpm'
    assert rpms.said.splitlines() == [f'dist/rpm/{name}-{release}' for name in NAMES]
    assert sorted(rpms.first) == sorted(NAMES)


def test_make_rpm_leaves_nothing_in_the_clone_but_its_packages(rpms: Built) -> None:
    assert rpms.traces == ''
    unwanted = [path.name for path in rpms.clone.iterdir() if path.suffix == '.egg-info' or path.name == 'build']
    assert unwanted == []


@pytest.mark.skipif(not has_namespaces(), reason='this system gives no network namespaces')
def test_the_packages_were_built_without_a_network(rpms: Built) -> None:
    assert rpms.said


def test_the_same_commit_gives_the_same_packages(rpms: Built, tmp_path: Path, libraries: Path) -> None:
    clone = tmp_path / 'elsewhere'
    run('git', 'clone', '--quiet', rpms.clone, clone)
    set_up(clone, libraries)
    make_rpm(clone)
    again = {path.name: path.read_bytes() for path in (clone / 'dist' / 'rpm').iterdir()}
    assert again == {path.name: path.read_bytes() for path in rpms.second.values()}


@pytest.mark.parametrize('name', NAMES)
def test_a_package_has_these_files_and_no_others(rpms: Built, name: str) -> None:
    paths = {path for path in rpms.files(name) if not path.startswith((DOCUMENTS, LICENCES, OUR_MODULE))}
    assert {path for path in paths if METADATA not in path} == FILES[name]
    assert any(METADATA in path for path in paths) == (name == MODULE)


def test_the_module_is_that_of_the_clone(rpms: Built) -> None:
    packaged = {path for path in rpms.files(MODULE) if path.startswith(OUR_MODULE) and path.endswith('.py')}
    source = rpms.clone / 'warwick' / 'observatory' / 'focuslynx'
    assert packaged == {f'{OUR_MODULE}/{path.relative_to(source)}' for path in source.rglob('*.py')}


def test_the_server_has_every_document(rpms: Built) -> None:
    documents = {path.rpartition('/')[2] for path in rpms.files(SERVER) if path.startswith(DOCUMENTS)}
    assert {path.name for path in (rpms.clone / 'docs').iterdir()} | {'README.md', 'CHANGELOG.md'} <= documents


def test_every_machine_gets_the_licence(rpms: Built) -> None:
    assert [name for name in NAMES if any(path.startswith(LICENCES) for path in rpms.files(name))] == [DATA, MODULE]


def test_nothing_belongs_to_two_packages(rpms: Built) -> None:
    owned = [path for name in NAMES for path in rpms.files(name)]
    assert sorted(owned) == sorted(set(owned))


def test_nothing_belongs_to_the_observatorys_common_and_the_namespaces_have_no_code(rpms: Built) -> None:
    owned = {path for name in NAMES for path in rpms.files(name)}
    assert {path for path in owned if path.startswith(f'{SITE_PACKAGES}/warwick/observatory/common')} == set()
    assert owned & {f'{SITE_PACKAGES}/warwick/__init__.py', f'{SITE_PACKAGES}/warwick/observatory/__init__.py'} == set()


def test_only_programs_can_be_executed(rpms: Built) -> None:
    modes = {path: mode for name in NAMES for path, mode in rpms.files(name).items() if not mode.startswith('d')}
    assert {path for path, mode in modes.items() if mode == '-rwxr-xr-x'} == {'/usr/bin/focus', '/usr/bin/focusd'}
    assert {mode for path, mode in modes.items() if not path.startswith('/usr/bin/')} == {'-rw-r--r--'}


@pytest.mark.parametrize('name', NAMES)
def test_a_package_requires_what_the_contract_says_and_no_more(rpms: Built, name: str) -> None:
    required = {line.split()[0] for line in rpms.query(name, '--requires')}
    assert {requirement for requirement in required if not requirement.startswith('rpmlib(')} == REQUIRED[name]


@pytest.mark.parametrize('name', [CLIENT, SERVER])
def test_programs_want_the_module_that_they_were_built_with(rpms: Built, name: str) -> None:
    version, = rpms.query(name, '--queryformat', '%{VERSION}-%{RELEASE}')
    assert f'{MODULE} = {version}' in rpms.query(name, '--requires')


@pytest.mark.parametrize('name', NAMES)
def test_a_package_is_for_every_architecture(rpms: Built, name: str) -> None:
    assert rpms.query(name, '--queryformat', '%{ARCH} %{LICENSE}') == ['noarch GPL-3.0-or-later']


def test_the_configuration_is_all_that_an_upgrade_spares(rpms: Built) -> None:
    flagged = r'[%{FILEFLAGS:fflags} %{FILENAMES}\n]'
    lines = [line for name in NAMES for line in rpms.query(name, '--queryformat', flagged)]
    assert [line for line in lines if set('cn') & set(line.split(' ')[0])] == ['cn /etc/focusd/clasp.json']


@pytest.mark.skipif(shutil.which('rpmlint') is None, reason='rpmlint is not installed')
def test_rpmlint_has_nothing_to_say_but_what_is_explained(rpms: Built) -> None:
    specs = sorted((ROOT / 'packaging').glob('*.spec'))
    result = run('rpmlint', '--rpmlintrc', ROOT / 'packaging' / 'rpmlintrc', *rpms.first.values(), *specs, check=False)
    assert (result.returncode, result.stderr) == (0, ''), result.stdout
    assert f'4 packages and {len(specs)} specfiles checked; 0 errors, 0 warnings' in result.stdout


def test_every_exception_for_rpmlint_has_its_reason() -> None:
    paragraphs = (ROOT / 'packaging' / 'rpmlintrc').read_text().strip().split('\n\n')
    for paragraph in paragraphs[1:]:
        assert re.fullmatch(r"(# .+\n)+(addFilter\('.+'\)\n?)+", paragraph), paragraph


def test_the_firewall_opens_the_port_of_the_daemon() -> None:
    service = ElementTree.parse(ROOT / 'config' / 'focusd-clasp.xml').getroot()
    ports = [port.attrib for port in service.iter('port')]
    assert ports == [{'protocol': 'tcp', 'port': str(daemons.clasp_focus.port)}]


@pytest.fixture
def tool(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone that tools/build_rpms.py takes for its own."""
    monkeypatch.setattr(build_rpms, 'ROOT', repository)
    return repository


def test_a_release_is_the_first_of_its_version_and_all_later_commits_are_newer(tool: Path) -> None:
    run('git', 'tag', 'v0.1.0', cwd=tool)
    releases = [build_rpms.release_of('0.1.0', 'g0', '1795000000')]
    (tool / 'README.md').write_text('changed')
    releases.append(build_rpms.release_of('0.1.0', 'gf.dirty', '1795000000'))
    commit(tool)
    releases.append(build_rpms.release_of('0.1.0', 'ge', '1795000001'))
    assert releases == ['1', '1.20261118110640.gf.dirty', '1.20261118110641.ge']
    for older, newer in zip(releases, releases[1:]):
        order = f'%{{lua: print(rpm.vercmp("0.1.0-{older}", "0.1.0-{newer}"))}}'
        assert run('rpm', '--eval', order).stdout.strip() == '-1'


def test_sources_without_git_give_a_plain_release() -> None:
    assert build_rpms.release_of('0.1.0', '', None) == '1'


def test_a_tool_that_is_missing_is_named(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, ROOT / 'tools' / 'build_rpms.py'], env={'PATH': str(tmp_path)}, capture_output=True, text=True,
        timeout=60, check=False,
    )
    assert (result.returncode, result.stdout) == (1, '')
    assert result.stderr == 'rpm: error: rpm is not installed; Debian has it in rpm, Rocky and Fedora in rpm-build\n'


def test_a_build_that_fails_shows_what_was_said(repository: Path, libraries: Path) -> None:
    set_up(repository, libraries)
    (repository / 'config' / 'clasp.json').unlink()
    result = run('make', 'rpm', f'PYTHON={sys.executable}', cwd=repository, check=False)
    assert result.returncode == 2
    assert 'rpm: error: rpmbuild failed with exit code 1:\n' in result.stderr
    assert "'config/clasp.json': No such file or directory" in result.stderr
    assert not (repository / 'dist' / 'rpm').exists()

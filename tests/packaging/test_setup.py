# SPDX-License-Identifier: GPL-3.0-or-later
"""`make` on machines where something is missing or wrong. Nothing here needs a network: indexes are local."""

from __future__ import annotations

import base64
import functools
import hashlib
import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.packaging.environments import ROOT, Environment, clean_variables
from tools import setup_venv

# In place of the tool's own main: the part of it that needs no package index
PROVIDE_PIP = '''
import sys
sys.path.insert(0, {tools!r})
import setup_venv
from pathlib import Path
try:
    setup_venv.provide_pip(Path({python!r}))
except setup_venv.SetupError as error:
    print(error)
    sys.exit(1)
'''


def make(directory: Path, *args: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ['make', *args], cwd=directory, env=clean_variables(**variables), stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=120, check=False,
    )


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What set-up reads of a clone, in a directory with a blank."""
    directory = tmp_path / 'a clone'
    for name in ('Makefile', 'setup.py', 'pyproject.toml', 'common/setup.py', 'common/pyproject.toml',
                 'requirements-dev.txt', 'tools/setup_venv.py'):
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, directory / name)
    return directory


def script(path: Path, text: str) -> Path:
    path.write_text(f'#!/bin/sh\n{text}\n')
    path.chmod(0o755)
    return path


def test_help_lists_every_command() -> None:
    lines = make(ROOT, 'help').stdout.splitlines()[1:]
    assert [line.split()[0] for line in lines] == [
        'help', 'setup', 'demo', 'run', 'check', 'test', 'night', 'nights', 'pairs', 'lint', 'fuzz', 'soak', 'bench',
        'rpm', 'man', 'clean']


def test_a_python_that_is_too_old_is_named(clone: Path) -> None:
    script(clone / 'oldpython', '[ "$1" = --version ] && echo Python 3.6.15 && exit; exit 1')
    result = make(clone, 'setup', 'PYTHON=./oldpython')
    assert result.returncode == 2
    assert 'error: focusd needs Python 3.9 or newer, and ./oldpython is: Python 3.6.15' in result.stderr
    assert not (clone / '.venv').exists()


def test_a_python_that_is_not_there_is_named(clone: Path) -> None:
    result = make(clone, 'test', 'PYTHON=no-such-python')
    assert result.returncode == 2
    assert 'error: focusd needs Python 3.9 or newer, and no-such-python is: ' in result.stderr


@pytest.fixture
def ready(clone: Path) -> Path:
    """A clone that is set up, as far as make can see; to set it up again with `./notice` only says so."""
    script(clone / 'notice', 'echo SETTING UP')
    venv.create(clone / '.venv', symlinks=True)
    (clone / '.venv' / '.ready').write_text(f'{clone.resolve()}\n')
    return clone


def test_a_clone_that_is_ready_is_not_set_up_again(ready: Path) -> None:
    assert 'SETTING UP' not in make(ready, 'setup', 'PYTHON=./notice').stdout


@pytest.mark.parametrize('change', ['requirements', 'moved', 'no interpreter', 'no stamp'])
def test_set_up_is_done_again_when_something_changed(ready: Path, change: str) -> None:
    place = ready
    if change == 'requirements':
        later = (ready / '.venv' / '.ready').stat().st_mtime + 1
        os.utime(ready / 'requirements-dev.txt', (later, later))
    elif change == 'moved':
        place = ready.rename(ready.parent / 'moved')
    elif change == 'no interpreter':
        for name in (ready / '.venv' / 'bin').glob('python*'):
            name.unlink()
        (ready / '.venv' / 'bin' / 'python').symlink_to('/no/such/python')
    else:
        (ready / '.venv' / '.ready').unlink()
    assert 'SETTING UP' in make(place, 'setup', 'PYTHON=./notice').stdout


def test_a_set_up_that_fails_says_why_and_is_not_ready(clone: Path, tmp_path: Path) -> None:
    empty = tmp_path / 'empty index'
    empty.mkdir()
    (clone / 'requirements-dev.txt').write_text('no-such-distribution\n')
    result = make(
        clone, 'setup', f'PYTHON={sys.executable}',
        PIP_NO_INDEX='1', PIP_FIND_LINKS=str(empty), PIP_CONFIG_FILE='/dev/null', PIP_USER='1',
    )
    assert result.returncode == 2
    assert 'setup: making .venv with Python ' in result.stdout
    assert 'setup: error: pip failed; it needs a package index' in result.stderr
    assert 'Traceback' not in result.stdout + result.stderr
    assert not (clone / '.venv' / '.ready').exists()


@pytest.mark.parametrize('present', ['none', 'foreign', 'stand-in'])
def test_only_a_foreign_common_keeps_the_stand_in_out(
    environment: Environment, wheels: dict[str, Path], monkeypatch: pytest.MonkeyPatch, present: str
) -> None:
    monkeypatch.delenv('PYTHONPATH', raising=False)
    if present != 'none':
        environment.install(wheels['foreign' if present == 'foreign' else 'common'])
    assert setup_venv.has_foreign_common(environment.python) == (present == 'foreign')


class Index(http.server.SimpleHTTPRequestHandler):
    """A package index of static pages, which may want a password."""

    login = ''

    def do_GET(self) -> None:
        expected = f'Basic {base64.b64encode(self.login.encode()).decode()}'
        if self.login and self.headers.get('Authorization') != expected:
            self.send_error(401)
        else:
            super().do_GET()

    def log_message(self, format: str, *args: object) -> None:
        pass


def pip_wheel(path: Path) -> Path:
    """A wheel of the pip that runs these tests: all that the index must have, and what others would fetch."""
    import pip

    package = Path(pip.__file__).parent
    info, = package.parent.glob(f'pip-{pip.__version__}.dist-info')
    wheel = path / f'pip-{pip.__version__}-py3-none-any.whl'
    # What pip writes when it is installed, and not part of its wheel
    unwanted = {'INSTALLER', 'REQUESTED', 'direct_url.json'}
    with zipfile.ZipFile(wheel, 'w') as archive:
        for top in (package, info):
            for file in top.rglob('*'):
                if file.is_file() and '__pycache__' not in file.parts and file.name not in unwanted:
                    archive.write(file, file.relative_to(package.parent))
    return wheel


@pytest.fixture
def index(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A local index, as host and directory, that offers pip, and newer ones that must not be taken."""
    page = tmp_path / 'simple' / 'pip' / 'index.html'
    page.parent.mkdir(parents=True)
    wheel = pip_wheel(page.parent)
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    page.write_text(
        f'<a href="{wheel.name}#sha256={digest}" data-requires-python="&gt;=3.9">{wheel.name}</a>\n'
        '<a href="pip-999.0-py3-none-any.whl" data-requires-python="&gt;=3.99">needs a newer Python</a>\n'
        '<a href="pip-998.0-py3-none-any.whl" data-yanked="broken">yanked</a>\n'
        '<a href="pip-997.0b1-py3-none-any.whl">a trial version</a>\n'
        '<a href="pip-996.0.tar.gz">no wheel</a>\n'
        '<a href="pip-1.0-py2.py3-none-any.whl">an old one</a>\n'
    )
    handler = functools.partial(Index, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f'127.0.0.1:{server.server_port}', tmp_path
        server.shutdown()
        thread.join()


@pytest.fixture
def without_ensurepip(tmp_path: Path) -> dict[str, str]:
    """Variables under which `import ensurepip` fails, as where the system packages it separately."""
    directory = tmp_path / 'no ensurepip'
    directory.mkdir()
    (directory / 'ensurepip.py').write_text('raise ImportError("not installed here")\n')
    return {'PYTHONPATH': str(directory)}


def provide_pip(environment: Environment, **variables: str) -> subprocess.CompletedProcess[str]:
    program = PROVIDE_PIP.format(tools=str(ROOT / 'tools'), python=str(environment.python))
    return environment.run('-c', program, no_proxy='127.0.0.1', **variables)


@pytest.fixture
def bare(tmp_path: Path) -> Environment:
    directory = tmp_path / 'bare'
    venv.create(directory, symlinks=True)
    return Environment(directory)


def test_without_ensurepip_pip_comes_from_the_index(
    bare: Environment, without_ensurepip: dict[str, str], index: tuple[str, Path]
) -> None:
    host, _ = index
    result = provide_pip(bare, PIP_INDEX_URL=f'http://{host}/simple/', **without_ensurepip)
    assert (result.returncode, result.stderr) == (0, '')
    assert result.stdout == f'setup: this Python comes without ensurepip; fetching pip from http://{host}/simple/\n'
    assert bare.run('-m', 'pip', '--version').stdout.startswith('pip ')


def test_the_newest_pip_that_serves_is_fetched_with_the_password_of_the_index(
    index: tuple[str, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    host, directory = index
    monkeypatch.setattr(Index, 'login', 'user:p@ss/word')
    monkeypatch.setenv('no_proxy', '127.0.0.1')
    wheel = setup_venv.fetch_pip(f'http://user:p%40ss%2Fword@{host}/simple', tmp_path)
    assert wheel.read_bytes() == (directory / 'simple' / 'pip' / wheel.name).read_bytes()
    assert setup_venv.without_password(f'http://user:p%40ss%2Fword@{host}/simple') == f'http://{host}/simple'


def test_an_index_may_be_a_directory(index: tuple[str, Path], tmp_path: Path) -> None:
    _, directory = index
    wheel = setup_venv.fetch_pip((directory / 'simple').as_uri(), tmp_path)
    assert wheel.read_bytes() == (directory / 'simple' / 'pip' / wheel.name).read_bytes()


@pytest.mark.parametrize(('fault', 'reason'), [
    ('damaged', 'is damaged: its SHA-256 is not the one in the index'),
    ('forbidden', 'cannot be fetched: '),
    ('missing', 'cannot be fetched: '),
    ('none', 'offers no pip for Python '),
])
def test_an_index_without_a_usable_pip_gets_one_line(
    bare: Environment, without_ensurepip: dict[str, str], index: tuple[str, Path],
    monkeypatch: pytest.MonkeyPatch, fault: str, reason: str,
) -> None:
    host, directory = index
    page = directory / 'simple' / 'pip' / 'index.html'
    if fault == 'damaged':
        wheel, = page.parent.glob('*.whl')
        wheel.write_bytes(b'x')
    elif fault == 'forbidden':
        monkeypatch.setattr(Index, 'login', 'user:secret')
    elif fault == 'missing':
        shutil.rmtree(page.parent)
    else:
        page.write_text('<a href="pip-999.0.tar.gz">no wheel</a>')
    result = provide_pip(bare, PIP_INDEX_URL=f'http://{host}/simple', **without_ensurepip)
    said, error = result.stdout.splitlines()
    assert said.startswith('setup: this Python comes without ensurepip')
    assert reason in error
    assert error.startswith(f'http://{host}/simple/pip/')
    assert result.returncode == 1


def test_test_json_is_a_configuration_with_every_key_and_no_hardware() -> None:
    config = json.loads((ROOT / 'test.json').read_text())
    assert config['daemon'] == 'localhost_test3'
    assert config['serial_port'].startswith('lynxsim://')
    assert len(config) == 11


@pytest.mark.parametrize('path', ['test.json', 'config/clasp.json'])
def test_the_configurations_of_the_clone_are_valid(path: str) -> None:
    from warwick.observatory.focuslynx import Config

    Config(str(ROOT / path))

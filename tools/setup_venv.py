# SPDX-License-Identifier: GPL-3.0-or-later
"""Make .venv at the top of the clone, with all that focusd and its tests need: `python3 tools/setup_venv.py`.

Uses the standard library alone, and not even ensurepip, which some systems package separately. pip's own settings
hold: PIP_INDEX_URL, PIP_CERT, proxies. An existing .venv is kept and completed. .venv/.ready is written last, and
holds the path of the clone: the installation refers to it.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import ssl
import subprocess
import sys
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from html.parser import HTMLParser
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DEFAULT_INDEX = 'https://pypi.org/simple'
STANDIN = 'focusd-standin-common'
# The first pip that installs a clone in editable form by the present standard
OLDEST_PIP = (21, 3)


class SetupError(Exception):
    """Set-up cannot go on; the text is one line that says why."""


def say(text: str) -> None:
    print(f'setup: {text}', flush=True)


def run(python: Path, *args: str, quiet: bool = False) -> bool:
    """Run the interpreter of the virtual environment, away from the clone; whether it exits with 0."""
    output = subprocess.DEVNULL if quiet else None
    environment = {**os.environ, 'PIP_USER': '0', 'PIP_DISABLE_PIP_VERSION_CHECK': '1'}
    command = [str(python), *args]
    try:
        return subprocess.run(
            command, cwd=python.parent, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            check=False,
        ).returncode == 0
    except OSError:
        return False


def make_venv(directory: Path) -> Path:
    """A working interpreter in `directory`; a broken or missing environment is made again. Raises SetupError."""
    python = directory / 'bin' / 'python'
    if run(python, '-c', 'import sys; sys.exit(sys.version_info < (3, 9))', quiet=True):
        return python
    say(f'making .venv with Python {sys.version.split()[0]} ({sys.executable})')
    try:
        import venv

        venv.create(directory, clear=True, symlinks=True)
    except (ImportError, OSError, subprocess.CalledProcessError) as error:
        raise SetupError(f'no virtual environment can be made in {directory}: {error}') from None
    return python


def provide_pip(python: Path) -> None:
    """Give the environment a pip, from ensurepip or from the package index. Raises SetupError."""
    if not run(python, '-m', 'pip', '--version', quiet=True) and not run(python, '-m', 'ensurepip', quiet=True):
        index = os.environ.get('PIP_INDEX_URL') or DEFAULT_INDEX
        say(f'this Python comes without ensurepip; fetching pip from {without_password(index)}')
        with tempfile.TemporaryDirectory() as directory:
            wheel = fetch_pip(index, Path(directory))
            if not run(python, str(wheel / 'pip'), 'install', '--quiet', '--no-index', str(wheel)):
                raise SetupError(f'{wheel.name} does not install itself')
    old = f'import pip, sys; sys.exit(tuple(map(int, pip.__version__.split(".")[:2])) < {OLDEST_PIP})'
    if not run(python, '-c', old, quiet=True):
        say('replacing a pip that is too old')
        pip_install(python, '--upgrade', 'pip')


class _Links(HTMLParser):
    """The links of a page of a package index, with their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[dict[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == 'a':
            self.found.append({name: value or '' for name, value in attrs})


def fetch_pip(index: str, directory: Path) -> Path:
    """Download the newest pip that serves this Python from `index` into `directory`. Raises SetupError."""
    page = f'{index.rstrip("/")}/pip/'
    links = _Links()
    links.feed(fetch(page + ('index.html' if page.startswith('file:') else '')).decode('utf-8', 'replace'))
    wheels = {}
    for link in links.found:
        url, _, digest = urllib.parse.urljoin(page, link.get('href', '')).partition('#')
        name = urllib.parse.unquote(url.rpartition('/')[2])
        version = re.fullmatch(r'pip-(\d+(?:\.\d+)*)-py[23.py]*-none-any\.whl', name)
        oldest = re.search(r'>=\s*(\d+)\.(\d+)', link.get('data-requires-python', ''))
        fits = oldest is None or sys.version_info >= (int(oldest[1]), int(oldest[2]))
        if version and fits and 'data-yanked' not in link:
            wheels[tuple(map(int, version[1].split('.')))] = (url, name, digest)
    if not wheels:
        raise SetupError(f'{without_password(page)} offers no pip for Python {sys.version.split()[0]}')

    url, name, digest = wheels[max(wheels)]
    content = fetch(url, credentials_of=page)
    algorithm, _, expected = digest.partition('=')
    if algorithm == 'sha256' and hashlib.sha256(content).hexdigest() != expected:
        raise SetupError(f'{without_password(url)} is damaged: its SHA-256 is not the one in the index')
    wheel = directory / name
    wheel.write_bytes(content)
    return wheel


def fetch(url: str, credentials_of: str = '') -> bytes:
    """The content of `url`, which may carry a user name and password, or else have those of another URL there.

    Raises SetupError.
    """
    parts = urllib.parse.urlsplit(url)
    host = parts.netloc.rpartition('@')[2]
    login = parts
    other = urllib.parse.urlsplit(credentials_of)
    if parts.username is None and other.netloc.rpartition('@')[2] == host:
        login = other
    # urllib takes what is before the @ for a part of the host's name
    request = urllib.request.Request(urllib.parse.urlunsplit(parts._replace(netloc=host)))
    if login.username is not None:
        pair = f'{urllib.parse.unquote(login.username)}:{urllib.parse.unquote(login.password or "")}'
        request.add_unredirected_header('Authorization', f'Basic {base64.b64encode(pair.encode()).decode()}')
    try:
        context = ssl.create_default_context(cafile=os.environ.get('PIP_CERT') or None)
        with urllib.request.urlopen(request, timeout=60, context=context) as answer:
            content: bytes = answer.read()
            return content
    except (OSError, ValueError) as error:
        reason = getattr(error, 'reason', error)
        raise SetupError(f'{without_password(url)} cannot be fetched: {reason}') from None


def without_password(url: str) -> str:
    """`url` as it may be shown to people."""
    parts = urllib.parse.urlsplit(url)
    return urllib.parse.urlunsplit(parts._replace(netloc=parts.netloc.rpartition('@')[2]))


def pip_install(python: Path, *what: str) -> None:
    """Raises SetupError, after pip has said its own."""
    if not run(python, '-m', 'pip', 'install', '--quiet', *what):
        raise SetupError('pip failed; it needs a package index (PIP_INDEX_URL names another than pypi.org)')


def has_foreign_common(python: Path) -> bool:
    """Whether the environment finds a `warwick.observatory.common` that is not the stand-in of this clone."""
    return run(python, '-c', f'''
import importlib.util, sys
from importlib import metadata
try:
    present = importlib.util.find_spec('warwick.observatory.common') is not None
except ImportError:
    present = False
ours = any(found.metadata['Name'] == {STANDIN!r} for found in metadata.distributions())
sys.exit(not present or ours)
''', quiet=True)


def main() -> int:
    try:
        directory = ROOT / '.venv'
        ready = directory / '.ready'
        python = make_venv(directory)
        ready.unlink(missing_ok=True)
        provide_pip(python)
        wanted = ['--requirement', str(ROOT / 'requirements-dev.txt'), '--editable', str(ROOT)]
        if has_foreign_common(python):
            say('using the warwick.observatory.common that is here already')
        else:
            wanted += ['--editable', str(ROOT / 'common')]
        say('installing what focusd and its tests need into .venv')
        pip_install(python, *wanted)
        ready.write_text(f'{ROOT}\n', encoding='utf-8')
        say('.venv is ready')
    except (SetupError, OSError) as error:
        print(f'setup: error: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('setup: interrupted; the next make goes on from here', file=sys.stderr)
        return 130
    return 0


if __name__ == '__main__':
    sys.exit(main())

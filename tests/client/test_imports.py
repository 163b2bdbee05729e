# SPDX-License-Identifier: GPL-3.0-or-later
"""What the client loads, and what it says where that is not installed. Another observatory's common is in place."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.client.conftest import Client, Daemon

# Less than a real one, and built differently: modules and classes whose names are no entries
FOREIGN = '''
class TFmt:
    Green = Red = Cyan = Yellow = Bold = Clear = ''

class PyroDaemon:
    def __init__(self, name: str, port: int) -> None:
        self.name, self.host, self.port = name, '127.0.0.1', port
        self.uri = f'PYRO:{name}@127.0.0.1:{port}'

    def connect(self, timeout=None):
        import Pyro4
        proxy = Pyro4.Proxy(self.uri)
        proxy._pyroTimeout = 5 if timeout is None else timeout or None
        return proxy

class daemons:
    PyroDaemon = PyroDaemon
    scripted = PyroDaemon('scripted_focus_daemon', PORT)

class IP:
    LocalHost = '127.0.0.1'
'''
VALIDATION = '''
import jsonschema
from . import IP, daemons

def daemon_name_validator(validator, value, instance, schema):
    if not hasattr(daemons, instance):
        yield jsonschema.ValidationError('no such daemon')

def machine_name_validator(validator, value, instance, schema):
    if not hasattr(IP, instance):
        yield jsonschema.ValidationError('no such machine')
'''


@pytest.fixture
def foreign(tmp_path: Path) -> Callable[[int], str]:
    """Make a directory with a foreign warwick.observatory.common whose daemon answers at a port."""
    def make(port: int) -> str:
        package = tmp_path / 'foreign' / 'warwick' / 'observatory' / 'common'
        package.mkdir(parents=True)
        (package / '__init__.py').write_text(FOREIGN.replace('PORT', str(port)))
        (package / 'validation.py').write_text(VALIDATION)
        return str(tmp_path / 'foreign')
    return make


@pytest.fixture
def shelf(tmp_path: Path) -> Callable[..., str]:
    """Make a directory that holds some of the installed packages, for an interpreter that sees no others."""
    def make(*names: str) -> str:
        directory = tmp_path / 'shelf'
        directory.mkdir()
        for name in names:
            spec = find_spec(name)
            assert spec is not None and spec.origin is not None
            origin = Path(spec.origin)
            origin = origin.parent if origin.name == '__init__.py' else origin
            (directory / origin.name).symlink_to(origin)
        return str(directory)
    return make


def bare(client: Client, arguments: list[str], *path: str) -> subprocess.CompletedProcess[str]:
    """Run `focus` in an interpreter that sees the standard library, the clone and `path` alone."""
    python, script = client.command()
    return subprocess.run([python, '-S', script, *arguments], timeout=60, capture_output=True,
                          env={**client.environment, 'PYTHONPATH': ':'.join(path)}, encoding='utf-8')


def loaded(client: Client, arguments: tuple[str, ...], path: str) -> set[str]:
    completed = subprocess.run([sys.executable, '-X', 'importtime', *client.command(*arguments)[1:]], timeout=60,
                               env={**client.environment, 'PYTHONPATH': path}, capture_output=True, encoding='utf-8')
    assert completed.returncode == 0, completed
    return {name.split('.')[0] for name in re.findall(r'\| +([\w.]+)$', completed.stderr, re.MULTILINE)}


@pytest.mark.parametrize('arguments', [('status',), ('json',), ('stop', '1'), ('set', '1', '5'), ('init',)])
def test_a_call_loads_pyro_but_nothing_that_it_does_not_use(
    client: Client, daemon: Daemon, foreign: Callable[[int], str], arguments: tuple[str, ...]
) -> None:
    modules = loaded(client, arguments, foreign(daemon.port))
    assert 'Pyro4' in modules
    assert not modules & {'jsonschema', 'argparse', 'serial', 'hypothesis', 'rich', 'dataclasses'}


@pytest.mark.parametrize('arguments, own', [
    (('status',), {'events', 'status'}), (('json',), {'events', 'status'}), (('stop', '1'), {'events', 'calls'}),
    (('set', '1', '5'), {'events', 'move'}), (('home', '1'), {'events', 'move'}), (('help',), {'help'}),
    (('configure', '1', 'led', '5'), {'events', 'configure', 'info', 'status'}),
])
def test_a_command_loads_its_own_modules_alone(
    client: Client, daemon: Daemon, arguments: tuple[str, ...], own: set[str]
) -> None:
    code = ('import sys; from warwick.observatory.focuslynx.client.main import main\n'
            'status = main(sys.argv[1:], "focus")\n'
            'print(*sys.modules, sep="\\n", file=sys.stderr); sys.exit(status)')
    completed = subprocess.run([sys.executable, '-c', code, *arguments], timeout=60, capture_output=True,
                               env=client.environment, cwd=Path(client.command()[1]).parent, encoding='utf-8')
    assert completed.returncode == 0, completed
    found = re.findall(r'focuslynx\.client\.(\w+)$', completed.stderr, re.MULTILINE)
    assert set(found) == {'main', 'api', 'commands', 'terminal', *own}
    assert ('focuslynx.hub_settings' in completed.stderr) is ('configure' in own)


def test_help_needs_the_standard_library_alone(client: Client) -> None:
    completed = bare(client, ['help'])
    assert (completed.returncode, completed.stderr) == (0, '')


def test_wrong_arguments_need_the_standard_library_alone(client: Client) -> None:
    completed = bare(client, ['set', '1'])
    assert (completed.returncode, completed.stdout, completed.stderr) == (
        255, 'usage: focus set (1|2) <step position>\n', '')


def test_a_foreign_common_serves_as_well_as_ours(client: Client, daemon: Daemon, foreign: Callable[[int], str]) -> None:
    completed = client.run('status', PYTHONPATH=foreign(daemon.port))
    assert (completed.returncode, completed.stdout.splitlines()[1]) == (0, 'Channel 1:    +500 steps, 21.7°C')


@pytest.mark.parametrize('name', ['PyroDaemon', '__doc__', 'elsewhere', 'scripted.port', ''])
def test_what_is_no_entry_of_a_foreign_common_is_an_unknown_daemon(
    client: Client, daemon: Daemon, foreign: Callable[[int], str], settings: dict[str, Any], name: str
) -> None:
    client.config.write_text(json.dumps(dict(settings, daemon=name)))
    completed = client.run('status', PYTHONPATH=foreign(daemon.port))
    assert (completed.returncode, completed.stdout) == (1, '')
    assert completed.stderr == f'error: {client.config}: daemon: "{name}": unknown daemon, known: scripted\n'


def test_a_missing_common_is_named_with_the_ways_to_get_it(client: Client, shelf: Callable[..., str]) -> None:
    completed = bare(client, ['status'], shelf('Pyro4', 'serpent'))
    assert (completed.returncode, completed.stdout) == (1, '')
    assert completed.stderr == (
        'error: the Python package warwick.observatory.common is not installed: install the observatory\'s package '
        'python3-warwick-observatory-common, or run "pip install ./common" in a clone of focusd\n')


def test_a_missing_pyro_is_named_with_the_ways_to_get_it(
    client: Client, daemon: Daemon, foreign: Callable[[int], str]
) -> None:
    completed = bare(client, ['status'], foreign(daemon.port))
    assert (completed.returncode, completed.stdout) == (1, '')
    assert completed.stderr == ('error: the Python package Pyro4 is not installed: install the package '
                                'python3-Pyro4, or run "pip install Pyro4"\n')


@pytest.mark.parametrize('content', ['{}', '[]', '{"daemon": "elsewhere"}'])
def test_a_wrong_configuration_is_explained_without_jsonschema(
    client: Client, daemon: Daemon, foreign: Callable[[int], str], shelf: Callable[..., str], content: str
) -> None:
    client.config.write_text(content)
    completed = bare(client, ['status'], foreign(daemon.port), shelf('Pyro4', 'serpent'))
    assert (completed.returncode, completed.stdout, completed.stderr.count('\n')) == (1, '', 1)
    assert completed.stderr.startswith(f'error: {client.config}: ')


def test_a_missing_foreign_package_is_reported_on_one_line(
    client: Client, daemon: Daemon, foreign: Callable[[int], str]
) -> None:
    directory = foreign(daemon.port)
    package = Path(directory) / 'warwick' / 'observatory' / 'common' / '__init__.py'
    package.write_text('import astrolabe')
    completed = client.run('status', PYTHONPATH=directory)
    assert (completed.returncode, completed.stdout) == (1, '')
    assert completed.stderr == "error: a Python package cannot be loaded: No module named 'astrolabe'\n"


def test_a_common_without_our_names_is_reported_on_one_line(
    client: Client, daemon: Daemon, foreign: Callable[[int], str]
) -> None:
    directory = foreign(daemon.port)
    (Path(directory) / 'warwick' / 'observatory' / 'common' / '__init__.py').write_text('')
    completed = client.run('status', PYTHONPATH=directory)
    assert (completed.returncode, completed.stdout, completed.stderr.count('\n')) == (1, '', 1)
    assert completed.stderr.startswith('error: a Python package cannot be loaded: cannot import name ')


def test_ctrl_c_is_not_lost_while_packages_are_loaded(
    client: Client, daemon: Daemon, foreign: Callable[[int], str]
) -> None:
    directory = foreign(daemon.port)
    with open(Path(directory) / 'warwick' / 'observatory' / 'common' / '__init__.py', 'a') as package:
        # Python only prints what a callback raises
        package.write('import os, signal, weakref\nnobody = type("Nobody", (), {})()\n'
                      'watch = weakref.ref(nobody, lambda _: os.kill(os.getpid(), signal.SIGINT))\ndel nobody\n')
    completed = client.run('set', '1', '500', PYTHONPATH=directory)
    assert (completed.returncode, completed.stdout, completed.stderr) == (156, 'error: terminated by user\n', '')
    assert daemon.control.calls() == []


def test_ctrl_c_waits_from_the_first_line_of_the_script(client: Client, tmp_path: Path) -> None:
    (tmp_path / 'focus').write_text(Path(client.command()[1]).read_text())
    package = tmp_path / 'warwick' / 'observatory' / 'focuslynx' / 'client'
    package.mkdir(parents=True)
    (package / 'main.py').write_text('import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n'
                                    'def main(argv, program):\n    return 42 if signal.sigpending() else 1\n')
    completed = subprocess.run([sys.executable, tmp_path / 'focus'], capture_output=True, encoding='utf-8', timeout=60)
    assert (completed.returncode, completed.stdout, completed.stderr) == (42, '', '')


def test_a_client_without_its_own_package_says_so(client: Client, tmp_path: Path) -> None:
    alone = tmp_path / 'focus'
    alone.write_text(Path(client.command()[1]).read_text())
    completed = subprocess.run([sys.executable, '-S', alone, 'help'], env={**client.environment, 'PYTHONPATH': ''},
                               capture_output=True, encoding='utf-8', timeout=60)
    assert (completed.returncode, completed.stdout) == (1, '')
    assert completed.stderr == ("error: No module named 'warwick': "
                                'install the package python3-warwick-observatory-focuslynx\n')


def test_the_exported_names_need_neither_pyro_nor_serial_nor_common() -> None:
    code = ('import sys; from warwick.observatory.focuslynx import CommandStatus, Config, FocuserStatus; '
            'print(sorted({"Pyro4", "serial", "jsonschema", "warwick.observatory.common"} & set(sys.modules)))')
    top = str(Path(__file__).resolve().parents[2])
    completed = subprocess.run([sys.executable, '-S', '-c', code], cwd=top, capture_output=True, encoding='utf-8')
    assert (completed.stdout, completed.stderr) == ('[]\n', '')

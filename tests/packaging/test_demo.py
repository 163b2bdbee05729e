# SPDX-License-Identifier: GPL-3.0-or-later
"""The demonstration: what it shows, and that it leaves nothing behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.packaging.environments import clean_variables


class Stage:
    """A copy of the clone whose test.json is served at a port that nothing else uses."""

    def __init__(self, directory: Path, sources: Path) -> None:
        self.clone = directory / 'a clone'
        shutil.copytree(sources, self.clone, symlinks=True)
        with socket.socket() as probe:
            probe.bind(('127.0.0.1', 0))
            self.port: int = probe.getsockname()[1]
        entry = {'name': 'demo_daemon', 'machine': 'LocalHost', 'port': self.port}
        (directory / 'site.json').write_text(json.dumps({'daemons': {'demo': entry}}))
        self.variables = clean_variables(
            PYTHONPATH=os.pathsep.join([str(self.clone / 'common'), str(self.clone)]),
            OBSERVATORY_SITE=str(directory / 'site.json'),
        )
        self.configure(daemon='demo')

    def configure(self, **changes: object) -> None:
        path = self.clone / 'test.json'
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    def start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, self.clone / 'tools' / 'demo.py'], cwd='/', env=self.variables, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        )

    def left_over(self) -> list[str]:
        """Command lines of the processes that still work in the copy."""
        found = []
        for entry in Path('/proc').glob('[0-9]*/cmdline'):
            try:
                line = entry.read_bytes().replace(b'\0', b' ').decode(errors='replace')
            except OSError:
                continue
            if str(self.clone) in line:
                found.append(line)
        return found


@pytest.fixture
def stage(tmp_path: Path, sources: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path, sources)
    yield stage
    assert stage.left_over() == []
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(('127.0.0.1', stage.port))


def test_the_demo_shows_every_command_and_succeeds(stage: Stage) -> None:
    with stage.start() as process:
        output, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, '')
    lines = output.splitlines()
    commands = [line for line in lines if line.startswith('$ focus ') and line != '$ focus status']
    assert commands == [
        '$ focus init', '$ focus set 1 2000 &', '$ focus set 2 -8000 &', '$ focus stop 2', '$ focus zero 2',
        '$ focus kill',
    ]
    assert 'Channel 1:   +2000 steps, ' in output
    assert any(line.startswith('Channel 2: ') and '(moving to   -8000 steps)' in line for line in lines)
    assert '[focus set 1 2000: exit code 0]' in lines
    assert '[focus set 2 -8000: exit code 1, error: command failed]' in lines
    assert lines[-1] == 'demo: all went as it should'


def test_a_busy_port_gets_one_line(stage: Stage) -> None:
    with socket.create_server(('127.0.0.1', stage.port)), stage.start() as process:
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert output == ''
    line, = errors.splitlines()
    assert line.startswith(f'demo: error: 127.0.0.1:{stage.port} cannot be used (Address already in use)')


def test_a_move_that_is_refused_fails_the_demo(stage: Stage) -> None:
    stage.configure(soft_step_limits=[-50000, 1000])
    with stage.start() as process:
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert 'demo: error: focus set 1 2000: exit code 6, not 0' in errors
    assert 'all went as it should' not in output


def test_a_daemon_that_does_not_start_fails_the_demo_and_is_quoted(stage: Stage) -> None:
    stage.configure(move_timeout=-1)
    with stage.start() as process:
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert errors.startswith('demo: error: ')
    assert 'move_timeout' in output
    assert 'Traceback' not in output + errors


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_leaves_nothing_running(stage: Stage, number: signal.Signals) -> None:
    with stage.start() as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith('$ focus set 2'):
                break
        # As Ctrl-C does: to the whole group of the terminal
        os.killpg(process.pid, number)
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (128 + number, '')

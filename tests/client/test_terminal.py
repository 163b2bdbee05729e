# SPDX-License-Identifier: GPL-3.0-or-later
"""Output that cannot be written."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.client.conftest import Client


@pytest.mark.parametrize('unbuffered', ['', '1'])
@pytest.mark.parametrize('arguments, code', [(('status',), 0), (('json',), 0), (('help',), 0), (('stop',), 255)])
def test_a_reader_that_went_away_is_no_failure(
    client: Client, arguments: tuple[str, ...], code: int, unbuffered: str
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing) as pipe:
        completed = subprocess.run(client.command(*arguments), stdout=pipe, stderr=subprocess.PIPE, timeout=60,
                                   env={**client.environment, 'PYTHONUNBUFFERED': unbuffered})
    assert (completed.returncode, completed.stderr) == (code, b'')


@pytest.mark.skipif(not os.path.exists('/dev/full'), reason='this system has no device that is always full')
def test_output_that_cannot_be_written_is_a_failure_of_one_line(client: Client) -> None:
    with open('/dev/full', 'w') as full:
        completed = subprocess.run(client.command('status'), env=client.environment, stdout=full, timeout=60,
                                   stderr=subprocess.PIPE)
    assert (completed.returncode, completed.stderr) == (1, b'error: cannot write: No space left on device\n')


@pytest.mark.parametrize('arguments, code', [('status', 0), ('stop 1', 0), ('stop', 255)])
def test_a_closed_standard_output_changes_no_exit_code(client: Client, arguments: tuple[str, ...], code: int) -> None:
    python, script = client.command()
    completed = subprocess.run(f'"{python}" "{script}" {arguments} >&-', shell=True, env=client.environment,
                               stderr=subprocess.PIPE, timeout=60)
    assert (completed.returncode, completed.stderr) == (code, b'')

# SPDX-License-Identifier: GPL-3.0-or-later
"""Standard output as the log: priorities for the journal, times for people, and nobody waits for who reads it."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon.harness import TOP, Daemon
from tests.daemon.test_process import answers
from tests.daemon.test_pyro_object import SUCCEEDED
from tests.simulator.harness import eventually
from warwick.observatory.focuslynx.daemon.journal import LONGEST_LINE, StdoutHandler, is_journal


class Pipe:
    """A pipe, and a logger that writes into it."""

    def __init__(self) -> None:
        self.read_end, self.write_end = os.pipe()
        os.set_blocking(self.read_end, False)

    def logger(self) -> logging.Logger:
        logger = logging.Logger('tested', logging.DEBUG)
        logger.addHandler(StdoutHandler(self.write_end))
        return logger

    def read(self) -> list[str]:
        try:
            return os.read(self.read_end, 1 << 20).decode().splitlines()
        except BlockingIOError:
            return []

    def fill(self) -> None:
        """Take all its room."""
        os.set_blocking(self.write_end, False)
        try:
            while True:
                os.write(self.write_end, b'.' * 4096)
        except BlockingIOError:
            os.set_blocking(self.write_end, True)

    def name(self) -> str:
        """What JOURNAL_STREAM would be if this were the journal."""
        status = os.fstat(self.write_end)
        return f'{status.st_dev}:{status.st_ino}'


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    for descriptor in (pipe.read_end, pipe.write_end):
        try:
            os.close(descriptor)
        except OSError:
            pass   # the test has closed it


@pytest.fixture
def journal(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> Pipe:
    """A pipe that passes for systemd's journal."""
    monkeypatch.setenv('JOURNAL_STREAM', pipe.name())
    return pipe


def test_a_line_for_the_journal_begins_with_its_priority(journal: Pipe) -> None:
    logger = journal.logger()
    for level in ('critical', 'error', 'warning', 'info', 'debug'):
        getattr(logger, level)('channel %d: %s', 1, level)
    assert journal.read() == ['<2>channel 1: critical', '<3>channel 1: error', '<4>channel 1: warning',
                              '<6>channel 1: info', '<7>channel 1: debug']


def test_each_line_of_a_traceback_has_the_priority(journal: Pipe) -> None:
    try:
        raise ValueError('one\ntwo')
    except ValueError:
        journal.logger().exception('it failed')
    lines = journal.read()
    assert lines[:2] == ['<3>it failed', '<3>Traceback (most recent call last):']
    assert lines[-2:] == ['<3>ValueError: one', '<3>two']
    assert all(line.startswith('<3>') for line in lines)


def test_a_line_for_people_begins_with_its_time_and_level(pipe: Pipe) -> None:
    pipe.logger().warning('channel 1: slow')
    line, = pipe.read()
    assert re.fullmatch(r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z warning: channel 1: slow', line)


def test_another_stream_than_that_of_the_journal_gets_no_priorities(
        pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ('', '0:0', 'nonsense'):
        monkeypatch.setenv('JOURNAL_STREAM', value)
        assert not is_journal(pipe.write_end)
    assert not is_journal(9999), 'nor what is not open'


def test_a_reader_that_does_not_read_costs_lines_but_no_time_and_is_told_how_many(journal: Pipe) -> None:
    logger = journal.logger()
    sent = 20_000
    for n in range(sent):
        logger.info('line %d', n)
    got = journal.read()
    assert got == [f'<6>line {n}' for n in range(len(got))] and len(got) < sent
    logger.info('the next')
    assert journal.read() == [f'<4>{sent - len(got)} lines were dropped: standard output was not read', '<6>the next']


def test_a_line_without_end_is_cut(journal: Pipe) -> None:
    journal.logger().info('x' * 100_000)
    line, = journal.read()
    assert line.startswith('<6>xxx') and len(line) + 1 == LONGEST_LINE


def test_a_reader_that_has_gone_disturbs_nobody(journal: Pipe) -> None:
    logger = journal.logger()
    os.close(journal.read_end)
    logger.info('one')
    os.close(journal.write_end)
    logger.info('two')


def test_a_daemon_whose_output_nobody_reads_goes_on(tmp_path: Path) -> None:
    first = Daemon(tmp_path)   # for its configuration
    first.stop()
    pipe = Pipe()
    pipe.fill()
    process = subprocess.Popen([sys.executable, str(TOP / 'focusd'), str(first.config)], env=first.environment,
                               stdin=subprocess.DEVNULL, stdout=pipe.write_end, stderr=subprocess.DEVNULL)
    try:
        eventually(lambda: answers(first))
        assert first.call('initialize') == SUCCEEDED
        assert first.call('set_focus', 1, 100) == SUCCEEDED
    finally:
        process.terminate()
        assert process.wait(20) == 0
        os.close(pipe.read_end)
        os.close(pipe.write_end)


def test_where_standard_descriptors_are_closed_nothing_that_is_opened_gets_their_numbers(tmp_path: Path) -> None:
    """The log would go there: to a client, or to the hub."""
    first = Daemon(tmp_path)
    first.stop()
    process = subprocess.Popen(['sh', '-c', 'exec "$0" "$@" <&- >&- 2>&-', sys.executable, str(TOP / 'focusd'),
                                str(first.config)], env=first.environment)
    try:
        eventually(lambda: answers(first))
        assert {os.readlink(f'/proc/{process.pid}/fd/{n}') for n in (0, 1, 2)} == {'/dev/null'}
    finally:
        process.terminate()
        assert process.wait(20) == 0

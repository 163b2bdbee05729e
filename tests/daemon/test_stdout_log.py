# SPDX-License-Identifier: GPL-3.0-or-later
"""Standard output as the log: priorities for the journal, times for people, and no call of a logger waits for it."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
import termios
import threading
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon.harness import TOP, Daemon
from tests.daemon.test_process import answers
from tests.daemon.test_pyro_object import SUCCEEDED
from tests.simulator.harness import eventually
from warwick.observatory.focuslynx.daemon.log import LINE_LIMIT, QUEUE_CAPACITY, StdoutHandler, is_journal


class Pipe:
    """A pipe, and a logger that writes into it."""

    def __init__(self) -> None:
        self.read_end, self.write_end = os.pipe()
        self._handler: StdoutHandler | None = None

    def logger(self) -> logging.Logger:
        self._handler = StdoutHandler(self.write_end)
        self._handler.start()
        logger = logging.Logger('tested', logging.DEBUG)
        logger.addHandler(self._handler)
        return logger

    def finish(self) -> None:
        """Let the logger write what waits."""
        if self._handler is not None:
            self._handler.finish(20)

    def read(self) -> list[str]:
        """All that the logger has written, up to the end."""
        self.finish()
        os.close(self.write_end)
        with open(self.read_end, closefd=False) as text:
            return text.read().splitlines()

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


def test_a_stream_other_than_the_journal_gets_no_priorities(
        pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ('', '0:0', 'nonsense'):
        monkeypatch.setenv('JOURNAL_STREAM', value)
        assert not is_journal(pipe.write_end)
    assert not is_journal(9999), 'nor what is not open'


def numbers(lines: list[str]) -> list[int]:
    """The numbers of the lines `line 0`, `line 1`, ... among these, and that of dropped lines, negative."""
    found = [re.search(r'info: x*line (\d+)$|warning: (\d+) lines were dropped: standard output was not read$', line)
             for line in lines]
    assert all(found), lines
    return [int(match[1]) if match[1] else -int(match[2]) for match in found if match]


def log_lines(logger: logging.Logger, count: int, padding: str = '') -> None:
    """Log so many lines; fails if that waits for a reader."""
    def log() -> None:
        for n in range(count):
            logger.info('%sline %d', padding, n)

    thread = threading.Thread(target=log, daemon=True)
    thread.start()
    thread.join(20)
    assert not thread.is_alive(), 'the logger waits for the reader'


def test_a_reader_that_does_not_read_costs_lines_but_no_time(pipe: Pipe) -> None:
    sent = 20_000
    pipe.fill()
    log_lines(pipe.logger(), sent)
    os.set_blocking(pipe.read_end, False)
    got = b''

    def read_more() -> bool:
        nonlocal got
        try:
            got += os.read(pipe.read_end, 1 << 20)
        except BlockingIOError:
            pass
        return b'dropped' in got

    eventually(read_more)
    lines = numbers(got.decode().lstrip('.').splitlines())
    assert lines == [*range(QUEUE_CAPACITY), QUEUE_CAPACITY - sent]


@pytest.mark.parametrize('freeze', ['its reader has stopped', 'Ctrl-S'])
def test_a_frozen_terminal_costs_lines_but_no_time(freeze: str) -> None:
    """poll() promises room in pipes, not in terminals: a write blocks although it said that there is some."""
    reader, terminal = os.openpty()
    tty.setraw(terminal)
    if freeze == 'Ctrl-S':
        termios.tcflow(terminal, termios.TCOOFF)
    handler = StdoutHandler(terminal, capacity=50)
    handler.start()
    logger = logging.Logger('tested')
    logger.addHandler(handler)
    log_lines(logger, 5000, padding=1000 * 'x')
    handler.finish(0.01)   # it gives up in time, and the thread goes on when it can
    if freeze == 'Ctrl-S':
        termios.tcflow(terminal, termios.TCOON)
    text = b''
    written: list[int] = []
    dropped = 0
    while len(written) + dropped < 5000:
        text += os.read(reader, 4096)
        got = numbers(text[:text.rfind(b'\n') + 1].decode().splitlines())
        written = [number for number in got if number >= 0]
        dropped = -sum(number for number in got if number < 0)
    assert written == sorted(set(written)), 'in their order'
    assert dropped and len(written) + dropped == 5000, 'and each is written or counted'
    os.close(terminal)
    os.close(reader)


def test_the_thread_waits_for_a_non_blocking_terminal(pipe: Pipe) -> None:
    os.set_blocking(pipe.write_end, False)
    logger = pipe.logger()
    logger.info('x' * 100_000)
    for n in range(99):
        logger.info('y%d', n)
    with open(pipe.read_end, closefd=False) as text:
        lines = [text.readline() for _ in range(100)]
    assert [line.split()[-1] for line in lines[1:]] == [f'y{n}' for n in range(99)]


def test_arguments_that_do_not_fit_are_a_line_and_no_exception(journal: Pipe) -> None:
    logger = journal.logger()
    logger.info('%d steps', 'many')
    lines = journal.read()
    assert len(lines) == 1   # Python 3.9 words the exception differently
    assert re.fullmatch(r"<6>cannot be logged: '%d steps': TypeError\('%d format: a .*number is required, not str'\)",
                        lines[0])


def test_a_line_without_end_is_cut(journal: Pipe) -> None:
    journal.logger().info('x' * 100_000)
    line, = journal.read()
    assert line.startswith('<6>xxx') and len(line) + 1 == LINE_LIMIT


def test_a_reader_that_has_gone_does_no_harm(journal: Pipe) -> None:
    logger = journal.logger()
    os.close(journal.read_end)
    logger.info('one')
    journal.finish()
    logger = journal.logger()
    os.close(journal.write_end)
    logger.info('two')
    journal.finish()


def test_a_daemon_whose_output_is_not_read_goes_on(tmp_path: Path) -> None:
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


def test_closed_standard_descriptors_are_not_used_again(tmp_path: Path) -> None:
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

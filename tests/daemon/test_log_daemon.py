# SPDX-License-Identifier: GPL-3.0-or-later
"""The observatory log daemon absent, silent or hanging: no thread waits for it, and what is lost is counted.

Where it hangs it does so without end, and the site allows it any time: whatever waited for it would never return.
"""

from __future__ import annotations

import logging
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import Pyro4
import pytest

from tests.daemon.harness import TOP, Daemon
from tests.daemon.test_links import on_a_pty
from tests.daemon.test_pyro_object import MOVING, NOT_DISCONNECTED, SUCCEEDED
from tests.ports import free_port
from tests.simulator.harness import Simulator, eventually
from warwick.observatory.focuslynx.daemon.log import QUEUE_CAPACITY, ObservatoryLog, RateLimit

FOR_EVER = 0

# Takes no message until it is released. `read` returns what it has taken.
LOG_DAEMON = '''
import sys
import threading
import Pyro4

released = threading.Event()
taken = []

@Pyro4.expose
class Log:
    def _take(self, level, table, message):
        released.wait()
        taken.append((level, table, message))
    def log_info(self, table, message):
        self._take('info', table, message)
    def log_warning(self, table, message):
        self._take('warning', table, message)
    def log_error(self, table, message):
        self._take('error', table, message)
    def release(self):
        released.set()
    def read(self):
        return taken

daemon = Pyro4.Daemon(host='127.0.0.1', port=int(sys.argv[1]))
daemon.register(Log(), objectId='log_daemon')
print('ready', flush=True)
daemon.requestLoop()
'''


class HangingLog:
    """A real log daemon in a process of its own, which hangs until it is released."""

    def __init__(self) -> None:
        self.port = free_port()
        self._process = subprocess.Popen([sys.executable, '-c', LOG_DAEMON, str(self.port)], stdout=subprocess.PIPE,
                                         env={**os.environ, 'PYTHONPATH': str(TOP / 'common')})
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b'ready\n'

    def call(self, method: str) -> Any:
        with Pyro4.Proxy(f'PYRO:log_daemon@127.0.0.1:{self.port}') as proxy:
            return getattr(proxy, method)()

    def read(self) -> list[tuple[str, str, str]]:
        taken: list[tuple[str, str, str]] = self.call('read')
        return taken

    def close(self) -> None:
        assert self._process.stdout is not None
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()


@pytest.fixture
def hanging_log() -> Iterator[HangingLog]:
    log = HangingLog()
    yield log
    log.close()


@pytest.fixture
def silent_log() -> Iterator[socket.socket]:
    """A socket that accepts connections and says nothing."""
    with socket.socket() as listener:
        listener.bind(('127.0.0.1', 0))
        listener.listen()
        yield listener


@pytest.fixture(params=['refusing', 'silent', 'hanging'])
def bad_log(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The entry of a log daemon that takes no message."""
    if request.param == 'refusing':
        return {'port': free_port(), 'timeout': FOR_EVER}
    if request.param == 'silent':
        listener: socket.socket = request.getfixturevalue('silent_log')
        return {'port': listener.getsockname()[1], 'timeout': FOR_EVER}
    log: HangingLog = request.getfixturevalue('hanging_log')
    return {'port': log.port, 'timeout': FOR_EVER}


@pytest.fixture
def logging_daemon(tmp_path: Path) -> Iterator[Callable[..., Daemon]]:
    """Start a daemon that logs to this entry; it is gone after the test."""
    started: list[Daemon] = []

    def run(entry: dict[str, Any], **settings: Any) -> Daemon:
        log = {'name': 'log_daemon', 'machine': 'LocalHost', **entry}
        site = {'daemons': {'log': log}, 'log': {'daemon': 'log', 'network': '127.0.0.0/8'}}
        started.append(Daemon(tmp_path, site=site, **settings))
        return started[-1]

    yield run
    for daemon in started:
        if daemon.process.poll() is None:
            daemon.kill()


def test_no_call_poll_or_stop_waits_for_the_observatory_log(
        bad_log: dict[str, Any], simulate: Callable[..., Simulator], tmp_path: Path,
        logging_daemon: Callable[..., Daemon]) -> None:
    simulator, link = on_a_pty(simulate, tmp_path)
    daemon = logging_daemon(bad_log, serial_port=link, idle_loop_delay=0.1)
    assert daemon.call('initialize') == SUCCEEDED
    assert daemon.call('initialize') == NOT_DISCONNECTED
    assert daemon.call('set_focus', 1, 500) == SUCCEEDED
    assert simulator.control.get('1.position') == 56500
    simulator.control('probe 1 -3.2')
    eventually(lambda: daemon.status()['temperature_1'] == -3.2)
    move = daemon.begin('set_focus', 1, 45000)
    eventually(lambda: daemon.state(1) == MOVING and simulator.control.get('1.moving'))
    assert daemon.call('stop_channel', 1) == SUCCEEDED
    assert not simulator.control.get('1.moving')
    assert move.wait() != SUCCEEDED
    assert daemon.call('reset_home_position', 1) == SUCCEEDED
    assert daemon.call('shutdown') == SUCCEEDED
    assert daemon.call('initialize') == SUCCEEDED
    last = daemon.begin('set_focus', 2, 45000)
    eventually(lambda: simulator.control.get('2.moving'))
    assert daemon.stop() == 0
    assert last.wait() != SUCCEEDED
    assert not simulator.control.get('2.moving'), 'the end of the process did not wait either'
    logged = re.compile(r'\d{4}-\d\d-\d\dT[\d:.]+Z (info|warning): ')
    assert all(map(logged.match, daemon.log.splitlines())), 'nothing was written past the log'


def test_a_log_daemon_that_refuses_is_reported_once(
        logging_daemon: Callable[..., Daemon]) -> None:
    daemon = logging_daemon({'port': free_port()})
    for _ in range(3):
        assert daemon.call('initialize') == SUCCEEDED
        assert daemon.call('shutdown') == SUCCEEDED
    assert daemon.stop() == 0
    eventually(lambda: daemon.log.count('messages are not stored') == 1)
    eventually(lambda: daemon.log.count('disconnected on request') == 3)


def test_each_event_is_once_in_each_log(
        hanging_log: HangingLog, logging_daemon: Callable[..., Daemon]) -> None:
    hanging_log.call('release')
    daemon = logging_daemon({'port': hanging_log.port})
    assert daemon.call('initialize') == SUCCEEDED
    move = daemon.begin('set_focus', 1, 45000)
    eventually(lambda: daemon.state(1) == MOVING)
    assert daemon.call('stop_channel', 1) == SUCCEEDED
    assert move.wait() != SUCCEEDED
    assert daemon.stop() == 0
    taken = hanging_log.read()
    assert {table for _, table, _ in taken} == {'focus_test'}
    printed = [line.split(' ', 1)[1] for line in daemon.log.splitlines()]
    assert printed == [f'{level}: {message}' for level, _, message in taken]
    levels = {'serves at': 'info', 'connected to the hub': 'info', 'steps requested': 'info', 'stop requested': 'info',
              'steps stopped at': 'warning', 'disconnected on request': 'info', 'ends': 'info'}
    assert [level for level, _, message in taken] == list(levels.values())
    assert all(words in message for words, (_, _, message) in zip(levels, taken))


def test_messages_beyond_the_bound_are_counted_and_reported(
        hanging_log: HangingLog, logging_daemon: Callable[..., Daemon]) -> None:
    daemon = logging_daemon({'port': hanging_log.port, 'timeout': FOR_EVER})
    assert daemon.call('initialize') == SUCCEEDED
    stops = QUEUE_CAPACITY // 2 + 25
    with daemon.proxy() as proxy:
        assert [proxy.stop_channel(1) for _ in range(stops)] == [SUCCEEDED] * stops
    assert hanging_log.read() == []
    eventually(lambda: daemon.log.count('channel 1: stop requested') == stops)   # standard output has each at once
    hanging_log.call('release')

    def reports() -> list[str]:
        return [message for _, _, message in hanging_log.read() if 'log lines were dropped' in message]

    said = eventually(reports)[0]
    dropped = int(said.split()[0])
    taken = [message for _, _, message in hanging_log.read()]
    delivered = [message for message in taken if message.startswith('channel 1: stop')]
    assert len(delivered) + dropped == 2 * stops, 'each line was delivered or counted'
    assert 0 < dropped < 2 * stops - QUEUE_CAPACITY + 10
    assert delivered == ['channel 1: stop requested', 'channel 1: stopped at +0 steps'] * (len(delivered) // 2) \
        + ['channel 1: stop requested'] * (len(delivered) % 2), 'in their order, the oldest first'
    eventually(lambda: daemon.log.count(said) == 1)
    assert daemon.call('set_focus', 1, 100) == SUCCEEDED
    eventually(lambda: any('arrived at +100 steps' in message for _, _, message in hanging_log.read()))


def test_an_endless_outage_of_the_log_takes_no_more_memory(
        silent_log: socket.socket, logging_daemon: Callable[..., Daemon]) -> None:
    daemon = logging_daemon({'port': silent_log.getsockname()[1], 'timeout': FOR_EVER})
    assert daemon.call('initialize') == SUCCEEDED

    def memory_after_stops(count: int) -> int:
        """Resident memory in KiB."""
        with daemon.proxy() as proxy:
            for _ in range(count):
                assert proxy.stop_channel(1) == SUCCEEDED
        status = Path(f'/proc/{daemon.process.pid}/status').read_text()
        return int(re.search(r'VmRSS:\s+(\d+)', status)[1])   # type: ignore[index]

    full = memory_after_stops(QUEUE_CAPACITY // 2 + 50)
    assert memory_after_stops(QUEUE_CAPACITY // 2) - full < 512


def test_lines_that_never_got_through_are_counted_at_the_end(
        silent_log: socket.socket, logging_daemon: Callable[..., Daemon]) -> None:
    daemon = logging_daemon({'port': silent_log.getsockname()[1], 'timeout': FOR_EVER})
    assert daemon.call('initialize') == SUCCEEDED
    assert daemon.stop() == 0
    # It serves, is connected, disconnects, ends
    assert '4 log lines did not get through' in daemon.log


# The handler and the queue by themselves

class Writer:
    """What an ObservatoryLog writes to; it takes nothing before `go`, or raises where `broken`."""

    def __init__(self, broken: bool = False) -> None:
        self.lines: list[str] = []
        self.go = threading.Event()
        self.busy = threading.Event()
        self._broken = broken

    def __call__(self, level: str, message: str) -> None:
        self.busy.set()
        assert self.go.wait(20)
        self.lines.append(f'{level}: {message}')
        if self._broken:
            raise OSError('standard output is closed')


def logger_to(handler: logging.Handler) -> logging.Logger:
    logger = logging.Logger('tested')
    logger.addHandler(handler)
    return logger


@pytest.mark.parametrize(('capacity', 'count'), [(1, 1), (3, 3), (3, 4), (3, 500), (1000, 1500)])
def test_a_queue_keeps_the_oldest_lines_and_counts_the_others(capacity: int, count: int) -> None:
    writer = Writer()
    observatory = ObservatoryLog(writer, capacity)
    events = logger_to(observatory)
    for n in range(count):
        events.info('%d', n)
    writer.go.set()
    observatory.start()
    observatory.finish(20)
    expected = [f'info: {n}' for n in range(min(count, capacity))]
    if count > capacity:
        expected.append(f'warning: {count - capacity} log lines were dropped: the observatory log is too slow')
    assert writer.lines == expected


def test_each_outage_is_counted_by_itself() -> None:
    writer = Writer()
    observatory = ObservatoryLog(writer, 3)
    events = logger_to(observatory)
    observatory.start()
    for outage in (1, 2):
        writer.go.clear()
        writer.busy.clear()
        events.info('outage %d', outage)
        assert writer.busy.wait(20)
        for _ in range(2 + outage):
            events.info('more')
        writer.go.set()
        eventually(lambda outage=outage: sum('dropped' in line for line in writer.lines) == outage)  # type: ignore[misc]
    assert [line.split()[1] for line in writer.lines if 'dropped' in line] == ['1', '2']
    observatory.finish(20)


def test_logging_never_waits_however_many_threads_do_it() -> None:
    writer = Writer()
    observatory = ObservatoryLog(writer, 6)
    events = logger_to(observatory)
    observatory.start()
    events.info('the first')
    assert writer.busy.wait(20)

    def log_many() -> None:
        for _ in range(1000):
            events.info('another')

    threads = [threading.Thread(target=log_many) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive(), 'the logger waits for the writer'
    writer.go.set()
    observatory.finish(20)
    assert len(writer.lines) == 7
    assert writer.lines[-1].startswith(f'warning: {8000 - 5} log lines were dropped')


def test_a_writer_that_raises_loses_no_further_line() -> None:
    writer = Writer(broken=True)
    writer.go.set()
    observatory = ObservatoryLog(writer)
    events = logger_to(observatory)
    observatory.start()
    for n in range(3):
        events.error('%d', n)
    observatory.finish(20)
    assert writer.lines == ['error: 0', 'error: 1', 'error: 2']


def test_the_observatory_log_gets_three_levels_and_no_traceback() -> None:
    writer = Writer()
    writer.go.set()
    observatory = ObservatoryLog(writer)
    events = logger_to(observatory)
    observatory.start()
    try:
        raise ValueError
    except ValueError:
        events.critical('%s fails', 'it', exc_info=True)
    events.warning('slow')
    events.debug('hm')
    observatory.finish(20)
    assert writer.lines == ['error: it fails', 'warning: slow', 'info: hm']


@pytest.mark.parametrize('waiting', [0, 1, 2, 10])
def test_the_end_gives_a_writer_that_hangs_its_time_once(waiting: int, caplog: pytest.LogCaptureFixture) -> None:
    """Also with a full queue: there must not be one wait for room in it, and another one for the thread."""
    writer = Writer()
    observatory = ObservatoryLog(writer, 3)
    events = logger_to(observatory)
    observatory.start()
    events.info('the first')
    assert writer.busy.wait(20)
    for _ in range(waiting):
        events.info('another')
    begun_at = time.monotonic()
    observatory.finish(0.5)
    assert time.monotonic() - begun_at < 0.9
    assert writer.lines == []
    assert f'{1 + waiting} log lines did not get through' in caplog.text
    writer.go.set()


def test_what_was_dropped_is_reported_at_the_end_at_the_latest() -> None:
    lines: list[str] = []
    permits = threading.Semaphore(0)

    def write(_level: str, message: str) -> None:
        assert permits.acquire(timeout=20)
        lines.append(message)

    observatory = ObservatoryLog(write, 2)
    events = logger_to(observatory)
    for n in range(5):
        events.info('%d', n)
    observatory.start()
    permits.release()
    eventually(lambda: lines == ['0'])
    observatory.finish(0.01)   # before the rest has been written
    permits.release(10)
    eventually(lambda: any('3 log lines were dropped' in line for line in lines))


# Rate limits

def test_a_rate_limit_passes_one_line_and_counts_the_others(monkeypatch: pytest.MonkeyPatch,
                                                                  caplog: pytest.LogCaptureFixture) -> None:
    now = [1000.0]
    monkeypatch.setattr('time.monotonic', lambda: now[0])
    logger = logging.getLogger('tested.limited')
    limit = RateLimit(60)
    logger.addFilter(limit)
    try:
        for at in (0, 1, 59, 60, 61, 130, 250):
            now[0] = 1000.0 + at
            logger.warning('%s after %d s', 'a line', at)
    finally:
        logger.removeFilter(limit)
    assert caplog.messages == ['a line after 0 s', 'a line after 60 s (2 more such lines were left out)',
                               'a line after 130 s (1 more such lines were left out)', 'a line after 250 s']

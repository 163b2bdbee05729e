# SPDX-License-Identifier: GPL-3.0-or-later
"""A device that other programs want too, and one that is slow to close."""

from __future__ import annotations

import os
import select
import termios
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.daemon import wire
from tests.daemon.harness import Daemon
from tests.daemon.test_links import on_a_pty
from tests.daemon.test_pyro_object import ERROR, FAILED, SUCCEEDED
from tests.daemon.test_thread_shortage import LIMITS
from tests.daemon.wire import Site
from tests.simulator.harness import Simulator, eventually
from warwick.observatory.focuslynx.core import Connect
from warwick.observatory.focuslynx.daemon.hub_thread import EMPTY_READS_LIMIT_S, HubThread
from warwick.observatory.focuslynx.daemon.serial_port import close_port, open_port, read_available

prepare = wire.prepare


@pytest.fixture
def terminal() -> Iterator[tuple[int, str]]:
    """A pseudo-terminal: the end of the hub, and the path of the other one."""
    master, slave = os.openpty()
    yield master, os.ttyname(slave)
    os.close(slave)
    os.close(master)


@pytest.mark.parametrize('spelling', ['{}', 'spy://{}?file=/dev/null', 'alt://{}?class=PosixPollSerial'])
def test_a_device_is_locked_whatever_its_address(spelling: str, simulate: Callable[..., Simulator],
                                                 start: Callable[..., Daemon], tmp_path: Path) -> None:
    _, link = on_a_pty(simulate, tmp_path)
    first = start(serial_port=spelling.format(link))
    assert first.call('initialize') == SUCCEEDED
    for other in (os.path.realpath(link), f'spy://{os.path.realpath(link)}?file=/dev/null'):
        second = start(serial_port=other)
        assert second.call('initialize') == FAILED
        assert 'it is in use by another program' in second.status()['error_1']
        second.stop()
    assert first.call('set_focus', 1, 500) == SUCCEEDED


def test_bytes_that_another_program_took_are_no_hang_up(terminal: tuple[int, str]) -> None:
    master, path = terminal
    port = open_port(path, 115200)
    os.write(master, b'!')
    assert select.select([port], [], [], 20)[0]
    thief = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    assert os.read(thief, 100) == b'!'
    os.close(thief)
    assert read_available(port) == b''
    os.write(master, b'M')
    assert select.select([port], [], [], 20)[0]
    assert read_available(port) == b'M'
    close_port(port)


# What is read is thrown away as often as a file says
EMPTY_READS = """
from warwick.observatory.focuslynx.daemon import hub_thread, serial_port

read = serial_port.read_available

def robbed(port):
    data = read(port)
    try:
        with open({flag!r}) as file:
            times = int(file.read())
    except FileNotFoundError:
        return data
    if times and data:
        with open({flag!r}, 'w') as file:
            file.write(str(times - 1))
    return b'' if times else data

hub_thread.read_available = robbed
"""


def test_another_reader_is_told_once_and_breaks_nothing(prepare: Callable[..., Site]) -> None:
    site = prepare().connect()
    thief = os.open(site.wire.path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    ended = threading.Event()

    def steal() -> None:
        while not ended.wait(0.4):
            until = time.monotonic() + 0.04
            while time.monotonic() < until:
                if select.select([thief], [], [], 0.01)[0]:
                    try:
                        os.read(thief, 4096)
                    except OSError:
                        pass
    thread = threading.Thread(target=steal)
    thread.start()
    try:
        for steps in (1200, 0, 1200, 0):
            assert site.daemon.call('set_focus', 1, steps) == SUCCEEDED
            assert site.is_at(1, steps)
    finally:
        ended.set()
        thread.join()
        os.close(thief)
    assert 'no connection' not in site.daemon.log
    assert site.daemon.log.count('another program reads') <= 1


def test_a_program_that_reads_again_and_again_is_named_once(prepare: Callable[..., Site], tmp_path: Path) -> None:
    flag = tmp_path / 'flag'
    site = prepare(shim=EMPTY_READS.format(flag=str(flag))).connect()
    for times in (1, 1, 1):
        flag.write_text(str(times))
        eventually(lambda: flag.read_text() == '0')
        site.is_well(1)
    eventually(lambda: f'another program reads {site.wire.path}' in site.daemon.log)
    assert site.daemon.log.count('another program reads') == 1
    assert 'no connection' not in site.daemon.log


class Port:
    """A port that promises bytes without end, and never has any."""

    def __init__(self) -> None:
        self._read_end, self._write_end = os.pipe()
        os.write(self._write_end, b'.')
        self.reads = 0
        self.is_open = True

    def fileno(self) -> int:
        return self._read_end

    def read(self, _size: int) -> bytes:
        self.reads += 1
        return b''

    def write(self, data: bytes) -> int:
        return len(data)

    def close(self) -> None:
        self.is_open = False
        os.close(self._read_end)
        os.close(self._write_end)


def test_a_port_that_never_has_what_it_promises_is_lost() -> None:
    ports: list[Port] = []
    lines: list[str] = []

    def open_one() -> Port:
        ports.append(Port())
        return ports[-1]
    hub = HubThread(LIMITS, 'the port', open_one, lambda level, message: lines.append(message), lambda: None)
    hub.start()
    try:
        began = time.monotonic()
        hub.submit(Connect())
        eventually(lambda: len(ports) == 2)
        assert time.monotonic() - began > EMPTY_READS_LIMIT_S
        assert not ports[0].is_open
        assert ports[0].reads < 200, 'with pauses'
        assert lines[0] == 'no connection to the hub: the port: the port is readable but has nothing to read'
    finally:
        hub.close(3)


SLOW_CLOSE = """
import os
import time

close = os.close

def slowly(descriptor):
    if os.path.exists({flag!r}) and os.isatty(descriptor):
        while os.path.exists({flag!r}):
            time.sleep(0.05)
    close(descriptor)

os.close = slowly
"""


def test_a_port_that_is_slow_to_close_keeps_nobody_waiting(prepare: Callable[..., Site], tmp_path: Path) -> None:
    flag = tmp_path / 'slow'
    site = prepare(shim=SLOW_CLOSE.format(flag=str(flag))).connect()
    move = site.begin_move(1, 45000)
    flag.touch()
    site.wire.mute()
    assert move.wait() == FAILED
    eventually(lambda: site.daemon.state(1) == ERROR)
    for method, arguments in (('stop_channel', (1,)), ('shutdown', ()), ('initialize', ()), ('stop_channel', (1,)),
                              ('shutdown', ()), ('initialize', ())):
        began = time.monotonic()
        site.daemon.call(method, *arguments)
        assert time.monotonic() - began < 5, method
    assert site.daemon.log.count('no connection to the hub') <= 1
    assert 'in use' not in site.daemon.log, 'our own old port is no other program'
    site.wire.heal()
    flag.unlink()
    site.is_well(1, 2)


def test_unsent_output_is_dropped_before_a_port_is_closed(terminal: tuple[int, str],
                                                          monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel waits 30 s for the output of a real serial port, but not for that of a pseudo-terminal."""
    _, path = terminal
    port = open_port(path, 115200)
    done = []
    monkeypatch.setattr(termios, 'tcflush', lambda fd, queue: done.append((os.ttyname(fd), queue)))
    close_port(port)
    assert done == [(path, termios.TCOFLUSH)]
    assert not port.is_open

# SPDX-License-Identifier: GPL-3.0-or-later
"""What systemd gets, read from the socket at which a systemd would listen."""

from __future__ import annotations

import os
import re
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.daemon.harness import Daemon
from tests.daemon.test_pyro_object import SUCCEEDED
from tests.simulator.harness import eventually
from warwick.observatory.focuslynx.constants import FocuserStatus
from warwick.observatory.focuslynx.core.snapshot import FocuserSnapshot
from warwick.observatory.focuslynx.daemon import systemd
from warwick.observatory.focuslynx.daemon.systemd import ServiceManager, Watchdog, in_words

IDLE = FocuserSnapshot(FocuserStatus.Idle, 0.0, temperature_c=21.68, current_steps=500, target_steps=500)

# The sitecustomize of a daemon that accepts no client before a file exists
LATE_SERVER = '''
import os
import socket
import time

accept = socket.socket.accept

def accept_late(self):
    while not os.path.exists({gate!r}):
        time.sleep(0.01)
    return accept(self)

socket.socket.accept = accept_late
'''

# The sitecustomize of a daemon that says on standard output when it calls a Pyro object
ANNOUNCED_CALLS = '''
import Pyro4

make = Pyro4.Proxy.__init__

def announce(self, *args, **options):
    print('focusd calls', flush=True)
    make(self, *args, **options)

Pyro4.Proxy.__init__ = announce
'''


class Listener:
    """systemd's end of the notification socket."""

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address)
        self._socket.settimeout(20)
        self.received: list[dict[str, str]] = []

    def receive(self) -> dict[str, str]:
        """The next message."""
        message = dict(line.split('=', 1) for line in self._socket.recv(4096).decode().split('\n'))
        self.received.append(message)
        return message

    def hear_until(self, key: str, value: str = '') -> dict[str, str]:
        """The next message with this assignment, whatever comes before it."""
        while True:
            message = self.receive()
            if key in message and re.search(value, message[key]):
                return message

    def has_heard(self) -> bool:
        """Whether a message waits."""
        return bool(select.select([self._socket], [], [], 0)[0])

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[Listener]:
    listener = Listener(str(tmp_path / 'notify'))
    yield listener
    listener.close()


class Clock:
    """The monotonic clock, as a test sets it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


def heard(listener: Listener) -> list[dict[str, str]]:
    """All messages up to now."""
    while listener.has_heard():
        listener.receive()
    return listener.received


@pytest.fixture
def notifying(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Daemon]]:
    """Start a daemon with these variables added to its environment; it is gone after the test."""
    started: list[Daemon] = []

    def run(environment: dict[str, str] | None = None, **settings: object) -> Daemon:
        for name, value in {'NOTIFY_SOCKET': str(tmp_path / 'notify'), **(environment or {})}.items():
            monkeypatch.setenv(name, value)
        started.append(Daemon(tmp_path, wait=False, **settings))   # type: ignore[arg-type]
        return started[-1]

    yield run
    for daemon in started:
        if daemon.process.poll() is None:
            daemon.kill()


def test_the_service_is_reported_from_ready_to_stopping(
        listener: Listener, notifying: Callable[..., Daemon]) -> None:
    daemon = notifying()
    first = listener.receive()
    assert set(first) == {'READY', 'STATUS'}
    offline = r'channel 1: offline: not connected[^;]*; channel 2: offline: not connected[^;]*'
    assert re.fullmatch(offline, first['STATUS'])
    assert daemon.status()['status_label_1'] == 'OFFLINE'
    assert daemon.call('initialize') == SUCCEEDED
    listener.hear_until('STATUS', r'^channel 1: idle at \+0 steps, 21.7 C; channel 2: idle at \+0 steps, 21.7 C$')
    move = daemon.begin('set_focus', 2, 12000)
    listener.hear_until('STATUS', r'channel 2: moving at \+\d+ on the way to \+12000 steps, 21.7 C$')
    assert move.wait() == SUCCEEDED
    listener.hear_until('STATUS', r'channel 2: idle at \+12000 steps')
    assert daemon.stop() == 0
    assert listener.hear_until('STOPPING')['STATUS'].startswith('ending')
    assert [set(message) - {'STATUS'} for message in listener.received if set(message) != {'STATUS'}] \
        == [{'READY'}, {'STOPPING'}]


def test_an_abstract_socket_gets_messages_too(notifying: Callable[..., Daemon]) -> None:
    name = f'focusd-test-{os.getpid()}'
    listener = Listener('\0' + name)
    notifying({'NOTIFY_SOCKET': '@' + name})
    assert listener.receive()['READY'] == '1'
    listener.close()


def test_the_service_is_not_ready_before_its_object_has_answered(
        listener: Listener, notifying: Callable[..., Daemon], tmp_path: Path) -> None:
    gate = tmp_path / 'gate'
    daemon = notifying(shim=LATE_SERVER.format(gate=str(gate)))
    eventually(lambda: daemon.log.count('tested_focus_daemon does not answer yet') == 2)
    assert not listener.has_heard()
    gate.touch()
    assert listener.receive()['READY'] == '1'


def test_a_state_that_stays_is_sent_once(listener: Listener, notifying: Callable[..., Daemon]) -> None:
    notifying({'WATCHDOG_USEC': '400000'})
    listener.hear_until('READY')
    for _ in range(8):
        assert listener.receive() == {'WATCHDOG': '1'}


def test_positions_are_not_sent_at_every_poll(listener: Listener, notifying: Callable[..., Daemon]) -> None:
    daemon = notifying(moving_loop_delay=0.02, idle_loop_delay=0.02)
    listener.hear_until('READY')
    assert daemon.call('initialize') == SUCCEEDED
    assert daemon.call('set_focus', 1, 10000) == SUCCEEDED
    listener.hear_until('STATUS', r'channel 1: idle at \+10000')
    words = [message['STATUS'] for message in listener.received]
    assert len(words) <= 10, 'there were a hundred polls'


@pytest.mark.parametrize('own', [True, False], ids=['this process', 'another process'])
def test_the_watchdog_is_fed_if_it_watches_this_process(own: bool, listener: Listener,
                                                        notifying: Callable[..., Daemon]) -> None:
    daemon = notifying({'WATCHDOG_USEC': '800000', **({} if own else {'WATCHDOG_PID': '1'})})
    listener.hear_until('READY')
    if own:
        for _ in range(5):
            listener.hear_until('WATCHDOG', '^1$')
    else:
        assert daemon.call('initialize') == SUCCEEDED
        listener.hear_until('STATUS', 'idle')
        daemon.stop()
        listener.hear_until('STOPPING')
        assert not any('WATCHDOG' in message for message in listener.received)


@pytest.mark.parametrize('stuck', ['hub', 'server'])
def test_the_watchdog_is_fed_only_while_all_threads_progress(stuck: str, listener: Listener, tmp_path: Path,
                                                                  caplog: pytest.LogCaptureFixture) -> None:
    hangs = threading.Event()
    stop = threading.Event()
    end = threading.Event()
    since = time.monotonic()
    thread = threading.Thread(target=end.wait, name=stuck)
    thread.start()
    progress: dict[str, Callable[[], float]] = {'hub': time.monotonic, 'server': time.monotonic}
    progress[stuck] = lambda: since if hangs.is_set() else time.monotonic()
    manager = ServiceManager({'NOTIFY_SOCKET': str(tmp_path / 'notify'), 'WATCHDOG_USEC': '400000'})
    watchdog = Watchdog(manager, progress)

    def supervise() -> None:
        """With another status each time, so that there is always something to send."""
        count = 0
        while not stop.wait(watchdog.interval_s):
            count += 1
            watchdog.report(f'status {count}')
            watchdog.feed()

    supervision = threading.Thread(target=supervise)
    supervision.start()
    try:
        for _ in range(3):
            listener.hear_until('WATCHDOG')
        eventually(lambda: time.monotonic() - since > 1)
        hangs.set()
        eventually(lambda: f'the thread {stuck!r} has made no progress' in caplog.text)
        while listener.has_heard():
            listener.receive()
        listener.received.clear()
        for _ in range(20):
            listener.receive()
        assert not any('WATCHDOG' in message for message in listener.received)
        assert 'in wait\n' in caplog.text, 'and where it hangs'
        hangs.clear()
        listener.hear_until('WATCHDOG')
    finally:
        stop.set()
        end.set()
        supervision.join(20)
        thread.join(20)


def test_nobody_is_accused_after_a_pause_of_the_process(
        listener: Listener, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(systemd, 'time', clock)
    progress_at = clock.now
    manager = ServiceManager({'NOTIFY_SOCKET': str(tmp_path / 'notify'), 'WATCHDOG_USEC': '10000000'})
    watchdog = Watchdog(manager, {'hub': lambda: progress_at})
    watchdog.report('good')
    for _ in range(2):
        clock.now += watchdog.interval_s
        progress_at = clock.now
        watchdog.feed()
    clock.now += 60
    watchdog.feed()
    assert not caplog.text
    assert sum('WATCHDOG' in message for message in heard(listener)) == 2, 'before the pause and after it'
    clock.now += watchdog.interval_s
    watchdog.feed()
    assert "the thread 'hub' has made no progress for 61.0 s" in caplog.text, 'one round of grace, no more'


def test_a_supervisor_that_is_always_late_accuses_all_the_same(
        listener: Listener, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(systemd, 'time', clock)
    manager = ServiceManager({'NOTIFY_SOCKET': str(tmp_path / 'notify'), 'WATCHDOG_USEC': '10000000'})
    began = clock.now
    watchdog = Watchdog(manager, {'hub': lambda: began})
    for _ in range(4):
        clock.now += 4 * watchdog.interval_s
        watchdog.feed()
    assert 'has made no progress' in caplog.text


def test_the_watchdog_is_not_fed_before_the_service_is_ready(listener: Listener, tmp_path: Path) -> None:
    manager = ServiceManager({'NOTIFY_SOCKET': str(tmp_path / 'notify'), 'WATCHDOG_USEC': '400000'})
    watchdog = Watchdog(manager, {'hub': time.monotonic})
    watchdog.feed()
    assert not listener.has_heard()
    watchdog.report('good')
    watchdog.feed()
    assert [listener.receive(), listener.receive()] == [{'READY': '1', 'STATUS': 'good'}, {'WATCHDOG': '1'}]


def test_a_status_that_was_not_received_is_sent_again(tmp_path: Path) -> None:
    address = str(tmp_path / 'late')
    watchdog = Watchdog(ServiceManager({'NOTIFY_SOCKET': address}), {})
    watchdog.report('good')
    listener = Listener(address)
    watchdog.report('good')
    assert listener.receive() == {'READY': '1', 'STATUS': 'good'}
    listener.close()


@pytest.mark.parametrize('name', ['', 'vsock:2:1234'])
def test_there_is_no_service_manager_without_a_socket(name: str) -> None:
    manager = ServiceManager({'NOTIFY_SOCKET': name, 'WATCHDOG_USEC': '1000000'})
    assert not manager.listens and manager.watchdog_s is None


@pytest.mark.parametrize('managed', [True, False])
def test_the_daemon_calls_itself_only_for_a_service_manager(managed: bool, tmp_path: Path, listener: Listener,
                                                            monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('NOTIFY_SOCKET', str(tmp_path / 'notify') if managed else '')
    daemon = Daemon(tmp_path, shim=ANNOUNCED_CALLS)
    if managed:
        listener.hear_until('READY')
    assert daemon.stop() == 0
    assert ('focusd calls' in daemon.log) is managed
    assert listener.has_heard() is managed


@pytest.mark.parametrize('value', ['', '0', 'soon', '-'])
def test_a_watchdog_without_a_time_is_none(value: str) -> None:
    assert ServiceManager({'NOTIFY_SOCKET': '@x', 'WATCHDOG_USEC': value}).watchdog_s is None


def test_a_manager_that_cannot_be_reached_is_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    manager = ServiceManager({'NOTIFY_SOCKET': str(tmp_path / 'unused')})
    assert not manager.notify({'READY': '1'})
    assert not manager.notify({'READY': '1'})
    assert caplog.text.count('cannot tell systemd') == 1
    with_listener = Listener(str(tmp_path / 'unused'))
    assert manager.notify({'READY': '1'})
    assert with_listener.receive() == {'READY': '1'}
    with_listener.close()


def test_a_manager_that_does_not_listen_is_not_waited_for(listener: Listener, tmp_path: Path) -> None:
    manager = ServiceManager({'NOTIFY_SOCKET': str(tmp_path / 'notify')})
    while manager.notify({'STATUS': 'x' * 1000}):
        pass
    assert not manager.notify({'STATUS': 'one more'})


def test_a_value_cannot_smuggle_in_another_assignment(listener: Listener, tmp_path: Path) -> None:
    assert ServiceManager({'NOTIFY_SOCKET': str(tmp_path / 'notify')}).notify({'STATUS': 'one\nMAINPID=1'})
    assert listener.receive() == {'STATUS': 'one MAINPID=1'}


@pytest.mark.parametrize(('snapshot', 'words'), [
    (IDLE, 'idle at +500 steps, 21.7 C'),
    (FocuserSnapshot(FocuserStatus.Idle, 0.0, current_steps=-7), 'idle at -7 steps'),
    (FocuserSnapshot(FocuserStatus.Moving, 0.0, current_steps=0, target_steps=-5, temperature_c=-3.0),
     'moving at +0 on the way to -5 steps, -3.0 C'),
    (FocuserSnapshot(FocuserStatus.Moving, 0.0, current_steps=3, target_steps=-5, stalled=True),
     'not moving at +3 on the way to -5 steps'),
    (FocuserSnapshot(FocuserStatus.Disconnected, 0.0, error='no focuser'), 'disconnected: no focuser'),
    (FocuserSnapshot(FocuserStatus.Error, 0.0, error='no answer'), 'error: no answer'),
])
def test_a_channel_is_put_into_words(snapshot: FocuserSnapshot, words: str) -> None:
    assert in_words({1: snapshot, 2: IDLE}) == f'channel 1: {words}; channel 2: idle at +500 steps, 21.7 C'

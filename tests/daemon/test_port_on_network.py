# SPDX-License-Identifier: GPL-3.0-or-later
"""Ports behind a network, against real connections: how they end, and RFC 2217 with pyserial's own server."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Callable, Iterator

import pytest
import serial
import serial.rfc2217

from tests.daemon.harness import Daemon
from tests.daemon.test_links import on_tcp
from tests.daemon.test_pyro_object import ERROR, FAILED, IDLE, SUCCEEDED
from tests.simulator.harness import Simulator, eventually
from warwick.observatory.focuslynx.daemon.serial_port import close_port, open_port


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(('127.0.0.1', 0)) as listener:
        listener.settimeout(20)
        yield listener


def address(listener: socket.socket, scheme: str = 'socket') -> str:
    return f'{scheme}://127.0.0.1:{listener.getsockname()[1]}'


def test_a_closed_connection_is_reset_and_sends_nothing_more(listener: socket.socket) -> None:
    port = open_port(address(listener), 115200)
    peer, _ = listener.accept()
    peer.settimeout(20)
    port.write(b'<F1GETSTATUS>')
    assert peer.recv(100) == b'<F1GETSTATUS>'
    close_port(port)
    with pytest.raises(ConnectionResetError):
        peer.recv(100)


def test_what_a_stuck_connection_has_buffered_is_dropped(listener: socket.socket) -> None:
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    port = open_port(address(listener), 115200)
    peer, _ = listener.accept()
    peer.settimeout(20)
    with pytest.raises(serial.SerialTimeoutException):
        while True:
            port.write(b'.' * 65536)
    close_port(port)
    eventually(lambda: _is_reset(peer))


def _is_reset(peer: socket.socket) -> bool:
    try:
        return peer.recv(1 << 20) == b'' and pytest.fail('it was closed in the ordinary way')
    except ConnectionResetError:
        return True


def test_a_connection_is_given_up_and_probed_within_seconds(listener: socket.socket) -> None:
    port = open_port(address(listener), 115200)
    with socket.socket(fileno=port.fileno()) as connection:
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 5000
        assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 5
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1, 'a halt does not wait'
        connection.detach()
    close_port(port)


def test_the_old_connection_is_gone_before_a_new_one_is_made(listener: socket.socket,
                                                             start: Callable[..., Daemon]) -> None:
    daemon = start(serial_port=address(listener), connect_on_start=True, serial_timeout=0.2)
    old, _ = listener.accept()
    new, _ = listener.accept()   # the hub does not answer, so the daemon connects again
    assert select.select([old], [], [], 0)[0]
    assert _is_reset_after_requests(old)
    new.close()
    daemon.kill()


def _is_reset_after_requests(peer: socket.socket) -> bool:
    try:
        while peer.recv(4096):
            pass
    except ConnectionResetError:
        return True
    return False


def test_a_server_that_sends_us_away_may_have_another_client(listener: socket.socket,
                                                             start: Callable[..., Daemon]) -> None:
    def turn_away() -> None:
        while True:
            try:
                listener.accept()[0].close()
            except OSError:
                return
    threading.Thread(target=turn_away, daemon=True).start()
    daemon = start(serial_port=address(listener))
    assert daemon.call('initialize') == FAILED
    eventually(lambda: 'before a byte came: perhaps another program has the hub' in (daemon.status()['error_1'] or ''))
    assert 'Errno' not in daemon.log
    assert daemon.state(1) == ERROR


def test_a_server_without_rfc_2217_is_named_in_a_short_line(listener: socket.socket,
                                                           start: Callable[..., Daemon]) -> None:
    daemon = start(serial_port=address(listener, 'rfc2217'))
    assert daemon.call('initialize') == FAILED
    eventually(lambda: daemon.status()['error_1']
               == f"cannot open {address(listener, 'rfc2217')}: the other end does not speak RFC 2217")


class TerminalServer:
    """A device server in front of a hub on TCP: pyserial's own RFC 2217 server code, one client at a time."""

    def __init__(self, hub: str) -> None:
        self._port = serial.serial_for_url(hub, timeout=0.02)
        self._listener = socket.create_server(('127.0.0.1', 0))
        self.address = address(self._listener, 'rfc2217')
        self._client: socket.socket | None = None
        threading.Thread(target=self._serve, daemon=True).start()

    def write(self, data: bytes) -> None:
        """For the PortManager, which answers the client."""
        assert self._client is not None
        self._client.sendall(data)

    def _serve(self) -> None:
        while True:
            self._client, _ = self._listener.accept()
            manager = serial.rfc2217.PortManager(self._port, self)
            ended = threading.Event()
            answers = threading.Thread(target=self._answer, args=(self._client, manager, ended), daemon=True)
            answers.start()
            try:
                while data := self._client.recv(1024):
                    self._port.write(b''.join(manager.filter(data)))
            except OSError:
                pass
            ended.set()
            answers.join()
            self._client.close()

    def _answer(self, client: socket.socket, manager: serial.rfc2217.PortManager, ended: threading.Event) -> None:
        try:
            while not ended.is_set():
                data = self._port.read(self._port.in_waiting or 1)
                if data:
                    client.sendall(b''.join(manager.escape(data)))
        except OSError:
            pass


@pytest.mark.filterwarnings('ignore::DeprecationWarning')
def test_a_hub_behind_rfc_2217_works_and_comes_back(simulate: Callable[..., Simulator],
                                                    start: Callable[..., Daemon]) -> None:
    simulator, port = on_tcp(simulate)
    server = TerminalServer(port)
    daemon = start(serial_port=server.address)
    assert daemon.call('initialize') == SUCCEEDED
    for _ in range(2):
        assert daemon.call('set_focus', 1, 1000) == SUCCEEDED
        assert simulator.control.get('1.position') == 57000
        move = daemon.begin('set_focus', 1, 40000)
        eventually(lambda: simulator.control.get('1.moving'))
        assert daemon.call('stop_channel', 1) == SUCCEEDED
        assert move.wait() == FAILED
        assert daemon.call('shutdown') == SUCCEEDED
        assert daemon.call('initialize') == SUCCEEDED
        eventually(lambda: daemon.state(1) == IDLE)


@pytest.mark.filterwarnings('ignore::DeprecationWarning')
def test_a_port_of_rfc_2217_is_closed_without_delay(simulate: Callable[..., Simulator]) -> None:
    _, hub = on_tcp(simulate)
    port = open_port(TerminalServer(hub).address, 115200)
    readers = [thread for thread in threading.enumerate() if 'RFC 2217' in thread.name]
    assert readers
    close_port(port)
    assert not any(reader.is_alive() for reader in readers), 'pyserial would have waited 7 s for it'

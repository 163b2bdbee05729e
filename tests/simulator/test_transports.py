# SPDX-License-Identifier: GPL-3.0-or-later
"""The transports of a real process, pseudo-terminal and TCP, and its control socket."""
from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest
import serial

from tests.simulator.conftest import OpenPort, StartSimulator
from tests.simulator.harness import (
    DEADLINE_S,
    MODULE,
    ROOT,
    Host,
    Simulator,
    eventually,
    open_serial,
    serial_host,
    tcp_host,
)
from warwick.observatory.focuslynx.simulator import ControlClient, Refused

NAME_1, NAME_2 = b'!\nFocusLynx Foc1\n', b'!\nFocusLynx Foc2\n'


def hello(host: Host, channel: int = 1) -> bytes:
    return host.ask(b'<F%dHELLO>' % channel, b'%d\n' % channel)


def connect(simulator: Simulator) -> socket.socket:
    return socket.create_connection(simulator.tcp_address, timeout=DEADLINE_S)


@pytest.fixture
def start_tcp(start: StartSimulator) -> StartSimulator:
    return lambda *arguments: start('--tcp', '127.0.0.1:0', *arguments)


class TestPseudoTerminal:
    def test_it_is_raw_before_a_host_has_opened_it(self, start_pty: StartSimulator) -> None:
        simulator = start_pty()
        terminal = os.open(simulator.link, os.O_RDWR | os.O_NOCTTY)
        try:
            input_, output, _, local = termios.tcgetattr(terminal)[:4]
            assert not local & (termios.ECHO | termios.ICANON | termios.ISIG)
            assert not input_ & (termios.ICRNL | termios.INLCR | termios.IXON)
            assert not output & termios.OPOST
            assert hello(Host(terminal, lambda data: os.write(terminal, data))) == NAME_1
        finally:
            os.close(terminal)

    def test_a_usual_driver_reads_lines(self, start_pty: StartSimulator) -> None:
        with serial.Serial(start_pty().link, 115200, timeout=5) as port:
            port.reset_input_buffer()
            port.write(b'<F1GETSTATUS>\n')
            lines = [port.readline() for _ in range(14)]
        assert lines[:2] == [b'!\n', b'STATUS1\n'] and lines[-1] == b'END\n'

    def test_hosts_come_and_go(self, start_pty: StartSimulator) -> None:
        simulator = start_pty()
        for position in (100, 200):
            with open_serial(simulator.link) as port:
                host = serial_host(port)
                assert hello(host) == NAME_1
                host.ask(b'<F1SCCP%06d>' % position, b'SET\n')
        with open_serial(simulator.link) as port:
            assert serial_host(port).position() == 200

    def test_a_host_that_leaves_does_not_stop_the_motor(self, start_pty: StartSimulator) -> None:
        simulator = start_pty('--speed', '100000')
        with open_serial(simulator.link) as port:
            serial_host(port).ask(b'<F1MA000000>', b'M\n')
        eventually(lambda: simulator.control.get('1.position') == 0)

    def test_a_host_that_never_reads_does_not_hang_it(self, start_pty: StartSimulator) -> None:
        simulator = start_pty()
        with open_serial(simulator.link) as port:
            for _ in range(500):
                port.write(b'<F1GETCONFIG>')
            assert simulator.control.get('powered') is True
        with open_serial(simulator.link) as port:
            simulator.control('nickname 1 still here')
            assert serial_host(port).ask(b'<F1HELLO>', b'still here\n')

    def test_unplugged_it_fails_and_its_link_is_gone(self, start_pty: StartSimulator, open_port: OpenPort) -> None:
        simulator = start_pty()
        port = open_port(simulator.link)
        simulator.control('unplug')
        assert not os.path.lexists(simulator.link)
        assert select.select([port], [], [], DEADLINE_S)[0]
        with pytest.raises(serial.SerialException):
            port.read(1)
        with pytest.raises((serial.SerialException, OSError)):
            port.write(b'<F1HELLO>')
        with pytest.raises(serial.SerialException):
            open_serial(simulator.link)

    def test_plugged_in_again_there_is_a_new_one_behind_the_same_link(
            self, start_pty: StartSimulator, open_port: OpenPort) -> None:
        simulator = start_pty()
        old = open_port(simulator.link)
        serial_host(old).ask(b'<F1SCCP000100>', b'SET\n')
        simulator.control('unplug')
        simulator.control('plug')
        assert serial_host(open_port(simulator.link)).position() == 100
        with pytest.raises(serial.SerialException):
            old.read(1)

    def test_it_comes_back_by_itself(self, start_pty: StartSimulator, open_port: OpenPort) -> None:
        simulator = start_pty()
        simulator.control('unplug 0.05')
        eventually(lambda: os.path.exists(simulator.link))
        assert hello(serial_host(open_port(simulator.link))) == NAME_1

    def test_a_link_left_behind_is_replaced(
            self, tmp_path: Path, start_pty: StartSimulator, open_port: OpenPort) -> None:
        (tmp_path / 'hub').symlink_to('/dev/pts/99999')
        assert hello(serial_host(open_port(start_pty().link))) == NAME_1

    def test_after_a_kill_the_next_one_takes_its_place(self, start_pty: StartSimulator, open_port: OpenPort) -> None:
        first = start_pty()
        first.kill()
        assert os.path.lexists(first.link) and os.path.lexists(first.control_path)
        assert hello(serial_host(open_port(start_pty().link))) == NAME_1

    def test_a_link_left_behind_is_replaced_though_its_terminal_is_used_again(
            self, tmp_path: Path, start: StartSimulator, open_port: OpenPort) -> None:
        # The other one got the number of the terminal that the link still names.
        start('--link', str(tmp_path / 'other'))
        (tmp_path / 'hub').symlink_to(os.readlink(tmp_path / 'other'))
        start('--link', str(tmp_path / 'hub'), '--control', str(tmp_path / 'ctl'))
        assert os.readlink(tmp_path / 'hub') != os.readlink(tmp_path / 'other')
        assert hello(serial_host(open_port(str(tmp_path / 'hub')))) == NAME_1

    @pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
    def test_it_leaves_nothing_behind(self, number: signal.Signals, start_pty: StartSimulator, tmp_path: Path) -> None:
        simulator = start_pty()
        assert simulator.stop(number) == (0, '')
        assert list(tmp_path.iterdir()) == []

    def test_it_does_not_take_away_what_is_not_its_own(self, start_pty: StartSimulator, tmp_path: Path) -> None:
        simulator = start_pty()
        os.unlink(simulator.link)
        os.symlink('/dev/null', simulator.link)
        os.unlink(simulator.control_path)
        Path(simulator.control_path).write_text('mine')
        assert simulator.stop() == (0, '')
        assert os.readlink(simulator.link) == '/dev/null'
        assert Path(simulator.control_path).read_text() == 'mine'


class TestTcp:
    def test_the_ready_line_names_the_real_port(self, start_tcp: StartSimulator) -> None:
        simulator = start_tcp()
        assert simulator.ready_line == f'hub simulator ready on 127.0.0.1:{simulator.tcp_address[1]} (tcp)'
        with connect(simulator) as connection:
            assert hello(tcp_host(connection)) == NAME_1

    def test_pyserial_reaches_it(self, start_tcp: StartSimulator, open_port: OpenPort) -> None:
        host, number = start_tcp().tcp_address
        assert hello(serial_host(open_port(f'socket://{host}:{number}'))) == NAME_1

    def test_a_second_host_is_dropped_at_once_and_the_first_served_on(self, start_tcp: StartSimulator) -> None:
        simulator = start_tcp()
        with connect(simulator) as first:
            assert hello(tcp_host(first)) == NAME_1
            with connect(simulator) as second:
                assert second.recv(1) == b''
            assert hello(tcp_host(first), 2) == NAME_2

    def test_after_the_first_has_left_the_next_is_served(self, start_tcp: StartSimulator) -> None:
        simulator = start_tcp()
        for _ in range(3):
            with connect(simulator) as connection:
                assert hello(tcp_host(connection)) == NAME_1
            # The hub sees the end when its loop comes round.
            eventually(lambda: not _is_served(simulator))

    def test_what_a_closed_connection_delivers_late_is_carried_out(self, start_tcp: StartSimulator) -> None:
        simulator = start_tcp('--deliver-after-close', '1')
        with connect(simulator) as before:
            assert hello(tcp_host(before)) == NAME_1
            simulator.control('hold')
            before.sendall(b'<F1SCNNlate 1>')
        connection = eventually(lambda: _served(simulator))
        assert connection is not None
        with connection:
            assert tcp_host(connection).read_until(b'1\n') == NAME_1
            simulator.control('release')
            assert hello(tcp_host(connection)) == b'!\nlate 1\n'

    def test_unplugged_it_resets_and_refuses(self, start_tcp: StartSimulator) -> None:
        simulator = start_tcp()
        with connect(simulator) as connection:
            assert hello(tcp_host(connection)) == NAME_1
            simulator.control('unplug')
            with pytest.raises(ConnectionResetError):
                connection.recv(1)
        with pytest.raises(ConnectionRefusedError):
            connect(simulator)

    def test_plugged_in_again_it_listens_at_the_same_port(self, start_tcp: StartSimulator) -> None:
        simulator = start_tcp()
        simulator.control('unplug')
        simulator.control('plug')
        with connect(simulator) as connection:
            assert hello(tcp_host(connection)) == NAME_1

    def test_ipv6(self, start: StartSimulator) -> None:
        if not socket.has_ipv6 or not _has_ipv6_loopback():
            pytest.skip('there is no IPv6 loopback here')
        simulator = start('--tcp', '[::1]:0')
        port = int(simulator.ready_line.split()[-2].rpartition(':')[2])
        with socket.create_connection(('::1', port), timeout=DEADLINE_S) as connection:
            assert hello(tcp_host(connection)) == NAME_1


def _is_served(simulator: Simulator) -> bool:
    """Whether the hub still holds a host: it then drops another one."""
    with connect(simulator) as probe:
        probe.sendall(b'<F1HELLO>')
        try:
            return probe.recv(1) == b''
        except ConnectionResetError:
            return True


def _served(simulator: Simulator) -> socket.socket | None:
    """A connection that has asked for HELLO and gets a reply; None while the hub still holds another host."""
    connection = connect(simulator)
    connection.sendall(b'<F1HELLO>')
    try:
        if connection.recv(1, socket.MSG_PEEK):
            return connection
    except ConnectionResetError:
        pass
    connection.close()
    return None


def _has_ipv6_loopback() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(('::1', 0))
    except OSError:
        return False
    return True


class TestBothTransports:
    @pytest.fixture
    def hosts(self, start_pty: StartSimulator, open_port: OpenPort) -> Iterator[tuple[Host, Host, Simulator]]:
        simulator = start_pty('--tcp', '127.0.0.1:0')
        with connect(simulator) as connection:
            yield serial_host(open_port(simulator.link)), tcp_host(connection), simulator

    def test_they_lead_to_the_same_hub(self, hosts: tuple[Host, Host, Simulator]) -> None:
        by_tty, by_tcp, simulator = hosts
        by_tty.ask(b'<F1SCCP000123>', b'SET\n')
        assert by_tcp.position() == 123
        assert simulator.ready_line.startswith(f'hub simulator ready on {simulator.link} (pty) and 127.0.0.1:')

    def test_who_asks_is_answered(self, hosts: tuple[Host, Host, Simulator]) -> None:
        by_tty, by_tcp, _ = hosts
        by_tty.write(b'<F1HEL')
        assert hello(by_tcp, 2) == NAME_2
        by_tty.write(b'LO>')
        assert by_tty.read_until(b'1\n') == NAME_1


class TestControlSocket:
    def test_each_command_gets_one_line(self, start_pty: StartSimulator) -> None:
        simulator = start_pty()
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(DEADLINE_S)
            client.connect(simulator.control_path)
            client.sendall(b'mute\nfly away\nget 1.position\n\xff\nunmute\n')
            with client.makefile('rb') as replies:
                lines = [replies.readline() for _ in range(5)]
        assert lines[0] == lines[4] == b'ok\n'
        assert lines[1].startswith(b"error: unknown command 'fly'")
        assert lines[2:4] == [b'ok 32767\n', b'error: not UTF-8\n']

    def test_several_may_use_it_at_once(self, start_pty: StartSimulator) -> None:
        simulator = start_pty()
        with ControlClient(simulator.control_path) as other:
            simulator.control('led 5')
            assert other.get('led') == 5

    def test_an_endless_line_is_cut_off(self, start_pty: StartSimulator) -> None:
        simulator = start_pty()
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(DEADLINE_S)
            client.connect(simulator.control_path)
            with pytest.raises(OSError):
                while True:
                    client.sendall(b'x' * 4096)
        assert simulator.control.get('powered') is True

    def test_a_refused_command_raises_in_python(self, start_pty: StartSimulator) -> None:
        with pytest.raises(Refused, match=r'usage: jam CHANNEL'):
            start_pty().control('jam')

    @pytest.mark.parametrize('command, code, output', [
        (['get', '1.position'], 0, 'ok 32767\n'),
        (['nickname', '1', 'North', 'tube'], 0, 'ok\n'),
        (['jam', '3'], 1, "error: jam: CHANNEL must be a whole number from 1 to 2, not '3'\n"),
    ])
    def test_the_client_program_prints_the_reply(
            self, start_pty: StartSimulator, command: list[str], code: int, output: str) -> None:
        simulator = start_pty()
        done = subprocess.run([sys.executable, '-m', MODULE, 'control', simulator.control_path, *command], cwd=ROOT,
                              capture_output=True, text=True, timeout=DEADLINE_S, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (code, output, '')


class TestLinkFaultsOfAProcess:
    """That the faults of the model also reach a real host, each in its kind."""

    def test_a_mute_hub_says_nothing_and_then_goes_on(self, start_pty: StartSimulator, open_port: OpenPort) -> None:
        simulator = start_pty()
        host = serial_host(open_port(simulator.link))
        simulator.control('mute')
        host.write(b'<F1SCNNmute>')
        eventually(lambda: simulator.control.get('1.nickname') == 'mute')
        simulator.control('unmute')
        assert host.ask(b'<F1HELLO>', b'mute\n') == b'!\nmute\n'

    @pytest.mark.parametrize('setting', ['delay 0.05', 'drip 0.002', 'pace 1'])
    def test_a_slow_reply_is_whole(self, setting: str, start_pty: StartSimulator, open_port: OpenPort) -> None:
        simulator = start_pty()
        simulator.control(setting)
        assert hello(serial_host(open_port(simulator.link))) == NAME_1

    def test_the_power_comes_back_by_itself(self, start_pty: StartSimulator, open_port: OpenPort) -> None:
        simulator = start_pty()
        host = serial_host(open_port(simulator.link))
        simulator.control('power-cut 0.05')
        eventually(lambda: simulator.control.get('powered'))
        assert hello(host) == NAME_1

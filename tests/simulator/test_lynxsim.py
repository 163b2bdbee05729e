# SPDX-License-Identifier: GPL-3.0-or-later
"""lynxsim:// as a port of pyserial."""
from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import threading
from pathlib import Path
from urllib.parse import quote

import pytest
import serial

from tests.simulator.conftest import OpenPort
from tests.simulator.harness import DEADLINE_S, ROOT, eventually, open_serial, serial_host
from warwick.observatory.focuslynx.simulator import ControlClient

NAME_1 = b'!\nFocusLynx Foc1\n'


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A hub of its own for each test."""
    return f'lynxsim://?channels=1,2&max_pos=112000&control={tmp_path}/ctl'


@pytest.fixture
def control_path(tmp_path: Path) -> str:
    return str(tmp_path / 'ctl')


def test_options_reach_the_hub(url: str, open_port: OpenPort) -> None:
    host = serial_host(open_port(url))
    for channel in (1, 2):
        assert host.position(channel) == 56000
        assert b'Max Pos  = 112000\n' in host.ask(b'<F%dGETCONFIG>' % channel, b'END\n')


def test_a_personality_reaches_the_hub(tmp_path: Path, open_port: OpenPort) -> None:
    host = serial_host(open_port(f'lynxsim://?personality=leo&control={tmp_path}/ctl'))
    report = host.ask(b'<F1GETCONFIG>', b'END\n')
    assert b'Max Pos  = 112000\nDev Typ  = OI\n' in report


def test_a_temperature_may_have_its_sign_and_a_name_its_blanks(tmp_path: Path, open_port: OpenPort) -> None:
    port = open_port(f'lynxsim://?probe.1=+5.2&nickname.1=North%20tube&control={tmp_path}/ctl')
    assert serial_host(port).ask(b'<F1HELLO>', b'tube\n') == b'!\nNorth tube\n'
    with ControlClient(f'{tmp_path}/ctl') as control:
        assert control.get('1.probe') == '+5.2'


def test_the_same_url_is_the_same_hub_which_does_not_mind_a_closed_port(url: str, open_port: OpenPort) -> None:
    for position in (100, 200):
        with open_port(url) as port:
            serial_host(port).ask(b'<F1SCCP%06d>' % position, b'SET\n')
    assert serial_host(open_port(url)).position() == 200


def test_a_move_goes_on_while_the_port_is_closed(url: str, open_port: OpenPort, control_path: str) -> None:
    port = open_port(url)
    with ControlClient(control_path) as control:
        control('speed 100000')
        serial_host(port).ask(b'<F1MA000000>', b'M\n')
        port.close()
        eventually(lambda: control.get('1.position') == 0)


def test_another_url_is_another_hub(tmp_path: Path, open_port: OpenPort) -> None:
    first = open_port(f'lynxsim://?control={tmp_path}/a')
    second = open_port(f'lynxsim://?control={tmp_path}/b')
    serial_host(first).ask(b'<F1SCCP000100>', b'SET\n')
    assert serial_host(second).position() == 32767


def test_it_is_a_port_like_any_other(url: str, open_port: OpenPort) -> None:
    port = open_port(url)
    assert (port.is_open, port.in_waiting, port.read(10)) == (True, 0, b'')
    assert port.write(b'<F1HELLO>') == 9
    port.flush()
    assert select.select([port], [], [], DEADLINE_S)[0] == [port]
    eventually(lambda: port.in_waiting == len(NAME_1))
    assert port.read(2) == b'!\n'
    port.reset_output_buffer()
    port.reset_input_buffer()
    assert (port.in_waiting, port.read(10)) == (0, b'')
    # A real serial port has such settings; here they have no effect.
    port.baudrate, port.rts, port.dtr = 19200, True, False
    assert (port.cts, port.dsr, port.ri, port.cd) == (True, True, False, True)
    port.close()
    for use in (lambda: port.read(1), lambda: port.write(b'x'), lambda: port.in_waiting, port.fileno, port.flush,
                port.reset_input_buffer):
        with pytest.raises(serial.PortNotOpenError):
            use()


def test_a_timeout_is_kept(url: str, open_port: OpenPort) -> None:
    port = open_port(url)
    port.timeout = 0.01
    assert port.read(100) == b''
    port.timeout = DEADLINE_S
    port.write(b'<F1HELLO>')
    assert port.read(len(NAME_1)) == NAME_1
    port.write(b'<F1HELLO>')
    assert [port.readline(), port.readline()] == [b'!\n', b'FocusLynx Foc1\n']
    port.timeout = None
    port.write(b'<F1HELLO>')
    assert port.read(len(NAME_1)) == NAME_1


def test_a_port_can_be_open_but_once(url: str, open_port: OpenPort) -> None:
    port = open_port(url)
    with pytest.raises(serial.SerialException, match='open already in this process'):
        open_serial(url)
    with pytest.raises(serial.SerialException, match='already open'):
        port.open()
    assert serial_host(port).position() == 56000


def test_unplugged_everything_fails_until_it_is_plugged_in(url: str, open_port: OpenPort, control_path: str) -> None:
    port = open_port(url)
    with ControlClient(control_path) as control:
        control('unplug')
        assert select.select([port], [], [], DEADLINE_S)[0] == [port]
        for use in (lambda: port.read(1), lambda: port.write(b'x'), lambda: port.in_waiting, port.reset_input_buffer):
            with pytest.raises(serial.SerialException):
                use()
        assert port.is_open
        port.close()
        with pytest.raises(serial.SerialException, match='hub is unplugged'):
            port.open()
        control('plug')
    port.open()
    assert serial_host(port).position() == 56000


def test_a_reader_that_waits_sees_the_plug_go(url: str, open_port: OpenPort, control_path: str) -> None:
    port = open_port(url)
    port.timeout = None
    failures: list[str] = []

    def wait() -> None:
        try:
            port.read(1)
        except serial.SerialException as error:
            failures.append(str(error))

    reader = threading.Thread(target=wait)
    reader.start()
    with ControlClient(control_path) as control:
        control('unplug')
    reader.join(DEADLINE_S)
    assert failures == ['read failed: hub is unplugged']


def test_a_closed_port_stays_lost_over_unplug_and_plug(url: str, open_port: OpenPort, control_path: str) -> None:
    port = open_port(url)
    with ControlClient(control_path) as control:
        control('unplug')
        control('plug')
    with pytest.raises(serial.SerialException):
        port.read(1)
    port.close()
    assert serial_host(open_port(url)).position() == 56000


@pytest.mark.parametrize('query, message', [
    ('foo=1', "unknown option 'foo'; there are state, control, personality, channels, type, max_pos"),
    ('speed.3=1', "unknown option 'speed.3'"),
    ('speed=-1', "speed must be a number from 0.1 to 100000 steps/s, not '-1'"),
    ('personality=1994', 'personality must be one of pre-release rev3 1.0.9 2.0.4'),
    ('speed=', "speed must be a number from 0.1 to 100000 steps/s, not ''"),
    ('drip=x', "drip must be a number from 0 to 10 s, not 'x'"),
    ('speed=1&speed=2', 'speed is given twice'),
    ('position=70000', 'position 70000 is beyond max_pos 65535 of channel 1'),
    ('state=', 'state needs a path'),
    ('control=/', '/: exists and is not a socket'),
    ('state=/', '/: Is a directory'),
])
def test_a_wrong_option_is_named(query: str, message: str, open_port: OpenPort) -> None:
    with pytest.raises(serial.SerialException) as caught:
        open_port(f'lynxsim://?{query}')
    assert str(caught.value).startswith(f'lynxsim://?{query}: {message}')
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize('url', ['lynxsim://hub', 'lynxsim://?x#y', 'lynxsim://hub?speed=1', 'lynxsim:///path'])
def test_another_form_is_refused(url: str, open_port: OpenPort) -> None:
    with pytest.raises(serial.SerialException, match=r'the form is lynxsim://\?NAME=VALUE&\.\.\.'):
        open_port(url)


PROGRAM = '''
import sys, serial
serial.protocol_handler_packages.append('warwick.observatory.focuslynx.simulator')
port = serial.serial_for_url(sys.argv[1], timeout=10)
port.write(sys.argv[2].encode())
print(port.read_until(b'END\\n' if 'GET' in sys.argv[2] else b'SET\\n').decode())
'''


def run(url: str, request: str) -> str:
    done = subprocess.run([sys.executable, '-c', PROGRAM, url, request], cwd=ROOT, capture_output=True, text=True,
                          timeout=DEADLINE_S, check=False)
    assert (done.returncode, done.stderr) == (0, '')
    return done.stdout


def test_a_state_file_outlives_the_process(tmp_path: Path) -> None:
    url = f'lynxsim://?state={quote(str(tmp_path / "a state.json"))}'
    run(url, '<F1SCCP000123>')
    assert json.loads((tmp_path / 'a state.json').read_text())['channels']['1']['position'] == 123
    assert 'Curr Pos = 000123\n' in run(url, '<F1GETSTATUS>')


def test_a_process_takes_its_control_socket_along(tmp_path: Path) -> None:
    run(f'lynxsim://?control={tmp_path}/ctl', '<F1GETSTATUS>')
    assert not os.path.lexists(tmp_path / 'ctl')


def test_nothing_waits_for_the_hub_when_the_process_ends(tmp_path: Path) -> None:
    run(f'lynxsim://?state={tmp_path}/s&speed=1', '<F1MA000000><F1GETSTATUS>')
    assert json.loads((tmp_path / 's').read_text())['channels']['1']['position'] == 32767

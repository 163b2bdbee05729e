# SPDX-License-Identifier: GPL-3.0-or-later
"""The control commands: every one does what its help says, and a wrong one is refused in one line."""
from __future__ import annotations

import json

import pytest

from warwick.observatory.focuslynx.simulator import Control, ControlError, Hub, Link, LinkFaults
from warwick.observatory.focuslynx.simulator.control import CONTROL_COMMANDS
from warwick.observatory.focuslynx.simulator.personalities import PERSONALITIES
from warwick.observatory.focuslynx.simulator.settings import SETTINGS

NAME_1 = b'!\nFocusLynx Foc1\n'


class Bench:
    """A hub, one link and its control, at a time that the test sets."""

    def __init__(self) -> None:
        self.hub = Hub({'channels': '1,2'})
        self.link = Link(self.hub, LinkFaults())
        self.control = Control(self.hub, self.link.faults, [self.link])
        self.now = 0.0

    def __call__(self, command: str) -> str:
        return self.control.run(command, self.now)

    def ask(self, request: bytes = b'<F1HELLO>') -> bytes:
        self.link.write(request, self.now)
        return self.link.read(self.now)

    def get(self, name: str) -> object:
        return json.loads(self(f'get {name}'))


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_mute_and_unmute(bench: Bench) -> None:
    bench('mute')
    assert bench.ask() == b''
    bench('unmute')
    assert bench.ask() == NAME_1


def test_mute_for_some_seconds(bench: Bench) -> None:
    bench('mute 2.5')
    assert bench.ask() == b''
    bench.now = 2.5
    assert bench.ask() == NAME_1


def test_mute_next(bench: Bench) -> None:
    bench('mute-next 1')
    assert [bench.ask(), bench.ask()] == [b'', NAME_1]


def test_deaf_and_undeaf(bench: Bench) -> None:
    bench('deaf')
    bench.ask(b'<F1SCNNx>')
    bench('undeaf')
    assert bench.ask() == NAME_1
    bench('deaf 1')
    assert bench.ask() == b''
    bench.now = 1.0
    assert bench.ask() == NAME_1


def test_lose_requests(bench: Bench) -> None:
    bench('lose-requests 1')
    assert [bench.ask(b'<F1SCNNx>'), bench.ask()] == [b'', NAME_1]


@pytest.mark.parametrize('command', ['garbage 1', 'garble 1', 'cut 1', 'cut 1 4', 'double 1'])
def test_one_spoilt_reply(bench: Bench, command: str) -> None:
    bench(command)
    assert bench.ask() != NAME_1
    assert bench.ask() == NAME_1


def test_cut_where_wanted(bench: Bench) -> None:
    bench('cut 1 4')
    assert bench.ask() == NAME_1[:4]


def test_flip_bit(bench: Bench) -> None:
    bench('flip-bit 1')
    assert bench.ask() != NAME_1
    assert bench.ask() == NAME_1


@pytest.mark.parametrize('command', ['delay-replies 1', 'delay-requests 1', 'stall 0.3', 'hold 0.3'])
def test_a_late_reply(bench: Bench, command: str) -> None:
    bench(command)
    assert bench.ask() == b''
    bench.now = 0.3
    assert bench.link.read(0.3) == NAME_1
    assert bench.ask() == NAME_1


@pytest.mark.parametrize('command', ['delay-replies 1', 'delay-requests 1'])
def test_how_late_is_a_setting_of_the_link(bench: Bench, command: str) -> None:
    bench('request_delay 2')
    bench('reply_delay 2')
    bench(command)
    bench.ask()
    assert (bench.link.read(1.9), bench.link.read(2.0)) == (b'', NAME_1)


@pytest.mark.parametrize('begin, end', [('stall', 'unstall'), ('hold', 'release')])
def test_late_until_ended(bench: Bench, begin: str, end: str) -> None:
    bench(begin)
    assert bench.ask() == b''
    assert bench.get(begin) is True
    bench.now = 100.0
    bench(end)
    assert bench.link.read(100.0) == NAME_1
    assert bench.get(begin) is False


def test_garble_requests(bench: Bench) -> None:
    bench('garble-requests 1 0')
    assert [bench.ask(), bench.ask()] == [b'!\nFocusLynx Foc2\n', NAME_1]
    bench('garble-requests 1')
    assert bench.get('garble_requests') == 1
    assert bench.ask() != NAME_1


def test_double_requests(bench: Bench) -> None:
    bench('double-requests 1')
    assert [bench.ask(), bench.ask()] == [NAME_1 * 2, NAME_1]


def test_refuse(bench: Bench) -> None:
    bench('refuse 1')
    assert bench.ask(b'<F1SCNNx>').startswith(b'!\nER=1 ')
    assert bench.ask() == NAME_1


def test_flicker_and_unflicker(bench: Bench) -> None:
    right = bench.ask(b'<F1GETCONFIG>')
    bench('flicker 1 LED Brt')
    assert bench.get('flicker') == [1, 'LED Brt']
    assert bench.ask(b'<F1GETCONFIG>') != right
    bench('unflicker')
    assert bench.ask(b'<F1GETCONFIG>') == right


def test_a_connection_that_delivers_after_its_end(bench: Bench) -> None:
    bench('deliver_after_close 1')
    bench('hold 5')
    bench.ask(b'<F1SCNNx>')
    bench.link.open(1.0)
    bench.now = 5.0
    assert [bench.link.read(5.0), bench.ask()] == [b'', b'!\nx\n']


def test_get_shows_what_the_hub_does_not(bench: Bench) -> None:
    bench('start_latency 1')
    bench('moving_latency 1')
    bench.ask(b'<F1MA040000>')
    shown = []
    for now in (0.5, 1.5, 2.5):
        bench.now = now
        shown.append(tuple(bench.get(f'1.{name}') for name in ('starting', 'running', 'moving')))
    assert shown == [(True, False, False), (False, True, False), (False, True, True)]


def test_delay_and_drip_are_settings_of_the_link(bench: Bench) -> None:
    bench('delay 0.4')
    bench('set drip 0.1')
    assert bench.ask() == b''
    assert bench.link.read(0.4) == b'!'
    assert bench.link.read(0.55) == b'\n'


@pytest.mark.parametrize('text, data', [
    ('SET\\n', b'SET\n'), ('a b', b'a b'), ('\\x00\\xff', b'\x00\xff'), ("it's", b"it's"), ('"', b'"'), ('\\\\', b'\\'),
])
def test_say(bench: Bench, text: str, data: bytes) -> None:
    bench(f'say {text}')
    assert bench.link.read(0.0) == data


def test_request_comes_as_from_another_program(bench: Bench) -> None:
    bench.ask(b'<F1HEL')
    assert json.loads(bench('request <F1SCBE1>')) == '!\nSET\n'
    assert bench.hub.focusers[1].memory.backlash
    assert bench.ask(b'LO>') == NAME_1


def test_unplug_and_plug(bench: Bench) -> None:
    bench('unplug')
    assert not bench.link.is_open(0.0)
    with pytest.raises(OSError, match='unplugged'):
        bench.link.open(0.0)
    bench('plug')
    bench.link.open(0.0)
    bench('unplug 3')
    with pytest.raises(OSError, match='unplugged'):
        bench.link.open(2.9)
    bench.link.open(3.0)


def test_power_cycle_in_motion(bench: Bench) -> None:
    bench.ask(b'<F1MA040000>')
    bench.now = 1.0
    bench('power-cycle')
    assert (bench.get('1.position'), bench.get('1.tube'), bench.get('1.moving')) == (32767, 33567, False)


def test_power_cut_and_power_on(bench: Bench) -> None:
    bench('power-cut 2')
    assert bench.ask() == b''
    bench.now = 2.0
    assert bench.ask() == NAME_1
    bench('power-cut')
    bench.now = 100.0
    assert (bench.ask(), bench.get('powered')) == (b'', False)
    bench('power-on')
    assert bench.ask() == NAME_1


def test_jam_and_unjam(bench: Bench) -> None:
    bench('jam 1')
    bench.ask(b'<F1MA032867>')
    bench.now = 10.0
    assert (bench.get('1.moving'), bench.get('1.position'), bench.get('1.jammed')) == (True, 32767, True)
    bench('unjam 1')
    bench.now = 11.0
    assert (bench.get('1.moving'), bench.get('1.position')) == (False, 32867)


def test_hand(bench: Bench) -> None:
    bench('hand 1 +250')
    bench('hand 2 -250')
    bench.now = 10.0
    assert (bench.get('1.position'), bench.get('2.position')) == (33017, 32517)


def test_lose_steps_and_slip(bench: Bench) -> None:
    bench('lose-steps 1 30')
    bench.ask(b'<F1MA040000>')
    bench.now = 100.0
    bench('slip 1 5')
    assert (bench.get('1.position'), bench.get('1.target'), bench.get('1.tube')) == (39970, 40000, 39965)


def test_temperature_ramp(bench: Bench) -> None:
    bench('probe 1 10')
    bench('temperature-ramp 1 9 3600')
    bench.now = 1800.0
    assert (bench.get('1.probe'), bench.get('2.probe')) == ('+9.5', '+21.7')
    bench.now = 4000.0
    assert bench.get('1.probe') == '+9'


@pytest.mark.parametrize('probe', ['NP', '-@1.6'])
def test_a_probe_without_a_temperature_has_no_ramp(bench: Bench, probe: str) -> None:
    bench(f'probe 2 {probe}')
    with pytest.raises(ControlError, match='channel 2 has no probe that shows a temperature'):
        bench('temperature-ramp 2 5 60')


def test_a_given_temperature_ends_a_ramp(bench: Bench) -> None:
    bench('temperature-ramp 1 9 3600')
    bench('probe 1 15')
    bench.now = 4000.0
    assert bench.get('1.probe') == '+15'


def test_freeze_step_run_to_and_thaw(bench: Bench) -> None:
    bench('freeze')
    bench.ask(b'<F1MA040000>')
    bench.now = 100.0
    bench('step 1')
    assert bench.get('1.position') == 33567
    bench('run-to 1 35123')
    assert (bench.get('1.position'), bench.get('frozen')) == (35123, True)
    bench('thaw')
    bench.now = 101.0
    assert bench.get('1.position') == 35923


@pytest.mark.parametrize('command, name, value', [
    ('set speed 1000', '2.speed', 1000.0),
    ('set speed 1 1000', '1.speed', 1000.0),
    ('set speed.2 1000', '2.speed', 1000.0),
    ('probe 1 NP', '1.probe', 'NP'),
    ('probe 1 -@1.6', '1.probe', '-@1.6'),
    ('probe.2 -5.2', '2.probe', '-5.2'),
    ('probe -5.2', '2.probe', '-5.2'),
    ('nickname 1 North tube', '1.nickname', 'North tube'),
    ('position 1 100', '1.position', 100),
    ('type 1 OE', '1.max_pos', 125440),
    ('max_pos 1 112000', '1.max_pos', 112000),
    ('backlash 1 1', '1.backlash', True),
    ('tcomp 1 1', '1.tc_on', True),
    ('tc-at-start 1 on', '1.tc_at_start', True),
    ('led 5', 'led', 5),
    ('SCCP-no-set 1'.lower(), 'sccp_no_set', True),
    ('ma_over_limit clamp', 'ma_over_limit', 'clamp'),
    ('thirdlynx yes', 'thirdlynx', True),
    ('delay .4', 'delay', 0.4),
    ('tempco 1 1,2,3,4,-5', '1.tempco', [1, 2, 3, 4, -5]),
])
def test_a_setting_is_changed(bench: Bench, command: str, name: str, value: object) -> None:
    assert bench(command) == ''
    assert bench.get(name) == value


def test_one_channel_alone_is_changed(bench: Bench) -> None:
    bench('set speed 1 1000')
    assert bench.get('2.speed') == 800.0


def test_get_shows_every_setting_and_status_the_same(bench: Bench) -> None:
    truth = json.loads(bench('get'))
    shown = {**truth, **truth['1']}
    assert set(SETTINGS) - set(shown) == {'channels'}
    assert bench('status') == bench('get')


def test_help_names_every_command_and_setting(bench: Bench) -> None:
    text = bench('help')
    assert '\n' not in text
    for command in CONTROL_COMMANDS.values():
        assert command.usage in text
        assert bench(f'help {command.name}') == f'{command.usage}: {command.help}'
    for row in SETTINGS.values():
        assert row.name in text
        assert row.kind.accepts in bench(f'help {row.name}')
    assert ' '.join(PERSONALITIES) in text
    for personality in PERSONALITIES.values():
        assert bench(f'help {personality.name}').endswith(f'personality {personality.name}: {personality.help}')


def test_clear_ends_every_fault(bench: Bench) -> None:
    for command in ('mute', 'deaf', 'mute-next 5', 'garble 5', 'delay 5', 'jam 1', 'jam 2', 'power-cut', 'unplug',
                    'lose-steps 1 9'):
        bench(command)
    bench('clear')
    bench.link.open(0.0)
    assert bench.ask() == NAME_1
    bench.ask(b'<F1MA033567>')
    bench.now = 1.0
    assert bench.get('1.position') == 33567


@pytest.mark.parametrize('command, message', [
    ('', 'empty command; "help" lists the commands'),
    ('   ', 'empty command; "help" lists the commands'),
    ('fly', "unknown command 'fly'; there are set get status help mute"),
    ('mute soon', "mute: SECONDS must be a number from 0 to 100000 s, not 'soon'"),
    ('mute -1', "mute: SECONDS must be a number from 0 to 100000 s, not '-1'"),
    ('mute 1 2', 'usage: mute [SECONDS]'),
    ('unmute 1', 'usage: unmute'),
    ('mute-next', 'usage: mute-next N'),
    ('mute-next 0', "mute-next: N must be a whole number from 1 to 1000000, not '0'"),
    ('jam', 'usage: jam CHANNEL'),
    ('jam 3', "jam: CHANNEL must be a whole number from 1 to 2, not '3'"),
    ('hand 1', 'usage: hand CHANNEL COUNTS'),
    ('hand 1 far', "hand: COUNTS must be a whole number from -999999 to 999999 counts, not 'far'"),
    ('cut 1 -1', "cut: KEEP must be a whole number from 0 to 1000 bytes, not '-1'"),
    ('set', 'usage: set NAME VALUE'),
    ('set speed', 'usage: set NAME VALUE'),
    ('speed', 'usage: set NAME VALUE'),
    ('set colour red', "unknown setting 'colour'; there are personality channels type"),
    ('set speed 1 fast', "speed.1 must be a number from 0.1 to 100000 steps/s, not 'fast'"),
    ('set led.1 5', "led belongs to the whole hub: leave out '.1'"),
    ('set channels 1,2', 'channels can only be given at the start'),
    ('personality 2021', 'personality can only be given at the start'),
    ('personality 1994', 'personality must be one of pre-release rev3 '),
    ('temperature-ramp 1 5', 'usage: temperature-ramp CHANNEL CELSIUS SECONDS'),
    ('temperature-ramp 1 warm 60', 'temperature-ramp: CELSIUS must be a number from -700 to 700 degrees C'),
    ('delay -1', "delay must be a number from 0 to 600 s, not '-1'"),
    ('position 1 65536', 'position 65536 is beyond max_pos 65535 of channel 1'),
    ('max_pos 1 100', 'max_pos 100 is below the position 32767 or target 32767 of channel 1'),
    ('get 1.colour', "get: nothing has the name '1.colour'"),
    ('get 1.position.x', "get: nothing has the name '1.position.x'"),
    ('help colour', "unknown setting 'colour'"),
    ('say', 'usage: say TEXT'),
    ('say \\', 'say: TEXT must be bytes, with'),
    ('say \u20ac', 'say: TEXT must be bytes, with'),
    ('say \\u20ac', 'say: TEXT must be bytes, with'),
    ('request', 'usage: request TEXT'),
    ('run-to 1 40000', 'run-to: channel 1 does not move'),
])
def test_a_wrong_command_is_refused_in_one_line(bench: Bench, command: str, message: str) -> None:
    before = bench('get')
    with pytest.raises(ControlError) as caught:
        bench(command)
    assert str(caught.value).startswith(message)
    assert '\n' not in str(caught.value)
    assert bench('get') == before


def test_the_hand_controller_is_locked_while_homing(bench: Bench) -> None:
    bench('type 1 OE')
    bench.ask(b'<F1HOME>')
    with pytest.raises(ControlError, match='channel 1 is homing'):
        bench('hand 1 5')

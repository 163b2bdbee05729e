# SPDX-License-Identifier: GPL-3.0-or-later
"""The personalities: each is made of settings, and answers as the firmware that it is named after."""
from __future__ import annotations

import pytest

from tests.simulator.harness import ask, report
from warwick.observatory.focuslynx.simulator import BadSetting, Hub
from warwick.observatory.focuslynx.simulator.personalities import DEFAULT_PERSONALITY, PERSONALITIES, completed
from warwick.observatory.focuslynx.simulator.settings import find, read

ALL = pytest.mark.parametrize('name', PERSONALITIES)
ER1 = 'ER=1 Unacceptable Parameter Received In Command\n'
ER3 = 'ER=3 Unknown Command Received\n'

# What the plain hub (2.0.4) has and these have not, and the other way round. Keys of the reports, and commands.
MISSING = {
    'pre-release': {'Reverse', 'DHCPisOn', 'GETTCI', 'REVERSE1', 'SETMAX065535', 'SETFSS000001', 'SETINTA+000001'},
    'rev3': {'Reverse', 'DHCPisOn', 'GETTCI', 'REVERSE1', 'SETMAX065535', 'SETFSS000001', 'SETINTA+000001'},
    '1.0.9': {'DHCPisOn', 'GETTCI', 'SETMAX065535', 'SETFSS000001', 'SETINTA+000001'},
    'focusboss': {'DHCPisOn', 'GETTCI', 'SETMAX065535', 'SETFSS000001', 'SETINTA+000001'},
    '1.2.0': {'SETMAX065535', 'SETFSS000001'},
    'thirdlynx': {'Wired IP', 'DHCPisOn', 'WF Atchd', 'WF Conn', 'WF FVer', 'WF FV OK', 'WF SSID', 'WF IP', 'WF SecMd',
                  'WF SecKy', 'WF WepKI'},
}
ADDED = {'pre-release': {'MaxSpeed', 'MaxPower'}, **{key: {'Home@Str'} for key in ('1.2.0', '2021-home', 'sagitta')}}
HEADERS = {'pre-release': ['STATUS', 'CONFIG'], 'rev3': ['STATUS1', 'CONFIG']}
FIRMWARE = {'pre-release': '0.9.0', 'rev3': '1.0.0', '1.0.9': '1.0.9', '2.0.4': '2.0.4', 'focusboss': '1.0.9',
            '1.2.0': '1.2.0', '2021': '2.2.0', '2021-home': '2.2.0', '2.3.9': '2.3.9', 'thirdlynx': '2.0.4',
            'tcf-s': '2.0.4', 'leo': '2.3.9', 'sagitta': '2.3.9'}
FOCUSERS = {'tcf-s': ('OE', '125440'), 'leo': ('OI', '112000'), 'sagitta': ('OK', '125440')}
COMMANDS = ('HELLO', 'GETTCI', 'CENTER', 'MIR0', 'ERM', 'SCNNx', 'SCTE1', 'SCTMB', 'SCTCA+0001', 'SCTS1', 'SCBE1',
            'SCBS01', 'REVERSE1', 'SETMAX065535', 'SETFSS000001', 'SETINTA+000001', 'HALT')


def keys(hub: Hub) -> set[str]:
    return {key for request in ('<F1GETSTATUS>', '<F1GETCONFIG>', '<FHGETHUBINFO>') for key in report(hub, request)}


def unknown(hub: Hub) -> set[str]:
    return {command for command in COMMANDS if ask(hub, f'<F1{command}>') == ER3}


@ALL
def test_it_is_made_of_settings_of_the_hub_and_of_a_channel(name: str) -> None:
    personality = PERSONALITIES[name]
    for setting, text in personality.hub.items():
        assert read(setting, text)[0].scope == 'hub'
    for setting, text in personality.focuser.items():
        assert read(setting, text)[:2] == (find(setting)[0], None)
        assert find(setting)[0].scope == 'channel'


@ALL
def test_it_has_the_lines_and_commands_of_its_firmware(name: str) -> None:
    plain, hub = Hub(), Hub({'personality': name})
    missing = MISSING.get(name, set())
    assert keys(plain) - keys(hub) | unknown(hub) == missing
    assert keys(hub) - keys(plain) == ADDED.get(name, set())
    assert unknown(plain) == set()


@ALL
def test_it_shows_its_firmware_headers_and_focuser(name: str) -> None:
    hub = Hub({'personality': name})
    assert report(hub, '<FHGETHUBINFO>')['Hub FVer'] == FIRMWARE[name]
    headers = [ask(hub, f'<F1GET{block}>').partition('\n')[0] for block in ('STATUS', 'CONFIG')]
    assert headers == HEADERS.get(name, ['STATUS1', 'CONFIG1'])
    config = report(hub, '<F1GETCONFIG>')
    assert (config['Dev Typ'], config['Max Pos']) == FOCUSERS.get(name, ('FA', '065535'))


@ALL
def test_it_moves_with_five_digits_before_its_release_and_with_six_ever_since(name: str) -> None:
    hub = Hub({'personality': name})
    five, six = ('M\n', ER1) if name == 'pre-release' else (ER1, 'M\n')
    assert [ask(hub, '<F1MA12345>'), ask(hub, '<F1MA012345>')] == [five, six]
    hub.advance(1000.0)
    assert hub.focusers[1].position == 12345


@ALL
def test_it_is_synced_with_or_without_a_word_or_refuses_that(name: str) -> None:
    hub = Hub({'personality': name})
    homes = name in FOCUSERS
    assert ask(hub, '<F1SCCP000123>') == (ER1 if homes else '' if name == 'focusboss' else 'SET\n')
    assert (hub.focusers[1].position == 123) is not homes
    assert ask(hub, '<F1HOME>') == ('H\n' if homes else ER1)


@ALL
def test_only_a_thirdlynx_has_no_second_channel(name: str) -> None:
    hub = Hub({'personality': name, 'channels': '1,2'})
    for data in (b'<F2HELLO>', b'<F2HALT>', b'<F2FOO>', b'<F2SCNN0123456789ABCDEFGH>'):
        assert (hub.receive(data, 0.0) == b'') is (name == 'thirdlynx')


@ALL
def test_it_comes_back_after_a_power_cycle_as_it_does(name: str) -> None:
    hub = Hub({'personality': name, 'speed': '10000'})
    before = report(hub, '<F1GETSTATUS>')
    hub.power_off(1.0)
    hub.power_on(2.0)
    homing = report(hub, '<F1GETSTATUS>', 2.0)['IsHoming']
    after = report(hub, '<F1GETSTATUS>', 100.0)
    assert homing == ('1' if name in ('tcf-s', 'leo') else '0')
    if name == 'sagitta':
        assert report(hub, '<F1GETCONFIG>', 100.0)['Home@Str'] == '0'
        assert (after['IsHomed'], after['Curr Pos']) == ('0', '000000')
    else:
        assert after == before


def test_the_hub_without_options_is_the_default() -> None:
    plain, named = Hub(), Hub({'personality': DEFAULT_PERSONALITY})
    assert plain.to_state() == named.to_state()
    assert plain.truth() == named.truth()
    assert plain.truth()['personality'] == DEFAULT_PERSONALITY == '2.0.4'


class TestExplicitSettings:
    @pytest.mark.parametrize('options, shown', [
        ({}, [('OE', '125440'), ('ZZ', '065535')]),
        ({'channels': '1,2'}, [('OE', '125440'), ('OE', '125440')]),
        ({'channels': '2'}, [('ZZ', '065535'), ('OE', '125440')]),
        ({'channels': 'none'}, [('ZZ', '065535'), ('ZZ', '065535')]),
        ({'type.1': 'FA'}, [('FA', '065535'), ('ZZ', '065535')]),
        ({'channels': '1,2', 'type.1': 'FA'}, [('FA', '065535'), ('OE', '125440')]),
        ({'channels': '1,2', 'type': 'FA'}, [('FA', '065535'), ('FA', '065535')]),
        ({'channels': '1,2', 'max-pos.2': '100000'}, [('OE', '125440'), ('OE', '100000')]),
    ])
    def test_they_come_before_those_of_the_personality(
            self, options: dict[str, str], shown: list[tuple[str, str]]) -> None:
        for given in ({'personality': 'tcf-s', **options}, {**options, 'personality': 'tcf-s'}):
            hub = Hub(given)
            configs = [report(hub, f'<F{channel}GETCONFIG>') for channel in (1, 2)]
            assert [(config['Dev Typ'], config['Max Pos']) for config in configs] == shown

    @pytest.mark.parametrize('spelling', ['home_on_start_line', 'home-on-start-line'])
    def test_however_they_are_spelt(self, spelling: str) -> None:
        hub = Hub({'personality': '2021-home', spelling: '0'})
        assert 'Home@Str' not in report(hub, '<F1GETCONFIG>')
        assert completed({'personality': '2021-home', spelling: '0'}) == {
            'personality': '2021-home', 'firmware': '2.2.0', spelling: '0'}

    def test_what_is_stored_comes_before_the_focuser_of_a_personality_but_not_before_its_firmware(self) -> None:
        hub = Hub({'personality': 'leo'}, memory=Hub().to_state())
        assert report(hub, '<F1GETCONFIG>')['Dev Typ'] == 'FA'
        assert report(hub, '<FHGETHUBINFO>')['Hub FVer'] == '2.3.9'

    def test_an_unknown_personality_is_refused_with_those_that_there_are(self) -> None:
        with pytest.raises(BadSetting) as caught:
            Hub({'personality': 'vhs'})
        assert str(caught.value) == f"personality must be one of {' '.join(PERSONALITIES)}, not 'vhs'"

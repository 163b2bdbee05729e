# SPDX-License-Identifier: GPL-3.0-or-later
"""Every command of both channels and of the hub: good, bad and boundary arguments, and what they change."""
from __future__ import annotations

import pytest

from tests.simulator.harness import ask, report
from warwick.observatory.focuslynx.simulator import BadSetting, Hub
from warwick.observatory.focuslynx.simulator.commands import CHANNEL_COMMANDS, HUB_COMMANDS

ER1 = 'ER=1 Unacceptable Parameter Received In Command\n'
ER3 = 'ER=3 Unknown Command Received\n'
ER6 = 'ER=6 Cannot Execute Command Without Temp Probe Attached\n'
ER7 = 'ER=7 Comm Problem With Wi-Fi Board\n'
BOTH = pytest.mark.parametrize('channel', [1, 2])


@pytest.fixture
def hub() -> Hub:
    """Both channels have a focuser and a probe."""
    return Hub({'channels': '1,2'})


CHANNEL_REPLIES = [
    ('MA000000', 'M\n'), ('MA065535', 'M\n'), ('MA065536', ER1), ('MA999999', ER1), ('MA40000', ER1),
    ('MA0040000', ER1), ('MA', ER1), ('MA-00001', ER1), ('MA+40000', ER1), ('MA 40000', ER1), ('MA4000 0', ER1),
    ('MA04000O', ER1),
    ('MIR0', 'M\n'), ('MIR1', 'M\n'), ('MIR2', ER1), ('MIR', ER1), ('MIR00', ER1),
    ('MOR0', 'M\n'), ('MOR1', 'M\n'), ('MOR2', ER1), ('MOR', ER1), ('MOR1 ', ER1),
    ('ERM', 'STOPPED\n'), ('ERM1', ER3), ('HALT', 'HALTED\n'), ('HALTX', ER3), ('CENTER', 'M\n'), ('CENTER1', ER3),
    ('HOME', ER1), ('HOME1', ER3), ('HELLO1', ER3), ('GETSTATUS1', ER3), ('GETCONFIG1', ER3), ('GETTCI1', ER3),
    ('SCCP000000', 'SET\n'), ('SCCP065535', 'SET\n'), ('SCCP065536', ER1), ('SCCP32767', ER1), ('SCCP', ER1),
    ('SCNNA', 'SET\n'), ('SCNN0123456789ABCDEF', 'SET\n'), ('SCNN0123456789ABCDEFG', ER1), ('SCNN', ER1),
    ('SCNNa=b', 'SET\n'), ('SCNN\x7f', ER1), ('SCNN\xe9', ER1), ('SCNN\t', ER1),
    ('SCDTFB', 'SET\n'), ('SCDTOE', 'SET\n'), ('SCDTZZ', 'SET\n'), ('SCDTXX', ER1), ('SCDTfa', ER1), ('SCDTF', ER1),
    ('SCDTFAA', ER1), ('SCDT', ER1),
    ('SCTE0', 'SET\n'), ('SCTE1', 'SET\n'), ('SCTE2', ER1), ('SCTE', ER1), ('SCTE11', ER1),
    ('SCTMA', 'SET\n'), ('SCTME', 'SET\n'), ('SCTMF', ER1), ('SCTMa', ER1), ('SCTM', ER1),
    ('SCTCA+9999', 'SET\n'), ('SCTCE-9999', 'SET\n'), ('SCTCF+0001', ER1), ('SCTCA0001', ER1), ('SCTCA+001', ER1),
    ('SCTCA+10000', ER1), ('SCTC', ER1),
    ('SCTS0', 'SET\n'), ('SCTS1', 'SET\n'), ('SCTS2', ER1), ('SCTS', ER1),
    ('SCBE0', 'SET\n'), ('SCBE1', 'SET\n'), ('SCBE2', ER1), ('SCBE', ER1),
    ('SCBS00', 'SET\n'), ('SCBS99', 'SET\n'), ('SCBS5', ER1), ('SCBS100', ER1), ('SCBS-1', ER1), ('SCBS', ER1),
    ('RESET', 'SET\n'), ('RESET1', ER3),
    ('REVERSE0', 'SET\n'), ('REVERSE1', 'SET\n'), ('REVERSE2', ER1), ('REVERSE', ER1),
    ('SETMAX112000', 'SET\n'), ('SETMAX999999', 'SET\n'), ('SETMAX032767', 'SET\n'), ('SETMAX032766', ER1),
    ('SETMAX000000', ER1), ('SETMAX65535', ER1), ('SETMAX', ER1),
    ('SETFSS000000', 'SET\n'), ('SETFSS999999', 'SET\n'), ('SETFSS250', ER1), ('SETFSS', ER1),
    ('SETINTA+032766', 'SET\n'), ('SETINTE-999999', 'SET\n'), ('SETINTF+000000', ER1), ('SETINTA032766', ER1),
    ('SETINTA+32766', ER1), ('SETINT', ER1),
    ('SCTD+0092', ER3), ('M1I', ER3), ('M1O', ER3), ('SLEEP', ER3), ('WAKE', ER3), ('FOO', ER3), ('', ER3),
    ('GETHUBINFO', ER3), ('SCLB050', ER3), ('SWPS', ER3),
]


@BOTH
@pytest.mark.parametrize('text, reply', CHANNEL_REPLIES, ids=[text or 'nothing' for text, _ in CHANNEL_REPLIES])
def test_a_channel_answers(hub: Hub, channel: int, text: str, reply: str) -> None:
    assert ask(hub, f'<F{channel}{text}>') == reply


def test_every_word_of_a_channel_is_in_the_list_above() -> None:
    tried = {text for text, _ in CHANNEL_REPLIES}
    reports = {'HELLO', 'GETSTATUS', 'GETCONFIG', 'GETTCI'}
    words = CHANNEL_COMMANDS.patterns
    assert [word for word in words if word not in reports and not any(text.startswith(word) for text in tried)] == []
    assert len(words) == 25


HUB_REPLIES = [
    ('SCLB000', 'SET\n'), ('SCLB100', 'SET\n'), ('SCLB101', ER1), ('SCLB7', 'SET\n'), ('SCLB75', 'SET\n'),
    ('SCLB', ER1), ('SCLB0075', ER1), ('SCLB-1', ER1), ('GETHUBINFO1', ER3), ('HELLO', ER3), ('GETSTATUS', ER3),
    ('HALT', ER3), ('', ER3),
    ('SWSS0north', ER7), ('SWSMA', ER7), ('SWSK0key', ER7), ('SWWI1', ER7), ('SWPS', ER7), ('WIFIRESET', ER7),
    ('WIFIDEFAULTS', ER7), ('SWSM?', ER7), ('FOO', ER3),
]


@pytest.mark.parametrize('text, reply', HUB_REPLIES, ids=[text or 'nothing' for text, _ in HUB_REPLIES])
def test_the_hub_answers(hub: Hub, text: str, reply: str) -> None:
    assert ask(hub, f'<FH{text}>') == reply


WIFI_REPLIES = [
    ('SWSS0', 'SET\n'), ('SWSS00123456789ABCDEF', 'SET\n'), ('SWSS1more', 'SET\n'), ('SWSS2no', ER1), ('SWSS', ER1),
    ('SWSMA', 'SET\n'), ('SWSME', 'SET\n'), ('SWSMF', ER1), ('SWSK3end', 'SET\n'), ('SWSK4no', ER1),
    ('SWWI1', 'SET\n'), ('SWWI4', 'SET\n'), ('SWWI0', ER1), ('SWWI5', ER1), ('SWPS1', ER3),
    ('WIFIRESET', 'SET\n'), ('WIFIRESETX', ER3), ('WIFIDEFAULTS', 'SET\n'), ('WIFI', ER3),
]


@pytest.mark.parametrize('text, reply', WIFI_REPLIES, ids=[text for text, _ in WIFI_REPLIES])
def test_a_hub_with_a_wifi_board_answers(text: str, reply: str) -> None:
    assert ask(Hub({'wifi': '1'}), f'<FH{text}>') == reply


def test_every_word_of_the_hub_is_in_the_lists_above() -> None:
    tried = {text for text, _ in HUB_REPLIES + WIFI_REPLIES} | {'GETHUBINFO'}
    assert [word for word in HUB_COMMANDS.patterns if not any(text.startswith(word) for text in tried)] == []


@BOTH
@pytest.mark.parametrize('text, block, key, value', [
    ('SCNNWest', 'GETCONFIG', 'Nickname', 'West'),
    ('SCDTSB', 'GETCONFIG', 'Dev Typ', 'SB'),
    ('SCCP000123', 'GETSTATUS', 'Curr Pos', '000123'),
    ('SCCP000123', 'GETSTATUS', 'Targ Pos', '000123'),
    ('SCTE1', 'GETCONFIG', 'TComp ON', '1'),
    ('SCTE1', 'GETTCI', 'TComp ON', '1'),
    ('SCTMC', 'GETCONFIG', 'TC Mode', 'C'),
    ('SCTMC', 'GETTCI', 'TC Mode', 'C'),
    ('SCTCB-0007', 'GETCONFIG', 'TempCo B', '-0007'),
    ('SCTCB-0007', 'GETTCI', 'TempCo B', '-0007'),
    ('SCTS1', 'GETCONFIG', 'TC@Start', '1'),
    ('SCTS1', 'GETTCI', 'TC@Start', '1'),
    ('SCBE1', 'GETCONFIG', 'BLC En', '1'),
    ('SCBS07', 'GETCONFIG', 'BLC Stps', '+07'),
    ('REVERSE1', 'GETSTATUS', 'Reverse', '1'),
    ('SETMAX100000', 'GETCONFIG', 'Max Pos', '100000'),
    ('SETFSS001500', 'GETTCI', 'StepSize', '001500'),
    ('SETINTE-032766', 'GETTCI', 'TempIn E', '-032766'),
])
def test_a_setter_changes_one_line_of_its_own_channel(
        hub: Hub, channel: int, text: str, block: str, key: str, value: str) -> None:
    other = 3 - channel
    before, before_other = report(hub, f'<F{channel}{block}>'), report(hub, f'<F{other}{block}>')
    assert ask(hub, f'<F{channel}{text}>') == 'SET\n'
    after = report(hub, f'<F{channel}{block}>', now=10.0)  # another type takes some seconds
    assert after[key] == value
    # SCCP shows in two lines; everything else stays as it was.
    changed = {name for name in after if after[name] != before[name]}
    assert changed == ({'Curr Pos', 'Targ Pos'} if text.startswith('SCCP') else {key})
    assert report(hub, f'<F{other}{block}>') == before_other


def test_a_rejected_setter_changes_nothing(hub: Hub) -> None:
    before = hub.to_state()
    for text, reply in CHANNEL_REPLIES:
        if reply in (ER1, ER3):
            ask(hub, f'<F1{text}>')
    assert hub.to_state() == before


def test_the_light_shows_on_both_channels(hub: Hub) -> None:
    ask(hub, '<FHSCLB9>')
    assert [report(hub, f'<F{channel}GETCONFIG>')['LED Brt'] for channel in (1, 2)] == ['009', '009']


class TestCompensationNeedsAProbe:
    def test_without_one_it_cannot_be_switched_on(self) -> None:
        hub = Hub({'probe.1': 'NP'})
        assert ask(hub, '<F1SCTE1>') == ER6
        assert report(hub, '<F1GETCONFIG>')['TComp ON'] == '0'

    def test_without_one_it_can_be_switched_off(self) -> None:
        assert ask(Hub({'probe.1': 'NP'}), '<F1SCTE0>') == 'SET\n'

    def test_the_remote_takes_the_jack_of_the_probe(self) -> None:
        hub = Hub({'remote_io.1': '1'})
        assert ask(hub, '<F1SCTE1>') == ER6
        status = report(hub, '<F1GETSTATUS>')
        assert (status['Temp(C)'], status['TmpProbe'], status['RemoteIO']) == ('NP', '0', '1')


class TestDeviceType:
    def test_the_present_one_changes_nothing(self, hub: Hub) -> None:
        before = hub.to_state()
        ask(hub, '<F1SCDTFA>')
        assert hub.to_state() == before

    def test_another_syncing_type_starts_at_zero_with_the_usual_max_pos(self, hub: Hub) -> None:
        ask(hub, '<F1SETMAX112000>')
        ask(hub, '<F1SCDTFB>')
        assert report(hub, '<F1GETSTATUS>', now=5.0)['Curr Pos'] == '000000'
        assert report(hub, '<F1GETCONFIG>', now=5.0)['Max Pos'] == '065535'
        assert not hub.focusers[1].moving

    @pytest.mark.parametrize('code, max_pos', [('OE', '125440'), ('OB', '112000'), ('OI', '112000')])
    def test_a_homing_type_brings_its_max_pos_and_homes(self, hub: Hub, code: str, max_pos: str) -> None:
        ask(hub, f'<F1SCDT{code}>')
        assert report(hub, '<F1GETCONFIG>', now=5.0)['Max Pos'] == max_pos
        status = report(hub, '<F1GETSTATUS>', now=5.0)
        assert (status['IsMoving'], status['IsHoming'], status['IsHomed']) == ('1', '1', '0')
        status = report(hub, '<F1GETSTATUS>', now=1000.0)
        assert (status['IsMoving'], status['IsHomed'], status['Curr Pos']) == ('0', '1', '000000')

    @pytest.mark.parametrize('command', ['SCDTFB', 'SCDTOE', 'RESET'])
    def test_the_channel_is_silent_until_it_has_restarted(self, hub: Hub, command: str) -> None:
        assert ask(hub, f'<F1{command}>') == 'SET\n'
        for request in (b'<F1GETSTATUS>', b'<F1HALT>', b'<F1FOO>'):
            assert hub.receive(request, 4.99) == b''
        assert ask(hub, '<F2HELLO>', 4.99) == 'FocusLynx Foc2\n'
        assert hub.next_event() == pytest.approx(5.0)
        assert ask(hub, '<F1HELLO>', 5.0) == 'FocusLynx Foc1\n'

    def test_commands_behind_it_in_the_same_write_are_lost(self, hub: Hub) -> None:
        assert hub.receive(b'<F1SCDTFB><F1HELLO><F2HELLO>', 0.0) == b'!\nSET\n!\nFocusLynx Foc2\n'

    @pytest.mark.parametrize('restarts', ['channel', 'hub'])
    def test_errors_of_what_restarts_are_lost_as_well(self, restarts: str) -> None:
        hub = Hub({'restarts': restarts})
        too_long = b'<F1SCNN0123456789ABCDEFGHIJ>'
        wrong = b'' if restarts == 'hub' else b'ER=3 Unknown Command Received\n'
        assert hub.receive(b'<F1SCDTFB>' + too_long + b'<F3HELLO>', 0.0) == b'!\nSET\n' + wrong
        assert hub.receive(too_long + b'<F3HELLO>', 1.0) == wrong

    def test_the_restart_may_take_no_time(self) -> None:
        hub = Hub({'restart': '0'})
        assert hub.receive(b'<F1SCDTOE><F1HELLO>', 0.0) == b'!\nSET\n!\nFocusLynx Foc1\n'
        assert report(hub, '<F1GETSTATUS>')['IsHoming'] == '1'

    @pytest.mark.parametrize('seconds', [0.0, 8.0])
    def test_it_may_be_the_whole_hub_that_restarts(self, seconds: float) -> None:
        hub = Hub({'channels': '1,2', 'restarts': 'hub', 'restart': str(seconds)})
        ask(hub, '<F2MA040000>')
        silent = b'' if seconds else b'!\nFocusLynx Foc2\n'
        assert hub.receive(b'<F1SCDTOE><F2HELLO>', 1.0) == b'!\nSET\n' + silent
        assert report(hub, '<F1GETSTATUS>', 1.0 + seconds)['IsHoming'] == '1'
        assert report(hub, '<F2GETSTATUS>', 1.0 + seconds)['Curr Pos'] == '032767'

    def test_a_power_cycle_ends_the_restart(self, hub: Hub) -> None:
        ask(hub, '<F1SCDTFB>')
        hub.power_off(1.0)
        hub.power_on(2.0)
        assert report(hub, '<F1GETCONFIG>', 2.0)['Dev Typ'] == 'FB'

    def test_the_hand_controller_is_locked_meanwhile(self, hub: Hub) -> None:
        ask(hub, '<F1SCDTFB>')
        with pytest.raises(BadSetting, match='channel 1 is restarting'):
            hub.hand(1, 5, 1.0)

    def test_its_max_pos_cannot_be_set(self) -> None:
        assert ask(Hub({'type.1': 'OE'}), '<F1SETMAX112000>') == ER1


class TestReset:
    def test_a_reset_channel_has_all_defaults_but_the_light(self) -> None:
        hub = Hub({'channels': '1,2'})
        for text in ('SCNNx', 'SCTMC', 'SCTCA+0001', 'SCTS1', 'SCTE1', 'SCBE1', 'SCBS01', 'REVERSE1', 'SETFSS000001',
                     'SETINTA+000001', 'SETMAX100000'):
            assert ask(hub, f'<F2{text}>') == 'SET\n'
        ask(hub, '<FHSCLB001>')
        assert ask(hub, '<F2RESET>') == 'SET\n'
        fresh = Hub()
        ask(fresh, '<FHSCLB001>')
        assert [ask(hub, f'<F2{block}>', 5.0) for block in ('GETCONFIG', 'GETTCI')] == [
            ask(fresh, f'<F2{block}>') for block in ('GETCONFIG', 'GETTCI')]
        status = report(hub, '<F2GETSTATUS>', 5.0)
        assert (status['Curr Pos'], status['Targ Pos']) == ('000000', '000000')

    def test_the_other_channel_keeps_everything(self, hub: Hub) -> None:
        before = hub.to_state()['channels']['1']
        ask(hub, '<F2RESET>')
        assert hub.to_state()['channels']['1'] == before


class TestMaxPos:
    def test_it_may_be_the_present_position_but_not_less(self) -> None:
        hub = Hub({'position.1': '40000'})
        assert ask(hub, '<F1SETMAX039999>') == ER1
        assert ask(hub, '<F1SETMAX040000>') == 'SET\n'

    def test_it_may_not_be_less_than_the_goal_of_a_move(self, hub: Hub) -> None:
        ask(hub, '<F1MA050000>')
        assert ask(hub, '<F1SETMAX045000>') == ER1

    def test_centre_is_half_of_it_rounded_down(self, hub: Hub) -> None:
        ask(hub, '<F1SETMAX100001>')
        ask(hub, '<F1CENTER>')
        assert report(hub, '<F1GETSTATUS>')['Targ Pos'] == '050000'


class TestVariants:
    def test_every_line_that_may_be_missing_is_missing_alone(self) -> None:
        plain, odd = Hub(), Hub({'no_reverse_line': '1', 'no_dhcp_line': '1', 'home_on_start_line': '1',
                                 'tc_mode_empty': '1'})
        for request in ('<F1GETSTATUS>', '<FHGETHUBINFO>', '<F1GETCONFIG>', '<F1GETTCI>'):
            before, after = report(plain, request), report(odd, request)
            assert set(before) - set(after) <= {'Reverse', 'DHCPisOn'}
            assert set(after) - set(before) <= {'Home@Str'}
            assert {key for key in after if after[key] != before.get(key)} <= {'Home@Str', 'TC Mode'}
        assert ask(odd, '<F1GETSTATUS>').endswith('Hnd Ctlr = 0\nEND\n')
        assert ask(odd, '<F1GETCONFIG>').endswith('TC@Start = 0\nHome@Str = 1\nEND\n')
        assert 'TC Mode  = \n' in ask(odd, '<F1GETTCI>')
        assert 'DHCPisOn' not in ask(odd, '<FHGETHUBINFO>')

    @pytest.mark.parametrize('setting, command', [
        ('no_gettci', 'GETTCI'), ('no_reverse', 'REVERSE1'), ('no_setmax', 'SETMAX065535'), ('no_setmax', 'SETMAX1'),
        ('no_setfss', 'SETFSS000001'), ('no_setint', 'SETINTA+000001')])
    def test_what_came_later_may_be_unknown(self, setting: str, command: str) -> None:
        hub = Hub({setting: '1'})
        before = hub.to_state()
        assert ask(hub, f'<F1{command}>') == ER3
        assert hub.to_state() == before
        others = {'GETTCI', 'REVERSE1', 'SETMAX065535', 'SETFSS000001', 'SETINTA+000001'}
        assert sum(ask(hub, f'<F1{other}>') == ER3 for other in others) == 1

    @pytest.mark.parametrize('digits, accepted', [('40000', True), ('040000', False), ('4000', False)])
    def test_a_move_may_have_five_digits(self, digits: str, accepted: bool) -> None:
        hub = Hub({'five_digit_ma': '1'})
        assert ask(hub, f'<F1MA{digits}>') == ('M\n' if accepted else ER1)
        hub.advance(100.0)
        assert hub.focusers[1].position == (40000 if accepted else 32767)

    def test_headers_may_be_without_digit(self) -> None:
        plain, odd = Hub(), Hub({'bare_status_header': '1', 'bare_config_header': '1'})
        for block in ('STATUS', 'CONFIG'):
            wanted = ask(plain, f'<F1GET{block}>').replace(f'{block}1\n', f'{block}\n', 1)
            assert ask(odd, f'<F1GET{block}>') == wanted
        assert ask(Hub({'bare_config_header': '1'}), '<F1GETSTATUS>').startswith('STATUS1\n')

    def test_the_settings_may_have_two_more_lines(self) -> None:
        lines = ask(Hub({'extra_config_lines': '1', 'speed': '1200'}), '<F1GETCONFIG>').split('\n')
        assert lines[3:7] == ['Dev Typ  = FA', 'MaxSpeed = 001200', 'MaxPower = 100', 'TComp ON = 0']

    def test_the_hub_report_may_be_without_network(self) -> None:
        assert report(Hub({'no_network_lines': '1'}), '<FHGETHUBINFO>') == {'Hub FVer': '2.0.4', 'Sleeping': '0'}

    def test_a_halt_may_leave_what_is_shown_of_compensation(self) -> None:
        hub = Hub({'tcomp_line': 'stored'})
        ask(hub, '<F1SCTE1>')
        ask(hub, '<F1HALT>')
        assert [report(hub, f'<F1{block}>')['TComp ON'] for block in ('GETCONFIG', 'GETTCI')] == ['1', '1']
        hub.set('probe.1', '5', 1.0)
        hub.advance(100.0)
        assert hub.focusers[1].position == 32767

    def test_a_hub_asleep_reports_and_halts_and_does_nothing_else(self) -> None:
        hub = Hub({'channels': '1,2', 'sleeping': '1'})
        er5 = 'ER=5 Cannot Execute Command While Device Is Sleeping\n'
        before = hub.to_state()
        for text, reply in CHANNEL_REPLIES:
            wanted = reply if reply in (ER3, 'HALTED\n') else er5
            assert ask(hub, f'<F1{text}>') == wanted
        assert ask(hub, '<FHSCLB050>') == er5
        assert hub.to_state() == before
        assert report(hub, '<FHGETHUBINFO>')['Sleeping'] == '1'
        assert [ask(hub, f'<F1{word}>')[:6] for word in ('HELLO', 'GETSTATUS', 'GETCONFIG', 'GETTCI')] == [
            'FocusL', 'STATUS', 'CONFIG', 'TEMP C']
        hub.set('sleeping', '0', 1.0)
        assert ask(hub, '<F1MA040000>', 1.0) == 'M\n'

    def test_a_sync_may_be_done_without_set(self) -> None:
        hub = Hub({'sccp_no_set': '1'})
        assert ask(hub, '<F1SCCP000005>') == ''
        assert hub.focusers[1].position == 5

    def test_a_move_too_far_may_be_clamped(self) -> None:
        hub = Hub({'ma_over_limit': 'clamp'})
        assert ask(hub, '<F1MA999999>') == 'M\n'
        assert report(hub, '<F1GETSTATUS>')['Targ Pos'] == '065535'

    def test_home_may_be_swallowed_by_a_syncing_type(self) -> None:
        hub = Hub({'home_on_syncing': 'ignore'})
        assert ask(hub, '<F1HOME>') == 'H\n'
        assert not hub.focusers[1].moving and not hub.focusers[1].homing

    def test_a_syncing_type_may_show_that_it_is_not_homed(self) -> None:
        assert report(Hub({'syncing_homed': '0'}), '<F1GETSTATUS>')['IsHomed'] == '0'

    def test_the_hub_report_shows_firmware_and_network(self) -> None:
        info = report(Hub({'firmware': '1.0.9', 'ip': '10.2.6.9', 'dhcp': '0'}), '<FHGETHUBINFO>')
        assert (info['Hub FVer'], info['Wired IP'], info['DHCPisOn']) == ('1.0.9', '10.2.6.9', '0')

    def test_whatever_is_attached_shows_in_the_status(self) -> None:
        status = report(Hub({'ff_detect.1': '1', 'hand_controller.1': '1'}), '<F1GETSTATUS>')
        assert (status['FFDetect'], status['Hnd Ctlr']) == ('1', '1')


class TestWifi:
    def test_settings_take_effect_when_they_are_applied(self) -> None:
        hub = Hub({'wifi': '1'})
        for text in ('SWSS0north tower and', 'SWSS1 more', 'SWSMC', 'SWSK0secret', 'SWWI2'):
            assert ask(hub, f'<FH{text}>') == 'SET\n'
        info = report(hub, '<FHGETHUBINFO>')
        assert (info['WF Atchd'], info['WF Conn'], info['WF SSID']) == ('1', '0', 'north tower and more')
        assert (info['WF SecMd'], info['WF SecKy'], info['WF WepKI']) == ('C', 'secret', '2')
        assert ask(hub, '<FHSWPS>') == 'SET\n'
        assert report(hub, '<FHGETHUBINFO>')['WF Conn'] == '1'

    def test_they_cannot_be_applied_while_something_is_missing(self) -> None:
        hub = Hub({'wifi': '1'})
        assert ask(hub, '<FHSWPS>').startswith('ER=9 ')
        ask(hub, '<FHSWSS0north>')
        ask(hub, '<FHSWSMB>')
        assert ask(hub, '<FHSWPS>').startswith('ER=9 ')
        ask(hub, '<FHSWSK0secret>')
        assert ask(hub, '<FHSWPS>') == 'SET\n'

    def test_defaults_forget_them(self) -> None:
        hub = Hub({'wifi': '1'})
        before = ask(hub, '<FHGETHUBINFO>')
        ask(hub, '<FHSWSS0north>')
        ask(hub, '<FHSWPS>')
        ask(hub, '<FHWIFIRESET>')
        assert report(hub, '<FHGETHUBINFO>')['WF Conn'] == '0'
        ask(hub, '<FHWIFIDEFAULTS>')
        assert ask(hub, '<FHGETHUBINFO>') == before


@pytest.mark.parametrize('probe, shown, present', [
    ('21.7', '+21.7', '1'), ('-5.2', '-05.2', '1'), ('0', '+00.0', '1'), ('-0.04', '+00.0', '1'),
    ('9.96', '+10.0', '1'), ('-161.6', '-@1.6', '1'), ('100', '+:0.0', '1'), ('-@1.6', '-@1.6', '1'),
    ('NP', 'NP', '0'), ('junk', 'junk', '1'),
])
def test_the_temperature_is_written_as_the_hub_writes_it(probe: str, shown: str, present: str) -> None:
    status = report(Hub({'probe.1': probe}), '<F1GETSTATUS>')
    assert (status['Temp(C)'], status['TmpProbe']) == (shown, present)
    assert len(status) == 11

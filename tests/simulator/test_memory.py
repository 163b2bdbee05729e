# SPDX-License-Identifier: GPL-3.0-or-later
"""What outlives a power cycle, and what does not."""
from __future__ import annotations

from typing import Any

import pytest

from tests.simulator.harness import ask, report
from warwick.observatory.focuslynx.simulator import BadSetting, Hub

BLOCKS = ('<F1GETCONFIG>', '<F1GETTCI>', '<F2GETCONFIG>', '<F2GETTCI>', '<FHGETHUBINFO>')


def cycle(hub: Hub, now: float) -> None:
    hub.power_off(now)
    hub.power_on(now)


def test_all_settings_are_kept() -> None:
    hub = Hub({'channels': '1,2', 'wifi': '1'})
    for text in ('F1SCNNx', 'F1SCTMC', 'F1SCTCA+0001', 'F1SCTS1', 'F1SCTE1', 'F1SCBE1', 'F1SCBS01', 'F1REVERSE1',
                 'F1SETFSS000001', 'F1SETINTA+000001', 'F1SETMAX100000', 'F2SCDTSB', 'FHSCLB001', 'FHSWSS0north'):
        assert ask(hub, f'<{text}>') == 'SET\n'
    before = [ask(hub, block, 10.0) for block in BLOCKS]
    cycle(hub, 11.0)
    assert [ask(hub, block, 11.0) for block in BLOCKS] == before
    assert report(hub, '<F1GETSTATUS>', 11.0)['Reverse'] == '1'


@pytest.mark.parametrize('commands, stored', [
    (['MA040000'], 32767),
    (['MA040000', 'HALT'], 33567),
    (['MOR1', 'ERM'], 33167),
    (['MA040000', 'SCBS10'], 33567),
    (['MA040000', 'SCTD+0092'], 32767),
    (['SCCP000007'], 7),
])
def test_the_position_is_stored_at_the_end_of_a_motion_and_with_a_setter(commands: list[str], stored: int) -> None:
    hub = Hub()
    for now, command in enumerate(commands):
        ask(hub, f'<F1{command}>', float(now))
    cycle(hub, float(len(commands)))
    status = report(hub, '<F1GETSTATUS>', 100.0)
    assert (status['Curr Pos'], status['Targ Pos'], status['IsMoving']) == (f'{stored:06d}', f'{stored:06d}', '0')


def test_a_completed_move_is_stored_without_a_request() -> None:
    stored = []
    hub = Hub(on_store=lambda: stored.append(hub.to_state()['channels']['1']['position']))
    ask(hub, '<F1MA033567>')
    assert stored == []
    hub.advance(1.0)
    assert stored == [33567]


def test_a_power_cut_in_motion_leaves_the_tube_where_it_was_and_the_count_behind() -> None:
    hub = Hub()
    ask(hub, '<F1MA040000>')
    hub.power_off(1.0)
    hub.power_on(2.0)
    assert (hub.focusers[1].position, hub.focusers[1].tube) == (32767, 33567)


def test_without_power_nothing_is_answered_and_nothing_moves() -> None:
    hub = Hub()
    ask(hub, '<F1MA040000>')
    hub.power_off(1.0)
    assert hub.receive(b'<F1GETSTATUS>', 5.0) == b''
    assert hub.focusers[1].tube == 33567
    assert not hub.focusers[1].moving


def test_power_comes_back_by_itself_after_a_timed_cut() -> None:
    hub = Hub()
    hub.power_off(10.0, seconds=2.0)
    assert hub.next_event() == pytest.approx(12.0)
    assert hub.receive(b'<F1HELLO>', 11.9) == b''
    assert hub.receive(b'<F1HELLO>', 12.0) == b'!\nFocusLynx Foc1\n'


class TestHomingType:
    def hub(self, **options: str) -> Hub:
        hub = Hub({'type.1': 'OE', 'position.1': '8000', **options})
        cycle(hub, 100.0)
        return hub

    def test_it_homes_at_power_up_and_goes_back_to_the_stored_position(self) -> None:
        hub = self.hub()
        status = report(hub, '<F1GETSTATUS>', 100.0)
        assert (status['IsMoving'], status['IsHoming'], status['IsHomed']) == ('1', '1', '0')
        status = report(hub, '<F1GETSTATUS>', 120.0)
        assert (status['IsHoming'], status['IsHomed'], status['Curr Pos']) == ('0', '1', '008000')

    def test_it_stays_at_zero_unhomed_if_it_does_not_home_on_start(self) -> None:
        status = report(self.hub(home_on_start='0'), '<F1GETSTATUS>', 200.0)
        assert (status['IsMoving'], status['IsHomed'], status['Curr Pos'], status['Targ Pos']) == (
            '0', '0', '000000', '000000')

    def test_it_finds_the_truth_after_a_cut_in_motion(self) -> None:
        hub = self.hub()
        ask(hub, '<F1MA016000>', 200.0)
        cycle(hub, 205.0)
        assert hub.focusers[1].tube == 12000
        hub.advance(300.0)
        assert (hub.focusers[1].position, hub.focusers[1].tube) == (8000, 8000)

    def test_it_begins_to_home_when_the_power_comes_back_without_a_request(self) -> None:
        hub = self.hub()
        hub.power_off(200.0, seconds=2.0)
        # In and back take 10 s each.
        status = report(hub, '<F1GETSTATUS>', 221.9)
        assert (status['IsHoming'], status['Curr Pos']) == ('1', '007920')
        assert report(hub, '<F1GETSTATUS>', 222.0)['IsHoming'] == '0'

    def test_a_setter_while_homing_does_not_store_the_counter(self) -> None:
        hub = self.hub()
        ask(hub, '<F1SCBS10>', 105.0)
        assert hub.to_state()['channels']['1']['position'] == 8000

    def test_a_cut_while_homing_keeps_the_stored_position(self) -> None:
        hub = self.hub()
        cycle(hub, 105.0)
        hub.advance(200.0)
        assert (hub.focusers[1].position, hub.focusers[1].tube) == (8000, 8000)


class TestState:
    def test_a_new_hub_with_the_state_of_another_is_the_other_after_a_power_cycle(self) -> None:
        hub = Hub({'channels': '1,2'})
        for text in ('F1SCNNx', 'F1SCTS1', 'F1SCTE1', 'F2SCDTSB', 'FHSCLB001', 'F1SCCP000100'):
            ask(hub, f'<{text}>')
        other = Hub({'channels': '1,2'}, memory=hub.to_state(), now=77.0)
        cycle(hub, 1.0)
        for block in (*BLOCKS, '<F1GETSTATUS>', '<F2GETSTATUS>'):
            assert ask(other, block, 78.0) == ask(hub, block, 2.0)

    def test_it_comes_before_options_that_say_otherwise(self) -> None:
        other = Hub({'max_pos': '112000', 'speed': '5'}, memory=Hub().to_state())
        assert report(other, '<F1GETCONFIG>')['Max Pos'] == '065535'
        assert other.focusers[1].mechanics.speed == 5

    @pytest.mark.parametrize('path, value, message', [
        ((), 5, 'the state must have the entries hub and channels'),
        (('hub',), None, 'hub must be an object'),
        (('hub', 'led'), 101, 'hub: led must be a whole number from 0 to 100 percent, not 101'),
        (('hub', 'led'), True, 'hub: led must be'),
        (('hub', 'led'), '5', 'hub: led must be'),
        (('hub', 'lamp'), 1, "hub has an unknown entry 'lamp'"),
        (('channels',), {}, 'the state must have the channels 1 and 2'),
        (('channels', '1'), {}, "channel 1 lacks 'type'"),
        (('channels', '2', 'type'), 'QQ', 'channel 2: type must be one of OA'),
        (('channels', '1', 'position'), 70000, 'channel 1: position 70000 is beyond max_pos 65535'),
        (('channels', '1', 'position'), 1.5, 'channel 1: position must be'),
        (('channels', '1', 'nickname'), '<>', 'channel 1: nickname must be'),
        (('channels', '1', 'tempco'), [1, 2], 'channel 1: tempco must be 5 whole numbers'),
        (('channels', '1', 'tempco'), [1, 2, 3, 4, 'x'], 'channel 1: tempco must be 5 whole numbers'),
        (('channels', '1', 'backlash'), 1, 'channel 1: backlash must be 1 or 0'),
        (('channels', '1', 'reference_c'), 'warm', 'channel 1: reference_c must be a number'),
        (('channels', '1', 'reference_c'), float('nan'), 'channel 1: reference_c must be a number'),
    ])
    def test_a_wrong_one_is_refused_with_the_place(self, path: tuple[str, ...], value: Any, message: str) -> None:
        state: Any = {'state': Hub().to_state()}
        place = state
        for key in ('state', *path)[:-1]:
            place = place[key]
        place[('state', *path)[-1]] = value
        with pytest.raises(BadSetting) as caught:
            Hub(memory=state['state'])
        assert str(caught.value).startswith(message)


class TestOptions:
    def test_a_special_case_comes_after_the_general_one_whatever_the_order(self) -> None:
        for options in ({'probe.2': '1', 'probe': '5'}, {'probe': '5', 'probe.2': '1'}):
            hub = Hub(options)
            assert [hub.focusers[channel].thermometer.celsius for channel in (1, 2)] == [5.0, 1.0]

    def test_a_focuser_starts_in_the_middle_of_a_given_travel(self) -> None:
        hub = Hub({'channels': '1,2', 'max_pos': '112000'})
        assert [hub.focusers[channel].position for channel in (1, 2)] == [56000, 56000]

    def test_an_empty_channel_starts_at_zero(self) -> None:
        assert Hub({'max_pos': '112000'}).focusers[2].position == 0

    def test_a_given_position_comes_after_that(self) -> None:
        assert Hub({'position': '100', 'max_pos': '112000'}).focusers[1].position == 100

    @pytest.mark.parametrize('options, message', [
        ({'foo': '1'}, "unknown setting 'foo'; there are personality channels type max_pos"),
        ({'speed.3': '1'}, 'speed.3: the channel must be 1 or 2'),
        ({'led.1': '1'}, "led belongs to the whole hub: leave out '.1'"),
        ({'speed': 'fast'}, "speed must be a number from 0.1 to 100000 steps/s, not 'fast'"),
        ({'speed': '0'}, "speed must be a number from 0.1 to 100000 steps/s, not '0'"),
        ({'speed': 'nan'}, "speed must be a number from 0.1 to 100000 steps/s, not 'nan'"),
        ({'max_pos': '1.5'}, "max_pos must be a whole number from 1 to 999999 counts, not '1.5'"),
        ({'type': 'XX'}, 'type must be one of OA OB'),
        ({'personality': 'vhs'}, 'personality must be one of pre-release rev3 1.0.9 2.0.4'),
        ({'dhcp': 'maybe'}, "dhcp must be 1 or 0 (or on, off, true, false, yes, no), not 'maybe'"),
        ({'ma_over_limit': 'x'}, "ma_over_limit must be error or clamp, not 'x'"),
        ({'channels': '3'}, "channels must be 1, 2 or 1,2, or none, not '3'"),
        ({'probe': '800'}, 'probe must be NP, a temperature from -700 to 700 degrees C, or a raw text'),
        ({'probe': ''}, 'probe must be NP'),
        ({'nickname': 'x' * 17}, 'nickname must be 1 to 16 printable characters without < and >'),
        ({'tempco': '1,2,3'}, 'tempco must be 5 whole numbers from -9999 to 9999, separated by commas'),
        ({'position': '65536'}, 'position 65536 is beyond max_pos 65535 of channel 1'),
        ({'firmware': '2'}, "firmware must be three numbers such as 2.0.4, not '2'"),
    ])
    def test_a_wrong_one_is_refused_with_what_is_accepted(self, options: dict[str, str], message: str) -> None:
        with pytest.raises(BadSetting) as caught:
            Hub(options)
        assert str(caught.value).startswith(message)

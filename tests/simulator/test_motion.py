# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a focuser is at any time, in simulated time."""
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.simulator.harness import ask, report
from warwick.observatory.focuslynx.simulator import BadSetting, Hub
from warwick.observatory.focuslynx.simulator.motion import Leg

START = 32767


def flags(hub: Hub, now: float, channel: int = 1) -> tuple[str, str, str]:
    status = report(hub, f'<F{channel}GETSTATUS>', now)
    return status['IsMoving'], status['IsHoming'], status['IsHomed']


def place(hub: Hub, now: float, channel: int = 1) -> tuple[int, int]:
    status = report(hub, f'<F{channel}GETSTATUS>', now)
    return int(status['Curr Pos']), int(status['Targ Pos'])


class TestLeg:
    @given(origin=st.integers(0, 200000), goal=st.integers(0, 200000), speed=st.floats(0.1, 5000),
           ramp=st.sampled_from([0.0, 0.3, 5.0]), slow_for=st.sampled_from([0.0, 3.0]),
           parts=st.lists(st.floats(0, 1), max_size=10))
    def test_it_goes_from_origin_to_goal_and_never_back(
            self, origin: int, goal: int, speed: float, ramp: float, slow_for: float, parts: list[float]) -> None:
        leg = Leg(origin, goal, 100.0, speed, ramp, slow_speed=speed / 2, slow_for=slow_for)
        assert leg.at(100.0) == origin and leg.at(50.0) == origin
        assert leg.at(leg.end) == goal and leg.at(leg.end + 1) == goal
        places = [leg.at(100.0 + part * (leg.end - 100.0)) for part in sorted(parts)]
        assert places == sorted(places, reverse=goal < origin)
        assert all(min(origin, goal) <= one <= max(origin, goal) for one in places)

    @given(way=st.integers(1, 100000), ramp=st.sampled_from([0.0, 0.3, 2.0]), part=st.floats(0.01, 1))
    def test_it_finds_the_time_of_a_position(self, way: int, ramp: float, part: float) -> None:
        leg = Leg(0, -way, 7.0, 800, ramp)
        wanted = -max(1, int(way * part))
        assert leg.at(leg.reaches(wanted)) == wanted

    def test_a_position_beside_the_way_has_no_time(self) -> None:
        with pytest.raises(ValueError, match='11 is not between 0 and 10'):
            Leg(0, 10, 0.0, 1).reaches(11)

    def test_without_ramp_the_time_is_way_by_speed(self) -> None:
        assert Leg(0, 8000, 1.0, 800).end == pytest.approx(11.0)

    def test_a_ramp_costs_half_its_time_at_either_end(self) -> None:
        assert Leg(0, 8000, 0.0, 800, ramp=0.3).end == pytest.approx(10.3)

    def test_a_short_way_never_reaches_full_speed(self) -> None:
        leg = Leg(0, 60, 0.0, 800, ramp=0.3)
        # Half the way up in t, half down in t, at 800 / 0.3 steps per second squared.
        assert leg.end == pytest.approx(2 * (60 / (800 / 0.3)) ** 0.5)
        assert leg.at(leg.end / 2) == 30

    def test_speed_grows_along_the_ramp(self) -> None:
        leg = Leg(0, 80000, 0.0, 800, ramp=1.0)
        assert [leg.at(0.25), leg.at(0.5), leg.at(1.0), leg.at(2.0)] == [25, 100, 400, 1200]

    def test_two_gears(self) -> None:
        leg = Leg(0, 10000, 0.0, 800, slow_speed=400, slow_for=3.0)
        assert [leg.at(1.0), leg.at(3.0), leg.at(4.0)] == [400, 1200, 2000]
        assert leg.end == pytest.approx(3 + 8800 / 800)


class TestMove:
    def test_it_runs_at_the_high_speed_and_ends_exactly_on_its_target(self) -> None:
        hub = Hub()
        ask(hub, '<F1MA033567>')
        assert place(hub, 0.0) == (START, 33567)
        assert place(hub, 0.5) == (START + 400, 33567)
        assert flags(hub, 0.999) == ('1', '0', '1')
        assert place(hub, 1.0) == (33567, 33567)
        assert flags(hub, 1.0) == ('0', '0', '1')

    def test_inward_as_well(self) -> None:
        hub = Hub({'speed': '1000'})
        ask(hub, '<F1MA000000>')
        assert place(hub, 32.0) == (767, 0)
        assert place(hub, 32.767) == (0, 0)

    @given(goal=st.integers(0, 65535), clock=st.lists(st.floats(0, 100), max_size=8))
    def test_it_arrives_however_coarse_the_clock(self, goal: int, clock: list[float]) -> None:
        hub = Hub()
        ask(hub, f'<F1MA{goal:06d}>')
        for now in sorted(clock):
            hub.advance(now)
        hub.advance(100.0)
        assert (hub.focusers[1].position, hub.focusers[1].moving) == (goal, False)

    def test_a_clock_that_runs_backwards_changes_nothing(self) -> None:
        hub = Hub()
        ask(hub, '<F1MA040000>', 10.0)
        hub.advance(11.0)
        hub.advance(5.0)
        assert place(hub, 5.0) == (START + 800, 40000)

    def test_one_step_is_a_move(self) -> None:
        hub = Hub()
        ask(hub, f'<F1MA{START + 1:06d}>')
        assert flags(hub, 0.0)[0] == '1'
        assert place(hub, 1 / 800) == (START + 1, START + 1)

    def test_both_channels_move_at_once(self) -> None:
        hub = Hub({'channels': '1,2', 'speed.2': '100'})
        ask(hub, '<F1MA033567>')
        ask(hub, '<F2MA033567>')
        hub.advance(1.0)
        assert (hub.focusers[1].position, hub.focusers[2].position) == (33567, START + 100)
        assert (hub.focusers[1].moving, hub.focusers[2].moving) == (False, True)

    def test_a_new_target_turns_it_around(self) -> None:
        hub = Hub()
        ask(hub, '<F1MA040000>')
        ask(hub, '<F1MA032767>', 1.0)
        assert place(hub, 1.0) == (START + 800, START)
        assert place(hub, 1.5) == (START + 400, START)
        assert place(hub, 2.0) == (START, START)
        assert flags(hub, 2.0)[0] == '0'

    def test_where_it_is_as_a_new_target_stops_it(self) -> None:
        hub = Hub()
        ask(hub, '<F1MA040000>')
        ask(hub, f'<F1MA{START + 800:06d}>', 1.0)
        assert flags(hub, 1.0)[0] == '0'

    def test_the_next_event_is_its_end(self) -> None:
        hub = Hub(now=5.0)
        assert hub.next_event() is None
        ask(hub, '<F1MA033567>', 6.0)
        assert hub.next_event() == pytest.approx(7.0)
        hub.advance(7.0)
        assert hub.next_event() is None


class TestStartLatency:
    def test_the_motor_starts_late_and_says_so(self) -> None:
        hub = Hub({'start_latency': '0.5'})
        ask(hub, '<F1MA033567>')
        assert flags(hub, 0.49)[0] == '0'
        assert place(hub, 0.49) == (START, 33567)
        assert flags(hub, 0.5)[0] == '1'
        assert place(hub, 1.5) == (33567, 33567)

    def test_a_running_motor_needs_no_second_one(self) -> None:
        hub = Hub({'start_latency': '0.5'})
        ask(hub, '<F1MA040000>')
        ask(hub, '<F1MA050000>', 1.0)
        assert place(hub, 2.0) == (START + 1200, 50000)

    def test_the_next_events_are_start_and_end(self) -> None:
        hub = Hub({'start_latency': '0.5'})
        ask(hub, '<F1MA033567>')
        assert hub.next_event() == pytest.approx(0.5)
        hub.advance(0.5)
        assert hub.next_event() == pytest.approx(1.5)

    def test_a_halt_before_the_start_keeps_it_where_it_is(self) -> None:
        hub = Hub({'start_latency': '0.5'})
        ask(hub, '<F1MA033567>')
        ask(hub, '<F1HALT>', 0.2)
        assert place(hub, 10.0) == (START, START)


def test_a_ramp_makes_a_move_longer_by_its_time() -> None:
    hub = Hub({'ramp': '0.3'})
    ask(hub, '<F1MA033567>')
    assert flags(hub, 1.299)[0] == '1'
    assert place(hub, 1.3) == (33567, 33567)
    assert flags(hub, 1.3)[0] == '0'


class TestRelativeMove:
    def test_slow_is_the_low_speed_throughout(self) -> None:
        hub = Hub()
        ask(hub, '<F1MOR1>')
        assert place(hub, 10.0) == (START + 4000, 65535)

    def test_fast_is_slow_for_its_first_seconds(self) -> None:
        hub = Hub()
        ask(hub, '<F1MIR0>')
        assert place(hub, 3.0) == (START - 1200, 0)
        assert place(hub, 4.0) == (START - 2000, 0)

    @pytest.mark.parametrize('command, limit', [('MIR0', 0), ('MOR1', 65535)])
    def test_it_ends_at_the_limit(self, command: str, limit: int) -> None:
        hub = Hub()
        ask(hub, f'<F1{command}>')
        assert place(hub, 1000.0) == (limit, limit)
        assert flags(hub, 1000.0)[0] == '0'

    def test_at_the_limit_nothing_moves(self) -> None:
        hub = Hub({'position.1': '0'})
        assert ask(hub, '<F1MIR0>') == 'M\n'
        assert flags(hub, 0.0)[0] == '0'


class TestBacklash:
    def hub(self, **options: str) -> Hub:
        hub = Hub({'backlash.1': '1', **options})
        ask(hub, '<F1SCBS40>')
        return hub

    def test_an_outward_move_overshoots_and_comes_back(self) -> None:
        hub = self.hub()
        ask(hub, '<F1MA033567>')
        assert place(hub, 0.0) == (START, 33607)
        assert place(hub, 1.0) == (33567, 33607)
        assert place(hub, 1.05) == (33607, 33567)
        assert flags(hub, 1.09)[0] == '1'
        assert place(hub, 1.1) == (33567, 33567)
        assert flags(hub, 1.1)[0] == '0'

    def test_the_target_may_hide_the_overshoot(self) -> None:
        hub = self.hub(blc_target='final')
        ask(hub, '<F1MA033567>')
        assert place(hub, 1.025) == (33587, 33567)

    def test_an_inward_move_does_not(self) -> None:
        hub = self.hub()
        ask(hub, '<F1MA031967>')
        assert place(hub, 0.0) == (START, 31967)
        assert place(hub, 1.0) == (31967, 31967)

    def test_it_does_not_leave_the_travel(self) -> None:
        hub = self.hub()
        ask(hub, '<F1MA065530>')
        assert place(hub, 0.0) == (START, 65535)
        assert place(hub, 1000.0) == (65530, 65530)

    def test_a_move_to_the_limit_does_not(self) -> None:
        hub = self.hub()
        ask(hub, '<F1MA065535>')
        assert place(hub, (65535 - START) / 800) == (65535, 65535)
        assert flags(hub, (65535 - START) / 800)[0] == '0'

    def test_zero_steps_are_none(self) -> None:
        hub = self.hub()
        ask(hub, '<F1SCBS00>')
        ask(hub, '<F1MA033567>')
        assert place(hub, 0.0) == (START, 33567)


class TestHoming:
    def hub(self, **options: str) -> Hub:
        return Hub({'type.1': 'OE', **options})

    def test_it_runs_in_to_the_switch_and_back_to_where_it_was(self) -> None:
        hub = self.hub()
        assert ask(hub, '<F1HOME>') == 'H\n'
        inward = 62720 / 800
        assert place(hub, 0.0) == (125440, 0)
        assert place(hub, 1.0) == (124640, 0)
        assert flags(hub, inward - 0.01) == ('1', '1', '0')
        assert flags(hub, inward + 0.01) == ('1', '1', '1')
        assert place(hub, inward + 1.0) == (800, 62720)
        assert flags(hub, 2 * inward) == ('0', '0', '1')
        assert place(hub, 2 * inward) == (62720, 62720)

    def test_a_halt_leaves_it_without_a_home(self) -> None:
        hub = self.hub()
        ask(hub, '<F1HOME>')
        ask(hub, '<F1HALT>', 10.0)
        assert flags(hub, 10.0) == ('0', '0', '0')
        assert place(hub, 10.0) == (117440, 117440)
        assert hub.focusers[1].tube == 62720 - 8000
        assert hub.focusers[1].memory.position == 62720

    def test_a_second_run_after_a_halt_finds_the_old_place(self) -> None:
        hub = self.hub()
        ask(hub, '<F1HOME>')
        ask(hub, '<F1HALT>', 10.0)
        ask(hub, '<F1HOME>', 11.0)
        assert place(hub, 1000.0) == (62720, 62720)
        assert hub.focusers[1].tube == 62720

    def test_without_a_switch_it_stops_and_stays_unhomed(self) -> None:
        hub = self.hub(home_switch_missing='1')
        ask(hub, '<F1HOME>')
        end = 125440 / 800
        assert flags(hub, end - 0.01) == ('1', '1', '0')
        assert flags(hub, end) == ('0', '0', '0')
        assert hub.focusers[1].tube == 0

    def test_from_home_it_is_there_at_once(self) -> None:
        hub = self.hub(position='0')
        ask(hub, '<F1HOME>')
        assert flags(hub, 0.0) == ('0', '0', '1')

    def test_a_run_out_of_a_move_goes_back_to_the_place_before_that(self) -> None:
        hub = self.hub()
        ask(hub, '<F1MA070000>')
        ask(hub, '<F1HOME>', 1.0)
        assert place(hub, 1000.0) == (62720, 62720)


class TestTruth:
    """What the hub cannot know, but a test can."""

    def test_a_sync_moves_the_count_and_not_the_tube(self) -> None:
        hub = Hub()
        ask(hub, '<F1SCCP001000>')
        assert (hub.focusers[1].position, hub.focusers[1].tube) == (1000, START)

    def test_slipped_steps_move_the_tube_and_not_the_count(self) -> None:
        hub = Hub()
        hub.focusers[1].slip(30)
        assert (hub.focusers[1].position, hub.focusers[1].tube) == (START, START - 30)

    def test_homing_finds_the_truth_again(self) -> None:
        hub = Hub({'type.1': 'OE'})
        hub.focusers[1].slip(30)
        ask(hub, '<F1HOME>')
        hub.advance(1000.0)
        assert (hub.focusers[1].position, hub.focusers[1].tube) == (62720, 62720)

    def test_homing_never_counts_below_0_however_far_the_tube_is_out(self) -> None:
        hub = Hub({'type.1': 'OE'})
        hub.focusers[1].slip(-100000)
        ask(hub, '<F1HOME>')
        counts = [place(hub, float(now))[0] for now in range(400)]
        assert min(counts) >= 0
        assert hub.focusers[1].homed


class TestMechanicalFaults:
    def test_a_jammed_focuser_moves_for_ever_on_the_spot(self) -> None:
        hub = Hub()
        ask(hub, '<F1MA040000>')
        hub.jam(1, 1.0)
        assert flags(hub, 1000.0)[0] == '1'
        assert place(hub, 1000.0) == (START + 800, 40000)
        assert hub.next_event() is None

    def test_a_move_of_a_jammed_focuser_starts_and_stays(self) -> None:
        hub = Hub()
        hub.jam(1, 0.0)
        ask(hub, '<F1MA040000>')
        assert flags(hub, 100.0)[0] == '1'
        assert place(hub, 100.0) == (START, 40000)

    def test_a_halt_ends_it(self) -> None:
        hub = Hub()
        hub.jam(1, 0.0)
        ask(hub, '<F1MA040000>')
        ask(hub, '<F1HALT>', 5.0)
        assert flags(hub, 5.0)[0] == '0'
        assert place(hub, 5.0) == (START, START)

    def test_it_goes_on_when_it_is_free_again(self) -> None:
        hub = Hub()
        ask(hub, '<F1MA034367>')
        hub.jam(1, 1.0)
        hub.unjam(1, 50.0)
        assert place(hub, 50.5) == (START + 1200, 34367)
        assert place(hub, 51.0) == (34367, 34367)

    def test_the_other_channel_is_not_jammed(self) -> None:
        hub = Hub({'channels': '1,2'})
        hub.jam(1, 0.0)
        ask(hub, '<F2MA033567>')
        assert place(hub, 1.0, channel=2) == (33567, 33567)

    def test_a_move_that_loses_steps_ends_short_of_its_target(self) -> None:
        hub = Hub()
        hub.focusers[1].short_by = 30
        ask(hub, '<F1MA033567>')
        assert place(hub, 10.0) == (33537, 33567)
        assert flags(hub, 10.0)[0] == '0'

    def test_the_next_one_does_not(self) -> None:
        hub = Hub()
        hub.focusers[1].short_by = 30
        ask(hub, '<F1MA030000>')
        assert place(hub, 10.0) == (30030, 30000)
        ask(hub, '<F1MA030000>', 10.0)
        assert place(hub, 20.0) == (30000, 30000)

    def test_more_lost_steps_than_the_way_is_long_are_no_motion(self) -> None:
        hub = Hub()
        hub.focusers[1].short_by = 1000
        ask(hub, f'<F1MA{START + 10:06d}>')
        assert place(hub, 1.0) == (START, START + 10)


class TestHandController:
    def test_it_moves_the_focuser_at_low_speed(self) -> None:
        hub = Hub()
        hub.hand(1, 250, 0.0)
        assert flags(hub, 0.1)[0] == '1'
        assert place(hub, 0.25) == (START + 100, START + 250)
        assert place(hub, 0.625) == (START + 250, START + 250)
        assert flags(hub, 0.625)[0] == '0'

    @pytest.mark.parametrize('counts, limit', [(-999999, 0), (999999, 65535)])
    def test_it_stops_at_the_limit(self, counts: int, limit: int) -> None:
        hub = Hub()
        hub.hand(1, counts, 0.0)
        assert place(hub, 1000.0) == (limit, limit)

    def test_it_takes_over_a_move(self) -> None:
        hub = Hub()
        ask(hub, '<F1MA040000>')
        hub.hand(1, -400, 1.0)
        assert place(hub, 10.0) == (START + 400, START + 400)

    def test_it_is_locked_while_homing(self) -> None:
        hub = Hub({'type.1': 'OE'})
        ask(hub, '<F1HOME>')
        with pytest.raises(BadSetting, match='channel 1 is homing'):
            hub.hand(1, 10, 0.0)

    def test_it_is_dead_without_power(self) -> None:
        hub = Hub()
        hub.power_off(0.0)
        hub.hand(1, 100, 0.0)
        hub.power_on(1.0)
        assert place(hub, 10.0) == (START, START)


class TestClock:
    def test_a_frozen_hub_answers_and_does_not_move(self) -> None:
        hub = Hub()
        hub.freeze(0.0)
        ask(hub, '<F1MA040000>')
        assert place(hub, 1000.0) == (START, 40000)
        assert hub.next_event() is None

    def test_it_can_be_stepped(self) -> None:
        hub = Hub()
        hub.freeze(0.0)
        ask(hub, '<F1MA040000>')
        hub.step(1.0, 500.0)
        assert place(hub, 600.0) == (START + 800, 40000)

    def test_a_thawed_one_goes_on_from_there(self) -> None:
        hub = Hub()
        ask(hub, '<F1MA033567>')
        hub.freeze(0.25)
        hub.thaw(100.0)
        assert place(hub, 100.5) == (START + 600, 33567)
        assert hub.next_event() == pytest.approx(100.75)

    def test_a_running_one_can_be_put_forward(self) -> None:
        hub = Hub()
        ask(hub, '<F1MA033567>')
        hub.step(0.5, 0.0)
        assert place(hub, 0.25) == (START + 600, 33567)

    @given(counts=st.integers(START, 40000))
    def test_it_stops_at_any_position_on_the_way(self, counts: int) -> None:
        hub = Hub({'ramp': '0.5'})
        ask(hub, '<F1MA040000>')
        hub.run_to(1, counts, 0.0)
        assert place(hub, 1000.0) == (counts, 40000)

    def test_it_does_not_run_to_where_the_focuser_does_not_come(self) -> None:
        hub = Hub()
        with pytest.raises(ValueError, match='channel 1 does not move'):
            hub.run_to(1, 100, 0.0)
        ask(hub, '<F1MA040000>')
        with pytest.raises(ValueError, match='20000 is not between 32767 and 40000'):
            hub.run_to(1, 20000, 0.0)
        with pytest.raises(ValueError, match='channel 1 has passed 32800 already'):
            hub.run_to(1, 32800, 5.0)
        assert place(hub, 100.0) == (40000, 40000)


class TestMovingLatency:
    def test_the_motor_runs_before_it_shows(self) -> None:
        hub = Hub({'moving_latency': '0.3'})
        ask(hub, '<F1MA033567>')
        assert (flags(hub, 0.29)[0], place(hub, 0.29)) == ('0', (START + 232, 33567))
        assert hub.focusers[1].running
        assert flags(hub, 0.3)[0] == '1'
        assert flags(hub, 1.0)[0] == '0'

    def test_a_short_motion_never_shows(self) -> None:
        hub = Hub({'moving_latency': '0.3'})
        ask(hub, f'<F1MA{START + 200:06d}>')
        assert {flags(hub, now / 100)[0] for now in range(40)} == {'0'}
        assert place(hub, 0.4) == (START + 200, START + 200)

    def test_it_follows_the_start_latency(self) -> None:
        hub = Hub({'start_latency': '0.5', 'moving_latency': '0.3'})
        ask(hub, '<F1MA033567>')
        assert [flags(hub, now)[0] for now in (0.5, 0.79, 0.81)] == ['0', '0', '1']

    def test_the_next_events_are_start_show_and_end(self) -> None:
        hub = Hub({'start_latency': '0.5', 'moving_latency': '0.3'})
        ask(hub, '<F1MA033567>')
        for due in (0.5, 0.8, 1.5):
            assert hub.next_event() == pytest.approx(due)
            hub.advance(due + 1e-9)
        assert hub.next_event() is None

    def test_a_new_target_of_a_running_motor_needs_no_second_one(self) -> None:
        hub = Hub({'moving_latency': '0.3', 'backlash.1': '1'})
        ask(hub, '<F1MA033567>')
        ask(hub, '<F1MA034567>', 0.5)
        assert {flags(hub, now / 10)[0] for now in range(5, 22)} == {'1'}

    def test_a_homing_run_shows_late_and_is_obeyed_at_once(self) -> None:
        hub = Hub({'type.1': 'OE', 'moving_latency': '0.3'})
        ask(hub, '<F1HOME>')
        assert flags(hub, 0.2) == ('0', '0', '0')
        assert ask(hub, '<F1MA000100>', 0.2).startswith('ER=4')
        assert flags(hub, 0.3) == ('1', '1', '0')
        assert flags(hub, 100.0) == ('1', '1', '1')

    def test_a_halt_before_it_shows_aborts_a_homing_run(self) -> None:
        hub = Hub({'type.1': 'OE', 'moving_latency': '0.3'})
        ask(hub, '<F1HOME>')
        ask(hub, '<F1HALT>', 0.2)
        assert flags(hub, 1.0) == ('0', '0', '0')
        assert hub.focusers[1].memory.position == 62720

    def test_a_jammed_motor_shows_late_as_well(self) -> None:
        hub = Hub({'moving_latency': '0.3'})
        hub.jam(1, 0.0)
        ask(hub, '<F1MA033567>')
        assert hub.next_event() == pytest.approx(0.3)
        assert flags(hub, 0.3)[0] == '1'
        assert hub.next_event() is None


class TestLateTarget:
    def hub(self) -> Hub:
        return Hub({'late_target': '1', 'start_latency': '0.5', 'type.1': 'OE'})

    @pytest.mark.parametrize('command, target', [('MA070000', 70000), ('MA050000', 50000), ('HOME', 0)])
    def test_the_target_changes_when_the_motor_begins(self, command: str, target: int) -> None:
        hub = self.hub()
        ask(hub, f'<F1{command}>')
        assert place(hub, 0.49)[1] == 62720
        assert place(hub, 0.5)[1] == target

    def test_center_too(self) -> None:
        hub = self.hub()
        hub.set('position.1', '1000', 0.0)
        ask(hub, '<F1CENTER>')
        assert place(hub, 0.49) == (1000, 1000)
        assert place(hub, 0.5) == (1000, 62720)

    def test_a_running_motor_shows_a_new_target_at_once(self) -> None:
        hub = self.hub()
        ask(hub, '<F1MA070000>')
        ask(hub, '<F1MA050000>', 1.0)
        assert place(hub, 1.0)[1] == 50000

    def test_the_last_of_two_waiting_targets_counts(self) -> None:
        hub = self.hub()
        ask(hub, '<F1MA070000>')
        ask(hub, '<F1MA050000>', 0.2)
        assert place(hub, 0.49)[1] == 62720
        assert place(hub, 1000.0) == (50000, 50000)

    def test_a_motion_that_is_over_has_shown_its_target(self) -> None:
        hub = self.hub()
        hub.focusers[1].short_by = 30
        ask(hub, '<F1MA063000>')
        assert place(hub, 1000.0) == (62970, 63000)

    def test_the_end_of_a_jam_does_not_lose_it(self) -> None:
        hub = self.hub()
        hub.jam(1, 0.0)
        ask(hub, '<F1MA063000>')
        hub.unjam(1, 0.2)
        assert place(hub, 1000.0) == (63000, 63000)

    def test_a_halt_before_the_start_forgets_it(self) -> None:
        hub = self.hub()
        ask(hub, '<F1MA070000>')
        ask(hub, '<F1HALT>', 0.2)
        assert place(hub, 1000.0) == (62720, 62720)


class TestHaltThatDoesNotCancel:
    def hub(self) -> Hub:
        return Hub({'halt_cancels_start': '0', 'start_latency': '0.5'})

    def test_the_motor_begins_all_the_same(self) -> None:
        hub = self.hub()
        ask(hub, '<F1MA033567>')
        assert hub.focusers[1].starting
        assert ask(hub, '<F1HALT>', 0.2) == 'HALTED\n'
        assert flags(hub, 0.5)[0] == '1'
        assert place(hub, 1.5) == (33567, 33567)

    def test_a_halt_of_a_running_motor_stops_it(self) -> None:
        hub = self.hub()
        ask(hub, '<F1MA033567>')
        ask(hub, '<F1HALT>', 0.2)
        ask(hub, '<F1HALT>', 1.0)
        assert place(hub, 10.0) == (START + 400, START + 400)

    def test_it_ends_compensation_as_ever(self) -> None:
        hub = self.hub()
        ask(hub, '<F1SCTE1>')
        ask(hub, '<F1MA033567>')
        ask(hub, '<F1HALT>', 0.2)
        assert not hub.focusers[1].tc_on

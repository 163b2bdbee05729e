# SPDX-License-Identifier: GPL-3.0-or-later
"""Temperature compensation: correction = coefficient x change of temperature since the reference."""
from __future__ import annotations

import pytest

from tests.simulator.harness import ask, report
from warwick.observatory.focuslynx.simulator import Hub


@pytest.fixture
def hub() -> Hub:
    """Compensation is on, with 86 counts per degree, from 10000 at 20 degrees."""
    hub = Hub({'position.1': '10000', 'probe.1': '20'})
    ask(hub, '<F1SCTE1>')
    return hub


def position(hub: Hub, now: float) -> int:
    hub.advance(now)
    return hub.focusers[1].position


def test_without_a_change_nothing_moves(hub: Hub) -> None:
    assert report(hub, '<F1GETSTATUS>', 1000.0)['IsMoving'] == '0'
    assert position(hub, 1000.0) == 10000


@pytest.mark.parametrize('temperature, wanted', [('21', 10086), ('18.5', 9871), ('20.005', 10000), ('19.994', 9999)])
def test_a_change_moves_the_focuser_by_the_law(hub: Hub, temperature: str, wanted: int) -> None:
    hub.set('probe.1', temperature, 1.0)
    assert position(hub, 100.0) == wanted


def test_the_correction_is_slow_and_shows_as_motion(hub: Hub) -> None:
    hub.set('probe.1', '21', 0.0)
    assert report(hub, '<F1GETSTATUS>', 0.5)['IsMoving'] == '1'
    assert position(hub, 1.0) == 10050
    assert position(hub, 86 / 50) == 10086
    assert report(hub, '<F1GETSTATUS>', 86 / 50)['IsMoving'] == '0'


def test_corrections_do_not_add_up_errors(hub: Hub) -> None:
    for step in range(1, 101):
        hub.set('probe.1', f'{20 + step * 0.01:.2f}', step * 10.0)
    assert position(hub, 2000.0) == 10086


def test_a_change_during_a_correction_redirects_it(hub: Hub) -> None:
    hub.set('probe.1', '25', 0.0)
    hub.set('probe.1', '19', 1.0)
    assert position(hub, 1000.0) == 10000 - 86


def test_switching_it_on_again_does_not_disturb_a_correction(hub: Hub) -> None:
    hub.set('probe.1', '21', 0.0)
    ask(hub, '<F1SCTE1>', 1.0)
    assert position(hub, 100.0) == 10086


def test_it_does_not_leave_the_travel(hub: Hub) -> None:
    hub.set('probe.1', '-200', 0.0)
    assert position(hub, 1e4) == 0


def test_another_slot_counts_from_then_on(hub: Hub) -> None:
    ask(hub, '<F1SCTMD>')
    ask(hub, '<F1SCTCD-0010>')
    hub.set('probe.1', '25', 0.0)
    assert position(hub, 1000.0) == 9950


def test_a_move_sets_a_new_reference(hub: Hub) -> None:
    hub.set('probe.1', '21', 0.0)
    ask(hub, '<F1MA012000>', 10.0)
    assert position(hub, 100.0) == 12000
    hub.set('probe.1', '22', 100.0)
    assert position(hub, 200.0) == 12086


def test_a_change_during_a_move_is_part_of_the_new_reference(hub: Hub) -> None:
    ask(hub, '<F1MA012000>')
    hub.set('probe.1', '30', 1.0)
    assert position(hub, 1000.0) == 12000


def test_a_relative_move_suspends_it_until_it_ends(hub: Hub) -> None:
    ask(hub, '<F1MOR1>')
    hub.set('probe.1', '21', 1.0)
    assert position(hub, 2.0) == 10800
    ask(hub, '<F1ERM>', 2.0)
    assert position(hub, 100.0) == 10800
    hub.set('probe.1', '22', 100.0)
    assert position(hub, 200.0) == 10886


def test_a_halt_ends_it_for_now_but_not_what_is_stored(hub: Hub) -> None:
    ask(hub, '<F1HALT>')
    assert report(hub, '<F1GETCONFIG>')['TComp ON'] == '0'
    hub.set('probe.1', '30', 1.0)
    assert position(hub, 1000.0) == 10000
    hub.power_off(1000.0)
    hub.power_on(1001.0)
    assert report(hub, '<F1GETCONFIG>', 1001.0)['TComp ON'] == '1'


def test_switching_it_off_ends_a_correction(hub: Hub) -> None:
    hub.set('probe.1', '30', 0.0)
    ask(hub, '<F1SCTE0>', 1.0)
    assert position(hub, 1000.0) == 10050


@pytest.mark.parametrize('probe', ['NP', '-@1.6'])
def test_without_a_usable_temperature_it_waits(hub: Hub, probe: str) -> None:
    hub.set('probe.1', probe, 0.0)
    assert position(hub, 1000.0) == 10000
    hub.set('probe.1', '21', 1000.0)
    assert position(hub, 2000.0) == 10086


@pytest.mark.parametrize('options', [{'tcomp.1': '1', 'probe.1': '20'}, {'probe.1': '20', 'tcomp.1': '1'}])
def test_a_hub_that_has_been_compensating_for_a_while_is_at_the_right_position(options: dict[str, str]) -> None:
    hub = Hub({'position.1': '10000', **options})
    assert position(hub, 100.0) == 10000
    hub.set('probe.1', '21', 100.0)
    assert position(hub, 200.0) == 10086


def test_a_night_that_cools_down_is_followed_step_by_step(hub: Hub) -> None:
    hub.temperature_ramp(1, 12.0, 8 * 3600.0, 0.0)
    times = [float(minute * 60) for minute in range(1, 8 * 60 + 1)]
    seen = [position(hub, now) for now in times]
    for now, counts in zip(times, seen):
        law = 10000 - 8 * 86 * now / (8 * 3600)
        assert abs(counts - law) <= 2
    assert seen == sorted(seen, reverse=True)
    assert position(hub, 9 * 3600.0) == 10000 - 8 * 86


def test_it_does_not_matter_how_often_the_hub_is_asked(hub: Hub) -> None:
    hub.temperature_ramp(1, 25.0, 100.0, 0.0)
    other = Hub({'position.1': '10000', 'probe.1': '20', 'tcomp.1': '1'})
    other.temperature_ramp(1, 25.0, 100.0, 0.0)
    for now in range(1, 61):
        other.advance(float(now))
    assert report(hub, '<F1GETSTATUS>', 60.1) == report(other, '<F1GETSTATUS>', 60.1)
    assert report(hub, '<F1GETSTATUS>', 60.1)['IsMoving'] == '0'


def test_the_corrections_of_a_ramp_show_as_motion(hub: Hub) -> None:
    hub.set('compensation_speed', '1', 0.0)
    hub.temperature_ramp(1, 25.0, 10.0, 0.0)
    status = report(hub, '<F1GETSTATUS>', 5.0)
    assert (status['IsMoving'], status['Temp(C)']) == ('1', '+22.5')
    assert report(hub, '<F1GETSTATUS>', 1000.0)['Curr Pos'] == '010430'


def test_each_change_of_a_ramp_is_an_event(hub: Hub) -> None:
    ask(hub, '<F1SCTE0>')
    hub.temperature_ramp(1, 20.1, 100.0, 0.0)
    events = []
    while (event := hub.next_event()) is not None:
        events.append(event)
        hub.advance(event)
    assert events == pytest.approx([10.0 * step for step in range(1, 11)])


class TestPowerUp:
    def test_it_compensates_for_the_time_without_power_if_told_so(self, hub: Hub) -> None:
        ask(hub, '<F1SCTS1>')
        hub.power_off(1.0)
        hub.set('probe.1', '15', 2.0)
        hub.power_on(3.0)
        assert report(hub, '<F1GETSTATUS>', 3.0)['IsMoving'] == '1'
        assert position(hub, 100.0) == 10000 - 5 * 86

    def test_it_compensates_for_a_night_that_cooled_down_without_power(self, hub: Hub) -> None:
        ask(hub, '<F1SCTS1>')
        hub.temperature_ramp(1, 15.0, 1000.0, 0.0)
        hub.power_off(0.5, seconds=2000.0)
        assert report(hub, '<F1GETSTATUS>', 2000.5)['Temp(C)'] == '+15.0'
        assert position(hub, 2100.0) == 10000 - 5 * 86

    def test_it_compensates_once_though_it_is_off_otherwise(self, hub: Hub) -> None:
        ask(hub, '<F1SCTS1>')
        ask(hub, '<F1SCTE0>')
        hub.power_off(1.0)
        hub.set('probe.1', '15', 2.0)
        hub.power_on(3.0)
        assert position(hub, 100.0) == 10000 - 5 * 86
        hub.set('probe.1', '16', 100.0)
        assert position(hub, 200.0) == 10000 - 5 * 86

    def test_it_begins_again_if_not(self, hub: Hub) -> None:
        hub.power_off(1.0)
        hub.set('probe.1', '15', 2.0)
        hub.power_on(3.0)
        assert position(hub, 100.0) == 10000
        hub.set('probe.1', '16', 100.0)
        assert position(hub, 200.0) == 10086

    def test_a_homing_type_compensates_after_its_run(self) -> None:
        hub = Hub({'type.1': 'OE', 'position.1': '10000', 'probe.1': '20'})
        ask(hub, '<F1SCTE1>')
        ask(hub, '<F1SCTS1>')
        hub.power_off(1.0)
        hub.set('probe.1', '15', 2.0)
        hub.power_on(3.0)
        assert position(hub, 1000.0) == 10000 - 5 * 86
        assert report(hub, '<F1GETSTATUS>', 1000.0)['IsHomed'] == '1'

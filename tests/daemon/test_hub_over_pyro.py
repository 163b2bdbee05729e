# SPDX-License-Identifier: GPL-3.0-or-later
"""What the Pyro object offers of the hub beyond moves: information, homing, centring, settings."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.daemon.harness import Daemon
from tests.simulator.harness import eventually
from warwick.observatory.focuslynx import CommandStatus, FocuserStatus
from warwick.observatory.focuslynx.hub_settings import HUB_SETTINGS

HOMING = 'lynxsim://?channels=1,2&type.1=OE&speed=60000&firmware=2.3.9&nickname.2=South'


@pytest.fixture
def homing(start: Callable[..., Daemon]) -> Daemon:
    """A daemon with a homing focuser on channel 1 and a syncing one on channel 2, connected."""
    daemon = start(serial_port=HOMING)
    assert daemon.call('initialize') == CommandStatus.Succeeded
    return daemon


def test_the_hub_is_described_in_json_types(homing: Daemon) -> None:
    info = homing.call('hub_info')
    assert json.loads(json.dumps(info)) == info
    assert (info['firmware'], info['dhcp'], info['wired_ip']) == ('2.3.9', True, '169.254.190.196')
    first, second = info['channel_1'], info['channel_2']
    assert (first['device_type'], first['device'], first['has_home_switch'], first['homed']) == (
        'OE', 'Optec TCF-S Classic, converted', True, True)
    assert (second['device'], second['has_home_switch'], second['homed']) == ('QuickSync or HSM Hi-Torque', False, None)
    assert (first['max_counts'], first['min_steps'], first['max_steps'], first['probe']) == (
        125440, -50000, 50000, 'present')
    assert list(first['settings']) == [key for key in HUB_SETTINGS if key != 'reset']
    assert second['settings'] == {
        'nickname': 'South', 'backlash': False, 'backlash_steps': 40, 'temperature_compensation': False,
        'compensation_at_start': False, 'compensation_mode': 'A', 'coefficient_a': 86, 'coefficient_b': 86,
        'coefficient_c': 86, 'coefficient_d': 0, 'coefficient_e': 0, 'intercept_a': 0, 'intercept_b': 0,
        'intercept_c': 0, 'intercept_d': 0, 'intercept_e': 0, 'led': 75, 'reverse': False, 'step_size': 0,
        'max_position': 65535, 'device_type': 'FA'}


def test_without_a_connection_the_hub_is_described_in_part(start: Callable[..., Daemon]) -> None:
    info = start().call('hub_info')
    assert info['firmware'] is None
    assert info['channel_1']['device'] is None
    assert set(info['channel_1']['settings'].values()) == {None}
    assert info['channel_1']['error'] == 'not connected'


def test_a_key_of_the_wireless_network_is_not_given_away(homing: Daemon) -> None:
    assert not [key for key in homing.call('hub_info') if 'key' in key]


def test_a_focuser_with_a_home_switch_is_homed_and_not_zeroed(homing: Daemon) -> None:
    assert homing.call('set_focus', 1, 300) == CommandStatus.Succeeded
    assert homing.call('home', 1) == CommandStatus.Succeeded
    assert (homing.steps(1), homing.status()['homed_1']) == (300, True)
    assert homing.call('reset_home_position', 1) == CommandStatus.NotSupported
    assert 'home switch' in homing.status()['failure_1']
    assert homing.call('home', 2) == CommandStatus.NotSupported
    assert homing.call('home', 3) == CommandStatus.InvalidChannel


def test_homing_can_be_stopped(start: Callable[..., Daemon]) -> None:
    daemon = start(serial_port='lynxsim://?type.1=OE&speed=800')
    assert daemon.call('initialize') == CommandStatus.Succeeded
    homing = daemon.begin('home', 1)
    eventually(lambda: daemon.state(1) == FocuserStatus.Moving)
    assert daemon.call('home', 1) == CommandStatus.Blocked
    assert daemon.call('stop_channel', 1) == CommandStatus.Succeeded
    assert homing.wait() == CommandStatus.Failed
    assert daemon.state(1) == FocuserStatus.Error
    assert daemon.call('set_focus', 1, 0) == CommandStatus.ChannelNotAvailable


def test_centring_is_a_move_to_step_0(daemon: Daemon) -> None:
    assert daemon.call('set_focus', 1, 700) == CommandStatus.Succeeded
    assert daemon.call('center', 1) == CommandStatus.Succeeded
    assert daemon.steps(1) == 0


def test_a_setting_is_changed_and_shown(homing: Daemon) -> None:
    assert homing.call('configure', 2, 'nickname', 'North tube') == CommandStatus.Succeeded
    assert homing.call('configure', 2, 'coefficient_d', '-92') == CommandStatus.Succeeded
    assert homing.call('configure', 2, 'backlash_steps', 7) == CommandStatus.Succeeded
    settings = homing.call('hub_info')['channel_2']['settings']
    assert (settings['nickname'], settings['coefficient_d'], settings['backlash_steps']) == ('North tube', -92, 7)
    assert homing.status()['nickname_2'] == 'North tube'


@pytest.mark.parametrize('key, value', [
    ('focus', 1), (None, 1), ('led', 101), ('led', None), ('backlash', 'perhaps'), ('nickname', ['x']), (['led'], 1)])
def test_what_is_no_setting_or_no_value_is_refused(homing: Daemon, key: object, value: object) -> None:
    assert homing.call('configure', 2, key, value) == CommandStatus.InvalidSetting


def test_what_can_do_harm_wants_to_be_confirmed(homing: Daemon) -> None:
    assert homing.call('configure', 2, 'max_position', 100000) == CommandStatus.NotConfirmed
    assert homing.call('configure', 2, 'max_position', 100000, 'yes') == CommandStatus.NotConfirmed
    assert homing.call('configure', 2, 'max_position', 100000, True) == CommandStatus.Succeeded
    assert homing.status()['max_steps_2'] == 49999


def test_a_setting_is_not_changed_while_the_channel_moves(daemon: Daemon) -> None:
    move = daemon.begin('set_focus', 1, 20000)
    eventually(lambda: daemon.state(1) == FocuserStatus.Moving)
    assert daemon.call('configure', 1, 'reverse', True) == CommandStatus.Blocked
    assert daemon.call('stop_channel', 1) == CommandStatus.Succeeded
    move.wait()


def test_a_change_that_may_restart_the_hub_wants_both_channels(start: Callable[..., Daemon]) -> None:
    daemon = start(serial_port='lynxsim://?channels=1,2&restart=2')
    assert daemon.call('initialize') == CommandStatus.Succeeded
    move = daemon.begin('set_focus', 2, 20000)
    eventually(lambda: daemon.state(2) == FocuserStatus.Moving)
    assert daemon.call('configure', 1, 'device_type', 'FB', True) == CommandStatus.Blocked
    assert daemon.call('stop_channel', 2) == CommandStatus.Succeeded
    move.wait()
    change = daemon.begin('configure', 1, 'device_type', 'FB', True)
    eventually(lambda: daemon.state(1) != FocuserStatus.Idle)
    assert daemon.call('set_focus', 2, 0) == CommandStatus.Blocked
    assert daemon.call('stop_channel', 2) == CommandStatus.Succeeded
    assert change.wait() == CommandStatus.Succeeded
    assert daemon.status()['device_type_1'] == 'FB'
    assert daemon.call('set_focus', 2, 0) == CommandStatus.Succeeded


def test_a_channel_in_error_is_cured_by_its_setting(start: Callable[..., Daemon]) -> None:
    daemon = start(serial_port='lynxsim://?channels=1,2&tcomp.1=1')
    assert daemon.call('initialize') == CommandStatus.Succeeded
    assert 'TComp ON = 1' in daemon.status()['error_1']
    assert daemon.call('configure', 1, 'temperature_compensation', 'off') == CommandStatus.Succeeded
    assert daemon.state(1) == FocuserStatus.Idle


def test_why_a_command_failed_is_shown_until_the_next_succeeds(daemon: Daemon) -> None:
    move = daemon.begin('set_focus', 1, 20000)
    eventually(lambda: daemon.state(1) == FocuserStatus.Moving)
    daemon.call('stop_channel', 1)
    move.wait()
    assert daemon.status()['failure_1'].startswith('move to +20000 steps stopped at ')
    assert daemon.call('set_focus', 1, 0) == CommandStatus.Succeeded
    assert daemon.status()['failure_1'] is None

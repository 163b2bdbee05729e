# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands for the hub, with the real daemon on a simulated one."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.daemon.harness import Daemon

HUB = 'lynxsim://?channels=1,2&type.1=OE&speed=60000&firmware=2.3.9'


@pytest.fixture(scope='module')
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon with a homing focuser on channel 1, connected."""
    daemon = Daemon(tmp_path_factory.mktemp('real'), serial_port=HUB)
    try:
        assert daemon.focus('init').returncode == 0
        yield daemon
    finally:
        daemon.kill()


def said(daemon: Daemon, *words: str) -> tuple[int, str]:
    completed = daemon.focus(*words)
    return completed.returncode, completed.stdout + completed.stderr


def test_info_knows_all_of_a_hub_that_tells_all(real: Daemon) -> None:
    status, text = said(real, 'info')
    assert (status, 'unknown' in text) == (0, False)
    assert json.loads(said(real, 'info', '--json')[1])['channel_1']['device_type'] == 'OE'


def test_a_focuser_is_homed_and_centred_and_refuses_zero(real: Daemon) -> None:
    assert said(real, 'set', '1', '300') == (0, '')
    assert said(real, 'home', '1') == (0, '')
    assert real.steps(1) == 300
    assert said(real, 'center', '1') == (0, '')
    assert real.steps(1) == 0
    assert said(real, 'zero', '1') == (10, 'error: not supported by this focuser\nerror: zero refused: the focuser '
                                           '(OE, Optec TCF-S Classic, converted) finds its zero by its home switch: '
                                           'use home\n')


def test_the_way_out_of_an_error_that_is_named_leads_out_of_it(real: Daemon) -> None:
    assert said(real, 'configure', '2', 'temperature_compensation', 'on') == (0, '')
    status, text = said(real, 'set', '2', '5')
    assert status == 5
    program, *words = text.rstrip('\n').rsplit('to switch it off: ', 1)[1].split()
    assert program == 'focus'
    assert said(real, *words) == (0, '')
    assert said(real, 'set', '2', '5') == (0, '')


def test_a_setting_is_changed_and_listed(real: Daemon) -> None:
    assert said(real, 'configure', '1', 'nickname', 'North tube') == (0, '')
    assert said(real, 'configure', '1', 'led', '20') == (0, '')
    text = ' '.join(said(real, 'configure', '1')[1].split())
    assert 'nickname North tube the name' in text
    assert 'led 20 brightness' in text


def test_a_range_is_changed_when_that_is_confirmed(real: Daemon) -> None:
    assert said(real, 'configure', '2', 'max_position', '80000')[0] == 11
    assert real.status()['max_steps_2'] != 39999
    assert said(real, 'configure', '2', 'max_position', '80000', '--yes') == (0, '')
    assert real.status()['max_steps_2'] == 39999

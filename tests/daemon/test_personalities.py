# SPDX-License-Identifier: GPL-3.0-or-later
"""Every kind of hub behind a real TCP port or pseudo-terminal, and the real daemon: connect, move, stop, zero or home,
power cycle, reconnect."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.daemon.harness import Daemon
from tests.ports import free_port
from tests.simulator.harness import Simulator, eventually
from warwick.observatory.focuslynx import CommandStatus, FocuserStatus
from warwick.observatory.focuslynx.simulator.personalities import PERSONALITIES

HOMING = ('tcf-s', 'leo', 'sagitta')
HOMES_NOT_AT_POWER_UP = ('sagitta',)
SERIAL = ('thirdlynx', 'pre-release', 'rev3')   # without a network


@pytest.mark.parametrize('name', PERSONALITIES)
def test_a_night_on_every_kind_of_hub(name: str, simulate: Callable[..., Simulator], start: Callable[..., Daemon],
                                      tmp_path: Path) -> None:
    options: dict[str, Any] = {'serial_baud': 19200 if name == 'thirdlynx' else 115200, 'idle_loop_delay': 0.3,
                               'serial_timeout': 0.5}
    arguments = ['--personality', name, '--channels', '1,2', '--speed', '20000']
    if name in SERIAL:
        simulator = simulate('--link', str(tmp_path / 'hub'), *arguments)
        daemon = start(serial_port=str(tmp_path / 'hub'), **options)
    else:
        port = free_port()
        simulator = simulate('--tcp', f'127.0.0.1:{port}', *arguments)
        daemon = start(serial_port=f'socket://127.0.0.1:{port}', **options)

    assert daemon.call('initialize') == CommandStatus.Succeeded
    assert daemon.call('set_focus', 1, 3000) == CommandStatus.Succeeded
    assert daemon.steps(1) == 3000

    move = daemon.begin('set_focus', 1, -30000)
    eventually(lambda: daemon.state(1) == FocuserStatus.Moving and daemon.steps(1) != 3000)
    assert daemon.call('stop_channel', 1) == CommandStatus.Succeeded
    assert move.wait() == CommandStatus.Failed
    stopped = daemon.steps(1)
    assert stopped is not None and -30000 < stopped < 3000

    if name in HOMING:
        assert daemon.call('home', 1) == CommandStatus.Succeeded
        assert (daemon.steps(1), daemon.status()['homed_1']) == (stopped, True)
    else:
        assert daemon.call('reset_home_position', 1) == CommandStatus.Succeeded
        stopped = 0
        assert daemon.steps(1) == 0

    simulator.control('power-cycle')
    if name in HOMES_NOT_AT_POWER_UP:
        eventually(lambda: daemon.state(1) == FocuserStatus.Error and 'IsHomed' in daemon.status()['error_1'])
        assert daemon.call('home', 1) == CommandStatus.Succeeded
    eventually(lambda: not simulator.control.get('1.moving'))
    eventually(lambda: daemon.state(1) == FocuserStatus.Idle and daemon.steps(1) == stopped)

    assert daemon.call('shutdown') == CommandStatus.Succeeded
    assert daemon.call('initialize') == CommandStatus.Succeeded
    assert daemon.call('set_focus', 1, 500) == CommandStatus.Succeeded
    assert daemon.steps(1) == 500
    assert daemon.call('configure', 1, 'nickname', 'North') == CommandStatus.Succeeded
    assert daemon.call('hub_info')['channel_1']['settings']['nickname'] == 'North'

# SPDX-License-Identifier: GPL-3.0-or-later
"""focusd@.service as it is run: by a systemd of the test's own, with the sandbox and the runtime user of the unit."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.daemon.harness import TOP, Call
from tests.daemon.service_manager import EXEC_START, SYSTEMD, UNIT, ServiceManager, dialout, eventually
from tests.daemon.test_pyro_object import FAILED, IDLE, MOVING, SUCCEEDED
from tests.simulator.harness import Simulator

SLOW_HUB = ('--channels', '1,2', '--max-pos', '112000', '--speed', '500')

needs_systemd = pytest.mark.skipif(not os.path.exists(SYSTEMD), reason='systemd is not installed')


@pytest.fixture(scope='module')
def manager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceManager]:
    manager = ServiceManager(tmp_path_factory.mktemp('systemd'))
    yield manager
    manager.close()


@pytest.fixture
def hub(simulate: Callable[..., Simulator]) -> Simulator:
    """A hub on the network, whose focusers take minutes from end to end."""
    return simulate('--tcp', '127.0.0.1:0', *SLOW_HUB)


def address(hub: Simulator) -> str:
    host, port = hub.tcp_address
    return f'socket://{host}:{port}'


@needs_systemd
def test_systemd_finds_nothing_to_say_about_the_unit(tmp_path: Path) -> None:
    text = UNIT.read_text()
    assert EXEC_START in text
    unit = tmp_path / 'focusd@clasp.service'
    unit.write_text(text.replace('/usr/bin/focusd', str(TOP / 'focusd')))   # a program has to be there
    result = subprocess.run(['systemd-analyze', 'verify', str(unit)], capture_output=True, text=True)
    assert (result.returncode, result.stdout, result.stderr) == (0, '', '')


@needs_systemd
def test_the_sandbox_of_the_unit_is_rated_2_0_or_better() -> None:
    result = subprocess.run(['systemd-analyze', 'security', '--offline=true', '--threshold=20', str(UNIT)],
                            capture_output=True, text=True)
    rating = re.search(r'Overall exposure level for \S+: (\S+)', result.stdout)
    assert rating is not None and float(rating[1]) <= 2.0
    assert result.returncode == 0


def test_the_service_has_started_when_its_object_answers(manager: ServiceManager) -> None:
    service = manager.service('starts').start()
    assert service.call('report_status')['status_label_1'] == 'OFFLINE'
    offline = r'channel 1: offline: not connected[^;]*; channel 2: offline: not connected[^;]*'
    assert re.fullmatch(offline, service.show('StatusText'))
    assert service.call('initialize') == SUCCEEDED
    eventually(lambda: service.show('StatusText')
               == 'channel 1: idle at +0 steps, 21.7 C; channel 2: idle at +0 steps, 21.7 C')
    service.stop()
    assert (service.show('ActiveState'), service.show('Result')) == ('inactive', 'success')


def test_a_stop_of_the_service_in_a_move_halts_the_motor(manager: ServiceManager, hub: Simulator) -> None:
    service = manager.service('stops', serial_port=address(hub), moving_loop_delay=0.5, move_timeout=300).start()
    assert service.call('initialize') == SUCCEEDED
    move = Call(service, 'set_focus', 1, 45000)   # type: ignore[arg-type]
    under_way = re.compile(r'^channel 1: moving at \+\d+ on the way to \+45000 steps, ')
    eventually(lambda: under_way.match(service.show('StatusText')))
    assert hub.control.get('1.moving')
    service.stop()
    assert move.wait() == FAILED
    assert not hub.control.get('1.moving')
    assert hub.control.get('1.position') < 56000 + 45000
    assert (service.show('ActiveState'), service.show('Result')) == ('inactive', 'success')


def test_only_a_daemon_that_dies_or_hangs_is_restarted(
        manager: ServiceManager, hub: Simulator, simulate: Callable[..., Simulator]) -> None:
    """All at once, since each takes the watchdog its time; the one that waits has waited longest when that is over."""
    waits = manager.service('waits', serial_port='socket://127.0.0.1:9').start()
    deaf = manager.service('deaf', serial_port=address(hub), move_timeout=300).start()
    dies, frozen, stuck = (manager.service(name).start() for name in ('dies', 'frozen', 'stuck'))
    unharmed = waits.show('MainPID')
    waiting = Call(waits, 'initialize')   # type: ignore[arg-type]
    waits.spring('opener')
    assert deaf.call('initialize') == SUCCEEDED
    move = Call(deaf, 'set_focus', 1, 45000)   # type: ignore[arg-type]
    eventually(lambda: hub.control.get('1.moving') and deaf.call('report_status')['status_1'] == MOVING)
    deaf.spring('server')
    stuck.spring('hub')
    frozen.kill('SIGSTOP')
    dies.kill('SIGKILL')
    for service in (dies, frozen, stuck, deaf):
        eventually(lambda service=service: service.show('NRestarts') == '1'   # type: ignore[misc]
                   and service.show('ActiveState') == 'active')
        assert service.call('initialize') == SUCCEEDED
        assert service.call('report_status')['status_2'] == IDLE
    for service, thread, where in ((stuck, 'hub', 'hub_thread.py'), (deaf, 'server', 'pyro_server.py')):
        critical = [text for priority, text in service.log() if priority == 2]
        assert critical[0].startswith(f"the thread '{thread}' has made no progress for ")
        assert any(where in line for line in critical), 'and where it hangs'
    assert not hub.control.get('1.moving'), 'the one that could still halt its motor has done so'
    assert move.wait() == FAILED
    assert (waits.show('MainPID'), waits.show('NRestarts')) == (unharmed, '0')
    assert waits.call('report_status')['status_label_1'] == 'INITIALIZING'
    assert waiting.wait() == FAILED
    for service in (waits, dies, frozen, stuck, deaf):
        service.stop()


def test_the_journal_has_each_event_once_with_its_priority(manager: ServiceManager) -> None:
    service = manager.service('logs').start()
    assert service.call('initialize') == SUCCEEDED
    move = Call(service, 'set_focus', 1, 45000)   # type: ignore[arg-type]
    eventually(lambda: service.call('report_status')['status_1'] == MOVING)
    assert service.call('stop_channel', 1) == SUCCEEDED
    assert move.wait() == FAILED
    service.stop()
    log = service.log()
    assert [priority for priority, text in log if text.startswith('channel 1: move to +45000 steps stopped at ')] == [4]
    for event in ('logs_daemon serves at ', 'connected to the hub on ', 'channel 1: move to +45000 steps requested',
                  'channel 1: stop requested', 'disconnected on request', 'logs_daemon ends'):
        assert [priority for priority, text in log if text.startswith(event)] == [6], event


def test_a_wrong_configuration_is_an_error_in_the_journal(manager: ServiceManager) -> None:
    service = manager.service('wrong', soft_step_limits=[5, -5])
    assert manager.systemctl('start', service.unit).returncode == 1
    said = '/run/focusd/etc/wrong.json: soft_step_limits: [5, -5]: min must be less than max'
    eventually(lambda: any(priority == 3 and text.endswith(said) for priority, text in service.log()))
    service.stop()


@pytest.mark.skipif(os.geteuid() != 0 or dialout() is None, reason='only root can give a device to the group dialout')
def test_the_service_reaches_the_port_without_privileges(
        manager: ServiceManager, simulate: Callable[..., Simulator], tmp_path: Path) -> None:
    hub = simulate('--link', str(tmp_path / 'focuser'), *SLOW_HUB)
    device = os.path.realpath(tmp_path / 'focuser')
    group: Any = dialout()
    os.chown(device, 0, group)
    os.chmod(device, 0o660)
    service = manager.service('serial', serial_port=device).start()
    process = service.process_status()
    assert '0' not in process['Uid'].split() + process['Gid'].split()
    assert process['Groups'].split() == sorted({str(group), process['Gid'].split()[0]}, key=int)
    assert {int(process[key], 16) for key in ('CapEff', 'CapPrm', 'CapBnd', 'CapAmb')} == {0}
    assert (process['NoNewPrivs'], process['Seccomp']) == ('1', '2')
    assert service.call('initialize') == SUCCEEDED
    assert service.call('set_focus', 1, 20) == SUCCEEDED
    assert hub.control.get('1.position') == 56020
    os.chown(device, 0, 0)
    assert service.call('shutdown') == SUCCEEDED
    assert service.call('initialize') == FAILED
    assert 'permission denied' in service.call('report_status')['error_1'], 'nothing else lets it in'
    service.stop()

# SPDX-License-Identifier: GPL-3.0-or-later
"""What the scriptlets of the server package request of systemd, requested of a real one with real daemons."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.daemon.service_manager import Service, ServiceManager
from tests.packaging.rpms import NAMES, Built, Calls, Root, needs_rpm

pytestmark = [needs_rpm, pytest.mark.usefixtures('started')]

SERVER = NAMES[2]


@pytest.fixture(scope='module')
def manager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceManager]:
    manager = ServiceManager(tmp_path_factory.mktemp('systemd'))
    yield manager
    manager.close()


def run_calls(manager: ServiceManager, calls: Calls) -> None:
    """Run the recorded calls of the scriptlets on the real systemd."""
    recorded = calls.taken()
    assert recorded
    for call in recorded:
        program, *arguments = call.split()
        assert program == 'systemctl'
        result = manager.systemctl(*arguments)
        assert result.returncode == 0, result.stderr


def state(service: Service) -> tuple[str, str]:
    return service.show('ActiveState'), service.show('InvocationID')


def test_an_upgrade_restarts_daemons_only_if_they_run(
    manager: ServiceManager, root: Root, rpms: Built, calls: Calls
) -> None:
    root.install({SERVER: rpms.first[SERVER]})
    calls.taken()
    runs, ran, never = manager.service('runs').start(), manager.service('ran').start(), manager.service('never')
    ran.stop()
    started, idle = state(runs), [state(service) for service in (ran, never)]
    root.install({SERVER: rpms.second[SERVER]})
    run_calls(manager, calls)
    assert state(runs)[0] == 'active'
    assert state(runs) != started
    assert runs.call('report_status')['status_label_1'] == 'OFFLINE'
    assert [state(service) for service in (ran, never)] == idle
    runs.stop()


def test_a_removal_leaves_no_daemon_that_runs_or_would_be_started(
    manager: ServiceManager, root: Root, rpms: Built, calls: Calls
) -> None:
    root.install({SERVER: rpms.first[SERVER]})
    calls.taken()
    service = manager.service('enabled').start()
    assert manager.systemctl('enable', service.unit).returncode == 0
    root.rpm('--erase', SERVER)
    run_calls(manager, calls)
    assert service.show('ActiveState') == 'inactive'
    assert manager.systemctl('is-enabled', service.unit).stdout == 'disabled\n'

# SPDX-License-Identifier: GPL-3.0-or-later
"""The RPM packages in a root of their own: installed, upgraded, run, removed."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.packaging.environments import Environment, clean_variables
from tests.packaging.rpms import NAMES, SYSTEMCTL, Built, Calls, Root, needs_rpm
from tests.packaging.test_rpm import SITE_PACKAGES
from tests.ports import free_port
from tests.simulator.harness import eventually
from warwick.observatory.focuslynx._version import __version__

pytestmark = needs_rpm

CONFIG = 'etc/focusd/clasp.json'
RELOADED = 'systemctl daemon-reload'
DISABLED = 'systemctl --no-reload disable focusd@.service'


def test_the_packages_go_into_an_empty_root_and_out_of_it(root: Root, rpms: Built) -> None:
    root.install(rpms.first)
    assert sorted(root.rpm('--query', '--all', '--queryformat', r'%{NAME}\n').split()) == sorted(NAMES)
    assert root.rpm('--verify', '--all', '--nodeps') == ''
    root.rpm('--erase', *NAMES)
    assert [str(path) for path in root.top.rglob('*') if 'focus' in path.name or 'warwick' in path.name] == []


def test_an_upgrade_keeps_an_edited_configuration_and_puts_the_new_one_beside_it(root: Root, rpms: Built) -> None:
    root.install(rpms.first)
    config = root.top / CONFIG
    edited = config.read_text().replace('"idle_loop_delay": 5', '"idle_loop_delay": 7')
    config.write_text(edited)
    root.install(rpms.second, warning=r'warning: .*/clasp\.json created as .*/clasp\.json\.rpmnew')
    assert config.read_text() == edited
    assert json.loads(config.with_name('clasp.json.rpmnew').read_text())['move_timeout'] == 240


def test_an_upgrade_replaces_an_unedited_configuration(root: Root, rpms: Built) -> None:
    root.install(rpms.first)
    root.install(rpms.second)
    assert json.loads((root.top / CONFIG).read_text())['move_timeout'] == 240
    assert [path.name for path in (root.top / 'etc' / 'focusd').iterdir()] == ['clasp.json']


@pytest.mark.usefixtures('started')
def test_an_upgrade_restarts_the_daemons_that_run_when_their_module_is_in_place(
    root: Root, rpms: Built, calls: Calls
) -> None:
    server, others = NAMES[2], [rpms.second[name] for name in (NAMES[1], NAMES[3])]
    root.install({name: package for name, package in rpms.first.items() if name != NAMES[0]})
    assert calls.taken() == [RELOADED, 'systemctl try-restart focusd@*.service']
    module = f'{SITE_PACKAGES}/warwick/observatory/focuslynx/_version.py'
    root.provide(SYSTEMCTL, f'while read line; do case $line in BUILD*) echo "$line" >>/calls;; esac; done <{module}')
    root.rpm('--upgrade', '--nodeps', rpms.second[server], *others)
    assert calls.taken() == [f"BUILD = '{rpms.commits['second']}'"] * 2


@pytest.mark.usefixtures('started')
def test_a_removal_stops_the_daemons_and_has_them_no_longer_started(root: Root, rpms: Built, calls: Calls) -> None:
    root.install({NAMES[2]: rpms.first[NAMES[2]]})
    calls.taken()
    root.rpm('--erase', NAMES[2])
    assert calls.taken() == ['systemctl stop focusd@*.service', DISABLED, RELOADED]


@pytest.mark.usefixtures('started')
def test_the_device_gets_its_name_when_its_rule_comes(root: Root, rpms: Built, calls: Calls) -> None:
    root.install({NAMES[0]: rpms.first[NAMES[0]]})
    assert calls.taken() == ['udevadm control --reload', 'udevadm trigger --subsystem-match=tty']
    root.rpm('--erase', NAMES[0])
    assert calls.taken() == ['udevadm control --reload']


def test_where_no_systemd_runs_it_gets_no_calls(root: Root, rpms: Built, calls: Calls) -> None:
    root.install(rpms.first)
    root.install(rpms.second)
    assert calls.taken() == []
    root.rpm('--erase', *NAMES)
    assert calls.taken() == [DISABLED]


class Installed:
    """The programs of a root, with the libraries of an environment and the stand-in for the observatory's common."""

    def __init__(self, root: Root, environment: Environment, common: Path) -> None:
        port = free_port()
        self.root = root
        self.environment = environment
        site = environment.directory / 'site.json'
        site.write_text(json.dumps({'daemons': {'installed': {
            'name': 'installed_daemon', 'machine': 'LocalHost', 'port': port}}}))
        self.config = root.top / CONFIG
        self.config.write_text(json.dumps({**json.loads(self.config.read_text()), 'daemon': 'installed',
                                           'serial_port': 'lynxsim://?channels=1,2&max_pos=112000&speed=5000'}))
        self.variables = {'OBSERVATORY_SITE': str(site), 'FOCUSD_CONFIG_PATH': str(self.config), 'PYTHONPATH':
                          f'{root.top}{SITE_PACKAGES}:{common}', 'PYTHONDONTWRITEBYTECODE': '1'}

    def focus(self, *args: str) -> str:
        """What `focus` prints; it must succeed, and complain of nothing."""
        result = self.environment.run(self.root.top / 'usr/bin/focus', *args, **self.variables)
        assert (result.returncode, result.stderr) == (0, ''), result.stdout
        return result.stdout

    def answers(self) -> bool:
        result = self.environment.run(self.root.top / 'usr/bin/focus', 'status', **self.variables)
        return result.returncode == 0


@pytest.fixture
def installed(root: Root, rpms: Built, environment: Environment, sources: Path) -> Iterator[Installed]:
    root.install(rpms.first)
    programs = Installed(root, environment, sources / 'common')
    log = environment.directory / 'log'
    with open(log, 'w') as output, subprocess.Popen(
        [environment.python, root.top / 'usr/bin/focusd', programs.config], env=clean_variables(**programs.variables),
        cwd='/', stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
    ) as daemon:
        try:
            eventually(programs.answers)
            yield programs
            daemon.terminate()
            assert daemon.wait(20) == 0, log.read_text()
        finally:
            daemon.kill()


def test_the_installed_client_moves_focusers_through_the_installed_daemon(installed: Installed, rpms: Built) -> None:
    assert installed.focus('init') == ''
    assert installed.focus('set', '1', '500') == ''
    assert installed.focus('offset', '2', '-70') == ''
    status = json.loads(installed.focus('json'))
    assert (status['current_steps_1'], status['current_steps_2']) == (500, -70)
    assert status['software_version'] == f'{__version__}+{rpms.commits["first"]}'


@pytest.mark.parametrize('program', ['focus', 'focusd'])
def test_a_program_runs_on_the_python_of_the_system_without_what_users_have_installed(
    root: Root, rpms: Built, program: str
) -> None:
    root.install(rpms.first)
    assert (root.top / 'usr/bin' / program).read_text().splitlines()[0] == '#!/usr/bin/python3 -s'

# SPDX-License-Identifier: GPL-3.0-or-later
"""Serving, calling and logging, against real Pyro daemons in processes of their own."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import Pyro4
import pytest

from tests.common.processes import environment, serving
from tests.ports import free_port
from warwick.observatory.common import Daemon, helpers

SERVE = '''
import threading
import Pyro4
from warwick.observatory.common import daemons, helpers

@Pyro4.expose
class Served:
    def matches(self, addresses):
        return helpers.pyro_client_matches(addresses)

    def hang(self):
        threading.Event().wait()

    def end(self):
        threading.Thread(target=self._pyroDaemon.shutdown).start()

daemons.served.launch(Served())
print('ended', flush=True)
'''

RECORD = '''
import Pyro4
from warwick.observatory.common import daemons

@Pyro4.expose
class Log:
    def __init__(self):
        self.messages = []
    def log_info(self, table, message):
        self.messages.append(('info', table, message))
    def log_warning(self, table, message):
        self.messages.append(('warning', table, message))
    def log_error(self, table, message):
        self.messages.append(('error', table, message))
    def read(self):
        return self.messages

daemons.recorder.launch(Log())
'''

WRITE_ALL_LEVELS = '''
from warwick.observatory.common import log
log.info('dome_focus', 'moved')
log.warning('dome_focus', 'slow')
log.error('dome_focus', 'jammed')
'''


def site_with(write_site: Any, entry: str, port: int, host: str = '127.0.0.1', **log: str) -> Path:
    path: Path = write_site({
        'machines': {'Here': host},
        'daemons': {entry: {'name': f'{entry}_daemon', 'machine': 'Here', 'port': port, 'timeout': 2}},
        **({'log': log} if log else {}),
    })
    return path


@pytest.fixture(params=['127.0.0.1', '::1'])
def served(request: Any, write_site: Any) -> Iterator[tuple[Daemon, str]]:
    try:
        daemon = Daemon('served_daemon', request.param, free_port(request.param), timeout=5)
    except OSError:
        pytest.skip(f'this machine has no {request.param}')
    with serving(SERVE, site_with(write_site, 'served', daemon.port, daemon.host)) as line:
        yield daemon, line


def test_a_launched_object_says_where_it_is_and_answers_there(served: tuple[Daemon, str]) -> None:
    daemon, line = served
    assert line == f'served_daemon is served at {daemon.uri}'
    with daemon.connect() as proxy:
        assert proxy.matches([daemon.host]) is True


def test_only_a_listed_address_matches(served: tuple[Daemon, str]) -> None:
    daemon, _ = served
    with daemon.connect() as proxy:
        assert proxy.matches([]) is False
        assert proxy.matches(['10.2.6.181', '2001:db8::1']) is False
        assert proxy.matches(['', 'localhost', '127.0.0.1.', '10.2.6.181']) is False
        assert proxy.matches(['10.2.6.181', daemon.host]) is True


def test_another_form_of_the_same_address_matches(served: tuple[Daemon, str]) -> None:
    daemon, _ = served
    other = {'127.0.0.1': '::FFFF:127.0.0.1', '::1': '0:0:0:0:0:0:0:1'}[daemon.host]
    with daemon.connect() as proxy:
        assert proxy.matches([other]) is True


def test_a_client_of_a_socket_for_both_families_is_known_by_its_ipv4_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Pyro4.current_context, 'client_sock_addr', ('::ffff:10.2.6.181', 40000, 0, 0))
    assert helpers.pyro_client_matches(['10.2.6.181'])
    assert not helpers.pyro_client_matches(['10.2.6.182'])


@pytest.mark.parametrize('peer', [None, '', '/run/socket'])
def test_a_peer_without_an_address_matches_nothing(monkeypatch: pytest.MonkeyPatch, peer: str | None) -> None:
    monkeypatch.setattr(Pyro4.current_context, 'client_sock_addr', peer)
    assert not helpers.pyro_client_matches(['127.0.0.1', '', '/'])


def test_no_pyro_call_means_no_match() -> None:
    assert not helpers.pyro_client_matches(['127.0.0.1', '::1'])


def test_a_call_that_takes_too_long_ends_with_the_timeout(served: tuple[Daemon, str]) -> None:
    daemon, _ = served
    with daemon.connect(0.2) as proxy, pytest.raises(Pyro4.errors.TimeoutError):
        proxy.hang()


def test_a_call_to_nobody_is_a_communication_error() -> None:
    with Daemon('x_daemon', '127.0.0.1', free_port()).connect() as proxy, \
            pytest.raises(Pyro4.errors.CommunicationError):
        proxy.report_status()


def test_launch_returns_when_the_daemon_is_shut_down_and_leaves_the_port_free(write_site: Any) -> None:
    port = free_port()
    site = site_with(write_site, 'served', port)
    process = subprocess.Popen([sys.executable, '-c', SERVE], env=environment(site), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    with Daemon('served_daemon', '127.0.0.1', port).connect() as proxy:
        proxy.end()
    rest, _ = process.communicate(timeout=30)
    assert (rest, process.returncode) == ('ended\n', 0)
    with serving(SERVE, site) as line:
        assert line.startswith('served_daemon is served at')


def test_launch_on_a_taken_port_is_an_os_error(served: tuple[Daemon, str]) -> None:
    daemon, _ = served
    with pytest.raises(OSError, match='in use'):
        Daemon('other_daemon', daemon.host, daemon.port).launch(object())


def messages_of(port: int) -> list[list[str]]:
    with Daemon('recorder_daemon', '127.0.0.1', port).connect() as proxy:
        return [list(message) for message in proxy.read()]


def test_messages_are_printed_and_stored_on_the_observatorys_network(run_python: Any, write_site: Any) -> None:
    port = free_port()
    site = site_with(write_site, 'recorder', port, daemon='recorder', network='127.0.0.0/8')
    with serving(RECORD, site):
        result = run_python(WRITE_ALL_LEVELS, site=site)
        stored = messages_of(port)
    assert (result.stdout, result.stderr) == (
        'info: dome_focus: moved\nwarning: dome_focus: slow\nerror: dome_focus: jammed\n', '')
    assert stored == [
        ['info', 'dome_focus', 'moved'], ['warning', 'dome_focus', 'slow'], ['error', 'dome_focus', 'jammed']]


def test_the_network_may_be_this_host_alone(run_python: Any, write_site: Any) -> None:
    port = free_port()
    site = site_with(write_site, 'recorder', port, daemon='recorder', network='127.0.0.1/32')
    with serving(RECORD, site):
        run_python(WRITE_ALL_LEVELS, site=site)
        assert len(messages_of(port)) == 3


# The first two are reserved for documentation: no host has an address there
@pytest.mark.parametrize('network', ['198.51.100.0/24', '2001:db8::/32', '127.0.0.2/32'])
def test_messages_are_only_printed_away_from_the_observatorys_network(
    run_python: Any, write_site: Any, network: str
) -> None:
    port = free_port()
    site = site_with(write_site, 'recorder', port, daemon='recorder', network=network)
    with serving(RECORD, site):
        result = run_python(WRITE_ALL_LEVELS, site=site)
        stored = messages_of(port)
    assert result.stdout == 'info: dome_focus: moved\nwarning: dome_focus: slow\nerror: dome_focus: jammed\n'
    assert stored == []


def test_a_silent_log_daemon_costs_one_more_line_and_no_exception(run_python: Any, write_site: Any) -> None:
    site = site_with(write_site, 'recorder', free_port(), daemon='recorder', network='127.0.0.0/8')
    result = run_python(WRITE_ALL_LEVELS, site=site)
    assert (result.returncode, result.stderr) == (0, '')
    lines = result.stdout.splitlines()
    assert [lines[0], *lines[2:]] == [
        'info: dome_focus: moved', 'warning: dome_focus: slow', 'error: dome_focus: jammed']
    assert lines[1].startswith('warning: dome_focus: messages are not stored, because of the log daemon: ')


def test_the_end_of_an_outage_of_the_log_daemon_is_said(write_site: Any) -> None:
    port = free_port()
    site = site_with(write_site, 'recorder', port, daemon='recorder', network='127.0.0.0/8')
    program = (
        'import sys\nfrom warwick.observatory.common import log\n'
        'for line in sys.stdin:\n    log.info("t", line.strip())\n'
    )
    with subprocess.Popen(
        [sys.executable, '-c', program], env=environment(site), text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        print('one', file=process.stdin, flush=True)
        assert process.stdout.readline() == 'info: t: one\n'
        assert process.stdout.readline().startswith('warning: t: messages are not stored')
        with serving(RECORD, site):
            print('two', file=process.stdin, flush=True)
            assert process.stdout.readline() == 'info: t: two\n'
            assert process.stdout.readline() == 'info: t: messages are stored again\n'
        process.stdin.close()


def test_a_wrong_site_file_does_not_stop_the_log(run_python: Any, tmp_path: Path) -> None:
    result = run_python(WRITE_ALL_LEVELS, site=tmp_path / 'missing.json')
    assert (result.returncode, result.stderr) == (0, '')
    assert result.stdout.splitlines()[0] == 'info: dome_focus: moved'
    assert 'because of the site file: ' in result.stdout
    assert result.stdout.splitlines()[-1] == 'error: dome_focus: jammed'


def test_a_log_whose_reader_has_gone_raises_nothing() -> None:
    reader, writer = pty.openpty()
    os.close(reader)
    program = (
        'import os\nfrom warwick.observatory.common import log\n'
        'log.info("t", "first")\nlog.error("t", "second")\nos._exit(7)\n'
    )
    process = subprocess.run(
        [sys.executable, '-c', program], env=environment(None), stdout=writer, stderr=subprocess.PIPE,
        timeout=30, check=False,
    )
    os.close(writer)
    assert (process.returncode, process.stderr) == (7, b'')


def test_the_log_can_be_called_from_any_thread(run_python: Any, write_site: Any) -> None:
    port = free_port()
    site = site_with(write_site, 'recorder', port, daemon='recorder', network='127.0.0.0/8')
    with serving(RECORD, site):
        run_python(
            'import threading\nfrom warwick.observatory.common import log\n'
            'threads = [threading.Thread(target=log.info, args=("t", str(n))) for n in range(8)]\n'
            'for thread in threads: thread.start()\n'
            'for thread in threads: thread.join()\n',
            site=site,
        )
        assert sorted(message[2] for message in messages_of(port)) == [str(n) for n in range(8)]

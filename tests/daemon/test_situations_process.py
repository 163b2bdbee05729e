# SPDX-License-Identifier: GPL-3.0-or-later
"""Situations of the process: signals in the middle of moves, and kill -9 at random moments of a busy minute.

There are 60 such moments, in batches that can run at the same time, and 200 with FOCUSD_KILLS=200 in the environment.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import Pyro4
import pytest

from tests.daemon import wire
from tests.daemon.harness import TOP, Daemon
from tests.daemon.test_pyro_object import FAILED, IDLE, SUCCEEDED
from tests.daemon.wire import SETTINGS, ZERO, Site
from tests.simulator.harness import eventually
from warwick.observatory.focuslynx.daemon.main import IMPATIENCE_S

prepare = wire.prepare

KILLS = 20   # in a batch
BATCHES = int(os.environ.get('FOCUSD_KILLS', '60')) // KILLS


@pytest.mark.parametrize(('number', 'status'), [
    (signal.SIGTERM, 0), (signal.SIGINT, 0), (signal.SIGHUP, 0),
    *((number, -number) for number in (
        signal.SIGQUIT, signal.SIGALRM, signal.SIGVTALRM, signal.SIGPROF, signal.SIGXCPU, signal.SIGIO, signal.SIGPWR,
        signal.SIGRTMIN, signal.SIGRTMAX))])
def test_a_signal_halts_both_motors_before_the_end(prepare: Callable[..., Site], number: int, status: int) -> None:
    site = prepare().connect()
    moves = [site.begin_move(1, 45000), site.begin_move(2, -45000)]
    assert site.daemon.stop(number) == status
    ended_at = time.monotonic()
    assert [move.wait() for move in moves] == [FAILED, FAILED]
    assert site.at_rest(1) and site.at_rest(2)
    for channel in (1, 2):
        halted_at = next(at for at, text in site.wire.requests if text == f'F{channel}HALT')
        assert ended_at - halted_at < 2, 'the process ends within 2 s of the halt'
        assert len(site.wire.sent(f'F{channel}MA.*')) == 1
    assert not site.wire.is_open(), 'the port is closed'
    assert 'Traceback' not in site.daemon.log


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_a_signal_during_a_zero_is_reported_to_the_caller(prepare: Callable[..., Site],
                                                                     number: int) -> None:
    site = prepare(serial_timeout=10).connect()
    site.wire.mute(after='F1SCCP.*')
    zero = site.daemon.begin('reset_home_position', 1)
    eventually(lambda: site.wire.sent('F1SCCP.*'))
    assert site.daemon.stop(number) == 0
    assert zero.wait() == FAILED
    assert 'Traceback' not in site.daemon.log


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_an_impatient_second_signal_ends_the_process(prepare: Callable[..., Site], number: int) -> None:
    site = prepare().connect()
    move = site.begin_move(1, 45000)
    site.wire.lose('F.*', times=1e9)   # the halt cannot succeed, so the first signal takes its time
    first_at = time.monotonic()
    site.daemon.process.send_signal(number)
    eventually(lambda: site.wire.sent('F1HALT'))
    eventually(lambda: time.monotonic() - first_at > IMPATIENCE_S)
    site.daemon.process.send_signal(number)
    assert site.daemon.process.wait(20) == 128 + number
    assert isinstance(move.wait(), Pyro4.errors.CommunicationError), 'no daemon was left to answer the caller'


@pytest.mark.parametrize('second', [signal.SIGHUP, signal.SIGTERM])
def test_a_second_signal_at_once_cuts_nothing_short(prepare: Callable[..., Site], second: int) -> None:
    site = prepare().connect()
    move = site.begin_move(1, 45000)
    site.daemon.process.send_signal(signal.SIGHUP)   # as a dropped ssh session does, twice
    assert site.daemon.stop(second) == 0
    assert move.wait() == FAILED
    assert site.at_rest(1)


def test_a_late_second_hangup_cuts_nothing_short(prepare: Callable[..., Site]) -> None:
    site = prepare().connect()
    move = site.begin_move(1, 45000)
    site.wire.lose('F.*', times=1e9)
    first_at = time.monotonic()
    site.daemon.process.send_signal(signal.SIGHUP)
    eventually(lambda: time.monotonic() - first_at > IMPATIENCE_S)
    assert site.daemon.stop(signal.SIGHUP) == 0
    assert move.wait() == FAILED, 'the caller got its answer'


def test_a_motor_that_cannot_be_halted_is_named_at_the_end(prepare: Callable[..., Site]) -> None:
    site = prepare().connect()
    move = site.begin_move(2, 45000)
    site.wire.lose('F.HALT', times=1e9)
    assert site.daemon.stop() == 0
    assert move.wait() == FAILED
    assert 'the motor of channel 2 may still run' in site.daemon.log
    assert 'error: the daemon ends all the same' in site.daemon.log


@pytest.mark.parametrize('number', [signal.SIGUSR1, signal.SIGUSR2])
def test_a_signal_of_the_user_is_logged_and_ignored(prepare: Callable[..., Site], number: signal.Signals) -> None:
    site = prepare().connect()
    move = site.begin_move(1, 3000)
    site.daemon.process.send_signal(number)
    eventually(lambda: f'{number.name} is ignored' in site.daemon.log)
    assert move.wait() == SUCCEEDED
    assert site.is_at(1, 3000)


INHERITED = """
import os, signal, sys
signal.signal(signal.SIGHUP, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGINT])
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_blocked_signals_end_it_and_ignored_ones_do_not(prepare: Callable[..., Site], number: int) -> None:
    site = prepare()
    site.daemon.stop()
    site.daemon.process = subprocess.Popen(
        [sys.executable, '-c', INHERITED, str(TOP / 'focusd'), str(site.daemon.config)], env=site.daemon.environment,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    eventually(lambda: _answers(site.daemon))
    site.connect()
    move = site.begin_move(1, 3000)
    site.daemon.process.send_signal(signal.SIGHUP)
    assert move.wait() == SUCCEEDED, 'nohup works'
    move = site.begin_move(1, 45000)
    assert site.daemon.stop(number) == 0
    assert move.wait() == FAILED
    assert site.at_rest(1)


def next_call(chance: random.Random, channel: int) -> tuple[Any, ...]:
    return chance.choice([('set_focus', channel, chance.randint(-3000, 3000)),
                          ('set_focus', channel, chance.randint(-200, 200), True),
                          ('stop_channel', channel)])


@pytest.mark.parametrize('batch', range(BATCHES))
def test_a_daemon_killed_at_any_moment_is_followed_by_a_good_one(batch: int, prepare: Callable[..., Site],
                                                                             tmp_path: Path) -> None:
    chance = random.Random(20261123 + batch)
    busy = {'connect_on_start': True, 'idle_loop_delay': 0.1}
    site = prepare('--speed', '20000', **busy).connect()
    for k in range(KILLS):
        # A busy time on both channels, until somewhere in the midst of it the process is gone.
        end = time.monotonic() + chance.uniform(0, 0.3)
        calls = {1: site.daemon.begin('set_focus', 1, chance.randint(-3000, 3000)),
                 2: site.daemon.begin('set_focus', 2, chance.randint(-3000, 3000))}
        stopped = chance.random() < 0.3
        while time.monotonic() < end:
            for channel, call in calls.items():
                if call.done:
                    calls[channel] = site.daemon.begin(*next_call(chance, channel))
            if stopped and chance.random() < 0.05:
                site.daemon.call('stop_channel', chance.randint(1, 2))
            time.sleep(0.002)
        site.daemon.kill()
        for call in calls.values():
            call.wait()
        settings = {**SETTINGS, **busy, 'port': site.daemon.port, 'serial_port': site.wire.path}
        if chance.random() < 0.3:   # the next one does not get far either
            site.daemon = Daemon(tmp_path / '0', wait=False, **settings)
            time.sleep(chance.uniform(0, 0.6))
            site.daemon.kill()
        site.daemon = Daemon(tmp_path / '0', **settings)
        for channel in (1, 2):
            eventually(lambda channel=channel: site.daemon.state(channel) == IDLE)   # type: ignore[misc]
            assert site.at_rest(channel), f'kill {k}'
            eventually(lambda channel=channel:   # type: ignore[misc]
                       site.daemon.steps(channel) == site.truth(channel))
            target = chance.randint(-3000, 3000)
            assert site.daemon.call('set_focus', channel, target) == SUCCEEDED, f'kill {k}'
            assert site.is_at(channel, target), f'kill {k}'
    assert 'Traceback' not in site.daemon.log
    for text in site.wire.sent('F.MA.*'):
        assert abs(int(text[4:]) - ZERO) <= 3200, text


def test_the_reader_of_standard_output_may_go_away(prepare: Callable[..., Site]) -> None:
    site = prepare()
    process = _restarted(site.daemon, site.daemon.environment, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    site.connect()
    site.is_well(1, 2)
    assert site.daemon.stop() == 0


SLOW_NAMES = """
import socket, time

def slowly(look_up):
    def slow(host, *arguments, **options):
        name = host[0] if isinstance(host, tuple) else host
        if not (isinstance(name, str) and name.replace('.', '').isdigit()) or look_up.__name__ != 'getaddrinfo':
            with open(LOG, 'a') as log:
                log.write(f'{look_up.__name__} {name}\\n')
            time.sleep(2)
        return look_up(host, *arguments, **options)
    return slow

for name in ('getaddrinfo', 'gethostbyname', 'gethostbyname_ex', 'gethostbyaddr', 'getfqdn', 'getnameinfo'):
    setattr(socket, name, slowly(getattr(socket, name)))
"""


def test_no_control_path_waits_for_the_name_service(prepare: Callable[..., Site], tmp_path: Path) -> None:
    site = prepare()
    look_ups = tmp_path / 'look-ups'
    (tmp_path / 'slow').mkdir()
    (tmp_path / 'slow' / 'sitecustomize.py').write_text(f'LOG = {str(look_ups)!r}\n{SLOW_NAMES}')
    environment = site.daemon.environment
    environment['PYTHONPATH'] = f'{tmp_path / "slow"}{os.pathsep}{environment["PYTHONPATH"]}'
    probe = [sys.executable, '-c', 'import socket; socket.getfqdn("localhost")']
    assert subprocess.run(probe, env=environment, timeout=30).returncode == 0
    assert 'getfqdn localhost' in look_ups.read_text(), 'the slow name service is not in place'
    _restarted(site.daemon, environment, stdout=subprocess.DEVNULL)
    look_ups.unlink()   # look-ups at the start keep no caller waiting
    assert site.daemon.call('initialize') == SUCCEEDED
    assert site.daemon.call('report_status')
    move = site.begin_move(1, 20000)
    assert site.daemon.call('stop_channel', 1) == SUCCEEDED
    assert move.wait() == FAILED
    assert site.daemon.call('reset_home_position', 1) == SUCCEEDED
    assert site.daemon.focus('set', '1', '500').returncode == 0
    assert site.daemon.focus('stop', '1').returncode == 0
    assert site.daemon.focus('status').returncode == 0
    site.is_well(1, 2)
    assert site.daemon.call('shutdown') == SUCCEEDED
    assert not look_ups.exists(), look_ups.read_text()


def _restarted(daemon: Daemon, environment: dict[str, str], stdout: int) -> subprocess.Popen[bytes]:
    """The same daemon again, with this environment and standard output."""
    daemon.stop()
    process = subprocess.Popen([sys.executable, str(TOP / 'focusd'), str(daemon.config)], env=environment,
                               stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.DEVNULL)
    daemon.process = process
    eventually(lambda: _answers(daemon))
    return process


def _answers(daemon: Daemon) -> bool:
    assert daemon.process.poll() is None
    try:
        return bool(daemon.status())
    except Exception:
        return False

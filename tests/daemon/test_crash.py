# SPDX-License-Identifier: GPL-3.0-or-later
"""An unexpected exception, raised on the hub thread of a real daemon."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.daemon.harness import PATIENCE_S, Call, Daemon
from tests.daemon.test_links import on_a_pty
from tests.daemon.test_pyro_object import FAILED, IDLE, MOVING, SUCCEEDED
from tests.simulator.harness import Simulator, eventually

# Waits in methods of the Hub, all of which run on the hub thread. A file with the name of a method makes that method
# raise, as often as it says (0: without end).
SHIM = '''
import os
from warwick.observatory.focuslynx.core.focuser import Focuser
from warwick.observatory.focuslynx.core.hub import Hub


def trapped(owner, name):
    method = getattr(owner, name)
    trap = os.path.join({traps!r}, name)

    def call(self, *args):
        try:
            with open(trap) as file:
                times = int(file.read())
        except FileNotFoundError:
            return method(self, *args)
        if times == 1:
            os.unlink(trap)
        elif times:
            with open(trap, 'w') as file:
                file.write(str(times - 1))
        raise RuntimeError(f'thrown into {{name}}')
    setattr(owner, name, call)


for name in ('advance', 'received', 'submit', 'snapshots', 'take_effects', 'running_motors'):
    trapped(Hub, name)
trapped(Focuser, 'secure')
'''


class Victim:
    """A connected daemon with a trap in it, and the hub that it drives."""

    def __init__(self, simulator: Simulator, link: str, directory: Path) -> None:
        self.simulator = simulator
        self._traps = directory / 'traps'
        self._traps.mkdir()
        self.daemon = Daemon(directory, shim=SHIM.format(traps=str(self._traps)), serial_port=link)
        assert self.daemon.call('initialize') == SUCCEEDED

    def spring(self, method: str, times: int) -> None:
        """Let a method raise so many times; 0 for without end."""
        made = self._traps / f'{method}.made'
        made.write_text(str(times))
        made.replace(self._traps / method)

    def begin_move(self) -> Call:
        """A move of 9 s on channel 1, which is under way."""
        move = self.daemon.begin('set_focus', 1, 45000)
        eventually(lambda: self.daemon.state(1) == MOVING and self.moving(1))
        return move

    def moving(self, channel: int) -> bool:
        moving: bool = self.simulator.control.get(f'{channel}.moving')
        return moving


@pytest.fixture
def victim(simulate: Callable[..., Simulator], tmp_path: Path) -> Iterator[Victim]:
    simulator, link = on_a_pty(simulate, tmp_path)
    victim = Victim(simulator, link, tmp_path)
    yield victim
    if victim.daemon.process.poll() is None:
        victim.daemon.kill()


ANY_METHOD = pytest.mark.parametrize('method', ['advance', 'received', 'snapshots', 'take_effects'])


@ANY_METHOD
def test_an_unexpected_exception_fails_the_moves_and_halts(method: str, victim: Victim) -> None:
    daemon = victim.daemon
    moves = {n: daemon.begin('set_focus', n, 45000) for n in (1, 2)}
    eventually(lambda: all(daemon.state(n) == MOVING and victim.moving(n) for n in (1, 2)))
    victim.spring(method, 1)
    assert [move.wait() for move in moves.values()] == [FAILED, FAILED]
    for n in (1, 2):
        eventually(lambda n=n: daemon.state(n) == IDLE)   # type: ignore[misc]
        assert not victim.moving(n)
        position = victim.simulator.control.get(f'{n}.position')
        assert 56000 < position < 101000, 'it was halted on its way'
        assert daemon.steps(n) == position - 56000
    eventually(lambda: daemon.log.count('Traceback (most recent call last)') == 1)
    eventually(lambda: f'RuntimeError: thrown into {method}' in daemon.log)
    eventually(lambda: 'internal failure; the link to the hub is opened again' in daemon.log)
    assert daemon.call('set_focus', 1, 500) == SUCCEEDED
    assert victim.simulator.control.get('1.position') == 56500
    assert daemon.stop() == 0


def test_an_unexpected_exception_in_one_command_fails_that_one(victim: Victim) -> None:
    victim.spring('submit', 1)
    assert victim.daemon.call('set_focus', 1, 500) == FAILED
    eventually(lambda: victim.daemon.state(1) == IDLE)
    assert victim.daemon.call('set_focus', 1, 500) == SUCCEEDED


def test_a_few_exceptions_one_after_the_other_are_got_over(victim: Victim) -> None:
    victim.spring('received', 3)
    eventually(lambda: victim.daemon.log.count('RuntimeError: thrown into received') == 3)
    eventually(lambda: victim.daemon.state(1) == IDLE)
    assert victim.daemon.call('set_focus', 1, 500) == SUCCEEDED


@pytest.mark.parametrize('method', ['advance', 'received', 'snapshots'])
def test_a_repeated_exception_ends_the_process_with_an_error(method: str, victim: Victim) -> None:
    move = victim.begin_move()
    victim.spring(method, 0)
    assert victim.daemon.process.wait(PATIENCE_S) == 1
    assert move.wait() == FAILED
    eventually(lambda: f'RuntimeError: thrown into {method}' in victim.daemon.log)
    eventually(lambda: 'giving up' in victim.daemon.log)


@pytest.mark.parametrize('method', ['submit', 'running_motors'])
def test_an_exception_in_the_recovery_ends_the_process(method: str, victim: Victim) -> None:
    move = victim.begin_move()
    victim.spring(method, 0)
    victim.spring('advance', 1)
    assert move.wait() == FAILED
    assert victim.daemon.process.wait(PATIENCE_S) == 1
    eventually(lambda: f'RuntimeError: thrown into {method}' in victim.daemon.log)


def test_a_daemon_that_gives_up_leaves_no_motor_running(victim: Victim) -> None:
    victim.begin_move()
    victim.spring('advance', 0)
    assert victim.daemon.process.wait(PATIENCE_S) == 1
    eventually(lambda: not victim.moving(1))
    assert victim.simulator.control.get('1.position') < 56000 + 45000


def test_an_exception_at_the_end_leaves_no_motor_running(victim: Victim) -> None:
    victim.begin_move()
    victim.spring('secure', 1)
    victim.daemon.stop()
    eventually(lambda: 'thrown into secure' in victim.daemon.log)
    eventually(lambda: not victim.moving(1))
    assert victim.simulator.control.get('1.position') < 56000 + 45000


def test_a_daemon_that_gave_up_is_followed_by_one_that_works(victim: Victim, simulate: Callable[..., Simulator],
                                                             tmp_path: Path) -> None:
    victim.spring('advance', 0)
    assert victim.daemon.process.wait(PATIENCE_S) == 1
    directory = tmp_path / 'successor'
    directory.mkdir()
    link = str(tmp_path / 'focuser')
    successor = Victim(victim.simulator, link, directory).daemon
    assert successor.call('set_focus', 1, 500) == SUCCEEDED
    assert successor.stop() == 0

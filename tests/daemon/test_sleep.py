# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine that sleeps: the monotonic clock stands still, and the focuser is moved meanwhile."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.daemon import wire
from tests.daemon.test_pyro_object import IDLE, INITIALIZING, SUCCEEDED
from tests.daemon.wire import Site
from tests.simulator.harness import eventually

prepare = wire.prepare

# The monotonic clock of the daemon is behind by the seconds in a file
SLEEP = '''
import time

monotonic = time.monotonic

def behind(*_):   # pyserial makes a method of it
    with open({asleep!r}) as file:
        return monotonic() - float(file.read())

time.monotonic = behind
'''


class Sleeper:
    """A daemon on a machine that can sleep."""

    def __init__(self, prepare: Callable[..., Site], path: Path, **settings: float) -> None:
        self._path = path
        self._path.write_text('0')
        self.site = prepare('--speed', '20000', shim=SLEEP.format(asleep=str(path)), **settings).connect()

    def stop(self, during: Callable[[], object]) -> None:
        """Stop the process until `during` returns."""
        self.site.daemon.process.send_signal(signal.SIGSTOP)
        during()
        self.site.daemon.process.send_signal(signal.SIGCONT)

    def sleep(self, during: Callable[[], object]) -> None:
        """Stop the process and its monotonic clock until `during` returns."""
        began = time.monotonic()
        self.site.daemon.process.send_signal(signal.SIGSTOP)
        during()
        made = self._path.with_suffix('.made')
        made.write_text(str(float(self._path.read_text()) + time.monotonic() - began))
        made.replace(self._path)
        self.site.daemon.process.send_signal(signal.SIGCONT)


def test_an_old_position_is_never_idle_after_a_sleep(prepare: Callable[..., Site], tmp_path: Path) -> None:
    sleeper = Sleeper(prepare, tmp_path / 'asleep', idle_loop_delay=20)
    site = sleeper.site
    assert site.daemon.call('set_focus', 1, 100) == SUCCEEDED

    def by_hand() -> None:
        site.hub('hand 1 +2000')
        eventually(lambda: site.truth(1) == 2100 and site.at_rest(1))
    sleeper.sleep(by_hand)
    seen: list[tuple[int, int | None]] = []
    with site.daemon.proxy() as proxy:
        while not seen or seen[-1] != (IDLE, 2100):
            status = proxy.report_status()
            seen.append((status['status_1'], status['current_steps_1']))
            assert len(seen) < 20000
    assert (IDLE, 100) not in seen
    assert INITIALIZING in [state for state, _ in seen]


def test_the_age_of_a_state_counts_the_sleep(prepare: Callable[..., Site], tmp_path: Path) -> None:
    sleeper = Sleeper(prepare, tmp_path / 'asleep', idle_loop_delay=20)
    site = sleeper.site
    site.wire.lose('F.*', times=1e9)
    before = site.daemon.status()['date']
    sleeper.sleep(lambda: time.sleep(2))
    assert site.daemon.status()['date'] == before, 'nothing was heard since'


@pytest.mark.parametrize('pause', ['sleep', 'stop'])
def test_a_move_that_arrived_during_a_long_pause_succeeds(prepare: Callable[..., Site], tmp_path: Path,
                                                          pause: str) -> None:
    sleeper = Sleeper(prepare, tmp_path / 'asleep', move_timeout=2)
    site = sleeper.site
    move = site.begin_move(1, 20000)
    began = time.monotonic()

    def too_long() -> bool:
        return site.at_rest(1) and time.monotonic() - began > 3
    getattr(sleeper, pause)(lambda: eventually(too_long))
    assert move.wait() == SUCCEEDED
    assert site.is_at(1, 20000)

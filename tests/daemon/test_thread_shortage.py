# SPDX-License-Identifier: GPL-3.0-or-later
"""A system that allows no more threads."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.daemon.harness import Daemon
from tests.simulator.harness import eventually
from warwick.observatory.focuslynx.constants import FocuserStatus
from warwick.observatory.focuslynx.core import Connect, Disconnect, Limits, Outcome
from warwick.observatory.focuslynx.daemon.hub_thread import HubThread
from warwick.observatory.focuslynx.daemon.serial_port import open_port

LIMITS = Limits(
    soft_step_limits=(-5000, 5000), idle_loop_delay_s=0.5, moving_loop_delay_s=0.2, serial_timeout_s=1,
    move_timeout_s=60, home_reset_timeout_s=5, home_timeout_s=60, temperature_probe_required=True,
    allow_hub_compensation=False)
PORT = 'lynxsim://?channels=1,2&max_pos=112000&nickname.1=Shortage'


def refuse(_: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


@pytest.fixture
def hub() -> Iterator[HubThread]:
    hub = HubThread(LIMITS, PORT, partial(open_port, PORT, 115200), lambda level, message: None, lambda: None)
    hub.start()
    yield hub
    hub.close(3)


def test_connecting_and_disconnecting_need_no_new_thread(hub: HubThread, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.submit(Connect()).result(20)   # the simulated hub starts its own thread
    monkeypatch.setattr(threading.Thread, 'start', refuse)
    for _ in range(3):
        assert hub.submit(Disconnect()).result(20) is Outcome.DONE
        assert hub.submit(Connect()).result(20) is Outcome.DONE
    eventually(lambda: hub.snapshot().channels[1].status == FocuserStatus.Idle)


def test_a_port_that_needs_a_thread_is_opened_when_there_is_one(hub: HubThread,
                                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as shortage:
        shortage.setattr('warwick.observatory.focuslynx.simulator.protocol_lynxsim.Serial.open', refuse)
        assert hub.submit(Connect()).result(20) is Outcome.FAILED
        assert hub.snapshot().channels[1].error == f"cannot open {PORT}: can't start new thread"
    eventually(lambda: hub.snapshot().channels[1].status == FocuserStatus.Idle)


NO_THREAD = """
import threading

start = threading.Thread.start

def refuse(thread):
    if thread.name == {name!r}:
        raise RuntimeError("can't start new thread")
    start(thread)

threading.Thread.start = refuse
"""


@pytest.mark.parametrize('name', ['standard output', 'observatory log', 'port', 'hub', 'server'])
def test_a_start_without_threads_is_one_line_and_exit_1(name: str, tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, wait=False, shim=NO_THREAD.format(name=name))
    assert daemon.process.wait(20) == 1
    assert daemon.log.splitlines()[-1] == "focusd: the system allows no more threads: can't start new thread"
    assert 'Traceback' not in daemon.log

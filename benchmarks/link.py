# SPDX-License-Identifier: GPL-3.0-or-later
"""The floor of the serial connection: exchanges without a daemon, and the time that the motor itself needs."""

from __future__ import annotations

import os
import select
import time
import tty
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.plant import ZERO, Simulator
from benchmarks.table import median
from benchmarks.waiting import BenchmarkError
from warwick.observatory.focuslynx.simulator.motion import Leg

MOTOR_TOLERANCE_S = 0.0005


@dataclass(frozen=True)
class Exchanges:
    """Seconds that an exchange takes for a program that does nothing else."""

    status_s: float
    move_s: float


def exchanges(simulator: Simulator, n: int) -> Exchanges:
    """The median exchange of each kind, measured on the terminal itself. No other program may have it open."""
    fd = os.open(simulator.port, os.O_RDWR | os.O_NOCTTY)
    try:
        tty.setraw(fd)
        status = [_exchange(fd, b'<F1GETSTATUS>', b'END\n') for _ in range(n)]
        # To where it is: the reply is that of any move
        move = [_exchange(fd, b'<F1MA%06d>' % ZERO, b'M\n') for _ in range(n)]
    finally:
        os.close(fd)
    return Exchanges(median(status), median(move))


def _exchange(fd: int, request: bytes, ending: bytes) -> float:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    begin = time.perf_counter()
    os.write(fd, request)
    reply = b''
    while not reply.endswith(ending):
        if not poll.poll(5000):
            raise BenchmarkError(f'the simulator does not answer {request!r}, only {reply!r}')
        reply += os.read(fd, 4096)
    return time.perf_counter() - begin


def motor_s(simulator: Simulator, steps: int) -> float:
    """Seconds that the motor of channel 1 is busy with a move: by the model of the hub, checked on the hub itself.

    The hub is made to move with its clock stopped: a moment before that time it has to be in motion, and a moment
    after it at rest. The focuser is in the middle before and afterwards. Raises BenchmarkError.
    """
    hub = simulator.control
    speed, ramp, latency = (float(hub.get(f'1.{name}')) for name in ('speed', 'ramp', 'start_latency'))
    seconds = Leg(0, steps, 0.0, speed, ramp).end + latency
    hub('freeze')
    hub(f'request <F1MA{ZERO + steps:06d}>')
    hub(f'step {seconds - MOTOR_TOLERANCE_S:.6f}')
    before: bool = hub.get('1.moving')
    hub(f'step {2 * MOTOR_TOLERANCE_S:.6f}')
    after: bool = hub.get('1.moving')
    hub(f'position.1 {ZERO}')
    hub('thaw')
    if (before, after) != (True, False):
        raise BenchmarkError(f'the simulator does not take {seconds:g} s for {steps} steps, as its model says')
    return seconds


def timed(function: Callable[[], object]) -> float:
    """Seconds that a call takes."""
    begin = time.perf_counter()
    function()
    return time.perf_counter() - begin

# SPDX-License-Identifier: GPL-3.0-or-later
"""The wish to end the process is heard whenever it comes."""

from __future__ import annotations

import subprocess
import sys
import threading

from tests.daemon.harness import TOP
from warwick.observatory.focuslynx.daemon.service import Stop

# A signal for each wait, at a moment of which nobody knows whether it is before, at or after the beginning of the
# wait. Several thousand of them hit each gap that there is between looking and sleeping.
ROUNDS = '''
import os
import signal
import sys
import threading
from warwick.observatory.focuslynx.daemon.service import Stop

turn = threading.Semaphore(0)

def send():
    while True:
        turn.acquire()
        os.kill(os.getpid(), signal.SIGTERM)

threading.Thread(target=send, daemon=True).start()
for n in range(4000):
    stop = Stop()
    stop.on_signals()
    turn.release()
    for _ in range(n % 50):
        pass
    if not stop.wait(20):
        sys.exit(f'the signal of round {n} was not heard')
    for descriptor in (stop._read_end, stop._write_end):
        os.close(descriptor)
print('all heard')
'''


def test_a_signal_is_heard_whenever_it_comes() -> None:
    result = subprocess.run([sys.executable, '-c', ROUNDS], cwd=TOP, capture_output=True, text=True, timeout=120,
                            env={'PYTHONPATH': f'{TOP}:{TOP / "common"}'})
    assert (result.returncode, result.stdout, result.stderr) == (0, 'all heard\n', '')


def test_a_thread_is_heard_too_and_not_before_it_speaks() -> None:
    stop = Stop()
    assert not stop.wait(0)
    threading.Thread(target=stop.set).start()
    assert stop.wait(20) and stop.wait()


def test_a_wish_can_be_uttered_without_end() -> None:
    stop = Stop()
    for _ in range(70_000):
        stop.set()
    assert stop.wait(0)

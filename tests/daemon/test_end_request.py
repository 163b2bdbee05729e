# SPDX-License-Identifier: GPL-3.0-or-later
"""The request to end the process is noticed whenever it comes."""

from __future__ import annotations

import subprocess
import sys
import threading

from tests.daemon.harness import TOP
from warwick.observatory.focuslynx.daemon.main import EndRequest

# A signal for each wait, at a moment that may be before, at or after the beginning of the wait. Several thousand of
# them hit each gap that there is between a check and a sleep.
ROUNDS = '''
import os
import signal
import sys
import threading
from warwick.observatory.focuslynx.daemon.main import EndRequest

turn = threading.Semaphore(0)
make_pipe = os.pipe
ends = ()

def pipe():
    global ends
    ends = make_pipe()
    return ends

def send():
    while True:
        turn.acquire()
        os.kill(os.getpid(), signal.SIGTERM)

os.pipe = pipe
threading.Thread(target=send, daemon=True).start()
for n in range(4000):
    end = EndRequest()
    end.on_signals()
    turn.release()
    for _ in range(n % 50):
        pass
    if not end.wait(20):
        sys.exit(f'the signal of round {n} was not noticed')
    for descriptor in ends:
        os.close(descriptor)
print('all noticed')
'''


def test_a_signal_is_heard_whenever_it_comes() -> None:
    result = subprocess.run([sys.executable, '-c', ROUNDS], cwd=TOP, capture_output=True, text=True, timeout=120,
                            env={'PYTHONPATH': f'{TOP}:{TOP / "common"}'})
    assert (result.returncode, result.stdout, result.stderr) == (0, 'all noticed\n', '')


def test_a_request_of_a_thread_is_noticed_when_it_is_made() -> None:
    end = EndRequest()
    assert not end.wait(0)
    threading.Thread(target=end.set).start()
    assert end.wait(20) and end.wait()


def test_a_request_can_be_repeated_without_end() -> None:
    end = EndRequest()
    for _ in range(70_000):
        end.set()
    assert end.wait(0)

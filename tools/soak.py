# SPDX-License-Identifier: GPL-3.0-or-later
"""A real focusd at full rate on a bad cable: does anything grow, and does it ever lie? `python3 tools/soak.py SECONDS`.

The daemon and the simulated hub are processes of their own, with a pseudo-terminal between them. Clients move, stop,
zero, connect, disconnect and ask for the status without a pause; a seed decides what goes wrong meanwhile. After the
first minute (the first third of a shorter run), and at the end, all clients leave, all faults are taken back, and
threads, descriptors and memory of the daemon are counted at rest: threads and descriptors have to be the same,
memory may differ by MEMORY_TOLERANCE_KIB.

Exit code 1 if anything grew, if a move or zero was said to have succeeded and the focuser is not there, if the daemon
said a number for an outcome that does not exist or did not answer, and if it is not well when the faults are over.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import Pyro4

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from warwick.observatory.focuslynx import CommandStatus, FocuserStatus  # noqa: E402
from warwick.observatory.focuslynx.simulator.client import ControlClient  # noqa: E402

WARM_UP_S = 60.0
MEMORY_TOLERANCE_KIB = 1024
PATIENCE_S = 40.0
MAX_POS = 112000
ZERO_COUNTS = MAX_POS // 2
LIMIT_STEPS = 50000
RANGE_STEPS = 3000   # how far the clients move
WATCHERS = 4

# Faults of a cable and a hub, after which the daemon has to come back by itself. {n} is a channel.
FAULTS = ('mute 0.3', 'mute 3', 'mute-next 1', 'mute-next 4', 'lose-requests 1', 'lose-requests 3', 'cut 1', 'cut 3',
          'garbage 1', 'garbage 3', 'double 1', 'double 3', 'deaf 0.5', 'drip 0.002', 'delay 0.05', 'delay 0.7',
          'unplug 0.2', 'unplug 2', 'power-cut 0.5', 'jam {n}', 'lose-steps {n} 40', 'probe {n} NP', 'probe {n} -3.4',
          'start_latency 0.2', 'start_latency 0', 'request <F{n}HALT>', 'request <F{n}SCBE1>', 'request <F{n}SCNNSoak>',
          'clear')
CURES = ('clear', 'start_latency 0', 'probe 15.5', 'backlash 0', 'tcomp 0')

SETTINGS: dict[str, Any] = {
    'daemon': 'soaked', 'log_name': 'soak', 'control_machines': ['LocalHost'], 'serial_baud': 115200,
    'serial_timeout': 0.5, 'idle_loop_delay': 0.05, 'moving_loop_delay': 0.05, 'move_timeout': 5,
    'home_reset_timeout': 3, 'soft_step_limits': [-LIMIT_STEPS, LIMIT_STEPS]}


@dataclass(frozen=True)
class Usage:
    """What a process has: threads, descriptors, resident memory."""

    threads: int
    descriptors: int
    resident_kib: int

    @classmethod
    def of(cls, pid: int) -> Usage:
        place = Path(f'/proc/{pid}')
        resident = re.search(r'^VmRSS:\s+(\d+) kB', (place / 'status').read_text(), re.MULTILINE)
        assert resident is not None
        return cls(len(os.listdir(place / 'task')), len(os.listdir(place / 'fd')), int(resident[1]))

    def __str__(self) -> str:
        return f'{self.threads} threads, {self.descriptors} descriptors, {self.resident_kib} KiB'


class Daemon:
    """focusd as a process, on the hub behind `link`."""

    def __init__(self, directory: Path, link: str) -> None:
        with socket.socket() as probe:
            probe.bind(('127.0.0.1', 0))
            self._port: int = probe.getsockname()[1]
        config = directory / 'focusd.json'
        config.write_text(json.dumps({**SETTINGS, 'serial_port': link}))
        site = directory / 'site.json'
        site.write_text(json.dumps({'daemons': {'soaked': {
            'name': 'soaked_daemon', 'machine': 'LocalHost', 'port': self._port, 'timeout': 5}}}))
        self.log_path = directory / 'focusd.log'
        with open(self.log_path, 'w') as log:
            self.process = subprocess.Popen(
                [sys.executable, str(ROOT / 'focusd'), str(config)], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, 'OBSERVATORY_SITE': str(site), 'PYTHONPATH': str(ROOT / 'common')})

    def proxy(self) -> Any:
        proxy = Pyro4.Proxy(f'PYRO:soaked_daemon@127.0.0.1:{self._port}')
        proxy._pyroTimeout = 30
        return proxy

    def usage(self) -> Usage:
        return Usage.of(self.process.pid)


def eventually(condition: Callable[[], bool]) -> bool:
    """Whether the condition becomes true within PATIENCE_S."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


class Soak:
    """The clients, the faults, and what came of it all."""

    def __init__(self, daemon: Daemon, control_path: str, seed: int) -> None:
        self._daemon = daemon
        self._control_path = control_path
        self._control = ControlClient(control_path)
        self._chance = random.Random(seed)
        self._seed = seed
        self._phase = 0
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self.wrongs: list[str] = []
        self.calls: collections.Counter[str] = collections.Counter()
        self.outcomes: collections.Counter[str] = collections.Counter()
        self.faults: collections.Counter[str] = collections.Counter()
        self.checked = 0
        self.peak = Usage(0, 0, 0)

    def run(self, seconds: float) -> None:
        """Let all clients loose on the daemon for so long; they are gone on return."""
        self._phase += 1
        self._stopping.clear()
        jobs: list[Callable[[random.Random], None]] = [
            lambda chance: self._move(1, chance), lambda chance: self._move(2, chance), self._meddle]
        jobs += [self._watch] * WATCHERS
        threads = [threading.Thread(target=self._work, args=(job, f'{self._seed}.{self._phase}.{number}'))
                   for number, job in enumerate(jobs)]
        for thread in threads:
            thread.start()
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self.wrongs and self._daemon.process.poll() is None:
            self._spoil()
            usage = self._daemon.usage()
            self.peak = Usage(*(max(a, b) for a, b in zip(
                (self.peak.threads, self.peak.descriptors, self.peak.resident_kib),
                (usage.threads, usage.descriptors, usage.resident_kib))))
            self._stopping.wait(self._chance.uniform(0.1, 1.5))
        self._stopping.set()
        for thread in threads:
            thread.join(PATIENCE_S)
            if thread.is_alive():
                self._wrong('a client still waits for its call')

    def rest(self) -> Usage:
        """Take all faults back, see that the daemon is well, and count what it uses when no client calls."""
        for command in CURES:
            self._control(command)
        with self._daemon.proxy() as proxy:
            proxy.initialize()
            if not eventually(lambda: self._is_well(proxy.report_status())):
                self._wrong(f'not well {PATIENCE_S:g} s after the last fault: {proxy.report_status()}')
        # The server's threads outlive their connections for a moment: wait until nothing changes any more
        usage, unchanged = self._daemon.usage(), 0
        for _ in range(200):
            time.sleep(0.1)
            before, usage = usage, self._daemon.usage()
            same = (before.threads, before.descriptors) == (usage.threads, usage.descriptors)
            unchanged = unchanged + 1 if same else 0
            if unchanged == 30:
                break
        return usage

    def _is_well(self, status: dict[str, Any]) -> bool:
        return all(status[f'status_{n}'] == FocuserStatus.Idle
                   and status[f'current_steps_{n}'] == self._control.get(f'{n}.position') - ZERO_COUNTS
                   for n in (1, 2))

    def _wrong(self, text: str) -> None:
        with self._lock:
            self.wrongs.append(text)
        self._stopping.set()

    def _spoil(self) -> None:
        fault = self._chance.choice(FAULTS)
        self._control(fault.format(n=self._chance.randint(1, 2)))
        self.faults[fault.split()[0]] += 1
        if fault.startswith(('drip', 'delay', 'jam', 'probe', 'request <F{n}SCBE')):
            # These last until they are ended
            self._stopping.wait(self._chance.uniform(0.2, 3))
            for command in CURES:
                self._control(command)

    # Clients, each on a thread and a connection of its own

    def _work(self, job: Callable[[random.Random], None], seed: str) -> None:
        chance = random.Random(seed)
        while not self._stopping.is_set():
            try:
                job(chance)
            except Exception as error:
                self._wrong(f'a call ended with {type(error).__name__}: {error}')

    def _call(self, proxy: Any, method: str, *arguments: Any) -> int:
        code = getattr(proxy, method)(*arguments)
        with self._lock:
            self.calls[method] += 1
            if type(code) is int and 0 <= code <= CommandStatus.NotDisconnected:
                self.outcomes[f'{code} {CommandStatus.message(code)}'] += 1
        if not (type(code) is int and 0 <= code <= CommandStatus.NotDisconnected):
            self._wrong(f'{method}{arguments} returned {code!r}')
        return int(code)

    def _move(self, channel: int, chance: random.Random) -> None:
        """The only one who moves this channel, and so knows where it has to be."""
        with self._daemon.proxy() as proxy, ControlClient(self._control_path) as truth:
            for _ in range(20):
                if self._stopping.is_set():
                    return
                steps = chance.randint(-RANGE_STEPS, RANGE_STEPS)
                if chance.random() < 0.1:
                    said, wanted = self._call(proxy, 'reset_home_position', channel), 0
                else:
                    said, wanted = self._call(proxy, 'set_focus', channel, steps), steps
                if said == CommandStatus.Succeeded:
                    there = json.loads(truth(f'get {channel}'))
                    if there['moving'] or there['position'] != wanted + ZERO_COUNTS:
                        self._wrong(f'channel {channel} was said to be at {wanted:+d} steps, and is at '
                                    f'{there["position"] - ZERO_COUNTS:+d}, moving: {there["moving"]}')
                    with self._lock:
                        self.checked += 1
                elif said != CommandStatus.Failed:
                    self._stopping.wait(0.05)   # not now: another connects, or the hub is away

    def _meddle(self, chance: random.Random) -> None:
        """Stops, connects and disconnects at any moment."""
        with self._daemon.proxy() as proxy:
            for _ in range(20):
                self._stopping.wait(chance.expovariate(2))
                choice = chance.random()
                if choice < 0.6:
                    self._call(proxy, 'stop_channel', chance.randint(1, 2))
                elif choice < 0.9:
                    self._call(proxy, 'initialize')
                else:
                    self._call(proxy, 'shutdown')
                    self._call(proxy, 'initialize')

    def _watch(self, chance: random.Random) -> None:
        """Asks for the status on many short connections, as `focus status` does."""
        with self._daemon.proxy() as proxy:
            for _ in range(chance.randint(1, 50)):
                status = proxy.report_status()
                with self._lock:
                    self.calls['report_status'] += 1
                for n in (1, 2):
                    if (status[f'current_steps_{n}'] is None) != (status[f'status_{n}'] < FocuserStatus.Idle):
                        self._wrong(f'a status contradicts itself: {status}')
                self._stopping.wait(0.005)


def start_hub(directory: Path, seed: int) -> tuple[subprocess.Popen[str], str, str]:
    """The simulator as a process; returns it with its port and its control socket."""
    link, control = str(directory / 'hub'), str(directory / 'hub.ctl')
    hub = subprocess.Popen(
        [sys.executable, '-m', 'warwick.observatory.focuslynx.simulator', '--link', link, '--control', control,
         '--channels', '1,2', '--max-pos', str(MAX_POS), '--speed', '20000', '--seed', str(seed), '--pace', '1'],
        cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    assert hub.stdout is not None
    if not hub.stdout.readline().startswith('hub simulator ready'):
        raise SystemExit('error: the simulator does not start')
    return hub, link, control


def compare(first: Usage, last: Usage) -> list[str]:
    """What has grown."""
    grown = []
    if last.threads != first.threads:
        grown.append(f'{first.threads} threads became {last.threads}')
    if last.descriptors != first.descriptors:
        grown.append(f'{first.descriptors} descriptors became {last.descriptors}')
    if last.resident_kib - first.resident_kib > MEMORY_TOLERANCE_KIB:
        grown.append(f'memory grew by {last.resident_kib - first.resident_kib} KiB, '
                     f'more than {MEMORY_TOLERANCE_KIB} KiB')
    return grown


def soak(seconds: float, seed: int, directory: Path) -> list[str]:
    """Run; print the report; return what went wrong."""
    hub, link, control = start_hub(directory, seed)
    daemon = Daemon(directory, link)
    try:
        ready = eventually(lambda: 'serves at' in daemon.log_path.read_text() or daemon.process.poll() is not None)
        if not ready or daemon.process.poll() is not None:
            return [f'focusd does not start: {daemon.log_path.read_text()}']
        run = Soak(daemon, control, seed)
        warm_up_s = min(WARM_UP_S, seconds / 3)
        run.run(warm_up_s)
        first = last = run.rest()
        if not run.wrongs:
            run.run(seconds - warm_up_s)
            last = run.rest()
        wrongs = list(run.wrongs)
        if not wrongs:
            wrongs += compare(first, last)
        daemon.process.send_signal(signal.SIGTERM)
        if daemon.process.wait(PATIENCE_S) != 0:
            wrongs.append(f'focusd ended with exit code {daemon.process.returncode}')
        log = daemon.log_path.read_text()
        if 'Traceback' in log:
            wrongs.append('there is a traceback in the log:\n' + log[log.index('Traceback'):][:3000])
        print(f'calls     {sum(run.calls.values())}: '
              + ', '.join(f'{count} {name}' for name, count in run.calls.most_common()))
        print('outcomes  ' + ', '.join(f'{count} {name}' for name, count in run.outcomes.most_common()))
        print(f'checked   {run.checked} moves and zeros that succeeded, against the truth of the hub')
        print(f'faults    {sum(run.faults.values())}: '
              + ', '.join(f'{count} {name}' for name, count in run.faults.most_common()))
        print(f'log       {log.count(chr(10))} lines')
        print(f'after {warm_up_s:3.0f} s  {first}')
        print(f'at the end   {last}')
        print(f'at most      {run.peak}')
        return wrongs
    finally:
        for process in (daemon.process, hub):
            if process.poll() is None:
                process.kill()
            process.wait()


def main() -> int:
    parser = argparse.ArgumentParser(description='A real focusd at full rate on a bad cable.')
    parser.add_argument('seconds', type=float, nargs='?', default=600.0, help='how long; at least 6 (default: 600)')
    parser.add_argument('--seed', type=int, help='decides what goes wrong; a random one unless given')
    options = parser.parse_args()
    if not 6 <= options.seconds <= 1e6:
        parser.error(f'seconds must be a number from 6 to 1000000, not {options.seconds:g}')
    seed = random.randrange(1, 1_000_000) if options.seed is None else options.seed
    if not 1 <= seed < 1_000_000_000:
        parser.error(f'--seed must be a number from 1 to 999999999, not {seed}')
    print(f'soaking for {options.seconds:g} s with seed {seed}', flush=True)
    with tempfile.TemporaryDirectory(prefix='soak-') as directory:
        wrongs = soak(options.seconds, seed, Path(directory))
    for wrong in wrongs:
        print(f'WRONG: {wrong}')
    print('soak: FAILED' if wrongs else 'soak: nothing grew, and every success was true')
    return 1 if wrongs else 0


if __name__ == '__main__':
    sys.exit(main())

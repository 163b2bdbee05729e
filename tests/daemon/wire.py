# SPDX-License-Identifier: GPL-3.0-or-later
"""A serial cable under observation: a real pseudo-terminal for the daemon, and a hub with real line pacing behind it.

Everything that the daemon sends is recorded, and single replies or requests can be spoilt where it hurts.
"""

from __future__ import annotations

import fcntl
import os
import re
import select
import socket
import threading
import time
import tty
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.daemon.harness import Call, Daemon
from tests.simulator.harness import Simulator, eventually

HUB = ('--channels', '1,2', '--max-pos', '112000', '--speed', '10000', '--pace', '1')
"""Whether there is time for the tests that take minutes."""

ZERO = 56000
"""The count of step 0."""

SETTINGS: dict[str, Any] = {
    'serial_timeout': 0.4, 'idle_loop_delay': 0.5, 'moving_loop_delay': 0.1, 'move_timeout': 30}

Pieces = list[tuple[float, bytes]]
"""Bytes for the daemon, each with the seconds to wait before it; what follows has to wait as well."""

Spoil = Callable[[bytes], Pieces]


@dataclass
class _Rule:
    """What happens to the next `times` requests that match, once one that matches `after` has gone out."""

    pattern: str
    times: float
    after: str
    reply: Spoil | None = None
    request: Callable[[bytes], bytes | None] | None = None   # None for one that never reaches the hub
    answer: bytes = b''                                         # what is answered in the place of the hub


class Wire:
    """The cable between the daemon, which opens `path`, and the hub. `requests` is all that the daemon has sent."""

    def __init__(self, directory: Path, simulator: Simulator) -> None:
        self.path = str(directory / 'focuser')
        self.requests: list[tuple[float, str]] = []
        self._rules: list[_Rule] = []
        self._lock = threading.Lock()
        self._hub = socket.create_connection(simulator.tcp_address)
        self._hub.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._wake_read, self._wake_write = os.pipe()
        self._master = self._slave = -1
        self._mute = False
        self._ending = False
        self._unfinished = b''                                  # of a request
        self._asked: list[tuple[float, str, Spoil | None]] = []   # requests that the hub has not answered yet
        self._reply = b''                                       # to the first of them, as far as it has come
        self._due: list[tuple[float, bytes]] = []               # on the way to the daemon
        self.plug()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._ending = True
        self._wake()
        self._thread.join()
        self.unplug()
        self._hub.close()
        os.close(self._wake_read)
        os.close(self._wake_write)

    # What went over it

    def sent(self, pattern: str, since: int = 0) -> list[str]:
        """The requests that match, such as `F1MA.*`, from number `since` on."""
        return [text for _, text in self.requests[since:] if re.fullmatch(pattern, text)]

    def is_open(self) -> bool:
        """Whether a process holds the lock that pyserial takes on a port that it opens exclusively."""
        probe = os.open(self.path, os.O_RDWR | os.O_NOCTTY)
        try:
            fcntl.flock(probe, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(probe)
        return False

    def forget(self) -> None:
        """Begin a new record."""
        self.requests = []

    # What can go wrong with it

    def spoil(self, pattern: str, how: Spoil, times: float = 1, after: str = '') -> None:
        """The replies to the next so many requests that match arrive as `how` makes them."""
        self._add(_Rule(pattern, times, after, reply=how))

    def lose(self, pattern: str, times: float = 1, after: str = '') -> None:
        """The next so many requests that match do not reach the hub."""
        self._add(_Rule(pattern, times, after, request=lambda _: None))

    def alter(self, pattern: str, how: Callable[[bytes], bytes]) -> None:
        """The next request that matches reaches the hub as another one."""
        self._add(_Rule(pattern, 1, '', request=how))

    def answer(self, pattern: str, answer: bytes, times: float = 1) -> None:
        """The next so many requests that match are not carried out, but answered like this."""
        self._add(_Rule(pattern, times, '', request=lambda _: None, answer=answer))

    def heal(self) -> None:
        """Nothing is spoilt any more."""
        with self._lock:
            self._rules = []
            self._mute = False

    def mute(self, after: str = '') -> None:
        """Nothing comes from the hub any more, from now or from the first request that matches `after`."""
        with self._lock:
            self._mute = not after
            if after:
                self._rules.append(_Rule(after, 1, '', reply=self._fall_silent))

    def unplug(self) -> None:
        """The device is gone: a process that has it open gets a hang-up."""
        with self._lock:
            if self._master >= 0:
                os.unlink(self.path)
                os.close(self._master)
                os.close(self._slave)
                self._master = self._slave = -1
            self._due.clear()
        self._wake()

    def plug(self) -> None:
        """The device is there, perhaps again."""
        with self._lock:
            self._master, self._slave = os.openpty()
            tty.setraw(self._slave)
            os.symlink(os.ttyname(self._slave), self.path)
            self._unfinished = b''
        self._wake()

    # Below runs on the thread of the wire

    def _add(self, rule: _Rule) -> None:
        with self._lock:
            self._rules.append(rule)

    def _wake(self) -> None:
        os.write(self._wake_write, b'.')

    def _fall_silent(self, _: bytes) -> Pieces:
        self._mute = True
        return []

    def _run(self) -> None:
        while not self._ending:
            with self._lock:
                master = self._master
                wait_s = max(0.0, self._due[0][0] - time.monotonic()) if self._due else None
            sources = [self._wake_read, self._hub.fileno()] + ([master] if master >= 0 else [])
            ready, _, _ = select.select(sources, [], [], wait_s)
            with self._lock:
                if self._wake_read in ready:
                    os.read(self._wake_read, 4096)
                if master in ready and master == self._master:
                    self._from_daemon(os.read(master, 4096))
                if self._hub.fileno() in ready:
                    data = self._hub.recv(4096)
                    if not data:
                        return
                    self._from_hub(data)
                while self._due and self._due[0][0] <= time.monotonic():
                    piece = self._due.pop(0)[1]
                    if self._master >= 0 and not self._mute:
                        os.write(self._master, piece)

    def _from_daemon(self, data: bytes) -> None:
        *whole, self._unfinished = (self._unfinished + data).split(b'>')
        for request in whole:
            text = request.lstrip(b'<').decode('ascii')
            now = time.monotonic()
            rule = self._rule(text)
            self.requests.append((now, text))
            for each in self._rules:
                if each.after and re.fullmatch(each.after, text):
                    each.after = ''
            wanted = request + b'>'
            if rule is not None and rule.request is not None:
                passed = rule.request(wanted)
                if rule.answer:
                    self._pass_on([(0.0, rule.answer)])
                if passed is None:
                    continue
                wanted = passed
            if self._asked and now - self._asked[0][0] > 1.0:   # the hub had no power when the request came
                self._asked.clear()
                self._reply = b''
            self._asked.append((now, text, None if rule is None else rule.reply))
            self._hub.sendall(wanted)

    def _rule(self, text: str) -> _Rule | None:
        for rule in self._rules:
            if rule.times >= 1 and not rule.after and re.fullmatch(rule.pattern, text):
                rule.times -= 1
                return rule
        return None

    def _from_hub(self, data: bytes) -> None:
        for byte in data:
            self._reply += bytes([byte])
            spoil = self._asked[0][2] if self._asked else None
            if spoil is None:
                self._pass_on([(0.0, bytes([byte]))])
            if self._asked and _is_complete(self._asked[0][1], self._reply):
                if spoil is not None:
                    self._pass_on(spoil(self._reply))
                self._asked.pop(0)
                self._reply = b''

    def _pass_on(self, pieces: Pieces) -> None:
        at = max(time.monotonic(), self._due[-1][0] if self._due else 0.0)
        for gap_s, data in pieces:
            at += gap_s
            if self._due and not gap_s:
                self._due[-1] = (self._due[-1][0], self._due[-1][1] + data)
            else:
                self._due.append((at, data))


def _is_complete(request: str, reply: bytes) -> bool:
    lines = reply.split(b'\n')[:-1]
    if not lines or not reply.endswith(b'\n'):
        return False
    if lines[0] != b'!' or (len(lines) == 2 and lines[1].startswith(b'ER=')):
        return True
    return lines[-1] == b'END' if 'GET' in request[2:] else len(lines) == 2


class Site:
    """A daemon on a wire to a hub, and what has to be true of it in the end."""

    def __init__(self, directory: Path, *options: str, **settings: Any) -> None:
        """`options` are those of the simulator, `settings` those of the daemon."""
        directory.mkdir(exist_ok=True)
        self._simulator = Simulator(directory, '--tcp', '127.0.0.1:0', *HUB, *options)
        self.hub = self._simulator.control
        self.wire = Wire(directory, self._simulator)
        self.daemon = Daemon(directory, serial_port=self.wire.path, **{**SETTINGS, **settings})
        self.proven = False   # the last check was whether it is well, and it was

    def close(self) -> None:
        self.daemon.kill()
        self.wire.close()
        self._simulator.stop()

    def connect(self) -> Site:
        assert self.daemon.call('initialize') == 0
        eventually(lambda: self.daemon.state(1) == self.daemon.state(2) == 4)
        return self

    def begin_move(self, channel: int, steps: int) -> Call:
        """A move under way: the motor runs in truth."""
        call = self.daemon.begin('set_focus', channel, steps)
        eventually(lambda: self.hub.get(f'{channel}.moving') or call.done)
        assert not call.done, call.result
        return call

    def truth(self, channel: int) -> int:
        """Where the focuser is, in steps."""
        counts: int = self.hub.get(f'{channel}.position')
        return counts - ZERO

    def at_rest(self, channel: int) -> bool:
        return not self.hub.get(f'{channel}.moving')

    def is_at(self, channel: int, steps: int) -> bool:
        """At rest there, in truth and by the very next report."""
        return (self.truth(channel), self.at_rest(channel), self.daemon.steps(channel)) == (steps, True, steps)

    def is_well(self, *channels: int) -> None:
        """The channels are Idle by themselves, show the truth, and carry out a move that is sent once."""
        for channel in channels:
            eventually(lambda channel=channel: self.daemon.state(channel) == 4)   # type: ignore[misc]
            assert self.at_rest(channel)
            here = self.truth(channel)
            eventually(lambda channel=channel, here=here:   # type: ignore[misc]
                       self.daemon.steps(channel) == here)
            begin = len(self.wire.requests)
            there = here + (300 if here < 0 else -300)
            assert self.daemon.call('set_focus', channel, there) == 0
            assert self.is_at(channel, there)
            assert self.wire.sent(f'F{channel}MA.*', begin) == [f'F{channel}MA{ZERO + there:06d}']
        self.proven = True


@pytest.fixture(scope='session')
def bench() -> Iterator[list[Site]]:
    """The site that the last test has left in proven good order, if it has."""
    kept: list[Site] = []
    yield kept
    for site in kept:
        site.close()


@pytest.fixture
def site(bench: list[Site], tmp_path: Path) -> Iterator[Site]:
    """A connected daemon with both focusers at 0, and nothing on record: that of the last test, or a new one."""
    site = bench.pop() if bench else Site(tmp_path / 'site').connect()
    for channel in (1, 2):
        assert site.daemon.call('set_focus', channel, 0) == 0
    site.proven = False
    site.wire.forget()
    yield site
    site.wire.heal()
    if site.proven:
        bench.append(site)
    else:
        site.close()


@pytest.fixture
def prepare(tmp_path: Path) -> Iterator[Callable[..., Site]]:
    """Start a daemon with these options and settings, not connected; it is gone after the test."""
    sites: list[Site] = []

    def run(*options: str, **settings: Any) -> Site:
        sites.append(Site(tmp_path / f'{len(sites)}', *options, **settings))
        return sites[-1]

    yield run
    for site in sites:
        site.close()

# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of the simulator share: the transcripts, and the simulator as a process."""
from __future__ import annotations

import ast
import os
import select
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, TypeVar

import serial

from warwick.observatory.focuslynx.simulator import ControlClient, Hub
from warwick.observatory.focuslynx.simulator.personalities import PERSONALITIES

MODULE = 'warwick.observatory.focuslynx.simulator'
ROOT = Path(__file__).parents[2]
DEADLINE_S = 20.0

# R0 is the hub as it is without options: channel 1 type FA with a probe at 32767, channel 2 empty.
# R1 has a focuser with a home switch on channel 1: type OE, Max Pos 125440, homed, at 62720.
# The others have the name of their personality.
STATES = {'R0': {}, 'R1': {'type.1': 'OE'}, **{name: {'personality': name} for name in PERSONALITIES}}

T = TypeVar('T')


@dataclass
class Step:
    """Control commands first, then bytes from the host, and all that the hub answers."""

    control: list[str] = field(default_factory=list)
    sent: bytes = b''
    expected: bytes = b''


@dataclass
class Transcript:
    id: str
    title: str
    state: str = ''
    steps: list[Step] = field(default_factory=list)


def _read_transcripts() -> dict[str, Transcript]:
    found: dict[str, Transcript] = {}
    current = Transcript('', '')
    pending: list[str] = []
    for line in Path(__file__).with_name('transcripts.txt').read_text('ascii').splitlines():
        kind, _, rest = line.partition(' ')
        if kind == 'state:':
            current.state = rest
        elif kind == 'X:':
            pending.append(rest)
        elif kind == 'C:':
            current.steps.append(Step(pending, ast.literal_eval(rest)))
            pending = []
        elif kind == 'H:':
            current.steps[-1].expected += ast.literal_eval(rest)
        elif kind.startswith('T'):
            current = found[kind] = Transcript(kind, rest)
    return found


TRANSCRIPTS = _read_transcripts()


def course(transcript: Transcript) -> tuple[str, list[Step]]:
    """The state that it all begins with, and all steps from there on."""
    if transcript.state in STATES:
        return transcript.state, transcript.steps
    state, before = course(TRANSCRIPTS[transcript.state])
    return state, before + transcript.steps


def ask(hub: Hub, text: str, now: float = 0.0) -> str:
    """One request to the model: its reply as text, without the acknowledgement."""
    reply = hub.receive(text.encode('latin-1'), now).decode('latin-1')
    assert reply.startswith('!\n'), reply
    return reply[2:]


def report(hub: Hub, text: str, now: float = 0.0) -> dict[str, str]:
    """A report block of the model as keys and values."""
    lines = ask(hub, text, now).split('\n')
    assert lines[-2:] == ['END', '']
    return {key.rstrip(): value for key, _, value in (line.partition(' = ') for line in lines[1:-2])}


def eventually(condition: Callable[[], T], limit_s: float = DEADLINE_S, every_s: float = 0.005) -> T:
    """Wait until the condition is true, and return its value; the limit only ends a failure."""
    deadline = time.monotonic() + limit_s
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline, 'the condition did not become true'
        time.sleep(every_s)


class Simulator:
    """The simulator in a process of its own. `wait_ready` is part of the constructor."""

    def __init__(self, directory: Path, *arguments: str) -> None:
        self.link = str(directory / 'hub')
        self.control_path = str(directory / 'hub.ctl')
        if '--control' in arguments:
            self.control_path = arguments[arguments.index('--control') + 1]
        self.process = subprocess.Popen(
            [sys.executable, '-m', MODULE, '--control', self.control_path, *arguments], cwd=ROOT,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.ready_line = self.process.stdout.readline().rstrip('\n')
        if not self.ready_line:
            raise AssertionError(f'not ready: {self.process.communicate()}')
        self.control = ControlClient(self.control_path)

    @property
    def tcp_address(self) -> tuple[str, int]:
        host, _, port = self.ready_line.split()[-2].rpartition(':')
        return host, int(port)

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """End it; return the exit code and the text of standard error."""
        self.control.close()
        if self.process.poll() is None:
            self.process.send_signal(number)
        _, errors = self.process.communicate(timeout=DEADLINE_S)
        return self.process.returncode, errors


class Host:
    """Something that talks to a hub through a descriptor."""

    def __init__(self, descriptor: int, write: Callable[[bytes], object]) -> None:
        self._descriptor = descriptor
        self._write = write

    def write(self, data: bytes) -> None:
        self._write(data)

    def read_until(self, ending: bytes) -> bytes:
        """All bytes up to and with this ending."""
        got = b''
        while not got.endswith(ending):
            readable, _, _ = select.select([self._descriptor], [], [], DEADLINE_S)
            assert readable, f'only {got!r}'
            piece = os.read(self._descriptor, 1)
            assert piece, f'closed after {got!r}'
            got += piece
        return got

    def ask(self, request: bytes, ending: bytes) -> bytes:
        self.write(request)
        return self.read_until(ending)

    def position(self, channel: int = 1) -> int:
        reply = self.ask(b'<F%dGETSTATUS>' % channel, b'END\n').decode('ascii')
        return int(reply.split('Curr Pos = ')[1].split('\n')[0])


def open_serial(port: str) -> serial.SerialBase:
    return serial.serial_for_url(port, baudrate=115200, timeout=0, write_timeout=5, exclusive=True)


def serial_host(port: serial.SerialBase) -> Host:
    return Host(port.fileno(), port.write)


def tcp_host(connection: socket.socket) -> Host:
    return Host(connection.fileno(), connection.sendall)


def converse(host: Host, control: Callable[[str], object], transcript: Transcript) -> None:
    """Run a transcript from its first state on. The hub must be in that state, and its clock must be frozen."""
    _, steps = course(transcript)
    marker = b'\x00marker\n'
    for step in steps:
        for command in step.control:
            control(command)
        host.write(step.sent)
        got = host.read_until(step.expected[-1:]) if step.expected else b''
        while len(got) < len(step.expected):
            got += host.read_until(b'\n')
        # What comes before the marker is all there was.
        control(r'say \x00marker\n')
        got += host.read_until(marker)
        assert got == step.expected + marker, f'{transcript.id}: {transcript.title}'

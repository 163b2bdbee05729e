# SPDX-License-Identifier: GPL-3.0-or-later
"""All transcripts, byte for byte: on the model in simulated time, and through each transport."""
from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.simulator.conftest import OpenPort, StartSimulator
from tests.simulator.harness import STATES, TRANSCRIPTS, Transcript, converse, course, serial_host, tcp_host
from warwick.observatory.focuslynx.simulator import Control, ControlClient, Hub, Link, LinkFaults

ALL = pytest.mark.parametrize('transcript', TRANSCRIPTS.values(), ids=list(TRANSCRIPTS))
# Reports, a move on its way, homing, errors with and without acknowledgement, half a command, two at once.
A_HANDFUL = pytest.mark.parametrize(
    'transcript',
    [TRANSCRIPTS[name] for name in ('T03', 'T12', 'T29', 'T48', 'T50', 'T51', 'T53', 'T57', 'T58', 'T60')],
    ids=lambda transcript: transcript.id)


# Half a command, a channel that is not there, one that restarts.
SILENT = ('T57', 'T66', 'T69')


def _arguments(transcript: Transcript) -> list[str]:
    state, _ = course(transcript)
    return [f'--{name}={value}' for name, value in STATES[state].items()]


def test_there_are_all_transcripts_with_replies() -> None:
    assert list(TRANSCRIPTS) == [f'T{number:02d}' for number in range(1, 70)]
    assert all(step.expected for name, one in TRANSCRIPTS.items() if name not in SILENT for step in one.steps)


@ALL
def test_the_model_answers_byte_for_byte(transcript: Transcript) -> None:
    state, steps = course(transcript)
    hub = Hub(STATES[state])
    control = Control(hub, LinkFaults())
    hub.freeze(0.0)
    for step in steps:
        for command in step.control:
            control.run(command, 0.0)
        assert hub.receive(step.sent, 0.0) == step.expected


@ALL
def test_a_link_without_faults_changes_nothing(transcript: Transcript) -> None:
    state, steps = course(transcript)
    hub = Hub(STATES[state])
    link = Link(hub)
    control = Control(hub, link.faults)
    hub.freeze(0.0)
    for step in steps:
        for command in step.control:
            control.run(command, 0.0)
        link.write(step.sent, 0.0)
        assert link.read(0.0) == step.expected
        assert link.next_event() is None


@ALL
def test_a_pseudo_terminal_answers_byte_for_byte(
        transcript: Transcript, start_pty: StartSimulator, open_port: OpenPort) -> None:
    simulator = start_pty(*_arguments(transcript))
    simulator.control('freeze')
    converse(serial_host(open_port(simulator.link)), simulator.control, transcript)


@A_HANDFUL
def test_a_paced_pseudo_terminal_answers_byte_for_byte(
        transcript: Transcript, start_pty: StartSimulator, open_port: OpenPort) -> None:
    simulator = start_pty('--pace', '1', *_arguments(transcript))
    simulator.control('freeze')
    converse(serial_host(open_port(simulator.link)), simulator.control, transcript)


@A_HANDFUL
def test_a_tcp_socket_answers_byte_for_byte(transcript: Transcript, start: StartSimulator) -> None:
    simulator = start('--tcp', '127.0.0.1:0', *_arguments(transcript))
    simulator.control('freeze')
    with socket.create_connection(simulator.tcp_address) as connection:
        host = tcp_host(connection)
        # A connection is made before the hub knows of it: wait until it answers.
        host.ask(b'<F2HELLO>', b'2\n')
        converse(host, simulator.control, transcript)


@A_HANDFUL
def test_a_lynxsim_port_answers_byte_for_byte(transcript: Transcript, open_port: OpenPort, tmp_path: Path) -> None:
    state, _ = course(transcript)
    query = '&'.join(f'{name}={value}' for name, value in STATES[state].items())
    port = open_port(f'lynxsim://?control={tmp_path}/ctl&{query}'.rstrip('&'))
    with ControlClient(f'{tmp_path}/ctl') as control:
        control('freeze')
        converse(serial_host(port), control, transcript)

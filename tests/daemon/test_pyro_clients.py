# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs that call the daemon in all the ways that Pyro4 knows, and those that it has to refuse."""

from __future__ import annotations

import itertools
import re
import select
import struct
import time
from collections.abc import Callable, Iterator
from typing import Any

import Pyro4
import pytest
from Pyro4.message import FLAGS_ONEWAY, MSG_CONNECTFAIL, MSG_INVOKE, MSG_RESULT

from tests.daemon.attackers import JSON, STRANGER, Raw, call, crowd, impatient, introduction, packed, threads
from tests.daemon.harness import OBJECT_ID, Daemon
from tests.daemon.test_links import HUB
from tests.daemon.test_pyro_object import (
    BLOCKED,
    FAILED,
    IDLE,
    INVALID_CHANNEL,
    INVALID_IP,
    MOVING,
    OUTSIDE,
    SUCCEEDED,
)
from tests.simulator.harness import Simulator, eventually


@pytest.fixture(scope='module')
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A connected daemon, which every test leaves at rest."""
    daemon = Daemon(tmp_path_factory.mktemp('shared'))
    assert daemon.call('initialize') == SUCCEEDED
    yield daemon
    assert daemon.call('set_focus', 2, 100) == SUCCEEDED
    assert 'Traceback' not in daemon.log
    daemon.kill()


@pytest.fixture
def at_zero(shared: Daemon) -> Daemon:
    """The same, with focuser 1 at rest at 0."""
    eventually(lambda: shared.state(1) == IDLE)
    assert shared.call('set_focus', 1, 0) == SUCCEEDED
    return shared


@pytest.fixture
def oneway(at_zero: Daemon) -> Iterator[Any]:
    """A proxy whose moves and stops are oneway calls."""
    with at_zero.proxy() as proxy:
        proxy._pyroBind()
        proxy._pyroOneway.update({'set_focus', 'stop_channel', 'hub_info'})
        yield proxy


_markers = itertools.count(1)


def moves(daemon: Daemon) -> int:
    """How many moves of channel 1 were begun so far. The log is written in order: a line of channel 2 shows the end."""
    steps = next(_markers)
    assert daemon.call('set_focus', 2, steps) == SUCCEEDED
    eventually(lambda: f'channel 2: move to {steps:+d} steps requested' in daemon.log)
    return len(re.findall(r'channel 1: move to \S+ steps requested', daemon.log))


def is_closed(proxy: Any) -> bool:
    """Whether the daemon has closed the connection of a proxy."""
    poll = select.poll()
    poll.register(proxy._pyroConnection.sock, select.POLLRDHUP)
    return bool(poll.poll(0))


# Oneway calls

def test_the_next_call_does_not_wait_for_a_oneway_move(at_zero: Daemon, oneway: Any) -> None:
    assert oneway.set_focus(1, 20000) is None
    eventually(lambda: oneway.report_status()['status_1'] == MOVING)
    oneway._pyroOneway.remove('stop_channel')
    begin = time.monotonic()
    assert oneway.stop_channel(1) == SUCCEEDED
    assert time.monotonic() - begin < 1
    assert at_zero.state(1) == IDLE


def test_the_next_call_does_not_wait_for_another_oneway_call(
        simulate: Callable[..., Simulator], start: Callable[..., Daemon], tmp_path: Any) -> None:
    link = str(tmp_path / 'focuser')
    simulator = simulate('--link', link, *HUB)
    daemon = start(serial_port=link, serial_timeout=20)
    assert daemon.call('initialize') == SUCCEEDED
    simulator.control('mute')
    with daemon.proxy() as proxy:
        proxy._pyroBind()
        proxy._pyroOneway.update({'stop_channel', 'hub_info'})
        begin = time.monotonic()
        proxy.stop_channel(1)
        proxy.hub_info()
        assert proxy.report_status()
        assert time.monotonic() - begin < 2


def test_a_second_move_after_a_oneway_move_is_blocked_at_once(at_zero: Daemon, oneway: Any) -> None:
    oneway.set_focus(1, 20000)
    oneway._pyroOneway.clear()
    assert oneway.set_focus(1, 0) == BLOCKED
    assert oneway.set_focus(2, 200) == SUCCEEDED
    assert oneway.stop_channel(1) == SUCCEEDED


def test_a_stop_ends_a_oneway_move_that_was_read_before_it(at_zero: Daemon) -> None:
    with Raw(at_zero) as raw:
        raw.introduce()
        for _ in range(50):
            raw.send(call('set_focus', 1, 20000, flags=FLAGS_ONEWAY) + call('stop_channel', 1))
            assert raw.reply().value == SUCCEEDED
            assert raw.ask('report_status').value['status_1'] == IDLE
            assert raw.ask('set_focus', 1, 0).value == SUCCEEDED, 'the channel is free'


def test_a_oneway_stop_ends_a_move_as_well(at_zero: Daemon, oneway: Any) -> None:
    move = at_zero.begin('set_focus', 1, 20000)
    eventually(lambda: at_zero.state(1) == MOVING)
    oneway.stop_channel(1)
    assert move.wait() == FAILED


def test_a_client_may_send_a_oneway_move_and_leave(at_zero: Daemon) -> None:
    for steps in (300, 600, 900):
        with at_zero.proxy() as proxy:
            proxy._pyroBind()
            proxy._pyroOneway.add('set_focus')
            proxy.set_focus(1, steps)
        eventually(lambda steps=steps: at_zero.steps(1) == steps)   # type: ignore[misc]


def test_what_was_queued_behind_a_move_dies_with_its_client(at_zero: Daemon) -> None:
    before, begun = threads(at_zero), moves(at_zero)
    with Raw(at_zero) as raw:
        raw.introduce()
        raw.send(b''.join(call('set_focus', 1, steps, flags=flags) for steps in (20000, -20000)
                          for flags in (0, FLAGS_ONEWAY, 0)))
        eventually(lambda: at_zero.state(1) == MOVING)
        raw.close()
    assert at_zero.call('stop_channel', 1) == SUCCEEDED
    eventually(lambda: threads(at_zero) <= before)
    assert (at_zero.state(1), moves(at_zero)) == (IDLE, begun + 1)


def test_oneway_moves_of_a_dead_client_do_not_follow_each_other(at_zero: Daemon) -> None:
    before, begun = threads(at_zero), moves(at_zero)
    with Raw(at_zero) as raw:
        raw.introduce()
        raw.send(b''.join(call('set_focus', 1, steps, flags=FLAGS_ONEWAY) for steps in (20000, -20000) * 3))
        eventually(lambda: at_zero.state(1) == MOVING)
        raw.reset()
    eventually(lambda: threads(at_zero) <= before)
    assert at_zero.call('stop_channel', 1) == SUCCEEDED
    assert (at_zero.state(1), moves(at_zero)) == (IDLE, begun + 1)


@pytest.mark.parametrize('method', ['set_focus', 'stop_channel', 'hub_info', 'no_such_method'])
def test_thousands_of_oneway_calls_take_no_threads(at_zero: Daemon, method: str) -> None:
    before = threads(at_zero)
    arguments = {'set_focus': (1, 20000), 'stop_channel': (1,)}.get(method, ())
    flood = call(method, *arguments, flags=FLAGS_ONEWAY) * 100
    with Raw(at_zero) as raw:
        raw.introduce()
        for _ in range(30):
            raw.send(flood)
            assert threads(at_zero) <= before + 5, 'those of connections that have just ended may be among them'
            with impatient(at_zero) as proxy:
                assert proxy.stop_channel(1) == SUCCEEDED
        assert raw.ask('stop_channel', 1).value == SUCCEEDED
    eventually(lambda: at_zero.state(1) == IDLE)


def test_a_stop_gets_through_a_flood_of_unconfirmed_oneway_stops(
        simulate: Callable[..., Simulator], start: Callable[..., Daemon], tmp_path: Any) -> None:
    link = str(tmp_path / 'focuser')
    simulator = simulate('--link', link, *HUB)
    daemon = start(serial_port=link, serial_timeout=20)
    assert daemon.call('initialize') == SUCCEEDED
    simulator.control('mute')
    with Raw(daemon) as raw:
        raw.introduce()
        raw.send(call('stop_channel', 1, flags=FLAGS_ONEWAY) * 1000)
        begin = time.monotonic()
        assert daemon.call('stop_channel', 2) == FAILED, 'the hub does not confirm it'
        assert time.monotonic() - begin < 4.5
        assert daemon.log.count('channel 1: stop requested') < 100


def test_oneway_control_is_refused_to_strangers(at_zero: Daemon) -> None:
    begun = moves(at_zero)
    with Raw(at_zero, STRANGER) as raw:
        raw.introduce()
        raw.send(call('set_focus', 1, 500, flags=FLAGS_ONEWAY))
        assert raw.ask('set_focus', 1, 500).value == INVALID_IP
    assert moves(at_zero) == begun


# What else Pyro4's clients do

def test_json_is_accepted_beside_serpent(at_zero: Daemon) -> None:
    with at_zero.proxy() as proxy:
        proxy._pyroSerializer = 'json'
        assert set(proxy.report_status()) == set(at_zero.status())
        assert proxy.set_focus(1, 300, offset=False) == SUCCEEDED
        assert proxy.set_focus(1, -100.0, True) == SUCCEEDED
        assert proxy.report_status()['current_steps_1'] == 200
        assert proxy.configure(1, 'led', '50') == SUCCEEDED
        assert proxy.set_focus(1, {'__class__': 'Pyro4.core.URI', 'state': []}) == FAILED
        with pytest.raises(Pyro4.errors.PyroError, match='unknown method'):
            proxy._pyroInvoke('no_such_method', (), {})


def test_the_reply_has_the_serializer_of_its_call(at_zero: Daemon) -> None:
    with Raw(at_zero) as raw:
        raw.introduce()
        request = JSON.dumpsCall(OBJECT_ID, 'report_status', (), {})
        raw.send(packed(MSG_INVOKE, request, serializer=JSON.serializer_id) + call('report_status'))
        replies = [raw.reply(), raw.reply()]
    assert [reply.kind for reply in replies] == [MSG_RESULT, MSG_RESULT]
    assert [reply.serializer_id for reply in replies] == [2, 1]


@pytest.mark.parametrize('payload', [
    b'{}', b'[]', b'null', b'{"object": 1}', b'["' + OBJECT_ID.encode() + b'", "report_status", {}, {}]',
    b'{"object": "' + OBJECT_ID.encode() + b'", "method": "report_status", "params": [], "kwargs": null}',
    b'\xff', b'{"object":', b'\xef\xbb\xbf{}', "('a', 'b', (), {})".encode('utf-16'),
])
def test_json_that_is_no_call_gets_a_sentence(at_zero: Daemon, payload: bytes) -> None:
    with Raw(at_zero, STRANGER) as raw:
        raw.introduce()
        raw.send(packed(MSG_INVOKE, payload, serializer=JSON.serializer_id))
        reply = raw.reply()
        assert reply.failed
        assert reply.value['args'][0] in ('the payload is not a call', 'the payload is not in the form of json')


@pytest.mark.parametrize('run', [lambda batch: list(batch()), lambda batch: batch(asynchronous=True).value],
                         ids=['at once', 'asynchronous'])
def test_a_batch_is_refused_with_a_sentence(at_zero: Daemon, run: Callable[[Any], Any]) -> None:
    begun = moves(at_zero)
    with at_zero.proxy() as proxy:
        batch = Pyro4.batch(proxy)
        batch.set_focus(1, 300)
        batch.set_focus(1, -300)
        with pytest.raises(Pyro4.errors.PyroError, match='no batches'):
            run(batch)
        assert proxy.report_status()['status_1'] == IDLE, 'the connection is as good as before'
    assert moves(at_zero) == begun


def test_a_client_without_metadata_is_served(at_zero: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Pyro4.config, 'METADATA', False)
    assert at_zero.call('set_focus', 1, 100) == SUCCEEDED
    assert at_zero.status()['current_steps_1'] == 100


def test_an_asynchronous_proxy_is_served(at_zero: Daemon) -> None:
    with at_zero.proxy() as proxy:
        proxy._pyroAsync()
        assert proxy.set_focus(1, 300).value == SUCCEEDED


def test_a_proxy_reconnects_after_its_connection_was_replaced(at_zero: Daemon) -> None:
    with at_zero.proxy() as proxy:
        assert proxy.report_status()
        with crowd(at_zero, 150, '127.0.0.1', introduction()):
            eventually(lambda: is_closed(proxy))
        with pytest.raises(Pyro4.errors.ConnectionClosedError):
            proxy.report_status()
        proxy._pyroReconnect(tries=3)
        assert proxy.report_status()['status_1'] == IDLE


def test_a_proxy_that_retries_gets_its_status(at_zero: Daemon) -> None:
    with at_zero.proxy() as proxy:
        proxy._pyroMaxRetries = 2
        assert proxy.report_status()
        proxy._pyroConnection.sock.close()
        assert proxy.report_status()


def test_after_a_time_out_the_same_proxy_can_stop_its_move(at_zero: Daemon) -> None:
    with at_zero.proxy() as proxy:
        proxy._pyroTimeout = 0.5
        with pytest.raises(Pyro4.errors.TimeoutError):
            proxy.set_focus(1, 20000)
        assert at_zero.state(1) == MOVING
        proxy._pyroTimeout = 5
        assert proxy.stop_channel(1) == SUCCEEDED
        assert proxy.report_status()['status_1'] == IDLE


# Those that cannot be served

@pytest.mark.parametrize('number', ['np.float64(500.5)', 'np.float64(nan)', 'np.longdouble(1.0)'])
def test_a_number_of_numpy_gets_a_sentence_with_the_cure(at_zero: Daemon, number: str) -> None:
    with Raw(at_zero) as raw:
        raw.introduce()
        payload = f"# serpent utf-8 python3.2\n('{OBJECT_ID}','set_focus',(1,{number}),{{}})"
        raw.send(packed(MSG_INVOKE, payload.encode()))
        assert raw.reply().value['args'] == ('a number of numpy is not accepted: send int(...) or float(...) of it',)
    assert (at_zero.state(1), at_zero.steps(1)) == (IDLE, 0)


@pytest.mark.parametrize(('arguments', 'result'), [
    ('1, 0x{}', OUTSIDE), ('1, -0x{}', OUTSIDE), ('1, [0x{}]', FAILED), ('1, 0, 0x{}', FAILED),
    ('0x{}, 1', INVALID_CHANNEL)])
def test_numbers_that_python_does_not_write_do_no_harm(at_zero: Daemon, arguments: str, result: int) -> None:
    with Raw(at_zero) as raw:
        raw.introduce()
        payload = f"('{OBJECT_ID}', 'set_focus', ({arguments.format('f' * 3900)}), {{}})"
        raw.send(packed(MSG_INVOKE, payload.encode()))
        assert raw.reply().value == result
    assert (at_zero.state(1), at_zero.steps(1)) == (IDLE, 0)


PYRO5 = struct.Struct('!4sHBBHHII16sHH')


def pyro5(payload: bytes, version: int = 502, kind: int = 1, announced: int | None = None) -> bytes:
    size = len(payload) if announced is None else announced
    return PYRO5.pack(b'PYRO', version, kind, 1, 0, 77, size, 0, bytes(16), 0, 0x4dc5) + payload


@pytest.mark.parametrize('version', [501, 502])
def test_a_client_of_pyro5_is_told_so_in_its_own_format(shared: Daemon, version: int) -> None:
    with Raw(shared, STRANGER) as raw:
        raw.send(pyro5(b"{'handshake':'hello','object':'x'}" + b' ' * 3000, version))
        raw.socket.settimeout(5)
        data = b''
        while True:
            piece = raw.socket.recv(4096)
            if not piece:
                break
            data += piece
        tag, answered, kind, serializer, flags, seq, size, annotations, _, _, magic = PYRO5.unpack(data[:PYRO5.size])
        assert (tag, answered, kind, serializer, flags, seq) == (b'PYRO', version, MSG_CONNECTFAIL, 1, 0, 77)
        assert (size, annotations, magic) == (len(data) - PYRO5.size, 0, 0x4dc5)
        assert b'this daemon is called with Pyro4' in data[PYRO5.size:]


@pytest.mark.parametrize('message', [pyro5(b'', announced=0xffffffff), pyro5(b'', version=9999), pyro5(b'')[:30]])
def test_odd_messages_of_other_versions_end_the_connection(shared: Daemon, message: bytes) -> None:
    with Raw(shared, STRANGER) as raw, Raw(shared, STRANGER) as bystander:
        bystander.introduce()
        raw.send(message)
        assert raw.reply().closed
        assert bystander.ask('report_status').value['status_1'] == IDLE


# Few file descriptors, few threads

LIMIT = 'import resource; resource.setrlimit(resource.RLIMIT_NOFILE, ({}, {}))'


@pytest.mark.parametrize('source', ['127.0.0.1', STRANGER])
def test_idle_clients_keep_no_stop_out_with_few_descriptors(tmp_path: Any, source: str,
                                                           simulate: Callable[..., Simulator]) -> None:
    link = str(tmp_path / 'focuser')
    simulate('--link', link, *HUB)
    daemon = Daemon(tmp_path, serial_port=link, shim=LIMIT.format(24, 24))
    try:
        with crowd(daemon, 40, source, introduction()):
            with impatient(daemon) as proxy:
                proxy._pyroTimeout = 5
                assert proxy.initialize() == SUCCEEDED, 'there are descriptors for the port as well'
            move = daemon.begin('set_focus', 1, 40000)
            eventually(lambda: daemon.state(1) == MOVING)
            with crowd(daemon, 40, source, introduction()), impatient(daemon) as proxy:
                assert proxy.stop_channel(1) == SUCCEEDED
            assert move.wait() == FAILED, 'a connection with a call under way is kept'
        assert 'only 24 file descriptors are allowed, and 160 may be needed' in daemon.log
        assert 'Traceback' not in daemon.log
    finally:
        daemon.kill()


def test_a_soft_limit_of_descriptors_is_raised(tmp_path: Any) -> None:
    daemon = Daemon(tmp_path, shim=LIMIT.format(20, 500))
    try:
        with crowd(daemon, 60, STRANGER) as clients:
            for client in clients:
                client.introduce()
            assert all(client.open for client in clients)
        assert 'file descriptors' not in daemon.log
    finally:
        daemon.kill()


FEW_THREADS = '''
import threading
start = threading.Thread.start
def limited(thread):
    if thread.name.startswith('client') and sum(t.name.startswith('client') for t in threading.enumerate()) >= {}:
        raise RuntimeError("can't start new thread")
    start(thread)
threading.Thread.start = limited
'''

NO_DESCRIPTORS = '''
import errno, select, socket, threading
accept = socket.socket.accept
def limited(listening):
    if not select.select([listening], [], [], 1)[0]:
        raise socket.timeout
    if sum(t.name.startswith('client') for t in threading.enumerate()) >= {}:
        raise OSError(errno.EMFILE, 'Too many open files')
    return accept(listening)
socket.socket.accept = limited
'''


@pytest.mark.parametrize('shim', [FEW_THREADS, NO_DESCRIPTORS], ids=['threads', 'descriptors'])
def test_idle_clients_keep_no_stop_out_at_a_limit_of(tmp_path: Any, shim: str) -> None:
    daemon = Daemon(tmp_path, shim=shim.format(4), connect_on_start=True)
    try:
        eventually(lambda: daemon.state(1) == daemon.state(2) == IDLE)
        moves = [daemon.begin('set_focus', channel, 20000) for channel in (1, 2)]
        eventually(lambda: daemon.state(1) == daemon.state(2) == MOVING)
        with crowd(daemon, 10, STRANGER, introduction()):
            for _ in range(5):
                with impatient(daemon) as proxy:
                    assert proxy.stop_channel(1) == SUCCEEDED
            with impatient(daemon) as proxy:
                assert proxy.stop_channel(2) == SUCCEEDED
        assert [move.wait() for move in moves] == [FAILED, FAILED]
        assert 'Traceback' not in daemon.log
    finally:
        daemon.kill()


def test_a_client_without_a_thread_is_disconnected_and_it_is_told_once(tmp_path: Any) -> None:
    daemon = Daemon(tmp_path, shim=FEW_THREADS.format(2), connect_on_start=True)
    try:
        eventually(lambda: daemon.state(1) == daemon.state(2) == IDLE)
        moves = []
        for channel in (1, 2):
            moves.append(daemon.begin('set_focus', channel, 10000))
            eventually(lambda: daemon.log.count('move to +10000 steps requested') == len(moves))
        for _ in range(5):
            with Raw(daemon) as raw:
                raw.send(introduction())
                assert raw.reply().closed
        assert [move.wait() for move in moves] == [SUCCEEDED, SUCCEEDED]
        assert daemon.state(1) == IDLE
        assert daemon.log.count("no thread for a client: can't start new thread") == 1
        assert 'Traceback' not in daemon.log
    finally:
        daemon.kill()

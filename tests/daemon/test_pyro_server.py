# SPDX-License-Identifier: GPL-3.0-or-later
"""The server under attack: crowds, garbage, bombs, curiosity, and clients that die."""

from __future__ import annotations

import marshal
import os
import pickle
import random
import signal
import socket
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import Pyro4
import pytest
from Pyro4.message import (
    FLAGS_BATCH,
    FLAGS_COMPRESSED,
    FLAGS_ITEMSTREAMRESULT,
    FLAGS_KEEPSERIALIZED,
    FLAGS_META_ON_CONNECT,
    FLAGS_ONEWAY,
    MSG_CONNECT,
    MSG_CONNECTOK,
    MSG_INVOKE,
    MSG_PING,
    MSG_RESULT,
)

from tests.daemon.attackers import (
    JSON,
    SERPENT,
    STRANGER,
    Raw,
    call,
    crowd,
    dual_stack_daemon,
    header,
    impatient,
    introduction,
    most_resident_kib,
    packed,
    resident_kib,
    threads,
)
from tests.daemon.harness import OBJECT_ID, TOP, Daemon
from tests.daemon.test_links import HUB
from tests.daemon.test_pyro_object import FAILED, IDLE, INVALID_IP, MOVING, SUCCEEDED
from tests.simulator.harness import Simulator, eventually

CONTROL = '127.0.0.1'
CONNECTION_LIMIT = 64
ALLOWANCE_KIB = 64 * 1024
COMMANDS: list[tuple[str, tuple[Any, ...]]] = [
    ('set_focus', (1, 100)), ('reset_home_position', (1,)), ('stop_channel', (1,)), ('initialize', ()),
    ('shutdown', ()), ('home', (1,)), ('center', (1,)), ('configure', (1, 'led', 75))]


@pytest.fixture(scope='module')
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A connected daemon for attacks that must leave nothing behind; that they do not is seen at the end."""
    daemon = Daemon(tmp_path_factory.mktemp('shared'))
    try:
        assert daemon.call('initialize') == SUCCEEDED
        yield daemon
        assert daemon.call('set_focus', 2, 100) == SUCCEEDED
        assert daemon.stop() == 0
    finally:
        if daemon.process.poll() is None:
            daemon.kill()


# Crowds

@pytest.mark.parametrize(('number', 'source', 'say'), [
    (200, CONTROL, b''), (200, STRANGER, introduction()[:11]), (200, CONTROL, introduction() + b'PYRO'),
    (500, CONTROL, introduction()), (500, STRANGER, introduction()),
], ids=['silent', 'half a header', 'half a call', 'idle', 'idle strangers'])
def test_a_crowd_disturbs_no_other_client(shared: Daemon, number: int, source: str, say: bytes) -> None:
    assert shared.call('set_focus', 1, 0) == SUCCEEDED
    before = threads(shared)
    move = shared.begin('set_focus', 1, 4000)
    eventually(lambda: shared.state(1) == MOVING)
    with crowd(shared, number, source, say):
        for _ in range(20):
            with impatient(shared) as proxy:
                proxy.report_status()
        with impatient(shared) as proxy:
            assert proxy.stop_channel(2) == SUCCEEDED
        assert move.wait() == SUCCEEDED
        assert shared.steps(1) == 4000
        assert threads(shared) <= before + 2 * CONNECTION_LIMIT
    eventually(lambda: threads(shared) <= before)
    assert shared.process.poll() is None


def test_polling_goes_on_while_crowds_come_and_go(start: Callable[..., Daemon]) -> None:
    daemon = start(idle_loop_delay=0.2, connect_on_start=True)
    eventually(lambda: daemon.state(1) == IDLE)
    for _ in range(2):
        with crowd(daemon, 100, STRANGER, introduction()), crowd(daemon, 100, CONTROL), impatient(daemon) as proxy:
            status = proxy.report_status()
            as_of = time.mktime(time.strptime(status['date'] + ' UTC', '%Y-%m-%dT%H:%M:%SZ %Z')) - time.timezone
            assert time.time() - as_of < 3, 'the report is as old as a second, its cut fraction, and a little'
            assert status['status_1'] == IDLE


@pytest.mark.parametrize('begin', [header(4096, kind=MSG_CONNECT), introduction() + header(4096)],
                         ids=['introduction', 'call'])
def test_a_message_that_drips_is_not_waited_for(shared: Daemon, begin: bytes) -> None:
    with Raw(shared) as silent, crowd(shared, 50, STRANGER, begin) as drips:
        silent.introduce()

        def hung_up(drip: Raw) -> bool:
            drip.send(b'0')
            return not drip.open

        def drip_on() -> bool:
            with impatient(shared) as proxy:
                proxy.report_status()
            return sum(hung_up(drip) for drip in drips) == len(drips)

        if begin.startswith(introduction()):
            for drip in drips:
                assert drip.reply().kind == MSG_CONNECTOK
        eventually(drip_on)
        assert silent.ask('report_status').value['status_1'] == IDLE, 'between calls one may be silent'


def test_a_new_client_replaces_the_connection_idle_longest(shared: Daemon) -> None:
    with crowd(shared, CONNECTION_LIMIT, STRANGER) as clients:
        for client in clients:
            client.introduce()
        assert clients[0].ask('report_status').value
        with Raw(shared, STRANGER) as newcomer:
            assert newcomer.introduce().ask('report_status').value
            eventually(lambda: not clients[1].open)
            assert [client.open for client in clients] == [True, False] + [True] * (CONNECTION_LIMIT - 2)


def test_a_crowd_replaces_only_connections_of_its_own_address(shared: Daemon) -> None:
    with Raw(shared, '127.0.0.3') as other, Raw(shared, CONTROL) as control:
        other.introduce()
        control.introduce()
        with crowd(shared, 150, STRANGER, introduction()):
            assert other.ask('report_status').value['status_1'] == IDLE
            assert control.ask('stop_channel', 1).value == SUCCEEDED


def test_strangers_from_everywhere_keep_no_control_machine_out(shared: Daemon) -> None:
    with Raw(shared, CONTROL) as control, ExitStack() as stack:
        control.introduce()
        for n in range(2 * CONNECTION_LIMIT + 10):
            stack.enter_context(Raw(shared, f'127.0.1.{n + 1}')).introduce()
        assert control.ask('stop_channel', 1).value == SUCCEEDED


def test_a_new_client_is_refused_while_all_connections_are_busy(
        simulate: Callable[..., Simulator], start: Callable[..., Daemon], tmp_path: Path) -> None:
    link = str(tmp_path / 'focuser')
    simulator = simulate('--link', link, *HUB)
    daemon = start(serial_port=link, serial_timeout=20)
    assert daemon.call('initialize') == SUCCEEDED
    simulator.control('mute')
    with ExitStack() as stack:
        calling = []
        while True:
            newcomer = stack.enter_context(Raw(daemon, CONTROL))
            newcomer.send(introduction())
            if newcomer.reply().closed:
                break
            newcomer.send(call('stop_channel', 1))
            calling.append(newcomer)
            assert len(calling) < 5 * CONNECTION_LIMIT, 'none was refused'
        stranger = stack.enter_context(Raw(daemon, STRANGER))
        assert stranger.introduce().ask('report_status').value
        answers = [reply.value for reply in (each.reply() for each in calling) if not reply.closed]
        assert answers == [FAILED] * CONNECTION_LIMIT, 'each call that was under way was answered'
    simulator.control('unmute')
    eventually(lambda: daemon.state(1) == IDLE)
    assert daemon.call('stop_channel', 1) == SUCCEEDED


def test_a_client_that_does_not_read_is_disconnected(shared: Daemon) -> None:
    with Raw(shared, STRANGER, receive_buffer=4096) as deaf:
        deaf.introduce()

        def ask_more() -> bool:
            try:
                deaf.socket.sendall(call('report_status') * 10)
            except ConnectionError:
                return True
            return False

        eventually(ask_more)
    with impatient(shared) as proxy:
        assert proxy.report_status()


def test_a_flood_of_calls_by_strangers_keeps_no_stop_out(shared: Daemon) -> None:
    flood = ('import socket, sys\n'
             f's = socket.create_connection(("127.0.0.1", {shared.port}), source_address=("{STRANGER}", 0))\n'
             f's.sendall({introduction()!r})\n'
             's.recv(5000)\n'
             'print("floods", flush=True)\n'
             'while True:\n'
             f'    s.sendall({call("report_status")!r})\n'
             '    s.recv(5000)\n')
    flooders = [subprocess.Popen([sys.executable, '-c', flood], stdout=subprocess.PIPE) for _ in range(4)]
    try:
        for flooder in flooders:
            assert flooder.stdout is not None and flooder.stdout.readline()
        move = shared.begin('set_focus', 1, 40000)
        eventually(lambda: shared.state(1) == MOVING)
        with impatient(shared) as proxy:
            assert proxy.stop_channel(1) == SUCCEEDED
        assert move.wait() == FAILED
    finally:
        for flooder in flooders:
            flooder.kill()
            flooder.communicate()
    assert shared.call('set_focus', 1, 0) == SUCCEEDED


# Garbage and bombs

NOISE = random.Random(1).randbytes(4096)
BAD_CHECKSUM = introduction()[:22] + b'\0\0' + introduction()[24:]
GARBAGE = {
    'noise': NOISE, 'zeros': bytes(4096), 'http': b'GET / HTTP/1.1\r\nHost: focuser\r\n\r\n',
    'tls': bytes.fromhex('16030100f8010000f40303') + NOISE[:240], 'bad checksum': BAD_CHECKSUM,
    'two gigabytes': header(0x7fffffff), 'two gigabytes of introduction': header(0x7fffffff, kind=MSG_CONNECT),
    'one byte too many': header(4097), 'negative size': header(-1), 'negative size, annotated': header(-70, 65),
    'large annotations': header(100, 65535), 'a reply': packed(MSG_RESULT, b'0'), 'unknown type': packed(99, b''),
    'pickled by hand': pickle.dumps([1] * 100),
}


@pytest.mark.parametrize('stage', ['stranger', 'introduced'])
@pytest.mark.parametrize('garbage', GARBAGE.values(), ids=GARBAGE)
def test_garbage_ends_the_connection_and_nothing_else(shared: Daemon, garbage: bytes, stage: str) -> None:
    with Raw(shared, STRANGER) as raw, Raw(shared, STRANGER) as bystander:
        bystander.introduce()
        if stage == 'introduced':
            raw.introduce()
        raw.send(garbage)
        assert raw.reply().closed
        assert bystander.ask('report_status').value['status_1'] == IDLE


def test_a_call_without_an_introduction_is_refused(shared: Daemon) -> None:
    with Raw(shared) as raw:
        raw.send(call('set_focus', 1, 100))
        assert raw.reply().closed
    assert shared.steps(1) == 0 or shared.state(1) == IDLE


def test_an_oversized_message_is_refused_before_its_body(start: Callable[..., Daemon]) -> None:
    daemon = start()
    with Raw(daemon, STRANGER) as raw:
        raw.introduce()
        raw.send(header(0x7fffffff))   # and not one byte more
        assert raw.reply().closed
    eventually(lambda: f'{STRANGER}: refused: a message of 2147483647 bytes: at most 4096 are accepted' in daemon.log)


def bombs() -> dict[str, bytes]:
    """Payloads of at most 4 KiB that want to become large."""
    largest = 4096
    return {
        'compressed zeros': zlib.compress(bytes(3_900_000), 9),
        'compressed list': zlib.compress(b'[' + b'0,' * 1_900_000 + b']', 9),
        'flat list': b'[' + b'1,' * (largest // 2 - 1) + b']',
        'list of dictionaries': b'[' + b'{},' * (largest // 3 - 1) + b']',
        'open brackets': b'[' * largest, 'signs': b'-' * (largest - 1) + b'1',
        'sum': b'1+' * (largest // 2 - 1) + b'1',
        'attributes': b'a' + b'.a' * (largest // 2 - 1), 'power': b'9**9**9**9', 'digits': b'9' * largest,
        'repetition': b'"x"*999999999', 'escape': b"'\\q'", 'not utf-8': b'\xff' * 100,
        'zero byte': b"'\0'", 'empty': b'', 'lone surrogate': b'"\\ud800"', 'infinity': b'-Infinity',
        'list of objects': b'[' + b'{},' * (largest // 3 - 1) + b'{}]', 'open objects': b'{"":' * (largest // 4),
        'cut': SERPENT.dumps((OBJECT_ID, 'report_status', (), {}))[:-3],
    }


def test_bombs_do_not_go_off(start: Callable[..., Daemon]) -> None:
    daemon = start(connect_on_start=True)
    eventually(lambda: daemon.state(1) == IDLE)
    before = resident_kib(daemon)
    payloads = [(bomb, flag, serializer.serializer_id) for bomb in bombs().values()
                for flag in (0, FLAGS_COMPRESSED) for serializer in (SERPENT, JSON)]
    assert all(len(bomb) <= 4096 for bomb, _, _ in payloads)
    with ExitStack() as stack:
        attackers = [stack.enter_context(Raw(daemon, source)) for source in [STRANGER, CONTROL] * 16]
        for attacker in attackers:
            attacker.introduce()
        for bomb, flag, serializer in payloads:
            for attacker in attackers:
                attacker.send(packed(MSG_INVOKE, bomb, flag, serializer))
            for attacker in attackers:
                reply = attacker.reply()
                assert reply.failed and reply.kind == MSG_RESULT
    for bomb, flag, serializer in payloads:
        with Raw(daemon, STRANGER) as raw:
            raw.send(packed(MSG_CONNECT, bomb, flag | FLAGS_META_ON_CONNECT, serializer))
            assert raw.reply().failed
            assert raw.reply().closed
    assert most_resident_kib(daemon) - before < ALLOWANCE_KIB
    with impatient(daemon) as proxy:
        assert proxy.set_focus(1, 100) == SUCCEEDED
    assert 'SyntaxWarning' not in daemon.log
    assert daemon.log.count('refused') <= 2, 'no client can fill the log'


def test_crowds_and_garbage_in_bulk_leave_the_memory_as_it_was(start: Callable[..., Daemon]) -> None:
    daemon = start()
    before = resident_kib(daemon)
    for source in (STRANGER, CONTROL):
        with crowd(daemon, 150, source, introduction()):
            pass
        with crowd(daemon, 70, source, introduction() + header(4096) + NOISE[:4000]):
            pass
        for _ in range(10):
            with Raw(daemon, source) as raw:
                raw.send(NOISE * 250)
    assert most_resident_kib(daemon) - before < ALLOWANCE_KIB


def test_an_honest_compressed_call_is_understood(shared: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Pyro4.config, 'COMPRESSION', True)
    assert shared.call('report_status', 'x' * 3000)['status_1'] == IDLE


class Boom:
    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.path,)


@pytest.mark.parametrize(('serializer', 'encode'), [
    (3, marshal.dumps), (4, pickle.dumps),
    (5, pickle.dumps), (6, lambda request: b'\x93'), (7, pickle.dumps), (65535, pickle.dumps),
], ids=['marshal', 'pickle', 'dill', 'msgpack', 'cloudpickle', 'number 65535'])
def test_other_serializers_are_refused_and_nothing_is_loaded(
        shared: Daemon, serializer: int, encode: Callable[[Any], bytes], tmp_path: Path,
        request: pytest.FixtureRequest) -> None:
    harm = tmp_path / 'harm'
    payload = encode({'handshake': Boom(str(harm)) if encode is pickle.dumps else 'hello', 'object': OBJECT_ID})
    with Raw(shared) as raw:
        raw.send(packed(MSG_CONNECT, payload, serializer=serializer))
        reply = raw.reply()
        assert reply.value == f'the serializer {request.node.callspec.id} is not accepted: use serpent or json'
        assert raw.reply().closed
    with Raw(shared) as raw:
        raw.introduce()
        raw.send(packed(MSG_INVOKE, encode((OBJECT_ID, 'set_focus', (1, 10), {})), serializer=serializer))
        assert raw.reply().failed
    with Raw(shared) as raw:
        raw.introduce()
        raw.send(packed(MSG_INVOKE, pickle.dumps(Boom(str(harm)))))
        assert raw.reply().failed
    assert not harm.exists()


@pytest.mark.parametrize('serializer', ['marshal', 'pickle'])
def test_a_client_with_another_serializer_learns_which_to_use(shared: Daemon, serializer: str) -> None:
    with shared.proxy() as proxy:
        proxy._pyroSerializer = serializer
        with pytest.raises(Pyro4.errors.CommunicationError, match='use serpent or json'):
            proxy.report_status()


@pytest.mark.parametrize('serializer', ['marshal', 'pickle'])
def test_so_does_one_that_changes_it_while_it_is_connected(shared: Daemon, serializer: str) -> None:
    with shared.proxy() as proxy:
        assert proxy.report_status()
        proxy._pyroSerializer = serializer
        with pytest.raises(Pyro4.errors.PyroError, match='use serpent or json'):
            proxy.report_status()


# Curiosity

CURIOUS: dict[str, bytes] = {
    'unknown method': call('no_such_method'), 'private method': call('_run', 1), 'attribute': call('control_ips'),
    'dunder': call('__class__'), 'dict': call('__dict__'), 'init': call('__init__'),
    'get': call('__getattr__', 'calls'), 'set': call('__setattr__', 'control_ips', [STRANGER]),
    'dotted': call('calls.__enter__'), 'reduce': call('__reduce__'),
    'unknown object': call('report_status', object_id='other'), 'no object': call('report_status', object_id=None),
    'odd object': call('report_status', object_id=['a']), 'odd method': call(['report_status']),
    'no method': call(None),
    'method called': call('set_focus.__globals__'), 'odd keywords': call('set_focus', keywords=[1]),
    'numbers for keywords': call('set_focus', 1, keywords={1: 2}),
    'description': call('info', object_id='Pyro.Daemon'),
    'stream': call('get_next_stream_item', 'x', object_id='Pyro.Daemon'),
    'end of stream': call('close_stream', 'x', object_id='Pyro.Daemon'),
    'inner daemon': call('daemon', object_id='Pyro.Daemon'),
    'ping with arguments': call('ping', 1, object_id='Pyro.Daemon'),
    'metadata of nothing': call('get_metadata', 'nothing', object_id='Pyro.Daemon'),
    'metadata of a list': call('get_metadata', ['x'], object_id='Pyro.Daemon'),
    'batch': packed(MSG_INVOKE, SERPENT.dumps((OBJECT_ID, '', [('report_status', (), {})], {})), FLAGS_BATCH),
    'failing batch': packed(MSG_INVOKE, SERPENT.dumps(('Pyro.Daemon', '', [('get_metadata', ('?',), {})], {})),
                            FLAGS_BATCH),
    'blob': packed(MSG_INVOKE, b'x', FLAGS_KEEPSERIALIZED,
                   annotations={'BLBI': marshal.dumps(('x', OBJECT_ID, 'report_status'))}),
    'bad blob': packed(MSG_INVOKE, b'x', FLAGS_KEEPSERIALIZED, annotations={'BLBI': b'\xfb' * 50}),
    'stream flag': call('report_status', flags=FLAGS_ITEMSTREAMRESULT),
    'most flags': call('report_status', flags=0xffff & ~FLAGS_ONEWAY),
    'no call': packed(MSG_INVOKE, b'42'), 'short call': packed(MSG_INVOKE, b'("a", "b")'),
}


@pytest.mark.parametrize('request_', CURIOUS.values(), ids=CURIOUS)
def test_curiosity_is_answered_with_a_sentence_and_no_secret(shared: Daemon, request_: bytes) -> None:
    with Raw(shared) as raw:
        raw.introduce()
        raw.send(request_)
        reply = raw.reply()
        assert reply.failed
        assert reply.value['__class__'] == 'Pyro4.errors.PyroError'
        assert reply.value['attributes'] == {}
        assert len(reply.value['args']) == 1
        for secret in ('Traceback', '.py', 'File ', 'line ', str(TOP), '/', ' object at ', '<class', 'control_ips'):
            assert secret not in reply.text
        assert raw.ask('report_status').value['status_1'] == IDLE, 'the connection is as good as before'


@pytest.mark.parametrize('object_id', ['other', '', None, 3, ['Pyro.Daemon'], 'Pyro.NameServer', '__class__'])
def test_connecting_to_another_object_is_refused(shared: Daemon, object_id: object) -> None:
    with Raw(shared, STRANGER) as raw:
        raw.send(introduction(object_id))
        reply = raw.reply()
        assert (reply.failed, reply.value) == (True, 'unknown object')
        assert raw.reply().closed


def test_only_the_one_object_is_there(shared: Daemon) -> None:
    with Pyro4.Proxy(f'PYRO:Pyro.Daemon@127.0.0.1:{shared.port}') as pyro:
        assert sorted(pyro.registered()) == sorted(['Pyro.Daemon', OBJECT_ID])
        assert pyro.ping() is None
        assert pyro._pyroMethods == {'get_metadata', 'ping', 'registered'}
        assert not pyro._pyroAttrs
        assert set(pyro.get_metadata(OBJECT_ID)['methods']) == {
            'report_status', 'hub_info', *(method for method, _ in COMMANDS)}


def test_classes_in_arguments_stay_what_they_are_on_the_wire(shared: Daemon) -> None:
    with socket.create_server(('127.0.0.1', 0)) as trap, Raw(shared) as raw:
        trap.settimeout(0.2)
        place = trap.getsockname()[1]
        state = ['PYRO', 'trap', None, '127.0.0.1', place]
        raw.introduce()
        for value in ({'__class__': 'Pyro4.core.Proxy', 'state': [state, [], [], [], 1, 'hello', 0, 'serpent']},
                      {'__class__': 'Pyro4.core.URI', 'state': state},
                      {'__class__': 'Pyro4.util.PickleSerializer'}, {'__class__': 'builtins.SystemExit', 'args': [],
                                                                    '__exception__': True}, {'__class__': b'x'}):
            for arguments in ((1, value), (1, 10, value)):
                reply = raw.ask('set_focus', *arguments)
                assert (reply.failed, reply.value) == (False, FAILED)
        with pytest.raises(socket.timeout):
            trap.accept()
    assert shared.state(1) == IDLE


def test_a_ping_is_answered(shared: Daemon) -> None:
    with Raw(shared, STRANGER) as raw:
        raw.introduce()
        raw.send(packed(MSG_PING, b'ping'))
        assert raw.reply().value == b'pong'


def test_a_oneway_call_is_carried_out_without_a_reply(shared: Daemon) -> None:
    with Raw(shared) as raw:
        raw.introduce()
        raw.send(call('set_focus', 1, 250, flags=FLAGS_ONEWAY))
        assert raw.ask('report_status').kind == MSG_RESULT, 'the first reply is that of the second call'
    eventually(lambda: shared.steps(1) == 250)
    assert shared.call('set_focus', 1, 0) == SUCCEEDED


# Permission

LIES: dict[str, dict[str, bytes]] = {
    'nothing': {}, 'correlation': {'CORR': bytes(16)}, 'short correlation': {'CORR': b'x'}, 'hmac': {'HMAC': bytes(20)},
    'address': {'ADDR': b'127.0.0.1', 'PEER': b'127.0.0.1', 'SOCK': b'127.0.0.1:9000'},
}


@pytest.mark.parametrize('annotations', LIES.values(), ids=LIES)
def test_control_depends_on_the_address_of_the_socket_alone(shared: Daemon, annotations: dict[str, bytes]) -> None:
    before = shared.steps(1)
    with Raw(shared, STRANGER) as stranger:
        stranger.send(introduction(annotations=annotations))
        assert stranger.reply().kind == MSG_CONNECTOK
        for method, arguments in COMMANDS:
            assert stranger.ask(method, *arguments, annotations=annotations).value == INVALID_IP
            assert stranger.ask(method, *arguments, keywords={'client': '127.0.0.1'}).value == INVALID_IP
        assert stranger.ask('report_status', annotations=annotations).value['current_steps_1'] == before
    with Raw(shared, CONTROL) as control:
        control.introduce()
        assert control.ask('stop_channel', 1, annotations=annotations).value == SUCCEEDED


def test_a_broken_annotation_does_no_harm(shared: Daemon) -> None:
    request = bytearray(call('report_status', annotations={'ABCD': b'xxxx'}))
    request[24:28] = b'\xff\xff\xff\xff'   # the name is not ASCII, and the length leads beyond the end
    request[28:30] = b'\xff\xff'
    with Raw(shared, STRANGER) as raw:
        raw.introduce()
        raw.send(bytes(request))
        assert raw.reply().value['status_1'] == IDLE


@pytest.mark.parametrize(('machines', 'allowed'), [
    (['LocalHost'], {'127.0.0.1': True, STRANGER: False, '::1': False}),
    (['Six'], {'127.0.0.1': False, STRANGER: False, '::1': True}),
], ids=['IPv4', 'IPv6'])
def test_an_ipv4_client_of_an_ipv6_socket_is_who_it_is(tmp_path: Path, machines: list[str],
                                                       allowed: dict[str, bool]) -> None:
    if not socket.has_dualstack_ipv6():
        pytest.skip('this machine has no IPv6')
    daemon = dual_stack_daemon(tmp_path, control_machines=machines, connect_on_start=True)
    try:
        eventually(lambda: daemon.state(1) == IDLE)
        for source, may in allowed.items():
            with Raw(daemon, source, to='::1' if ':' in source else '127.0.0.1') as raw:
                raw.introduce()
                assert raw.ask('stop_channel', 1).value == (SUCCEEDED if may else INVALID_IP), source
    finally:
        daemon.kill()


# Life and death

def test_a_client_killed_in_a_move_disturbs_nothing(daemon: Daemon) -> None:
    client = subprocess.Popen([sys.executable, str(TOP / 'focus'), 'set', '1', '6000'], env=daemon.environment)
    eventually(lambda: daemon.state(1) == MOVING)
    client.kill()
    client.wait()
    assert daemon.call('set_focus', 2, -300) == SUCCEEDED
    eventually(lambda: daemon.state(1) == IDLE)
    assert daemon.steps(1) == 6000
    with Raw(daemon) as raw:
        raw.introduce()
        raw.send(call('set_focus', 1, 1000))
        eventually(lambda: daemon.state(1) == MOVING)
        raw.reset()
    eventually(lambda: daemon.state(1) == IDLE)
    assert daemon.steps(1) == 1000
    assert daemon.call('set_focus', 1, 0) == SUCCEEDED
    assert 'Traceback' not in daemon.log


@pytest.mark.parametrize('say', [b'', introduction()], ids=['silent', 'idle'])
def test_a_crowd_does_not_keep_the_process_from_ending(daemon: Daemon, say: bytes) -> None:
    with crowd(daemon, 200, STRANGER, say), crowd(daemon, 200, CONTROL, say):
        move = daemon.begin('set_focus', 1, 45000)
        eventually(lambda: daemon.state(1) == MOVING)
        daemon.process.send_signal(signal.SIGTERM)
        assert daemon.process.wait(2) == 0
        assert move.wait() == FAILED
    assert 'Traceback' not in daemon.log

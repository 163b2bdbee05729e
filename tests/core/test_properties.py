# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for any bytes and for all values: the reader, the conversation, and driver and simulator on one wire."""

from __future__ import annotations

import itertools
import pickle
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.core.world import World
from warwick.observatory.focuslynx.constants import FocuserStatus
from warwick.observatory.focuslynx.core.commands import MoveFocuser, Outcome
from warwick.observatory.focuslynx.core.reply_parser import ReplyParser
from warwick.observatory.focuslynx.core.reports import ConfigReport, GetConfig, GetStatus, StatusReport
from warwick.observatory.focuslynx.core.requests import (
    MAX_COUNTS,
    Halt,
    HubError,
    MoveTo,
    Refused,
    Reply,
    Request,
    Sync,
)
from warwick.observatory.focuslynx.simulator.model import Hub
from warwick.observatory.focuslynx.simulator.settings import TYPES, default_max_pos, is_homing

REQUESTS: list[Request] = [GetStatus(1), GetStatus(2), GetConfig(1), GetConfig(2), MoveTo(1, 500), Halt(2), Sync(1, 7)]

MOST_HELD_BYTES = 128 * 1024
"""More than the largest report that is read: 64 fields of 256 bytes, each perhaps shown as `\\\\xff`."""

# Pieces of real replies and of similar bytes; hypothesis puts anything between them.
FRAGMENTS = [
    b'!\n', b'!', b'\n', b'\r\n', b'STATUS1\n', b'STATUS2\n', b'STATUS\n', b'CONFIG1\n', b'CONFIG2\n', b'END\n',
    b'M\n', b'H\n', b'SET\n', b'HALTED\n', b'ER=3 Unknown Command Received\n', b'ER=99999 \n', b'ER=\n',
    b'Temp(C)  = +21.7\n', b'Temp(C)  = NP\n', b'Curr Pos = 035000\n', b'Curr Pos = 9999999999\n',
    b'Targ Pos = 040000\n', b'IsMoving = 0\n',
    b'IsMoving = 1\n', b'IsHoming = 0\n', b'Max Pos  = 065535\n', b'Nickname = a=b\n', b'Dev Typ  = FA\n',
    b'TComp ON = 0\n', b'TC@Start = 0\n', b'BLC En   = 0\n', b'=\n', b' = \n', b'\x1c\n', b'\x85\xa0\n', b'x' * 257]
NOISE = st.one_of(st.sampled_from(FRAGMENTS), st.binary(max_size=60))
STREAMS = st.lists(NOISE, max_size=30).map(b''.join)
CUTS = st.lists(st.integers(0, 1500), max_size=12)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    return [data[a:b] for a, b in zip(edges, edges[1:])]


def held_bytes(reader: ReplyParser) -> int:
    """How many bytes a reader holds, in any attribute."""
    return len(pickle.dumps(vars(reader)))


def fate(request: Request, stream: list[bytes], skip_stale: bool) -> object:
    """What becomes of a request that is answered with this."""
    reader = ReplyParser(request, skip_stale)
    try:
        for piece in stream:
            reply = reader.feed(piece)
            if reply is not None:
                return reply
    except HubError as error:
        return type(error), str(error)
    return reader.acknowledged


# The reader

@settings(max_examples=250, deadline=None)
@given(request=st.sampled_from(REQUESTS), skip_stale=st.booleans(), stream=STREAMS, cuts=CUTS)
def test_any_bytes_end_in_a_reply_a_short_error_or_waiting(
        request: Request, skip_stale: bool, stream: bytes, cuts: list[int]) -> None:
    found = fate(request, [stream], skip_stale)
    if isinstance(found, tuple):
        assert issubclass(found[0], HubError)
        assert '\n' not in found[1] and len(found[1]) < 200
    else:
        assert isinstance(found, (StatusReport, ConfigReport, str, bool))
    assert fate(request, pieces(stream, cuts), skip_stale) == found, 'the pieces make a difference'


def endless(flood: str, request: Request) -> Iterator[bytes]:
    begin = b'!\n' + f'{request.header}{request.channel}\n'.encode()
    if flood == 'noise without a line end':
        return itertools.repeat(b'\xff' * 4096)
    if flood == 'a field without a line end':
        return itertools.chain([begin + b'Nickname = '], itertools.repeat(b'x' * 4096))
    if flood == 'single bytes without a line end':
        return itertools.repeat(b'x')
    if flood == 'empty lines':
        return itertools.repeat(b'\r\n' * 2048)
    if flood == 'acknowledgements':
        return itertools.repeat(b'!\n' * 2048)
    if flood == 'lines of another conversation':
        return itertools.repeat(b'GPRMC,1,2,3*00\r\n' * 256)
    if flood == 'a report without END, of ever new keys':
        fields = (b'%d%s = %s\n' % (n, b'k' * 100, b'\xff' * 100) for n in itertools.count())
        return itertools.chain([begin], (b''.join(itertools.islice(fields, 10)) for _ in itertools.count()))
    if flood == 'a report without END, of lines without a key':
        return itertools.chain([begin], itertools.repeat(b'nothing to be read\n' * 200))
    if flood == 'headers':
        return itertools.repeat(begin)
    raise ValueError(flood)


@pytest.mark.parametrize('skip_stale', [False, True], ids=['', 'skipping stale replies'])
@pytest.mark.parametrize('request_', [GetStatus(1), GetConfig(2), MoveTo(1, 500)], ids=str)
@pytest.mark.parametrize('flood', [
    'noise without a line end', 'a field without a line end', 'single bytes without a line end', 'empty lines',
    'acknowledgements', 'lines of another conversation', 'a report without END, of ever new keys',
    'a report without END, of lines without a key', 'headers'])
def test_a_flood_is_refused_or_passed_over_and_never_kept(flood: str, request_: Request, skip_stale: bool) -> None:
    reader = ReplyParser(request_, skip_stale)
    for piece in itertools.islice(endless(flood, request_), 150):
        try:
            assert reader.feed(piece) is None
        except HubError:
            return
        assert held_bytes(reader) < MOST_HELD_BYTES


@settings(max_examples=200, deadline=None)
@given(stale=STREAMS, request=st.sampled_from([GetStatus(1), GetStatus(2), GetConfig(1), GetConfig(2)]))
def test_a_report_is_read_after_any_bytes_without_its_header(
        stale: bytes, request: Request) -> None:
    header = request.header.encode()
    assume(header not in stale)
    reply = Hub({'channels': '1,2'}).receive(request.encode(), 0.0)
    expected = ReplyParser(request).feed(reply)
    for line_end in (b'\n', b'\n\n'):
        assume(max(len(line) for line in stale.split(b'\n')) <= 256)
        assert ReplyParser(request, skip_stale=True).feed(stale + line_end + reply) == expected


# The conversation

LATE_S = st.sampled_from([None, -1.0, 0.02, 0.5, 1.9, 2.1, 3.0, 4.5])

# When the hub speaks: at once, in the next exchange, or when that has been given up.
GARBAGE = st.lists(st.tuples(st.sampled_from([0.0, 0.001, 0.02, 0.3, 1.0, 2.5]), NOISE), max_size=8)


class Interrupted:
    """The simulated hub, one of whose replies is garbage instead. `late_s` after it the reply itself comes: never if
    negative; None means that the request was lost, too. Requests in between are answered after that, in order."""

    def __init__(self, world: World, spoilt: int, garbage: list[tuple[float, bytes]], late_s: float | None) -> None:
        self._world = world
        self._left = spoilt
        self._garbage = garbage
        self._late_s = late_s
        self._free_at = 0.0
        world.answers(self.answer)

    def answer(self, request: bytes) -> list[tuple[float, bytes]]:
        self._left -= 1
        now = self._world.now
        if self._left != 0:
            self._free_at = max(self._free_at, now + 0.015)
            return [(self._free_at - now, self._world.hub.receive(request, now))]
        if self._late_s is None:
            return self._garbage
        reply = self._world.hub.receive(request, now)
        if self._late_s < 0:
            return self._garbage
        self._free_at = now + self._late_s
        return [*self._garbage, (self._late_s, reply)]

    @property
    def over(self) -> bool:
        return self._left <= 0


def truth(world: World) -> list[int]:
    world.hub.advance(world.now)
    return [world.hub.focusers[n].position - world.hub.focusers[n].memory.max_pos // 2 for n in (1, 2)]


def all_idle(world: World) -> bool:
    return all(world.snapshot(n).status == FocuserStatus.Idle for n in (1, 2))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(spoilt=st.integers(1, 9), garbage=GARBAGE, late_s=LATE_S)
def test_garbage_in_place_of_a_reply_is_over_in_bounded_time(
        spoilt: int, garbage: list[tuple[float, bytes]], late_s: float | None) -> None:
    world = World().connected()
    interrupted = Interrupted(world, spoilt, garbage, late_s)
    assert world.until(lambda: interrupted.over, 60)
    world.hub.focusers[1].place(32767 + 100)
    world.hub.focusers[2].place(32767 - 100)
    assert world.until(lambda: all_idle(world) and [world.snapshot(n).current_steps for n in (1, 2)] == [100, -100], 40)
    spoken = len(world.sent)
    for _ in range(60):
        world.run(0.5)
        assert all_idle(world)
        assert [world.snapshot(n).current_steps for n in (1, 2)] == [100, -100]
    assert len(world.sent) - spoken >= 12, 'both channels are polled every 5 s'
    assert world.do(MoveFocuser(2, 250)) is Outcome.DONE
    assert truth(world) == [100, 250]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(spoilt=st.integers(1, 12), garbage=GARBAGE, late_s=LATE_S)
def test_garbage_during_a_move_does_not_falsify_its_outcome(spoilt: int, garbage: list[tuple[float, bytes]],
                                                   late_s: float | None) -> None:
    world = World().connected()
    Interrupted(world, spoilt, garbage, late_s)
    outcome = world.do(MoveFocuser(1, 700), world.settings.move_timeout_s + 10)
    assert outcome in (Outcome.DONE, Outcome.FAILED)
    if outcome is Outcome.DONE:
        assert truth(world)[0] == 700 and not world.hub.focusers[1].moving
    assert world.until(lambda: all_idle(world), 40)
    world.run(15)
    assert all_idle(world)
    assert [world.snapshot(n).current_steps for n in (1, 2)] == truth(world)
    assert world.do(MoveFocuser(1, -300)) is Outcome.DONE
    assert truth(world)[0] == -300


# Driver and simulator

def exchange(hub: Hub, request: Request, now: float = 0.0) -> Reply:
    """What the core reads in the answer of the simulator. Raises HubError."""
    reply = ReplyParser(request).feed(hub.receive(request.encode(), now))
    assert reply is not None
    return reply


CHANNELS = st.sampled_from([1, 2])
RANGES = st.one_of(st.sampled_from(sorted({default_max_pos(kind) for kind in TYPES})), st.integers(1, MAX_COUNTS))
SYNCING = [kind for kind in TYPES if not is_homing(kind) and kind != 'ZZ']


@pytest.mark.parametrize('channel', [1, 2])
def test_every_count_is_read_as_sent(channel: int) -> None:
    hub = Hub({'channels': '1,2', 'max_pos': str(MAX_COUNTS), 'speed': '100000'})
    mine, other = hub.focusers[channel], hub.focusers[3 - channel]
    position_before = other.position
    # A prime stride over all counts, and all around those at which a digit is gained
    every = {*range(0, MAX_COUNTS + 1, 101), MAX_COUNTS}
    every |= {edge + near for edge in (20, 100, 1000, 10_000, 100_000) for near in range(-20, 21)}
    now = 0.0
    for counts in sorted(every):
        assert exchange(hub, Sync(channel, counts), now) == 'SET'
        assert mine.position == counts
        if counts:
            assert exchange(hub, MoveTo(channel, counts - 1), now) == 'M'
            assert (mine.target, mine.moving) == (counts - 1, True)
            now += 1
            hub.advance(now)
            assert (mine.position, mine.moving) == (counts - 1, False)
    assert other.position == position_before


@settings(max_examples=300, deadline=None)
@given(channel=CHANNELS, max_pos=RANGES, counts=st.integers(0, MAX_COUNTS), near=st.booleans(),
       kind=st.sampled_from(SYNCING), sync=st.booleans())
def test_a_position_is_accepted_only_inside_the_range(
        channel: int, max_pos: int, counts: int, near: bool, kind: str, sync: bool) -> None:
    if near:
        counts = min(max(max_pos + counts % 5 - 2, 0), MAX_COUNTS)
    hub = Hub({'channels': '1,2', f'type.{channel}': kind, f'max_pos.{channel}': str(max_pos)})
    mine = hub.focusers[channel]
    before = mine.position
    request: Request = Sync(channel, counts) if sync else MoveTo(channel, counts)
    if counts > max_pos:
        with pytest.raises(Refused) as refusal:
            exchange(hub, request)
        assert refusal.value.number == 1
        hub.advance(1e5)
        assert mine.position == before
    else:
        assert exchange(hub, request) == ('SET' if sync else 'M')
        hub.advance(1e5)
        assert mine.position == mine.target == counts


@settings(max_examples=50, deadline=None)
@given(channel=CHANNELS, counts=st.integers(0, MAX_COUNTS), at=st.integers(0, MAX_COUNTS), ran_s=st.floats(0, 500))
def test_a_halt_stops_the_motion_that_was_sent(channel: int, counts: int, at: int, ran_s: float) -> None:
    hub = Hub({'channels': '1,2', 'max_pos': str(MAX_COUNTS), f'position.{channel}': str(at)})
    exchange(hub, MoveTo(channel, counts))
    hub.advance(ran_s)
    assert exchange(hub, Halt(channel), ran_s) == 'HALTED'
    stopped = hub.focusers[channel].position
    status = exchange(hub, GetStatus(channel), ran_s + 100)
    assert isinstance(status, StatusReport)
    assert (status.counts, status.target_counts, status.moving) == (stopped, stopped, False)


@settings(max_examples=250, deadline=None)
@given(channel=CHANNELS, max_pos=RANGES, data=st.data(), kind=st.sampled_from([*TYPES[:-1]]),
       tenths=st.one_of(st.none(), st.integers(-600, 800)), when=st.floats(0, 200), motion=st.sampled_from(
           ['none', 'MA', 'HOME', 'hand']), flags=st.lists(st.sampled_from(
               ['reverse', 'ff_detect', 'hand_controller', 'no_reverse_line']), unique=True))
def test_every_status_that_a_hub_can_report_is_read(
        channel: int, max_pos: int, data: st.DataObject, kind: str, tenths: int | None, when: float, motion: str,
        flags: list[str]) -> None:
    position = data.draw(st.integers(0, max_pos))
    hub = Hub({'channels': '1,2', f'type.{channel}': kind, f'max_pos.{channel}': str(max_pos),
               f'position.{channel}': str(position), 'start_latency': '0.1',
               f'probe.{channel}': 'NP' if tenths is None else str(tenths / 10), **dict.fromkeys(flags, '1')})
    if motion == 'hand':
        hub.hand(channel, data.draw(st.integers(-max_pos, max_pos)), 0.0)
    elif motion == 'MA':
        exchange(hub, MoveTo(channel, data.draw(st.integers(0, max_pos))))
    elif motion == 'HOME':
        hub.receive(f'<F{channel}HOME>'.encode(), 0.0)
    focuser = hub.focusers[channel]
    status = exchange(hub, GetStatus(channel), when)
    assert status == StatusReport(
        counts=focuser.position, target_counts=focuser.target, moving=focuser.moving or focuser.homing,
        temperature_c=None if tenths is None else tenths / 10, probe_present=tenths is not None,
        homing=focuser.homing, homed=focuser.homed, hand_controller='hand_controller' in flags, remote=False,
        reverse=None if 'no_reverse_line' in flags else 'reverse' in flags)
    other = exchange(hub, GetStatus(3 - channel), when)
    assert isinstance(other, StatusReport)
    assert (other.counts, other.target_counts, other.moving, other.temperature_c) == (32767, 32767, False, 21.7)


@pytest.mark.parametrize('channel', [1, 2])
def test_every_temperature_is_read_as_reported(channel: int) -> None:
    hub = Hub({'channels': '1,2'})
    for tenths in range(-600, 801):
        hub.set(f'probe.{channel}', str(tenths / 10), 0.0)
        status = exchange(hub, GetStatus(channel))
        assert isinstance(status, StatusReport)
        assert status.temperature_c == tenths / 10


@pytest.mark.parametrize('celsius', ['-60.1', '80.1', '-161.6', '-700', '700'])
def test_a_temperature_that_no_site_has_is_none(celsius: str) -> None:
    status = exchange(Hub({'probe': celsius}), GetStatus(1))
    assert isinstance(status, StatusReport)
    assert (status.temperature_c, status.probe_present) == (None, True)


COEFFICIENTS = st.lists(st.integers(-9999, 9999), min_size=5, max_size=5)
INTERFERING = {'tcomp': 'TComp ON', 'tc_at_start': 'TC@Start', 'backlash': 'BLC En'}
CONFIGURATIONS = st.fixed_dictionaries({
    'type': st.sampled_from(TYPES), 'max_pos': st.integers(1, MAX_COUNTS).map(str),
    'nickname': st.from_regex(r'[ -;=?-~]{1,16}', fullmatch=True),
    'backlash_steps': st.integers(0, 99).map(str), 'tc_mode': st.sampled_from('ABCDE'),
    'tempco': COEFFICIENTS.map(lambda values: ','.join(map(str, values))),
    'led': st.integers(0, 100).map(str),
    **dict.fromkeys([*INTERFERING, 'reverse', 'home_on_start_line', 'tc_mode_empty'], st.sampled_from('01'))})


@settings(max_examples=250, deadline=None)
@given(channel=CHANNELS, chosen=CONFIGURATIONS)
def test_every_configuration_that_a_hub_can_report_is_read(channel: int, chosen: dict[str, str]) -> None:
    mine: dict[str, Any] = {
        name if name in ('led', 'home_on_start_line', 'tc_mode_empty') else f'{name}.{channel}': value
        for name, value in chosen.items()}
    hub = Hub({'channels': '1,2', **mine})
    config = exchange(hub, GetConfig(channel))
    assert isinstance(config, ConfigReport)
    # Blanks at the ends of a nickname do not survive: a line may be padded.
    assert (config.nickname, config.device_type, config.max_counts) == (
        chosen['nickname'].strip(), chosen['type'], int(chosen['max_pos']))
    assert sorted(text.rpartition('(')[2] for text in config.self_moving_settings) == sorted(
        f'{key} = 1)' for name, key in INTERFERING.items() if chosen[name] == '1')
    assert (config.slot, config.backlash_steps, config.led, config.coefficients) == (
        chosen['tc_mode'], int(chosen['backlash_steps']), int(chosen['led']),
        tuple(int(each) for each in chosen['tempco'].split(',')))
    other = exchange(hub, GetConfig(3 - channel))
    assert isinstance(other, ConfigReport)
    assert (other.nickname, other.device_type, other.max_counts, other.self_moving_settings) == (
        f'FocusLynx Foc{3 - channel}', 'FA', 65535, ())

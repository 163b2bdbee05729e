# SPDX-License-Identifier: GPL-3.0-or-later
"""The line between hub and host: timing and faults, in simulated time."""
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warwick.observatory.focuslynx.simulator import Hub, Line, LineFaults, LinkLost
from warwick.observatory.focuslynx.simulator.link import BYTE_S

HELLO, NAME_1, NAME_2 = b'<F1HELLO>', b'!\nFocusLynx Foc1\n', b'!\nFocusLynx Foc2\n'


@pytest.fixture
def line() -> Line:
    return Line(Hub())


def ask(line: Line, now: float, request: bytes = HELLO) -> bytes:
    line.write(request, now)
    return line.read(now)


def drain(line: Line, now: float) -> tuple[bytes, float]:
    """All that comes, and when the last of it came; looking only when the line says so."""
    got = line.read(now)
    while True:
        due = line.next_event()
        if due is None:
            return got, now
        assert due >= now
        now = due
        before = line.next_event()
        got += line.read(now)
        assert line.next_event() != before, 'nothing came when something was due'


def test_without_faults_a_reply_is_there_at_once(line: Line) -> None:
    assert ask(line, 0.0) == NAME_1
    assert line.next_event() is None


def test_a_command_may_come_in_pieces(line: Line) -> None:
    for byte in HELLO[:-1]:
        assert ask(line, 0.0, bytes([byte])) == b''
    assert ask(line, 0.0, b'>') == NAME_1


class TestMute:
    def test_replies_are_lost_and_commands_carried_out(self, line: Line) -> None:
        line.faults.mute()
        assert ask(line, 0.0, b'<F1SCNNx>') == b''
        line.faults.unmute()
        assert ask(line, 1.0) == b'!\nx\n'

    def test_it_may_end_by_itself(self, line: Line) -> None:
        line.faults.mute(until=2.5)
        assert ask(line, 2.4) == b''
        assert ask(line, 2.5) == NAME_1

    def test_a_number_of_replies(self, line: Line) -> None:
        line.faults.mute_next = 2
        assert [ask(line, 0.0) for _ in range(3)] == [b'', b'', NAME_1]

    def test_two_commands_at_once_count_as_two(self, line: Line) -> None:
        line.faults.mute_next = 1
        assert ask(line, 0.0, b'<F1HELLO><F2HELLO>') == NAME_2


class TestDeaf:
    def test_commands_are_lost(self, line: Line) -> None:
        line.faults.deafen()
        assert ask(line, 0.0, b'<F1SCNNx>') == b''
        line.faults.undeafen()
        assert ask(line, 0.0) == NAME_1

    def test_it_may_end_by_itself(self, line: Line) -> None:
        line.faults.deafen(until=2.5)
        assert ask(line, 2.4) == b''
        assert ask(line, 2.5) == NAME_1

    def test_a_number_of_commands_however_they_are_cut(self, line: Line) -> None:
        line.faults.lose_requests = 2
        assert ask(line, 0.0, b'<F1SC') == b''
        assert ask(line, 0.0, b'NNx><F1SCNNy><F1HELLO>') == NAME_1


class TestSpoiltReplies:
    def test_cut_ones_end_in_their_middle_or_where_wanted(self, line: Line) -> None:
        line.faults.cut = 1
        assert ask(line, 0.0) == NAME_1[:8]
        line.faults.cut, line.faults.cut_keep = 1, 3
        assert ask(line, 0.0) == NAME_1[:3]
        assert ask(line, 0.0) == NAME_1

    def test_nothing_is_left_of_one_cut_at_zero(self, line: Line) -> None:
        line.faults.cut, line.faults.cut_keep = 1, 0
        assert ask(line, 0.0) == b''

    def test_garbled_ones_have_their_length_and_other_bytes(self, line: Line) -> None:
        line.faults.garble = 2
        spoilt = [ask(line, 0.0), ask(line, 0.0)]
        assert all(len(reply) == len(NAME_1) and reply != NAME_1 for reply in spoilt)
        assert ask(line, 0.0) == NAME_1

    def test_the_seed_decides_how(self) -> None:
        def garbled(seed: str) -> bytes:
            line = Line(Hub())
            line.faults.set('seed', seed)
            line.faults.garble = 1
            return ask(line, 0.0)
        assert garbled('5') == garbled('5') != garbled('6')

    def test_garbage_comes_before_the_acknowledgement(self, line: Line) -> None:
        line.faults.garbage = 1
        reply = ask(line, 0.0)
        assert reply.endswith(NAME_1) and len(reply) > len(NAME_1) and b'\n' not in reply[:-len(NAME_1)]
        assert ask(line, 0.0) == NAME_1

    def test_doubled_ones_come_twice(self, line: Line) -> None:
        line.faults.double = 1
        assert ask(line, 0.0) == NAME_1 * 2
        assert ask(line, 0.0) == NAME_1

    def test_a_counter_waits_for_a_reply(self, line: Line) -> None:
        line.faults.double = 1
        ask(line, 0.0, b'noise')
        assert ask(line, 0.0) == NAME_1 * 2


class TestDelay:
    def test_replies_come_later(self, line: Line) -> None:
        line.faults.settings.delay = 0.4
        assert ask(line, 1.0) == b''
        assert line.next_event() == pytest.approx(1.4)
        assert line.read(1.39) == b''
        assert line.read(1.4) == NAME_1

    def test_they_keep_their_order_when_it_shrinks(self, line: Line) -> None:
        line.faults.settings.delay = 0.4
        line.write(HELLO, 0.0)
        line.faults.settings.delay = 0.0
        assert ask(line, 0.1, b'<F2HELLO>') == b''
        assert line.read(0.4) == NAME_1 + NAME_2

    def test_the_command_itself_is_carried_out_at_once(self, line: Line) -> None:
        line.faults.settings.delay = 0.4
        line.write(b'<F1SCNNx>', 0.0)
        assert line.hub.focusers[1].memory.nickname == 'x'


class TestDrip:
    def test_bytes_come_one_by_one(self, line: Line) -> None:
        line.faults.settings.drip = 0.05
        got = [ask(line, 0.0)]
        for _ in range(len(NAME_1) - 1):
            due = line.next_event()
            assert due is not None
            assert line.read(due - 0.01) == b''
            got.append(line.read(due))
        assert got == [bytes([byte]) for byte in NAME_1]
        assert line.next_event() is None

    def test_the_last_comes_after_all_the_pauses(self, line: Line) -> None:
        line.faults.settings.drip = 0.05
        line.write(HELLO, 0.0)
        reply, end = drain(line, 0.0)
        assert reply == NAME_1
        assert end == pytest.approx(0.05 * (len(NAME_1) - 1))


class TestPace:
    def test_each_byte_takes_its_time_both_ways(self, line: Line) -> None:
        line.faults.settings.pace = True
        line.write(HELLO, 0.0)
        reply, end = drain(line, 0.0)
        assert reply == NAME_1
        assert end == pytest.approx((len(HELLO) + len(NAME_1)) / 11520 + 0.001)

    def test_a_command_is_carried_out_when_its_last_byte_is_there(self, line: Line) -> None:
        line.faults.settings.pace = True
        line.write(b'<F1MA040000>', 0.0)
        line.read(11.9 * BYTE_S)
        assert not line.hub.focusers[1].moving
        line.read(12 * BYTE_S)
        assert line.hub.focusers[1].moving

    def test_commands_and_replies_queue_up(self, line: Line) -> None:
        line.faults.settings.pace = True
        line.write(HELLO * 3, 0.0)
        line.write(HELLO, 0.0)
        reply, end = drain(line, 0.0)
        assert reply == NAME_1 * 4
        assert end >= 4 * len(NAME_1) * BYTE_S

    def test_bytes_arrive_within_a_reply(self, line: Line) -> None:
        line.faults.settings.pace = True
        line.write(HELLO, 0.0)
        begin = len(HELLO) * BYTE_S + 0.001
        assert line.read(begin + 0.5 * BYTE_S) == b''
        assert line.read(begin + 3.5 * BYTE_S) == NAME_1[:3]
        assert line.read(begin + 4.5 * BYTE_S) == NAME_1[3:4]


class TestUnplug:
    def test_an_open_line_is_lost_for_good(self, line: Line) -> None:
        line.faults.unplug()
        for _ in range(2):
            with pytest.raises(LinkLost):
                line.read(0.0)
            with pytest.raises(LinkLost):
                line.write(HELLO, 0.0)
            line.faults.plug()
        line.open(0.0)
        assert ask(line, 0.0) == NAME_1

    def test_it_cannot_be_opened_before_the_plug_is_in(self, line: Line) -> None:
        line.faults.unplug(replug_at=3.0)
        with pytest.raises(LinkLost):
            line.open(2.9)
        line.open(3.0)
        assert ask(line, 3.0) == NAME_1

    def test_a_loss_between_two_looks_is_seen(self, line: Line) -> None:
        line.faults.unplug()
        line.faults.plug()
        with pytest.raises(LinkLost):
            line.read(0.0)

    def test_what_was_on_its_way_is_gone(self, line: Line) -> None:
        line.faults.settings.delay = 0.4
        line.write(HELLO, 0.0)
        line.faults.unplug()
        line.faults.plug()
        line.open(0.1)
        assert line.read(1.0) == b''

    def test_the_hub_moves_on(self, line: Line) -> None:
        line.write(b'<F1MA040000>', 0.0)
        line.faults.unplug()
        line.hub.advance(100.0)
        assert line.hub.focusers[1].position == 40000


def test_faults_are_shared_by_all_lines_of_a_hub() -> None:
    hub, faults = Hub(), LineFaults()
    first, second = Line(hub, faults, port=0), Line(hub, faults, port=1)
    faults.mute_next = 1
    assert [ask(first, 0.0), ask(second, 0.0)] == [b'', NAME_1]


def test_clear_ends_them_all(line: Line) -> None:
    faults = line.faults
    faults.mute()
    faults.deafen()
    faults.mute_next = faults.lose_requests = faults.cut = faults.garble = faults.garbage = faults.double = 5
    faults.set('delay', '5')
    faults.set('drip', '5')
    faults.unplug()
    faults.clear()
    line.open(0.0)
    assert ask(line, 0.0) == NAME_1


@given(requests=st.lists(st.sampled_from([HELLO, b'<F2HELLO>', b'<F1GETSTATUS>', b'<X', b'noise']), max_size=6),
       delay=st.sampled_from([0.0, 0.4]), drip=st.sampled_from([0.0, 0.0001, 0.05]), pace=st.booleans(),
       gap=st.floats(0, 0.1))
def test_timing_changes_no_byte(requests: list[bytes], delay: float, drip: float, pace: bool, gap: float) -> None:
    line = Line(Hub())
    settings = line.faults.settings
    settings.delay, settings.drip, settings.pace = delay, drip, pace
    now, got = 0.0, b''
    for request in requests:
        line.write(request, now)
        now += gap
        got += line.read(now)
    got += drain(line, now)[0]
    assert got == Hub().receive(b''.join(requests), 0.0)


@given(stream=st.lists(st.binary(max_size=40), max_size=8), count=st.integers(0, 20))
def test_no_fault_ever_raises(stream: list[bytes], count: int) -> None:
    line = Line(Hub())
    faults = line.faults
    faults.garble = faults.cut = faults.garbage = faults.double = faults.lose_requests = faults.mute_next = count
    for data in stream:
        ask(line, 0.0, data + b'>' + HELLO)
    faults.clear()
    assert ask(line, 0.0, b'<' + HELLO) == NAME_1

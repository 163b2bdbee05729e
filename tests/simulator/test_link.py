# SPDX-License-Identifier: GPL-3.0-or-later
"""The link between hub and host: timing and faults, in simulated time."""
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warwick.observatory.focuslynx.simulator import Hub, Link, LinkFaults, LinkLost
from warwick.observatory.focuslynx.simulator.link import BYTE_S

HELLO, NAME_1, NAME_2 = b'<F1HELLO>', b'!\nFocusLynx Foc1\n', b'!\nFocusLynx Foc2\n'


@pytest.fixture
def link() -> Link:
    return Link(Hub())


def ask(link: Link, now: float, request: bytes = HELLO) -> bytes:
    link.write(request, now)
    return link.read(now)


def drain(link: Link, now: float) -> tuple[bytes, float]:
    """All that comes, and when the last of it came; looking only when the link says so."""
    got = link.read(now)
    while True:
        due = link.next_event()
        if due is None:
            return got, now
        assert due >= now
        now = due
        before = link.next_event()
        got += link.read(now)
        assert link.next_event() != before, 'nothing came when something was due'


def test_without_faults_a_reply_is_there_at_once(link: Link) -> None:
    assert ask(link, 0.0) == NAME_1
    assert link.next_event() is None


def test_a_command_may_come_in_pieces(link: Link) -> None:
    for byte in HELLO[:-1]:
        assert ask(link, 0.0, bytes([byte])) == b''
    assert ask(link, 0.0, b'>') == NAME_1


class TestMute:
    def test_replies_are_lost_and_commands_carried_out(self, link: Link) -> None:
        link.faults.mute()
        assert ask(link, 0.0, b'<F1SCNNx>') == b''
        link.faults.unmute()
        assert ask(link, 1.0) == b'!\nx\n'

    def test_it_may_end_by_itself(self, link: Link) -> None:
        link.faults.mute(until=2.5)
        assert ask(link, 2.4) == b''
        assert ask(link, 2.5) == NAME_1

    def test_a_number_of_replies(self, link: Link) -> None:
        link.faults.mute_next = 2
        assert [ask(link, 0.0) for _ in range(3)] == [b'', b'', NAME_1]

    def test_two_commands_at_once_count_as_two(self, link: Link) -> None:
        link.faults.mute_next = 1
        assert ask(link, 0.0, b'<F1HELLO><F2HELLO>') == NAME_2


class TestDeaf:
    def test_commands_are_lost(self, link: Link) -> None:
        link.faults.deafen()
        assert ask(link, 0.0, b'<F1SCNNx>') == b''
        link.faults.undeafen()
        assert ask(link, 0.0) == NAME_1

    def test_it_may_end_by_itself(self, link: Link) -> None:
        link.faults.deafen(until=2.5)
        assert ask(link, 2.4) == b''
        assert ask(link, 2.5) == NAME_1

    def test_a_number_of_commands_however_they_are_cut(self, link: Link) -> None:
        link.faults.lose_requests = 2
        assert ask(link, 0.0, b'<F1SC') == b''
        assert ask(link, 0.0, b'NNx><F1SCNNy><F1HELLO>') == NAME_1


class TestSpoiltReplies:
    def test_cut_ones_end_in_their_middle_or_where_wanted(self, link: Link) -> None:
        link.faults.cut = 1
        assert ask(link, 0.0) == NAME_1[:8]
        link.faults.cut, link.faults.cut_keep = 1, 3
        assert ask(link, 0.0) == NAME_1[:3]
        assert ask(link, 0.0) == NAME_1

    def test_nothing_is_left_of_one_cut_at_zero(self, link: Link) -> None:
        link.faults.cut, link.faults.cut_keep = 1, 0
        assert ask(link, 0.0) == b''

    def test_garbled_ones_have_their_length_and_other_bytes(self, link: Link) -> None:
        link.faults.garble = 2
        spoilt = [ask(link, 0.0), ask(link, 0.0)]
        assert all(len(reply) == len(NAME_1) and reply != NAME_1 for reply in spoilt)
        assert ask(link, 0.0) == NAME_1

    def test_the_seed_decides_how(self) -> None:
        def garbled(seed: str) -> bytes:
            link = Link(Hub())
            link.faults.set('seed', seed)
            link.faults.garble = 1
            return ask(link, 0.0)
        assert garbled('5') == garbled('5') != garbled('6')

    def test_garbage_comes_before_the_acknowledgement(self, link: Link) -> None:
        link.faults.garbage = 1
        reply = ask(link, 0.0)
        assert reply.endswith(NAME_1) and len(reply) > len(NAME_1) and b'\n' not in reply[:-len(NAME_1)]
        assert ask(link, 0.0) == NAME_1

    def test_doubled_ones_come_twice(self, link: Link) -> None:
        link.faults.double = 1
        assert ask(link, 0.0) == NAME_1 * 2
        assert ask(link, 0.0) == NAME_1

    def test_a_counter_waits_for_a_reply(self, link: Link) -> None:
        link.faults.double = 1
        ask(link, 0.0, b'noise')
        assert ask(link, 0.0) == NAME_1 * 2


class TestDelay:
    def test_replies_come_later(self, link: Link) -> None:
        link.faults.settings.delay = 0.4
        assert ask(link, 1.0) == b''
        assert link.next_event() == pytest.approx(1.4)
        assert link.read(1.39) == b''
        assert link.read(1.4) == NAME_1

    def test_they_keep_their_order_when_it_shrinks(self, link: Link) -> None:
        link.faults.settings.delay = 0.4
        link.write(HELLO, 0.0)
        link.faults.settings.delay = 0.0
        assert ask(link, 0.1, b'<F2HELLO>') == b''
        assert link.read(0.4) == NAME_1 + NAME_2

    def test_the_command_itself_is_carried_out_at_once(self, link: Link) -> None:
        link.faults.settings.delay = 0.4
        link.write(b'<F1SCNNx>', 0.0)
        assert link.hub.focusers[1].memory.nickname == 'x'


class TestDrip:
    def test_bytes_come_one_by_one(self, link: Link) -> None:
        link.faults.settings.drip = 0.05
        got = [ask(link, 0.0)]
        for _ in range(len(NAME_1) - 1):
            due = link.next_event()
            assert due is not None
            assert link.read(due - 0.01) == b''
            got.append(link.read(due))
        assert got == [bytes([byte]) for byte in NAME_1]
        assert link.next_event() is None

    def test_the_last_comes_after_all_the_pauses(self, link: Link) -> None:
        link.faults.settings.drip = 0.05
        link.write(HELLO, 0.0)
        reply, end = drain(link, 0.0)
        assert reply == NAME_1
        assert end == pytest.approx(0.05 * (len(NAME_1) - 1))


class TestPace:
    def test_each_byte_takes_its_time_both_ways(self, link: Link) -> None:
        link.faults.settings.pace = True
        link.write(HELLO, 0.0)
        reply, end = drain(link, 0.0)
        assert reply == NAME_1
        assert end == pytest.approx((len(HELLO) + len(NAME_1)) / 11520 + 0.001)

    def test_a_command_is_carried_out_when_its_last_byte_is_there(self, link: Link) -> None:
        link.faults.settings.pace = True
        link.write(b'<F1MA040000>', 0.0)
        link.read(11.9 * BYTE_S)
        assert not link.hub.focusers[1].moving
        link.read(12 * BYTE_S)
        assert link.hub.focusers[1].moving

    def test_commands_and_replies_queue_up(self, link: Link) -> None:
        link.faults.settings.pace = True
        link.write(HELLO * 3, 0.0)
        link.write(HELLO, 0.0)
        reply, end = drain(link, 0.0)
        assert reply == NAME_1 * 4
        assert end >= 4 * len(NAME_1) * BYTE_S

    def test_bytes_arrive_within_a_reply(self, link: Link) -> None:
        link.faults.settings.pace = True
        link.write(HELLO, 0.0)
        begin = len(HELLO) * BYTE_S + 0.001
        assert link.read(begin + 0.5 * BYTE_S) == b''
        assert link.read(begin + 3.5 * BYTE_S) == NAME_1[:3]
        assert link.read(begin + 4.5 * BYTE_S) == NAME_1[3:4]


class TestUnplug:
    def test_an_open_link_is_lost_for_good(self, link: Link) -> None:
        link.faults.unplug()
        for _ in range(2):
            with pytest.raises(LinkLost):
                link.read(0.0)
            with pytest.raises(LinkLost):
                link.write(HELLO, 0.0)
            link.faults.plug()
        link.open(0.0)
        assert ask(link, 0.0) == NAME_1

    def test_it_cannot_be_opened_before_the_plug_is_in(self, link: Link) -> None:
        link.faults.unplug(replug_at=3.0)
        with pytest.raises(LinkLost):
            link.open(2.9)
        link.open(3.0)
        assert ask(link, 3.0) == NAME_1

    def test_a_loss_between_two_looks_is_seen(self, link: Link) -> None:
        link.faults.unplug()
        link.faults.plug()
        with pytest.raises(LinkLost):
            link.read(0.0)

    def test_what_was_on_its_way_is_gone(self, link: Link) -> None:
        link.faults.settings.delay = 0.4
        link.write(HELLO, 0.0)
        link.faults.unplug()
        link.faults.plug()
        link.open(0.1)
        assert link.read(1.0) == b''

    def test_the_hub_moves_on(self, link: Link) -> None:
        link.write(b'<F1MA040000>', 0.0)
        link.faults.unplug()
        link.hub.advance(100.0)
        assert link.hub.focusers[1].position == 40000


MOVE, STATUS = b'<F1MA056500>', b'<F1GETSTATUS>'
REFUSED = b'!\nER=1 Unacceptable Parameter Received In Command\n'


@pytest.fixture
def two() -> Link:
    """A link to a hub with two focusers."""
    return Link(Hub({'channels': '1,2'}))


def targets(link: Link) -> tuple[int, int]:
    return link.hub.focusers[1].target, link.hub.focusers[2].target


class TestGarbledRequests:
    def test_the_wanted_digit_becomes_another(self, two: Link) -> None:
        two.faults.garble_requests, two.faults.garble_digit = 1, 6
        ask(two, 0.0, MOVE)
        assert targets(two)[0] in range(56501, 56510)

    def test_the_channel_becomes_the_other_one(self, two: Link) -> None:
        two.faults.garble_requests, two.faults.garble_digit = 1, 0
        ask(two, 0.0, MOVE)
        assert targets(two) == (32767, 56500)

    def test_a_request_without_number_goes_to_the_other_channel(self, two: Link) -> None:
        two.faults.garble_requests = 2
        assert [ask(two, 0.0) for _ in range(3)] == [NAME_2, NAME_2, NAME_1]

    def test_every_digit_may_be_the_one(self) -> None:
        faults = LinkFaults()
        faults.garble_requests = 200
        garbled = [faults.spoil_request(MOVE)[0] for _ in range(200)]
        changed = [[i for i in range(len(MOVE)) if one[i] != MOVE[i]] for one in garbled]
        assert all(len(places) == 1 for places in changed)
        assert {places[0] for places in changed} == {2, 5, 6, 7, 8, 9, 10}
        assert {one[2:3] for one in garbled} == {b'1', b'2'}

    def test_one_without_any_digit_does_not_count(self, two: Link) -> None:
        two.faults.garble_requests = 1
        assert ask(two, 0.0, b'<FHGETHUBINFO>').startswith(b'!\nHUB INFO\n')
        assert ask(two, 0.0) == NAME_2


class TestDoubledRequests:
    def test_the_hub_carries_them_out_twice(self, link: Link) -> None:
        link.faults.double_requests = 1
        assert [ask(link, 0.0), ask(link, 0.0)] == [NAME_1 * 2, NAME_1]

    def test_each_has_its_own_reply(self, link: Link) -> None:
        link.faults.double_requests = link.faults.mute_next = 1
        assert ask(link, 0.0) == NAME_1


class TestDelayedRequests:
    def test_the_hub_gets_them_later(self, link: Link) -> None:
        link.faults.delay_requests = 1
        assert ask(link, 1.0, b'<F1SCNNx>') == b''
        assert link.hub.focusers[1].memory.nickname == 'FocusLynx Foc1'
        assert link.next_event() == pytest.approx(1.3)
        assert link.read(1.31) == b'!\nSET\n'

    def test_a_later_request_does_not_overtake(self, link: Link) -> None:
        link.faults.delay_requests = 1
        link.faults.settings.request_delay = 0.5
        link.write(b'<F1SCNNx>', 0.0)
        assert ask(link, 0.2) == b''
        assert link.read(0.5) == b'!\nSET\n!\nx\n'

    def test_several_are_late_by_the_same_time(self, link: Link) -> None:
        link.faults.delay_requests = 2
        link.write(HELLO + HELLO, 0.0)
        assert link.read(0.3) == NAME_1 * 2


class TestDelayedReplies:
    def test_the_hub_carries_out_the_command_at_once(self, link: Link) -> None:
        link.faults.delay_replies = 1
        assert ask(link, 1.0, b'<F1SCNNx>') == b''
        assert link.hub.focusers[1].memory.nickname == 'x'
        assert link.next_event() == pytest.approx(1.3)
        assert link.read(1.31) == b'!\nSET\n'

    def test_a_later_reply_does_not_overtake(self, link: Link) -> None:
        link.faults.delay_replies = 1
        link.write(b'<F1SCNNx>', 0.0)
        assert ask(link, 0.1) == b''
        assert link.read(0.3) == b'!\nSET\n!\nx\n'

    def test_a_lost_reply_does_not_count(self, link: Link) -> None:
        link.faults.delay_replies = link.faults.mute_next = 1
        assert [ask(link, 0.0), ask(link, 0.0)] == [b'', b'']
        assert link.read(0.3) == NAME_1


def test_one_bit_of_a_reply_is_flipped(link: Link) -> None:
    link.faults.flip_bit = 1
    flipped = [one ^ other for one, other in zip(ask(link, 0.0), NAME_1)]
    assert sum(bin(bits).count('1') for bits in flipped) == 1
    assert len(flipped) == len(NAME_1)
    assert ask(link, 0.0) == NAME_1


class TestRefuse:
    def test_a_command_is_not_carried_out(self, link: Link) -> None:
        link.faults.refuse = 2
        assert [ask(link, 0.0, MOVE), ask(link, 0.0, b'<FHSCLB005>')] == [REFUSED, REFUSED]
        assert (link.hub.focusers[1].target, link.hub.memory.led) == (32767, 75)
        assert ask(link, 0.0, MOVE) == b'!\nM\n'

    @pytest.mark.parametrize('request_', [HELLO, STATUS, b'<F1GETCONFIG>', b'<F1GETTCI>', b'<FHGETHUBINFO>',
                                          b'<F1HALT>'])
    def test_reports_and_halt_are_not_refused(self, link: Link, request_: bytes) -> None:
        link.faults.refuse = 1
        assert ask(link, 0.0, request_) == Hub().receive(request_, 0.0)
        assert ask(link, 0.0, MOVE) == REFUSED

    def test_a_hub_without_power_refuses_nothing(self, link: Link) -> None:
        link.hub.power_off(0.0)
        link.faults.refuse = 1
        assert ask(link, 0.0, MOVE) == b''


class TestStall:
    def test_all_replies_come_in_order_at_its_end(self, link: Link) -> None:
        link.faults.stall(until=2.0)
        link.write(b'<F1SCNNx>', 0.0)
        assert ask(link, 1.0) == b''
        assert link.hub.focusers[1].memory.nickname == 'x'
        assert link.next_event() == 2.0
        assert link.read(1.99) == b''
        assert link.read(2.0) == b'!\nSET\n!\nx\n'

    def test_it_may_be_ended(self, link: Link) -> None:
        link.faults.stall()
        assert ask(link, 0.0) == b''
        assert link.next_event() is None
        link.faults.unstall()
        assert link.read(1.0) == NAME_1

    def test_a_reply_stalls_in_its_middle(self, link: Link) -> None:
        link.faults.settings.drip = 0.1
        assert ask(link, 0.0) == NAME_1[:1]
        link.faults.stall(until=0.35)
        assert link.read(0.3) == b''
        assert link.read(0.36) == NAME_1[1:4]


class TestFlicker:
    def values(self, link: Link, field: bytes, request: bytes, count: int = 20) -> list[bytes]:
        return [ask(link, 0.0, request).split(field)[1].split(b'= ')[1].split(b'\n')[0] for _ in range(count)]

    def test_the_last_digit_is_another_one_in_each_report(self, link: Link) -> None:
        link.faults.flicker(1, 'LED Brt')
        seen = self.values(link, b'LED Brt', b'<F1GETCONFIG>')
        assert {value[:2] for value in seen} == {b'07'}
        assert b'075' not in seen
        assert all(one != other for one, other in zip(seen, seen[1:]))

    def test_a_sign_and_a_point_stay(self, link: Link) -> None:
        link.faults.flicker(1, 'Temp(C)')
        assert {value[:4] for value in self.values(link, b'Temp(C)', STATUS)} == {b'+21.'}

    def test_other_fields_and_channels_are_right(self, two: Link) -> None:
        two.faults.flicker(1, 'Curr Pos')
        assert ask(two, 0.0, b'<F2GETSTATUS>') == two.hub.receive(b'<F2GETSTATUS>', 0.0)
        assert ask(two, 0.0, b'<F1GETCONFIG>') == two.hub.receive(b'<F1GETCONFIG>', 0.0)
        spoilt, true = ask(two, 0.0, STATUS), two.hub.receive(STATUS, 0.0)
        assert sum(one != other for one, other in zip(spoilt.split(b'\n'), true.split(b'\n'))) == 1

    def test_a_value_without_digit_stays(self) -> None:
        link = Link(Hub({'probe': 'NP'}))
        link.faults.flicker(1, 'Temp(C)')
        assert ask(link, 0.0, STATUS) == link.hub.receive(STATUS, 0.0)

    def test_it_may_be_ended(self, link: Link) -> None:
        link.faults.flicker(1, 'Curr Pos')
        link.faults.unflicker()
        assert ask(link, 0.0, STATUS) == link.hub.receive(STATUS, 0.0)


class TestHold:
    def test_requests_reach_the_hub_in_order_at_its_end(self, link: Link) -> None:
        link.faults.hold(until=2.0)
        link.write(b'<F1SCNNx>', 0.0)
        assert ask(link, 1.0) == b''
        assert link.hub.focusers[1].memory.nickname == 'FocusLynx Foc1'
        assert link.next_event() == 2.0
        assert link.read(2.0) == b'!\nSET\n!\nx\n'

    def test_a_motion_begins_when_the_hub_gets_it(self, link: Link) -> None:
        link.faults.hold(until=2.0)
        link.write(b'<F1MA033567>', 0.0)
        assert link.read(50.0) == b'!\nM\n'
        link.hub.advance(50.0)
        assert link.hub.focusers[1].position == 33567

    def test_it_may_be_ended(self, link: Link) -> None:
        link.faults.hold()
        assert ask(link, 0.0) == b''
        assert link.next_event() is None
        link.faults.release(1.0)
        assert link.next_event() == 1.0
        assert link.read(1.0) == NAME_1
        assert ask(link, 1.0) == NAME_1

    def test_an_opened_link_drops_them_and_is_not_held(self, link: Link) -> None:
        link.faults.hold(until=2.0)
        link.write(b'<F1SCNNx>', 0.0)
        link.open(0.5)
        assert ask(link, 0.5) == NAME_1
        assert link.next_event() is None
        assert ask(link, 3.0) == NAME_1

    def test_the_next_hold_holds_an_opened_link(self, link: Link) -> None:
        link.faults.hold(until=2.0)
        link.open(0.5)
        link.faults.hold(until=4.0)
        assert ask(link, 1.0) == b''
        assert link.read(4.0) == NAME_1


class TestDeliverAfterClose:
    @pytest.fixture
    def link(self) -> Link:
        link = Link(Hub())
        link.faults.settings.deliver_after_close = True
        return link

    def test_a_held_request_is_carried_out_and_its_reply_lost(self, link: Link) -> None:
        link.faults.hold(until=2.0)
        link.write(b'<F1SCNNx>', 0.0)
        link.open(0.5)
        assert ask(link, 1.0) == NAME_1
        assert link.next_event() == 2.0
        assert link.read(2.0) == b''
        assert ask(link, 2.0) == b'!\nx\n'

    def test_so_is_one_that_is_late_by_itself(self, link: Link) -> None:
        link.faults.delay_requests = 1
        link.write(b'<F1SCNNx>', 0.0)
        link.open(0.1)
        assert [ask(link, 0.2), ask(link, 0.4)] == [NAME_1, b'!\nx\n']

    def test_one_of_an_unplugged_link_needs_nobody_who_reads(self, link: Link) -> None:
        link.faults.hold(until=2.0)
        link.write(b'<F1SCNNx>', 0.0)
        link.faults.unplug()
        assert not link.is_open(1.0)
        assert link.next_event() == 2.0
        assert not link.is_open(2.0)
        assert link.next_event() is None
        assert link.hub.focusers[1].memory.nickname == 'x'

    def test_requests_of_several_connections_keep_their_order(self, link: Link) -> None:
        link.faults.hold(until=2.0)
        link.write(b'<F1SCNNx>', 0.0)
        link.open(0.5)
        link.faults.hold(until=3.0)
        link.write(b'<F1SCNNy>', 0.6)
        link.open(1.0)
        assert link.read(3.0) == b''
        assert ask(link, 3.0) == b'!\ny\n'

    def test_a_late_look_keeps_the_order_with_new_requests(self, link: Link) -> None:
        link.faults.hold(until=2.0)
        link.write(b'<F1SCNNold>', 0.0)
        link.open(0.5)
        link.faults.delay_requests = 1
        link.write(b'<F1SCNNnew>', 1.0)
        assert link.read(9.0) == b'!\nSET\n'
        assert ask(link, 9.0) == b'!\nold\n'


def test_faults_are_shared_by_all_links_of_a_hub() -> None:
    hub, faults = Hub(), LinkFaults()
    first, second = Link(hub, faults, port=0), Link(hub, faults, port=1)
    faults.mute_next = 1
    assert [ask(first, 0.0), ask(second, 0.0)] == [b'', NAME_1]


def test_clear_ends_them_all(link: Link) -> None:
    faults = link.faults
    faults.mute()
    faults.deafen()
    faults.mute_next = faults.lose_requests = faults.cut = faults.garble = faults.garbage = faults.double = 5
    faults.set('delay', '5')
    faults.set('drip', '5')
    faults.unplug()
    faults.clear()
    link.open(0.0)
    assert ask(link, 0.0) == NAME_1


def test_clear_ends_the_faults_of_requests_and_late_replies(link: Link) -> None:
    faults = link.faults
    faults.garble_requests = faults.double_requests = faults.delay_requests = faults.delay_replies = 5
    faults.flip_bit = faults.refuse = 5
    faults.stall()
    faults.hold()
    faults.flicker(1, 'Curr Pos')
    faults.set('request_delay', '5')
    faults.set('deliver_after_close', '1')
    faults.clear()
    assert faults.truth(0.0) == LinkFaults().truth(0.0)
    assert ask(link, 0.0, STATUS) == link.hub.receive(STATUS, 0.0)
    assert ask(link, 0.0, MOVE) == b'!\nM\n'


@given(requests=st.lists(st.sampled_from([HELLO, b'<F2HELLO>', b'<F1GETSTATUS>', b'<X', b'noise']), max_size=6),
       delay=st.sampled_from([0.0, 0.4]), drip=st.sampled_from([0.0, 0.0001, 0.05]), pace=st.booleans(),
       gap=st.floats(0, 0.1))
def test_timing_changes_no_byte(requests: list[bytes], delay: float, drip: float, pace: bool, gap: float) -> None:
    link = Link(Hub())
    settings = link.faults.settings
    settings.delay, settings.drip, settings.pace = delay, drip, pace
    now, got = 0.0, b''
    for request in requests:
        link.write(request, now)
        now += gap
        got += link.read(now)
    got += drain(link, now)[0]
    assert got == Hub().receive(b''.join(requests), 0.0)


@given(stream=st.lists(st.binary(max_size=40), max_size=8), count=st.integers(0, 20))
def test_no_fault_ever_raises(stream: list[bytes], count: int) -> None:
    link = Link(Hub())
    faults = link.faults
    faults.garble = faults.cut = faults.garbage = faults.double = faults.lose_requests = faults.mute_next = count
    for data in stream:
        ask(link, 0.0, data + b'>' + HELLO)
    faults.clear()
    assert ask(link, 0.0, b'<' + HELLO) == NAME_1


@given(stream=st.lists(st.binary(max_size=40) | st.sampled_from([MOVE, STATUS, b'<F>']), max_size=8),
       count=st.integers(0, 20), field=st.text(max_size=9))
def test_no_fault_of_requests_ever_raises(stream: list[bytes], count: int, field: str) -> None:
    link = Link(Hub())
    faults = link.faults
    faults.garble_requests = faults.double_requests = faults.delay_requests = faults.delay_replies = count
    faults.flip_bit = faults.refuse = count
    faults.flicker(1, field)
    for now, data in enumerate(stream):
        ask(link, float(now), data + b'>' + HELLO)
    faults.clear()
    link.open(10.0)
    assert ask(link, 10.0, b'<F1HALT>') == b'!\nHALTED\n'

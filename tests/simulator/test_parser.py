# SPDX-License-Identifier: GPL-3.0-or-later
"""The byte parser, state by state, and what must hold for any bytes at all."""
from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from warwick.observatory.focuslynx.simulator import Hub

UNKNOWN = b'ER=3 Unknown Command Received\n'
TOO_LONG = b'ER=2 Received Command Was Too Long\n'
NAME_1 = b'!\nFocusLynx Foc1\n'

# Bytes that bring the parser into each of its states, and what they are answered with.
IDLE, GOT_LT, GOT_F, TEXT = b'', b'<', b'<F', b'<F1'


@pytest.mark.parametrize('state, then, replies', [
    (IDLE, b'F1HELLO>', b''),
    (IDLE, b'>', b''),
    (IDLE, b'<F1HELLO>', NAME_1),
    (GOT_LT, b'\r\nF1HELLO>', NAME_1),
    (GOT_LT, b'<F1HELLO>', NAME_1),
    (GOT_LT, b'f1HELLO>', UNKNOWN),
    (GOT_LT, b'>', UNKNOWN),
    (GOT_LT, b' F1HELLO>', UNKNOWN),
    (GOT_F, b'\n\r1HELLO>', NAME_1),
    (GOT_F, b'<F1HELLO>', NAME_1),
    (GOT_F, b'0HELLO>', UNKNOWN),
    (GOT_F, b'3HELLO>', UNKNOWN),
    (GOT_F, b'F1HELLO>', UNKNOWN),
    (GOT_F, b'h>', UNKNOWN),
    (GOT_F, b'>', UNKNOWN),
    (TEXT, b'HE\r\nLLO>', NAME_1),
    (TEXT, b'<F1HELLO>', NAME_1),
    (TEXT, b'HELLO', b''),
    (TEXT, b'HELLO>', NAME_1),
    (TEXT, b'>', b'!\n' + UNKNOWN),
    (TEXT, b'hello>', b'!\n' + UNKNOWN),
    (TEXT, b'HELLO >', b'!\n' + UNKNOWN),
    (TEXT, b'x' * 21 + b'>', b'!\n' + UNKNOWN),
    (TEXT, b'x' * 22, TOO_LONG),
    (TEXT, b'x' * 21 + b'\r\n', b''),
    (TEXT, b'x' * 22 + b'yyy>', TOO_LONG),
    (TEXT, b'x' * 22 + b'><F1HELLO>', TOO_LONG + NAME_1),
    (TEXT, b'\xff\x00>', b'!\n' + UNKNOWN),
])
def test_each_state_treats_each_kind_of_byte_as_described(state: bytes, then: bytes, replies: bytes) -> None:
    assert Hub().receive(state + then, 0.0) == replies


@pytest.mark.parametrize('bad', [b'<X1HELLO>', b'<F3HELLO>', b'<F1' + b'x' * 30 + b'>'])
def test_after_an_error_all_is_ignored_until_the_next_bracket(bad: bytes) -> None:
    hub = Hub()
    hub.receive(bad + b'F1HELLO>>>', 0.0)
    assert hub.receive(b'HELLO><F1HELLO>', 0.0) == NAME_1


def test_an_unfinished_command_waits_for_ever() -> None:
    hub = Hub()
    assert hub.receive(b'<F1HEL', 0.0) == b''
    assert hub.receive(b'LO>', 1e6) == NAME_1


def test_each_port_has_its_own_unfinished_command() -> None:
    hub = Hub()
    hub.receive(b'<F1HEL', 0.0, port=0)
    assert hub.receive(b'<F2HELLO>', 0.0, port=1) == b'!\nFocusLynx Foc2\n'
    assert hub.receive(b'LO>', 0.0, port=0) == NAME_1


def test_a_power_cut_forgets_an_unfinished_command() -> None:
    hub = Hub()
    hub.receive(b'<F1HEL', 0.0)
    hub.power_off(0.0)
    hub.power_on(0.0)
    assert hub.receive(b'LO><F1HELLO>', 0.0) == NAME_1


class TestThirdLynx:
    def test_the_second_channel_is_silent_whatever_it_is_told(self) -> None:
        hub = Hub({'thirdlynx': '1'})
        assert hub.receive(b'<F2GETSTATUS><F2FOO><F2' + b'x' * 30 + b'>', 0.0) == b''

    def test_the_first_channel_and_the_hub_answer(self) -> None:
        hub = Hub({'thirdlynx': '1'})
        assert hub.receive(b'<F2HELLO><F1HELLO>', 0.0) == NAME_1
        assert hub.receive(b'<FHGETHUBINFO>', 0.0).endswith(b'END\n')

    def test_malformed_requests_get_their_errors(self) -> None:
        assert Hub({'thirdlynx': '1'}).receive(b'<F3HELLO>', 0.0) == UNKNOWN


_WORDS = [b'HELLO', b'GETSTATUS', b'GETCONFIG', b'GETTCI', b'HALT', b'HOME', b'CENTER', b'MA', b'MIR', b'MOR', b'ERM',
          b'SCNN', b'SCDT', b'SCCP', b'SCTE', b'SCTM', b'SCTC', b'SCTS', b'SCBE', b'SCBS', b'RESET', b'REVERSE',
          b'SETMAX', b'SETFSS', b'SETINT', b'GETHUBINFO', b'SCLB', b'SWSS', b'WIFIRESET']
_COMMANDS = st.builds(
    lambda target, word, argument: b'<F' + target + word + argument + b'>',
    st.sampled_from([b'1', b'2', b'H', b'3']), st.sampled_from(_WORDS),
    st.one_of(st.just(b''), st.binary(max_size=18), st.from_regex(rb'[A-E01]?[+-]?[0-9]{0,6}', fullmatch=True)))
_STREAMS = st.lists(st.one_of(_COMMANDS, st.binary(max_size=30)), max_size=20).map(b''.join)


@settings(max_examples=300)
@given(stream=_STREAMS, cuts=st.lists(st.integers(0, 600), max_size=20))
def test_any_bytes_get_the_same_replies_however_they_are_cut(stream: bytes, cuts: list[int]) -> None:
    whole, pieces = Hub(), Hub()
    expected = whole.receive(stream, 0.0)
    edges = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    assert b''.join(pieces.receive(stream[a:b], 0.0) for a, b in zip(edges, edges[1:])) == expected
    assert pieces.to_state() == whole.to_state()


@settings(max_examples=300)
@given(stream=st.lists(st.tuples(st.one_of(_COMMANDS, st.binary(max_size=30)), st.floats(0, 1e4)), max_size=20))
def test_every_reply_is_made_of_whole_lines_and_positions_stay_within_the_travel(
        stream: list[tuple[bytes, float]]) -> None:
    hub = Hub({'type.2': 'OE', 'ramp': '0.3', 'start_latency': '0.2'})
    now = 0.0
    for data, pause in stream:
        replies = hub.receive(data, now)
        assert replies == b'' or replies.endswith(b'\n')
        assert b'\r' not in replies
        now += pause
        hub.advance(now)
        for focuser in hub.focusers.values():
            assert isinstance(focuser.position, int)
            assert 0 <= focuser.position <= focuser.memory.max_pos
            assert 0 <= focuser.target <= focuser.memory.max_pos
    # Nothing is left that a new bracket does not clear.
    assert hub.receive(b'<F3', now) == UNKNOWN


@settings(max_examples=100)
@given(stream=_STREAMS)
def test_whatever_was_stored_is_a_state_that_can_be_restored(stream: bytes) -> None:
    hub = Hub({'wifi': '1'})
    hub.receive(stream, 0.0)
    hub.advance(1e6)
    state = hub.to_state()
    assert Hub(memory=state).to_state() == state

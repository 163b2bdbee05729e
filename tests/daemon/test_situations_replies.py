# SPDX-License-Identifier: GPL-3.0-or-later
"""Situations on the wire: replies that are lost, spoilt, cut, slow or late. The real process on a pty, truly paced.

Wanted in each: the move ends with 0 on its target, it was sent once, the channel is Idle by itself and usable.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.daemon import wire
from tests.daemon.wire import SETTINGS, Pieces, Site, Spoil
from tests.simulator.harness import eventually

bench, site, prepare = wire.bench, wire.site, wire.prepare

LATE_S = SETTINGS['serial_timeout'] + 0.3


def lost(reply: bytes) -> Pieces:
    return []


def garbled(reply: bytes) -> Pieces:
    return [(0.0, reply.replace(b'Curr Pos', b'C\xf5rr Pos').replace(b'IsMoving', b'IsM\x00ving'))]


def cut(reply: bytes) -> Pieces:
    return [(0.0, reply[:len(reply) // 2])]


def without_ack(reply: bytes) -> Pieces:
    return [(0.0, reply[2:])]


def noise_in_front(reply: bytes) -> Pieces:
    return [(0.0, b'\xfe\x81\x9c' + reply)]


def line_of_noise_in_front(reply: bytes) -> Pieces:
    return [(0.0, b'\xfe\x81\x9c\n' + reply)]


def cr_lf(reply: bytes) -> Pieces:
    return [(0.0, reply.replace(b'\n', b'\r\n'))]


def an_extra_line(reply: bytes) -> Pieces:
    return [(0.0, reply.replace(b'END\n', b'Home@Str = 1\nEND\n'))]


def doubled(reply: bytes) -> Pieces:
    return [(0.0, reply + reply)]


def late(reply: bytes) -> Pieces:
    return [(LATE_S, reply)]


def dripping(reply: bytes) -> Pieces:
    return [(1 / 20, reply[k:k + 1]) for k in range(len(reply))]


SPOILS = [lost, garbled, cut, without_ack, noise_in_front, line_of_noise_in_front, cr_lf, an_extra_line, doubled, late]


def name(spoil: Spoil) -> str:
    return spoil.__name__.replace('_', ' ')


def check_move_arrives(site: Site) -> None:
    assert site.daemon.call('set_focus', 1, 2000) == 0
    assert site.is_at(1, 2000)
    assert site.wire.sent('F1MA.*') == ['F1MA058000']
    site.wire.heal()
    site.is_well(1, 2)


@pytest.mark.parametrize('after', ['F1MA.*', ''], ids=['during the move', 'before the move'])
@pytest.mark.parametrize('count', [1, 3])
@pytest.mark.parametrize('spoil', SPOILS, ids=map(name, SPOILS))
def test_a_move_whose_status_replies_are_spoilt_arrives(site: Site, spoil: Spoil, count: int, after: str) -> None:
    site.wire.spoil('F1GETSTATUS', spoil, count, after=after)
    check_move_arrives(site)


@pytest.mark.parametrize(('count', 'serial_timeout'), [
    (1, 1), (1, 5), (3, 5)])
def test_a_move_whose_status_replies_drip_arrives(prepare: Callable[..., Site], count: int,
                                                  serial_timeout: float) -> None:
    # At this rate a status takes 8.6 s.
    site = prepare(serial_timeout=serial_timeout, move_timeout=60).connect()
    site.wire.spoil('F1GETSTATUS', dripping, count, after='F1MA.*')
    check_move_arrives(site)


@pytest.mark.parametrize('count', [1, 3])
def test_a_late_reply_from_before_a_move_does_not_answer_it(site: Site, count: int) -> None:
    assert site.daemon.call('set_focus', 1, 2000) == 0
    # What comes late says: at rest on 2000. The second of these moves leads there, and the first does not.
    for steps in (1000, 2000):
        begin = len(site.wire.requests)
        site.wire.spoil('F1GETSTATUS', late, count)
        eventually(lambda begin=begin: site.wire.sent('F1GETSTATUS', begin))   # type: ignore[misc]
        assert site.daemon.call('set_focus', 1, steps) == 0
        assert site.is_at(1, steps)
        assert len(site.wire.sent('F1MA.*', begin)) == 1
        site.wire.heal()
    site.is_well(1, 2)


def test_a_late_reply_is_never_taken_for_the_other_channel(site: Site) -> None:
    assert site.daemon.call('set_focus', 1, 100) == site.daemon.call('set_focus', 2, -100) == 0
    seen: set[tuple[Any, Any]] = set()
    for channel in (1, 2):
        begin = len(site.wire.requests)
        site.wire.spoil(f'F{channel}GETSTATUS', late)

        def asked_again_and_again(begin: int = begin) -> bool:
            report = site.daemon.status()
            seen.add((report['current_steps_1'], report['current_steps_2']))
            return min(len(site.wire.sent(f'F{n}GETSTATUS', begin)) for n in (1, 2)) >= 3

        eventually(asked_again_and_again)
    assert {first for first, _ in seen} <= {100, None}
    assert {second for _, second in seen} <= {-100, None}
    site.is_well(1, 2)


def test_a_late_reply_is_never_taken_for_the_next_one(site: Site) -> None:
    assert site.daemon.call('set_focus', 1, 0) == 0
    begin = len(site.wire.requests)
    site.wire.spoil('F1GETSTATUS', late, 2)
    eventually(lambda: site.wire.sent('F1GETSTATUS', begin))
    # The focuser is elsewhere before the late report of its old place has come.
    site.hub('set position.1 56500')
    eventually(lambda: site.daemon.steps(1) == 500)
    begin = len(site.wire.requests)

    def asked_again_and_again() -> bool:
        assert site.daemon.steps(1) in (500, None), 'the old place is shown again'
        return len(site.wire.sent('F1GETSTATUS', begin)) >= 3

    eventually(asked_again_and_again)
    site.is_well(1, 2)

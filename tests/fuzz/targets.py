# SPDX-License-Identifier: GPL-3.0-or-later
"""What the fuzzer calls with any bytes: each target returns, or raises because something that must hold does not.

The first two bytes of an input are choices, the rest is what comes over the wire:

- reader: byte 0 chooses the request and whether stale replies are skipped, byte 1 the size of the pieces;
- simulator: byte 0 chooses the kind of hub, byte 1 the size of the pieces.
"""

from __future__ import annotations

import pickle
from typing import Callable

from warwick.observatory.focuslynx.core.reply_parser import MAX_LINE, ReplyParser
from warwick.observatory.focuslynx.core.reports import (
    CompensationReport,
    ConfigReport,
    GetCompensation,
    GetConfig,
    GetHubInfo,
    GetStatus,
    HubInfo,
    StatusReport,
)
from warwick.observatory.focuslynx.core.requests import (
    Halt,
    HubError,
    MoveTo,
    Request,
    SeekHome,
    SetSetting,
    Sync,
)
from warwick.observatory.focuslynx.simulator.model import Hub
from warwick.observatory.focuslynx.simulator.personalities import PERSONALITIES

MOST_HELD_BYTES = 128 * 1024
REQUESTS: tuple[Request, ...] = (GetStatus(1), GetStatus(2), GetConfig(1), GetConfig(2), MoveTo(1, 500), Halt(2),
                                 Sync(1, 7), GetCompensation(1), GetCompensation(2), GetHubInfo(1), SeekHome(1),
                                 SetSetting(1, 'SCNNWest'), SetSetting(2, 'SCLB005', of_hub=True))
HUBS: tuple[dict[str, str], ...] = (
    {'channels': '1,2'}, {'type.1': 'OE'}, {'thirdlynx': '1'}, {'wifi': '1', 'channels': '1,2', 'sccp_no_set': '1'},
    {'channels': '1,2', 'ma_over_limit': 'clamp', 'ma_while_moving': 'error', 'no_gettci': '1'},
    {'channels': '1,2', 'type.2': 'OB', 'ramp': '0.3', 'start_latency': '0.2', 'backlash': '1', 'tcomp': '1'},
    *({'personality': name, 'channels': '1,2'} for name in PERSONALITIES))


class Broken(AssertionError):
    """Something that must hold does not."""


def require(condition: bool, text: str) -> None:
    if not condition:
        raise Broken(text)


def reader(data: bytes) -> None:
    """The driver's reader of replies."""
    if len(data) < 2:
        return
    request = REQUESTS[data[0] % len(REQUESTS)]
    skip_stale = data[0] >= 128
    size = 1 + data[1] % 64
    stream = data[2:]
    whole = _fate(request, skip_stale, [stream])
    in_pieces = _fate(request, skip_stale, [stream[i:i + size] for i in range(0, len(stream), size)])
    require(whole == in_pieces, f'{whole!r} in one piece, {in_pieces!r} in pieces of {size}')


def _fate(request: Request, skip_stale: bool, pieces: list[bytes]) -> object:
    reading = ReplyParser(request, skip_stale)
    try:
        for piece in pieces:
            reply = reading.feed(piece)
            if reply is not None:
                _check_reply(request, reply)
                return reply
            require(len(pickle.dumps(vars(reading))) < MOST_HELD_BYTES, 'too much is kept')
    except HubError as error:
        text = str(error)
        require(text.isprintable() and len(text) < 200, f'not one sentence: {text!r}')
        return type(error), text
    require(max((len(line) for line in b''.join(pieces).split(b'\n')), default=0) <= MAX_LINE, 'a long line was taken')
    return reading.acknowledged


def _check_reply(request: Request, reply: object) -> None:
    if isinstance(request, GetStatus):
        require(isinstance(reply, StatusReport), f'{reply!r} to {request}')
        assert isinstance(reply, StatusReport)
        require(min(reply.counts, reply.target_counts) >= 0, 'a negative position')
        require(reply.temperature_c is None or -60 <= reply.temperature_c <= 80, 'an absurd temperature')
    elif isinstance(request, GetConfig):
        require(isinstance(reply, ConfigReport), f'{reply!r} to {request}')
        assert isinstance(reply, ConfigReport)
        require(reply.max_counts >= 0 and reply.nickname.isprintable(), f'{reply!r}')
    elif isinstance(request, GetCompensation):
        require(isinstance(reply, CompensationReport), f'{reply!r} to {request}')
        assert isinstance(reply, CompensationReport)
        require(len(reply.intercepts) == 5, f'{reply!r}')
    elif isinstance(request, GetHubInfo):
        require(isinstance(reply, HubInfo), f'{reply!r} to {request}')
    else:
        require(reply in request.words, f'{reply!r} to {request}')


def simulator(data: bytes) -> None:
    """The simulator's parser, the commands behind it, and what the driver makes of the hub afterwards."""
    if len(data) < 2:
        return
    options = HUBS[data[0] % len(HUBS)]
    size = 1 + data[1] % 64
    stream = data[2:]
    hub, cut_hub = Hub(options), Hub(options)
    replies = hub.receive(stream, 0.0)
    cut = b''.join(cut_hub.receive(stream[i:i + size], 0.0) for i in range(0, len(stream), size))
    require(cut == replies, 'the pieces make a difference to the replies')
    require(cut_hub.truth() == hub.truth(), 'the pieces make a difference to the hub')
    require(replies == b'' or (replies.endswith(b'\n') and b'\r' not in replies), 'not whole lines')
    for now in (0.05, 10.0, 1e5):
        hub.advance(now)
        for focuser in hub.focusers.values():
            require(0 <= focuser.position <= focuser.memory.max_pos, 'a position outside the travel')
            require(0 <= focuser.target <= focuser.memory.max_pos, 'a target outside the travel')
    # The first power-up may note a new reference of the temperature compensation
    state = Hub(memory=hub.to_state()).to_state()
    require(Hub(memory=state).to_state() == state, 'the memory does not survive a power cycle')
    requests: tuple[Request, ...] = (GetStatus(1), GetConfig(1), GetHubInfo(1))
    for request in requests + (() if hub.variants.no_gettci else (GetCompensation(1),)):
        reply = ReplyParser(request).feed(hub.receive(request.encode(), 1e5))
        _check_reply(request, reply)
        if isinstance(reply, StatusReport):
            require(reply.counts == hub.focusers[1].position, 'the driver reads another position')
        if isinstance(reply, ConfigReport):
            require(reply.nickname == hub.focusers[1].memory.nickname.strip(), 'the driver reads another nickname')
            require(reply.coefficients == hub.focusers[1].memory.tempco, 'the driver reads other coefficients')
            require(reply.max_counts == hub.focusers[1].memory.max_pos, 'the driver reads another range')
        if isinstance(reply, CompensationReport):
            require(reply.intercepts == hub.focusers[1].memory.tempin, 'the driver reads other intercepts')
        if isinstance(reply, HubInfo):
            require(reply.firmware == hub.variants.firmware, 'the driver reads another firmware')


TARGETS: dict[str, Callable[[bytes], None]] = {'reader': reader, 'simulator': simulator}

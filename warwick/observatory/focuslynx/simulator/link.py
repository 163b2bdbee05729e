# SPDX-License-Identifier: GPL-3.0-or-later
"""The serial connection between hub and host, with real timing and faults if they are set.

It is pure like the model: it is given bytes and the time, and returns bytes and the time of the next ones. Without
settings and faults a link takes no time and changes no byte.
"""
from __future__ import annotations

import errno
import math
import random
import re
from collections import deque
from dataclasses import asdict, dataclass
from typing import Any

from .command_table import REPORTS_AND_HALT
from .model import Hub
from .settings import LinkSettings, find, read

__all__ = ['BYTE_S', 'Link', 'LinkFaults', 'LinkLost']

# Time of one byte (s): 115200 baud, ten bits per byte.
BYTE_S = 10 / 115200
# A USB adapter delivers bytes once per frame, so a host gains nothing from reading more often.
_USB_FRAME_S = 0.001
_ROUNDING_BYTES = 1e-6
# One whole request, perhaps after noise.
_REQUEST = re.compile(rb'<F([12H])([^<>]*)>$')
_DIGITS = b'0123456789'
_COUNTERS = ('mute_next', 'lose_requests', 'garbage', 'garble', 'cut', 'double', 'flip_bit', 'delay_replies',
             'garble_requests', 'double_requests', 'delay_requests', 'refuse')


class LinkLost(OSError):
    """The hub is unplugged, or has been unplugged since the link was opened."""

    def __init__(self) -> None:
        super().__init__(errno.ENODEV, 'hub is unplugged')


class LinkFaults:
    """The faults and the settings that all links of a hub share.

    A counter applies to that many of the next replies (or requests) on any link. The other faults last until they are
    ended, or for some seconds. A request that the host writes in several parts escapes the faults that change requests.
    """

    def __init__(self, settings: LinkSettings | None = None) -> None:
        self.settings = settings or LinkSettings()
        self.random = random.Random(self.settings.seed)
        self.mute_next = 0
        self.lose_requests = 0
        self.garbage = 0
        self.garble = 0
        self.cut = 0
        self.cut_keep: int | None = None
        self.double = 0
        self.flip_bit = 0
        self.delay_replies = 0
        self.garble_requests = 0
        self.garble_digit: int | None = None   # which digit of the request, from 0 on; 0 is mostly the channel
        self.double_requests = 0
        self.delay_requests = 0
        self.refuse = 0
        self.flickering: tuple[int, str] | None = None   # channel and field
        self.holds = 0
        self.held_until = -math.inf
        self.stalled_until = -math.inf
        self.plugged = True
        self.unplugs = 0
        self.replug_at: float | None = None
        self._mute_until = -math.inf
        self._deaf_until = -math.inf
        self._flickered = 0

    def mute(self, until: float = math.inf) -> None:
        """Lose all replies; the hub carries out the commands all the same."""
        self._mute_until = until

    def unmute(self) -> None:
        self._mute_until = -math.inf

    def is_mute(self, now: float) -> bool:
        return now < self._mute_until

    def deafen(self, until: float = math.inf) -> None:
        """Lose all requests."""
        self._deaf_until = until

    def undeafen(self) -> None:
        self._deaf_until = -math.inf

    def is_deaf(self, now: float) -> bool:
        return now < self._deaf_until

    def stall(self, until: float = math.inf) -> None:
        """Stall all replies on their way; when the stall ends, they come in order."""
        self.stalled_until = until

    def unstall(self) -> None:
        self.stalled_until = -math.inf

    def is_stalled(self, now: float) -> bool:
        return now < self.stalled_until

    def hold(self, until: float = math.inf) -> None:
        """Hold back the requests of all links that are open now; when the hold ends, they reach the hub in order.

        A link that is opened later is not held.
        """
        self.holds += 1
        self.held_until = until

    def release(self, now: float) -> None:
        """End a hold: what it holds back reaches the hub now."""
        self.held_until = min(self.held_until, now)

    def is_holding(self, now: float) -> bool:
        return now < self.held_until

    def flicker(self, channel: int, field: str) -> None:
        """Give the last digit of `field`, such as `LED Brt`, another value in each report of the channel."""
        self.flickering = channel, field
        self._flickered = 0

    def unflicker(self) -> None:
        self.flickering = None

    def unplug(self, replug_at: float | None = None) -> None:
        """Unplug the hub: every open link is lost, and none can be opened until the hub is plugged in again."""
        self.plugged = False
        self.unplugs += 1
        self.replug_at = replug_at

    def plug(self) -> None:
        self.plugged = True
        self.replug_at = None

    def advance(self, now: float) -> None:
        """Plug the hub in again if it is time."""
        if self.replug_at is not None and now >= self.replug_at:
            self.plug()

    def clear(self) -> None:
        """End all faults; settings such as delay return to their defaults, but seed."""
        self.settings = LinkSettings(seed=self.settings.seed)
        for counter in _COUNTERS:
            setattr(self, counter, 0)
        self.unmute()
        self.undeafen()
        self.unstall()
        self.release(-math.inf)
        self.unflicker()
        self.plug()

    def set(self, name: str, text: str) -> None:
        """Change a setting of the link. Raises BadSetting."""
        row, _, value = read(name, text)
        setattr(self.settings, row.name, value)
        if row.name == 'seed':
            self.random.seed(value)

    def take_settings(self, options: dict[str, str]) -> None:
        """Apply those of `options` that are settings of the link, and remove them. Raises BadSetting."""
        for name in [name for name in options if find(name)[0].scope == 'link']:
            self.set(name, options.pop(name))

    def truth(self, now: float) -> dict[str, Any]:
        """All faults and settings as JSON values."""
        return {'plugged': self.plugged, 'mute': self.is_mute(now), 'deaf': self.is_deaf(now),
                'stall': self.is_stalled(now), 'hold': self.is_holding(now),
                'flicker': self.flickering and list(self.flickering),
                **{name: getattr(self, name) for name in _COUNTERS}, **asdict(self.settings)}

    def lateness_of_request(self, piece: bytes) -> float:
        """How much later (s) this request reaches the hub."""
        if self.delay_requests == 0 or not piece.endswith(b'>'):
            return 0.0
        self.delay_requests -= 1
        return self.settings.request_delay

    def lateness_of_reply(self) -> float:
        """How much later (s) the next reply reaches the host."""
        if self.delay_replies == 0:
            return 0.0
        self.delay_replies -= 1
        return self.settings.reply_delay

    def spoil_request(self, request: bytes) -> list[bytes]:
        """Apply the counted faults to a request. The result is what reaches the hub, request by request."""
        whole = _REQUEST.search(request) if self.garble_requests or self.refuse or self.double_requests else None
        if whole is None:
            return [request]
        digits = [index for index in range(whole.start(), len(request)) if request[index] in _DIGITS]
        if self.garble_requests > 0 and digits:
            self.garble_requests -= 1
            index = (self.random.choice(digits) if self.garble_digit is None
                     else digits[min(self.garble_digit, len(digits) - 1)])
            # The digit after <F is the channel.
            others = (b'12' if index == whole.start(1) else _DIGITS).replace(request[index:index + 1], b'')
            request = _with_byte(request, index, self.random.choice(others))
        target, command = request[whole.start(1):whole.end(1)], request[whole.start(2):whole.end(2)]
        if self.refuse > 0 and command.decode('latin-1') not in REPORTS_AND_HALT:
            self.refuse -= 1
            # The hub itself refuses a command that lacks its argument, unless it is silent.
            request = b'<F' + target + (b'SCLB>' if target == b'H' else b'MA>')
        if self.double_requests > 0:
            self.double_requests -= 1
            return [request, request]
        return [request]

    def flickered(self, request: bytes, reply: bytes) -> bytes:
        """Apply `flicker` to the reply to this request."""
        if self.flickering is None or f'<F{self.flickering[0]}'.encode() not in request:
            return reply
        field = re.escape(self.flickering[1].encode('latin-1', 'replace'))
        line = re.search(rb'\n' + field + rb' *= [^\n]*([0-9])[^0-9\n]*\n', reply)
        if line is None:
            return reply
        # Neither the true digit nor that of the report before: two reports in a row never agree.
        self._flickered = self.random.choice([digit for digit in _DIGITS if digit not in (line[1][0], self._flickered)])
        return _with_byte(reply, line.start(1), self._flickered)

    def spoil(self, reply: bytes) -> bytes:
        """Apply the counted faults to a reply. The result is empty if the reply is lost."""
        if self.mute_next > 0:
            self.mute_next -= 1
            return b''
        if self.cut > 0:
            self.cut -= 1
            reply = reply[:len(reply) // 2 if self.cut_keep is None else self.cut_keep]
        if self.garble > 0:
            self.garble -= 1
            reply = self._garbled(reply)
        if self.flip_bit > 0 and reply:
            self.flip_bit -= 1
            index = self.random.randrange(len(reply))
            reply = _with_byte(reply, index, reply[index] ^ 1 << self.random.randrange(8))
        if self.garbage > 0:
            self.garbage -= 1
            # There is no LF in the noise, so it runs into the acknowledgement.
            noise = bytes(self.random.choice(range(0x80, 0x100)) for _ in range(self.random.randint(1, 8)))
            reply = noise + reply
        if self.double > 0:
            self.double -= 1
            reply += reply
        return reply

    def _garbled(self, reply: bytes) -> bytes:
        spoilt = bytearray(reply)
        for index in self.random.sample(range(len(spoilt)), min(len(spoilt), self.random.randint(1, 4))):
            spoilt[index] ^= self.random.randint(1, 255)
        return bytes(spoilt)


@dataclass
class _BytesUnderway:
    """Bytes on their way: byte k arrives at `due + k * spacing` (s)."""

    due: float
    spacing: float
    data: bytes
    arrived: int = 0

    def take(self, now: float) -> bytes:
        if now < self.due:
            return b''
        if self.spacing:
            # `now` may be the exact time that `next_event` gave: a rounding error must not hold back that byte.
            count = min(len(self.data), int((now - self.due) / self.spacing + _ROUNDING_BYTES) + 1)
        else:
            count = len(self.data)
        piece = self.data[self.arrived:count]
        self.arrived = max(self.arrived, count)
        return piece

    @property
    def end(self) -> float:
        return self.due + self.spacing * max(len(self.data) - 1, 0)

    def next_event(self) -> float:
        ahead = max(1, round(_USB_FRAME_S / self.spacing)) if self.spacing else len(self.data)
        return self.due + self.spacing * (min(self.arrived + ahead, len(self.data)) - 1)


class Link:
    """One serial connection from a host to `hub`. `port` is a number that no other link of this hub has.

    Times (s) are those of the hub, and must not run backwards from call to call. A new link is open. After the hub has
    been unplugged, `write` and `read` raise LinkLost until `open` succeeds.
    """

    def __init__(self, hub: Hub, faults: LinkFaults | None = None, port: int = 0) -> None:
        self.hub = hub
        self.faults = faults or LinkFaults()
        self.port = port
        self._requests: deque[_BytesUnderway] = deque()
        self._replies: deque[_BytesUnderway] = deque()
        # Requests of a connection that has ended (deliver_after_close).
        self._left_behind: deque[_BytesUnderway] = deque()
        self._unplugs = self.faults.unplugs
        self._holds = self.faults.holds

    def open(self, now: float) -> None:
        """Begin again, with nothing on its way to the host, nor to the hub unless deliver_after_close is set.

        Raises LinkLost while the hub is unplugged.
        """
        self.faults.advance(now)
        if not self.faults.plugged:
            raise LinkLost()
        self._end()
        self._unplugs = self.faults.unplugs
        self._holds = self.faults.holds
        self._carry(now)

    def is_open(self, now: float) -> bool:
        self.faults.advance(now)
        if self._unplugs != self.faults.unplugs:
            self._end()
            self._carry(now)  # what it delivers after its end
        return self._unplugs == self.faults.unplugs

    def write(self, data: bytes, now: float) -> None:
        """The host sends `data`. Raises LinkLost."""
        self._require_open(now)
        spacing = BYTE_S if self.faults.settings.pace else 0.0
        # One piece per command: each then has its own reply, and the faults apply to each of them.
        for piece in _pieces(data):
            start = now + self.faults.lateness_of_request(piece)
            if self._requests:
                start = max(start, self._requests[-1].end)
            self._requests.append(_BytesUnderway(start + spacing, spacing, piece))
        self._carry(now)

    def read(self, now: float) -> bytes:
        """The bytes that have reached the host since the last call. Raises LinkLost."""
        self._require_open(now)
        self._carry(now)
        arrived: list[bytes] = []
        while self._replies and not self.faults.is_stalled(now):
            underway = self._replies[0]
            arrived.append(underway.take(now))
            if underway.arrived < len(underway.data):
                break
            self._replies.popleft()
        return b''.join(arrived)

    def say(self, data: bytes, now: float) -> None:
        """Have the hub send something without a request."""
        self._send(data, now)

    def next_event(self) -> float | None:
        """When the next bytes will arrive, at either end; None if none are on their way."""
        if not (self._requests or self._left_behind or self._replies):
            return None
        due = min(self._arrival(self._requests), self._arrival(self._left_behind))
        if self._replies:
            due = min(due, max(self._replies[0].next_event(), self.faults.stalled_until))
        return None if math.isinf(due) else due

    def _require_open(self, now: float) -> None:
        if not self.is_open(now):
            raise LinkLost()

    def _end(self) -> None:
        if self.faults.settings.deliver_after_close:
            self._left_behind = deque(sorted([*self._left_behind, *self._requests], key=lambda request: request.end))
        self._requests.clear()
        self._replies.clear()

    def _arrival(self, requests: deque[_BytesUnderway]) -> float:
        """When the first of these requests reaches the hub; infinite if none does."""
        if not requests:
            return math.inf
        held = requests is self._left_behind or self._holds != self.faults.holds
        return max(requests[0].end, self.faults.held_until) if held else requests[0].end

    def _carry(self, now: float) -> None:
        while self._requests or self._left_behind:
            requests = min(self._left_behind, self._requests, key=self._arrival)
            arrival = self._arrival(requests)
            if arrival > now:
                return
            self._deliver(requests.popleft().data, arrival, answered=requests is self._requests)

    def _deliver(self, piece: bytes, now: float, answered: bool) -> None:
        faults = self.faults
        if faults.is_deaf(now):
            return
        if faults.lose_requests > 0:
            if piece.endswith(b'>'):
                faults.lose_requests -= 1
            return
        for request in faults.spoil_request(piece):
            reply = self.hub.receive(request, now, self.port)
            if reply and answered and not faults.is_mute(now):
                reply = faults.spoil(faults.flickered(request, reply))
                if reply:
                    self._send(reply, now + faults.lateness_of_reply())

    def _send(self, reply: bytes, now: float) -> None:
        settings = self.faults.settings
        due = now + settings.delay
        spacing = settings.drip
        if settings.pace:
            due += settings.hub_latency
            spacing = max(spacing, BYTE_S)
        if self._replies:
            due = max(due, self._replies[-1].end)
        if settings.pace:
            due += BYTE_S
        self._replies.append(_BytesUnderway(due, spacing, reply))


def _with_byte(data: bytes, index: int, byte: int) -> bytes:
    return data[:index] + bytes([byte]) + data[index + 1:]


def _pieces(data: bytes) -> list[bytes]:
    parts = data.split(b'>')
    pieces = [part + b'>' for part in parts[:-1]]
    if parts[-1]:
        pieces.append(parts[-1])
    return pieces

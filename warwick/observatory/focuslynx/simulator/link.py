# SPDX-License-Identifier: GPL-3.0-or-later
"""The serial connection between hub and host, with real timing and faults if they are set.

It is pure like the model: it is given bytes and the time, and returns bytes and the time of the next ones. Without
settings and faults a link takes no time and changes no byte.
"""
from __future__ import annotations

import errno
import math
import random
from collections import deque
from dataclasses import asdict, dataclass
from typing import Any

from .model import Hub
from .settings import LinkSettings, find, read

__all__ = ['BYTE_S', 'Link', 'LinkFaults', 'LinkLost']

# Time of one byte (s): 115200 baud, ten bits per byte.
BYTE_S = 10 / 115200
# A USB adapter delivers bytes once per frame, so a host gains nothing from reading more often.
_USB_FRAME_S = 0.001
_ROUNDING_BYTES = 1e-6


class LinkLost(OSError):
    """The hub is unplugged, or has been unplugged since the link was opened."""

    def __init__(self) -> None:
        super().__init__(errno.ENODEV, 'hub is unplugged')


class LinkFaults:
    """The faults and the settings that all links of a hub share.

    A counter applies to that many of the next replies (or requests) on any link. The other faults last until they are
    ended, or for some seconds.
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
        self.plugged = True
        self.unplugs = 0
        self.replug_at: float | None = None
        self._mute_until = -math.inf
        self._deaf_until = -math.inf

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
        self.mute_next = self.lose_requests = self.garbage = self.garble = self.cut = self.double = 0
        self.unmute()
        self.undeafen()
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
        counters = ('mute_next', 'lose_requests', 'garbage', 'garble', 'cut', 'double')
        return {'plugged': self.plugged, 'mute': self.is_mute(now), 'deaf': self.is_deaf(now),
                **{name: getattr(self, name) for name in counters}, **asdict(self.settings)}

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
        self._unplugs = self.faults.unplugs

    def open(self, now: float) -> None:
        """Begin again, with nothing on its way. Raises LinkLost while the hub is unplugged."""
        self.faults.advance(now)
        if not self.faults.plugged:
            raise LinkLost()
        self._unplugs = self.faults.unplugs
        self._requests.clear()
        self._replies.clear()

    def is_open(self, now: float) -> bool:
        self.faults.advance(now)
        return self._unplugs == self.faults.unplugs

    def write(self, data: bytes, now: float) -> None:
        """The host sends `data`. Raises LinkLost."""
        self._require_open(now)
        spacing = BYTE_S if self.faults.settings.pace else 0.0
        start = now
        # One piece per command: each then has its own reply, and the faults apply to each reply.
        for piece in _pieces(data):
            if not spacing and not self._requests:
                self._deliver(piece, now)
                continue
            if self._requests:
                start = max(start, self._requests[-1].end)
            underway = _BytesUnderway(start + spacing, spacing, piece)
            self._requests.append(underway)
            start = underway.end
        self._carry(now)

    def read(self, now: float) -> bytes:
        """The bytes that have reached the host since the last call. Raises LinkLost."""
        self._require_open(now)
        self._carry(now)
        arrived: list[bytes] = []
        while self._replies:
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
        times = []
        if self._requests:
            times.append(self._requests[0].end)
        if self._replies:
            times.append(self._replies[0].next_event())
        return min(times) if times else None

    def _require_open(self, now: float) -> None:
        if not self.is_open(now):
            self._requests.clear()
            self._replies.clear()
            raise LinkLost()

    def _carry(self, now: float) -> None:
        while self._requests and self._requests[0].end <= now:
            underway = self._requests.popleft()
            self._deliver(underway.data, underway.end)

    def _deliver(self, piece: bytes, now: float) -> None:
        faults = self.faults
        if faults.is_deaf(now):
            return
        if faults.lose_requests > 0:
            if piece.endswith(b'>'):
                faults.lose_requests -= 1
            return
        reply = self.hub.receive(piece, now, self.port)
        if reply and not faults.is_mute(now):
            self._send(faults.spoil(reply), now)

    def _send(self, reply: bytes, now: float) -> None:
        if not reply:
            return
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


def _pieces(data: bytes) -> list[bytes]:
    parts = data.split(b'>')
    pieces = [part + b'>' for part in parts[:-1]]
    if parts[-1]:
        pieces.append(parts[-1])
    return pieces

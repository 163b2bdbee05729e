# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands that are a single call of the daemon: stop, zero, init and kill."""

from __future__ import annotations

from .api import Focusd
from .commands import Outcome
from .events import interruptible


def stop(focusd: Focusd, channel: int) -> Outcome:
    return _called(focusd, 'stop_channel', channel)


def zero(focusd: Focusd, channel: int) -> Outcome:
    return _called(focusd, 'reset_home_position', channel)


def init(focusd: Focusd) -> Outcome:
    return _called(focusd, 'initialize')


def kill(focusd: Focusd) -> Outcome:
    return _called(focusd, 'shutdown')


def _called(focusd: Focusd, method: str, *arguments: int) -> Outcome:
    with interruptible():
        return Outcome.of(focusd.command(method, *arguments))

# SPDX-License-Identifier: GPL-3.0-or-later
"""The second line of a failure: what was wrong in this case, and what to do about it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from ..constants import CHANNELS, NO_COMMUNICATION, CommandStatus, FocuserStatus, is_usable
from .api import EXTRA_REPORT_LIMIT_S, Focusd, NoAnswer
from .status import condition, sentence

_SELF_MOVING = {'TComp ON': 'temperature_compensation', 'TC@Start': 'compensation_at_start', 'BLC En': 'backlash'}
"""The hub's names of the settings that let it move a focuser by itself, and ours."""


class _Failure(NamedTuple):
    """What a hint is made from. `state` is a status report; empty if there is none."""

    program: str
    command: str
    focusd: Focusd
    channels: tuple[int, ...]
    state: dict[str, Any]


def hint(program: str, command: str, focusd: Focusd, status: int, channel: int | None) -> str:
    """One line that begins with `error:`; empty if there is nothing to add to the message of `status`.

    `channel` is None for a command that is for both. This may call the daemon for its status, for two seconds at most.
    """
    if status == NO_COMMUNICATION:
        return f'error: {focusd.unreachable}'
    text = ''
    if status in _WITHOUT_STATE:
        text = _WITHOUT_STATE[status](program, focusd)
    elif status in _WITH_STATE:
        try:
            state = focusd.report(EXTRA_REPORT_LIMIT_S)
        except NoAnswer:
            state = {}
        channels = CHANNELS if channel is None else (channel,)
        text = _WITH_STATE[status](_Failure(program, command, focusd, channels, state))
    return f'error: {text}' if text else ''


def _control_machines(_program: str, focusd: Focusd) -> str:
    import json
    try:
        with open(focusd.path, encoding='utf-8-sig') as file:
            machines = ', '.join(map(str, json.load(file)['control_machines']))
    except (OSError, ValueError, KeyError, TypeError):
        machines = ''
    known = f', in {os.path.basename(focusd.path)} of this machine: {machines}' if machines else ''
    own = focusd.own_address
    refused = f'; this machine calls from {own}' if own else ''
    return f'only the control_machines of the daemon may do this{known}{refused}'


def _failed(failure: _Failure) -> str:
    # A stop leaves the reason of the failure before it
    why = _reason_of_daemon(failure) if failure.command != 'stop' else ''
    log = '' if why else f'the log says why: journalctl -u {failure.focusd.unit}'
    return _joined(why, *_conditions(failure), *_ways_out(failure), log)


def _blocked(failure: _Failure) -> str:
    moving = [n for n in failure.channels if failure.state.get(f'status_{n}') == FocuserStatus.Moving]
    if not moving:
        return 'another client has not finished yet: try again later'
    return _joined(*_conditions(failure._replace(channels=tuple(moving))),
                   f'to stop it: {failure.program} stop {moving[0]}')


def _unavailable(failure: _Failure) -> str:
    offline = any(failure.state.get(f'status_{n}') == FocuserStatus.Disabled for n in failure.channels)
    return _joined(*_conditions(failure), *_ways_out(failure), _to_connect(failure.program) if offline else '')


def _outside_limits(failure: _Failure) -> str:
    channel = failure.channels[0]
    low, high, target = (failure.state.get(f'{key}_steps_{channel}') for key in ('min', 'max', 'target'))
    if not isinstance(low, int) or not isinstance(high, int):
        return ''
    base = f', and an offset counts from {target:+d}' if failure.command == 'offset' and isinstance(target, int) else ''
    return f'channel {channel} accepts {low:+d} to {high:+d} steps{base}'


def _reason_of_daemon(failure: _Failure) -> str:
    """Why the last command of a channel failed, in the words of the daemon; empty for a command for both channels."""
    return sentence(failure.state.get(f'failure_{failure.channels[0]}')) if len(failure.channels) == 1 else ''


def _conditions(failure: _Failure) -> Iterable[str]:
    """The present position or condition of each channel, in words."""
    state = failure.state
    for n in failure.channels:
        status, steps, target = (state.get(f'{key}_{n}') for key in ('status', 'current_steps', 'target_steps'))
        if not is_usable(status):
            if status is not None:
                yield f'channel {n}: {condition(state, n)}'
        elif isinstance(steps, int):
            goal = f', moving to {target:+d}' if status == FocuserStatus.Moving and isinstance(target, int) else ''
            yield f'channel {n} is at {steps:+d} steps{goal}'


def _ways_out(failure: _Failure) -> Iterable[str]:
    """The commands that end an error of a channel: of settings that let the hub move it, or of a missing home."""
    for n in failure.channels:
        error = failure.state.get(f'error_{n}')
        if failure.state.get(f'status_{n}') != FocuserStatus.Error or not isinstance(error, str):
            continue
        keys = [key for name, key in _SELF_MOVING.items() if f'({name} = 1)' in error]
        if keys:
            commands = ', '.join(f'{failure.program} configure {n} {key} off' for key in keys)
            yield f'to switch it off: {commands}'
        elif 'IsHomed = 0' in error:
            yield f'to home it: {failure.program} home {n}'


def _to_connect(program: str) -> str:
    return f'to connect the daemon to the hub: {program} init'


def _joined(*parts: str) -> str:
    return '; '.join(part for part in parts if part)


_WITHOUT_STATE: dict[int, Callable[[str, Focusd], str]] = {
    CommandStatus.InvalidControlIP: _control_machines,
    CommandStatus.NotConnected: lambda program, _: _to_connect(program),
    CommandStatus.NotDisconnected: lambda program, _: f'to connect again, disconnect first: {program} kill',
    CommandStatus.InvalidSetting: lambda *_: 'the daemon knows other settings than this client: update the older of '
                                             'the two',
    CommandStatus.NotConfirmed: lambda *_: 'the daemon requires a confirmation: add --yes',
}
_WITH_STATE: dict[int, Callable[[_Failure], str]] = {
    CommandStatus.Failed: _failed,
    CommandStatus.Blocked: _blocked,
    CommandStatus.ChannelNotAvailable: _unavailable,
    CommandStatus.PositionOutsideLimits: _outside_limits,
    CommandStatus.NotSupported: _reason_of_daemon,
}

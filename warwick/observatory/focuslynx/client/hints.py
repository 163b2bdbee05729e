# SPDX-License-Identifier: GPL-3.0-or-later
"""What was wrong, in particular, and what to do about it: the line after the message of a failure."""

from __future__ import annotations

import os
from typing import Any

from ..constants import NO_COMMUNICATION, CommandStatus, FocuserStatus
from .api import Focusd, NoAnswer

_PATIENCE_S = 1.0

_COMPENSATIONS = {'TComp ON': 'temperature_compensation', 'TC@Start': 'compensation_at_start', 'BLC En': 'backlash'}
"""The keys of the hub by which it moves a focuser by itself, and the settings that they are."""


def remedy(program: str, command: str, focusd: Focusd, status: int, channel: int | None) -> str:
    """One line that begins with `error:`, empty where there is nothing to add to the message of `status`.

    It may ask the daemon for its status, once, and waits no longer than two seconds for it.
    """
    if status == NO_COMMUNICATION:
        return f'error: no answer from focusd at {focusd.address} (is {focusd.unit} running?)'
    simple = {
        CommandStatus.InvalidControlIP: _control_machines,
        CommandStatus.NotConnected: lambda _: f'to connect the daemon to the hub: {program} init',
        CommandStatus.NotDisconnected: lambda _: f'to connect anew, disconnect first: {program} kill',
        CommandStatus.InvalidSetting: lambda _: 'the daemon knows other settings than this client: update the older '
                                                'of the two',
        CommandStatus.NotConfirmed: lambda _: 'the daemon wants this to be confirmed: add --yes',
    }
    asking = {
        CommandStatus.Failed: _failure,
        CommandStatus.Blocked: _busy,
        CommandStatus.ChannelNotAvailable: _unavailable,
        CommandStatus.PositionOutsideLimits: _limits,
        CommandStatus.NotSupported: _unsupported,
    }
    text = ''
    if status in simple:
        text = simple[status](focusd)
    elif status in asking:
        try:
            state = focusd.report(_PATIENCE_S)
        except NoAnswer:
            state = {}
        text = asking[status](program, command, focusd, state, channel)
    return f'error: {text}' if text else ''


def _control_machines(focusd: Focusd) -> str:
    import json
    try:
        with open(focusd.path, encoding='utf-8-sig') as file:
            machines = ', '.join(map(str, json.load(file)['control_machines']))
    except (OSError, ValueError, KeyError, TypeError):
        machines = ''
    known = f', in {os.path.basename(focusd.path)} here: {machines}' if machines else ''
    return f'only the control_machines of the daemon may do this{known}'


def _failure(program: str, command: str, focusd: Focusd, state: dict[str, Any], channel: int | None) -> str:
    told = _told(state, channel) if command != 'stop' else ''   # a stop leaves what was told of the command before
    why = told or f'the log says why: journalctl -u {focusd.unit}'
    return '; '.join([*([why] if told else []), *_standing(state, _channels(channel)),
                      *_ways_out(program, state, _channels(channel)), *([] if told else [why])])


def _unsupported(_program: str, _command: str, _focusd: Focusd, state: dict[str, Any], channel: int | None) -> str:
    return _told(state, channel)


def _busy(program: str, command: str, _focusd: Focusd, state: dict[str, Any], channel: int | None) -> str:
    moving = [n for n in _channels(channel) if state.get(f'status_{n}') == FocuserStatus.Moving]
    if not moving:
        return 'another client is not finished yet, try again when it is'
    return f'{"; ".join(_standing(state, moving))}; to end that: {program} stop {moving[0]}'


def _unavailable(program: str, _command: str, _focusd: Focusd, state: dict[str, Any], channel: int | None) -> str:
    channels = _channels(channel)
    offline = any(state.get(f'status_{n}') == FocuserStatus.Disabled for n in channels)
    return '; '.join([*_standing(state, channels), *_ways_out(program, state, channels),
                      *([f'to connect the daemon to the hub: {program} init'] if offline else [])])


def _limits(_program: str, command: str, _focusd: Focusd, state: dict[str, Any], channel: int | None) -> str:
    low, high, target = (state.get(f'{key}_steps_{channel}') for key in ('min', 'max', 'target'))
    if not isinstance(low, int) or not isinstance(high, int):
        return ''
    counted = f', and an offset counts from {target:+d}' if command == 'offset' and isinstance(target, int) else ''
    return f'channel {channel} accepts {low:+d} to {high:+d} steps{counted}'


def _told(state: dict[str, Any], channel: int | None) -> str:
    """Why the last command of a channel failed, in the words of the daemon; empty where it says nothing."""
    from .status import printable
    failure = state.get(f'failure_{channel}')
    return printable(' '.join(failure.split())) if isinstance(failure, str) else ''


def _ways_out(program: str, state: dict[str, Any], channels: tuple[int, ...]) -> list[str]:
    """The commands that bring channels out of an error that the hub's settings or a lost home have put them in."""
    found = []
    for n in channels:
        error = state.get(f'error_{n}')
        if state.get(f'status_{n}') != FocuserStatus.Error or not isinstance(error, str):
            continue
        keys = [key for name, key in _COMPENSATIONS.items() if f'({name} = 1)' in error]
        if keys:
            found.append('to switch it off: ' + ', '.join(f'{program} configure {n} {key} off' for key in keys))
        elif 'IsHomed = 0' in error:
            found.append(f'to home it: {program} home {n}')
    return found


def _standing(state: dict[str, Any], channels: tuple[int, ...] | list[int]) -> list[str]:
    """What each of some channels does, in words."""
    from .status import condition
    words = []
    for n in channels:
        status, steps, target = (state.get(f'{key}_{n}') for key in ('status', 'current_steps', 'target_steps'))
        if status not in (FocuserStatus.Idle, FocuserStatus.Moving):
            if status is not None:
                words.append(f'channel {n}: {condition(state, n)}')
        elif isinstance(steps, int):
            going = f', moving to {target:+d}' if status == FocuserStatus.Moving and isinstance(target, int) else ''
            words.append(f'channel {n} is at {steps:+d} steps{going}')
    return words


def _channels(channel: int | None) -> tuple[int, ...]:
    return (1, 2) if channel is None else (channel,)

# SPDX-License-Identifier: GPL-3.0-or-later
"""`focus info`: the hub, its channels and their settings. The daemon may be older or newer: any key may be missing."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from typing import Any

from ..constants import CHANNELS, FocuserStatus
from ..hub_settings import SLOTS
from ..text import printable
from .api import Focusd
from .commands import Outcome
from .events import interruptible
from .status import sentence

_NOT_TOLD = 'unknown'
_LINE_WIDTH = 60
_TERM_WIDTH = 21


def info(focusd: Focusd, json: bool = False) -> Outcome:
    with interruptible():
        info = focusd.hub_info()
    if json:
        from json import dumps
        return Outcome(0, dumps(info))
    return Outcome(0, '\n\n'.join([_hub(info), *(_channel(n, channel_of(info, n)) for n in CHANNELS)]))


def channel_of(info: dict[str, Any], channel: int) -> dict[str, Any]:
    """The part of a hub_info that is about one channel."""
    part = info.get(f'channel_{channel}')
    return part if isinstance(part, dict) else {}


def settings_of(channel: dict[str, Any]) -> dict[str, Any]:
    """The settings in that part, by their keys."""
    settings = channel.get('settings')
    return settings if isinstance(settings, dict) else {}


def words(value: object) -> str:
    """A value in words, harmless to a terminal."""
    if value is None:
        return _NOT_TOLD
    if isinstance(value, bool):
        return 'on' if value else 'off'
    return printable(str(value)) or _NOT_TOLD


def _hub(info: dict[str, Any]) -> str:
    wired, dhcp = info.get('wired_ip'), info.get('dhcp')
    by = {True: ' (DHCP)', False: ' (fixed)'}[dhcp] if isinstance(dhcp, bool) else ''
    rows = [('firmware', words(info.get('firmware'))),
            ('asleep', _yes_or_no(info.get('sleeping'))),
            ('wired network', words(wired) + (by if wired else '')),
            ('wireless network', _wireless(info))]
    return _block('Hub', [*rows, ('focusd', words(info.get('software_version')))])


def _wireless(info: dict[str, Any]) -> str:
    attached, connected = info.get('wifi_attached'), info.get('wifi_connected')
    if not isinstance(attached, bool):
        return _NOT_TOLD
    if not attached:
        return 'no module'
    firmware, security = info.get('wifi_firmware'), info.get('wifi_security')
    module = f'module {words(firmware)}' if firmware else 'module'
    if info.get('wifi_firmware_ok') is False:
        module += ', firmware not OK'
    if security:
        module += ', open' if security == 'A' else f', security {words(security)}'
    if connected is not True:
        return f'{module}, not connected'
    return f'{words(info.get("wifi_ip"))} in {words(info.get("wifi_ssid"))} ({module})'


def _channel(number: int, info: dict[str, Any]) -> str:
    settings = settings_of(info)

    def setting(key: str, unit: str = '', form: Callable[[Any], str] = words) -> str:
        value = settings.get(key)
        return _NOT_TOLD if value is None else form(value) + unit

    def slots(key: str) -> str:
        values = [(slot, settings.get(f'{key}_{slot.lower()}')) for slot in SLOTS]
        if all(value is None for _, value in values):
            return _NOT_TOLD
        # A letter and its value stay on one line
        return '  '.join(f'{slot}\xa0{_signed(value)}' for slot, value in values)

    celsius = info.get('temperature')
    probe = words(info.get('probe'))
    temperature = f', {celsius:.1f}°C' if isinstance(celsius, (int, float)) else ''
    homed = 'has no home switch' if info.get('has_home_switch') is False else _yes_or_no(info.get('homed'))
    limits = info.get('soft_step_limits')
    low, high = limits if isinstance(limits, (list, tuple)) and len(limits) == 2 else (None, None)
    max_counts, status = info.get('max_counts'), info.get('status')
    accepted = _range(info.get('min_steps'), info.get('max_steps'))
    if isinstance(status, int) and status < FocuserStatus.Idle:
        accepted = 'none in this state'
    return _block(f'Channel {number}', [
        ('nickname', setting('nickname')),
        ('state', _state(info)),
        ('device type', _device(info)),
        ('homed', homed),
        ('Max Pos', _NOT_TOLD if max_counts is None else f'{words(max_counts)} counts'),
        ('moves accepted', accepted),
        ('soft limits', _range(low, high)),
        ('temperature probe', probe + temperature),
        ('hand controller', _plugged(info.get('hand_controller'))),
        ('in/out remote', _plugged(info.get('remote'))),
        ('compensation', setting('temperature_compensation')),
        ('  at start', setting('compensation_at_start')),
        ('  mode', setting('compensation_mode')),
        ('  coefficients', slots('coefficient')),
        ('  intercepts', slots('intercept')),
        ('backlash', f'{setting("backlash")}, {setting("backlash_steps", " steps")}'),
        ('reverse', setting('reverse')),
        ('LED', setting('led', ' %')),
        ('step size', setting('step_size', ' nm')),
    ])


def _state(info: dict[str, Any]) -> str:
    status = info.get('status')
    label = FocuserStatus.label(status if isinstance(status, int) else -1)
    error = sentence(info.get('error'))
    return f'{label}: {error}' if error else label


def _device(info: dict[str, Any]) -> str:
    code, name = info.get('device_type'), info.get('device')
    return words(code) if name is None else f'{words(code)}, {words(name)}'


def _range(low: object, high: object) -> str:
    return _NOT_TOLD if low is None or high is None else f'{_signed(low)} to {_signed(high)} steps'


def _signed(value: object) -> str:
    return f'{value:+d}' if isinstance(value, int) and not isinstance(value, bool) else words(value)


def _yes_or_no(value: object) -> str:
    return {True: 'yes', False: 'no'}[value] if isinstance(value, bool) else _NOT_TOLD


def _plugged(value: object) -> str:
    return {True: 'plugged in', False: 'none'}[value] if isinstance(value, bool) else _NOT_TOLD


def _block(title: str, rows: list[tuple[str, str]]) -> str:
    lines = [title]
    for label, text in rows:
        for part in textwrap.wrap(text, _LINE_WIDTH - _TERM_WIDTH, break_long_words=False, break_on_hyphens=False):
            part = part.replace('\xa0', ' ')
            lines.append(f'  {label:{_TERM_WIDTH - 2}}{part}')
            label = ''
    return '\n'.join(lines)

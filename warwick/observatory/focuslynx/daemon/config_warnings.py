# SPDX-License-Identifier: GPL-3.0-or-later
"""What a configuration may say, but hardly can mean."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Iterator

from ..config import Config
from .serial_port import scheme_of

_TIMES = (
    ('moving_loop_delay', 'move_timeout', 'a move would have failed before its first poll'),
    ('moving_loop_delay', 'home_timeout', 'homing would have failed before its first poll'),
    ('moving_loop_delay', 'idle_loop_delay', 'a moving focuser would be polled less often than one at rest'),
    ('serial_timeout', 'move_timeout', 'a move would have failed before a lost reply is noticed'),
)
"""A time, another one that it should not exceed, and what would happen."""


def warnings_of(config: Config) -> Iterator[str]:
    """Each doubt about a configuration, in a line that begins with its key. Looks at the device, but opens nothing."""
    if not config.control_machines:
        yield 'control_machines: []: no machine may control the focusers'
    reason = _doubt_about_port(config.serial_port)
    if reason is not None:
        yield f'serial_port: {json.dumps(config.serial_port, ensure_ascii=False)}: {reason}'
    for key, bound, effect in _TIMES:
        value, limit = getattr(config, key), getattr(config, bound)
        if value > limit:
            yield f'{key}: {value:g}: longer than {bound}, {limit:g}: {effect}'


def _doubt_about_port(name: str) -> str | None:
    if name != name.strip():
        return 'begins or ends with a blank'
    if scheme_of(name) == 'loop':
        return 'gives back what is sent: no hub can be behind it'
    if '://' in name:
        return None
    try:
        mode = os.stat(name).st_mode
    except OSError:
        if re.fullmatch(r'[^/]+:[0-9]{1,5}', name):
            return f'an address on the network is written socket://{name}'
        if re.fullmatch('COM[0-9]+', name, re.IGNORECASE):
            return 'is a name of Windows: a device here has a path such as /dev/ttyUSB0'
        return 'there is no such device now' if '/' in name else f'there is no such file: is /dev/{name} meant?'
    if stat.S_ISDIR(mode):
        return 'it is a directory'
    return None if stat.S_ISCHR(mode) else 'it is not a serial device'

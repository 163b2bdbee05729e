# SPDX-License-Identifier: GPL-3.0-or-later
"""The conversation with the hub: all that decides. Nothing here waits, reads a clock or touches a port.

Other rooms import the names below, and nothing else of this room.
"""

from .commands import (
    Command,
    Configure,
    Connect,
    Disconnect,
    Home,
    Log,
    MoveFocuser,
    NoteRefusal,
    OpenPort,
    Outcome,
    PendingCommand,
    QueryHub,
    Resolve,
    SetZero,
    Stop,
    Write,
)
from .hub import Hub
from .limits import Limits
from .reports import HubInfo, setting_value
from .requests import Halt
from .snapshot import FocuserSnapshot, Reports, Snapshot

__all__ = [
    'Command', 'Configure', 'Connect', 'Disconnect', 'FocuserSnapshot', 'Halt', 'Home', 'Hub', 'HubInfo', 'Limits',
    'Log', 'MoveFocuser', 'NoteRefusal', 'OpenPort', 'Outcome', 'PendingCommand', 'QueryHub', 'Reports', 'Resolve',
    'SetZero', 'Snapshot', 'Stop', 'Write', 'setting_value',
]

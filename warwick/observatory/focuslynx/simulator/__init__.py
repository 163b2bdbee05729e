# SPDX-License-Identifier: GPL-3.0-or-later
"""A FocusLynx hub in software: the model, the line to it with its faults, and three doors for a host.

`Hub` and `Line` are pure: they are given bytes and the time. `Control` changes settings and injects faults; the same
commands reach a running simulator through `ControlClient`. See docs/simulator.md.

Nothing here knows the driver: both were written from the description of the hub, so that a misreading of either shows.
"""
from .client import ControlClient, Refused
from .control import Control, ControlError
from .link import Line, LineFaults, LinkLost
from .model import Hub
from .settings import BadSetting

__all__ = ['BadSetting', 'Control', 'ControlClient', 'ControlError', 'Hub', 'Line', 'LineFaults', 'LinkLost', 'Refused']

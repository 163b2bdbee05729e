# SPDX-License-Identifier: GPL-3.0-or-later
"""A FocusLynx hub in software: the model, the link to it with its faults, and three transports for a host.

`Hub` and `Link` are pure: they are given bytes and the time. `Control` changes settings and injects faults;
`ControlClient` sends the same commands to a running simulator. See docs/simulator.md.

This package imports nothing of the driver. Both were written from the description of the hub, so that a mistake in
reading it shows when they talk to each other.
"""
from .client import ControlClient, Refused
from .control import Control, ControlError
from .link import Link, LinkFaults, LinkLost
from .model import Hub
from .settings import BadSetting

__all__ = ['BadSetting', 'Control', 'ControlClient', 'ControlError', 'Hub', 'Link', 'LinkFaults', 'LinkLost', 'Refused']

# SPDX-License-Identifier: GPL-3.0-or-later
"""The error replies of the hub (docs/protocol.md, errors), each with its line end."""
from __future__ import annotations

__all__ = ['BAD_PARAMETER', 'MOVING', 'NO_PROBE', 'NO_WIFI', 'SLEEPING', 'TOO_LONG', 'UNKNOWN_COMMAND',
           'WIFI_INCOMPLETE']

BAD_PARAMETER = b'ER=1 Unacceptable Parameter Received In Command\n'
TOO_LONG = b'ER=2 Received Command Was Too Long\n'
UNKNOWN_COMMAND = b'ER=3 Unknown Command Received\n'
MOVING = b'ER=4 Cannot Execute Command While Device Is Moving\n'
SLEEPING = b'ER=5 Cannot Execute Command While Device Is Sleeping\n'
NO_PROBE = b'ER=6 Cannot Execute Command Without Temp Probe Attached\n'
NO_WIFI = b'ER=7 Comm Problem With Wi-Fi Board\n'
WIFI_INCOMPLETE = b'ER=9 Necessary Wi-Fi Settings Missing\n'

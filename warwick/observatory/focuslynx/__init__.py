# SPDX-License-Identifier: GPL-3.0-or-later
"""Optec FocusLynx focusers, for the other programs of an observatory.

Importing this package needs only the standard library: no serial port, no hub, no Pyro4. Making a `Config` needs
jsonschema and warwick.observatory.common.
"""

from .config import Config
from .constants import CommandStatus, FocuserStatus

__all__ = ['CommandStatus', 'Config', 'FocuserStatus']

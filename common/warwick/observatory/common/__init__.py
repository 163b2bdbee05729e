# SPDX-License-Identifier: GPL-3.0-or-later
"""Names that the programs of an observatory share: addresses, daemons, log and small helpers.

A stand-in for the package of the same name that the Warwick observatories use. It offers the part that focusd and
focus need. Importing it reads no file and loads neither Pyro4 nor jsonschema. The site file is read at the first use
of `daemons`, `IP` or `log`; if it is wrong, `daemons` and `IP` raise `SiteError`.
"""

from . import helpers, log, validation
from ._daemon import Daemon
from ._site import SiteError
from ._tables import IP, daemons
from ._terminal import TFmt
from ._threads import TryLock

__all__ = ['IP', 'Daemon', 'SiteError', 'TFmt', 'TryLock', 'daemons', 'helpers', 'log', 'validation']

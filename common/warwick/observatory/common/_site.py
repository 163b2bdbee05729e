# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known about an observatory, and what is known without a site file."""

from __future__ import annotations

from ._daemon import Daemon

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

MACHINES = {
    'CLASPTCS': '10.2.6.181',
    'GOTOServer': '10.2.6.100',
    'LocalHost': '127.0.0.1',
}

DAEMONS = {
    'clasp_focus': Daemon('clasp_focus_daemon', MACHINES['CLASPTCS'], 9036),
    'observatory_log': Daemon('observatory_log_daemon', MACHINES['GOTOServer'], 9016),
    'localhost_test': Daemon('localhost_test_daemon', MACHINES['LocalHost'], 9000),
    'localhost_test2': Daemon('localhost_test_daemon2', MACHINES['LocalHost'], 9001),
    'localhost_test3': Daemon('localhost_test_daemon3', MACHINES['LocalHost'], 9002),
    'localhost_test4': Daemon('localhost_test_daemon4', MACHINES['LocalHost'], 9003),
    'localhost_test5': Daemon('localhost_test_daemon5', MACHINES['LocalHost'], 9004),
}

LOG_DAEMON = 'observatory_log'
LOG_NETWORK = '10.2.6.0/24'


class SiteError(ValueError):
    """The site file is missing although it is named, cannot be read, or is wrong. The text is one line."""


class Site:
    """The tables of an observatory: addresses by machine name, daemons by entry name, and where the log is."""

    def __init__(
        self, machines: Mapping[str, str], daemons: Mapping[str, Daemon], log_daemon: Daemon, log_network: str
    ) -> None:
        self.machines = machines
        self.daemons = daemons
        self.log_daemon = log_daemon
        self.log_network = log_network

# SPDX-License-Identifier: GPL-3.0-or-later
"""The observatory log: standard output everywhere, and the log daemon on the observatory's own network.

No function here raises. A call can last as long as the log daemon's timeout, 5 s by default.
"""

from __future__ import annotations

from ._site import SiteError
from ._tables import site

_unreachable = False


def info(table: str, message: str) -> None:
    """Log an event that is in order."""
    _log('info', table, message)


def warning(table: str, message: str) -> None:
    """Log an event that a person should know about."""
    _log('warning', table, message)


def error(table: str, message: str) -> None:
    """Log an event that a person should act on."""
    _log('error', table, message)


def _log(level: str, table: str, message: str) -> None:
    global _unreachable
    _print(level, table, message)
    try:
        target = site()
        if not _has_address_in(target.log_network):
            return
        with target.log_daemon.connect() as daemon:
            getattr(daemon, f'log_{level}')(table, message)
    except Exception as reason:
        # One line for an outage, not one for each message that is lost
        if not _unreachable:
            where = 'the site file' if isinstance(reason, SiteError) else 'the log daemon'
            _print('warning', table, f'messages are not stored, because of {where}: {reason}')
        _unreachable = True
    else:
        if _unreachable:
            _print('info', table, 'messages are stored again')
        _unreachable = False


def _print(level: str, table: str, message: str) -> None:
    try:
        print(f'{level}: {table}: {message}', flush=True)
    except (OSError, ValueError):
        # The reader of standard output is gone; the daemon goes on without it
        pass


def _has_address_in(network: str) -> bool:
    """Whether this host reaches `network` (`10.2.6.0/24`) from an address of its own inside it. Sends nothing."""
    import socket
    from ipaddress import ip_address, ip_network

    net = ip_network(network)
    # Any address of the network will do, but the first of several: that one means the network itself
    neighbour = str(net[min(1, net.num_addresses - 1)])
    family = socket.AF_INET if net.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((neighbour, 9))
            return ip_address(probe.getsockname()[0]) in net
    except OSError:
        return False

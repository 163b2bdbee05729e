# SPDX-License-Identifier: GPL-3.0-or-later
"""The observatory log: standard output everywhere, and the log daemon on the observatory's own network.

No function here raises. A call can last as long as the log daemon's timeout, 5 s by default.
"""

from __future__ import annotations

from ._site import SiteError, site

_unreachable = False


def info(table: str, message: str) -> None:
    """Note something that went as it should."""
    _log('info', table, message)


def warning(table: str, message: str) -> None:
    """Note something that a person should know of."""
    _log('warning', table, message)


def error(table: str, message: str) -> None:
    """Note something that a person should act on."""
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
        # The outage is worth one line, not one for each message that it swallows
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
        # Whoever read standard output is gone; the daemon that logs works on
        pass


def _has_address_in(network: str) -> bool:
    """Whether this host would speak to `network` (`10.2.6.0/24`) from an address inside of it. Sends nothing."""
    import socket
    from ipaddress import ip_address, ip_network

    net = ip_network(network)
    # Any address of the network serves; the first of several names the network itself and is not routed to
    neighbour = str(net[min(1, net.num_addresses - 1)])
    family = socket.AF_INET if net.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((neighbour, 9))
            return ip_address(probe.getsockname()[0]) in net
    except OSError:
        return False

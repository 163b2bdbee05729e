# SPDX-License-Identifier: GPL-3.0-or-later
"""Small helpers for methods that are called over Pyro."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from ipaddress import IPv4Address, IPv6Address


def pyro_client_matches(addresses: Iterable[str]) -> bool:
    """Whether the Pyro call that this thread is serving comes from one of `addresses`.

    Only the peer address of the socket counts, nothing that the client sends. Addresses are compared as addresses, not
    as text: ::ffff:10.2.6.181 equals 10.2.6.181. False outside a Pyro call.
    """
    import Pyro4

    peer = Pyro4.current_context.client_sock_addr
    # A Unix socket's peer is a string, and has no address to compare
    client = _address(peer[0]) if isinstance(peer, tuple) else None
    return client is not None and any(_address(address) == client for address in addresses)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    from ipaddress import IPv6Address, ip_address

    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address

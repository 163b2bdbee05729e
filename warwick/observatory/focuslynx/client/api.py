# SPDX-License-Identifier: GPL-3.0-or-later
"""The daemon, as its clients call it."""

from __future__ import annotations

import os
from typing import Any

from ..constants import NO_COMMUNICATION

EXTRA_REPORT_LIMIT_S = 1.0
"""The longest wait for a status report that only adds to what is said anyway."""


class NoAnswer(Exception):
    """The daemon gave no usable answer: it is not there, is too slow, is not focusd, or raised an exception."""


class Focusd:
    """The daemon that a configuration file names. `entry` is that of warwick.observatory.common.daemons."""

    def __init__(self, entry: Any, path: str) -> None:
        self.entry = entry
        self.path = path

    @property
    def address(self) -> str:
        """The address of the daemon: `host:port`."""
        return f'{self.entry.host}:{self.entry.port}'

    @property
    def unit(self) -> str:
        """The name of the daemon's systemd unit."""
        name = os.path.basename(self.path)
        return f'focusd@{name[:-5] if name.endswith(".json") else name}'

    @property
    def unreachable(self) -> str:
        """The sentence for a daemon that does not answer."""
        return f'no answer from focusd at {self.address} (is {self.unit} running?)'

    @property
    def own_address(self) -> str:
        """The address from which this machine calls the daemon; empty if there is no route to it. Sends nothing."""
        import socket
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(self.entry.host, self.entry.port,
                                                                    type=socket.SOCK_DGRAM)[0]
            with socket.socket(family, kind, protocol) as unused:
                unused.connect(address)
                return str(unused.getsockname()[0])
        except OSError:
            return ''

    def connect(self, timeout_s: float | None = None) -> Any:
        """A proxy of the daemon, for a `with` statement; `timeout_s` is that of `call`.

        Whatever the environment says, it never repeats a call: an offset that is sent twice moves twice as far.
        """
        proxy = self.entry.connect(timeout_s)
        proxy._pyroMaxRetries = 0
        proxy._pyroSerializer = 'serpent'
        return proxy

    def call(self, method: str, *arguments: Any, timeout_s: float | None = None) -> Any:
        """What a method returns, called over a new connection. Raises NoAnswer.

        `timeout_s` limits the connection and the call, each of them; None means the default of the entry.
        """
        try:
            with self.connect(timeout_s) as daemon:
                return getattr(daemon, method)(*arguments)
        except Exception as e:  # Pyro raises here whatever the daemon raised
            raise NoAnswer(str(e)) from e

    def command(self, method: str, *arguments: Any, timeout_s: float | None = None) -> int:
        """The CommandStatus that a method returns; NO_COMMUNICATION if it returns none."""
        try:
            return status_of(self.call(method, *arguments, timeout_s=timeout_s))
        except NoAnswer:
            return NO_COMMUNICATION

    def report(self, timeout_s: float | None = None) -> dict[str, Any]:
        """The status dictionary. The daemon may be older or newer: any key may be missing. Raises NoAnswer."""
        return self._dictionary('report_status', timeout_s)

    def hub_info(self, timeout_s: float | None = None) -> dict[str, Any]:
        """All that the daemon knows of the hub; any key may be missing. Raises NoAnswer."""
        return self._dictionary('hub_info', timeout_s)

    def _dictionary(self, method: str, timeout_s: float | None) -> dict[str, Any]:
        value = self.call(method, timeout_s=timeout_s)
        if not isinstance(value, dict):
            raise NoAnswer(f'{method} returned {type(value).__name__}')
        return value


def status_of(value: Any) -> int:
    """The CommandStatus in what a method returned; NO_COMMUNICATION if it returned something else."""
    return value if isinstance(value, int) and not isinstance(value, bool) else NO_COMMUNICATION

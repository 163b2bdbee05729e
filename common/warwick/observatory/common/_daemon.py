# SPDX-License-Identifier: GPL-3.0-or-later
"""One Pyro daemon of the observatory: its address, how to call it, and how to serve it."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Importing Pyro4 takes longer than everything else in a short-lived client: only calling and serving import it.


class Daemon:
    """Where one Pyro object is served. Treat it as a constant.

    `name` is the object id, `host` an IP address, `port` a TCP port, `timeout` the default timeout of `connect` in
    seconds (0: no timeout).
    """

    def __init__(self, name: str, host: str, port: int, timeout: float = 5) -> None:
        self.name = name
        self.host = host
        self.port = port
        self.timeout = timeout

    def __repr__(self) -> str:
        return f'Daemon({self.name!r}, {self.host!r}, {self.port!r}, {self.timeout!r})'

    @property
    def uri(self) -> str:
        """The Pyro URI, `PYRO:name@host:port`; an IPv6 address is in square brackets."""
        host = f'[{self.host}]' if ':' in self.host else self.host
        return f'PYRO:{self.name}@{host}:{self.port}'

    def connect(self, timeout: float | None = None) -> Any:
        """A Pyro4 proxy of the object, to be used as `with daemon.connect() as proxy:`.

        `timeout` limits connecting and each call, in seconds: None takes the daemon's own, 0 waits for ever. Nothing
        is sent before the first call, which raises Pyro4.errors.CommunicationError if the daemon does not answer.
        Raises ValueError for a negative timeout.
        """
        seconds = self.timeout if timeout is None else timeout
        if not seconds >= 0:
            raise ValueError(f'timeout must be 0 or more seconds, not {seconds!r}')

        import Pyro4

        proxy = Pyro4.Proxy(self.uri)
        proxy._pyroTimeout = seconds or None
        return proxy

    def launch(self, obj: object) -> None:
        """Print the URI and serve `obj` at it, until its Pyro daemon is shut down or an exception is raised.

        The address and port are free again on return. Raises OSError if they are in use or not of this machine.
        """
        import Pyro4

        with Pyro4.Daemon(host=self.host, port=self.port) as pyro:
            print(f'{self.name} is served at {pyro.register(obj, objectId=self.name)}', flush=True)
            pyro.requestLoop()

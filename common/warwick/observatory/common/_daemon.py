# SPDX-License-Identifier: GPL-3.0-or-later
"""One Pyro daemon of the observatory: where it answers, how to call it, how to be it."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Pyro4 takes longer to import than the rest of a short-lived client takes to run: only who calls or serves loads it.


class Daemon:
    """Where one Pyro object is served. Treat it as a constant.

    `name` is the object id, `host` an IP address, `port` a TCP port, `timeout` the seconds that `connect` allows
    a call when it is not told otherwise (0: any time).
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
        """The Pyro URI, `PYRO:name@host:port`; an IPv6 address stands in square brackets."""
        host = f'[{self.host}]' if ':' in self.host else self.host
        return f'PYRO:{self.name}@{host}:{self.port}'

    def connect(self, timeout: float | None = None) -> Any:
        """A Pyro4 proxy of the object, to be used as `with daemon.connect() as proxy:`.

        `timeout` bounds the connection and each call, in seconds: None takes the daemon's own, 0 waits for ever.
        Nothing is sent before the first call, which raises Pyro4.errors.CommunicationError where nobody answers.
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
        """Print the URI and serve `obj` at it, until somebody shuts its Pyro daemon down or an exception arrives.

        The address and port are free again on return. Raises OSError if they are taken or not this machine's.
        """
        import Pyro4

        with Pyro4.Daemon(host=self.host, port=self.port) as pyro:
            print(f'{self.name} is served at {pyro.register(obj, objectId=self.name)}', flush=True)
            pyro.requestLoop()

# SPDX-License-Identifier: GPL-3.0-or-later
"""The machines and daemons of the observatory: those known here, and those that a site file adds."""

from __future__ import annotations

import os

from ._daemon import Daemon

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

DEFAULT_PATH = '/etc/observatory/site.json'
PATH_VARIABLE = 'OBSERVATORY_SITE'

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
    """The site file is missing although named, cannot be read, or is wrong. The text is one line that says it all."""


class Site:
    """What is known of the observatory: addresses by machine name, daemons by entry name, and where the log is."""

    def __init__(
        self, machines: Mapping[str, str], daemons: Mapping[str, Daemon], log_daemon: Daemon, log_network: str
    ) -> None:
        self.machines = machines
        self.daemons = daemons
        self.log_daemon = log_daemon
        self.log_network = log_network


_site: Site | None = None


def site() -> Site:
    """The tables of this package and of the site file, which is read once. Raises SiteError, again at each call."""
    global _site
    if _site is None:
        named = os.environ.get(PATH_VARIABLE)
        path = named or DEFAULT_PATH
        if named or os.path.lexists(path):
            # Costs some modules more, so only those who have a site file pay for it
            from ._site_file import read

            _site = read(path)
        else:
            _site = Site(MACHINES, DAEMONS, DAEMONS[LOG_DAEMON], LOG_NETWORK)
    return _site


class _Table:
    """A table of the site whose entries are attributes; also iterable over their names, and knows `name in table`.

    An attribute that is no entry raises AttributeError, a wrong site file SiteError.
    """

    _kind: str

    def _entries(self) -> Mapping[str, Any]:
        raise NotImplementedError

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries())

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name in self._entries()

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self]

    def __getattr__(self, name: str) -> Any:
        # Python's own protocols ask for names with underscores, and must not read files by doing so
        if name.startswith('_') or name not in self:
            raise AttributeError(f'no {self._kind} is called {name!r}')
        return self._entries()[name]


class _Daemons(_Table):
    _kind = 'daemon'

    def _entries(self) -> Mapping[str, Daemon]:
        return site().daemons

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Daemon: ...


class _Machines(_Table):
    _kind = 'machine'

    def _entries(self) -> Mapping[str, str]:
        return site().machines

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> str: ...


daemons = _Daemons()
IP = _Machines()

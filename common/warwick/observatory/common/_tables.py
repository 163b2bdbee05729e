# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables `daemons` and `IP`: what is known without a site file, and what the site file adds."""

from __future__ import annotations

import os

from ._site import DAEMONS, LOG_DAEMON, LOG_NETWORK, MACHINES, Site

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from ._daemon import Daemon

DEFAULT_PATH = '/etc/observatory/site.json'
PATH_VARIABLE = 'OBSERVATORY_SITE'

_site: Site | None = None


def site() -> Site:
    """All tables. The site file is read once. Raises SiteError if it is wrong, and does so again at each call."""
    global _site
    if _site is None:
        named = os.environ.get(PATH_VARIABLE)
        path = named or DEFAULT_PATH
        if named or os.path.lexists(path):
            # This loads more modules, so only a machine with a site file pays for it
            from ._site_file import read

            _site = read(path)
        else:
            _site = Site(MACHINES, DAEMONS, DAEMONS[LOG_DAEMON], LOG_NETWORK)
    return _site


class _Table:
    """A table whose entries are attributes. Iterating over it gives their names; `name in table` works as well.

    An unknown attribute raises AttributeError, a wrong site file SiteError.
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
        # Python itself asks for names with underscores, which must not make it read a file
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

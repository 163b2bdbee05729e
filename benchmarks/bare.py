# SPDX-License-Identifier: GPL-3.0-or-later
"""The floor of a daemon: Pyro4's own daemon with one object. `python3 bare.py PORT [MODULE...]` also imports MODULEs.

`keep(answer)` sets what `report_status()` returns.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

import Pyro4


class Bare:
    """Returns the answer that it keeps."""

    _answer: Any = None

    @Pyro4.expose
    def keep(self, answer: Any) -> None:
        self._answer = answer

    @Pyro4.expose
    def report_status(self) -> Any:
        return self._answer


for name in sys.argv[2:]:
    importlib.import_module(name)
daemon = Pyro4.Daemon(host='127.0.0.1', port=int(sys.argv[1]))
daemon.register(Bare(), 'bare_focus_daemon')
daemon.requestLoop()

# SPDX-License-Identifier: GPL-3.0-or-later
"""Ports that nobody else takes between the moment of choosing and that of use."""

from __future__ import annotations

import itertools
import os
import re
import socket

# Below what the kernel gives to outgoing connections, and a range of its own for each process that runs tests.
_WORKER = int(re.sub(r'\D', '', os.environ.get('PYTEST_XDIST_WORKER', '')) or 0)
_CANDIDATES = itertools.cycle(range(20000 + 1000 * (_WORKER % 12), 21000 + 1000 * (_WORKER % 12)))


def free_port(host: str = '127.0.0.1') -> int:
    """A TCP port at which nothing listens."""
    family = socket.AF_INET6 if ':' in host else socket.AF_INET
    while True:
        port = next(_CANDIDATES)
        with socket.socket(family) as probe:
            try:
                probe.bind((host, port))
            except OSError:
                continue
        return port

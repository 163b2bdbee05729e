# SPDX-License-Identifier: GPL-3.0-or-later
"""A client that calls as fast as it can. It reads `URI START END` from standard input, lines of it.

From START to END, seconds of the monotonic clock, it calls `report_status` at URI over a connection that it has made
before and keeps, and then prints how many calls were answered.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import Pyro4

Pyro4.config.COMMTIMEOUT = 30
proxies: dict[str, Any] = {}
for line in sys.stdin:
    uri, start, end = line.split()
    proxy = proxies.setdefault(uri, Pyro4.Proxy(uri))
    proxy._pyroBind()
    calls, end_s = 0, float(end)
    time.sleep(max(0.0, float(start) - time.monotonic()))
    while time.monotonic() < end_s:
        proxy.report_status()
        calls += 1
    print(calls, flush=True)

# SPDX-License-Identifier: GPL-3.0-or-later
"""The fixtures of the daemon's tests, for those of the service."""

from __future__ import annotations

from tests.daemon.conftest import daemon, simulate, start

__all__ = ['daemon', 'simulate', 'start']

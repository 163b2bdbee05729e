# SPDX-License-Identifier: GPL-3.0-or-later
"""Motion that may be going on although no operation follows it. Pure: it is given reports and the time."""

from __future__ import annotations

import math

from .reports import StatusReport

RESTART_SETTLES_S = 10.0
"""How long after a change that restarts the hub its motors may begin to run (docs/protocol.md, 8.3)."""


class UnsupervisedMotion:
    """Since when a motor may be running unsupervised, and until when that is accepted. Times are in seconds.

    There are two causes: a motion of ours whose supervision was lost, which has to be halted at once; and a change of
    ours that restarts the hub, after which the focuser may home by itself.
    """

    def __init__(self, lost: bool = False) -> None:
        """`lost`: a motion of ours has lost its supervision."""
        self.is_lost_motion = lost
        self.since: float | None = -math.inf if lost else None
        self.until = -math.inf if lost else math.inf

    @property
    def is_possible(self) -> bool:
        """Whether the motor may be running unsupervised."""
        return self.since is not None

    @property
    def follows_restart(self) -> bool:
        """Whether the cause is a change that restarts the hub."""
        return self.is_possible and not self.is_lost_motion

    def supervision_lost(self, now: float) -> None:
        """A motion of ours, or what a restart has set in motion, cannot be followed any more."""
        self.is_lost_motion = True
        self.since, self.until = now, now

    def hub_restarts(self, now: float, home_timeout_s: float) -> None:
        """A change that restarts the hub has gone out."""
        if not self.is_lost_motion:
            self.since, self.until = now, now + RESTART_SETTLES_S + home_timeout_s

    def seen(self, status: StatusReport, requested_at: float) -> None:
        """A status that was requested at `requested_at` shows whether a restart has settled."""
        if self.follows_restart and not status.moving and self.since is not None \
                and requested_at >= self.since + RESTART_SETTLES_S:
            self.end()

    def end(self) -> None:
        """The motor is at rest, or an operation follows it."""
        self.is_lost_motion = False
        self.since, self.until = None, math.inf

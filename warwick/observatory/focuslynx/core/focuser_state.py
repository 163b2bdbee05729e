# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of one focuser, from the reports of the hub. Pure: reports and times are given to it.

A reply has no checksum, and one wrong digit is as good a number as the right one. So what comes as a surprise is
believed when a second report agrees: settings that differ from those known, a resting focuser elsewhere, and a home
that was found.
"""

from __future__ import annotations

import math

from .compensation import HubCompensation
from .limits import Limits, StepScale
from .reports import CompensationReport, ConfigReport, StatusReport
from .requests import DIGITS, MAX_COUNTS

MOST_BACKLASH = 99
"""Most steps of backlash compensation that a hub can be set to."""


class FocuserState:
    """Settings and position of one focuser, and where it is meant to be. Positions are in counts."""

    def __init__(self, settings: Limits) -> None:
        self._settings = settings
        self.status: StatusReport | None = None
        self._last_seen: int | None = None   # counts at which the focuser was when it was last watched
        self.hub_compensation = HubCompensation(settings.allow_hub_compensation)
        self.forget()

    def forget(self) -> None:
        """Believe nothing any more."""
        self.lose_place()
        self.config: ConfigReport | None = None
        self.compensation: CompensationReport | None = None
        self.config_at = -math.inf      # when the settings were last read
        self.scale: StepScale | None = None
        self.digits = DIGITS            # of the target in the request for a move
        self.hub_compensation.forget()
        self._surprising_config: ConfigReport | None = None

    def lose_place(self, comparable: bool = True) -> None:
        """Where the focuser is has to be read anew, and to be believed anew.

        Where it was is remembered, to be compared with where it is found, unless the two are not `comparable`.
        """
        if not comparable:
            self._last_seen = None
        elif self.status is not None:
            self._last_seen = self.status.counts
        self.status = None
        self.status_at = -math.inf      # when the request for the status went out
        self.target_counts = 0
        self.requested_counts = 0
        self._compensated_from = 0
        self.outside_motion = False     # in a motion that is not ours
        self._surprising_place: tuple[int, bool | None] | None = None   # counts, and whether homed

    @property
    def wants_config(self) -> bool:
        """Whether the settings are unknown, or have to be read once more to be believed."""
        return self.config is None or self._surprising_config is not None

    @property
    def moving(self) -> bool:
        """Whether the last report says that the motor runs."""
        return self.status is not None and self.status.moving

    def learn_config(self, config: ConfigReport, asked_at: float, now: float) -> ConfigReport | None:
        """Take settings that were asked for at `asked_at`.

        Returns the ones known before if these are believed, and None if not yet; the first ones that are believed are
        returned themselves.
        """
        if config not in (self.config, self._surprising_config):
            self._surprising_config = config
            return None
        before, self.config, self._surprising_config = self.config, config, None
        self.config_at = now
        self.hub_compensation.read(config.compensating, asked_at)
        self.scale = StepScale(min(config.max_counts, MAX_COUNTS), self._settings.soft_step_limits,
                               *_overshoots(config))
        return before or config

    @property
    def interfering(self) -> tuple[str, ...]:
        """The settings by which the hub moves the focuser by itself, and may not."""
        return () if self.config is None or self._settings.allow_hub_compensation else self.config.interfering

    def learn_status(self, status: StatusReport, sent_at: float, may_have_moved: bool) -> bool:
        """Take a status that was asked for at `sent_at`; returns whether it is believed.

        `may_have_moved`: something is going on that explains any position.
        """
        place = status.counts, status.homed
        known = self.status is not None and status.counts == self.target_counts
        explained = known or may_have_moved or self.outside_motion
        found_home = status.homed is not False and self.status is not None and self.status.homed is False
        if not status.moving and (found_home or not explained) and place != self._surprising_place:
            self._surprising_place = place
            return False
        self._surprising_place = None
        if self.status is None:
            self.target_counts = self.requested_counts = status.counts
        self.status = status
        self.status_at = sent_at
        return True

    def follow_outside_motion(self) -> str | None:
        """Let the target follow a motion that is not ours; returns what there is to log about it.

        Only a motion that the hub makes to compensate for the temperature has a line when it is over, and no other.
        """
        status = self.status
        assert status is not None
        last_seen, self._last_seen = self._last_seen, None
        if last_seen is not None and last_seen != status.counts:
            return (f'was moved while nobody watched, from {self.in_steps(last_seen)} '
                    f'to {self.in_steps(status.counts)}')
        if status.moving:
            began_at, self.target_counts = self.target_counts, status.target_counts
            if self.outside_motion:
                return None
            self.outside_motion = True
            if self.hub_compensation.is_expected:
                self._compensated_from = began_at
                return None
            return f'being moved from outside, at {self.in_steps(status.counts)}'
        if not self.outside_motion and status.counts == self.target_counts:
            return None
        if self.hub_compensation.is_expected:
            began_at = self._compensated_from if self.outside_motion else self.target_counts
            self.rest()
            return f'compensated by the hub, from {self.in_steps(began_at)} to {self.in_steps(status.counts)}'
        news = f'moved from outside to {self.in_steps(status.counts)}'
        if not self.outside_motion:
            news = f'was moved from outside, from {self.in_steps(self.target_counts)} to {self.in_steps(status.counts)}'
        self.rest()
        return news

    def rest(self) -> None:
        """The focuser is meant to be where it stands."""
        assert self.status is not None
        self.outside_motion = False
        self.target_counts = self.requested_counts = self.status.counts

    def in_steps(self, counts: int) -> str:
        """A position in words."""
        return f'{self.scale.steps(counts):+d} steps' if self.scale else f'{counts} counts'


def _overshoots(config: ConfigReport) -> tuple[int, int]:
    """Counts by which the hub runs past the target of outward and of inward moves, against backlash.

    A negative number of steps means inward moves (docs/protocol.md, 9.2). One that is not known may be any.
    """
    if not config.backlash:
        return 0, 0
    if config.backlash_steps is None:
        return MOST_BACKLASH, MOST_BACKLASH
    return max(config.backlash_steps, 0), max(-config.backlash_steps, 0)

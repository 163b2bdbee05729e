# SPDX-License-Identifier: GPL-3.0-or-later
"""What is confirmed about one focuser by the reports of the hub: settings, position, target. Pure.

A reply has no checksum, and a wrong digit makes as good a number as the right one. So a surprise is believed only when
a second report agrees: changed settings, a focuser at rest at another place, a home that was found.
"""

from __future__ import annotations

import math

from ..hub_settings import has_home_switch
from .limits import Limits, StepScale
from .poll_timing import History
from .reports import CompensationReport, ConfigReport, StatusReport
from .requests import DIGITS, MAX_COUNTS

MAX_BACKLASH_STEPS = 99
"""Most steps of backlash compensation that a hub can be set to (docs/protocol.md, 9.2)."""

UNHOMED = 'the focuser has to be homed, its position is not known: IsHomed = 0'


class FocuserState:
    """Settings and position of one focuser, and its target. Positions are in counts, times in seconds."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.move_history = History()
        self.reported_at: float | None = None   # when the request for the latest status went out, during outages too
        self.status: StatusReport | None = None
        self._last_seen: int | None = None   # counts in the last status before the position was lost
        self.hub_compensation = HubCompensation(limits.allow_hub_compensation)
        self.forget()

    def forget(self) -> None:
        """Confirm nothing any more."""
        self.lose_position()
        self.config: ConfigReport | None = None
        self.compensation: CompensationReport | None = None
        self.config_at = -math.inf      # when the settings were last received
        self.scale: StepScale | None = None
        self.digits = DIGITS            # digits that this hub takes in the request for a move
        self.hub_compensation.forget()
        self._surprising_config: ConfigReport | None = None

    def lose_position(self, comparable: bool = True) -> None:
        """The position has to be read and confirmed again.

        The old one is kept and compared with the new one, unless the two are not `comparable`.
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
        self.others_motion = False      # the last report showed a motion that is not ours
        self._surprising_position: tuple[int, bool | None] | None = None   # counts, and whether homed

    @property
    def needs_config(self) -> bool:
        """Whether the settings are not known, or have to be read once more before they are believed."""
        return self.config is None or self._surprising_config is not None

    @property
    def moving(self) -> bool:
        """Whether the last report says that the motor runs."""
        return self.status is not None and self.status.moving

    @property
    def must_be_homed(self) -> bool:
        """Whether the focuser has a home switch and has not found it: its counts then mean nothing."""
        return (self.config is not None and self.status is not None and self.status.homed is False
                and has_home_switch(self.config.device_type))

    @property
    def self_moving_settings(self) -> tuple[str, ...]:
        """The settings by which the hub moves the focuser by itself although it may not."""
        return () if self.config is None or self._limits.allow_hub_compensation else self.config.self_moving_settings

    def learn_config(self, config: ConfigReport, requested_at: float, now: float) -> ConfigReport | None:
        """Take settings that were requested at `requested_at`.

        Returns None if they are not believed yet, else the settings before; the first ones count as their own.
        """
        if config not in (self.config, self._surprising_config):
            self._surprising_config = config
            return None
        before, self.config, self._surprising_config = self.config, config, None
        self.config_at = now
        self.hub_compensation.read(config.compensating, requested_at)
        self.scale = StepScale(min(config.max_counts, MAX_COUNTS), self._limits.soft_step_limits, *_overshoots(config))
        return before or config

    def learn_status(self, status: StatusReport, sent_at: float, may_have_moved: bool) -> bool:
        """Take a status that was requested at `sent_at`; returns whether it is believed.

        `may_have_moved`: something happens that explains any position.
        """
        position = status.counts, status.homed
        known = self.status is not None and status.counts == self.target_counts
        explained = known or may_have_moved or self.others_motion
        found_home = status.homed is not False and self.status is not None and self.status.homed is False
        if not status.moving and (found_home or not explained) and position != self._surprising_position:
            self._surprising_position = position
            return False
        self._surprising_position = None
        if self.status is None:
            self.target_counts = self.requested_counts = status.counts
        self.status = status
        self.status_at = self.reported_at = sent_at
        return True

    def follow_others_motion(self) -> str | None:
        """Let the target follow a motion that is not ours; returns what is to be logged about it, or None.

        A motion by which the hub compensates for the temperature is logged once, when it is over.
        """
        status = self.status
        assert status is not None
        last_seen, self._last_seen = self._last_seen, None
        if last_seen is not None and last_seen != status.counts:
            return (f'position changed while disconnected, from {self.in_steps(last_seen)} '
                    f'to {self.in_steps(status.counts)}')
        if status.moving:
            began_at, self.target_counts = self.target_counts, status.target_counts
            if self.others_motion:
                return None
            self.others_motion = True
            if self.hub_compensation.is_expected:
                self._compensated_from = began_at
                return None
            return f'is being moved by hand or by another program, at {self.in_steps(status.counts)}'
        if not self.others_motion and status.counts == self.target_counts:
            return None
        if self.hub_compensation.is_expected:
            began_at = self._compensated_from if self.others_motion else self.target_counts
            self.adopt_position_as_target()
            return f'compensated by the hub, from {self.in_steps(began_at)} to {self.in_steps(status.counts)}'
        began = '' if self.others_motion else f'from {self.in_steps(self.target_counts)} '
        self.adopt_position_as_target()
        return f'was moved by hand or by another program, {began}to {self.in_steps(status.counts)}'

    def adopt_position_as_target(self) -> None:
        """Make the present position the target."""
        assert self.status is not None
        self.others_motion = False
        self.target_counts = self.requested_counts = self.status.counts

    def in_steps(self, counts: int) -> str:
        """A position in words."""
        return f'{self.scale.steps(counts):+d} steps' if self.scale else f'{counts} counts'


class HubCompensation:
    """Whether the hub moves a focuser with the temperature: yes, no or unknown.

    A HALT ends compensation. Some firmware then shows TComp ON = 0; other firmware shows the stored setting, which a
    HALT does not change (docs/protocol.md, 7.5). So TComp ON = 1 after a HALT may mean that it is off, or on again.
    """

    def __init__(self, allowed: bool) -> None:
        self._allowed = allowed
        self._shown: bool | None = None     # TComp ON as read last, None before
        self._halted: bool | None = False   # a HALT has ended compensation that TComp ON may still show; None: perhaps
        self._halted_at = -math.inf         # when the last HALT went out or was answered

    @property
    def is_on(self) -> bool | None:
        """Whether the hub compensates; None if that is not known."""
        if not self._shown:
            return self._shown
        return None if self._halted is None else not self._halted

    @property
    def is_expected(self) -> bool:
        """Whether the hub is allowed to compensate, and may be doing it."""
        return self._allowed and bool(self._shown) and self.is_on is not False

    def forget(self) -> None:
        """The settings have to be read again."""
        self._shown = None
        self.not_answered()

    def not_answered(self) -> None:
        """The hub may have been switched off and on, which restores the stored setting."""
        if self._halted:
            self._halted = None

    def read(self, shown: bool, requested_at: float) -> None:
        """Take TComp ON from settings that were requested at `requested_at`."""
        self._shown = shown
        if requested_at < self._halted_at:
            return
        if not shown:
            self._halted = False
        elif self._halted:
            self._halted = None

    def halt_sent(self, now: float) -> None:
        """HALT goes out: until it is answered, its effect on compensation is not known."""
        if self._halted is False and (self._shown is None or self.is_expected):
            self._halted, self._halted_at = None, now

    def halt_answered(self, now: float) -> bool:
        """The hub has answered HALTED; returns whether that may have ended compensation that is allowed."""
        ends = self.is_expected
        if ends or self._shown is None:
            self._halted, self._halted_at = True, now
        return ends

    def switched(self) -> None:
        """We have switched compensation on or off: from now on the settings show the truth."""
        self._halted = False


def _overshoots(config: ConfigReport) -> tuple[int, int]:
    """Counts by which the hub passes the target of outward and of inward moves, against backlash.

    A negative number of steps means inward moves (docs/protocol.md, 9.2). An unknown number may be any.
    """
    if not config.backlash:
        return 0, 0
    if config.backlash_steps is None:
        return MAX_BACKLASH_STEPS, MAX_BACKLASH_STEPS
    return max(config.backlash_steps, 0), max(-config.backlash_steps, 0)

# SPDX-License-Identifier: GPL-3.0-or-later
"""What is confirmed about one focuser by the reports of the hub: settings, position, target. Pure.

A reply has no checksum, and a wrong digit makes as good a number as the right one. So a surprise is believed only when
a second report agrees: changed settings that limit or cause motion, a motion without a command, a focuser at rest at
another place, a home that was found. If the second report differs again, that is said, and the pace is as usual.
"""

from __future__ import annotations

import math

from ..hub_settings import has_home_switch
from .limits import Limits, StepScale
from .pending_start import MAX_BACKLASH_STEPS
from .poll_timing import History
from .reports import CompensationReport, ConfigReport, StatusReport
from .requests import DIGITS, MAX_COUNTS

CONTRADICTION_AFTER = 3
"""Reports of the settings in a row that differ from each other, after which they are an error."""

STALLED_AFTER_POLLS = 5
"""Polls in the rhythm of a moving focuser without another position, after which the motor counts as stalled."""

UNHOMED = 'the focuser has to be homed, its position is not known: IsHomed = 0'


class FocuserState:
    """Settings and position of one focuser, and its target. Positions are in counts, times in seconds."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.move_history = History()
        self.reported_at: float | None = None   # when the request for the latest status went out, during outages too
        self.status: StatusReport | None = None
        self._last_seen: tuple[int, str] | None = None   # the position before it was lost: counts, and in steps of then
        self._last_config: ConfigReport | None = None    # the settings before an outage
        self.config: ConfigReport | None = None
        self.scale: StepScale | None = None
        self.hub_compensation = HubCompensation(limits.allow_hub_compensation)
        self.forget()

    def forget(self) -> None:
        """Confirm nothing any more."""
        self.lose_position()
        self._last_config = self.config or self._last_config
        self.config = None
        self.compensation: CompensationReport | None = None
        self.config_at = -math.inf      # when the settings were last received
        self.scale = None
        self.digits = DIGITS            # digits that this hub takes in the request for a move
        self.hub_compensation.forget()
        self._surprising_config: ConfigReport | None = None
        self.config_surprises = 0               # reports of settings in a row that agree with none before
        self.contradiction: str | None = None   # how the settings differ in each report, in words

    def lose_position(self, comparable: bool = True) -> None:
        """The position has to be read and confirmed again.

        The old one is kept and compared with the new one, unless the two are not `comparable`.
        """
        if not comparable:
            self._last_seen = None
        elif self.status is not None:
            self._last_seen = self.status.counts, self.in_steps(self.status.counts)
        self.status = None
        self.awaits_config = True       # what has lost the position may have changed the settings, too
        self.status_at = -math.inf      # when the request for the status went out
        self.target_counts = 0
        self.requested_counts = 0
        self._compensated_from = 0
        self._progress: tuple[float, int, int] | None = None   # of a motion: since when, counts, polls without another
        self.others_motion = False      # the last report showed a motion that is not ours
        self.others_motion_seen_at = -math.inf   # when it was seen first
        self._surprising_status: StatusReport | None = None   # waits for a second one to agree
        self.drifts_since: float | None = None   # since when Curr Pos differs in each report although IsMoving is 0

    @property
    def needs_config(self) -> bool:
        """Whether the settings have to be read at once: first, and once more before they are believed."""
        return self.config_surprises == 1 or (self.awaits_config and self.config_surprises == 0)

    @property
    def moving(self) -> bool:
        """Whether the last report says that the motor runs."""
        return self.status is not None and self.status.moving

    @property
    def is_stalled(self) -> bool:
        """Whether the hub reports a motion, and the position stays the same."""
        if self._progress is None:
            return False
        since, _, polls = self._progress
        stays_s = self.status_at - since
        return polls >= STALLED_AFTER_POLLS and stays_s >= STALLED_AFTER_POLLS * self._limits.moving_loop_delay_s

    @property
    def must_be_homed(self) -> bool:
        """Whether the focuser has a home switch and has not found it: its counts then mean nothing."""
        return (self.config is not None and self.status is not None and self.status.homed is False
                and has_home_switch(self.config.device_type))

    @property
    def self_moving_settings(self) -> tuple[str, ...]:
        """The settings by which the hub moves the focuser by itself although it may not."""
        return () if self.config is None or self._limits.allow_hub_compensation else self.config.self_moving_settings

    def learn_config(self, config: ConfigReport, requested_at: float, now: float,
                     changing: bool = False) -> ConfigReport | None:
        """Take settings that were requested at `requested_at`. They may differ while we are `changing` them.

        Returns None if they are not believed yet, else the settings before, even from before an outage; the first
        ones count as their own.
        """
        surprise = self._surprising_config
        if _limiting(config) not in [_limiting(each) for each in (self.config, surprise) if each is not None]:
            self.config_surprises += 1
            differ = self.config_surprises >= CONTRADICTION_AFTER and not changing and self.contradiction is None
            if surprise is not None and differ:
                self.contradiction = _difference(surprise, config)
            self._surprising_config = config
            return None
        before, self.config, self._surprising_config = self.config or self._last_config, config, None
        self.awaits_config = False
        self.config_at, self.config_surprises, self.contradiction = now, 0, None
        self.hub_compensation.read(config.compensating, requested_at)
        self.scale = StepScale(min(config.max_counts, MAX_COUNTS), self._limits.soft_step_limits, *_overshoots(config))
        return before or config

    def learn_status(self, status: StatusReport, sent_at: float, may_have_moved: bool) -> bool:
        """Take a status that was requested at `sent_at`; returns whether it is believed.

        `may_have_moved`: something happens that explains any position.
        """
        known = self.status is not None and status.counts == self.target_counts
        explained = known or may_have_moved or (self.others_motion and self.drifts_since is None)
        found_home = status.homed is not False and self.status is not None and self.status.homed is False
        surprising = not (may_have_moved or self.others_motion) if status.moving else found_home or not explained
        if surprising and not _agree(status, self._surprising_status):
            is_first, self._surprising_status = self._surprising_status is None, status
            if is_first:
                return False
            if not status.moving:   # a position that differs in each report is motion, whatever IsMoving says
                status = status._replace(moving=True)
                self.drifts_since = sent_at if self.drifts_since is None else self.drifts_since
        else:
            self._surprising_status = self.drifts_since = None
        if self.status is None:
            self.target_counts = self.requested_counts = status.counts
        if not status.moving or self._progress is None or self._progress[1] != status.counts:
            self._progress = (sent_at, status.counts, 0) if status.moving else None
        else:
            self._progress = (*self._progress[:2], self._progress[2] + 1)
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
        if last_seen is not None and last_seen[0] != status.counts:
            return f'position changed while it was not polled, from {last_seen[1]} to {self.in_steps(status.counts)}'
        if status.moving:
            began_at, self.target_counts = self.target_counts, status.target_counts
            if self.others_motion:
                return None
            self.others_motion = True
            self.others_motion_seen_at = self.status_at
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


_LIMITING_FIELDS = {
    'max_counts': 'Max Pos', 'device_type': 'Dev Typ', 'compensating': 'TComp ON', 'compensates_at_start': 'TC@Start',
    'backlash': 'BLC En', 'backlash_steps': 'BLC Stps'}
"""The settings that limit or cause motion, and how the hub calls them."""


def _limiting(config: ConfigReport) -> list[object]:
    return [getattr(config, field) for field in _LIMITING_FIELDS]


def _difference(config: ConfigReport, other: ConfigReport) -> str:
    """How two reports differ in what limits or causes motion."""
    return ', '.join(f'{key} = {getattr(config, field)}, then {getattr(other, field)}'
                     for field, key in _LIMITING_FIELDS.items() if getattr(config, field) != getattr(other, field))


def _agree(status: StatusReport, other: StatusReport | None) -> bool:
    """Whether two reports in a row agree on what is believed only then."""
    if other is None or status.moving or other.moving:
        return other is not None and status.moving and other.moving
    return (status.counts, status.homed) == (other.counts, other.homed)


def _overshoots(config: ConfigReport) -> tuple[int, int]:
    """Counts by which the hub passes the target of outward and of inward moves, against backlash.

    A negative number of steps means inward moves (docs/protocol.md, 9.2). An unknown number may be any.
    """
    if not config.backlash:
        return 0, 0
    if config.backlash_steps is None:
        return MAX_BACKLASH_STEPS, MAX_BACKLASH_STEPS
    return max(config.backlash_steps, 0), max(-config.backlash_steps, 0)

# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a focuser can be used, why not, and what is published of it: pure functions of what is known of it."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from ..constants import FocuserStatus, is_usable
from ..hub_settings import NO_FOCUSER_TYPE, has_home_switch
from .focuser_state import UNHOMED, FocuserState
from .limits import Limits
from .operation import Motion, Operation
from .pending_start import START_LIMIT_S
from .polling import Polling
from .snapshot import FocuserSnapshot, Reports
from .unsupervised import UnsupervisedMotion

SMALLEST_MAX_POS = 4
"""With a smaller Max Pos, no step but 0 can be commanded: steps go to +-(Max Pos // 2 - 1)."""

NOT_CONNECTED = 'not connected'


class LinkDown(NamedTuple):
    """There is no link to the hub. `status` is Disabled, Initializing or Error."""

    reason: str
    status: int


class Facts(NamedTuple):
    """All that a judgement about a focuser depends on, but for the time."""

    limits: Limits
    state: FocuserState
    polling: Polling
    operation: Operation | None
    unsupervised: UnsupervisedMotion
    link_down: LinkDown | None
    failure: str | None   # why the last command that has ended failed

    @property
    def motion(self) -> Motion | None:
        """The operation, if it moves the motor."""
        return self.operation if isinstance(self.operation, Motion) else None


def is_commanded(facts: Facts) -> bool:
    """Whether a motion that we have commanded may be going on."""
    return facts.unsupervised.is_lost_motion or (facts.motion is not None and facts.motion.went_out)


def motor_may_run(facts: Facts) -> bool:
    """Whether a motion may be going on that we have commanded, or caused by a change that restarts the hub."""
    return is_commanded(facts) or facts.unsupervised.is_possible


def is_silent(facts: Facts) -> bool:
    """Whether the channel is published as silent: its polls fail, and no motion that we commanded can be going on.

    During such a motion it stays Moving, however many polls fail.
    """
    return not is_commanded(facts) and facts.polling.silence is not None


def hub_answers(facts: Facts, now: float) -> bool:
    """Whether the hub answers for this channel, even if the position that it reports cannot be believed."""
    patience_s = 2 * (facts.limits.idle_loop_delay_s + facts.limits.serial_timeout_s)
    return facts.link_down is None and (not is_silent(facts) or now <= facts.state.config_at + patience_s)


def drifts(state: FocuserState, now: float) -> bool:
    """Whether the position has differed in each report, at rest, for longer than a motor may take to begin."""
    return state.drifts_since is not None and now - state.drifts_since > START_LIMIT_S


def judge(facts: Facts, now: float) -> tuple[int, str | None]:
    """FocuserStatus and, below Idle, the reason."""
    state = facts.state
    if facts.link_down is not None:
        return facts.link_down.status, facts.link_down.reason
    if state.contradiction is not None and not is_commanded(facts):
        return FocuserStatus.Error, f'the settings differ in each report of the hub: {state.contradiction}'
    if state.config is None or state.status is None:
        if facts.polling.silence is not None:
            return FocuserStatus.Error, facts.polling.silence
        return FocuserStatus.Initializing, 'waiting for the first report of the hub'
    if is_silent(facts):
        return FocuserStatus.Error, facts.polling.silence
    if is_commanded(facts) or facts.motion is not None:
        return FocuserStatus.Moving, None
    if state.awaits_config:
        return FocuserStatus.Initializing, 'waiting for the settings of the hub'
    if drifts(state, now):
        return FocuserStatus.Error, 'the position differs in each report of the hub, although it says IsMoving = 0'
    if state.config.max_counts < SMALLEST_MAX_POS:
        return FocuserStatus.Error, f'Max Pos = {state.config.max_counts} leaves no usable range'
    if state.self_moving_settings:
        return FocuserStatus.Error, '; '.join(state.self_moving_settings)
    if not facts.limits.sees_focuser(state.status.probe_present):
        return FocuserStatus.Disconnected, 'no focuser is plugged into this channel (no temperature probe)'
    if state.config.device_type == NO_FOCUSER_TYPE and not facts.limits.temperature_probe_required:
        return FocuserStatus.Disconnected, f'no focuser is configured on this channel (Dev Typ = {NO_FOCUSER_TYPE})'
    if not state.moving and state.must_be_homed:
        return FocuserStatus.Error, UNHOMED
    return (FocuserStatus.Moving if state.moving else FocuserStatus.Idle), None


def snapshot(facts: Facts, now: float) -> FocuserSnapshot:
    """The state to publish. The more is known, the more it has: names, reports, numbers."""
    status, reason = judge(facts, now)
    state, as_of, good_until = facts.state, now, math.inf
    config, report, scale = state.config, state.status, state.scale
    known: dict[str, Any] = {}
    if config is not None and report is not None and scale is not None:
        known.update(nickname=config.nickname, device_type=config.device_type)
        if not is_silent(facts):
            as_of = state.status_at
            if not is_commanded(facts):
                good_until = state.status_at + facts.limits.oldest_report_s
            known.update(
                homed=report.homed if has_home_switch(config.device_type) else None,
                compensating=state.hub_compensation.is_on,
                reports=Reports(config, report, state.compensation))
            if is_usable(status):
                motion = facts.motion
                target_counts = state.target_counts if motion is None else motion.target_counts
                requested_counts = state.requested_counts if motion is None else motion.target_counts
                known.update(
                    temperature_c=report.temperature_c,
                    current_steps=scale.steps(report.counts),
                    target_steps=scale.steps(target_counts),
                    requested_steps=scale.steps(requested_counts),
                    min_steps=scale.min_steps,
                    max_steps=scale.max_steps,
                    stalled=state.is_stalled)
    return FocuserSnapshot(status, as_of, good_until, state.reported_at, error=reason, failure=facts.failure, **known)

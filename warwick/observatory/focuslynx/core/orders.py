# SPDX-License-Identifier: GPL-3.0-or-later
"""Which commands a focuser accepts in which state, and the task or halt that each of them begins.

Pure: it is given the time. A command that is not accepted has its outcome at once.
"""

from __future__ import annotations

import math

from ..hub_settings import has_home_switch, in_words
from .arrival import History
from .availability import Standing
from .commands import Configure, Outcome, Sink, Ticket
from .configure import ChangeSetting
from .halt import MotorHalt
from .homing import Homing
from .limits import Limits
from .move import Move
from .operation import Motion, Operation, Phase
from .reports import StatusReport
from .zero import Zero

JUST_ARRIVED_S = 0.1
"""A focuser that was seen to arrive so lately is not looked at again before its next move: a sweep has many of them."""

CONFIG_MAX_AGE_S = 10.0
"""Settings that were read longer ago are read again before anything is set in motion: they are what limits it. A motion
that is asked for a second time wants settings that were read since the first."""


class Orders(Standing):
    """What a focuser is busy with: at most one task, and at most one halt, which goes before it."""

    def __init__(self, number: int, settings: Limits, sink: Sink, unattended: bool) -> None:
        super().__init__(number, settings, sink, unattended)
        self._history = History()
        self._task: Operation | None = None
        self._halting: MotorHalt | None = None
        self._retry_at = -math.inf              # nothing is asked before, after failures
        self._arrival: StatusReport | None = None     # the last status, if it showed that a move of ours has arrived

    @property
    def _motion(self) -> Motion | None:
        return self._task if isinstance(self._task, Motion) else None

    def move(self, steps: int, offset: bool, ticket: Ticket, now: float) -> None:
        """Begin a move to `steps`, or by `steps` from the present target with `offset`."""
        scale = self._known.scale
        if not self.usable(now) or scale is None:
            self._sink.resolve(ticket, Outcome.NOT_AVAILABLE)
            return
        target_steps = scale.steps(self._known.target_counts)
        compensated = self._known.hub_compensation.is_expected
        if not scale.allows(target_steps + steps if offset else steps):
            self._sink.resolve(ticket, Outcome.OUTSIDE_LIMITS)
        elif self.busy and not (compensated and self._task is None and self._halting is None):
            self._refuse('move', f'the channel is {self.busy}', ticket)
        else:
            self._begin(Move(self.number, ticket, self._sink, now, scale, steps, offset, target_steps, self._settings,
                             self._history, compensated, self._known.digits))
            if self._arrival is not None and now - self._known.status_at <= JUST_ARRIVED_S \
                    and not self._config_is_too_old:
                assert self._task is not None
                self._task.status(self._arrival, self._known.status_at, now)
                self._settle(now)

    def zero(self, ticket: Ticket, now: float) -> None:
        """Begin to declare the present position to be step 0."""
        config, scale = self._known.config, self._known.scale
        if not self.usable(now) or scale is None or config is None:
            self._sink.resolve(ticket, Outcome.NOT_AVAILABLE)
        elif has_home_switch(config.device_type):
            self._refuse('zero', f'the focuser ({config.device_type}, {in_words(config.device_type)}) finds its zero '
                                 f'by its home switch: use home', ticket, Outcome.NOT_SUPPORTED)
        elif self.busy:
            self._refuse('zero', f'the channel is {self.busy}', ticket)
        else:
            self._begin(Zero(self.number, ticket, self._sink, now, scale, self._settings))

    def home(self, ticket: Ticket, now: float) -> None:
        """Begin to seek the home switch. Not having found it yet is no obstacle."""
        config, status, scale = self._known.config, self._known.status, self._known.scale
        lost = self._unhomed and not self._known.moving and not self._silent(now) and not self._known.interfering \
            and self._down is None
        if config is None or status is None or scale is None or not (self.usable(now) or lost):
            self._sink.resolve(ticket, Outcome.NOT_AVAILABLE)
        elif not has_home_switch(config.device_type):
            self._refuse('homing', f'the focuser ({config.device_type}, {in_words(config.device_type)}) has no home '
                                   f'switch: use zero', ticket, Outcome.NOT_SUPPORTED)
        elif self.busy:
            self._refuse('homing', f'the channel is {self.busy}', ticket)
        else:
            self._begin(Homing(self.number, ticket, self._sink, now, scale, self._settings, status.counts))

    def configure(self, command: Configure, busy_elsewhere: str | None, ticket: Ticket, now: float) -> None:
        """Begin to change a setting of the hub: also on a channel in error, which may be the way out of it.

        `busy_elsewhere` is what the other channel is busy with: a change may restart the whole hub.
        """
        config, key = self._known.config, command.setting.key
        if self._down is not None or config is None or not self._hears(now):
            self._sink.resolve(ticket, Outcome.NOT_AVAILABLE)
        elif self._task is not None or self._halting is not None:
            self._refuse(key, f'the channel is {self.busy or "being halted"}', ticket)
        elif command.setting.restarts and busy_elsewhere is not None:
            self._refuse(key, f'it may restart the hub, and the other channel is {busy_elsewhere}', ticket)
        else:
            self._begin(ChangeSetting(self.number, ticket, self._sink, now, command.setting, command.value, config))

    def _begin(self, task: Operation) -> None:
        """Take up a task. It does not wait until the next poll of a channel that has failed to answer is due."""
        self._task = task
        self._retry_at = -math.inf

    def _refuse(self, what: str, why: str, ticket: Ticket, outcome: Outcome = Outcome.FAILED) -> None:
        self._failure_told = f'{what} refused: {why}'
        self._log('error', self._failure_told)
        self._sink.resolve(ticket, outcome)

    def stop(self, ticket: Ticket | None, now: float) -> None:
        """Halt, whatever the channel is doing and whatever is known of it."""
        if self._halting is None:
            self._halting = MotorHalt(self.number, now)
        if ticket is not None:
            self._log('info', 'stop requested')
            self._halting.join(ticket, now)
        if isinstance(self._task, Motion):
            self._drop_task('stopped before it began')

    @property
    def busy(self) -> str | None:
        """What the channel is busy with, in words; None at rest."""
        if self._halting is not None and self.motor_may_run:
            return 'being halted'
        if self._task is not None:
            return f'busy with a {self._task.name}'
        return 'being moved from outside' if self._known.moving else None

    @property
    def _config_is_too_old(self) -> bool:
        """Whether the settings have to be read again before the task sets anything in motion."""
        task = self._task
        if task is None or task.phase not in (Phase.CHECK, Phase.SEND) or isinstance(task, ChangeSetting):
            return False
        return self._known.config_at < (task.began if task.went_out else task.began - CONFIG_MAX_AGE_S)

    def _settle(self, now: float) -> None:
        """Draw the consequences of what a task has decided."""
        if self._task is None:
            return
        if self._task.phase is Phase.FAILED and self._halting is None:
            self.stop(None, now)
        elif self._task.phase is Phase.ENDED:
            self._arrival = None
            if isinstance(self._task, Move) and self._task.outcome is Outcome.DONE:
                self._arrival = self._known.status
                self._known.digits = self._task.digits
            if isinstance(self._task, ChangeSetting) and self._task.outcome is not Outcome.DONE and self._task.went_out:
                self.ask_again()   # it may have been changed all the same
            elif isinstance(self._task, ChangeSetting) and self._task.key == 'temperature_compensation':
                self._known.hub_compensation.switched()
            self._release()
            if self._known.status is not None and not self._known.moving:
                self._known.rest()

    def _drop_task(self, reason: str) -> None:
        """Give up what has not reached the wire yet."""
        if self._task is not None and not self._task.went_out:
            self._task.cancel(reason)
            self._release()

    def _release(self) -> None:
        """The task has ended."""
        assert self._task is not None
        self._failure_told, self._task = self._task.failure, None

# SPDX-License-Identifier: GPL-3.0-or-later
"""When a focuser at rest is polled, and whether its polls fail. Pure: it is given the time."""

from __future__ import annotations

import math

from .reports import GetConfig, GetStatus
from .requests import HubError, Interrupted, NextRequest, Refused, Request, as_reason

CONFIG_PACE_S = 5.0
"""How often, at most, the settings of a focuser at rest are read again: other programs may change them."""

CONFIG_EARLY_S = 1.0
"""Settings that are due so soon after a status are read together with it."""

SILENT_AFTER = 2
"""Polls in a row that fail before a channel counts as silent: a single lost or garbled reply raises no alarm."""

FREE_RETRIES = 3
"""Failed exchanges in a row after which a silent channel is polled at its ordinary pace. Before, they are repeated at
once."""


class Polling:
    """The polls of one channel: when they are due, and how many in a row have failed. Times are in seconds."""

    def __init__(self, channel: int) -> None:
        self._channel = channel
        self._status, self._config = GetStatus(channel), GetConfig(channel)
        self.restart()

    def restart(self) -> None:
        """The port is opened: everything is due, and nothing has failed yet."""
        self.error: HubError | None      # of the last exchange, if it failed
        self.known_reason: str | None    # why there is no report yet, before polls have failed
        self._config_failures = 0
        self._status_sent_at = self._config_sent_at = -math.inf
        self._reset_failures()
        self.read_now()

    def read_now(self) -> None:
        """Read settings and status as soon as possible, whatever the pace. A silent channel stays silent until then."""
        self.not_before = -math.inf
        self.failures = 0
        self.read_next()

    def read_next(self) -> None:
        """Read the settings next, and then the status."""
        self.config_due = self.status_due = -math.inf

    @property
    def silence(self) -> str | None:
        """Why the channel counts as silent; None if it does not."""
        if self._proven_failures >= SILENT_AFTER:
            return str(self.error)
        return self.known_reason

    @property
    def config_must_be_repeated(self) -> bool:
        """Whether a reading of the settings has failed, not too often."""
        return 0 < self._config_failures <= FREE_RETRIES

    def status_received(self, sent_at: float, pace_s: float, at_rest: bool) -> None:
        """A status came and is believed. This ends a row of failures: no other reply shows where the focuser is.

        `at_rest`: we do nothing with the focuser. After a silence its settings then have to be read as well.
        """
        self._status_sent_at = sent_at
        self.status_due = sent_at + pace_s
        self._awaited.discard(GetStatus)
        if self._awaited and at_rest:
            self.config_due, self._config_failures = -math.inf, 0
        else:
            self._reset_failures()

    def _reset_failures(self) -> None:
        self.error = self.known_reason = None
        self.not_before = -math.inf
        self.failures = 0           # in a row, without a status in between
        self._proven_failures = 0   # those of them that prove something
        self._interrupted = 0       # those of them that were interrupted, and may yet be answered
        # What a silent channel has to report before it is believed again: others may have changed settings meanwhile
        self._awaited: set[type[Request]] = set()

    def _note_evidence(self, failures: int) -> None:
        """So many more failures are proven."""
        self._proven_failures += failures
        if self._proven_failures >= SILENT_AFTER:
            self._awaited = {GetStatus, GetConfig}

    def config_received(self, sent_at: float, now: float, again_soon: bool) -> None:
        """Settings came and are believed. They are requested less often from a slow hub."""
        self._config_sent_at = sent_at
        self._config_failures = 0
        if self._awaited == {GetConfig}:
            self._reset_failures()
        self._awaited.discard(GetConfig)
        self.config_due = now + (0.0 if again_soon else max(CONFIG_PACE_S, 10 * (now - sent_at)))

    def config_contradicted(self, now: float) -> None:
        """The settings differ in each report: they are read again at the usual pace."""
        self._config_failures = 0
        self.config_due = now + CONFIG_PACE_S

    def failed(self, request: Request, error: HubError, now: float, pace_s: float) -> None:
        """An exchange of this channel failed. The next poll follows at once; after FREE_RETRIES at the pace `pace_s`.

        A refusal of anything but a poll is an answer.
        """
        if isinstance(error, Refused) and not isinstance(request, (GetStatus, GetConfig)):
            return
        if self.error is None or not isinstance(error, Interrupted):
            self.error = as_reason(error, request)
        self.failures += 1
        if request.channel == self._channel:
            self._interrupted += isinstance(error, Interrupted)
            self._note_evidence(not isinstance(error, Interrupted))
        self._config_failures += isinstance(request, GetConfig)
        self.status_due = now
        if self.failures > FREE_RETRIES and self.silence is not None:
            self.not_before = now + pace_s

    def hub_is_silent(self) -> None:
        """The hub does not answer the other channel either: a failed poll need not be repeated to be believed."""
        if self.failures:
            self._note_evidence(max(0, SILENT_AFTER - self._proven_failures))

    def interrupted_polls_have_failed(self) -> None:
        """Polls that were interrupted would not have been answered either."""
        self._note_evidence(self._interrupted)
        self._interrupted = 0

    def next_request(self) -> NextRequest:
        """The next poll. After a failed one it is for the status, which proves that the channel answers."""
        in_order = not self.failures and not self.config_must_be_repeated
        status = NextRequest(self.status_due, self._status, can_wait=in_order)
        config_first = self.config_due == -math.inf and not self._config_failures
        if self.failures and not config_first:
            return status
        if config_first or self.config_must_be_repeated:
            return NextRequest(-math.inf, self._config, can_wait=in_order)
        with_last_status = self._config_sent_at < self._status_sent_at \
            and self.config_due <= self._status_sent_at + CONFIG_EARLY_S
        return NextRequest(self._status_sent_at, self._config, can_wait=True) if with_last_status else status

# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbers, messages and labels that other programs know by heart: none of them ever changes its meaning."""

from __future__ import annotations

from typing import ClassVar

# What the client reports when there is no CommandStatus to report; a shell shows them as 156 and 155.
TERMINATED_BY_USER = -100
NO_COMMUNICATION = -101


CHANNELS = (1, 2)
"""The channels of a hub, as printed on it."""


class CommandStatus:
    """The outcome of a command, as the daemon returns it and the client exits with it."""

    Succeeded = 0
    Failed = 1
    Blocked = 2
    InvalidControlIP = 3
    InvalidChannel = 4
    ChannelNotAvailable = 5
    PositionOutsideLimits = 6
    NotConnected = 7
    NotDisconnected = 8
    InvalidSetting = 9
    NotSupported = 10
    NotConfirmed = 11

    _messages: ClassVar[dict[int, str]] = {
        Succeeded: '',
        Failed: 'error: command failed',
        Blocked: 'error: another command is already running',
        InvalidControlIP: 'error: command not accepted from this IP',
        InvalidChannel: 'error: invalid channel',
        ChannelNotAvailable: 'error: channel disconnected or in error state',
        PositionOutsideLimits: 'error: requested position outside channel range',
        NotConnected: 'error: focuser is not connected',
        NotDisconnected: 'error: focuser is already connected',
        InvalidSetting: 'error: unknown setting, or value that it cannot have',
        NotSupported: 'error: not supported by this focuser',
        NotConfirmed: 'error: not done without confirmation',
        TERMINATED_BY_USER: 'error: terminated by user',
        NO_COMMUNICATION: 'error: unable to communicate with focus daemon',
    }

    @classmethod
    def message(cls, status: int) -> str:
        """The sentence for a person: empty for Succeeded, and one that quotes the number where it is not known."""
        return cls._messages.get(status, f'error: Unknown error code {status}')


class FocuserStatus:
    """The state of a channel. Consumers index tables of six with it: there is no seventh value."""

    Disabled = 0
    Disconnected = 1
    Error = 2
    Initializing = 3
    Idle = 4
    Moving = 5

    # The colour is the name of an attribute of warwick.observatory.common.TFmt; bold alone where there is none.
    _labels: ClassVar[dict[int, tuple[str, str]]] = {
        Disabled: ('OFFLINE', ''),
        Disconnected: ('DISCONNECTED', 'Red'),
        Error: ('ERROR', 'Red'),
        Initializing: ('INITIALIZING', 'Cyan'),
        Idle: ('IDLE', 'Green'),
        Moving: ('MOVING', 'Yellow'),
    }

    @classmethod
    def label(cls, status: int, formatting: bool = False) -> str:
        """The word for a state, UNKNOWN for any other number.

        `formatting` wraps it in terminal colours, and only then needs warwick.observatory.common.
        """
        text, colour = cls._labels.get(status, ('UNKNOWN', 'Red'))
        if not formatting:
            return text
        from warwick.observatory.common import TFmt
        return TFmt.Bold + (getattr(TFmt, colour) if colour else '') + text + TFmt.Clear


def is_usable(status: object) -> bool:
    """Whether a channel in this FocuserStatus has a position and can be moved."""
    return status in (FocuserStatus.Idle, FocuserStatus.Moving)

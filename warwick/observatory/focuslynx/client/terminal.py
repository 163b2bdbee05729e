# SPDX-License-Identifier: GPL-3.0-or-later
"""What a stream of the client's can show."""

from __future__ import annotations

import os
from typing import Any


def is_screen(stream: Any) -> bool:
    """Whether a stream is a terminal on which text can be put anywhere."""
    return stream is not None and stream.isatty() and os.environ.get('TERM', '') not in ('', 'dumb')


def is_lively(stream: Any) -> bool:
    """Whether somebody looks at a stream who likes colour and motion."""
    return is_screen(stream) and not os.environ.get('NO_COLOR')


def speaks_unicode(stream: Any) -> bool:
    """Whether a stream takes more than ASCII."""
    return 'utf' in (getattr(stream, 'encoding', None) or '').lower()


def size(stream: Any) -> tuple[int, int]:
    """Columns and rows of the terminal behind a stream; 80 and 24 where it does not know."""
    try:
        columns, rows = os.get_terminal_size(stream.fileno())
    except (OSError, ValueError):
        columns, rows = 0, 0
    return columns or 80, rows or 24


def in_foreground(stream: Any) -> bool:
    """Whether the terminal behind a stream listens to us, and not to a shell that has put us into the background."""
    try:
        return os.tcgetpgrp(stream.fileno()) == os.getpgrp()
    except (OSError, ValueError):  # it is no terminal of ours to control
        return True

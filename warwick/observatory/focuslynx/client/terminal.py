# SPDX-License-Identifier: GPL-3.0-or-later
"""What a stream can show, and how a text gets there."""

from __future__ import annotations

import os
import sys
from typing import Any

TEXT_WIDTH = 79
"""The longest line of a text for people; a terminal has 80 columns or more."""

RESET_STYLE = '\x1b[0m'


def is_terminal(stream: Any) -> bool:
    """Whether a stream is a terminal. It is None where the process was started without it."""
    return stream is not None and stream.isatty()


def is_screen(stream: Any) -> bool:
    """Whether a stream is a terminal whose cursor can be moved."""
    return is_terminal(stream) and os.environ.get('TERM', '') not in ('', 'dumb')


def is_lively(stream: Any) -> bool:
    """Whether a stream should get colour and motion."""
    return is_screen(stream) and not os.environ.get('NO_COLOR')


def speaks_unicode(stream: Any) -> bool:
    """Whether a stream takes more than ASCII."""
    return 'utf' in (getattr(stream, 'encoding', None) or '').lower()


def size(stream: Any) -> tuple[int, int]:
    """Columns and rows of the terminal behind a stream; 80 and 24 if unknown."""
    try:
        columns, rows = os.get_terminal_size(stream.fileno())
    except (OSError, ValueError):
        columns, rows = 0, 0
    return columns or 80, rows or 24


def in_foreground(stream: Any) -> bool:
    """Whether the terminal behind a stream is ours now; False for a background job of a shell."""
    try:
        return os.tcgetpgrp(stream.fileno()) == os.getpgrp()
    except (OSError, ValueError):  # not the terminal that controls this process
        return True


def print_to(stream: Any, text: str) -> bool:
    """Print a text unless it is empty, and return whether that worked. A reader that closed its pipe is no failure."""
    try:
        if text and stream is not None:
            print(text, file=stream, flush=True)
    except OSError as e:
        message = write_failed(stream, e)
        if message and stream is not sys.stderr:
            print_to(sys.stderr, message)
        return not message
    return True


def write_failed(stream: Any, error: OSError) -> str:
    """The message for an error in writing, empty if the reader has closed the pipe.

    From then on the stream writes to nowhere; otherwise Python would write the rest once more when it exits.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    return '' if isinstance(error, BrokenPipeError) else f'error: cannot write: {error.strerror}'

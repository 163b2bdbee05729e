# SPDX-License-Identifier: GPL-3.0-or-later
"""Text that came from elsewhere, made fit for a message: on one line, short, and harmless to a terminal."""

from __future__ import annotations


def shortened(text: str, most: int = 40) -> str:
    """At most `most` characters of a text; `...` stands for what was left out at its end."""
    return text if len(text) <= most else text[:most - 3] + '...'


def one_line(text: object) -> str:
    """A text on one line, with single blanks; its repr where nothing else is in it."""
    return ' '.join(str(text).split()) or repr(text)


def printable(text: str) -> str:
    """A text in which `?` stands for each character that a terminal would not simply show."""
    return ''.join(c if c.isprintable() else '?' for c in text)

# SPDX-License-Identifier: GPL-3.0-or-later
"""Make a text from another program fit for a message: on one line, short, and harmless to a terminal."""

from __future__ import annotations


def shortened(text: str, most: int = 40) -> str:
    """A text of at most `most` characters: a longer one is cut, and ends with `...`."""
    return text if len(text) <= most else text[:most - 3] + '...'


def one_line(text: object) -> str:
    """A text on one line, with single blanks. If it holds only blanks, its repr."""
    return ' '.join(str(text).split()) or repr(text)


def printable(text: str) -> str:
    """A text with `?` in place of each character that a terminal does not show as it is."""
    return ''.join(c if c.isprintable() else '?' for c in text)

# SPDX-License-Identifier: GPL-3.0-or-later
"""Escape sequences for text on a terminal."""


class TFmt:
    """Each switches on a colour or bold; `Clear` switches all of them off."""

    Green = '\033[92m'
    Red = '\033[91m'
    Cyan = '\033[96m'
    Yellow = '\033[93m'
    Bold = '\033[1m'
    Clear = '\033[0m'

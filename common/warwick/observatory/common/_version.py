# SPDX-License-Identifier: GPL-3.0-or-later
"""The version of this distribution; setup.py reads it from here."""

__version__ = '0.1.0'

# SPDX-License-Identifier: GPL-3.0-or-later
"""The command-line client `focus`. Loading this loads nothing, so that `focus help` stays fast."""

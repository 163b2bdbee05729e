# SPDX-License-Identifier: GPL-3.0-or-later
"""The command-line client `focus`. This file imports nothing, so that `focus help` starts fast."""

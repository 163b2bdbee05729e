# SPDX-License-Identifier: GPL-3.0-or-later
"""The conversation with the hub: all that decides. Nothing here waits, reads a clock or touches a port."""

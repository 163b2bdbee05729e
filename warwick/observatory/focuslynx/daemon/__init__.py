# SPDX-License-Identifier: GPL-3.0-or-later
"""The daemon `focusd`: the threads, the serial port, Pyro4, the logs and systemd around the core."""

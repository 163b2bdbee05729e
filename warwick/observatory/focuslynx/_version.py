# SPDX-License-Identifier: GPL-3.0-or-later
"""The version of this distribution. setup.py reads it here, and fills in `BUILD` in what it builds."""

__version__ = '0.1.0'
# In a distribution the commit that it was built from, or '' where that is not known. The code of a clone that runs in
# place changes with every pull, so no commit is claimed for it.
BUILD = 'clone'
SOFTWARE_VERSION = f'{__version__}+{BUILD}' if BUILD else __version__

# SPDX-License-Identifier: GPL-3.0-or-later
"""The error message for a package that is not installed."""

from __future__ import annotations

_COMMON = 'warwick.observatory.common'
_REMEDIES = {
    _COMMON: "install the observatory's package python3-warwick-observatory-common, "
             'or run "pip install ./common" in a clone of focusd',
    'Pyro4': 'install the package python3-Pyro4, or run "pip install Pyro4"',
    'jsonschema': 'install the package python3-jsonschema, or run "pip install jsonschema"',
    'serial': 'install the package python3-pyserial, or run "pip install pyserial"',
}


def missing_dependency(error: ImportError) -> str:
    """One line that names the package and how to install it. It repeats the error of any other package."""
    name = error.name or ''
    if isinstance(error, ModuleNotFoundError) and name in _REMEDIES:
        return f'error: the Python package {name} is not installed: {_REMEDIES[name]}'
    return 'error: a Python package cannot be loaded: ' + ' '.join(str(error).split())

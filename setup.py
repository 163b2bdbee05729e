# SPDX-License-Identifier: GPL-3.0-or-later
"""Build and install focusd, focus and their package `warwick.observatory.focuslynx`.

`warwick.observatory.common` is needed at run time, yet is not among the requirements: the observatory's own is on no
index, and an installer that looks for it there would fetch a stranger's, or replace what is in place.
"""

import re
from pathlib import Path

from setuptools import find_namespace_packages, setup

HERE = Path(__file__).resolve().parent


def version() -> str:
    """The version in _version.py, which is not imported: the package may lack its requirements yet."""
    text = (HERE / 'warwick/observatory/focuslynx/_version.py').read_text(encoding='utf-8')
    return re.search(r"^__version__ = '(.+)'$", text, re.MULTILINE)[1]


setup(
    name='warwick.observatory.focuslynx',
    version=version(),
    description='Daemon and client for Optec FocusLynx telescope focusers',
    long_description=(HERE / 'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    license='GPL-3.0-or-later',
    packages=find_namespace_packages(include=['warwick.observatory.focuslynx*']),
    scripts=['focus', 'focusd'],
    python_requires='>=3.9',
    install_requires=['Pyro4>=4.80', 'pyserial>=3.4', 'jsonschema>=3.2'],
    zip_safe=False,
    classifiers=[
        'Development Status :: 4 - Beta',
        'Environment :: No Input/Output (Daemon)',
        'Intended Audience :: Science/Research',
        'Operating System :: POSIX',
        'Programming Language :: Python :: 3',
        'Topic :: Scientific/Engineering :: Astronomy',
    ],
)

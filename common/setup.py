# SPDX-License-Identifier: GPL-3.0-or-later
"""Build and install the stand-in for the observatory's `warwick.observatory.common`."""

import re
import site
import sys
from pathlib import Path

from setuptools import find_namespace_packages, setup

NAME = 'focusd-standin-common'
PACKAGE = Path('warwick/observatory/common')
HERE = Path(__file__).resolve().parent


def refuse_to_replace_the_original() -> None:
    """Exit if the Python that builds this has a `warwick.observatory.common` that did not come from here.

    pip would write ours over it without a word, and take it away with ours later.
    """
    in_venv = sys.prefix != sys.base_prefix
    for directory in [*site.getsitepackages(), *([] if in_venv else [site.getusersitepackages()])]:
        present = Path(directory, PACKAGE)
        ours = any(Path(directory).glob('focusd_standin_common-*'))
        if present.exists() and not ours:
            sys.exit(f'{NAME}: not installed: {present} is there already, and serves focusd as well')


def version() -> str:
    """The version in _version.py, which is not imported: the package may lack its requirements yet."""
    text = (HERE / PACKAGE / '_version.py').read_text(encoding='utf-8')
    return re.search(r"^__version__ = '(.+)'$", text, re.MULTILINE)[1]


refuse_to_replace_the_original()
setup(
    name=NAME,
    version=version(),
    description='Stand-in for warwick.observatory.common, where the observatory has none of its own',
    long_description=(HERE / 'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    license='GPL-3.0-or-later',
    packages=find_namespace_packages(include=['warwick.observatory.common*']),
    package_data={'warwick.observatory.common': ['py.typed']},
    python_requires='>=3.9',
    install_requires=['Pyro4>=4.80', 'jsonschema>=3.2'],
    zip_safe=False,
    classifiers=[
        'Intended Audience :: Science/Research',
        'Operating System :: POSIX',
        'Programming Language :: Python :: 3',
        'Topic :: Scientific/Engineering :: Astronomy',
    ],
)

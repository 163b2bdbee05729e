# SPDX-License-Identifier: GPL-3.0-or-later
"""Build and install focusd, focus and their package `warwick.observatory.focuslynx`.

`warwick.observatory.common` is needed at run time, yet is not among the requirements: the observatory's own is on no
index, and an installer that looks for it there would fetch a stranger's, or replace what is in place.

What is built carries its commit in `_version.BUILD`; a source distribution hands it on to what is built from it.
"""

import re
import subprocess
import sys
from pathlib import Path

from setuptools import find_namespace_packages, setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

HERE = Path(__file__).resolve().parent
VERSION_FILE = Path('warwick/observatory/focuslynx/_version.py')
UNBUILT = "BUILD = 'clone'\n"


def version() -> str:
    """The version in _version.py, which is not imported: the package may lack its requirements yet."""
    text = (HERE / VERSION_FILE).read_text(encoding='utf-8')
    return re.search(r"^__version__ = '(.+)'$", text, re.MULTILINE)[1]


def commit() -> str:
    """The commit of this clone, as `g1a2b3c4d5e`, with `.dirty` where files differ from it; '' without git."""
    # Without one of its own, a directory may lie within another project's clone
    if not (HERE / '.git').exists():
        return ''
    try:
        described = subprocess.run(
            ['git', 'describe', '--always', '--abbrev=10', '--dirty=.dirty', '--exclude=*'],
            cwd=HERE, capture_output=True, text=True, check=True,
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError) as error:
        reason = (getattr(error, 'stderr', None) or str(error)).strip().splitlines()[0]
        print(f'setup.py: the commit is not known: {reason}', file=sys.stderr)
        return ''
    return f'g{described}'


def write_version_file(path: Path) -> None:
    """Write _version.py to `path`, with its BUILD filled in."""
    text = (HERE / VERSION_FILE).read_text(encoding='utf-8')
    if UNBUILT in text:
        text = text.replace(UNBUILT, f'BUILD = {commit()!r}\n')
    # It may be a hard link to the one in the clone
    if path.exists():
        path.unlink()
    path.write_text(text, encoding='utf-8')
    path.chmod(0o644)


class BuildModules(build_py):
    def run(self) -> None:
        super().run()
        built = Path(self.build_lib, VERSION_FILE)
        if not getattr(self, 'editable_mode', False) and built.exists():
            write_version_file(built)


class MakeSources(sdist):
    def make_release_tree(self, base_dir: str, files: 'list[str]') -> None:
        super().make_release_tree(base_dir, files)
        write_version_file(Path(base_dir, VERSION_FILE))


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
    cmdclass={'build_py': BuildModules, 'sdist': MakeSources},
    classifiers=[
        'Development Status :: 4 - Beta',
        'Environment :: No Input/Output (Daemon)',
        'Intended Audience :: Science/Research',
        'Operating System :: POSIX',
        'Programming Language :: Python :: 3',
        'Topic :: Scientific/Engineering :: Astronomy',
    ],
)

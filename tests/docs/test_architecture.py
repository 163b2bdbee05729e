# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/architecture.md against the sources: it names every file, in its room, and none that is not there."""

from __future__ import annotations

import re

from tests.docs.stage import ROOT

PACKAGE = ROOT / 'warwick/observatory/focuslynx'
TEXT = (ROOT / 'docs/architecture.md').read_text('utf-8')
NEEDS_NO_LINE = {'_version.py', 'core/__init__.py', 'daemon/__init__.py', 'client/__init__.py'}
MOST_LINES = 250


def named() -> list[str]:
    found, room = [], ''
    for line in TEXT.partition('warwick/observatory/focuslynx/\n')[2].partition('```')[0].splitlines():
        folder, file = re.match(r'  (\w+/) ', line), re.match(r'( {2}| {4})(\w+\.py) +\S', line)
        if folder:
            room = folder[1]
        elif file:
            found.append((room if len(file[1]) == 4 else '') + file[2])
    return found


def test_every_file_of_the_package_has_its_line() -> None:
    files = {path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob('*.py') if 'simulator' not in path.parts}
    assert sorted(named()) == sorted(files - NEEDS_NO_LINE)


def test_the_document_stays_short() -> None:
    assert len(TEXT.splitlines()) <= MOST_LINES

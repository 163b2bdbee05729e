# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/architecture.md against the sources: every file has its room, and imports point upwards."""

from __future__ import annotations

import ast
import re

from tests.docs.stage import ROOT

PACKAGE = ROOT / 'warwick/observatory/focuslynx'
ROOMS = re.findall(r'^  (\w+)\.py +\S', (ROOT / 'docs/architecture.md').read_text('utf-8'), re.MULTILINE)
WITHOUT_ROOM = {'__init__', '_version'}


def test_every_file_has_its_room() -> None:
    assert sorted(ROOMS) == sorted({path.stem for path in PACKAGE.glob('*.py')} - WITHOUT_ROOM)


def test_a_file_imports_only_what_stands_above_it() -> None:
    wrong = []
    for place, name in enumerate(ROOMS):
        for node in ast.walk(ast.parse((PACKAGE / f'{name}.py').read_text('utf-8'))):
            if isinstance(node, ast.ImportFrom) and node.level == 1:
                imported = [node.module] if node.module else [alias.name for alias in node.names]
                wrong += [f'{name} imports {other}' for other in imported
                          if other not in WITHOUT_ROOM and other not in ROOMS[:place]]
    assert not wrong

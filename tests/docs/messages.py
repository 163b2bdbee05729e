# SPDX-License-Identifier: GPL-3.0-or-later
"""The texts for people in the sources: every string of two words or more that is neither a docstring nor left out."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HOLE = '\0'
"""What is filled in later, in an f-string or by the `%` of logging."""


@dataclass(frozen=True)
class Message:
    """A text of the sources, with its holes. The place is `port.py:explain`, or `port.py` outside of functions."""

    place: str
    line: int
    text: str

    def __str__(self) -> str:
        return f'{self.place}, line {self.line}: {self.text.replace(HOLE, "...")}'

    def is_in(self, sentence: str) -> bool:
        """Whether a sentence has this text, with anything in its holes."""
        pieces = self.text.strip(f' \n{HOLE}').split(HOLE)
        words = [r'\s+'.join(map(re.escape, re.split(r'\s+', piece))) for piece in pieces]
        return re.search('.*?'.join(words), sentence) is not None


def of_file(path: Path, name: str) -> Iterator[Message]:
    """The messages of a source file, which is called `name`."""
    tree = ast.parse(path.read_text('utf-8'))
    silent = {id(node) for node in _docstrings(tree)}
    functions = {}
    for node in ast.walk(tree):   # from the outside inwards
        if isinstance(node, ast.JoinedStr):
            silent |= {id(value) for value in node.values}
        if isinstance(node, ast.FunctionDef):
            functions.update({id(inner): node.name for inner in ast.walk(node)})
    for node in ast.walk(tree):
        text = '' if id(node) in silent else _text(node).strip()
        if re.search(r'[a-z]', text) and re.search(rf"[\w{HOLE},:;)\]'\"] +[\w{HOLE}('\"]", text):
            place = f'{name}:{functions[id(node)]}' if id(node) in functions else name
            yield Message(place, getattr(node, 'lineno', 0), text)


def _docstrings(tree: ast.AST) -> Iterator[ast.AST]:
    """Strings that are statements: docstrings, of constants too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield node.value


def _text(node: ast.AST) -> str:
    if isinstance(node, ast.JoinedStr):
        return ''.join(str(value.value) if isinstance(value, ast.Constant) else HOLE for value in node.values)
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return re.sub(r'%(?:[sdgr]|\.\d+f)', HOLE, node.value)
    return ''

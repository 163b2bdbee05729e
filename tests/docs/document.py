# SPDX-License-Identifier: GPL-3.0-or-later
"""What there is to be run in a document: its sections, their blocks, and the stage directions between them.

A block ```` ```console ```` has commands behind `$ ` and below each what it prints, in which `...` means anything,
and any lines if it is a line of its own. A comment `<!-- stage: ... -->` holds what happens before the next block, in
bash. A block ```` ```sh ```` cannot be run, and has a comment `<!-- not run: the reason -->` in front of it.
"""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from typing import Union

_PART = re.compile(
    r'^ *<!-- stage:(?P<stage>.*?)-->'
    r'|^ *<!-- not run: (?P<reason>[^>]*?)-->'
    r'|^(?P<indent> *)```(?P<kind>\w*)\n(?P<block>.*?)^(?P=indent)```$', re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Direction:
    """What happens behind the curtain."""

    script: str


@dataclass(frozen=True)
class Typed:
    """A command, and what the document says that it prints."""

    command: str
    shown: str

    def prints(self, output: str) -> bool:
        """Whether an output is the one that is shown."""
        pattern = re.escape(self.shown.rstrip('\n'))
        pattern = re.sub(r'(?m)^\\\.\\\.\\\.$\n?', r'(?:.*\\n)*?', pattern.replace('\\\n', '\n') + '\n')
        pattern = pattern.replace(r'\.\.\.', '.*?')
        return re.fullmatch(pattern, output.rstrip('\n') + '\n') is not None


@dataclass(frozen=True)
class NotRun:
    """Commands that only a real machine can run."""

    reason: str
    commands: tuple[str, ...]


Part = Union[Direction, Typed, NotRun]


def sections(text: str) -> dict[str, list[Part]]:
    """The parts of each section of a document that has any, by its heading."""
    found = {}
    for section in re.split(r'^## ', text, flags=re.MULTILINE)[1:]:
        heading, _, body = section.partition('\n')
        parts = _parts(body)
        if parts:
            found[heading] = parts
    return found


def _parts(text: str) -> list[Part]:
    parts: list[Part] = []
    reason: str | None = None
    for found in _PART.finditer(text):
        if found['stage'] is not None:
            parts.append(Direction(textwrap.dedent(found['stage']).strip()))
        elif found['reason'] is not None:
            reason = found['reason'].strip()
        else:
            block = textwrap.dedent(found['block'])
            if found['kind'] == 'console':
                before, *pairs = re.split(r'^\$ (.*)\n', block, flags=re.MULTILINE)
                assert not before, f'output without a command: {before!r}'
                parts += [Typed(*pair) for pair in zip(pairs[::2], pairs[1::2])]
            elif found['kind'] == 'sh':
                assert reason, f'without a reason why it is not run: {block!r}'
                parts.append(NotRun(reason, tuple(block.splitlines())))
                reason = None
    return parts

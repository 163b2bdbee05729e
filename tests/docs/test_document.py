# SPDX-License-Identifier: GPL-3.0-or-later
"""The reading of documents and sources: it notices what the tests of operations.md rely on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.document import Direction, NotRun, Typed, sections
from tests.docs.messages import of_file


@pytest.mark.parametrize(('shown', 'printed', 'same'), [
    ('', '', True),
    ('', 'x\n', False),
    ('a\n', 'a\n', True),
    ('a\n', 'b\n', False),
    ('a\n', 'a\na\n', False),
    ('a\n', 'ba\n', False),
    ('at ... steps\n', 'at +5 steps\n', True),
    ('at ... steps\n', 'at +5\nsteps\n', False),
    ('...\n', '', True),
    ('...\n', 'a\nb\n', True),
    ('a\n...\nz\n', 'a\nz\n', True),
    ('a\n...\nz\n', 'a\nb\nc\nz\n', True),
    ('a\n...\nz\n', 'b\nz\n', False),
    ('[a] (b)\n', '[a] (b)\n', True),
])
def test_an_output_is_compared_with_what_is_shown(shown: str, printed: str, same: bool) -> None:
    assert Typed('command', shown).prints(printed) is same


def test_a_section_is_read_in_order_and_wherever_it_is_indented() -> None:
    text = """# Title
## One
<!-- stage:
first
second
-->
   ```console
   $ a
   1
   $ b
   ```
<!-- not run: no such machine -->
```sh
c
```
```json
{}
```
## Two
Words.
"""
    assert sections(text) == {
        'One': [Direction('first\nsecond'), Typed('a', '1\n'), Typed('b', ''), NotRun('no such machine', ('c',))]}


def test_what_is_not_run_has_to_say_why() -> None:
    with pytest.raises(AssertionError, match='without a reason'):
        sections('## One\n```sh\nc\n```\n')


def test_messages_are_found_wherever_they_stand_and_others_are_not(tmp_path: Path) -> None:
    source = tmp_path / 'module.py'
    source.write_text('''"""A docstring of a module."""
LIMIT = 5
"""A docstring of a constant."""
KEYS = ['one', 'two_words', 'x-y']
TEXT = 'the port is gone'


class Port:
    """A docstring of a class."""

    def explain(self, error):
        """A docstring of a function."""
        log('not begun within %g s', 5)
        return f'channel {self.n}: {error} stopped at {self.where:+d} steps'
''')
    found = {(message.place, message.text.replace('\0', '...')) for message in of_file(source, 'module.py')}
    assert found == {
        ('module.py', 'the port is gone'),
        ('module.py:explain', 'not begun within ... s'),
        ('module.py:explain', 'channel ...: ... stopped at ... steps')}


def test_a_message_is_recognised_with_anything_in_its_holes(tmp_path: Path) -> None:
    source = tmp_path / 'module.py'
    source.write_text("f'{a} refused {b}: ER={c}'")
    message, = of_file(source, 'module.py')
    assert message.is_in('the hub refused <F1HALT>: ER=3 busy')
    assert message.is_in('x refused\n  y: ER=1')
    assert not message.is_in('the hub refused <F1HALT>, ER=3')

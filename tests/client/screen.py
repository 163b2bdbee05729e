# SPDX-License-Identifier: GPL-3.0-or-later
"""A real terminal with a size: tmux, of which the screen can be read as a person sees it."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import time
from pathlib import Path
from typing import Callable

import pytest

DEADLINE_S = 30.0


class Screen:
    """A terminal in which a shell runs; `start` types a command line into it. `socket` is a path of our own."""

    def __init__(self, socket: Path, environment: dict[str, str], columns: int = 80, rows: int = 24) -> None:
        if not shutil.which('tmux') or not shutil.which('bash'):
            pytest.skip('tmux or bash is not installed')
        self._socket = socket
        self._environment = environment
        self._tmux('-f', '/dev/null', 'new-session', '-d', '-x', str(columns), '-y', str(rows),
                   "env 'PS1=ready> ' bash --norc --noprofile")
        try:
            self.wait(lambda text: text.rstrip().endswith('ready>'))
        except BaseException:
            self.close()
            raise

    def start(self, command: list[str]) -> None:
        self.type(shlex.join(command), 'Enter')

    def type(self, *keys: str) -> None:
        """Type texts, and keys by tmux' names."""
        for key in keys:
            self._tmux('send-keys', key)

    def resize(self, columns: int, rows: int) -> None:
        self._tmux('resize-window', '-x', str(columns), '-y', str(rows))

    def text(self, *options: str) -> str:
        """What is on the screen, without blanks at the ends of lines."""
        return self._tmux('capture-pane', '-p', *options)

    def colours(self) -> bool:
        """Whether anything on the screen is coloured or bold."""
        return '\x1b[' in self.text('-e')

    def shows_cursor(self) -> bool:
        return self._tmux('display-message', '-p', '#{cursor_flag}').strip() == '1'

    def wait(self, condition: Callable[[str], bool]) -> str:
        """The screen, once it is as it should be."""
        end = time.monotonic() + DEADLINE_S
        while time.monotonic() < end:
            text = self.text()
            if condition(text):
                return text
            time.sleep(0.05)
        raise AssertionError(f'the screen did not become as it should be:\n{text}')

    def close(self) -> None:
        self._tmux('kill-server')

    def _tmux(self, *arguments: str) -> str:
        return subprocess.run(['tmux', '-u', '-S', str(self._socket), *arguments], env=self._environment, check=True,
                              capture_output=True, encoding='utf-8', timeout=30).stdout

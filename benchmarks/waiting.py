# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for something, and doing several things at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

PATIENCE_S = 30.0

T = TypeVar('T')


class BenchmarkError(Exception):
    """The run cannot go on; the text is one line that says why."""


def eventually(condition: Callable[[], T], what: str, every_s: float = 0.002) -> T:
    """Wait until the condition is true, and return its value; it is checked every `every_s`. Raises BenchmarkError."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            raise BenchmarkError(f'{what}: not within {PATIENCE_S:g} s')
        time.sleep(every_s)


class Background:
    """A call on a thread of its own; `result()` waits for it and raises what it raised."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self._function = function
        self._result: Any = None
        self._error: BaseException | None = None
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            self._result = self._function()
        except BaseException as error:
            self._error = error

    def result(self) -> Any:
        self.thread.join()
        if self._error is not None:
            raise self._error
        return self._result


def at_once(functions: list[Callable[[], T]]) -> list[T]:
    """Run all of them at the same time; their results, in order."""
    return [each.result() for each in [Background(function) for function in functions]]

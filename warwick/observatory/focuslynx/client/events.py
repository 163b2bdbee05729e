# SPDX-License-Identifier: GPL-3.0-or-later
"""Signals and threads, handed to the main thread one at a time.

Everywhere in the client Ctrl-C is blocked, but for the blocks that are `interruptible`.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import Any


@contextmanager
def interruptible() -> Iterator[None]:
    """Within this block Ctrl-C takes effect; one that was pressed before takes effect at its start."""
    mask = signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


class EventQueue:
    """Actions that signals and threads hand to the main thread, in their order.

    The main thread does nothing else, so no signal is lost and none interrupts an action.
    """

    def __init__(self) -> None:
        # A signal handler may put into a SimpleQueue while the same thread is taking from it
        self._actions: SimpleQueue[Callable[[], object]] = SimpleQueue()

    def put(self, action: Callable[..., object], *arguments: Any) -> None:
        """Have `action(*arguments)` done by the main thread."""
        self._actions.put(lambda: action(*arguments))

    def do_next(self, timeout_s: float | None = None) -> None:
        """Do the next action; wait for it, but no longer than `timeout_s`."""
        try:
            with interruptible():
                action = self._actions.get(timeout=timeout_s)
        except Empty:
            return
        action()

    @contextmanager
    def handling(self, actions: Mapping[int, Callable[[], object]]) -> Iterator[None]:
        """Within this block these signals put actions. One that was ignored before stays ignored.

        A shell lets its background jobs ignore Ctrl-C.
        """
        handlers = {number: signal.getsignal(number) for number in actions}
        try:
            for number, action in actions.items():
                if handlers[number] is not signal.SIG_IGN:
                    signal.signal(number, self._handler(action))
            yield
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)

    def _handler(self, action: Callable[[], object]) -> Callable[..., None]:
        return lambda *_: self._actions.put(action)

    @staticmethod
    def start(target: Callable[[], None]) -> None:
        """Run a function in a thread. It inherits that Ctrl-C is blocked, so Ctrl-C wakes the main thread alone."""
        threading.Thread(target=target, daemon=True).start()

# SPDX-License-Identifier: GPL-3.0-or-later
"""A focus daemon that does as it is told: a real Pyro daemon in its own process, with scripted answers.

Run as `fake_focusd.py OBJECT_ID PORT`; it prints the port that it serves, a free one for 0, and runs until its
standard input ends. Besides the object of the daemon it serves `control`, through which a test writes the script and
reads what was called.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import Any

import Pyro4

Pyro4.config.SERIALIZERS_ACCEPTED = {'serpent'}


class Stage:
    """What was called and what will be answered, for all threads of the daemon."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.calls: list[list[Any]] = []
        self.held: dict[str, int] = {}  # method: number of calls that wait
        self.answers: dict[str, tuple[str, Any]] = {}  # (manner, value)
        self.released: dict[str, Any] = {}

    def play(self, method: str, arguments: list[Any]) -> Any:
        with self.changed:
            self.calls.append([method, *arguments])
            manner, value = self.answers.get(method, ('return', 0))
            if manner == 'hold':
                self.held[method] = self.held.get(method, 0) + 1
                self.changed.notify_all()
                self.changed.wait_for(lambda: method in self.released)
                self.held[method] -= 1
                value = self.released[method]
            self.changed.notify_all()
        if manner == 'die':
            os._exit(1)
        if manner == 'raise':
            raise {'ValueError': ValueError, 'SystemExit': SystemExit, 'ImportError': ModuleNotFoundError}[value]('no')
        if isinstance(value, dict) and value.get('date') == 'now':
            return dict(value, date=time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime()))
        return value


stage = Stage()


@Pyro4.expose
class Daemon:
    def report_status(self) -> Any:
        return stage.play('report_status', [])

    def set_focus(self, channel: Any, steps: Any, offset: Any = False) -> Any:
        return stage.play('set_focus', [channel, steps, offset])

    def reset_home_position(self, channel: Any) -> Any:
        return stage.play('reset_home_position', [channel])

    def center(self, channel: Any) -> Any:
        return stage.play('center', [channel])

    def home(self, channel: Any) -> Any:
        return stage.play('home', [channel])

    def configure(self, channel: Any, key: Any, value: Any, confirmed: Any = False) -> Any:
        return stage.play('configure', [channel, key, value, confirmed])

    def hub_info(self) -> Any:
        return stage.play('hub_info', [])

    def stop_channel(self, channel: Any) -> Any:
        status = stage.play('stop_channel', [channel])
        for motion in ('set_focus', 'center', 'home'):
            if status == 0 and stage.held.get(motion):
                control.release(motion, 1)
        return status

    def initialize(self) -> Any:
        return stage.play('initialize', [])

    def shutdown(self) -> Any:
        return stage.play('shutdown', [])


@Pyro4.expose
class Control:
    """The test's side of the stage."""

    def answer(self, method: str, value: Any) -> None:
        stage.answers[method] = ('return', value)

    def act(self, method: str, manner: str, value: Any = None) -> None:
        stage.released.pop(method, None)
        stage.answers[method] = (manner, value)

    def release(self, method: str, value: Any) -> None:
        with stage.changed:
            stage.released[method] = value
            stage.changed.notify_all()

    def calls(self) -> list[list[Any]]:
        return stage.calls

    def wait_for_call(self, method: str, count: int) -> bool:
        """Whether the method was called that often within 20 s."""
        with stage.changed:
            return stage.changed.wait_for(lambda: sum(c[0] == method for c in stage.calls) >= count, 20)


control = Control()

if __name__ == '__main__':
    with Pyro4.Daemon(host='127.0.0.1', port=int(sys.argv[2])) as pyro:
        pyro.register(Daemon(), objectId=sys.argv[1])
        pyro.register(control, objectId='control')
        print(pyro.locationStr.rsplit(':', 1)[1], flush=True)
        threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
        pyro.requestLoop()

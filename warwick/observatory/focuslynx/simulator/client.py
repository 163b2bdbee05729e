# SPDX-License-Identifier: GPL-3.0-or-later
"""The client of the control socket."""
from __future__ import annotations

import json
import socket
from types import TracebackType
from typing import Any

__all__ = ['ControlClient', 'Refused']


class Refused(Exception):
    """The simulator refused a command. The text is its reply without `error:`."""


class ControlClient:
    """Sends control commands to the simulator whose control socket is at `path`. Raises OSError if none answers there.

        with ControlClient('/tmp/hub.ctl') as simulator:
            simulator('unplug')
            simulator.get('1.position')
    """

    def __init__(self, path: str, timeout: float = 10.0) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(timeout)
        try:
            self._socket.connect(path)
        except BaseException:
            self._socket.close()
            raise
        self._replies = self._socket.makefile('r', encoding='utf-8', newline='\n')

    def __call__(self, command: str) -> str:
        """Send one command; return the reply without `ok`. Raises Refused, or OSError if the simulator is gone."""
        if '\n' in command:
            raise Refused('a command is one line')
        self._socket.sendall(command.encode('utf-8') + b'\n')
        reply = self._replies.readline()
        if not reply.endswith('\n'):
            raise ConnectionError('the simulator has closed the control socket')
        word, _, said = reply.rstrip('\n').partition(' ')
        if word != 'ok':
            raise Refused(said)
        return said

    def get(self, name: str = '') -> Any:
        """The true state of the simulator, or one value of it such as `1.position`."""
        return json.loads(self(f'get {name}'))

    def close(self) -> None:
        self._replies.close()
        self._socket.close()

    def __enter__(self) -> ControlClient:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()

# SPDX-License-Identifier: GPL-3.0-or-later
"""How the client calls the daemon, whatever Pyro4's environment says."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import Pyro4
import pytest
from Pyro4 import message as wire

if TYPE_CHECKING:
    from tests.client.conftest import Client


class Forgetful:
    """A daemon that takes every call and ends the connection without an answer. `calls` has the methods called."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self._listening = socket.create_server(('127.0.0.1', 0))
        self.port: int = self._listening.getsockname()[1]
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listening.close()

    def _run(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        serializer = Pyro4.util.get_serializer('serpent')
        with client:
            introduction = self._message(client)
            greeting = {'handshake': 'hello', 'meta': {
                'methods': ['set_focus', 'report_status', 'stop_channel'], 'oneway': [], 'attrs': []}}
            client.sendall(wire.Message(wire.MSG_CONNECTOK, serializer.dumps(greeting), serializer.serializer_id,
                                        wire.FLAGS_META_ON_CONNECT, introduction.seq).to_bytes())
            self.calls.append(serializer.loadsCall(self._message(client).data)[1])

    def _message(self, client: socket.socket) -> Any:
        message = wire.Message.from_header(client.recv(wire.Message.header_size, socket.MSG_WAITALL))
        message.data = client.recv(message.annotations_size + message.data_size, socket.MSG_WAITALL)
        return message


@pytest.fixture
def forgetful() -> Iterator[Forgetful]:
    daemon = Forgetful()
    yield daemon
    daemon.close()


def test_no_call_is_sent_twice_when_its_reply_is_lost(forgetful: Forgetful, client_at: Any, tmp_path: Path) -> None:
    client: Client = client_at(forgetful.port)
    for arguments, method in ((('offset', '1', '5'), 'set_focus'), (('stop', '1'), 'stop_channel')):
        completed = client.run(*arguments, PYRO_MAX_RETRIES='3', PYRO_SERIALIZER='marshal')
        assert completed.returncode == 155
        assert forgetful.calls.count(method) == 1

# SPDX-License-Identifier: GPL-3.0-or-later
"""The state file: what the hub keeps over a power cycle, kept while the simulator does not run."""
from __future__ import annotations

import json
import logging
import os
import tempfile
from collections.abc import Mapping
from typing import Any

from .model import Hub
from .settings import BadSetting

__all__ = ['StateError', 'StateFile', 'hub_with_state']

_FORMAT = 'focuslynx hub state'
_log = logging.getLogger(__name__)


class StateError(Exception):
    """The file cannot be read or written, or is no state file. The text is one line that names the file."""


class StateFile:
    """A JSON file that every change replaces in one step: a kill at any moment leaves the old file or the new one."""

    def __init__(self, path: str) -> None:
        self.path = os.path.abspath(path)
        self._failed = False

    def load(self) -> dict[str, Any] | None:
        """Return the memory of the hub, or None if there is no file yet. Raises StateError."""
        try:
            with open(self.path, encoding='utf-8') as file:
                content = json.load(file)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StateError(f'{self.path}: {error.strerror}') from None
        except ValueError as error:
            raise StateError(f'{self.path}: not JSON: {error}') from None
        if not isinstance(content, dict) or content.pop('format', None) != _FORMAT:
            raise StateError(f'{self.path}: not a state file of the hub simulator')
        return content

    def save(self, memory: Mapping[str, Any]) -> None:
        """Replace the file. Raises StateError."""
        try:
            handle, temporary = tempfile.mkstemp(prefix='.hub-', dir=os.path.dirname(self.path))
            try:
                with os.fdopen(handle, 'w', encoding='utf-8') as file:
                    json.dump({'format': _FORMAT, **memory}, file, indent=1)
                os.replace(temporary, self.path)
            except BaseException:
                os.unlink(temporary)
                raise
        except OSError as error:
            raise StateError(f'{self.path}: {error.strerror}') from None

    def keep(self, hub: Hub) -> None:
        """Save the memory of a running hub. A failure is logged once, and the hub keeps running."""
        try:
            self.save(hub.to_state())
            self._failed = False
        except StateError as error:
            if not self._failed:
                _log.error('cannot store the state of the hub simulator: %s', error)
            self._failed = True


def hub_with_state(options: Mapping[str, str], path: str | None, now: float) -> Hub:
    """Make a hub. If there is a path, its memory is kept in that file. Raises BadSetting and StateError."""
    if path is None:
        return Hub(options, now=now)
    store = StateFile(path)
    memory = store.load()
    try:
        hub = Hub(options, memory=memory, now=now)
    except BadSetting as error:
        if memory is None:
            raise
        Hub(options)  # if an option is wrong, this raises the error that names it
        raise StateError(f'{store.path}: {error}') from None
    store.save(hub.to_state())
    hub.on_store = lambda: store.keep(hub)
    return hub

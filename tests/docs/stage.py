# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine to run the commands of a document on: real programs, and nothing that could be changed by them."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PATIENCE_S = 60.0

# As root without a user namespace, in which the devices of this machine would belong to the user nobody
_NAMESPACES = ['unshare', '--mount', '--net', '--pid', '--fork', '--kill-child', '--mount-proc',
               *([] if os.geteuid() == 0 else ['--user', '--map-root-user'])]


_PACKAGES = {
    'unshare': 'util-linux', 'ip': 'iproute2', 'systemctl': 'systemd', 'journalctl': 'systemd', 'udevadm': 'udev',
    'umockdev-run': 'umockdev', '/lib/systemd/systemd-journal-remote': 'systemd-journal-remote'}


def why_not() -> str | None:
    """Why there can be no stage here, or None. Not every container has namespaces to give away."""
    missing = sorted({package for program, package in _PACKAGES.items() if shutil.which(program) is None})
    if missing:
        return f"not installed, by Debian's names: {' '.join(missing)}"
    tried = subprocess.run([*_NAMESPACES, 'mount', '-t', 'tmpfs', 'none', '/opt'], capture_output=True, text=True,
                           timeout=PATIENCE_S, check=False)
    return f'no namespaces are to be had: {tried.stderr.strip()}' if tried.returncode else None


class Stage:
    """A bash that stays, from `with` to the end of the block; whatever it has started ends with it."""

    def __enter__(self) -> Stage:
        unwanted = ('PYTHONPATH', 'PYTHONHOME', 'VIRTUAL_ENV', 'OBSERVATORY_SITE', 'FOCUSD_CONFIG_PATH', 'NO_COLOR')
        self._process = subprocess.Popen(
            [*_NAMESPACES, 'bash', str(HERE / 'stage.sh'), str(ROOT), sys.executable, str(HERE / 'hub.umockdev')],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={name: value for name, value in os.environ.items() if name not in unwanted})
        self._unread = b''
        printed, ready = self._next(), self._next()
        assert ready == 'ready', printed
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._process.kill()
        self._process.communicate()

    def run(self, command: str) -> tuple[str, int]:
        """Run a command as if it had been typed; returns what it printed on both outputs, and its exit status."""
        assert self._process.stdin is not None
        self._process.stdin.write(command.encode() + b'\0')
        self._process.stdin.flush()
        printed = self._next()
        return printed, int(self._next())

    def _next(self) -> str:
        """What comes up to the next NUL."""
        assert self._process.stdout is not None
        deadline = time.monotonic() + PATIENCE_S
        while b'\0' not in self._unread:
            remaining = deadline - time.monotonic()
            ready = remaining > 0 and select.select([self._process.stdout], [], [], remaining)[0]
            piece = os.read(self._process.stdout.fileno(), 65536) if ready else b''
            assert piece, f'no end of a command; so far it printed {self._unread.decode(errors="replace")!r}'
            self._unread += piece
        text, self._unread = self._unread.split(b'\0', 1)
        return text.decode('utf-8', 'replace')

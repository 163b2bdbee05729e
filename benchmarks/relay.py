# SPDX-License-Identifier: GPL-3.0-or-later
"""A pseudo-terminal in front of another one, which notes what passes. `python3 relay.py HUB LINK RECORD`.

What a host writes to the terminal behind the symbolic link LINK goes on to the terminal HUB, and back. Every request
becomes a line of RECORD, as soon as its last byte has been written by the host: nanoseconds of the monotonic clock,
and its text without the angle brackets.
"""

from __future__ import annotations

import os
import select
import sys
import time
import tty


def main(hub_path: str, link: str, record_path: str) -> None:
    """Relay until the process is ended, or the hub is gone."""
    hub = os.open(hub_path, os.O_RDWR | os.O_NOCTTY)
    tty.setraw(hub)
    master, slave = os.openpty()   # the slave stays open here, so that hosts may come and go
    tty.setraw(slave)
    record = os.open(record_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.symlink(os.ttyname(slave), link)
    print('ready', flush=True)
    poll = select.poll()
    poll.register(hub, select.POLLIN)
    poll.register(master, select.POLLIN)
    unfinished = b''
    while True:
        for fd, _ in poll.poll():
            data = os.read(fd, 4096)
            now_ns = time.monotonic_ns()
            if fd == hub:
                if not data:
                    return
                os.write(master, data)
                continue
            os.write(hub, data)
            *requests, unfinished = (unfinished + data).split(b'>')
            for request in requests:
                os.write(record, b'%d %s\n' % (now_ns, request.lstrip(b'<')))


if __name__ == '__main__':
    main(*sys.argv[1:])

# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a port cannot be opened or broke, in words."""

from __future__ import annotations

import errno
import termios

import pytest
import serial

from warwick.observatory.focuslynx.port import explain, open_port


@pytest.mark.parametrize(('error', 'reason'), [
    (PermissionError(errno.EACCES, 'Permission denied'), 'permission denied'),
    (serial.SerialException(errno.EACCES, "could not open port x: [Errno 13] Permission denied: 'x'"),
     'permission denied'),
    (serial.SerialException(errno.EBUSY, 'could not open port'), 'it is in use by another program'),
    (OSError(errno.EIO, 'Input/output error'), 'the device is gone'),
    (termios.error(errno.EIO, 'Input/output error'), 'the device is gone'),
    (serial.SerialException('Could not configure port: (25, "Inappropriate ioctl")'), 'it is not a serial device'),
    (serial.SerialException('device reports readiness to read but returned no data'),
     'device reports readiness to read but returned no data'),
    (serial.SerialException('two\nlines'), 'two lines'),
    (OSError(errno.ENOSPC, 'No space left on device'), 'no space left on device'),
    (TypeError(), 'TypeError'),
])
def test_an_error_of_a_port_is_explained_in_one_short_line(error: Exception, reason: str) -> None:
    assert explain(error) == reason


def test_a_name_with_a_nul_is_an_error_like_any_other() -> None:
    with pytest.raises((ValueError, OSError)):
        open_port('/dev/\0', 115200)

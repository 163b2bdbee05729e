# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a port cannot be opened or broke, in words."""

from __future__ import annotations

import errno
import termios
from pathlib import Path

import pytest
import serial

from warwick.observatory.focuslynx.daemon.serial_port import check_address, explain, open_port


@pytest.mark.parametrize(('error', 'reason'), [
    (PermissionError(errno.EACCES, 'Permission denied'), 'permission denied'),
    (serial.SerialException(errno.EACCES, "could not open port x: [Errno 13] Permission denied: 'x'"),
     'permission denied'),
    (serial.SerialException(errno.EBUSY, 'could not open port'), 'it is in use by another program'),
    (OSError(errno.EIO, 'Input/output error'), 'the device is gone'),
    (termios.error(errno.EIO, 'Input/output error'), 'the device is gone'),
    (serial.SerialException('Could not configure port: (25, "Inappropriate ioctl")'), 'it is not a serial device'),
    (serial.SerialException('device reports readiness to read but returned no data'),
     'the device is gone'),
    (serial.SerialException('two\nlines'), 'two lines'),
    (OSError(errno.ENOSPC, 'No space left on device'), 'no space left on device'),
    (serial.SerialException('read failed: [Errno 104] Connection reset by peer'),
     'the other end has reset the connection'),
    (serial.SerialException('write failed: [Errno 32] Broken pipe'), 'the other end has closed the connection'),
    (serial.SerialException('read failed: [Errno 110] Connection timed out'),
     'the other end of the connection does not answer'),
    (serial.SerialException('socket disconnected'), 'the other end has closed the connection'),
    (serial.SerialException('connection failed (reader thread died)'), 'the other end has closed the connection'),
    (serial.SerialException(errno.EMFILE, 'could not open port x: [Errno 24] Too many open files'),
     'too many open files'),
    (serial.SerialException('Could not open port socket://dome:1: [Errno 101] Network is unreachable'),
     'network unreachable'),
    (serial.SerialException('Could not open port socket://dome:1: [Errno -2] Name or service not known'),
     'name or service not known'),
    (serial.SerialException('Could not open port socket://dome:1: timed out'), 'timed out'),
    (RuntimeError("can't start new thread"), "can't start new thread"),
    (TypeError(), 'TypeError'),
])
def test_an_error_of_a_port_is_explained_in_one_short_line(error: Exception, reason: str) -> None:
    assert explain(error) == reason


def test_a_name_with_a_nul_is_an_error_like_any_other() -> None:
    with pytest.raises((ValueError, OSError)):
        open_port('/dev/\0', 115200)


@pytest.mark.parametrize('name', [
    '/dev/focuser', 'socket://192.168.7.30:9760', 'socket://[::1]:9760', 'socket://host:9760/', 'loop://',
    'hwgrep://OP21GA0U', 'rfc2217://host:2217', 'lynxsim://', 'lynxsim://?channels=1,2&speed=800'])
def test_an_address_that_can_be_opened_some_day_is_good(name: str) -> None:
    check_address(name)


@pytest.mark.parametrize(('name', 'reason'), [
    ('foo://bar', "protocol 'foo' is not known"),
    ('socket://host', 'must be socket://HOST:PORT'),
    ('socket://host:fast', 'must be socket://HOST:PORT'),
    ('socket://host:99999', 'must be socket://HOST:PORT'),
    ('Socket://host', 'must be socket://HOST:PORT'),
    ('rfc2217://host', 'must be rfc2217://HOST:PORT'),
    ('lynxsim://?chan=1', "unknown option 'chan'"),
    ('lynxsim://?speed=fast', 'speed'),
    ('lynxsim://somewhere', 'the form is lynxsim://'),
])
def test_an_impossible_address_is_named_with_its_reason(name: str, reason: str) -> None:
    with pytest.raises(ValueError) as error:
        check_address(name)
    assert reason in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_to_check_an_address_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / 'file').write_text('precious')
    check_address(f'spy:///dev/null?file={tmp_path}/file')
    assert (tmp_path / 'file').read_text() == 'precious'

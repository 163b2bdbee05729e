# SPDX-License-Identifier: GPL-3.0-or-later
"""The wire language: what is sent, and every reply that a driver has to survive (docs/protocol.md, section 19.3)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warwick.observatory.focuslynx.core.reply_parser import ReplyParser
from warwick.observatory.focuslynx.core.reports import ConfigReport, GetConfig, GetStatus, StatusReport
from warwick.observatory.focuslynx.core.requests import (
    MAX_COUNTS,
    Garbled,
    Halt,
    HubError,
    MoveTo,
    Refused,
    Reply,
    Request,
    Sync,
)

STATUS = (b'!\nSTATUS1\nTemp(C)  = +21.7\nCurr Pos = 035000\nTarg Pos = 040000\nIsMoving = 1\nIsHoming = 0\n'
          b'IsHomed  = 1\nFFDetect = 0\nTmpProbe = 1\nRemoteIO = 0\nHnd Ctlr = 0\nReverse  = 0\nEND\n')
CONFIG = (b'!\nCONFIG1\nNickname = North tube\nMax Pos  = 065535\nDev Typ  = FA\nTComp ON = 0\nTempCo A = +0086\n'
          b'TempCo B = +0086\nTempCo C = +0086\nTempCo D = +0000\nTempCo E = +0000\nTC Mode  = A\nBLC En   = 0\n'
          b'BLC Stps = +40\nLED Brt  = 075\nTC@Start = 0\nEND\n')

GOOD_STATUS = StatusReport(counts=35000, target_counts=40000, moving=True, temperature_c=21.7, probe_present=True,
                     homing=False, homed=True, reverse=False, hand_controller=False, remote=False)
GOOD_CONFIG = ConfigReport(
    nickname='North tube', device_type='FA', max_counts=65535, compensating=False, compensates_at_start=False,
    backlash=False, backlash_steps=40, slot='A', coefficients=(86, 86, 86, 0, 0), led=75)


def read(request: Request, data: bytes, **options: bool) -> Reply | None:
    return ReplyParser(request, **options).feed(data)


@pytest.mark.parametrize(('request_', 'wire'), [
    (GetStatus(1), b'<F1GETSTATUS>'),
    (GetConfig(2), b'<F2GETCONFIG>'),
    (MoveTo(1, 500), b'<F1MA000500>'),
    (MoveTo(2, MAX_COUNTS), b'<F2MA999999>'),
    (Halt(2), b'<F2HALT>'),
    (Sync(1, 32767), b'<F1SCCP032767>'),
])
def test_a_request_writes_itself(request_: Request, wire: bytes) -> None:
    assert request_.encode() == wire


@pytest.mark.parametrize('counts', [-1, MAX_COUNTS + 1])
def test_a_position_that_six_digits_cannot_name_is_never_written(counts: int) -> None:
    for request in (MoveTo(1, counts), Sync(1, counts)):
        with pytest.raises(ValueError, match=f'{counts} counts'):
            request.encode()


def test_a_status_report_is_read() -> None:
    assert read(GetStatus(1), STATUS) == GOOD_STATUS


def test_a_configuration_report_is_read() -> None:
    assert read(GetConfig(1), CONFIG) == GOOD_CONFIG


@pytest.mark.parametrize(('request_', 'wire', 'word'), [
    (MoveTo(1, 500), b'!\nM\n', 'M'),
    (MoveTo(1, 500), b'!\nH\n', 'H'),
    (Halt(1), b'!\nHALTED\n', 'HALTED'),
    (Halt(1), b'!\nHALTED FOC\n', 'HALTED'),
    (Sync(1, 500), b'!\nSET\n', 'SET'),
    (Sync(1, 500), b'!\r\n\r\n  SET \r\n', 'SET'),
])
def test_a_word_is_read(request_: Request, wire: bytes, word: str) -> None:
    assert read(request_, wire) == word


@pytest.mark.parametrize(('old', 'new'), [
    (b'\n', b'\r\n'),
    (b'STATUS1', b'STATUS'),
    (b'IsHoming = 0\n', b''),
    (b'END', b'Home@Str = 1\nEND'),
    (b'END', b'something unknown\nEND'),
    (b'Temp(C)  = +21.7', b'Temp(C) = +21.7'),
    (b'Temp(C)  = +21.7', b'Temp(C)=21.7'),
    (b'Curr Pos = 035000', b'Curr Pos = 0035000'),
    (b'Curr Pos = 035000', b'Curr Pos = 35000'),
    (b'!\n', b'\n\n!\n\n'),
])
def test_a_status_report_may_differ_in_what_does_not_matter(old: bytes, new: bytes) -> None:
    assert old in STATUS
    assert read(GetStatus(1), STATUS.replace(old, new)) == GOOD_STATUS


def test_the_motor_direction_is_unknown_where_it_is_not_reported() -> None:
    assert read(GetStatus(1), STATUS.replace(b'Reverse  = 0\n', b'')) == GOOD_STATUS._replace(reverse=None)


@pytest.mark.parametrize(('line', 'without', 'field'), [
    (b'TC Mode  = A\n', b'', 'slot'),
    (b'TC Mode  = A', b'TC Mode  = ', 'slot'),
    (b'TC Mode  = A', b'TC Mode  = F', 'slot'),
    (b'LED Brt  = 075\n', b'', 'led'),
    (b'BLC Stps = +40', b'BLC Stps = 4x', 'backlash_steps'),
])
def test_what_is_not_needed_may_be_missing_from_a_configuration(line: bytes, without: bytes, field: str) -> None:
    assert line in CONFIG
    absent: dict[str, Any] = {field: None}
    assert read(GetConfig(1), CONFIG.replace(line, without)) == GOOD_CONFIG._replace(**absent)


@pytest.mark.parametrize(('old', 'new'), [
    (b'CONFIG1', b'CONFIG'),
    (b'END', b'Home@Str = 1\nEND'),
    (b'Dev Typ ', b'Dev Type'),
    (b'Max Pos  = 065535', b'Max Pos = 65535'),
])
def test_a_config_report_may_differ_in_what_does_not_matter(old: bytes, new: bytes) -> None:
    assert old in CONFIG
    report = read(GetConfig(1), CONFIG.replace(old, new))
    assert isinstance(report, ConfigReport)
    assert report._replace(names_channel=True) == GOOD_CONFIG
    assert report.names_channel == (new != b'CONFIG')


def test_a_nickname_may_contain_an_equals_sign() -> None:
    config = read(GetConfig(1), CONFIG.replace(b'North tube', b'a=b'))
    assert isinstance(config, ConfigReport)
    assert config.nickname == 'a=b'


@pytest.mark.parametrize(('text', 'temperature_c', 'probe_present'), [
    (b'+21.7', 21.7, True),
    (b'-05.2', -5.2, True),
    (b'NP', None, False),
    (b'-@1.6', None, True),
    (b'+99.9', None, True),
    (b'-61.0', None, True),
    (b'', None, True),
    (b'nan', None, True),
])
def test_a_temperature_is_a_plausible_number_or_none(text: bytes, temperature_c: float | None,
                                                     probe_present: bool) -> None:
    status = read(GetStatus(1), STATUS.replace(b'+21.7', text))
    assert isinstance(status, StatusReport)
    assert (status.temperature_c, status.probe_present, status.counts) == (temperature_c, probe_present, 35000)


@pytest.mark.parametrize('key', [b'TComp ON', b'BLC En  ', b'TC@Start'])
def test_settings_by_which_the_hub_moves_the_focuser_are_named(key: bytes) -> None:
    config = read(GetConfig(1), CONFIG.replace(key + b' = 0', key + b' = 1'))
    assert isinstance(config, ConfigReport)
    assert len(config.self_moving_settings) == 1
    assert f'({key.decode().strip()} = 1)' in config.self_moving_settings[0]


@pytest.mark.parametrize(('wire', 'number', 'text'), [
    (b'ER=3 Unknown Command Received\n', 3, 'Unknown Command Received'),
    (b'!\nER=3 Unknown Command Received\n', 3, 'Unknown Command Received'),
    (b'!\nER=12 Anything\n', 12, 'Anything'),
    (b'!\r\nER=1\r\n', 1, ''),
])
def test_an_error_line_is_a_refusal_even_if_not_acknowledged(wire: bytes, number: int, text: str) -> None:
    for request in (GetStatus(1), MoveTo(1, 500), Halt(1), Sync(1, 500)):
        with pytest.raises(Refused, match=f'ER={number} {text}'.rstrip()) as refusal:
            read(request, wire)
        assert refusal.value.number == number


@pytest.mark.parametrize(('wire', 'reason'), [
    (STATUS.replace(b'STATUS1', b'STATUS2'), "expected 'STATUS1' .* got 'STATUS2'"),
    (b'SET\n!\nM\n', "expected '!' .* got 'SET'"),
    (b'!\nM\n', "expected 'STATUS1' .* got 'M'"),
    (b'?\n', "expected '!'"),
    (STATUS.replace(b'Curr Pos = 035000\n', b''), "lacks 'Curr Pos'"),
    (STATUS.replace(b'035000', b'03x000'), "'Curr Pos' should be"),
    (STATUS.replace(b'035000', b'-35000'), "'Curr Pos' should be"),
    (STATUS.replace(b'IsMoving = 1', b'IsMoving = 2'), "'IsMoving' should be 0 or 1"),
    (STATUS[:60] + STATUS, 'cut off'),
    (STATUS[:-4] + b'Curr Pos = 035001\nEND\n', 'twice'),
    (STATUS[:-4] + b''.join(b'key%d = 1\n' % n for n in range(100)), 'does not end'),
    (b'x' * 300, 'more than'),
])
def test_what_cannot_be_the_reply_is_garbled(wire: bytes, reason: str) -> None:
    with pytest.raises(Garbled, match=reason):
        read(GetStatus(1), wire)


def test_a_reply_is_assembled_from_single_bytes() -> None:
    reader = ReplyParser(GetStatus(1))
    replies = [reader.feed(bytes([byte])) for byte in STATUS]
    assert replies[:-1] == [None] * (len(STATUS) - 1)
    assert replies[-1] == GOOD_STATUS


def test_an_acknowledgement_alone_is_no_reply_but_is_noted() -> None:
    reader = ReplyParser(Sync(1, 32767))
    assert reader.feed(b'!\n') is None
    assert reader.acknowledged


def test_stale_replies_are_passed_over_up_to_the_own_header() -> None:
    stale = b'EADY = 3\nEND\n' + b'!\nM\n' + b'ER=4 Cannot Execute\n' + STATUS
    assert read(GetConfig(1), stale + CONFIG, skip_stale=True) == GOOD_CONFIG


def test_a_report_of_the_other_channel_is_stale_too() -> None:
    assert read(GetConfig(1), CONFIG.replace(b'CONFIG1', b'CONFIG2').replace(b'FA', b'ZZ') + CONFIG,
                skip_stale=True) == GOOD_CONFIG


@given(st.lists(st.binary(max_size=80), max_size=20), st.booleans())
def test_no_bytes_in_any_pieces_raise_anything_but_a_hub_error(pieces: list[bytes], skip_stale: bool) -> None:
    for request in (GetStatus(1), GetConfig(2), MoveTo(1, 500), Halt(2), Sync(1, 500)):
        reader = ReplyParser(request, skip_stale)
        try:
            for piece in pieces:
                reader.feed(piece)
        except HubError as error:
            assert '\n' not in str(error)


@given(st.data())
def test_a_reply_reads_the_same_however_it_is_cut(data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(STATUS)), max_size=8)))
    reader = ReplyParser(GetStatus(1))
    replies = [reader.feed(STATUS[a:b]) for a, b in zip([0, *cuts], [*cuts, len(STATUS)])]
    assert [reply for reply in replies if reply is not None] == [GOOD_STATUS]


def test_bytes_that_cannot_be_shown_are_escaped_once() -> None:
    with pytest.raises(Garbled) as error:
        read(GetStatus(1), b'\xff\x00x\n')
    assert str(error.value) == r"expected '!' after <F1GETSTATUS>, got '\xff\x00x'"

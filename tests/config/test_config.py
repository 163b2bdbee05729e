# SPDX-License-Identifier: GPL-3.0-or-later
"""The configuration file: what is accepted, and the one line for each thing that is not."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as profile
from hypothesis import strategies as st

from warwick.observatory.common import IP, daemons
from warwick.observatory.focuslynx import Config
from warwick.observatory.focuslynx.config import KEYS, ConfigError, daemon_of
from warwick.observatory.focuslynx.missing_dependency import missing_dependency

TOP = Path(__file__).resolve().parents[2]

# As the sites have them
OLD: dict[str, Any] = {
    'daemon': 'clasp_focus', 'log_name': 'clasp_focus', 'control_machines': ['CLASPTCS', 'LocalHost'],
    'serial_port': '/dev/focuser', 'serial_baud': 115200, 'serial_timeout': 5, 'idle_loop_delay': 5,
    'moving_loop_delay': 0.5, 'move_timeout': 120, 'home_reset_timeout': 1.25, 'soft_step_limits': [-5000, 5000],
}
TIMES = ('serial_timeout', 'idle_loop_delay', 'moving_loop_delay', 'move_timeout', 'home_reset_timeout')


@pytest.fixture(autouse=True)
def no_site_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv('OBSERVATORY_SITE', raising=False)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / 'clasp.json'


def refusal(path: Path, read: Callable[[str], Any] = Config) -> str:
    """The one line that a reader gives for a file, without the name of the file."""
    with pytest.raises(ConfigError) as caught:
        read(str(path))
    assert '\n' not in str(caught.value)
    assert str(caught.value).startswith(f'{path}: ')
    return str(caught.value)[len(f'{path}: '):]


def refusal_by_both(path: Path) -> str:
    """The one line that the daemon and the client give for a file."""
    assert refusal(path, daemon_of) == refusal(path)
    return refusal(path)


def test_an_old_file_loads_unchanged(path: Path) -> None:
    path.write_text(json.dumps(OLD))
    config = Config(str(path))
    assert config.daemon is daemons.clasp_focus
    assert config.log_name == 'clasp_focus'
    assert config.control_machines == ['CLASPTCS', 'LocalHost']
    assert config.control_ips == ['10.2.6.181', '127.0.0.1']
    assert config.serial_port == '/dev/focuser'
    assert (config.serial_baud, type(config.serial_baud)) == (115200, int)
    assert config.soft_step_limits == (-5000, 5000)
    assert config.connect_on_start is False
    assert config.home_timeout == 2 * config.move_timeout
    assert config.temperature_probe_required is True
    assert config.allow_hub_compensation is False
    assert daemon_of(str(path)) is daemons.clasp_focus


def test_every_time_keeps_its_fraction(path: Path) -> None:
    path.write_text(json.dumps(dict(OLD, **{key: 0.25 + n for n, key in enumerate(TIMES)})))
    config = Config(str(path))
    assert [getattr(config, key) for key in TIMES] == [0.25, 1.25, 2.25, 3.25, 4.25]


def test_whole_numbers_may_be_written_with_a_point(path: Path) -> None:
    path.write_text(json.dumps(dict(OLD, serial_baud=115200.0, soft_step_limits=[-10.0, 2e3])))
    config = Config(str(path))
    assert (config.serial_baud, type(config.serial_baud)) == (115200, int)
    assert config.soft_step_limits == (-10, 2000)
    assert {type(limit) for limit in config.soft_step_limits} == {int}


def test_nobody_may_control_where_no_machine_is_listed(path: Path) -> None:
    path.write_text(json.dumps(dict(OLD, control_machines=[])))
    assert Config(str(path)).control_ips == []


def test_to_connect_on_start_can_be_chosen(path: Path) -> None:
    path.write_text(json.dumps(dict(OLD, connect_on_start=True)))
    assert Config(str(path)).connect_on_start is True


def test_the_keys_that_are_optional_can_be_given(path: Path) -> None:
    path.write_text(json.dumps(dict(OLD, home_timeout=12.5, temperature_probe_required=False,
                                    allow_hub_compensation=True)))
    config = Config(str(path))
    assert config.home_timeout == 12.5
    assert (config.temperature_probe_required, config.allow_hub_compensation) == (False, True)


def test_a_thirdlynx_gets_its_baud_rate(path: Path) -> None:
    path.write_text(json.dumps(dict(OLD, serial_baud=19200)))
    assert Config(str(path)).serial_baud == 19200


def test_a_byte_order_mark_is_ignored(path: Path) -> None:
    path.write_text(json.dumps(OLD), encoding='utf-8-sig')
    assert Config(str(path)).log_name == 'clasp_focus'


@pytest.mark.parametrize('key', OLD)
def test_each_key_of_old_is_required(path: Path, key: str) -> None:
    path.write_text(json.dumps({k: v for k, v in OLD.items() if k != key}))
    assert refusal(path) == f'{key}: required key is missing'


DAEMONS = ('unknown daemon, known: clasp_focus, localhost_test, localhost_test2, localhost_test3, localhost_test4, '
           'localhost_test5, observatory_log')
MACHINES = 'unknown machine, known: CLASPTCS, GOTOServer, LocalHost'
PAIR = 'must be a pair [min, max]'
WRONG = [
    ('daemon', 5, 'must be a string'),
    ('daemon', 'clasp_focuser', DAEMONS),
    ('daemon', '__class__', DAEMONS),
    ('daemon', '', DAEMONS),
    ('log_name', None, 'must be a string'),
    ('log_name', '', 'must not be empty'),
    ('control_machines', 'LocalHost', 'must be a list'),
    ('control_machines', {'LocalHost': 1}, 'must be a list'),
    *((key, value, 'must have printable characters only')
      for key in ('log_name', 'serial_port') for value in ('a\0b', '\ud800', 'two\nlines')),
    ('serial_port', 3, 'must be a string'),
    ('serial_port', '', 'must not be empty'),
    ('serial_baud', 115200.5, 'must be a whole number'),
    ('serial_baud', '115200', 'must be a whole number'),
    ('serial_baud', True, 'must be a whole number'),
    *(('serial_baud', value, 'must be 115200 or 19200') for value in (0, -115200, 9600, 115201, 57600.0, 10 ** 9)),
    *((key, value, reason) for key in TIMES for value, reason in (
        ('1', 'must be a number'), (True, 'must be a number'), (None, 'must be a number'), ([1], 'must be a number'),
        (0, 'must be greater than 0'), (-0.5, 'must be greater than 0'), (1e300, 'must be at most 1000000'))),
    ('soft_step_limits', 5000, 'must be a list'),
    ('soft_step_limits', [], PAIR),
    ('soft_step_limits', [1], PAIR),
    ('soft_step_limits', [1, 2, 3], PAIR),
    ('soft_step_limits', [5000, -5000], 'min must be less than max'),
    ('soft_step_limits', [0, 0], 'min must be less than max'),
    ('connect_on_start', 1, 'must be true or false'),
    ('connect_on_start', 'yes', 'must be true or false'),
    ('home_timeout', 0, 'must be greater than 0'),
    ('temperature_probe_required', 0, 'must be true or false'),
    ('allow_hub_compensation', 'no', 'must be true or false'),
]


@pytest.mark.parametrize('key, value, reason', WRONG)
def test_a_wrong_value_is_quoted_with_its_key_and_the_reason(path: Path, key: str, value: Any, reason: str) -> None:
    path.write_text(json.dumps(dict(OLD, **{key: value})))
    assert refusal(path) == f'{key}: {json.dumps(value)}: {reason}'


@pytest.mark.parametrize('key, value, place, element, reason', [
    ('control_machines', ['LocalHost', 'Nowhere'], 1, '"Nowhere"', MACHINES),
    ('control_machines', ['__doc__'], 0, '"__doc__"', MACHINES),
    ('control_machines', [127], 0, '127', 'must be a string'),
    ('soft_step_limits', [0.5, 5], 0, '0.5', 'must be a whole number'),
    ('soft_step_limits', [0, '5'], 1, '"5"', 'must be a whole number'),
    ('soft_step_limits', [False, 5], 0, 'false', 'must be a whole number'),
])
def test_a_wrong_element_is_quoted_with_its_place(
    path: Path, key: str, value: Any, place: int, element: str, reason: str
) -> None:
    path.write_text(json.dumps(dict(OLD, **{key: value})))
    assert refusal(path) == f'{key}[{place}]: {element}: {reason}'


def test_an_unknown_key_gets_the_one_that_is_near(path: Path) -> None:
    path.write_text(json.dumps(dict(OLD, serial_bauds=9600)))
    assert refusal(path) == 'serial_bauds: 9600: unknown key, did you mean serial_baud?'


def test_an_unknown_key_that_is_near_none_gets_the_accepted_ones(path: Path) -> None:
    path.write_text(json.dumps(dict(OLD, **{'x y': {}})))
    assert refusal(path) == '"x y": {}: unknown key, accepted are ' + ', '.join(
        [*OLD, 'connect_on_start', 'home_timeout', 'temperature_probe_required', 'allow_hub_compensation'])


def test_several_faults_are_one_line_in_the_order_of_the_keys(path: Path) -> None:
    path.write_text(json.dumps(dict({k: v for k, v in OLD.items() if k != 'log_name'}, zzz=1, move_timeout=-1)))
    reasons = refusal(path).split('; ')
    assert reasons[:2] == ['log_name: required key is missing', 'move_timeout: -1: must be greater than 0']
    assert reasons[2].startswith('zzz: 1: unknown key, ')


def test_a_file_that_is_wrong_throughout_gets_its_first_five_faults(path: Path) -> None:
    path.write_text('{}')
    reasons = refusal(path).split('; ')
    assert reasons == [f'{key}: required key is missing' for key in list(OLD)[:5]] + ['and 6 more']


def test_a_long_value_is_cut(path: Path) -> None:
    path.write_text(json.dumps(dict(OLD, move_timeout='soon ' * 1000)))
    assert refusal(path) == 'move_timeout: ' + ('"' + 'soon ' * 1000)[:57] + '...: must be a number'


def test_a_key_or_value_with_a_line_end_still_gives_one_line(path: Path) -> None:
    path.write_text(json.dumps(dict(OLD, **{'a\nb': 'c\nd'})))
    assert refusal(path).startswith('"a\\nb": "c\\nd": unknown key, ')


@pytest.mark.parametrize('text, reason', [
    ('', 'is not JSON: line 1 column 1: Expecting value'),
    ('{"daemon": "a",\n  nonsense}', 'is not JSON: line 2 column 3: Expecting property name enclosed in double quotes'),
    ('{} {}', 'is not JSON: line 1 column 4: Extra data'),
    ('{"move_timeout": NaN}', 'is not JSON: NaN is no number'),
    ('{"move_timeout": -Infinity}', 'is not JSON: -Infinity is no number'),
    ('{"move_timeout": 1e999}', 'is not JSON that can be used: the number 1e999 is too large'),
    ('{"daemon": "a", "daemon": 5}', 'daemon: "a" and 5: key is given more than once'),
])
def test_text_that_is_not_json_gets_the_place_or_the_reason(path: Path, text: str, reason: str) -> None:
    path.write_text(text)
    assert refusal_by_both(path) == reason


@pytest.mark.parametrize('text', ['[]', '"daemon"', 'null', '5'])
def test_a_top_level_that_is_no_object_is_quoted(path: Path, text: str) -> None:
    path.write_text(text)
    assert refusal_by_both(path) == f'{text}: must be a JSON object, with the keys ' + ', '.join(OLD)


@pytest.mark.parametrize('text', ['[' * 100000, '{"a":' * 100000])
def test_endless_nesting_gives_one_line(path: Path, text: str) -> None:
    path.write_text(text)
    assert re.match('is nested too deeply|is not JSON', refusal_by_both(path))


def test_a_number_of_many_digits_gives_one_line(path: Path) -> None:
    path.write_text(json.dumps(OLD).replace('120', '9' * 5000))
    refusal(path)


def test_bytes_that_are_not_utf_8_are_named(path: Path) -> None:
    path.write_bytes(b'{"daemon": "\xff"}')
    assert refusal_by_both(path) == 'is not UTF-8: byte 13 is 0xff'


def test_a_file_without_end_is_not_read_to_the_end() -> None:
    assert refusal_by_both(Path('/dev/zero')).startswith('is larger than 1048576 bytes')


def test_a_missing_file_is_named(path: Path) -> None:
    assert refusal_by_both(path) == 'cannot be read: No such file or directory'


def test_a_directory_is_named(tmp_path: Path) -> None:
    assert refusal_by_both(tmp_path) == 'cannot be read: Is a directory'


def test_a_file_that_may_not_be_read_is_named(path: Path) -> None:
    # a loop of links is refused to the superuser as well, unlike a file without permissions
    path.symlink_to(path)
    assert refusal_by_both(path) == 'cannot be read: ' + os.strerror(40)


def test_a_path_that_no_system_takes_is_one_line() -> None:
    with pytest.raises(ConfigError, match='cannot be read: embedded null byte'):
        Config('a\0b')


def test_a_broken_site_is_one_line(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from warwick.observatory.common import _tables
    site = tmp_path / 'site.json'
    site.write_text('{"machine": {}}')
    monkeypatch.setenv('OBSERVATORY_SITE', str(site))
    monkeypatch.setattr(_tables, '_site', None)
    path.write_text(json.dumps(OLD))
    assert refusal_by_both(path).startswith(f'daemon: "clasp_focus": cannot be looked up: {site}: ')


def test_a_daemon_without_jsonschema_is_told_how_to_get_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_text(json.dumps(OLD))
    monkeypatch.setitem(sys.modules, 'jsonschema', None)
    with pytest.raises(ModuleNotFoundError) as missing:
        Config(str(path))
    assert missing_dependency(missing.value).startswith('error: the Python package jsonschema is not installed: ')
    assert daemon_of(str(path)) is daemons.clasp_focus


@pytest.mark.parametrize('file', sorted([*TOP.glob('*.json'), *(TOP / 'config').glob('*.json')]), ids=lambda f: f.name)
def test_the_files_of_the_repository_are_valid(file: Path) -> None:
    Config(str(file))


def test_the_files_of_the_repository_give_the_client_its_daemon() -> None:
    assert daemon_of(str(TOP / 'config/clasp.json')) is daemons.clasp_focus


@pytest.mark.parametrize('content', [
    {'daemon': 'clasp_focus'},
    {**OLD, 'serial_baud': 'fast', 'colour': 'red', 'soft_step_limits': None, 'control_machines': ['Nowhere']},
])
def test_the_client_leaves_the_other_keys_to_the_daemon(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content))
    assert daemon_of(str(path)) is daemons.clasp_focus
    refusal(path)


NUMBERS = st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.booleans(),
                    st.sampled_from([0, -1, 1, 0.5, -0.0, 115200, 115200.0, 19200.5, 10 ** 6, 1e6 + 0.5]))
NAMES = st.one_of(st.text(), st.sampled_from([*dir(daemons), *dir(IP), 'common', '']))
VALUES = st.one_of(NUMBERS, NAMES, st.none(), st.lists(st.one_of(NUMBERS, NAMES), max_size=3),
                   st.lists(st.integers(-9, 9), min_size=2, max_size=2), st.dictionaries(NAMES, NUMBERS, max_size=2))
NAMES_OF_KEYS = st.one_of(st.sampled_from([key.name for key in KEYS]), st.just('daemon'), st.text())


@profile(suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture], deadline=None)
@given(changes=st.dictionaries(NAMES_OF_KEYS, VALUES, max_size=2),
       left_out=st.one_of(st.none(), st.sampled_from(list(OLD))))
def test_any_value_is_taken_or_refused_and_the_client_agrees_on_the_daemon(
    path: Path, changes: dict[str, Any], left_out: str | None
) -> None:
    path.write_text(json.dumps({k: v for k, v in {**OLD, **changes}.items() if k != left_out or k in changes}))
    refused = refused_by_the_client = ''
    try:
        Config(str(path))
    except ConfigError:
        refused = refusal(path)
    try:
        daemon_of(str(path))
    except ConfigError:
        refused_by_the_client = refusal(path, daemon_of)
    assert bool(refused_by_the_client) is refused.startswith('daemon: ')
    assert refused.startswith(refused_by_the_client)

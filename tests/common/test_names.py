# SPDX-License-Identifier: GPL-3.0-or-later
"""The names that programs take from `warwick.observatory.common`, with no site file in play."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from warwick.observatory.common import IP, Daemon, TFmt, TryLock, daemons, validation


@pytest.mark.parametrize(('entry', 'name', 'host', 'port'), [
    ('clasp_focus', 'clasp_focus_daemon', '10.2.6.181', 9036),
    ('observatory_log', 'observatory_log_daemon', '10.2.6.100', 9016),
    ('localhost_test', 'localhost_test_daemon', '127.0.0.1', 9000),
    ('localhost_test2', 'localhost_test_daemon2', '127.0.0.1', 9001),
    ('localhost_test3', 'localhost_test_daemon3', '127.0.0.1', 9002),
    ('localhost_test4', 'localhost_test_daemon4', '127.0.0.1', 9003),
    ('localhost_test5', 'localhost_test_daemon5', '127.0.0.1', 9004),
])
def test_a_daemon_is_where_the_observatory_has_it(entry: str, name: str, host: str, port: int) -> None:
    daemon = getattr(daemons, entry)
    assert (daemon.name, daemon.host, daemon.port) == (name, host, port)
    assert daemon.uri == f'PYRO:{name}@{host}:{port}'


def test_a_machine_is_its_address() -> None:
    assert (IP.CLASPTCS, IP.GOTOServer, IP.LocalHost) == ('10.2.6.181', '10.2.6.100', '127.0.0.1')


@pytest.mark.parametrize('name', ['nobody', '_entries_', '', '__len__'])
def test_an_unknown_name_is_an_attribute_error(name: str) -> None:
    assert name not in daemons
    assert name not in IP
    with pytest.raises(AttributeError, match='no daemon is called'):
        getattr(daemons, name)
    with pytest.raises(AttributeError, match='no machine is called'):
        getattr(IP, name)


def test_a_table_lists_its_names() -> None:
    assert {'clasp_focus', 'localhost_test5'} < set(daemons)
    assert set(IP) == {'CLASPTCS', 'GOTOServer', 'LocalHost'}
    assert 'clasp_focus' in dir(daemons)


def test_an_ipv6_address_stands_in_brackets_in_the_uri() -> None:
    assert Daemon('x_daemon', '::1', 9000).uri == 'PYRO:x_daemon@[::1]:9000'


@pytest.mark.parametrize(('timeout', 'expected'), [(None, 5), (300, 300), (0.5, 0.5), (0, None)])
def test_a_proxy_has_the_timeout_that_was_asked_for(timeout: float | None, expected: float | None) -> None:
    assert daemons.clasp_focus.connect(timeout)._pyroTimeout == expected


@pytest.mark.parametrize('timeout', [-1, float('nan')])
def test_a_timeout_below_zero_is_refused(timeout: float) -> None:
    with pytest.raises(ValueError, match='timeout must be 0 or more seconds'):
        daemons.clasp_focus.connect(timeout)


def test_importing_loads_neither_pyro4_nor_jsonschema_and_everything_is_there(run_python: Any) -> None:
    result = run_python(
        'import sys\n'
        'from warwick.observatory.common import daemons, IP, TFmt, TryLock\n'
        'daemons.clasp_focus.uri, IP.CLASPTCS\n'
        'import warwick.observatory.common as common\n'
        'common.log.info, common.validation.validate_config, common.helpers.pyro_client_matches\n'
        'import warwick.observatory.common.log, warwick.observatory.common.validation\n'
        'from warwick.observatory.common.helpers import pyro_client_matches\n'
        'print({"Pyro4", "jsonschema"} & set(sys.modules))\n'
    )
    assert (result.stdout, result.stderr) == ('set()\n', '')


def test_a_terminal_format_is_an_escape_sequence() -> None:
    formats = [TFmt.Green, TFmt.Red, TFmt.Cyan, TFmt.Yellow, TFmt.Bold, TFmt.Clear]
    assert len(set(formats)) == len(formats)
    assert all(text.startswith('\033[') and text.endswith('m') for text in formats)
    assert TFmt.Clear == '\033[0m'


def test_a_free_lock_is_taken_and_given_back() -> None:
    lock = threading.Lock()
    with TryLock(lock) as acquired:
        assert acquired
        assert lock.locked()
    assert not lock.locked()


def test_a_taken_lock_is_not_waited_for_and_stays_taken() -> None:
    lock = threading.Lock()
    with lock:
        with TryLock(lock) as acquired:
            assert not acquired
        assert lock.locked()


def test_a_lock_is_given_back_when_the_block_fails() -> None:
    lock = threading.Lock()
    with pytest.raises(KeyError), TryLock(lock):
        raise KeyError
    assert not lock.locked()


SCHEMA = {
    'type': 'object',
    'required': ['daemon', 'machines'],
    'properties': {
        'daemon': {'type': 'string', 'daemon_name': True},
        'machines': {'type': 'array', 'items': {'type': 'string', 'machine_name': True}},
        'delay': {'type': 'number', 'exclusiveMinimum': 0},
        'free': {'daemon_name': False},
    },
}
KEYWORDS: Any = {
    'daemon_name': validation.daemon_name_validator,
    'machine_name': validation.machine_name_validator,
}


def test_a_configuration_that_keeps_its_schema_passes() -> None:
    content = {'daemon': 'clasp_focus', 'machines': ['CLASPTCS', 'LocalHost'], 'delay': 0.5, 'free': 'nobody'}
    validation.validate_config(content, SCHEMA, KEYWORDS)


def test_every_violation_is_listed_with_its_key() -> None:
    content = {'daemon': 'clasp', 'machines': ['CLASPTCS', 'Nowhere'], 'delay': 0}
    with pytest.raises(validation.ConfigSchemaViolationError) as caught:
        validation.validate_config(content, SCHEMA, KEYWORDS)
    assert [violation.split(':')[0] for violation in caught.value.violations] == ['daemon', 'delay', 'machines.1']
    text = str(caught.value)
    assert "'clasp' is not the name of a daemon; known are clasp_focus, " in text
    assert "'Nowhere' is not the name of a machine; known are CLASPTCS, GOTOServer, LocalHost" in text
    assert all(violation in text for violation in caught.value.violations)


@pytest.mark.parametrize('name', [7, None, ['clasp_focus'], '_entries', 'uri'])
def test_only_a_registered_name_is_a_daemon_name(name: object) -> None:
    with pytest.raises(validation.ConfigSchemaViolationError, match='is not the name of a daemon'):
        validation.validate_config(name, {'daemon_name': True}, KEYWORDS)


def test_a_missing_key_is_named() -> None:
    with pytest.raises(validation.ConfigSchemaViolationError, match="'machines' is a required property"):
        validation.validate_config({'daemon': 'clasp_focus'}, SCHEMA, KEYWORDS)

# SPDX-License-Identifier: GPL-3.0-or-later
"""Read and check a site file. Every fault is a SiteError of one line: file, key, value, reason.

The check is written out, and does not use jsonschema: that takes longer to load than a short-lived client runs.
"""

from __future__ import annotations

import ipaddress
import json
from typing import Any, NoReturn

from ._daemon import Daemon
from ._site import DAEMONS, LOG_DAEMON, LOG_NETWORK, MACHINES, Site, SiteError

LONGEST_TIMEOUT_S = 86400


class _Fault(Exception):
    """What is wrong in a site file, without the name of the file."""


def read(path: str) -> Site:
    """The tables of this package and those of the file at `path`. Raises SiteError."""
    try:
        return _site(_content(path))
    except _Fault as fault:
        raise SiteError(' '.join(f'{path}: {fault}'.splitlines())) from None


def _content(path: str) -> Any:
    try:
        with open(path, encoding='utf-8') as file:
            return json.loads(file.read(), object_pairs_hook=_unique_keys, parse_constant=_no_constant)
    except OSError as error:
        raise _Fault(f'cannot be read: {error.strerror}') from None
    except UnicodeDecodeError:
        raise _Fault('is not UTF-8 text') from None
    except (ValueError, RecursionError) as error:
        raise _Fault(f'is not JSON: {error}') from None


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        if key in result:
            _refuse(key, value, 'this key is given twice in its object')
        result[key] = value
    return result


def _no_constant(text: str) -> NoReturn:
    raise _Fault(f'is not JSON: {text} is no number')


def _site(content: Any) -> Site:
    _check_keys('', content, 'an object with machines, daemons and log', (), ('machines', 'daemons', 'log'))

    machines = dict(MACHINES)
    added = content.get('machines', {})
    _check_object('machines', added, 'an object of names and addresses')
    for name, address in added.items():
        key = f'machines.{name}'
        _check_text(key, address)
        _check_name(key, name, address, machines)
        try:
            machines[name] = str(ipaddress.ip_address(address))
        except ValueError:
            _expected(key, address, 'an IPv4 or IPv6 address')

    daemons = dict(DAEMONS)
    added = content.get('daemons', {})
    _check_object('daemons', added, 'an object of names and daemons')
    for name, entry in added.items():
        daemons[name] = _daemon(f'daemons.{name}', name, entry, machines, daemons)

    log = {'daemon': LOG_DAEMON, 'network': LOG_NETWORK}
    if 'log' in content:
        log = content['log']
        _check_keys('log', log, 'an object with daemon and network', ('daemon', 'network'))
    if _check_text('log.daemon', log['daemon']) not in daemons:
        _refuse('log.daemon', log['daemon'], f'no such daemon; known are {", ".join(daemons)}')
    try:
        ipaddress.ip_network(_check_text('log.network', log['network']))
    except ValueError:
        _expected('log.network', log['network'], 'a network such as 10.2.6.0/24')
    return Site(machines, daemons, daemons[log['daemon']], log['network'])


def _daemon(key: str, name: str, entry: Any, machines: dict[str, str], taken: dict[str, Daemon]) -> Daemon:
    _check_keys(key, entry, 'an object with name, machine, port and perhaps timeout',
                ('name', 'machine', 'port'), ('timeout',))
    _check_text(f'{key}.name', entry['name'])
    _check_text(f'{key}.machine', entry['machine'])
    port, timeout = entry['port'], entry.get('timeout', 5)
    if not _is_number(port) or not 1 <= port <= 65535 or port != int(port):
        _expected(f'{key}.port', port, 'a whole number from 1 to 65535')
    if not _is_number(timeout) or not 0 <= timeout <= LONGEST_TIMEOUT_S:
        _expected(f'{key}.timeout', timeout, f'a number of seconds from 0 (wait for ever) to {LONGEST_TIMEOUT_S}')
    _check_name(key, name, entry['name'], taken)
    if entry['machine'] not in machines:
        _refuse(f'{key}.machine', entry['machine'], f'no such machine; known are {", ".join(machines)}')
    return Daemon(entry['name'], machines[entry['machine']], int(port), timeout)


def _check_object(key: str, value: Any, description: str) -> None:
    if not isinstance(value, dict):
        _expected(key or 'the whole file', value, description)


def _check_keys(
    key: str, value: Any, description: str, required: tuple[str, ...], optional: tuple[str, ...] = ()
) -> None:
    """Refuse a value that is no object, lacks a required key, or has an unknown one."""
    _check_object(key, value, description)
    prefix = f'{key}.' if key else ''
    for name in required:
        if name not in value:
            raise _Fault(f'{_printable(prefix)}{name}: missing: it is required')
    for name in value:
        if name not in required + optional:
            _refuse(f'{prefix}{name}', value[name], f'unknown key; known are {", ".join(required + optional)}')


def _check_text(key: str, value: Any) -> str:
    if not isinstance(value, str) or value.split() != [value]:
        _expected(key, value, 'a string without blanks')
    return value


def _check_name(key: str, name: str, value: Any, taken: dict[str, Any]) -> None:
    if not name.isidentifier() or name.startswith('_'):
        _refuse(key, value, 'a name consists of letters, digits and underscores after a letter')
    if name in taken:
        _refuse(key, value, 'this name is registered already, and keeps its meaning')


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _expected(key: str, value: Any, description: str) -> NoReturn:
    _refuse(key, value, f'expected {description}')


def _refuse(key: str, value: Any, reason: str) -> NoReturn:
    text = json.dumps(value)
    raise _Fault(f'{_printable(key)}: {text if len(text) <= 60 else f"{text[:57]}..."}: {reason}')


def _printable(key: str) -> str:
    return json.dumps(key)[1:-1]

# SPDX-License-Identifier: GPL-3.0-or-later
"""Read and check a site file. Every fault is a SiteError of one line: file, key, value, reason."""

from __future__ import annotations

import ipaddress
import json
import re
from typing import Any, NoReturn

from ._daemon import Daemon
from ._site import DAEMONS, LOG_DAEMON, LOG_NETWORK, MACHINES, Site, SiteError

# A description says what is accepted, in the words of the error message
_TEXT = {'type': 'string', 'pattern': r'^\S+$', 'description': 'a string without blanks'}
_DAEMON = {
    'type': 'object',
    'description': 'an object with name, machine, port and perhaps timeout',
    'required': ['name', 'machine', 'port'],
    'additionalProperties': False,
    'properties': {
        'name': _TEXT,
        'machine': _TEXT,
        'port': {
            'type': 'integer',
            'minimum': 1,
            'maximum': 65535,
            'description': 'a whole number from 1 to 65535',
        },
        'timeout': {
            'type': 'number',
            'minimum': 0,
            'maximum': 86400,
            'description': 'a number of seconds from 0 (wait for ever) to 86400',
        },
    },
}
SCHEMA = {
    '$schema': 'http://json-schema.org/draft-07/schema#',
    'type': 'object',
    'description': 'an object with machines, daemons and log',
    'additionalProperties': False,
    'properties': {
        'machines': {
            'type': 'object',
            'description': 'an object of names and addresses',
            'additionalProperties': _TEXT,
        },
        'daemons': {
            'type': 'object',
            'description': 'an object of names and daemons',
            'additionalProperties': _DAEMON,
        },
        'log': {
            'type': 'object',
            'description': 'an object with daemon and network',
            'required': ['daemon', 'network'],
            'additionalProperties': False,
            'properties': {'daemon': _TEXT, 'network': _TEXT},
        },
    },
}


def read(path: str) -> Site:
    """The tables of this package and those of the file at `path`. Raises SiteError."""
    fault = _Fault(path)
    try:
        with open(path, encoding='utf-8') as file:
            text = file.read()
    except OSError as error:
        fault.is_not(f'cannot be read: {error.strerror}')
    except UnicodeDecodeError:
        fault.is_not('is not UTF-8 text')

    try:
        content = json.loads(text, object_pairs_hook=fault.unique_keys, parse_constant=fault.constant)
    except SiteError:
        raise
    except (ValueError, RecursionError) as error:
        fault.is_not(f'is not JSON: {error}')

    if not _fits(content, SCHEMA):
        # What is wrong, and whether anything is, jsonschema knows best; but it takes longer to load than all else
        import jsonschema
        violation = next(jsonschema.Draft7Validator(SCHEMA).iter_errors(content), None)
        if violation is not None:
            fault.violation(violation)
    return _site(content, fault)


def _fits(value: Any, schema: dict[str, Any]) -> bool:
    """Whether a value certainly is as the schema wants it, as far as schemas are used here."""
    if schema['type'] == 'string':
        return isinstance(value, str) and re.search(schema['pattern'], value) is not None
    if schema['type'] in ('integer', 'number'):
        kinds = (int,) if schema['type'] == 'integer' else (int, float)
        return type(value) in kinds and schema['minimum'] <= value <= schema['maximum']
    if not isinstance(value, dict) or not all(key in value for key in schema.get('required', [])):
        return False
    properties, others = schema.get('properties', {}), schema['additionalProperties']
    wanted = {key: properties.get(key, others) for key in value}
    return all(each is not False and _fits(value[key], each) for key, each in wanted.items())


def _site(content: Any, fault: _Fault) -> Site:
    machines = dict(MACHINES)
    for name, text in content.get('machines', {}).items():
        fault.check_name('machines', name, text, machines)
        try:
            machines[name] = str(ipaddress.ip_address(text))
        except ValueError:
            fault.found(f'machines.{name}', text, 'expected an IPv4 or IPv6 address')

    daemons = dict(DAEMONS)
    for name, entry in content.get('daemons', {}).items():
        fault.check_name('daemons', name, entry['name'], daemons)
        if entry['machine'] not in machines:
            expected = f'no such machine; known are {", ".join(machines)}'
            fault.found(f'daemons.{name}.machine', entry['machine'], expected)
        host = machines[entry['machine']]
        daemons[name] = Daemon(entry['name'], host, int(entry['port']), entry.get('timeout', 5))

    log = {'daemon': LOG_DAEMON, 'network': LOG_NETWORK, **content.get('log', {})}
    if log['daemon'] not in daemons:
        fault.found('log.daemon', log['daemon'], f'no such daemon; known are {", ".join(daemons)}')
    try:
        ipaddress.ip_network(log['network'])
    except ValueError:
        fault.found('log.network', log['network'], 'expected a network such as 10.2.6.0/24')
    return Site(machines, daemons, daemons[log['daemon']], log['network'])


class _Fault:
    """Raises the SiteError for what is wrong in the file at `path`."""

    def __init__(self, path: str) -> None:
        self._path = path

    def is_not(self, reason: str) -> NoReturn:
        raise SiteError(' '.join(f'{self._path}: {reason}'.splitlines())) from None

    def found(self, key: str, value: Any, reason: str) -> NoReturn:
        text = json.dumps(value)
        self.is_not(f'{_printable(key)}: {text if len(text) <= 60 else f"{text[:57]}..."}: {reason}')

    def violation(self, error: Any) -> NoReturn:
        key = '.'.join(str(part) for part in error.absolute_path)
        prefix = f'{key}.' if key else ''
        if error.validator == 'required':
            missing = next(name for name in error.validator_value if name not in error.instance)
            self.is_not(f'{_printable(prefix)}{missing}: missing: it is required')
        if error.validator == 'additionalProperties':
            known = error.schema['properties']
            unknown = next(name for name in error.instance if name not in known)
            self.found(f'{prefix}{unknown}', error.instance[unknown], f'unknown key; known are {", ".join(known)}')
        self.found(key or 'the whole file', error.instance, f'expected {error.schema["description"]}')

    def check_name(self, table: str, name: str, value: Any, taken: dict[str, Any]) -> None:
        if not name.isidentifier() or name.startswith('_'):
            self.found(f'{table}.{name}', value, 'a name consists of letters, digits and underscores after a letter')
        if name in taken:
            self.found(f'{table}.{name}', value, 'this name is registered already, and keeps its meaning')

    def unique_keys(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key, value in pairs:
            if key in result:
                self.found(key, value, 'this key stands twice in its object')
            result[key] = value
        return result

    def constant(self, text: str) -> NoReturn:
        self.is_not(f'is not JSON: {text} is no number')


def _printable(key: str) -> str:
    return json.dumps(key)[1:-1]

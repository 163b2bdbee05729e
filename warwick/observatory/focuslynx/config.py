# SPDX-License-Identifier: GPL-3.0-or-later
"""The configuration file. `KEYS` is its one table of keys: the JSON schema, the manual page and the README follow it.

The daemon checks the whole file with jsonschema. The client only has to find the daemon: it reads the key `daemon`
and leaves the rest to the daemon, because jsonschema takes longer to load than everything else that the client does.

Whatever is wrong with a file is a `ConfigError`, whose text is a single line `file: key: value: reason`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from .text import one_line, shortened

# The longest time that all waiting functions of Python accept: poll() counts milliseconds in 31 bits.
LONGEST_TIME_S = 1_000_000
LARGEST_FILE_BYTES = 1_048_576
_BAUD_RATES = [115200, 19200]


# Named tuples, not dataclasses: the client does not use the module dataclasses elsewhere, and loading it takes time.
class Kind(NamedTuple):
    """A kind of value: its JSON schema, the same in words, and what `Config` makes of a value."""

    schema: dict[str, Any]
    accepts: str
    convert: Callable[[Any], Any]


class Key(NamedTuple):
    """One key of the file, with its meaning and unit. A key without a default (None) is required."""

    name: str
    kind: Kind
    unit: str
    meaning: str
    default: bool | str | None = None  # a value, or words where it depends on another key

    @property
    def is_required(self) -> bool:
        return self.default is None


# `daemon_name`, `machine_name`, `printable` and `ascending` are keywords of our own. `type` comes first in each schema,
# because only the first fault of a value is shown.
_DAEMON = Kind({'type': 'string', 'daemon_name': True}, 'a known entry', str)
_MACHINES = Kind({'type': 'array', 'items': {'type': 'string', 'machine_name': True}}, 'list of known names', list)
_TEXT = Kind({'type': 'string', 'minLength': 1, 'printable': True}, 'not empty', str)
_BAUD_RATE = Kind({'type': 'integer', 'enum': _BAUD_RATES}, ' or '.join(map(str, _BAUD_RATES)), int)
_TIME = Kind({'type': 'number', 'exclusiveMinimum': 0, 'maximum': LONGEST_TIME_S}, f'above 0, to {LONGEST_TIME_S}',
             float)
_RANGE = Kind({'type': 'array', 'items': {'type': 'integer'}, 'minItems': 2, 'maxItems': 2, 'ascending': True},
              'min < max', lambda pair: (int(pair[0]), int(pair[1])))
_FLAG = Kind({'type': 'boolean'}, '`true`, `false`', bool)

KEYS = (
    Key('daemon', _DAEMON, '', 'entry of `warwick.observatory.common.daemons`: object id, address, port'),
    Key('log_name', _TEXT, '', 'table of the observatory log'),
    Key('control_machines', _MACHINES, '', 'machines that may control: entries of `common.IP`'),
    Key('serial_port', _TEXT, '', 'device, or an address for pyserial: `socket://host:9760`, `lynxsim://`'),
    Key('serial_baud', _BAUD_RATE, 'bit/s', 'speed of the serial connection; 19200 for some ThirdLynx hubs'),
    Key('serial_timeout', _TIME, 's', 'longest wait for a reply of the hub'),
    Key('idle_loop_delay', _TIME, 's', 'time between two polls of a focuser at rest'),
    Key('moving_loop_delay', _TIME, 's', 'time between two polls of a moving focuser; 0.5 is usual'),
    Key('move_timeout', _TIME, 's', 'longest move; a move that takes longer is halted and fails'),
    Key('home_reset_timeout', _TIME, 's', 'longest time until the hub confirms a zero; never more than 4 s'),
    Key('soft_step_limits', _RANGE, 'steps', '`[min, max]`, inclusive: positions that may be commanded'),
    Key('connect_on_start', _FLAG, '', 'connect when the daemon starts, and keep trying', False),
    Key('home_timeout', _TIME, 's', 'longest time until a homing focuser finds its home switch',
        'twice `move_timeout`'),
    Key('temperature_probe_required', _FLAG, '', 'a channel without a temperature probe counts as empty', True),
    Key('allow_hub_compensation', _FLAG, '',
        'accept that the hub moves the focuser by itself, with the temperature or against backlash', False),
)

SCHEMA: dict[str, Any] = {
    'type': 'object',
    'additionalProperties': False,
    'required': [key.name for key in KEYS if key.is_required],
    'properties': {key.name: key.kind.schema for key in KEYS},
}

_TYPE_NAMES = {'string': 'a string', 'number': 'a number', 'integer': 'a whole number', 'boolean': 'true or false',
               'array': 'a list'}

# For each keyword of the schemas: the fault of a value in words. The argument is the value of the keyword.
_FAULTS_OF_VALUES: dict[str, Callable[[Any], str]] = {
    'type': lambda name: f'must be {_TYPE_NAMES[name]}',
    'enum': lambda values: f'must be {" or ".join(map(str, values))}',
    'exclusiveMinimum': lambda bound: f'must be greater than {bound}',
    'maximum': lambda bound: f'must be at most {bound}',
    'minLength': lambda _: 'must not be empty',
    'printable': lambda _: 'must have printable characters only',
    'minItems': lambda _: 'must be a pair [min, max]',
    'maxItems': lambda _: 'must be a pair [min, max]',
    'ascending': lambda _: 'min must be less than max',
    'daemon_name': lambda _: f'unknown daemon, known: {_known("daemon")}',
    'machine_name': lambda _: f'unknown machine, known: {_known("machine")}',
}


class ConfigError(Exception):
    """The configuration cannot be used; the text is one line that names file, key, value and reason."""


class Config:
    """A configuration file, completely checked. Times are in seconds, and keep their fractions.

    Raises `ConfigError` if the file cannot be read or is wrong, ModuleNotFoundError where jsonschema or
    warwick.observatory.common is not installed.
    """

    daemon: Any                         # entry of warwick.observatory.common.daemons
    log_name: str
    control_machines: list[str]
    control_ips: list[str]              # the addresses of control_machines
    serial_port: str
    serial_baud: int
    serial_timeout: float
    idle_loop_delay: float
    moving_loop_delay: float
    move_timeout: float
    home_reset_timeout: float
    soft_step_limits: tuple[int, int]   # signed steps, both inclusive
    connect_on_start: bool
    home_timeout: float
    temperature_probe_required: bool
    allow_hub_compensation: bool

    def __init__(self, path: str) -> None:
        with _errors_name_the_file(path):
            document = _read(path)
            _validate(document)
        document.setdefault('home_timeout', 2 * document['move_timeout'])
        for key in KEYS:
            setattr(self, key.name, key.kind.convert(document.get(key.name, key.default)))
        self.daemon = _lookup('daemon', document['daemon'])
        self.control_ips = [_lookup('machine', name) for name in self.control_machines]


def daemon_of(path: str) -> Any:
    """The entry of warwick.observatory.common.daemons that a file names. The other keys of the file are not checked.

    Raises `ConfigError` if the file cannot be read, is no JSON object or does not name a known daemon,
    ModuleNotFoundError where warwick.observatory.common is not installed.
    """
    with _errors_name_the_file(path):
        document = _read(path)
        if 'daemon' not in document:
            raise _Refused(_missing('daemon'))
        name = document['daemon']
        if not isinstance(name, str):
            raise _Refused(_wrong('daemon', name, 'type', 'string'))
        with _errors_of_the_site(name):
            daemon = _lookup('daemon', name)
            if daemon is None:
                raise _Refused(_wrong('daemon', name, 'daemon_name', True))
    return daemon


class _Refused(ValueError):
    """Why a file cannot be used, without the name of the file."""


@contextmanager
def _errors_name_the_file(path: str) -> Iterator[None]:
    """Turn a _Refused of the block into the ConfigError that begins with the name of the file."""
    try:
        yield
    except _Refused as e:
        raise ConfigError(f'{one_line(path)}: {e}') from None


@contextmanager
def _errors_of_the_site(daemon: Any) -> Iterator[None]:
    """Turn any error of the site's own tables, which the block reads, into a _Refused. They can fail in any way."""
    try:
        yield
    except (ImportError, _Refused):
        raise
    except Exception as e:
        raise _Refused(f'daemon: {_shown(daemon)}: cannot be looked up: {one_line(e)}') from None


def _read(path: str) -> dict[str, Any]:
    """The top-level object of a JSON file. Raises _Refused."""
    try:
        with open(path, 'rb') as file:
            raw = file.read(LARGEST_FILE_BYTES + 1)
    except OSError as e:
        raise _Refused(f'cannot be read: {e.strerror or e}') from None
    except ValueError as e:  # a NUL in the path
        raise _Refused(f'cannot be read: {e}') from None

    if len(raw) > LARGEST_FILE_BYTES:
        raise _Refused(f'is larger than {LARGEST_FILE_BYTES} bytes, this is no configuration file')
    try:
        # Some editors write a byte order mark; it carries no meaning here.
        document = json.loads(raw.decode('utf-8-sig'), object_pairs_hook=_unique, parse_constant=_no_constant,
                              parse_float=_finite)
    except UnicodeDecodeError as e:
        raise _Refused(f'is not UTF-8: byte {e.start + 1} is 0x{raw[e.start]:02x}') from None
    except json.JSONDecodeError as e:
        raise _Refused(f'is not JSON: line {e.lineno} column {e.colno}: {e.msg}') from None
    except _Refused:
        raise
    except RecursionError:
        raise _Refused('is nested too deeply') from None
    except ValueError as e:  # an integer of thousands of digits
        raise _Refused(f'is not JSON: {e}') from None

    if not isinstance(document, dict):
        raise _Refused(f'{_shown(document)}: must be a JSON object, with the keys ' + ', '.join(SCHEMA['required']))
    return document


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    unique = dict(pairs)
    if len(unique) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        values = ' and '.join(_shown(value) for key, value in pairs if key == twice)
        raise _Refused(f'{_shown_key(twice)}: {values}: key is given more than once')
    return unique


def _no_constant(text: str) -> float:
    raise _Refused(f'is not JSON: {text} is no number')


def _finite(text: str) -> float:
    number = float(text)
    if number in (float('inf'), float('-inf')):
        raise _Refused(f'is not JSON that can be used: the number {shortened(text, 60)} is too large')
    return number


def _tables() -> dict[str, Any]:
    """The site's own tables. Raises ModuleNotFoundError, or anything else if the site's package is broken."""
    from warwick.observatory.common import IP, daemons
    return {'daemon': daemons, 'machine': IP}


def _lookup(kind: str, name: str) -> Any:
    """The entry of a daemon, or the address of a machine; None if the name is unknown.

    A table can be a module or a class, whose other attributes are no entries.
    """
    entry = None if name.startswith('_') else getattr(_tables()[kind], name, None)
    if kind == 'machine':
        return entry if isinstance(entry, str) else None
    return entry if hasattr(entry, 'connect') and not isinstance(entry, type) else None


def _known(kind: str) -> str:
    """The names that a table lists, for a message."""
    return ', '.join(name for name in dir(_tables()[kind]) if _lookup(kind, name) is not None) or 'none'


def _validate(document: dict[str, Any]) -> None:
    """Raise the _Refused that names everything that is wrong, in the order of the table."""
    import jsonschema

    from warwick.observatory.common import validation

    def name_keyword(kind: str, keyword_of_site: Any) -> Any:
        def check(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[Any]:
            # A site's own keyword may accept every attribute of its tables
            if isinstance(instance, str) and (
                    _lookup(kind, instance) is None or list(keyword_of_site(validator, value, instance, schema) or ())):
                yield jsonschema.ValidationError('unknown')
        return check

    def printable(_validator: Any, _value: Any, instance: Any, _schema: Any) -> Iterator[Any]:
        # NUL, line ends and half surrogate pairs are no part of any name, and nothing can be done with them
        if isinstance(instance, str) and not instance.isprintable():
            yield jsonschema.ValidationError('unprintable')

    def ascending(validator: Any, _value: Any, instance: Any, _schema: Any) -> Iterator[Any]:
        is_list_of_numbers = isinstance(instance, list) and all(validator.is_type(each, 'number') for each in instance)
        if is_list_of_numbers and instance != sorted(set(instance)):
            yield jsonschema.ValidationError('unordered')

    checker = jsonschema.validators.extend(jsonschema.Draft7Validator, {
        'daemon_name': name_keyword('daemon', validation.daemon_name_validator),
        'machine_name': name_keyword('machine', validation.machine_name_validator),
        'printable': printable,
        'ascending': ascending,
    })
    order = list(SCHEMA['properties'])
    problems: dict[tuple[int, str], str] = {}  # by place in the table and key; one reason for a key is enough
    with _errors_of_the_site(document.get('daemon')):
        for error in checker(SCHEMA).iter_errors(document):
            for key, problem in _problems(error):
                name = key.split('[')[0]
                problems.setdefault((order.index(name) if name in order else len(order), key), problem)
    if problems:
        in_order = [problem for _, problem in sorted(problems.items())]
        more = [f'and {len(in_order) - 5} more'] if len(in_order) > 5 else []
        raise _Refused('; '.join(in_order[:5] + more))


def _problems(error: Any) -> Iterator[tuple[str, str]]:
    """The keys that a jsonschema error is about, each with its line `key: value: reason`."""
    if error.validator == 'required':
        for key in error.validator_value:
            if key not in error.instance:
                yield key, _missing(key)
    elif error.validator == 'additionalProperties':
        for key, value in error.instance.items():
            if key not in SCHEMA['properties']:
                yield key, f'{_shown_key(key)}: {_shown(value)}: unknown key, {_nearest(key)}'
    else:
        key = str(error.path[0]) + ''.join(f'[{index}]' for index in list(error.path)[1:])
        yield key, _wrong(key, error.instance, error.validator, error.validator_value)


def _missing(key: str) -> str:
    return f'{key}: required key is missing'


def _wrong(key: str, value: Any, keyword: str, argument: Any) -> str:
    """`key: value: reason`, where the value violates this keyword of its schema."""
    return f'{key}: {_shown(value)}: {_FAULTS_OF_VALUES[keyword](argument)}'


def _nearest(key: str) -> str:
    import difflib
    known = list(SCHEMA['properties'])
    nearest = difflib.get_close_matches(key, known, 1)
    return f'did you mean {nearest[0]}?' if nearest else 'accepted are ' + ', '.join(known)


def _shown(value: Any) -> str:
    return shortened(json.dumps(value), 60)


def _shown_key(key: str) -> str:
    return key if key.isidentifier() and key.isascii() and len(key) <= 60 else _shown(key)

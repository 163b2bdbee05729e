# SPDX-License-Identifier: GPL-3.0-or-later
"""The configuration file: one schema, one error line.

Every number keeps its fraction, every range is checked, and whatever is wrong with a file is a `ConfigError` whose
text is a single line `file: key: value: reason`.

A file is nearly always right, and loading jsonschema takes longer than all else that the client does, and a fifth of
the daemon's memory. So both glance over the file with a reading of the same schema, and leave it to jsonschema to
explain where the glance does not like what it sees.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

# Longest time that every way of waiting in Python takes; poll() counts milliseconds in 31 bits.
_MAX_SECONDS = 1_000_000
_MAX_BYTES = 1_048_576


def _seconds(description: str, **more: str) -> dict[str, Any]:
    return {'type': 'number', 'exclusiveMinimum': 0, 'maximum': _MAX_SECONDS, 'unit': 's', 'description': description,
            **more}


# `daemon_name`, `machine_name` and `ascending` are keywords of our own. `description`, `unit` and `default` are for
# people: the manual page is made of them, and the README's table compared with them.
SCHEMA: dict[str, Any] = {
    'type': 'object',
    'additionalProperties': False,
    'required': [
        'daemon', 'log_name', 'control_machines', 'serial_port', 'serial_baud', 'serial_timeout', 'idle_loop_delay',
        'moving_loop_delay', 'move_timeout', 'home_reset_timeout', 'soft_step_limits',
    ],
    'properties': {
        'daemon': {
            'type': 'string', 'daemon_name': True,
            'description': 'entry of `warwick.observatory.common.daemons`: object id, address, port'},
        'log_name': {'type': 'string', 'minLength': 1, 'description': 'table of the observatory log'},
        'control_machines': {
            'type': 'array', 'items': {'type': 'string', 'machine_name': True},
            'description': 'machines that may control: entries of `common.IP`'},
        'serial_port': {
            'type': 'string', 'minLength': 1,
            'description': 'device, or an address for pyserial: `socket://host:9760`, `lynxsim://`'},
        'serial_baud': {
            'type': 'integer', 'exclusiveMinimum': 0, 'maximum': 4_000_000,
            'unit': 'bit/s', 'description': 'speed of the line: 115200; 19200 for some ThirdLynx'},
        'serial_timeout': _seconds('longest wait for a reply of the hub'),
        'idle_loop_delay': _seconds('time between two looks at a focuser at rest'),
        'moving_loop_delay': _seconds('time between two looks at a moving focuser; 0.5 is usual'),
        'move_timeout': _seconds('longest move; one that takes longer is halted and has failed'),
        'home_reset_timeout': _seconds('longest time until the hub has confirmed a zero; never more than 4 s'),
        'soft_step_limits': {
            'type': 'array', 'items': {'type': 'integer'}, 'minItems': 2, 'maxItems': 2, 'ascending': True,
            'unit': 'steps', 'description': '`[min, max]`, inclusive: positions that may be commanded'},
        'connect_on_start': {
            'type': 'boolean', 'default': False,
            'description': 'connect when the daemon starts, and keep trying'},
        'home_timeout': _seconds('longest time until a focuser that homes has found its switch',
                                 default='twice `move_timeout`'),
        'temperature_probe_required': {
            'type': 'boolean', 'default': True,
            'description': 'a channel without a temperature probe counts as empty'},
        'allow_hub_compensation': {
            'type': 'boolean', 'default': False,
            'description': 'accept that the hub moves the focuser by itself, with the temperature or against backlash'},
    },
}

_TYPE_NAMES = {'string': 'a string', 'number': 'a number', 'integer': 'a whole number', 'boolean': 'true or false',
               'array': 'a list', 'object': 'an object'}


class ConfigError(Exception):
    """The configuration cannot be used; the text is one line that names file, key, value and reason."""


class Config:
    """A validated configuration file. Times are in seconds, and keep their fractions.

    Raises `ConfigError` if the file cannot be read or is wrong, ModuleNotFoundError where jsonschema or
    warwick.observatory.common is not installed.
    """

    def __init__(self, path: str) -> None:
        document = _checked(path)
        self.daemon: Any = _lookup('daemon', document['daemon'])  # entry of warwick.observatory.common.daemons
        self.log_name: str = document['log_name']
        self.control_machines: list[str] = document['control_machines']
        self.control_ips: list[str] = [_lookup('machine', name) for name in self.control_machines]
        self.serial_port: str = document['serial_port']
        self.serial_baud = int(document['serial_baud'])
        self.serial_timeout = float(document['serial_timeout'])
        self.idle_loop_delay = float(document['idle_loop_delay'])
        self.moving_loop_delay = float(document['moving_loop_delay'])
        self.move_timeout = float(document['move_timeout'])
        self.home_reset_timeout = float(document['home_reset_timeout'])
        lowest, highest = document['soft_step_limits']
        self.soft_step_limits: tuple[int, int] = (int(lowest), int(highest))  # signed steps, both inclusive
        self.connect_on_start: bool = document.get('connect_on_start', False)
        self.home_timeout = float(document.get('home_timeout', 2 * self.move_timeout))
        self.temperature_probe_required: bool = document.get('temperature_probe_required', True)
        self.allow_hub_compensation: bool = document.get('allow_hub_compensation', False)


def daemon_of(path: str) -> Any:
    """The entry of warwick.observatory.common.daemons that a file names, without jsonschema if the file is right.

    Raises what `Config` raises.
    """
    return _lookup('daemon', _checked(path)['daemon'])


def _checked(path: str) -> dict[str, Any]:
    """The content of a file that is right, for which jsonschema is not loaded. Raises what `Config` raises."""
    document = _read(path)
    try:
        good = _glance(document, SCHEMA)
    except ImportError:
        raise
    except Exception:  # the validation meets it again, and words it
        good = False
    if not good:
        _validate(path, document)
    return document


class _Refused(ValueError):
    """JSON that Python would accept and we do not."""


def _read(path: str) -> dict[str, Any]:
    """The top-level object of a JSON file. Raises ConfigError."""
    try:
        with open(path, 'rb') as file:
            raw = file.read(_MAX_BYTES + 1)
    except OSError as e:
        raise ConfigError(f'{_shown_path(path)}: cannot be read: {e.strerror or e}') from None
    except ValueError as e:  # a NUL in the path
        raise ConfigError(f'{_shown_path(path)}: cannot be read: {e}') from None

    if len(raw) > _MAX_BYTES:
        raise ConfigError(f'{_shown_path(path)}: is larger than {_MAX_BYTES} bytes, this is no configuration file')
    try:
        # A byte order mark, which some editors write, carries no meaning here.
        document = json.loads(raw.decode('utf-8-sig'), object_pairs_hook=_unique, parse_constant=_no_constant,
                              parse_float=_finite)
    except UnicodeDecodeError as e:
        raise ConfigError(f'{_shown_path(path)}: is not UTF-8: byte {e.start + 1} is 0x{raw[e.start]:02x}') from None
    except json.JSONDecodeError as e:
        raise ConfigError(f'{_shown_path(path)}: is not JSON: line {e.lineno} column {e.colno}: {e.msg}') from None
    except _Refused as e:
        raise ConfigError(f'{_shown_path(path)}: {e}') from None
    except RecursionError:
        raise ConfigError(f'{_shown_path(path)}: is nested too deeply') from None
    except ValueError as e:  # an integer of thousands of digits
        raise ConfigError(f'{_shown_path(path)}: is not JSON: {e}') from None

    if not isinstance(document, dict):
        raise ConfigError(f'{_shown_path(path)}: {_shown(document)}: must be a JSON object, with the keys '
                          + ', '.join(SCHEMA['required']))
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
        raise _Refused(f'is not JSON that can be used: the number {_shortened(text)} is too large')
    return number


def _tables() -> dict[str, Any]:
    """The site's own tables. Raises ModuleNotFoundError, or whatever the package thinks of a broken site."""
    from warwick.observatory.common import IP, daemons
    return {'daemon': daemons, 'machine': IP}


def _lookup(kind: str, name: str) -> Any:
    """The entry of a daemon, or the address of a machine; None where the name is not known.

    A table can be a module or a class, with attributes that are neither, and that no name may reach.
    """
    entry = None if name.startswith('_') else getattr(_tables()[kind], name, None)
    if kind == 'machine':
        return entry if isinstance(entry, str) else None
    return entry if hasattr(entry, 'connect') and not isinstance(entry, type) else None


def _known(kind: str) -> str:
    """The names that the package lists, for a message."""
    return ', '.join(name for name in dir(_tables()[kind]) if _lookup(kind, name) is not None) or 'none'


def _ascending(value: Any) -> bool:
    """Whether each number is greater than the one before; true of what is no list of numbers, others complain then."""
    if not isinstance(value, list) or any(isinstance(v, bool) or not isinstance(v, (int, float)) for v in value):
        return True
    return all(low < high for low, high in zip(value, value[1:]))


_GLANCES: dict[str, Any] = {
    'type': lambda value, name: {
        'string': lambda: isinstance(value, str),
        'boolean': lambda: isinstance(value, bool),
        'array': lambda: isinstance(value, list),
        'object': lambda: isinstance(value, dict),
        'number': lambda: isinstance(value, (int, float)) and not isinstance(value, bool),
        'integer': lambda: ((isinstance(value, int) and not isinstance(value, bool))
                            or (isinstance(value, float) and value.is_integer())),
    }[name](),
    'required': lambda value, keys: all(key in value for key in keys),
    'additionalProperties': lambda value, allowed: True,
    'properties': lambda value, schemas: all(key in schemas and _glance(v, schemas[key]) for key, v in value.items()),
    'items': lambda value, schema: all(_glance(v, schema) for v in value),
    'minItems': lambda value, count: len(value) >= count,
    'maxItems': lambda value, count: len(value) <= count,
    'minLength': lambda value, count: len(value) >= count,
    'exclusiveMinimum': lambda value, bound: value > bound,
    'maximum': lambda value, bound: value <= bound,
    'ascending': lambda value, wanted: _ascending(value),
    'daemon_name': lambda value, wanted: _lookup('daemon', value) is not None,
    'machine_name': lambda value, wanted: _lookup('machine', value) is not None,
    **dict.fromkeys(('description', 'unit', 'default'), lambda value, text: True),
}


def _glance(value: Any, schema: dict[str, Any]) -> bool:
    """Whether a value is certainly right. `type` comes first in every schema, so the other checks can rely on it."""
    return all(_GLANCES[keyword](value, argument) for keyword, argument in schema.items())


def _validate(path: str, document: dict[str, Any]) -> None:
    """Raise the ConfigError that names everything that is wrong, in the order of the schema."""
    try:
        problems = _problems(document)
    except ImportError:
        raise
    except Exception as e:  # the site's own tables can be broken in any way
        raise ConfigError(f'{_shown_path(path)}: daemon: {_shown(document.get("daemon"))}: '
                          f'cannot be looked up: {_one_line(e)}') from None
    if problems:
        more = [f'and {len(problems) - 5} more'] if len(problems) > 5 else []
        raise ConfigError(f'{_shown_path(path)}: ' + '; '.join(problems[:5] + more))


def _problems(document: dict[str, Any]) -> list[str]:
    import jsonschema

    from warwick.observatory.common import validation

    def name_check(kind: str, foreign: Any) -> Any:
        def check(validator: Any, wanted: Any, instance: Any, schema: Any) -> Iterator[Any]:
            if not isinstance(instance, str):
                return
            if _lookup(kind, instance) is None:
                yield jsonschema.ValidationError(f'unknown {kind}, known: {_known(kind)}')
            else:
                yield from foreign(validator, wanted, instance, schema) or ()
        return check

    def ascending(_validator: Any, _wanted: Any, instance: Any, _schema: Any) -> Iterator[Any]:
        if not _ascending(instance):
            yield jsonschema.ValidationError('min must be less than max')

    checker = jsonschema.validators.extend(jsonschema.Draft7Validator, {
        'daemon_name': name_check('daemon', validation.daemon_name_validator),
        'machine_name': name_check('machine', validation.machine_name_validator),
        'ascending': ascending,
    })
    known = list(SCHEMA['properties'])
    found: dict[tuple[int, str], str] = {}  # by place in the schema and key; one reason for a key is enough
    for error in checker(SCHEMA).iter_errors(document):
        for key, text in _worded(error):
            name = key.split('[')[0]
            found.setdefault((known.index(name) if name in known else len(known), key), text)
    return [text for _, text in sorted(found.items())]


def _worded(error: Any) -> Iterator[tuple[str, str]]:
    """The keys that a jsonschema error is about, each with its `key: value: reason`."""
    bound = error.validator_value
    if error.validator == 'required':
        for key in bound:
            if key not in error.instance:
                yield key, f'{key}: required key is missing'
    elif error.validator == 'additionalProperties':
        for key, value in error.instance.items():
            if key not in SCHEMA['properties']:
                yield key, f'{_shown_key(key)}: {_shown(value)}: unknown key, {_accepted(key)}'
    else:
        reasons = {
            'type': lambda: f'must be {_TYPE_NAMES[bound]}',
            'exclusiveMinimum': lambda: f'must be greater than {bound}',
            'maximum': lambda: f'must be at most {bound}',
            'minLength': lambda: 'must not be empty',
            'minItems': lambda: 'must be a pair [min, max]',
            'maxItems': lambda: 'must be a pair [min, max]',
        }
        reason = reasons.get(error.validator, lambda: _one_line(error.message))()
        key = str(error.path[0]) + ''.join(f'[{index}]' for index in list(error.path)[1:])
        yield key, f'{key}: {_shown(error.instance)}: {reason}'


def _accepted(key: str) -> str:
    import difflib
    known = list(SCHEMA['properties'])
    nearest = difflib.get_close_matches(key, known, 1)
    return f'did you mean {nearest[0]}?' if nearest else 'accepted are ' + ', '.join(known)


def _shown(value: Any) -> str:
    return _shortened(json.dumps(value))


def _shown_key(key: str) -> str:
    return key if key.isidentifier() and key.isascii() and len(key) <= 60 else _shown(key)


def _shown_path(path: str) -> str:
    return _one_line(path)


def _shortened(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + '...'


def _one_line(text: object) -> str:
    return ' '.join(str(text).split()) or repr(text)

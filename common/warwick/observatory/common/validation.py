# SPDX-License-Identifier: GPL-3.0-or-later
"""Check a configuration against a JSON schema, with keywords that know the observatory's machines and daemons."""

from __future__ import annotations

from ._tables import IP, daemons

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

    from jsonschema import ValidationError

    # (validator, value of the keyword in the schema, the configured value, the schema around the keyword)
    KeywordValidator = Callable[[Any, Any, Any, Any], Iterator[ValidationError]]


class ConfigSchemaViolationError(ValueError):
    """A configuration violates its schema. `violations` has one line for each violation; the text joins all lines."""

    def __init__(self, violations: list[str]) -> None:
        super().__init__('; '.join(violations))
        self.violations = violations


def validate_config(config_json: Any, schema: Mapping[str, Any], validators: Mapping[str, KeywordValidator]) -> None:
    """Check the parsed `config_json` against `schema`, which may also use the keywords of `validators`.

    A schema without `$schema` is read as draft 7. Raises ConfigSchemaViolationError with every
    violation, in the order of the keys.
    """
    from jsonschema import Draft7Validator
    from jsonschema.validators import extend, validator_for

    validator = extend(validator_for(schema, default=Draft7Validator), dict(validators))(schema)
    violations = sorted((_where(error), error.message) for error in validator.iter_errors(config_json))
    if violations:
        raise ConfigSchemaViolationError([f'{where}: {message}' if where else message for where, message in violations])


def _where(error: ValidationError) -> str:
    return '.'.join(str(key) for key in error.absolute_path)


def daemon_name_validator(
    _validator: object, value: object, instance: object, _schema: object
) -> Iterator[ValidationError]:
    """Keyword that accepts the names of `daemons`. Its value in the schema is true, or false to switch it off."""
    yield from _name_validator('daemon', daemons, value, instance)


def machine_name_validator(
    _validator: object, value: object, instance: object, _schema: object
) -> Iterator[ValidationError]:
    """Keyword that accepts the names of `IP`. Its value in the schema is true, or false to switch it off."""
    yield from _name_validator('machine', IP, value, instance)


def _name_validator(kind: str, table: Any, value: object, instance: object) -> Iterator[ValidationError]:
    from jsonschema import ValidationError

    if value and instance not in table:
        yield ValidationError(f'{instance!r} is not the name of a {kind}; known are {", ".join(table)}')

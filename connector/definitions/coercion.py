"""Coercion: from a raw value to the value of a parameter or setting, as its JSON Schema asks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from connector._util import times
from connector.validation.schema import Schema

# Characters of a number in text that is still read as one: nobody's id has more, and reading takes
# its square in time.
_LONGEST_NUMBER = 1000

_OF_KEYS = {
    "additionalProperties": "has an unknown key",
    "unevaluatedProperties": "has an unknown key",
    "propertyNames": "has a key of an invalid format",
}


class ParameterError(ValueError):
    """A parameter's value is not allowed; the message does not quote it."""


Coerce = Callable[[Any], Any]


def compile_parameter(name: str, schema: Mapping[str, Any]) -> Coerce:
    """Return the function that makes a raw value the parameter's value.

    The function raises ParameterError.
    """
    validator = Schema(schema)

    def coerce(raw: Any) -> Any:
        value = _coerced(name, raw, schema)
        if not validator.is_valid(value):
            [failure, *_] = validator.failures(value)
            # A key of an object can be data, too.
            reason = _OF_KEYS.get(failure.keyword, failure.message)
            raise ParameterError(f"{name} {reason}")
        return value

    return coerce


def _coerced(name: str, raw: Any, schema: Mapping[str, Any]) -> Any:
    kind = schema.get("type")
    if isinstance(raw, str):
        if kind == "boolean" and raw.strip().lower() not in ("true", "false"):
            raise ParameterError(
                f"{name} must be true or false; convert other values with an 'expr'"
            )
        if schema.get("format") == "date-time":
            try:
                return times.canonical(raw)
            except ValueError as error:
                raise ParameterError(f"{name} {error}") from None
        if kind == "boolean":
            return raw.strip().lower() == "true"
        if (
            kind == "integer"
            and len(raw) <= _LONGEST_NUMBER
            and raw.strip().isascii()
            and raw.strip().isdigit()
        ):
            return int(raw)
    elif (
        kind == "string"
        and "format" not in schema
        and isinstance(raw, int)
        and not isinstance(raw, bool)
    ):
        return str(raw)
    return raw

"""Coercion: from a raw value to the value of a parameter or setting, as its JSON Schema asks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jsonschema_rs

from connector._util import times

# Characters of a number in text that is still read as one: nobody's id has more, and reading takes its square in time.
_LONGEST_NUMBER = 1000


class ParameterError(ValueError):
    """A parameter's value is not allowed; the text does not hold it."""


Coerce = Callable[[Any], Any]


def compile_parameter(name: str, schema: Mapping[str, Any]) -> Coerce:
    """Return the function that makes a raw value the parameter's value. It raises ParameterError."""
    validator = jsonschema_rs.validator_for(dict(schema))

    def coerce(raw: Any) -> Any:
        value = _coerced(name, raw, schema)
        try:
            if not validator.is_valid(value):
                raise ParameterError(f"{name} {_why(schema, value)}")
        except UnicodeEncodeError:
            raise ParameterError(f"{name} holds half of a surrogate pair") from None
        return value

    return coerce


def _coerced(name: str, raw: Any, schema: Mapping[str, Any]) -> Any:
    kind = schema.get("type")
    if isinstance(raw, str):
        if kind == "boolean" and raw.strip().lower() not in ("true", "false"):
            raise ParameterError(
                f"{name} has to be true or false, or one of these words; others need an 'expr'"
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


def _why(schema: Mapping[str, Any], value: Any) -> str:
    from jsonschema import Draft202012Validator

    from connector.validation.explain import explained

    first = explained(Draft202012Validator(dict(schema)), value, quote=False)[0]
    return first.message

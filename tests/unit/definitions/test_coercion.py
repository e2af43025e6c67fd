"""Why a parameter's value is not allowed: the reason quotes neither a value nor a key of it."""

from __future__ import annotations

from typing import Any

import pytest

from connector.definitions.coercion import ParameterError, compile_parameter

SECRET = "ann@example.com"


@pytest.mark.parametrize(
    ("schema", "value", "reason"),
    [
        ({"type": "object", "additionalProperties": False}, {SECRET: 1}, "has an unknown key"),
        ({"propertyNames": {"maxLength": 2}}, {SECRET: 1}, "has a key of an invalid format"),
        ({"enum": ["a", "b"]}, SECRET, "is not one of the allowed values"),
        ({"type": "string", "pattern": "^a$"}, SECRET, "has an invalid format (pattern ^a$)"),
        ({"type": "integer"}, SECRET, "must be a whole number, got text"),
        ({"type": "string", "format": "date-time"}, SECRET, "is not an RFC 3339 timestamp"),
        ({"type": "boolean"}, SECRET, "must be true or false"),
        ({"type": "object", "properties": {"a": {"type": "object"}}}, {"a": SECRET}, "must be "),
    ],
)
def test_a_reason_quotes_nothing(schema: dict[str, Any], value: Any, reason: str) -> None:
    with pytest.raises(ParameterError) as caught:
        compile_parameter("p", schema)(value)
    assert SECRET not in str(caught.value)
    assert str(caught.value).startswith("p ")
    assert reason in str(caught.value)

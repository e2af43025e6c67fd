"""The values of a call's parameters: known, complete, and of the type that each one asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from connector.connection.model import Connection
from connector.definitions.coercion import ParameterError, compile_parameter
from connector.definitions.model import Call, Destination, Field
from connector.definitions.uri_template import placeholders
from connector.errors import ConfigError, Problem, nearest


def find_call(destination: Destination, name: str) -> Call:
    """Return a call of a destination. Raise ConfigError (C230) for an unknown one."""
    if name in destination.calls:
        return destination.calls[name]
    message = f"unknown call '{name}' of {destination.id}"
    hint = nearest(name, destination.calls)
    if name in destination.actions:
        hint = f"'{name}' is an action: a route names it, and 'send' delivers people; {hint}"
    raise ConfigError([Problem("C230", name, "", message, hint)])


def check_settings(call: Call, connection: Connection) -> None:
    """Raise ConfigError (C202) when the path of a call needs a setting that is not there."""
    problems = []
    for name in placeholders(call.path):
        setting = connection.destination.settings.get(name)
        if setting is not None and name not in connection.settings:
            message = f"missing setting '{name}', which {call.id} needs"
            hint = setting.description
            problems.append(Problem("C202", connection.file, "/settings", message, hint))
    if problems:
        raise ConfigError(problems)


def values_of(call: Call, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of a call with their defaults; those that are absent are left out.

    Text is read as the type that a parameter has; a list may be JSON, or its elements with commas
    between them. Raise ConfigError (C231) with everything that is wrong.
    """
    problems = []
    for name in given:
        if name not in call.parameters:
            hint = nearest(name, call.parameters)
            problems.append(_problem(call, name, f"unknown parameter '{name}'", hint))

    values: dict[str, Any] = {}
    for parameter in call.parameters.values():
        value = given.get(parameter.name, parameter.default)
        if value is None:
            if parameter.required:
                message = f"'{parameter.name}' is required"
                problems.append(_problem(call, parameter.name, message, parameter.description))
            continue
        try:
            values[parameter.name] = _coerced(parameter, value)
        except ParameterError as error:
            problems.append(_problem(call, parameter.name, str(error), parameter.description))
    if problems:
        raise ConfigError(problems)
    return values


def _problem(call: Call, parameter: str, message: str, hint: str) -> Problem:
    return Problem("C231", call.id, f"/{parameter}", message, hint)


def _coerced(parameter: Field, value: Any) -> Any:
    """Raise ParameterError."""
    if parameter.types == ("array",) and isinstance(value, str):
        value = _list(parameter.name, value)
    return compile_parameter(parameter.name, parameter.schema)(value)


def _list(name: str, text: str) -> list[Any]:
    if not text.lstrip().startswith("["):
        return list(filter(None, map(str.strip, text.split(","))))
    try:
        elements: list[Any] = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise ParameterError(f"{name} begins with [ and is not valid JSON") from None
    return elements

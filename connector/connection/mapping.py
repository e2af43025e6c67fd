"""Mapping: from an event to the raw values of an action's parameters.

A path such as `traits.emails[0]` or `handles[*].name` and an expression each become one function of
the event's data; None means absent.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from connector.connection.model import Constant, FieldMapping, FromExpression, FromPaths
from connector.templating.expressions import (
    ABSENT,
    AbsentError,
    ExpressionError,
    compile_expression,
)

Get = Callable[[dict[str, Any]], Any]
GetAll = Callable[[Sequence[dict[str, Any]]], list[Any]]

#: The names an `expr` or a `when` can use.
EVENT_NAMES: Collection[str] = ("event", "settings")

#: How a path is written, for messages.
PATH_FORM = (
    """names joined by dots, with [0], [*] or ["odd.name"] after them, such as traits.emails[0]"""
)

_PART = re.compile(
    r"""
    \.?(?P<name>[^.\[\]"']+)
    | \[(?P<index>\d{1,9}|\*)\]
    | \[(?P<quote>["'])(?P<quoted>.+?)(?P=quote)\]
    """,
    re.VERBOSE,
)

# A name, an index, or None for every element.
_Part = str | int | None


def parse_path(path: str) -> list[_Part]:
    """Return a path's parts: a name, an index, or None for every element.

    Raise ValueError for an invalid path.
    """
    if not path:
        raise ValueError(f"the path is empty; allowed: {PATH_FORM}")
    if path.startswith("$"):
        raise ValueError(
            f"invalid path '{path}': expected a path into the event, without $; "
            f"allowed: {PATH_FORM}"
        )

    parts: list[_Part] = []
    end = 0
    while end < len(path):
        match = _PART.match(path, end)
        if match is None or not _is_joined(match, path, end):
            raise ValueError(f"invalid path '{path}'; allowed: {PATH_FORM}")
        parts.append(_part(match))
        end = match.end()
    return parts


def _is_joined(match: re.Match[str], path: str, start: int) -> bool:
    """Return whether a part begins correctly: a name with a dot, unless it is the first."""
    has_dot = path[start] == "."
    if start == 0:
        return not has_dot
    return has_dot or not match["name"]


def _part(match: re.Match[str]) -> _Part:
    index = match["index"]
    if index == "*":
        return None
    if index:
        return int(index)
    return match["name"] or match["quoted"]


def compile_path(path: str) -> Get:
    """Return the function that follows a path in an event.

    The function returns None for what is absent. Raise ValueError for an invalid path.
    """
    match parse_path(path):
        case [str(name)]:
            return lambda data: data.get(name)
        case [str(first), str(second)]:
            return _two_names(first, second)
        case parts:
            return lambda data: _follow(data, parts)


def _two_names(first: str, second: str) -> Get:
    def get(data: dict[str, Any]) -> Any:
        inner = data.get(first)
        return inner.get(second) if inner.__class__ is dict else None

    return get


def _follow(value: Any, parts: Sequence[_Part]) -> Any:
    for position, part in enumerate(parts):
        if part is None:
            return _follow_all(value, parts[position + 1 :])

        if isinstance(part, str):
            value = value.get(part) if isinstance(value, dict) else None
        else:
            value = value[part] if isinstance(value, list) and part < len(value) else None
        if value is None:
            return None
    return value


def _follow_all(values: Any, parts: Sequence[_Part]) -> list[Any] | None:
    """Return what is at the end of a path in each element of a list.

    The value is None where there is nothing.
    """
    if not isinstance(values, list):
        return None

    results: list[Any] = []
    for element in values:
        result = _follow(element, parts)
        if isinstance(result, list):
            results.extend(result)
        elif result is not None:
            results.append(result)
    return results or None


def first_present(getters: Sequence[Get]) -> Get:
    """Return the function that returns the first value that is present."""
    if len(getters) == 1:
        return getters[0]

    def get(data: dict[str, Any]) -> Any:
        for getter in getters:
            value = getter(data)
            if not is_absent(value):
                return value
        return None

    return get


def is_absent(value: Any) -> bool:
    """Return whether a value counts as absent: missing, null, "" or an empty list."""
    return value is None or value in ("", []) or value is ABSENT


def compile_source(source: FieldMapping, settings: Mapping[str, Any]) -> Get:
    """Compile one entry of a route's `map`.

    Raise ValueError (a path) or ExpressionError. The function of an `expr` raises ExpressionError.
    """
    match source:
        case Constant(value):
            return lambda data: value
        case FromPaths(paths):
            return first_present(list(map(compile_path, paths)))
        case FromExpression(expression):
            return _compile_event_expression(expression, settings)
    raise TypeError(f"{type(source).__name__} cannot be compiled")


def _compile_event_expression(expression: str, settings: Mapping[str, Any]) -> Get:
    evaluate = compile_expression(expression, EVENT_NAMES)

    def get(data: dict[str, Any]) -> Any:
        try:
            value = evaluate({"event": data, "settings": settings})
        except AbsentError:
            return None
        return None if value is ABSENT else value

    return get


def compile_column(source: FieldMapping, settings: Mapping[str, Any]) -> GetAll:
    """Compile one entry of a route's `map` for many events at a time: one value for each.

    Where an `expr` fails, its ExpressionError takes the value's place. Raise as `compile_source`
    does.
    """
    get = compile_source(source, settings)
    match source:
        case Constant(value):
            return lambda events: [value] * len(events)
        case FromExpression():
            return lambda events: [_value_or_error(get, event) for event in events]
        case FromPaths((path,)):
            match parse_path(path):
                case [str(first), str(second)]:
                    return _column_of_two_names(first, second)
    return lambda events: list(map(get, events))


def _column_of_two_names(first: str, second: str) -> GetAll:
    # The usual path; without a call for each event it takes two thirds of the time.
    return lambda events: [
        inner.get(second) if (inner := event.get(first)).__class__ is dict else None
        for event in events
    ]


def _value_or_error(get: Get, event: dict[str, Any]) -> Any:
    try:
        return get(event)
    except ExpressionError as error:
        return error


def compile_columns(
    sources: Sequence[FieldMapping], settings: Mapping[str, Any]
) -> Callable[[Sequence[dict[str, Any]]], list[list[Any]]]:
    """Compile several entries for many events at a time: one list of values for each entry."""
    getters = [compile_column(source, settings) for source in sources]
    return lambda events: [get(events) for get in getters]


def compile_when(
    source: str | None, settings: Mapping[str, Any]
) -> Callable[[dict[str, Any]], bool] | None:
    """Compile a route's `when`; return None when every event matches.

    Raise ExpressionError; so does the function that is returned.
    """
    if source is None:
        return None
    evaluate = compile_expression(source, EVENT_NAMES)

    def when(data: dict[str, Any]) -> bool:
        try:
            return bool(evaluate({"event": data, "settings": settings}))
        except AbsentError:
            return False

    return when

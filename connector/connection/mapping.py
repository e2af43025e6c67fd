"""Mapping: from an event to the raw values of an action's parameters.

A path such as `traits.emails[0]` or `handles[*].name` and an expression each become one function of the event's data;
None stands for absent.
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

_PART = re.compile(
    r"""\.?(?P<key>[^.\[\]"']+)|\[(?P<index>\d{1,9}|\*)\]|\[(?P<quote>["'])(?P<quoted>.+?)(?P=quote)\]"""
)

#: How a path is written, for messages.
PATH_FORM = (
    """names joined by dots, with [0], [*] or ["odd.name"] after them, such as traits.emails[0]"""
)


def parse_path(path: str) -> list[str | int | None]:
    """Return a path's parts: a key, an index, or None for every element. Raises ValueError."""
    parts: list[str | int | None] = []
    end = 0
    if path.startswith("$"):
        raise ValueError(
            f"'{path}' starts with $; a path starts in the event; allowed: {PATH_FORM}"
        )
    while end < len(path):
        match = _PART.match(path, end)
        if (
            not match
            or (end == 0 and path.startswith("."))
            or (end and match["key"] and path[end] != ".")
        ):
            raise ValueError(f"'{path}' is not a path; allowed: {PATH_FORM}")
        index = match["index"]
        parts.append(
            (None if index == "*" else int(index)) if index else match["key"] or match["quoted"]
        )
        end = match.end()
    if not parts:
        raise ValueError(f"a path is empty; allowed: {PATH_FORM}")
    return parts


def compile_path(path: str) -> Get:
    """Return the function that follows a path in an event; it returns None for what is absent. Raises ValueError."""
    parts = parse_path(path)
    if len(parts) == 1 and isinstance(parts[0], str):
        key = parts[0]
        return lambda data: data.get(key)
    if len(parts) == 2 and isinstance(parts[0], str) and isinstance(parts[1], str):
        return _two_keys(parts[0], parts[1])
    return lambda data: _follow(data, parts)


def _two_keys(first: str, second: str) -> Get:
    def get(data: dict[str, Any]) -> Any:
        inner = data.get(first)
        return inner.get(second) if inner.__class__ is dict else None

    return get


def _follow(value: Any, parts: Sequence[str | int | None]) -> Any:
    for position, part in enumerate(parts):
        if part is None:
            rest = parts[position + 1 :]
            return _every(value, rest)
        if isinstance(part, str):
            value = value.get(part) if isinstance(value, dict) else None
        else:
            value = value[part] if isinstance(value, list) and part < len(value) else None
        if value is None:
            return None
    return value


def _every(value: Any, rest: Sequence[str | int | None]) -> list[Any] | None:
    found: list[Any] = []
    for element in value if isinstance(value, list) else ():
        inner = _follow(element, rest)
        found.extend(inner if isinstance(inner, list) else () if inner is None else (inner,))
    return found or None


def first_present(getters: Sequence[Get]) -> Get:
    """Return the function that gives the first value that is there."""
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
    """Say whether a value counts as not there: missing, null, "" or an empty list."""
    return value is None or value in ("", []) or value is ABSENT


def compile_source(source: FieldMapping, settings: Mapping[str, Any]) -> Get:
    """Compile one entry of a route's `map`.

    Raises ValueError (a path) or ExpressionError. The function of an `expr` raises ExpressionError.
    """
    match source:
        case Constant(value):
            return lambda data: value
        case FromPaths(paths):
            return first_present([compile_path(path) for path in paths])
        case FromExpression(expression):
            return _compile_source_expression(expression, settings)
    raise TypeError(f"{type(source).__name__} cannot be compiled")


def _compile_source_expression(expression: str, settings: Mapping[str, Any]) -> Get:
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

    Where an `expr` fails, its ExpressionError stands in the value's place. Raises as `compile_source` does.
    """
    get = compile_source(source, settings)
    if isinstance(source, Constant):
        return lambda events: [source.value] * len(events)
    if isinstance(source, FromExpression):
        return lambda events: [_or_error(get, event) for event in events]
    return lambda events: list(map(get, events))


def compile_columns(
    sources: Sequence[FieldMapping], settings: Mapping[str, Any]
) -> Callable[[Sequence[dict[str, Any]]], list[list[Any]]]:
    """Compile several entries together: their columns. What paths of two names have in common is followed once."""
    getters = [compile_column(source, settings) for source in sources]
    paths = [_two_names(source) for source in sources]
    firsts = {path[0] for path in paths if path}
    nothing: dict[str, Any] = {}

    def columns(events: Sequence[dict[str, Any]]) -> list[list[Any]]:
        inner = {
            first: [
                found if (found := event.get(first)).__class__ is dict else nothing
                for event in events
            ]
            for first in firsts
        }
        return [
            [found.get(path[1]) for found in inner[path[0]]] if path else get(events)
            for path, get in zip(paths, getters, strict=True)
        ]

    return columns


def _two_names(source: FieldMapping) -> tuple[str, str] | None:
    if not isinstance(source, FromPaths) or len(source.paths) != 1:
        return None
    match parse_path(source.paths[0]):
        case [str(first), str(second)]:
            return first, second
    return None


def _or_error(get: Get, event: dict[str, Any]) -> Any:
    try:
        return get(event)
    except ExpressionError as error:
        return error


#: The names an `expr` or a `when` can use.
EVENT_NAMES: Collection[str] = ("event", "settings")


def compile_when(
    source: str | None, settings: Mapping[str, Any]
) -> Callable[[dict[str, Any]], bool] | None:
    """Compile a route's `when`; None when every event matches. Raises ExpressionError; so does its function."""
    if source is None:
        return None
    evaluate = compile_expression(source, EVENT_NAMES)

    def when(data: dict[str, Any]) -> bool:
        try:
            return bool(evaluate({"event": data, "settings": settings}))
        except AbsentError:
            return False

    return when

"""Which fields of the events a connection reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from connector.connection.audience_names import Hole, parts_of
from connector.connection.mapping import parse_path, starts_in_item
from connector.connection.model import (
    AfterNow,
    AllPaths,
    Connection,
    Constant,
    FieldMapping,
    FromExpression,
    FromPaths,
    NamedAudience,
    Taking,
)
from connector.model import FieldPath
from connector.templating.reads import members_read

#: A field of an event or an element: "event" or "item", and the names below it.
Field = tuple[str, ...]

#: The parts of a path into the event.
_Parts = Sequence[Any]


def fields_read(
    connection: Connection, takings: Iterable[Taking] | None = None
) -> frozenset[FieldPath] | None:
    """Return the paths into an event that a connection reads, each up to its first index.

    `takings`: who reads, by default its routes. None when it may read any, as with an expression
    that uses the whole event.
    """
    fields: set[FieldPath] = set()
    if connection.event_id:
        fields.add(_names(parse_path(connection.event_id)))
    for taking in connection.routes if takings is None else takings:
        for parts in _of_taking(taking):
            fields.add(_names(parts))
    return None if () in fields else frozenset(fields)


def fields_of_source(source: FieldMapping) -> list[Field]:
    """Return what an entry of `map` reads, its `country` aside."""
    if isinstance(source, FromPaths | AllPaths):
        return list(map(field_of_path, source.paths))
    if isinstance(source, FromExpression):
        return fields_of_expression(source.expression)
    return []


def fields_of_map(taking: Taking) -> list[Field]:
    """Return what the entries of `map` read, their `country` aside."""
    fields: list[Field] = []
    for source in taking.map.values():
        fields += fields_of_source(source)
    return fields


def field_of_path(path: str) -> Field:
    """Return what a path reads, up to its first index."""
    parts = parse_path(path)
    if starts_in_item(path):
        return ("item", *_names(parts[1:]))
    return ("event", *_names(parts))


def fields_of_expression(expression: str) -> list[Field]:
    """Return what an expression reads, each up to its first index."""
    fields: list[Field] = []
    for root in ("event", "item"):
        for read in members_read(expression, root):
            fields.append((root, *_names(read)))
    return fields


def _of_taking(taking: Taking) -> Iterator[_Parts]:
    element: _Parts = ()
    if taking.each is not None:
        element = parse_path(taking.each)
        yield element
    if taking.when is not None:
        yield from _of_expression(taking.when, element)
    for source in taking.map.values():
        yield from _of_source(source, element)


def _of_source(source: FieldMapping, element: _Parts) -> Iterator[_Parts]:
    """Yield the paths that an entry of `map` reads; `element` is the path of the route's `each`."""
    match source:
        case FromPaths(paths) | AllPaths(paths):
            for path in paths:
                yield _of_path(path, element)
        case FromExpression(expression):
            yield from _of_expression(expression, element)
        case NamedAudience():
            for part in parts_of(source):
                if isinstance(part, Hole):
                    yield from _of_expression(part.expression, element)
        case Constant() | AfterNow():
            pass
        case _:
            yield ()  # it may read any
    if source.country is not None:
        yield from _of_source(source.country, element)


def _of_path(path: str, element: _Parts) -> _Parts:
    parts = parse_path(path)
    # One object at `each` is a list of one, so that the element's names go on from there.
    return (*element, *parts[1:]) if starts_in_item(path) else parts


def _of_expression(expression: str, element: _Parts) -> Iterator[_Parts]:
    yield from members_read(expression, "event")
    for parts in members_read(expression, "item"):
        yield (*element, *parts)


def _names(parts: _Parts) -> FieldPath:
    """Return the names of a path up to its first index."""
    names: list[str] = []
    for part in parts:
        if not isinstance(part, str):
            break
        names.append(part)
    return tuple(names)

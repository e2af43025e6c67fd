"""What a connection says as a whole: its `event_id`, and what makes one person of many."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from connector.connection.finding import Finding, Findings
from connector.connection.mapping import parse_path, starts_in_item
from connector.connection.model import (
    AllPaths,
    Constant,
    FieldMapping,
    FromExpression,
    FromPaths,
    MappedExport,
    Route,
    Taking,
)
from connector.definitions.model import Identifier
from connector.templating.reads import members_read


def event_id_findings(
    event_id: str | None, routes: Sequence[Route], exports: Iterable[MappedExport]
) -> Findings:
    """Find an `event_id` that is an identifier's field: reports hold the ids of events."""
    if event_id is None:
        return
    parts = parse_path(event_id)
    forms: list[tuple[Taking, str, Sequence[Identifier]]] = []
    forms += [(route, f"route '{route.name}'", route.action.identifiers) for route in routes]
    forms += [(one, f"export '{one.name}'", one.export.identifiers) for one in exports]
    for taking, words, identifiers in forms:
        for identifier in identifiers:
            parameter = identifier.parameter
            source = taking.map.get(parameter)
            if source is not None and _reads(source, parts):
                message = f"is the field that '{parameter}' of {words} is mapped from"
                hint = (
                    "reports hold the ids of events; name a field that identifies the event, "
                    "or leave event_id out: reports then name file and line"
                )
                yield Finding("C219", "/event_id", message, hint)
                return


def _reads(source: FieldMapping, parts: list[Any]) -> bool:
    """Return whether an entry of a route's `map` reads the field of the event at this path."""
    if isinstance(source, FromPaths | AllPaths):
        in_event = [path for path in source.paths if not starts_in_item(path)]
        return parts in map(parse_path, in_event)
    if isinstance(source, FromExpression):
        reads = members_read(source.expression, "event")
        return any(list(read[: len(parts)]) == parts for read in reads)
    return False


def warnings(routes: Sequence[Route], exports: Mapping[str, MappedExport]) -> Findings:
    """Find what makes one person of many.

    That is two parameters that read below the same `[*]`, and an identifier that is constant.
    """
    takings: list[tuple[str, Taking, Sequence[Identifier]]] = []
    for index, route in enumerate(routes):
        takings.append((f"/routes/{index}/map", route, route.action.identifiers))
    for name, mapped in exports.items():
        takings.append((f"/exports/{name}/map", mapped, mapped.export.identifiers))

    for pointer, taking, identifiers in takings:
        yield from _constant_identifiers(pointer, taking, identifiers)
        below: dict[tuple[str, ...], str] = {}
        for parameter, source in taking.map.items():
            if isinstance(source, Constant) or not isinstance(source, FromPaths | AllPaths):
                continue
            for path in source.paths:
                yield from _below_one_list(pointer, parameter, path, below)


def _constant_identifiers(
    pointer: str, taking: Taking, identifiers: Sequence[Identifier]
) -> Findings:
    for identifier in identifiers:
        source = taking.map.get(identifier.parameter)
        if identifier.alone and source is not None and _is_constant(source):
            message = "is the same for every event: all of them become one person"
            hint = "map it from a field, as in {from: email}"
            yield Finding("C222", f"{pointer}/{identifier.parameter}", message, hint)


def _is_constant(source: FieldMapping) -> bool:
    if isinstance(source, FromExpression):
        reads_event = members_read(source.expression, "event")
        return not reads_event and not members_read(source.expression, "item")
    return isinstance(source, Constant)


def _below_one_list(
    pointer: str, parameter: str, path: str, below: dict[tuple[str, ...], str]
) -> Findings:
    """Note the list whose elements a path reads; find an earlier parameter that reads them too."""
    parts = parse_path(path)
    if None not in parts[:-1]:
        return
    place = tuple(map(repr, parts[: parts.index(None)]))
    earlier = below.setdefault((str(starts_in_item(path)), *place), parameter)
    if earlier != parameter:
        before, _, _ = path.partition("[*]")
        message = f"reads below {before}[*], as '{earlier}' does: its elements become one person"
        hint = f"for a record of each element, add each: {before} beside its map, and read item.…"
        if starts_in_item(path):
            hint = "a list in an element cannot become records of their own"
        yield Finding("C220", f"{pointer}/{parameter}", message, hint)

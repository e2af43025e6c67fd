"""Fill: how many of the rows that a route takes have a value for each mapped parameter.

It is counted on whole columns. For a parameter that no row has, the names of the fields of a few
rows are kept, so that the nearest one can be named.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from itertools import islice
from typing import Any, NamedTuple

from connector.connection.fields import fields_of_source
from connector.connection.mapping import Element, Row, is_absent
from connector.connection.model import (
    AllPaths,
    Constant,
    FieldMapping,
    FromExpression,
    FromPaths,
)

#: What an entry of `map` reads: "event" or "item", and the names below it.
_Field = tuple[str, ...]

# The fields of so many rows are looked at, of so many per chunk, and so many names are kept.
_ROWS = 200
_ROWS_OF_CHUNK = 20
_NAMES = 1_000
_DEPTH = 3

# The names of fields can be data (addresses, numbers): only what looks like a name is printed.
_PLAIN = re.compile(r"[^\W\d](?:[ -]?\w){0,39}")
_MOST_DIGITS = 4


class Filled(NamedTuple):
    """How many rows had a value of a parameter.

    `route` is None for the connection's `event_id`. `of`: how many rows the route took. `found`:
    how many of them had a value. `source`: the entry of `map`. `nearest`: the nearest field of the
    input, where none had one; else "".
    """

    route: str | None
    parameter: str
    of: int
    found: int
    source: FieldMapping
    nearest: str


class Fill:
    """Counts the values of one route's mapped parameters, except those that are constant."""

    def __init__(self, route: str | None, sources: Mapping[str, FieldMapping]) -> None:
        """`route` and its `map`; for the ids of events None and what stands for a mapping.

        Raise ExpressionError or ValueError (a path).
        """
        self._route = route
        self._sources: dict[str, FieldMapping] = {}
        self._reads: dict[str, list[_Field]] = {}
        for parameter, source in sources.items():
            if isinstance(source, FromPaths | AllPaths | FromExpression):
                self._sources[parameter] = source
                self._reads[parameter] = fields_of_source(source)

        self._of = 0
        self._found = dict.fromkeys(self._sources, 0)
        self._rows_left = _ROWS
        # The fields that were seen, and whether they hold a value (and no object).
        self._seen: dict[_Field, bool] = {}

    def took(self, rows: Sequence[Row]) -> None:
        """Count rows; their columns have been counted already."""
        self._of += len(rows)
        if self._rows_left and 0 in self._found.values():
            for row in islice(rows, min(_ROWS_OF_CHUNK, self._rows_left)):
                self._rows_left -= 1
                self._see(row)

    def found(self, parameter: str, count: int) -> None:
        """Count values of a parameter."""
        if parameter in self._found:
            self._found[parameter] += count

    def results(self) -> list[Filled]:
        """Return the counts so far, in the order of the mapping."""
        results = []
        for parameter, found in self._found.items():
            nearest = "" if found or not self._of else self._nearest(parameter)
            source = self._sources[parameter]
            results.append(Filled(self._route, parameter, self._of, found, source, nearest))
        return results

    def _see(self, row: Row) -> None:
        roots: dict[str, Any] = {"event": row}
        if isinstance(row, Element):
            roots = {"event": row.event, "item": row.item}
        for root, value in roots.items():
            if isinstance(value, dict):
                for field, is_value in islice(_fields_in(value, (root,)), _NAMES):
                    if field in self._seen or len(self._seen) < _NAMES:
                        self._seen[field] = self._seen.get(field, False) or is_value

    def _nearest(self, parameter: str) -> str:
        taken: set[_Field] = set()
        for other, fields in self._reads.items():
            if other != parameter:
                taken.update(fields)
        candidates: dict[str, _Field] = {}
        for field, is_value in self._seen.items():
            if is_value and field not in taken:
                candidates.setdefault(_squashed(field), field)

        for field in self._reads[parameter]:
            if len(field) == 1 or field in self._seen:
                continue  # the whole event, or a field that is there and empty
            near = _near(field, candidates)
            if near:
                return _as_path(near)
        return ""


def count_present(values: Sequence[Any]) -> int:
    """Return how many raw values of a column are not absent."""
    if all(values):
        return len(values)  # which is known without a look at each of them in Python
    return len(values) - sum(map(is_absent, values))


def where(parameter: str, source: FieldMapping) -> str:
    """Return where an entry of a route's `map` looks, in words."""
    if isinstance(source, FromPaths | AllPaths):
        return ", ".join(source.paths)
    if isinstance(source, Constant):
        return f"the value of {parameter}"
    return f"the expression of {parameter}"


def _fields_in(data: Mapping[str, Any], above: _Field) -> Iterator[tuple[_Field, bool]]:
    """Yield the fields of an object whose names are plain, and whether each one holds a value."""
    for name, value in data.items():
        if not _is_plain(name):
            continue
        field = (*above, name)
        is_object = isinstance(value, dict)
        yield field, not is_object
        if is_object and len(field) <= _DEPTH:
            yield from _fields_in(value, field)


def _is_plain(name: object) -> bool:
    if not isinstance(name, str):
        return False  # a program's own dictionary
    return bool(_PLAIN.fullmatch(name)) and sum(map(str.isdigit, name)) <= _MOST_DIGITS


def _near(wanted: _Field, candidates: Mapping[str, _Field]) -> _Field | None:
    """Return the field whose name is nearest: but for case and signs, elsewhere, or misspelt."""
    squashed = _squashed(wanted)
    if squashed in candidates:
        return candidates[squashed]

    last = squashed.rpartition(".")[2]
    for name, field in candidates.items():
        if name.rpartition(".")[2] == last:
            return field

    close = get_close_matches(squashed, _as_deep(wanted, candidates), 1)
    return candidates[close[0]] if close else None


def _as_deep(wanted: _Field, candidates: Mapping[str, _Field]) -> list[str]:
    """Return the names of the candidates that start where the field does, and are as deep."""
    names = []
    for name, field in candidates.items():
        if field[0] == wanted[0] and len(field) == len(wanted):
            names.append(name)
    return names


def _squashed(field: _Field) -> str:
    """Return a field's names without case and signs: `E-Mail` is `email`."""
    names = []
    for name in field[1:]:
        letters = "".join(filter(str.isalnum, name))
        names.append(letters.casefold())
    return ".".join(names)


def _as_path(field: _Field) -> str:
    """Return a field as it is written in a mapping."""
    root, first, *rest = field
    return ".".join([first, *rest] if root == "event" else [root, first, *rest])

"""Fill: how many of the rows that a route takes have a value for each mapped parameter.

It is counted on whole columns. Of a parameter that no row has, the nearest field is named.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from connector.connection.fields import Field, fields_of_source
from connector.connection.mapping import Row, is_absent
from connector.connection.model import (
    AllPaths,
    Constant,
    FieldMapping,
    FromExpression,
    FromPaths,
)
from connector.pipeline.field_names import FieldNames, as_path


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

    def __init__(
        self,
        route: str | None,
        sources: Mapping[str, FieldMapping],
        not_meant: Collection[Field] = (),
    ) -> None:
        """`route` and its `map`; for the ids of events None and what stands for a mapping.

        `not_meant`: fields that are never named as the nearest.
        Raise ExpressionError or ValueError (a path).
        """
        self._route = route
        self._route_map = sources
        self._sources: dict[str, FieldMapping] = {}
        self._reads: dict[str, list[Field]] = {}
        for parameter, source in sources.items():
            self._add(parameter, source)
            if source.country is not None:
                self._add(country_of(parameter), source.country)

        self._of = 0
        self._found = dict.fromkeys(self._sources, 0)
        self._names = FieldNames()
        self._not_meant = not_meant

    def _add(self, parameter: str, source: FieldMapping) -> None:
        if isinstance(source, FromPaths | AllPaths | FromExpression):
            self._sources[parameter] = source
            self._reads[parameter] = fields_of_source(source)

    def took(self, rows: Sequence[Row]) -> None:
        """Count rows; their columns have been counted already."""
        self._of += len(rows)
        if 0 in self._found.values():
            self._names.see(rows)

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

    def _nearest(self, parameter: str) -> str:
        taken: set[Field] = set()
        if parameter in self._route_map:  # what is no entry of its own may read what others read
            for other, fields in self._reads.items():
                if other != parameter:
                    taken.update(fields)

        for field in self._reads[parameter]:
            near = self._names.nearest(field, taken)
            if near and near not in self._not_meant:
                return as_path(near)
        return ""


def country_of(parameter: str) -> str:
    """Return what the `country` of a parameter's entry is called among the parameters."""
    return f"{parameter}.country"


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

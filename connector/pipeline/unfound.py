"""Unfound: what a route's `when` or `each` reads, no row has, and is probably misspelt.

That alone is no mistake: an event need not have every field. It is one where a field of nearly the
same name is there. The usual route has all that it reads in its first chunk, and costs no more.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from connector.connection.fields import Field
from connector.connection.mapping import Row, compile_field
from connector.pipeline.field_names import FieldNames


class Unfound:
    """The fields that one member of a route reads and that no row has had so far."""

    def __init__(
        self, member: str, fields: Iterable[Field], taken: Collection[Field], *, each: bool
    ) -> None:
        """`member`: when or each. `taken`: what the route's `map` reads, which is not meant.

        each: whether the rows are elements.
        """
        self._member = member
        own = dict.fromkeys(field for field in fields if len(field) > 1)
        self._left = {field: compile_field(field, each=each) for field in own}
        self._taken = {*own, *taken}
        self._rows = 0
        self._names = FieldNames()

    def saw(self, rows: Sequence[Row]) -> None:
        """Look for the fields in rows."""
        if not self._left:
            return

        self._rows += len(rows)
        for field, get in list(self._left.items()):
            values = get(rows)
            if values.count(None) < len(values):
                del self._left[field]

        if self._left and not self._names.are_enough():
            self._names.see(rows)
            if self._names.are_enough():
                self._left = {field: self._left[field] for field, _ in self._nearest()}

    def doubts(self) -> list[str]:
        """Return what is probably misspelt, in words."""
        words = []
        for field, near in self._nearest():
            words.append(
                f"'{self._member}' reads {_written(field)}, found in 0 of {self._rows:,}; "
                f"did you mean '{_written(near)}'?"
            )
        return words

    def _nearest(self) -> list[tuple[Field, Field]]:
        """Return the fields that are left and have a near one, with that."""
        pairs = []
        for field in self._left:
            near = self._names.nearest(field, self._taken)
            if near:
                pairs.append((field, near))
        return pairs


def _written(field: Field) -> str:
    return ".".join(field)

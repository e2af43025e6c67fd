"""Assembly: from people's identifiers, a column for each parameter, to their records.

This is the hot path too. What can be known for the present identifiers is in the shape, so a column
of people who all have the same identifiers is rendered in one go.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from typing import NamedTuple

from connector.model import EventId, Record, Rejection, Result, Target
from connector.pipeline.columns import Cell, IdentifierColumn
from connector.pipeline.dropped import Dropped, DroppedValue
from connector.pipeline.shapes import Shapes
from connector.pipeline.splitting import NO_IDENTIFIER, NO_IDENTIFIER_REASON, Prepared
from connector.templating.template import RenderError

_Texts = tuple[str, ...]

_ONLY_TEXTS = {str}
_ONLY_ABSENT = {type(None)}


class Cells(NamedTuple):
    """The identified values of one parameter, a cell for each person, and the cells' types."""

    column: IdentifierColumn
    cells: Sequence[Cell]
    types: set[type]


class Row(NamedTuple):
    """What a record has besides its person. `prepared_at`: seconds since the epoch."""

    target: Target
    event_id: EventId
    prepared_at: float


class Rows(NamedTuple):
    """The rows of many people, a column for each member of `Row`."""

    targets: Sequence[Target]
    event_ids: Sequence[EventId]
    prepared_at: float

    def one_by_one(self) -> Iterator[Row]:
        """Yield the row of each person."""
        return map(Row, self.targets, self.event_ids, repeat(self.prepared_at))


class Assembler:
    """Assembles the records of one route.

    `dropped` counts dropped identifier values by (parameter, reason); `lost` has each one of them
    until the caller clears it.
    """

    def __init__(self, route: str, shapes: Shapes, none_present: str) -> None:
        """`none_present` is the reason of a rejection when a person has no value at all."""
        self.dropped: Counter[tuple[str, str]] = Counter()
        self.lost: list[DroppedValue] = []
        self._route = route
        self._shapes = shapes
        self._none_present = none_present

    def assemble(self, columns: Sequence[Cells], rows: Rows) -> Iterable[Prepared]:
        """Return what becomes of each person."""
        names: list[str] = []
        present: list[Sequence[Cell]] = []
        only_texts = True
        for column, cells, types in columns:
            if types == _ONLY_ABSENT:
                continue  # nobody has it: it is no part of the shape
            names.append(column.parameter)
            present.append(cells)
            only_texts = only_texts and types == _ONLY_TEXTS

        if not present:
            nothing: Iterable[tuple[Cell, ...]] = repeat((), len(rows.targets))
            return map(self._assemble_one, nothing, repeat(()), rows.one_by_one())

        people = zip(*present, strict=True)
        if only_texts:
            # Nothing is absent, dropped or a list: everybody has the same identifiers.
            return self._assemble_alike(list(people), tuple(names), rows)
        return map(self._assemble_one, people, repeat(tuple(names)), rows.one_by_one())

    def _assemble_alike(
        self, people: list[_Texts], names: _Texts, rows: Rows
    ) -> Iterable[Prepared]:
        """Assemble people who have one value for each of the same parameters.

        To render them in one go, where they share a shape, saves a quarter of the time that mapping
        takes. If anything is wrong with one of them, they are assembled one by one instead.
        """
        one_by_one = map(self._split, people, repeat(names), rows.one_by_one())
        targets = set(rows.targets)
        if len(targets) > 1 and self._shapes.differ_by_target:
            return one_by_one

        shape = self._shapes.shape(names, rows.targets[0])
        if not shape.single or shape.error or shape.only_companions:
            return one_by_one

        try:
            items = shape.render(people)
        except RenderError:
            return one_by_one
        if max(map(len, items)) > min(target.room for target in targets):
            return one_by_one

        ids: Iterable[_Texts] = people
        if shape.identifying is not None:
            ids = map(shape.ids, people)

        # In the order of Record's fields.
        fields = zip(
            rows.targets,
            ids,
            repeat(shape.naming),
            items,
            rows.event_ids,
            repeat(rows.prepared_at),
            repeat(shape.companions),
            strict=False,  # what is repeated has no end
        )
        return map(Record._make, fields)

    def _assemble_one(self, cells: Sequence[Cell], names: _Texts, row: Row) -> Prepared:
        """Assemble a person of whom some cells may be absent, dropped or lists."""
        values: list[str] = []
        names_of_values: list[str] = []
        reasons: dict[str, None] = {}
        for name, cell in zip(names, cells, strict=True):
            for value in cell if isinstance(cell, list) else (cell,):
                if isinstance(value, str):
                    values.append(value)
                    names_of_values.append(name)
                elif isinstance(value, Dropped):
                    self.dropped[name, value.reason] += 1
                    lost = DroppedValue(row.event_id, self._route, name, *value)
                    self.lost.append(lost)
                    detail = f" ({value.detail})" if value.detail else ""
                    reasons[f"{name} {value.reason}{detail}"] = None

        if not values:
            reason = ", ".join(reasons) or self._none_present
            return self._reject_unidentified(row, reason)
        return self._split(tuple(values), tuple(names_of_values), row)

    def _split(self, values: _Texts, names: _Texts, row: Row) -> Prepared:
        """Return a person's record; a list of records where one cannot hold all values."""
        shape = self._shapes.shape(names, row.target)
        if shape.single:
            return self._record(values, names, row)

        # A list, or two parameters of one wire key, may bring the same value twice.
        values, names = _without_duplicates(values, names, shape.wires)
        pieces = self._shapes.pieces(names)
        if len(pieces) == 1:
            return self._record(values, names, row)

        records: list[Result] = []
        for positions in pieces:
            values_of_piece = tuple(map(values.__getitem__, positions))
            names_of_piece = tuple(map(names.__getitem__, positions))
            records.append(self._record(values_of_piece, names_of_piece, row))
        return records

    def _record(self, values: _Texts, names: _Texts, row: Row) -> Result:
        """Return the record that holds these values, or why it cannot be sent."""
        target, event_id, prepared_at = row
        shape = self._shapes.shape(names, target)
        if shape.error:
            return self._reject(event_id, "missing_parameter", shape.error)

        if shape.only_companions:
            companions = ", ".join(dict.fromkeys(names))
            reason = f"{companions} cannot identify a person without another identifier"
            return self._reject_unidentified(row, reason)

        try:
            [item] = shape.render([values])
        except RenderError as error:
            return self._reject(event_id, "template_failed", str(error))

        if len(item) > target.room:
            reason = "the record alone exceeds the vendor's cap in bytes"
            return self._reject(event_id, "too_large", reason)

        return Record(
            target=target,
            ids=shape.ids(values),
            wires=shape.naming,
            item=item,
            event_id=event_id,
            prepared_at=prepared_at,
            companions=shape.companions,
        )

    def _reject(self, event_id: EventId, code: str, reason: str) -> Rejection:
        return Rejection(self._route, event_id, code, reason)

    def _reject_unidentified(self, row: Row, reason: str) -> Rejection:
        return self._reject(row.event_id, NO_IDENTIFIER, NO_IDENTIFIER_REASON + reason)


def _without_duplicates(values: _Texts, names: _Texts, wires: _Texts) -> tuple[_Texts, _Texts]:
    """Return values and their names with equal values of one wire key once."""
    name_of: dict[tuple[str, str], str] = {}
    for wire, value, name in zip(wires, values, names, strict=True):
        name_of.setdefault((wire, value), name)

    unique = tuple(value for _, value in name_of)
    return unique, tuple(name_of.values())

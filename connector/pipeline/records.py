"""Records: events and a route become people's records, normalised, hashed and rendered.

This is the hot path. What can be known for the connection is compiled, what can be known for equal parameters is in the
target, what can be known for the present identifiers is in the shape. The rest is done a column at a time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import repeat
from pathlib import Path
from typing import Any, NamedTuple

from connector.connection.mapping import compile_columns, compile_when
from connector.connection.model import FieldMapping, FromPaths, Route
from connector.model import Event, Record, Rejection, Result, Target
from connector.pipeline.columns import Cell, IdentifierColumn, identifier_columns
from connector.pipeline.dropped import Dropped
from connector.pipeline.presence import compile_presence, names_with_value
from connector.pipeline.request_builder import RequestBuilder
from connector.pipeline.shapes import Shapes
from connector.pipeline.splitting import NOBODY, NOBODY_REASON, NONE_PRESENT, Prepared, together
from connector.pipeline.targets import NoTarget, Resolved, Targets
from connector.templating.expressions import ExpressionError
from connector.templating.template import RenderError

_IdentifiedColumn = tuple[IdentifierColumn, Sequence[Cell]]
_EventIds = Sequence[int | str]
_Positions = Sequence[int]
_Texts = tuple[str, ...]

_ONLY_TEXTS = {str}
_ONLY_ABSENT = {type(None)}


class _Row(NamedTuple):
    """What a record has besides its person."""

    target: Target
    event_id: int | str
    prepared_at: float


class _Rows(NamedTuple):
    """What some records have besides their people. `prepared_at`: seconds since the epoch."""

    targets: Sequence[Target]
    event_ids: _EventIds
    prepared_at: float

    def one_by_one(self) -> Iterator[_Row]:
        return map(_Row, self.targets, self.event_ids, repeat(self.prepared_at))


class Preparer:
    """Prepares the records of one route, many events at a time.

    `dropped` counts dropped identifier values by (parameter, reason).
    """

    def __init__(
        self, route: Route, builder: RequestBuilder, templates: Path, settings: Mapping[str, Any]
    ) -> None:
        """Raise ExpressionError, ValueError (a path), RenderError or OSError for what lint would refuse."""
        action = route.action
        self.name = route.name
        self.dropped: Counter[tuple[str, str]] = Counter()
        self._when = compile_when(route.when, settings)
        self._targets = Targets(route.name, action, builder, route.map, settings)

        self._identifiers = identifier_columns(action, route.map)
        sources = [route.map[identifier.parameter] for identifier in self._identifiers]
        self._raw_columns = compile_columns(sources, settings)
        self._flags = list(dict.fromkeys(one.flag for one in self._identifiers if one.flag))
        self._none_present = f"{NONE_PRESENT}; looked in {', '.join(map(_paths, sources))}"

        self._split = action.split
        self._wires = action.wires
        presence = compile_presence(action)
        # A person who is split has to be complete as a whole, whatever its records have.
        self._presence_of_person = presence if action.split else None
        presence_of_record = None if action.split else presence
        self._shapes = Shapes(action, templates, settings, presence_of_record)

    def prepare(self, events: Sequence[Event], event_ids: _EventIds, now: float) -> list[Prepared]:
        """Return for each event its record, why there is none, or None when the route does not take it.

        `now`: seconds since the epoch.
        """
        prepared: list[Prepared] = [None] * len(events)
        data = [event.data for event in events]

        positions = self._taken(data, event_ids, prepared)
        taken = data if len(positions) == len(data) else [data[i] for i in positions]
        resolved = self._targets.resolve(taken, now)
        positions, targets = self._with_target(positions, resolved, event_ids, prepared)

        for positions_alike, targets_alike in self._by_flags(positions, targets):
            if len(positions_alike) == len(events):
                # The usual chunk; nothing has to be picked out of it.
                return list(self._records(data, _Rows(targets_alike, event_ids, now)))

            rows = _Rows(targets_alike, [event_ids[i] for i in positions_alike], now)
            records = self._records([data[i] for i in positions_alike], rows)
            for position, record in zip(positions_alike, records, strict=True):
                prepared[position] = record
        return prepared

    def _taken(
        self, data: list[dict[str, Any]], event_ids: _EventIds, prepared: list[Prepared]
    ) -> _Positions:
        """Return the positions of the events that `when` takes; reject those on which it fails."""
        when = self._when
        if when is None:
            return range(len(data))

        taken = []
        for position, event in enumerate(data):
            try:
                if when(event):
                    taken.append(position)
            except ExpressionError as error:
                event_id = event_ids[position]
                prepared[position] = self._reject(event_id, "expression_failed", str(error))
        return taken

    def _with_target(
        self,
        positions: _Positions,
        resolved: list[Resolved],
        event_ids: _EventIds,
        prepared: list[Prepared],
    ) -> tuple[_Positions, list[Target]]:
        """Reject the events that have no target; return the positions and targets of the others."""
        if NoTarget not in set(map(type, resolved)):
            return positions, resolved  # type: ignore[return-value]  # all are targets

        kept: list[int] = []
        targets: list[Target] = []
        for position, target in zip(positions, resolved, strict=True):
            if isinstance(target, NoTarget):
                event_id = event_ids[position]
                prepared[position] = self._reject(event_id, target.code, target.reason)
            else:
                kept.append(position)
                targets.append(target)
        return kept, targets

    def _by_flags(
        self, positions: _Positions, targets: list[Target]
    ) -> Iterator[tuple[_Positions, list[Target]]]:
        """Yield positions and targets of the events whose identifiers are digests, or plain, alike."""
        flags_of = {}
        for target in set(targets):
            flags_of[target] = tuple(map(target.params.get, self._flags))
        if len(set(flags_of.values())) == 1:
            yield positions, targets
            return

        groups: dict[tuple[Any, ...], tuple[list[int], list[Target]]] = {}
        for position, target in zip(positions, targets, strict=True):
            positions_alike, targets_alike = groups.setdefault(flags_of[target], ([], []))
            positions_alike.append(position)
            targets_alike.append(target)
        yield from groups.values()

    def _records(self, data: list[dict[str, Any]], rows: _Rows) -> Iterable[Prepared]:
        """Make the records of events whose flags are equal."""
        params = rows.targets[0].params
        columns: list[_IdentifiedColumn] = []
        for identifier, raws in zip(self._identifiers, self._raw_columns(data), strict=True):
            columns.append((identifier, identifier.cells(raws, params)))

        if self._split is None:
            return self._assemble(columns, rows)

        parts = []
        for part, wires in enumerate(self._split.parts.values() or [self._wires]):
            columns_of_part = [column for column in columns if column[0].wire in wires]
            rows_of_part = rows
            if self._split.name:
                rows_of_part = rows._replace(
                    targets=[target.parts[part] for target in rows.targets]
                )
            parts.append(self._assemble(columns_of_part, rows_of_part))

        if self._presence_of_person is None:
            return parts[0] if len(parts) == 1 else map(together, *parts)

        cells_of_people = zip(*(cells for _, cells in columns), strict=True)
        return map(self._complete, map(together, *parts), cells_of_people, rows.targets)

    def _complete(
        self, person: list[Result] | Rejection, cells: Sequence[Cell], target: Target
    ) -> list[Result] | Rejection:
        """Return the records of a person who is split, or reject them where something is missing that is required."""
        if isinstance(person, Rejection) or self._presence_of_person is None:
            return person

        present = []
        for identifier, cell in zip(self._identifiers, cells, strict=True):
            if _is_usable(cell):
                present.append(identifier.parameter)

        missing = self._presence_of_person((*present, *names_with_value(target.params)))
        if missing:
            return self._reject(person[0].event_id, "missing_parameter", missing)
        return person

    def _assemble(self, columns: list[_IdentifiedColumn], rows: _Rows) -> Iterable[Prepared]:
        """Make a record of each row of these columns."""
        names: list[str] = []
        present: list[Sequence[Cell]] = []
        only_texts = True
        for identifier, cells in columns:
            types = set(map(type, cells))
            if types == _ONLY_ABSENT:
                continue
            names.append(identifier.parameter)
            present.append(cells)
            only_texts = only_texts and types == _ONLY_TEXTS

        if not present:
            no_cells: Iterable[tuple[Cell, ...]] = repeat((), len(rows.targets))
            return map(self._gather, no_cells, repeat(()), rows.one_by_one())

        people = zip(*present, strict=True)
        if only_texts:
            return self._finish_all(list(people), tuple(names), rows)
        return map(self._gather, people, repeat(tuple(names)), rows.one_by_one())

    def _gather(self, cells: Sequence[Cell], names: _Texts, row: _Row) -> Prepared:
        """Make a record of cells of which some are absent, dropped or lists."""
        ids: list[str] = []
        present: list[str] = []
        reasons: list[str] = []
        for name, cell in zip(names, cells, strict=True):
            for value in cell if isinstance(cell, list) else (cell,):
                if isinstance(value, str):
                    ids.append(value)
                    present.append(name)
                elif isinstance(value, Dropped):
                    self.dropped[name, value.reason] += 1
                    reasons.append(f"{name} {value.reason}")

        if ids:
            return self._finish(tuple(ids), tuple(present), row)
        return self._nobody(row, ", ".join(dict.fromkeys(reasons)) or self._none_present)

    def _finish_all(self, ids: list[_Texts], names: _Texts, rows: _Rows) -> Iterable[Prepared]:
        """Finish records that have values for the same parameters; in one go when they share a shape.

        In one go saves a quarter of the time that mapping takes.
        """
        one_by_one = map(self._finish, ids, repeat(names), rows.one_by_one())
        targets = set(rows.targets)
        if len(targets) > 1 and self._shapes.differ_by_target:
            return one_by_one

        shape = self._shapes.shape(names, rows.targets[0])
        if not shape.single or shape.error or shape.names_nobody:
            return one_by_one
        try:
            items = shape.render(ids)
        except RenderError:
            return one_by_one
        if max(map(len, items)) > min(target.room for target in targets):
            return one_by_one

        fields = zip(
            rows.targets,
            ids if shape.naming is None else map(shape.naming_only, ids),
            repeat(shape.naming_only(shape.wires)),
            items,
            rows.event_ids,
            repeat(rows.prepared_at),
            repeat(shape.companions),
            strict=False,  # what is repeated has no end
        )
        return map(Record._make, fields)

    def _finish(self, ids: _Texts, names: _Texts, row: _Row) -> Prepared:
        """Make the record of a person, or several where people are split."""
        shape = self._shapes.shape(names, row.target)
        if shape.single:
            return self._finish_one(ids, names, row)

        ids, names = _without_duplicates(ids, names, shape.wires)
        pieces = self._shapes.pieces(names)
        if len(pieces) == 1:
            return self._finish_one(ids, names, row)

        records = []
        for positions in pieces:
            ids_of_piece = tuple(ids[i] for i in positions)
            names_of_piece = tuple(names[i] for i in positions)
            records.append(self._finish_one(ids_of_piece, names_of_piece, row))
        return records

    def _finish_one(self, ids: _Texts, names: _Texts, row: _Row) -> Result:
        shape = self._shapes.shape(names, row.target)
        if shape.error:
            return self._reject(row.event_id, "missing_parameter", shape.error)
        if shape.names_nobody:
            companions = ", ".join(dict.fromkeys(names))
            return self._nobody(row, f"{companions} names nobody without another identifier")

        try:
            [item] = shape.render([ids])
        except RenderError as error:
            return self._reject(row.event_id, "template_failed", str(error))

        if len(item) > row.target.room:
            reason = "the record alone is over the vendor's cap of bytes"
            return self._reject(row.event_id, "too_large", reason)

        return Record(
            row.target,
            shape.naming_only(ids),
            shape.naming_only(shape.wires),
            item,
            row.event_id,
            row.prepared_at,
            shape.companions,
        )

    def _reject(self, event_id: int | str, code: str, reason: str) -> Rejection:
        return Rejection(self.name, event_id, code, reason)

    def _nobody(self, row: _Row, why: str) -> Rejection:
        return self._reject(row.event_id, NOBODY, NOBODY_REASON + why)


def _is_usable(cell: Cell) -> bool:
    if isinstance(cell, list):
        return any(isinstance(value, str) for value in cell)
    return isinstance(cell, str)


def _paths(source: FieldMapping) -> str:
    """Return where an entry of a route's `map` looks."""
    return ", ".join(source.paths) if isinstance(source, FromPaths) else "an expression"


def _without_duplicates(ids: _Texts, names: _Texts, wires: _Texts) -> tuple[_Texts, _Texts]:
    """Return ids and names with equal values of one wire key once."""
    name_of: dict[tuple[str, str], str] = {}
    for wire, value, name in zip(wires, ids, names, strict=True):
        name_of.setdefault((wire, value), name)
    return tuple(value for _, value in name_of), tuple(name_of.values())

"""Records: one route turns rows into people's records, normalised, hashed and rendered.

A row is an event's data, or on a route with `each` an element of its list.

    rows ──when──▶ those it takes ──targets──▶ where each goes ──columns──▶ identifiers
           ──assembly──▶ records

This is the hot path. What can be known for the connection is compiled, what can be known for equal
parameters is in the target, and the rest is done for many events at a time, column by column.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from connector.connection.fields import Field, fields_of_expression, fields_of_map
from connector.connection.mapping import Row, compile_column, compile_when
from connector.connection.model import Route
from connector.model import EventId, Record, Rejection, Result, Target
from connector.pipeline.assembly import Assembler, Cells, Rows
from connector.pipeline.audiences import Audiences, StandIns
from connector.pipeline.columns import identifier_columns, is_usable
from connector.pipeline.dropped import DroppedValue
from connector.pipeline.fill import Fill, count_present, country_of, where
from connector.pipeline.in_vain import InVain
from connector.pipeline.preference import preference
from connector.pipeline.presence import CheckPresence, compile_presence, names_with_value
from connector.pipeline.request_builder import RequestBuilder
from connector.pipeline.shapes import Shapes
from connector.pipeline.shared_ids import SharedIds
from connector.pipeline.spelling import Spelling
from connector.pipeline.splitting import NONE_PRESENT, Prepared, together
from connector.pipeline.targets import NoTarget, Resolved, Targets
from connector.pipeline.unfound import Unfound
from connector.templating.data import ExpressionError

_Positions = Sequence[int]

#: Rows that have no record: their positions, each with the reason.
_Failures = list[tuple[int, NoTarget]]

_Value = TypeVar("_Value")

_ABSENT = type(None)


class Preparer:
    """Prepares the records of one route, many rows at a time."""

    def __init__(
        self,
        route: Route,
        builder: RequestBuilder,
        templates: Path,
        settings: Mapping[str, Any],
        audiences: Audiences,
        meant: Collection[tuple[Field, str]] = (),
    ) -> None:
        """Compile a route. `meant`: see `Spelling`.

        Raise ExpressionError, ValueError (a path), RenderError or OSError for what lint refuses.
        """
        action = route.action
        each = route.each is not None
        self._route = route.name
        self._when = compile_when(route.when, settings, each=each)
        reads = fields_of_expression(route.when) if route.when else []
        self._unfound = Unfound("when", reads, fields_of_map(route), each=each)
        self._spelling = Spelling(route, meant)
        #: Counts the rows that have a value of each parameter.
        self.fill = Fill(route.name, route.map)
        self._targets = Targets(
            route, builder, settings, self.fill, audiences, self._becomes_record
        )
        # Made when it is needed; nobody reads what it counts.
        self._trial: Preparer | None = None
        self._make_trial = partial(
            Preparer, replace(route, when=None), builder, templates, settings, StandIns()
        )

        self._columns = identifier_columns(action, route, settings)
        sources = [route.map[column.parameter] for column in self._columns]
        self._getters = [compile_column(source, settings, each=each) for source in sources]
        flags = [column.flag for column in self._columns if column.flag]
        self._flags = tuple(dict.fromkeys(flags))
        mapped = {column.parameter for column in self._columns}
        self._shared_ids = SharedIds([one for one in action.identifiers if one.parameter in mapped])

        self._preference = preference(action, settings)
        #: What the route does in vain.
        self.in_vain = InVain([column.parameter for column in self._columns])

        self._split = action.split
        # Without named parts, all identifiers stand together.
        self._parts = [action.wires]
        if action.split and action.split.parts:
            self._parts = list(action.split.parts.values())

        presence = compile_presence(action)
        # A person who is split has to be complete as a whole, whatever each record has.
        self._presence_of_person = presence if action.split else None
        presence_of_record = None if action.split else presence

        shapes = Shapes(action, templates, settings, presence_of_record)
        looked_in = []
        for column, source in zip(self._columns, sources, strict=True):
            looked_in.append(where(column.parameter, source))
        none_present = f"{NONE_PRESENT}; looked in {', '.join(looked_in)}"
        self._assembler = Assembler(route.name, shapes, none_present)

    @property
    def dropped(self) -> Counter[tuple[str, str]]:
        """How many identifier values were dropped, by (parameter, reason)."""
        return self._assembler.dropped

    @property
    def lost(self) -> list[DroppedValue]:
        """Each identifier value that was dropped since the caller cleared the list."""
        return self._assembler.lost

    @property
    def hints(self) -> list[str]:
        """What `when` may read wrongly, in words, without values."""
        return [*self._unfound.doubts(), *self._spelling.doubts()]

    @property
    def doubts(self) -> list[str]:
        """What else is probably a mistake, though nothing failed: in words, without values."""
        return [
            *self.in_vain.all_dropped(self.dropped),
            *self._shared_ids.doubts(),
        ]

    def prepare(
        self, data: Sequence[Row], event_ids: Sequence[EventId], now: float
    ) -> list[Prepared]:
        """Return the result of each row: its record, the reason for a rejection, or None.

        None for a row that the route does not take. `now`: seconds since the epoch.
        """
        prepared: list[Prepared] = [None] * len(data)

        self._unfound.saw(data)
        positions, failures = apply_when(self._when, data)
        self._spelling.saw(data, positions)
        self.in_vain.took(len(data), len(positions) + len(failures))
        taken = pick(data, positions)
        resolved = self._targets.resolve(taken, now)
        positions, targets, without_target = _with_target(positions, resolved)
        self._count_refused(data, without_target)

        for position, why in (*failures, *without_target):
            prepared[position] = Rejection(self._route, event_ids[position], *why)

        # Almost always there is one group, and it is the whole chunk.
        for alike, targets_alike in self._by_flags(positions, targets):
            rows = Rows(targets_alike, pick(event_ids, alike), now)
            records = self._records(pick(data, alike), rows)
            if len(alike) == len(data):
                prepared = list(records)
                break
            for position, record in zip(alike, records, strict=True):
                prepared[position] = record
        self.fill.took(taken)
        return prepared

    def _becomes_record(self, row: Row, now: float) -> bool:
        """Return whether a row becomes a record, if the audience that it names is there."""
        if self._trial is None:
            self._trial = self._make_trial()
        [prepared] = self._trial.prepare([row], [0], now)
        self._trial.lost.clear()
        results = prepared if isinstance(prepared, list) else [prepared]
        return any(isinstance(one, Record) for one in results)

    def _values(self, rows: Sequence[Row]) -> list[list[Any]]:
        """Return the raw values of each column."""
        return [get(rows) for get in self._getters]

    def _count_refused(self, data: Sequence[Row], refused: _Failures) -> None:
        """Count the identifiers of rows without a target, which are not identified."""
        if not refused:
            return
        rows = [data[position] for position, _why in refused]
        for column, values in zip(self._columns, self._values(rows), strict=True):
            self.fill.found(column.parameter, count_present(values))
            countries = column.countries(rows)
            self.fill.found(country_of(column.parameter), count_present(countries))

    def _by_flags(
        self, positions: _Positions, targets: list[Target]
    ) -> Iterable[tuple[_Positions, list[Target]]]:
        """Group events by their flags, which say whether identifiers are digests already."""
        flags_of: dict[Target, tuple[Any, ...]] = {}
        for target in set(targets):
            flags_of[target] = tuple(map(target.params.get, self._flags))
        if len(set(flags_of.values())) == 1:
            return [(positions, targets)]

        groups: dict[tuple[Any, ...], tuple[list[int], list[Target]]] = {}
        for position, target in zip(positions, targets, strict=True):
            alike, targets_alike = groups.setdefault(flags_of[target], ([], []))
            alike.append(position)
            targets_alike.append(target)
        return groups.values()

    def _records(self, data: Sequence[Row], rows: Rows) -> Iterable[Prepared]:
        """Return what becomes of events whose flags are equal."""
        # As far as flags go, the parameters of one target are those of all.
        params = rows.targets[0].params
        columns: list[Cells] = []
        for column, values in zip(self._columns, self._values(data), strict=True):
            countries = column.countries(data)
            self.fill.found(country_of(column.parameter), count_present(countries))
            cells = column.cells(values, params, countries)
            types = set(map(type, cells))
            absent = cells.count(None) if _ABSENT in types else 0
            self.fill.found(column.parameter, len(cells) - absent)
            columns.append(Cells(column, cells, types))
        self.in_vain.saw(columns)
        if self._preference is not None:
            columns = self._preference.apply(columns)
        self._shared_ids.saw(columns)

        if self._split is None:
            return self._assembler.assemble(columns, rows)
        return self._split_people(columns, rows)

    def _split_people(self, columns: list[Cells], rows: Rows) -> Iterable[Prepared]:
        """Return the records of each person, all parts together."""
        parts: list[Iterable[Prepared]] = []
        for number, wires in enumerate(self._parts):
            columns_of_part = [cells for cells in columns if cells.column.wire in wires]
            rows_of_part = rows
            if self._split and self._split.name:
                targets = [target.parts[number] for target in rows.targets]
                rows_of_part = rows._replace(targets=targets)
            parts.append(self._assembler.assemble(columns_of_part, rows_of_part))

        check = self._presence_of_person
        if check is not None:
            return self._complete_people(map(together, *parts), columns, rows.targets, check)
        if len(parts) == 1:
            return parts[0]
        return map(together, *parts)

    def _complete_people(
        self,
        people: Iterable[list[Result] | Rejection],
        columns: list[Cells],
        targets: Sequence[Target],
        check: CheckPresence,
    ) -> Iterator[Prepared]:
        """Yield people; reject those of whom a required parameter is missing."""
        cells_of_people = zip(*(cells.cells for cells in columns), strict=True)
        for person, cells, target in zip(people, cells_of_people, targets, strict=True):
            if isinstance(person, Rejection):
                yield person  # which says already that there is no identifier
                continue

            present = []
            for column, cell in zip(self._columns, cells, strict=True):
                if is_usable(cell):
                    present.append(column.parameter)
            present += names_with_value(target.params)

            missing = check(tuple(present))
            if missing:
                event_id = person[0].event_id
                yield Rejection(self._route, event_id, "missing_parameter", missing)
            else:
                yield person


def apply_when(
    when: Callable[[Any], bool] | None, data: Sequence[Row]
) -> tuple[_Positions, _Failures]:
    """Return the positions of the rows that `when` takes, and those on which it fails."""
    if when is None:
        return range(len(data)), []

    taken: list[int] = []
    failures: _Failures = []
    for position, row in enumerate(data):
        try:
            if when(row):
                taken.append(position)
        except ExpressionError as error:
            failures.append((position, NoTarget(error.code, str(error))))
    return taken, failures


def pick(values: Sequence[_Value], positions: _Positions) -> Sequence[_Value]:
    """Return the values at some positions, which are in order."""
    if len(positions) == len(values):
        return values  # it is all of them: nothing to copy
    return [values[position] for position in positions]


def _with_target(
    positions: _Positions, resolved: list[Resolved]
) -> tuple[_Positions, list[Target], _Failures]:
    """Return the positions and targets of the events that have a target, and those without."""
    if NoTarget not in set(map(type, resolved)):
        return positions, resolved, []  # type: ignore[return-value]  # all are targets

    kept: list[int] = []
    targets: list[Target] = []
    failures: _Failures = []
    for position, target in zip(positions, resolved, strict=True):
        if isinstance(target, NoTarget):
            failures.append((position, target))
        else:
            kept.append(position)
            targets.append(target)
    return kept, targets, failures

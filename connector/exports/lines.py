"""Lines: an export turns rows into the lines of its file, whole columns at a time.

A row is an event's data, or an element with `each`. A row gives a line for every combination of its
identifiers, those of one column in the order of the definition.

    rows ──when──▶ those it takes ──columns──▶ cells ──layout──▶ lines
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, product
from typing import Any

from connector.connection.fields import fields_of_expression, fields_of_map
from connector.connection.mapping import Row, compile_column, compile_when
from connector.connection.model import MappedExport
from connector.exports.layout import Layout
from connector.exports.parameters import ParameterColumn, Refused
from connector.model import EventId, Rejection
from connector.pipeline.assembly import Cells
from connector.pipeline.columns import Cell, identifier_columns
from connector.pipeline.dropped import Dropped, DroppedError, DroppedValue
from connector.pipeline.fill import Fill, count_present, country_of, where
from connector.pipeline.identifiers import Hash
from connector.pipeline.in_vain import InVain
from connector.pipeline.shared_ids import SharedIds
from connector.pipeline.spelling import Spelling
from connector.pipeline.splitting import NO_IDENTIFIER, NO_IDENTIFIER_REASON, NONE_PRESENT
from connector.pipeline.unfound import Unfound
from connector.templating.data import ExpressionError

#: What becomes of a row: its line, its lines, why it has none, or None when it is not taken.
Prepared = str | list[str] | Rejection | None

_ONLY_TEXTS = {str}


class LinePreparer:
    """Prepares the lines of one export, many rows at a time."""

    def __init__(
        self, mapped: MappedExport, settings: Mapping[str, Any], hashes: Mapping[str, Hash]
    ) -> None:
        """Compile an export. Raise ExpressionError or ValueError (a path) for what lint refuses."""
        export = mapped.export
        each = mapped.each is not None
        self._export = mapped.name
        self._when = compile_when(mapped.when, settings, each=each)
        reads = fields_of_expression(mapped.when) if mapped.when else []
        self._unfound = Unfound("when", reads, fields_of_map(mapped), each=each)
        self._spelling = Spelling(mapped)
        self._layout = Layout(export)
        #: Counts the rows that have a value of each parameter.
        self.fill = Fill(mapped.name, mapped.map)
        self.dropped: Counter[tuple[str, str]] = Counter()
        #: Each identifier value that was dropped since the caller cleared the list.
        self.lost: list[DroppedValue] = []

        self._identifiers = identifier_columns(export, mapped, settings, hashes)
        sources = [mapped.map[column.parameter] for column in self._identifiers]
        self._getters = [compile_column(source, settings, each=each) for source in sources]
        people = [one for one in export.identifiers if one.parameter in mapped.map]
        self._shared_ids = SharedIds(people)
        #: What the export does in vain.
        self.in_vain = InVain([one.parameter for one in people])
        self._is_plain = {}
        self._none_present: dict[str, str] = {}
        for identifier in export.identifiers:
            self._is_plain[identifier.parameter] = identifier.hash == "none"
        for wire in export.needed_wires:
            looked_in = []
            for column, source in zip(self._identifiers, sources, strict=True):
                if column.wire == wire:
                    looked_in.append(where(column.parameter, source))
            self._none_present[wire] = f"{NONE_PRESENT}; looked in {', '.join(looked_in)}"

        self._columns = _mapped_columns(self._layout.columns, mapped)
        self._parameters = {}
        for name in self._columns:
            if name not in export.wires:
                self._parameters[name] = ParameterColumn(
                    export.parameters[name],
                    mapped.map.get(name),
                    settings,
                    self._layout,
                    each=each,
                )

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
        self, data: Sequence[Row], event_ids: Sequence[EventId], now: float, /
    ) -> list[Prepared]:
        """Return what becomes of each row. `now`: seconds since the epoch."""
        self._unfound.saw(data)
        taken, prepared = self._apply_when(data, event_ids)
        if taken is None:
            lines = self._lines(data, event_ids, now)
            self.in_vain.took(len(data), len(data))
            self.fill.took(data)
            return lines

        self._spelling.saw(data, taken)
        refused = len(data) - prepared.count(None)
        self.in_vain.took(len(data), len(taken) + refused)
        rows = [data[position] for position in taken]
        ids = [event_ids[position] for position in taken]
        for position, line in zip(taken, self._lines(rows, ids, now), strict=True):
            prepared[position] = line
        self.fill.took(rows)
        return prepared

    def _apply_when(
        self, data: Sequence[Row], event_ids: Sequence[EventId]
    ) -> tuple[list[int] | None, list[Prepared]]:
        """Return the positions of the rows that are taken, None for all; and what is refused."""
        prepared: list[Prepared] = [None] * len(data)
        if self._when is None:
            return None, prepared

        taken = []
        for position, row in enumerate(data):
            try:
                if self._when(row):
                    taken.append(position)
            except ExpressionError as error:
                prepared[position] = self._reject(event_ids[position], error.code, str(error))
        return taken, prepared

    def _lines(
        self, rows: Sequence[Row], event_ids: Sequence[EventId], now: float
    ) -> list[Prepared]:
        """Return what becomes of rows that are taken."""
        if not rows:
            return []
        identified: dict[str, list[Cells]] = {}
        for column, get in zip(self._identifiers, self._getters, strict=True):
            countries = column.countries(rows)
            self.fill.found(country_of(column.parameter), count_present(countries))
            cells = column.cells(get(rows), {}, countries)
            self.fill.found(column.parameter, len(cells) - cells.count(None))
            if self._is_plain[column.parameter]:
                cells = self._as_cells(cells)
            of_wire = identified.setdefault(column.wire, [])
            of_wire.append(Cells(column, cells, set(map(type, cells))))
        columns = list(chain.from_iterable(identified.values()))
        self.in_vain.saw(columns)
        self._shared_ids.saw(columns)

        parameters = {}
        for name, parameter in self._parameters.items():
            parameters[name] = parameter.cells(rows, now, self.fill)

        alike = self._alike(identified, parameters)
        if alike is not None:
            return list(map(self._layout.join, zip(*alike, strict=True)))
        return list(self._one_by_one(identified, parameters, event_ids))

    def _alike(
        self,
        identified: Mapping[str, list[Cells]],
        parameters: Mapping[str, Sequence[Any]],
    ) -> list[Sequence[str]] | None:
        """Return the columns where each row has exactly one text in each, else None."""
        columns: list[Sequence[Any]] = []
        for name in self._columns:
            if name in parameters:
                cells: Sequence[Any] = parameters[name]
                types = set(map(type, cells))
            else:
                of_wire = identified.get(name, ())
                if len(of_wire) != 1:
                    return None
                [(_column, cells, types)] = of_wire
            if types != _ONLY_TEXTS:
                return None
            columns.append(cells)
        return columns

    def _one_by_one(
        self,
        identified: Mapping[str, list[Cells]],
        parameters: Mapping[str, Sequence[Any]],
        event_ids: Sequence[EventId],
    ) -> Iterator[Prepared]:
        """Yield what becomes of each row, where something is absent, dropped, or several."""
        shared = zip(*(parameters[name] for name in self._parameters), strict=True)
        rows_of_shared: Iterable[tuple[Any, ...]] = shared if parameters else [()] * len(event_ids)
        everything = list(chain.from_iterable(identified.values()))
        people = zip(*(one.cells for one in everything), strict=True)
        for event_id, person, cells in zip(event_ids, people, rows_of_shared, strict=True):
            refused = next((cell for cell in cells if isinstance(cell, Refused)), None)
            if refused:
                yield self._reject(event_id, *refused)
                continue
            by_wire = self._by_wire(everything, person, event_id)
            if isinstance(by_wire, Rejection):
                yield by_wire
            else:
                texts = dict(zip(self._parameters, cells, strict=True))
                yield self._combined(by_wire, texts)

    def _by_wire(
        self, identified: Sequence[Cells], person: Sequence[Cell], event_id: EventId
    ) -> dict[str, list[str]] | Rejection:
        """Return the values of a row by column, each once, or why it has no line."""
        values: dict[str, dict[str, None]] = {}
        reasons: dict[str, dict[str, None]] = {}
        for (column, _cells, _types), cell in zip(identified, person, strict=True):
            of_wire = values.setdefault(column.wire, {})
            for value in cell if isinstance(cell, list) else (cell,):
                if isinstance(value, str):
                    of_wire[value] = None
                elif isinstance(value, Dropped):
                    self._drop(event_id, column.parameter, value)
                    detail = f" ({value.detail})" if value.detail else ""
                    why = f"{column.parameter} {value.reason}{detail}"
                    reasons.setdefault(column.wire, {})[why] = None

        for wire, none_present in self._none_present.items():
            if not values[wire]:
                reason = ", ".join(reasons.get(wire, ())) or none_present
                return self._reject(event_id, NO_IDENTIFIER, NO_IDENTIFIER_REASON + reason)
        return {wire: list(of_wire) or [""] for wire, of_wire in values.items()}

    def _combined(
        self, by_wire: Mapping[str, list[str]], texts: Mapping[str, str]
    ) -> str | list[str]:
        """Return the line of a row, or one for each combination of its identifiers."""
        choices = [by_wire.get(name) or [texts.get(name, "")] for name in self._columns]
        lines = list(map(self._layout.join, product(*choices)))
        return lines[0] if len(lines) == 1 else lines

    def _as_cells(self, cells: Sequence[Cell]) -> Sequence[Cell]:
        """Return the values of an identifier that is not hashed as they are written."""
        if set(map(type, cells)) == _ONLY_TEXTS:
            written = self._layout.cells(cells)  # type: ignore[arg-type]  # all are texts
            if written is not None:
                return written
        return [self._as_cell(cell) for cell in cells]

    def _as_cell(self, cell: Cell) -> Cell:
        if isinstance(cell, list):
            return [self._as_cell(one) for one in cell]
        if not isinstance(cell, str):
            return cell
        try:
            return self._layout.cell(cell)
        except DroppedError as error:
            return Dropped(error.reason)

    def _drop(self, event_id: EventId, parameter: str, value: Dropped) -> None:
        self.dropped[parameter, value.reason] += 1
        self.lost.append(DroppedValue(event_id, self._export, parameter, *value))

    def _reject(self, event_id: EventId, code: str, reason: str) -> Rejection:
        return Rejection(self._export, event_id, code, reason)


def _mapped_columns(columns: Sequence[str], mapped: MappedExport) -> list[str]:
    """Return the columns of the file: all but those at the end that are not mapped.

    So every line has the same number of cells.
    """
    export = mapped.export
    names = list(columns)
    while names:
        parameters = export.of_wire(names[-1]) or [names[-1]]
        if export.parameters[parameters[0]].always_present or not mapped.map.keys().isdisjoint(
            parameters
        ):
            break
        names.pop()
    return names

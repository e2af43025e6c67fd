"""The columns of parameters that name no person, such as the id of the sender.

A value is checked once for all events that have it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from connector._util import times
from connector._util.words import is_placeholder
from connector.connection.mapping import Row, compile_column, is_absent
from connector.connection.model import AfterNow, Constant, FieldMapping
from connector.definitions.coercion import ParameterError, compile_parameter
from connector.definitions.model import Field, FromNow
from connector.exports.layout import Layout
from connector.pipeline.dropped import REASONS, DroppedError
from connector.pipeline.fill import Fill, count_present
from connector.templating.data import ExpressionError
from connector.templating.data import text as as_text

# So many different values are remembered.
_KEEP = 10_000


class Refused(NamedTuple):
    """Takes the place of a cell that cannot be written: why its row has no line."""

    code: str
    reason: str


#: A cell, "" for an absent value, or why there is none.
Cell = str | Refused


class ParameterColumn:
    """One parameter that names no person, for many rows at a time."""

    def __init__(
        self,
        field: Field,
        source: FieldMapping | None,
        settings: Mapping[str, Any],
        layout: Layout,
        *,
        each: bool,
    ) -> None:
        """`source` is None where it is not mapped. Raise ExpressionError or ValueError (a path)."""
        self.name = field.name
        self._field = field
        self._layout = layout
        self._coerce = compile_parameter(field.name, field.schema)
        self._is_constant = source is None or isinstance(source, Constant | AfterNow)
        source = source or Constant(None)
        self._values = compile_column(source, settings, each=each, words=field.allowed)
        self._known: dict[Any, Cell] = {}

    def cells(self, rows: Sequence[Row], now: float, fill: Fill) -> list[Cell]:
        """Return the cell of each row. `now`: seconds since the epoch. `fill` counts the values."""
        values = self._values(rows)
        if self._is_constant:
            return [self._cell(value, now) for value in values[:1]] * len(rows)

        fill.found(self.name, count_present(values))
        if len(self._known) > _KEEP:
            self._known.clear()
        cells = []
        for value in values:
            # True and 1 are equal, and different texts.
            key = (type(value), value) if isinstance(value, str | int) else None
            cell = self._known.get(key) if key else None
            if cell is None:
                cell = self._cell(value, now)
                if key:
                    self._known[key] = cell
            cells.append(cell)
        return cells

    def _cell(self, value: Any, now: float) -> Cell:
        if isinstance(value, ExpressionError):
            return Refused("invalid_parameter", f"{self.name} cannot be mapped: {value}")
        if isinstance(value, FromNow):
            value = times.plus(times.from_epoch(now), value.duration)
        if is_absent(value) or self._stands_for_none(value):
            value = self._field.default
            if value is None:
                return self._absent()
        try:
            return self._layout.cell(as_text(self._coerce(value)))
        except (ParameterError, ExpressionError) as error:
            return Refused("invalid_parameter", str(error))
        except DroppedError as error:
            return Refused("invalid_parameter", f"{self.name}: {REASONS[error.reason]}")

    def _absent(self) -> Cell:
        if self._field.required:
            return Refused("missing_parameter", f"{self.name} is required")
        return ""

    def _stands_for_none(self, value: Any) -> bool:
        """Return whether an event says a word for no value; a constant means what it says."""
        if self._is_constant or not isinstance(value, str):
            return False
        return is_placeholder(value) and value not in self._field.allowed

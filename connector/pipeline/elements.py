"""Elements: on a route with `each`, every element of a list becomes a record.

event ──list at `each`──▶ rows of (event, element) ──Preparer──▶ records, in the list's order
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from connector.connection.fields import field_of_path
from connector.connection.mapping import Element, compile_path, compile_when, is_absent
from connector.connection.model import Taking
from connector.model import EventId, ItemId, NamedEvent, Rejection
from connector.pipeline.dropped import DroppedValue
from connector.pipeline.fill import Fill
from connector.pipeline.in_vain import InVain
from connector.pipeline.unfound import Unfound
from connector.templating.data import ExpressionError, kind

#: So many elements are prepared at a time: memory does not grow with a list. Most events have few,
#: and share a slice.
SLICE = 10_000

_Data = Mapping[str, Any]


class RowPreparer(Protocol):
    """Prepares many rows at a time, and counts what it finds and drops."""

    @property
    def dropped(self) -> Counter[tuple[str, str]]:
        """How many identifier values were dropped, by (parameter, reason)."""

    @property
    def lost(self) -> list[DroppedValue]:
        """Each identifier value that was dropped since the caller cleared the list."""

    @property
    def fill(self) -> Fill:
        """Counts the rows that have a value of each parameter."""

    @property
    def in_vain(self) -> InVain:
        """What it does in vain."""

    @property
    def hints(self) -> list[str]:
        """What `when` or `each` may read wrongly, in words, without values."""

    @property
    def doubts(self) -> list[str]:
        """What else is probably a mistake, though nothing failed: in words, without values."""

    def prepare(self, data: Sequence[Any], event_ids: Sequence[Any], now: float, /) -> list[Any]:
        """Return what becomes of each row; None for one that is not taken."""


class EachPreparer:
    """Prepares what one route, or export, with `each` takes, many events at a time."""

    def __init__(self, route: Taking, preparer: RowPreparer, settings: Mapping[str, Any]) -> None:
        """Take what has `each`, and the preparer of its elements. Raise ValueError (a path)."""
        self._route = route.name
        self._path = route.each or ""
        self._find = compile_path(self._path)
        self._preparer = preparer
        self._unfound = Unfound("each", [field_of_path(self._path)], (), each=False)
        self._takes_event = _condition_on_event(route, settings)

    @property
    def dropped(self) -> Counter[tuple[str, str]]:
        """How many identifier values were dropped, by (parameter, reason)."""
        return self._preparer.dropped

    @property
    def lost(self) -> list[DroppedValue]:
        """Each identifier value that was dropped since the caller cleared the list."""
        return self._preparer.lost

    @property
    def in_vain(self) -> InVain:
        """What it does in vain, as the preparer of its elements."""
        return self._preparer.in_vain

    @property
    def fill(self) -> Fill:
        """Counts the elements that have a value of each parameter."""
        return self._preparer.fill

    @property
    def hints(self) -> list[str]:
        """What `when` or `each` may read wrongly."""
        return [*self._unfound.doubts(), *self._preparer.hints]

    @property
    def doubts(self) -> list[str]:
        """What else is probably a mistake, as of the preparer of its elements."""
        return self._preparer.doubts

    def count(self, event: _Data) -> int:
        """Return how many elements the event has for this route."""
        found = self._find(event)
        return len(found) if isinstance(found, list) else 1

    def prepare(
        self, data: Sequence[dict[str, Any]], event_ids: Sequence[int | NamedEvent], now: float
    ) -> list[Iterable[Any]]:
        """Return the results of each event's elements, in order; None where `when` takes one not.

        A list of more than `SLICE` elements is prepared while its results are read.
        """
        self._unfound.saw(data)
        lists = [self._elements(event) for event in data]
        rows: list[Element] = []
        ids: list[EventId] = []
        for event, event_id, elements in zip(data, event_ids, lists, strict=True):
            if elements is not None and len(elements) <= SLICE:
                _add_rows(event, event_id, elements, 0, rows, ids)
        records = iter(self._preparer.prepare(rows, ids, now))

        prepared: list[Iterable[Any]] = []
        for event, event_id, elements in zip(data, event_ids, lists, strict=True):
            if elements is None:
                reason = f"what is at '{self._path}' is {kind(self._find(event))} and no list"
                refused = self._refuse(event, event_id, "each_not_a_list", reason)
                prepared.append([refused])
            elif len(elements) <= SLICE:
                prepared.append(list(self._in_order(event, event_id, elements, 0, records)))
            else:
                prepared.append(self._in_slices(event, event_id, elements, now))
        return prepared

    def _elements(self, event: _Data) -> list[Any] | None:
        """Return the elements of an event, None when it has anything else there."""
        found = self._find(event)
        if is_absent(found):
            return []
        if isinstance(found, dict):
            return [found]
        return found if isinstance(found, list) else None

    def _in_slices(
        self, event: dict[str, Any], event_id: int | NamedEvent, elements: Sequence[Any], now: float
    ) -> Iterator[Any]:
        for start in range(0, len(elements), SLICE):
            part = elements[start : start + SLICE]
            rows: list[Element] = []
            ids: list[EventId] = []
            _add_rows(event, event_id, part, start, rows, ids)
            records = iter(self._preparer.prepare(rows, ids, now))
            yield from self._in_order(event, event_id, part, start, records)

    def _in_order(
        self,
        event: _Data,
        event_id: int | NamedEvent,
        elements: Sequence[Any],
        start: int,
        records: Iterator[Any],
    ) -> Iterator[Any]:
        """Yield what became of elements: the next record, or why there is none."""
        for index, element in enumerate(elements, start):
            if isinstance(element, list):
                reason = (
                    f"an element of '{self._path}' is a list; an object or one value is allowed"
                )
                item_id = ItemId(event_id, index)
                yield self._refuse(event, item_id, "item_not_allowed", reason)
            elif element is not None:
                yield next(records)

    def _refuse(self, event: _Data, event_id: EventId, code: str, reason: str) -> Rejection | None:
        """Return the rejection of what is no element; None when `when` does not take the event."""
        try:
            if not self._takes_event(event):
                return None
        except ExpressionError as error:
            return Rejection(self._route, event_id, error.code, str(error))
        return Rejection(self._route, event_id, code, reason)


def elements_of(event: dict[str, Any], path: str) -> Iterator[Element]:
    """Yield the elements that an event has at a path, whatever they are."""
    found = compile_path(path)(event)
    for item in found if isinstance(found, list) else [found]:
        yield Element(event, item)


def _add_rows(
    event: dict[str, Any],
    event_id: int | NamedEvent,
    elements: Sequence[Any],
    start: int,
    rows: list[Element],
    ids: list[EventId],
) -> None:
    """Add a row, and its id, for each element that can become a record."""
    for index, element in enumerate(elements, start):
        if element is not None and not isinstance(element, list):
            rows.append(Element(event, element))
            ids.append(ItemId(event_id, index))


def _condition_on_event(route: Taking, settings: Mapping[str, Any]) -> Callable[[Any], bool]:
    """Return the route's `when` if it reads nothing of the element, else what takes every event."""
    try:
        condition = compile_when(route.when, settings)
    except ExpressionError:
        condition = None  # it reads `item`
    return condition or (lambda event: True)

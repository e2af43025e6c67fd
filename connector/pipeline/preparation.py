"""Preparation: what routes, or an export, make of the events of a chunk, in the order of events.

Each preparer handles all rows of a chunk at once, because a column of values is prepared faster
than one value after the other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any

from connector.connection.fields import Field, fields_of_source
from connector.connection.mapping import compile_event_id, is_absent
from connector.connection.model import FromPaths, Taking
from connector.definitions.model import Identifier
from connector.model import Chunk, Event, NamedEvent, Rejection, Unreadable
from connector.pipeline.dropped import DroppedValue
from connector.pipeline.elements import SLICE, EachPreparer, RowPreparer
from connector.pipeline.fill import Fill, Filled
from connector.pipeline.in_vain import unused_routes
from connector.pipeline.opt_out import OptOutPreparer

#: Get an event's position without a Python frame for each event.
_position_of: Callable[[Event], int] = itemgetter(Event._fields.index("position"))


class Preparation:
    """Prepares events by several preparers, one after the other for each event."""

    def __init__(
        self,
        preparers: Sequence[RowPreparer],
        names: Sequence[str],
        event_id: str | None,
        people: Collection[Field],
    ) -> None:
        """`names`: what a person calls each preparer, such as `route add`.

        `people`: the fields that identify people, which no id of an event may be.
        """
        self._preparers = preparers
        self._names = names
        self._each = [one for one in preparers if isinstance(one, EachPreparer)]
        self._opt_outs = [one for one in preparers if isinstance(one, OptOutPreparer)]
        # An opt-out knows the audiences that the events before it named.
        self._prepared_in_turn = sorted(
            range(len(preparers)),
            key=lambda index: isinstance(preparers[index], OptOutPreparer),
        )
        self._event_id = compile_event_id(event_id) if event_id else None
        self._ids: Fill | None = None
        if event_id:
            self._ids = Fill(None, {"event_id": FromPaths((event_id,))}, people)

    @property
    def dropped(self) -> Counter[tuple[str, str]]:
        """How many identifier values were dropped, by (parameter, reason)."""
        total: Counter[tuple[str, str]] = Counter()
        for preparer in self._preparers:
            total.update(preparer.dropped)
        return total

    def take_dropped(self) -> list[DroppedValue]:
        """Return each identifier value that was dropped since this was called last."""
        taken: list[DroppedValue] = []
        for preparer in self._preparers:
            taken += preparer.lost
            preparer.lost.clear()
        return taken

    @property
    def fill(self) -> list[Filled]:
        """How many rows had a value of the `event_id`, and of each mapped parameter."""
        filled = self._ids.results() if self._ids else []
        for preparer in self._preparers:
            filled += preparer.fill.results()
        return filled

    @property
    def doubts(self) -> list[str]:
        """What the events make look like a mistake, though nothing failed, a line for each."""
        lines = []
        unused = list(unused_routes([preparer.in_vain for preparer in self._preparers]))
        for name, preparer in zip(self._names, self._preparers, strict=True):
            hints = preparer.hints
            lines += [f"{name}: {hint}" for hint in hints]
            if preparer.in_vain in unused:
                words = preparer.in_vain.nothing_taken(is_explained=bool(hints))
                lines.append(f"{name}: {words}")
            lines += [f"{name}: {doubt}" for doubt in preparer.doubts]
        return lines

    def prepare(self, chunk: Chunk, now: float) -> Iterable[Any]:
        """Return what becomes of the events, in order.

        None for an event that nothing takes. `now`: seconds since the epoch.
        """
        if not self._each and not self._opt_outs:
            return self._prepare(chunk, now)
        # Very much may become of an event: it is made while it is read.
        parts = (self._prepare(part, now) for part in self._parts_of(chunk, now))
        return chain.from_iterable(parts)

    def _parts_of(self, chunk: Chunk, now: float) -> Iterator[Chunk]:
        """Divide events so that each part has at most so many results, unless it is one event."""
        part: list[Event | Unreadable] = []
        size = 0
        for entry in chunk:
            count = 1
            if isinstance(entry, Event):
                count += sum(preparer.count(entry.data) for preparer in self._each)
                count += sum(preparer.count(entry.data, now) for preparer in self._opt_outs)
            if part and size + count > SLICE:
                yield part
                part, size = [], 0
            part.append(entry)
            size += count
        if part:
            yield part

    def _prepare(self, chunk: Chunk, now: float) -> Iterable[Any]:
        events = [entry for entry in chunk if isinstance(entry, Event)]
        data = [event.data for event in events]
        event_ids = self._event_ids(events, data)

        results: dict[int, Sequence[Any]] = {}
        for index in self._prepared_in_turn:
            results[index] = self._preparers[index].prepare(data, event_ids, now)
        by_preparer = [results[index] for index in range(len(self._preparers))]

        if len(by_preparer) > 1 or len(events) < len(chunk) or self._each or self._opt_outs:
            return self._event_by_event(chunk, by_preparer)
        return by_preparer[0]

    def _event_by_event(self, chunk: Chunk, by_preparer: list[Sequence[Any]]) -> Iterator[Any]:
        """Yield what became of the first event everywhere, then of the second one, and so on."""
        lists = (EachPreparer, OptOutPreparer)
        has_list = [isinstance(preparer, lists) for preparer in self._preparers]
        rows = zip(*by_preparer, strict=True)

        for entry in chunk:
            if isinstance(entry, Unreadable):
                yield Rejection("", entry.position, "unreadable", entry.reason)
                continue

            taken = False
            for prepared, is_list in zip(next(rows), has_list, strict=True):
                for one in prepared if is_list else (prepared,):
                    if one is not None:
                        is_skipped = one.__class__ is Rejection and one.outcome == "skipped"
                        taken = taken or not is_skipped
                        yield one
            if not taken:
                yield None

    def _event_ids(
        self, events: Sequence[Event], data: Sequence[dict[str, Any]]
    ) -> Sequence[int | NamedEvent]:
        """Return the id of each event; `data` is that of the events.

        It is what the connection's `event_id` finds, else the event's position.
        """
        if self._event_id is None or self._ids is None:
            return list(map(_position_of, events))

        event_ids: list[int | NamedEvent] = []
        found = 0
        for position, one in events:
            value = self._event_id(one)
            if is_absent(value) or isinstance(value, dict | list):
                event_ids.append(position)
            else:
                event_ids.append(NamedEvent(position, str(value)))
                found += 1
        self._ids.found("event_id", found)
        self._ids.took(data)
        return event_ids


def identifying_fields(taking: Taking, identifiers: Sequence[Identifier]) -> set[Field]:
    """Return what the identifiers of a route or an export are mapped from."""
    fields: set[Field] = set()
    for identifier in identifiers:
        source = taking.map.get(identifier.parameter)
        if source is not None:
            fields.update(fields_of_source(source))
    return fields

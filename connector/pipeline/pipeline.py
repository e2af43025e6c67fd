"""The pipeline of one connection: from events to requests, and from responses to outcomes.

Event ──prepare──▶ Record ──batch──▶ Batch ──build──▶ Request ··▶ Response ──classify──▶ Outcome

A preview, a case, the sandbox and production all run the same steps:

    pipeline = Pipeline(connection)
    batcher = Batcher(strict=pipeline.strict)
    prepared = pipeline.prepare(events, now)
    records = [one for one in prepared if isinstance(one, Record)]
    for batch in [*batcher.take(records), *batcher.flush()]:
        request = batch.endpoint.build(batch, now)
        response = …  # the room `delivery` sends it
        outcome = batch.endpoint.classify(response, len(batch.records), now)

Nothing here reads a clock, the network or the environment: the time is an argument.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any, cast

from connector.connection.fields import Field, fields_of_source
from connector.connection.mapping import compile_event_id, is_absent
from connector.connection.model import Connection, FromPaths
from connector.definitions.model import Action
from connector.errors import DefinitionError, Problem
from connector.model import Chunk, Event, Rejection, Result, Unreadable
from connector.pipeline.audiences import Audiences, KnownAudiences
from connector.pipeline.dropped import DroppedValue
from connector.pipeline.elements import SLICE, EachPreparer
from connector.pipeline.fill import Fill, Filled
from connector.pipeline.in_vain import unused_routes
from connector.pipeline.opt_out import OptOutPreparer, actions_of
from connector.pipeline.records import Preparer
from connector.pipeline.request_builder import RequestBuilder
from connector.pipeline.splitting import Prepared, in_parts
from connector.templating.template import RenderError

#: Get an event's position without a Python frame for each event.
_position_of: Callable[[Event], int] = itemgetter(Event._fields.index("position"))


class Pipeline:
    """Everything of a connection that can be known before the first event, compiled once."""

    def __init__(self, connection: Connection, audiences: Audiences | None = None) -> None:
        """Compile a connection. `audiences`: by default what is known of them without the vendor.

        Raise DefinitionError (D200) for the first template that cannot be used. `connector lint`
        finds every problem at once.
        """
        try:
            known = audiences or KnownAudiences(connection)
            self._preparers = _compile_routes(connection, known)
        except RenderError as error:
            raise DefinitionError([template_problem(error)]) from None

        #: Whether the order of events holds across requests of two operations, even for people
        #: who share no identifier: the vendor may know two identifiers as one person.
        self.strict = connection.order == "strict"

        self._routes = [route.name for route in connection.routes]
        self._each = [one for one in self._preparers if isinstance(one, EachPreparer)]
        self._opt_outs = [one for one in self._preparers if isinstance(one, OptOutPreparer)]
        # An opt-out knows the audiences that the events before it named.
        self._prepared_in_turn = sorted(
            range(len(self._preparers)),
            key=lambda index: isinstance(self._preparers[index], OptOutPreparer),
        )
        self._splits = False
        for route in connection.routes:
            if any(action.split for action in actions_of(route, connection)):
                self._splits = True
        self._event_id = compile_event_id(connection.event_id) if connection.event_id else None
        self._ids: Fill | None = None
        if connection.event_id:
            source = FromPaths((connection.event_id,))
            self._ids = Fill(None, {"event_id": source}, _identifying_fields(connection))

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
        for route, preparer in zip(self._routes, self._preparers, strict=True):
            if preparer.in_vain in unused:
                lines.append(f"route {route}: {preparer.in_vain.nothing_taken()}")
            lines += [f"route {route}: {doubt}" for doubt in preparer.doubts]
        return lines

    def prepare(self, chunk: Chunk, now: float) -> Iterable[Result | None]:
        """Return what the routes make of the events, in order.

        None for an event that no route takes. `now`: seconds since the epoch.
        """
        if not self._each and not self._opt_outs:
            return self._prepare(chunk, now)
        # Events may have very many records: these are made while they are read.
        parts = (self._prepare(part, now) for part in self._parts_of(chunk, now))
        return chain.from_iterable(parts)

    def _parts_of(self, chunk: Chunk, now: float) -> Iterator[Chunk]:
        """Divide events so that each part has at most so many records, unless it is one event."""
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

    def _prepare(self, chunk: Chunk, now: float) -> Iterable[Result | None]:
        events = [entry for entry in chunk if isinstance(entry, Event)]
        data = [event.data for event in events]
        event_ids = self._event_ids(events, data)

        # Each route prepares all events at once, because a column of values is prepared faster
        # than one value after the other.
        prepared: dict[int, list[Any]] = {}
        for index in self._prepared_in_turn:
            prepared[index] = self._preparers[index].prepare(data, event_ids, now)
        by_route = [prepared[index] for index in range(len(self._preparers))]

        rows: Iterable[Prepared] = by_route[0]
        if len(by_route) > 1 or len(events) < len(chunk) or self._each or self._opt_outs:
            rows = self._event_by_event(chunk, by_route)

        if self._splits:
            return in_parts(rows)
        # Only a split makes several records of one person.
        return cast(Iterable[Result | None], rows)

    def _event_by_event(self, chunk: Chunk, by_route: list[list[Any]]) -> Iterator[Prepared]:
        """Yield what all routes made of the first event, then of the second one, and so on."""
        lists = (EachPreparer, OptOutPreparer)
        has_list = [isinstance(preparer, lists) for preparer in self._preparers]
        rows = zip(*by_route, strict=True)

        for entry in chunk:
            if isinstance(entry, Unreadable):
                yield Rejection("", entry.position, "unreadable", entry.reason)
                continue

            taken = False
            for prepared, is_list in zip(next(rows), has_list, strict=True):
                for one in prepared if is_list else (prepared,):
                    if one is not None:
                        taken = True
                        yield one
            if not taken:
                yield None

    def _event_ids(
        self, events: Sequence[Event], data: Sequence[dict[str, Any]]
    ) -> Sequence[int | str]:
        """Return the id of each event; `data` is that of the events.

        It is what the connection's `event_id` finds, else the event's position.
        """
        if self._event_id is None or self._ids is None:
            return list(map(_position_of, events))

        event_ids: list[int | str] = []
        found = 0
        for position, one in events:
            value = self._event_id(one)
            if is_absent(value) or isinstance(value, dict | list):
                event_ids.append(position)
            else:
                event_ids.append(str(value))
                found += 1
        self._ids.found("event_id", found)
        self._ids.took(data)
        return event_ids


def _identifying_fields(connection: Connection) -> set[Field]:
    """Return what identifiers are mapped from, which no id of an event may be."""
    fields: set[Field] = set()
    for route in connection.routes:
        for identifier in route.action.identifiers:
            source = route.map.get(identifier.parameter)
            if source is not None:
                fields.update(fields_of_source(source))
    return fields


def _compile_routes(
    connection: Connection, audiences: Audiences
) -> list[Preparer | EachPreparer | OptOutPreparer]:
    """Return what prepares the records of each route. Routes to one action share its builder."""
    templates = connection.destination.templates
    builders: dict[str, RequestBuilder] = {}
    preparers: list[Preparer | EachPreparer | OptOutPreparer] = []

    def builder_of(action: Action) -> RequestBuilder:
        if action.id not in builders:
            builders[action.id] = _compile_action(connection, action)
        return builders[action.id]

    for route in connection.routes:
        builder = builder_of(route.action)
        if route.opt_out is not None:
            preparers.append(OptOutPreparer(route, connection, builder_of, audiences))
            continue
        make = Preparer if route.each is None else EachPreparer
        preparers.append(make(route, builder, templates, connection.settings, audiences))
    return preparers


def _compile_action(connection: Connection, action: Action) -> RequestBuilder:
    """Return what builds the requests of an action, within the limits that hold for it."""
    # The connection's own limits come first, then the usual ones; none may pass a vendor's cap.
    limits = connection.limits.over(action.default_limits).within(action.body_caps)
    return RequestBuilder(
        action,
        connection.destination.templates,
        connection.base_url,
        connection.settings,
        limits,
    )


def template_problem(error: RenderError) -> Problem:
    """Return the problem of a template that cannot be used."""
    message = f"line {error.line}: {error}" if error.line else str(error)
    return Problem("D200", error.file, "", message, "'connector lint' finds every problem")

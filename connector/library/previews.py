"""Previews: the requests that a run would send."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from connector.connection.model import Connection
from connector.delivery.clock import Clock, SystemClock
from connector.delivery.inputs import Events, observed, opened_events
from connector.delivery.ledger import Ledger
from connector.delivery.report import Counts, Failure
from connector.delivery.run import batches
from connector.delivery.undelivered import are_prepared_records
from connector.errors import DefinitionError
from connector.library.arguments import remembered_in, require_connection, require_routes
from connector.model import Batch, Request, name_of
from connector.pipeline.audiences import KnownAudiences, notes_of, readable
from connector.pipeline.fill import Filled
from connector.pipeline.pipeline import Pipeline, template_problem
from connector.pipeline.prepared_pipeline import AnyPipeline, PreparedPipeline
from connector.templating.template import RenderError

if TYPE_CHECKING:
    from connector.audiences.remembered import Remembered


@dataclass(frozen=True, slots=True)
class PreviewedRequest:
    """A request as it would be sent, without credentials.

    `records`: how many people are in it. `event_ids` and `routes` are those of its records, in
    order.

    `closed_by`: why it takes no more records: "records", "bytes" or "groups" (a limit), "age" (its
    oldest record has waited long enough), "conflict" (the next record is about a person in it),
    "order" (the next record has to come in a later request), "memory" (too many records are
    pending), or "end" (of the events).
    """

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    records: int
    event_ids: tuple[int | str, ...] = field(repr=False)
    routes: tuple[str, ...]
    closed_by: str

    def json(self) -> Any:
        """Return the parsed body."""
        return orjson.loads(self.body)


class Preview:
    """The requests that a run would send: iterate over it once. Needs no network and no secrets.

    `counts`, `failures` (the events that cannot be sent, and the values that are dropped),
    `reasons` (as in a report), `dropped` (identifier values, by parameter and reason), `fill` (how
    many events had a value) and `doubts` (what looks like a mistake) grow as it is iterated over.
    The caller may clear `failures` after handling them.
    """

    def __init__(
        self,
        connection: Connection,
        events: Events,
        *,
        limit: int | None,
        clock: Clock,
        remembered: Remembered | None = None,
    ) -> None:
        self._connection = connection
        known = KnownAudiences(connection, remembered.find if remembered else None)
        self._pipeline: AnyPipeline = Pipeline(connection, known)
        self._events = events
        self._limit = limit
        self._clock = clock
        self._ledger = Ledger(keep_failures=True)

    @property
    def counts(self) -> Counts:
        """The counts so far. Nothing is delivered in a preview."""
        return self._ledger.counts

    @property
    def failures(self) -> list[Failure]:
        """The failures so far, or since the list was cleared."""
        return self._ledger.failures

    @property
    def reasons(self) -> Counter[tuple[str, str, str]]:
        """How many records failed so far, by (outcome, code, reason)."""
        return self._ledger.reasons

    @property
    def dropped(self) -> Counter[tuple[str, str]]:
        """How many identifier values were dropped so far, by (parameter, reason)."""
        return self._pipeline.dropped

    @property
    def fill(self) -> list[Filled]:
        """How many of the rows that each route took had a value, by parameter, so far."""
        return self._pipeline.fill

    @property
    def doubts(self) -> list[str]:
        """What the events so far make look like a mistake, though nothing failed."""
        return [*self._ledger.doubts_of_input(), *self._pipeline.doubts]

    @property
    def notes(self) -> list[str]:
        """What a run does that a preview cannot show."""
        return notes_of(self._connection)

    def __iter__(self) -> Iterator[PreviewedRequest]:
        with opened_events(self._events, self._connection, self._limit) as opened:
            if are_prepared_records(opened, self._connection):
                self._pipeline = PreparedPipeline(self._connection)
            chunks = observed(opened, self._connection, self._ledger)
            for batch in batches(self._pipeline, chunks, self._ledger, self._clock):
                try:
                    request = batch.endpoint.build(batch, self._clock.now())
                except RenderError as error:
                    raise DefinitionError([template_problem(error)]) from None
                self._ledger.counts.requests += 1
                self._ledger.counts.bytes += len(request.body)
                yield _previewed(batch, request)


def preview(
    connection: Connection,
    events: Events,
    *,
    limit: int | None = None,
    clock: Clock | None = None,
    state: str | os.PathLike[str] | None = None,
) -> Preview:
    """Return the requests that `send` would send, one by one.

    The events that it would not send are the result's `failures`.

    `limit`: read only so many events. `clock`: the time that requests are built at. `state`: the
    folder of `send`. An audience by its name has the id that is remembered there, else
    `<audience:NAME>`.

    Raise DefinitionError for a definition that cannot be used, and ConfigError for a state that
    cannot be read. Iterating raises SourceError, DefinitionError for a template that cannot be
    rendered, and ConfigError for prepared records of another connection.
    """
    require_connection(connection)
    require_routes(connection)
    clock = clock or SystemClock()
    remembered = remembered_in(state, connection)
    if remembered is not None:
        remembered.check()
    return Preview(connection, events, limit=limit, clock=clock, remembered=remembered)


def _previewed(batch: Batch, request: Request) -> PreviewedRequest:
    routes = dict.fromkeys(record.target.route for record in batch.records)
    return PreviewedRequest(
        method=request.method,
        url=readable(request.url),
        headers=request.headers,
        body=request.body,
        records=len(batch.records),
        event_ids=tuple(name_of(record.event_id) for record in batch.records),
        routes=tuple(routes),
        closed_by=batch.closed_by,
    )

"""The pipeline of one connection, from events to requests: the same in a preview, a case, the sandbox and production.

Event ──prepare──▶ Record ──take──▶ Batch ──build──▶ Request ──▶ Response ──classify──▶ Outcome
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from connector.connection.mapping import compile_path, is_absent
from connector.connection.model import Connection
from connector.definitions.model import Action
from connector.errors import DefinitionError, Problem
from connector.model import Event, Record, Rejection, Request, Unreadable
from connector.pipeline.batching import Batch
from connector.pipeline.records import Prepared, Preparer
from connector.pipeline.request_builder import RequestBuilder
from connector.pipeline.responses import Classify
from connector.pipeline.splitting import in_parts
from connector.templating.template import RenderError


class Pipeline:
    """Everything of a connection, compiled once."""

    def __init__(self, connection: Connection) -> None:
        """Raises DefinitionError (D200) when the definition cannot be used; lint says more, and all at once."""
        try:
            self._compile(connection)
        except RenderError as error:
            line = f"line {error.line}: " if error.line else ""
            problem = Problem(
                "D200", error.file, "", f"{line}{error}", "'connector lint' finds every problem"
            )
            raise DefinitionError([problem]) from None

    def _compile(self, connection: Connection) -> None:
        self._builders: dict[str, RequestBuilder] = {}
        templates = connection.destination.templates
        self._preparers = [
            Preparer(route, self._builder(connection, route.action), templates, connection.settings)
            for route in connection.routes
        ]
        #: Whether the order of events holds across requests of two operations, whatever the vendor knows of people.
        self.strict = connection.order == "strict"
        self._splits = any(route.action.split for route in connection.routes)
        self._event_id = compile_path(connection.event_id) if connection.event_id else None

    def _builder(self, connection: Connection, action: Action) -> RequestBuilder:
        if action.id not in self._builders:
            limits = connection.limits.over(action.default_limits).within(action.body_caps)
            templates = connection.destination.templates
            self._builders[action.id] = RequestBuilder(
                action, templates, connection.base_url, connection.settings, limits
            )
        return self._builders[action.id]

    @property
    def dropped(self) -> Counter[tuple[str, str]]:
        """How many identifier values were dropped, by (parameter, reason)."""
        return sum((preparer.dropped for preparer in self._preparers), Counter())

    def prepare(
        self, chunk: Sequence[Event | Unreadable], now: float
    ) -> Iterable[Record | Rejection | None]:
        """Return what the routes make of the events, in order; None stands for an event that no route takes.

        `now`: seconds since the epoch.
        """
        events = [event for event in chunk if event.__class__ is Event]
        event_ids = self._ids(events)
        prepared = [p.prepare(events, event_ids, now) for p in self._preparers]
        whole = len(prepared) == 1 and len(events) == len(chunk)
        rows = prepared[0] if whole else _merged(chunk, zip(*prepared, strict=True))
        return in_parts(rows) if self._splits else rows  # type: ignore[return-value]

    def _ids(self, events: list[Event]) -> Sequence[int | str]:
        get = self._event_id
        if get is None:
            return [event.position for event in events]
        found = [get(event.data) for event in events]
        return [
            event.position if is_absent(value) or isinstance(value, dict | list) else str(value)
            for event, value in zip(events, found, strict=True)
        ]

    @staticmethod
    def build(batch: Batch, now: float) -> Request:
        """Return a batch's request. Raises RenderError."""
        builder: RequestBuilder = batch.target.builder
        return builder.build(batch, now)

    @staticmethod
    def classify(batch: Batch) -> Classify:
        """Return the response rules that hold for a batch."""
        builder: RequestBuilder = batch.target.builder
        return builder.classify


def _merged(
    chunk: Sequence[Event | Unreadable], prepared: Iterator[Sequence[Prepared]]
) -> Iterator[Prepared]:
    for event in chunk:
        if isinstance(event, Unreadable):
            yield Rejection("", event.position, "unreadable", event.reason)
        else:
            records = [record for record in next(prepared) if record is not None]
            yield from records or (None,)

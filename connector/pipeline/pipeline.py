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

from collections.abc import Iterable, Sequence
from typing import cast

from connector.connection.fields import Field
from connector.connection.model import Connection
from connector.definitions.model import Action, Limits
from connector.errors import DefinitionError, Problem
from connector.model import Chunk, Result
from connector.pipeline.audiences import Audiences, KnownAudiences, UsedAudience
from connector.pipeline.elements import EachPreparer, RowPreparer
from connector.pipeline.opt_out import OptOutPreparer, actions_of
from connector.pipeline.preparation import Preparation, identifying_fields
from connector.pipeline.records import Preparer
from connector.pipeline.request_builder import RequestBuilder
from connector.pipeline.spelling import texts_compared
from connector.pipeline.splitting import Prepared, in_parts
from connector.templating.template import RenderError


class Pipeline(Preparation):
    """Everything of a connection that can be known before the first event, compiled once."""

    def __init__(self, connection: Connection, audiences: Audiences | None = None) -> None:
        """Compile a connection. `audiences`: by default what is known of them without the vendor.

        Raise DefinitionError (D200) for the first template that cannot be used. `connector lint`
        finds every problem at once.
        """
        try:
            self._audiences = audiences or KnownAudiences(connection)
            preparers = _compile_routes(connection, self._audiences)
        except RenderError as error:
            raise DefinitionError([template_problem(error)]) from None
        names = [f"route {route.name}" for route in connection.routes]
        people: set[Field] = set()
        for route in connection.routes:
            people |= identifying_fields(route, route.action.identifiers)
        super().__init__(preparers, names, connection.event_id, people)

        #: Whether the order of events holds across requests of two operations, even for people
        #: who share no identifier: the vendor may know two identifiers as one person.
        self.strict = connection.order == "strict"

        self._splits = False
        for route in connection.routes:
            if any(action.split for action in actions_of(route, connection)):
                self._splits = True

    @property
    def audiences(self) -> Sequence[UsedAudience]:
        """The audiences that were found or created by name so far."""
        return self._audiences.used

    def _prepare(self, chunk: Chunk, now: float) -> Iterable[Result | None]:
        rows: Iterable[Prepared] = super()._prepare(chunk, now)
        if self._splits:
            return in_parts(rows)
        # Only a split makes several records of one person.
        return cast(Iterable[Result | None], rows)


def _compile_routes(connection: Connection, audiences: Audiences) -> list[RowPreparer]:
    """Return what prepares the records of each route. Routes to one action share its builder."""
    templates = connection.destination.templates
    builders: dict[str, RequestBuilder] = {}
    preparers: list[RowPreparer] = []
    meant = texts_compared(connection.routes)

    def builder_of(action: Action) -> RequestBuilder:
        if action.id not in builders:
            builders[action.id] = request_builder_of(connection, action)
        return builders[action.id]

    for route in connection.routes:
        builder = builder_of(route.action)
        if route.opt_out is not None:
            preparers.append(OptOutPreparer(route, connection, builder_of, audiences))
            continue
        preparer = Preparer(route, builder, templates, connection.settings, audiences, meant)
        if route.each is None:
            preparers.append(preparer)
        else:
            preparers.append(EachPreparer(route, preparer, connection.settings))
    return preparers


def request_builder_of(connection: Connection, action: Action) -> RequestBuilder:
    """Return what builds the requests of an action, within the limits that hold for it."""
    # The connection's own limits come first, then the usual ones; none may pass a vendor's cap.
    limits = connection.limits.over(action.default_limits).within(action.body_caps)
    limits = limits.within(Limits(concurrency=action.concurrency))
    retry = connection.destination.retry
    return RequestBuilder(
        action,
        connection.destination.templates,
        connection.base_url,
        connection.settings,
        limits,
        repeatable=retry is None or retry.is_repeatable,
    )


def template_problem(error: RenderError) -> Problem:
    """Return the problem of a template that cannot be used."""
    message = f"line {error.line}: {error}" if error.line else str(error)
    return Problem("D200", error.file, "", message, "'connector lint' finds every problem")

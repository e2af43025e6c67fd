"""Opt-out: a person leaves every audience, and may be put where nothing reaches them.

event ──rows of (event, audience)──▶ a removal for each audience ──▶ an addition to do-not-reach
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from connector._util import times
from connector.connection.audience_rules import audience_of, do_not_reach_of
from connector.connection.fields import fields_of_expression, fields_of_map
from connector.connection.mapping import Element, Row, compile_when
from connector.connection.model import (
    Connection,
    FieldMapping,
    NamedAudience,
    OfOptOut,
    Route,
)
from connector.definitions.model import Action
from connector.model import EventId, Rejection
from connector.pipeline.audiences import Audiences, Unresolved
from connector.pipeline.dropped import DroppedValue
from connector.pipeline.fill import Fill
from connector.pipeline.in_vain import InVain
from connector.pipeline.records import Preparer, apply_when, pick
from connector.pipeline.request_builder import RequestBuilder
from connector.pipeline.spelling import Spelling, texts_compared
from connector.pipeline.splitting import Prepared
from connector.pipeline.unfound import Unfound
from connector.templating.data import ExpressionError, Shown

# Stands for an audience where there is none: nothing is sent to it.
_NONE = Shown("<audience:none>")


def actions_of(route: Route, connection: Connection) -> list[Action]:
    """Return the actions that a route has records for."""
    if route.opt_out is None or not route.opt_out.do_not_reach:
        return [route.action]
    found = do_not_reach_of(connection.destination)
    assert found is not None, "a rule on connections refuses it"
    return [route.action, found[1]]


class OptOutPreparer:
    """Prepares the records of one route with `opt_out`, many events at a time.

    What is counted of a person (values found, values dropped) is counted with the first audience.
    Where there is no audience, people are prepared for none: what is wrong with them is found all
    the same, and everybody else is skipped.
    """

    def __init__(
        self,
        route: Route,
        connection: Connection,
        builder_of: Callable[[Action], RequestBuilder],
        audiences: Audiences,
    ) -> None:
        """Compile a route that has `opt_out`. Raise as `Preparer` does."""
        self._route = route.name
        self._audiences = audiences
        self._when = compile_when(route.when, connection.settings)
        reads = fields_of_expression(route.when) if route.when else []
        self._unfound = Unfound("when", reads, fields_of_map(route), each=False)
        self._spelling = Spelling(route, texts_compared(connection.routes))
        #: Whether the route takes anything.
        self.in_vain = InVain(())

        def preparer(
            action: Action, mapped: Mapping[str, FieldMapping], each: str | None
        ) -> Preparer:
            made = replace(route, action=action, when=None, map=mapped, each=each, opt_out=None)
            templates = connection.destination.templates
            settings = connection.settings
            return Preparer(made, builder_of(action), templates, settings, audiences)

        kind = audience_of(route.action, connection.destination)
        assert kind is not None, "a rule on connections refuses it"
        self._parameter = kind.parameter
        mapped = {**route.map, kind.parameter: OfOptOut()}
        self._first = preparer(route.action, mapped, "")
        self._others = preparer(route.action, mapped, "")

        self._do_not_reach: Preparer | None = None
        for action in actions_of(route, connection)[1:]:
            mapped = _mapped_to(action, route, connection)
            self._do_not_reach = preparer(action, mapped, None)

    @property
    def dropped(self) -> Counter[tuple[str, str]]:
        """How many identifier values were dropped, by (parameter, reason)."""
        return self._first.dropped

    @property
    def lost(self) -> list[DroppedValue]:
        """Each identifier value that was dropped since the caller cleared the list."""
        return self._first.lost

    @property
    def fill(self) -> Fill:
        """Counts the events that have a value of each parameter."""
        return self._first.fill

    @property
    def hints(self) -> list[str]:
        """What `when` may read wrongly, as of `Preparer`."""
        return [*self._unfound.doubts(), *self._spelling.doubts()]

    @property
    def doubts(self) -> list[str]:
        """What else is probably a mistake, as of `Preparer`."""
        return self._first.doubts

    def count(self, event: dict[str, Any], now: float) -> int:
        """Return how many records the event has on this route, at most."""
        try:
            taken = self._when is None or self._when(event)
        except ExpressionError:
            taken = False
        every = self._every(now)
        if not taken or isinstance(every, Unresolved):
            return 1
        return len(every) + 1

    def prepare(
        self, data: Sequence[dict[str, Any]], event_ids: Sequence[EventId], now: float
    ) -> list[list[Prepared]]:
        """Return what became of each event: nothing where `when` does not take it."""
        self._unfound.saw(data)
        prepared: list[list[Prepared]] = [[] for _ in data]
        taken, failures = apply_when(self._when, data)
        self._spelling.saw(data, taken)
        self.in_vain.took(len(data), len(taken) + len(failures))
        for position, why in failures:
            prepared[position].append(Rejection(self._route, event_ids[position], *why))
        if not taken:
            return prepared

        events = pick(data, taken)
        ids = pick(event_ids, taken)
        every = self._every(now)
        if isinstance(every, Unresolved):
            for position, event_id in zip(taken, ids, strict=True):
                prepared[position].append(Rejection(self._route, event_id, *every))
            return prepared
        first = _of_each(self._first, events, ids, every[:1] or [_NONE], now)
        if not every:
            first = list(map(self._without_audience, first, ids))
        others = _of_each(self._others, events, ids, every[1:], now)
        also: Sequence[Prepared] = ()
        if self._do_not_reach is not None:
            also = list(self._do_not_reach.prepare(events, ids, now))
            self._do_not_reach.lost.clear()
        self._others.lost.clear()

        for index, position in enumerate(taken):
            results = [*first[index], *others[index], *also[index : index + 1]]
            prepared[position] += _once(results)
        return prepared

    def _without_audience(self, results: Sequence[Prepared], event_id: EventId) -> list[Prepared]:
        """Return what is wrong with a person, else that there is nothing to remove them from."""
        wrong = list(_rejections(results))
        if wrong or self._do_not_reach is not None:
            return wrong
        reason = self._audiences.no_audience
        return [Rejection(self._route, event_id, "no_audience", reason, "skipped")]

    def _every(self, now: float) -> Sequence[str] | Unresolved:
        return self._audiences.every(self._parameter, times.from_epoch(now))


def _mapped_to(action: Action, route: Route, connection: Connection) -> dict[str, FieldMapping]:
    """Return the mapping of a route as far as another action has it, with its only audience."""
    mapped: dict[str, FieldMapping] = {}
    for name, source in route.map.items():
        if name in action.parameters:
            mapped[name] = source
    kind = audience_of(action, connection.destination)
    assert kind is not None, "it was found by its audience"
    mapped[kind.parameter] = NamedAudience(only=True)
    return mapped


def _of_each(
    preparer: Preparer,
    events: Sequence[dict[str, Any]],
    event_ids: Sequence[EventId],
    audiences: Sequence[str],
    now: float,
) -> list[list[Prepared]]:
    """Return what became of each event with each of some audiences."""
    if not audiences:
        return [[] for _ in events]
    rows: list[Row] = []
    ids: list[EventId] = []
    for event, event_id in zip(events, event_ids, strict=True):
        for audience in audiences:
            rows.append(Element(event, audience))
            ids.append(event_id)
    prepared = iter(preparer.prepare(rows, ids, now))
    return [[next(prepared) for _ in audiences] for _ in events]


def _rejections(results: Sequence[Prepared]) -> Iterator[Prepared]:
    for result in results:
        # A person who is split is a list.
        for one in result if isinstance(result, list) else [result]:
            if isinstance(one, Rejection):
                yield one


def _once(results: Sequence[Prepared]) -> Iterator[Prepared]:
    """Yield results; what is wrong with a person is wrong with every audience, and said once."""
    said: set[Rejection] = set()
    for result in results:
        if isinstance(result, Rejection):
            if result in said:
                continue
            said.add(result)
        yield result

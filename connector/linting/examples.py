"""The examples of a definition, run through the real pipeline at a moment that never changes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from connector._util import times
from connector.connection.model import Connection, FromPaths, Route
from connector.definitions.model import Action, Destination, Limits
from connector.errors import Problem
from connector.linting.rule import at, parameters, shown
from connector.model import Batch, Event, Record, Rejection, Request
from connector.pipeline.pipeline import Pipeline
from connector.templating.template import RenderError, Template, read_template
from connector.validation.explain import Failure
from connector.validation.schema import Schema

#: The moment of lint, in seconds since the epoch: what it finds must not depend on the day. Examples have to hold then.
NOW = times.to_epoch("2026-01-15T00:00:00Z")


#: Finds one kind of mistake in what the examples come to. What it yields has no code yet.
BenchRule = Callable[["Bench"], Iterator[Problem]]


# Which template a record was refused for, by the code.
_TEMPLATES = {"template_failed": "item", "envelope_failed": "envelope"}


class Tried(NamedTuple):
    """What became of one example: a record, a refusal, or a `template` (item, envelope) that failed.

    `dropped`: parameter and reason of each identifier that cannot be used.
    """

    action: Action
    place: str
    record: Record | None = None
    refusal: str = ""
    template: str = ""
    dropped: tuple[tuple[str, str], ...] = ()


class Sample(NamedTuple):
    """One request made of examples; `name` says of which. `refused`: why the contract does not accept its body."""

    action: Action
    place: str
    name: str
    batch: Batch
    request: Request
    body: Any
    refused: Sequence[Failure]


class Bench:
    """Every example, tried, and identifiers alone; and the requests that come of them, alone and together."""

    def __init__(self, destination: Destination) -> None:
        """Try the examples of a destination that the rules before found nothing wrong with."""
        self.destination = destination
        self.settings = destination.example_settings
        self._pipelines = {action.id: self._pipeline(action) for action in self._actions()}
        self.tried = [tried for action in self._actions() for tried in self._examples(action)]
        self.alone = [tried for action in self._actions() for tried in self._alone(action)]
        self.broken: list[Tried] = []
        self._templates: dict[tuple[str, tuple[str, ...]], Template] = {}
        self.samples = list(self._samples())

    def _actions(self) -> Iterator[Action]:
        """Yield the actions that make records."""
        return iter(self.destination.actions.values())

    def _pipeline(self, action: Action) -> Pipeline:
        """Return a pipeline whose events are examples: each parameter is mapped from a member of its name."""
        route = Route(
            "lint", action, None, {name: FromPaths((name,)) for name in action.parameters}
        )
        return Pipeline(
            Connection(
                file="",
                destination=self.destination,
                settings=self.settings,
                credentials={},
                base_url=self.destination.base_url(self.settings),
                limits=Limits(),
                event_id=None,
                routes=(route,),
            )
        )

    def _examples(self, action: Action) -> Iterator[Tried]:
        for index, example in enumerate(action.schema.get("examples", ())):
            yield from self.attempt(action, f"/examples/{index}", example)

    def good(self, action: Action) -> Record | None:
        """Return the record of an action's first example that gives one."""
        return next(
            (tried.record for tried in self.tried if tried.action is action and tried.record), None
        )

    def needed(self, action: Action, good: Record) -> dict[str, Any]:
        """Return the required parameters that name no person, as a good example has them."""
        required = action.schema.get("required", ())
        return {name: good.target.params[name] for name in required if name in parameters(action)}

    def _alone(self, action: Action) -> Iterator[Tried]:
        """Yield what becomes of a person with one identifier, by its first example, where no example shows that.

        What has to be there together, or cannot be used, is no mistake of a template and is left out.
        """
        good = self.good(action)
        seen = {
            frozenset(tried.record.wires)
            for tried in self.tried
            if tried.action is action and tried.record
        }
        for identifier in action.identifiers if good else ():
            name = identifier.parameter
            examples = action.parameters[name].examples
            if good and examples and identifier.alone and {identifier.wire} not in seen:
                values = {**self.needed(action, good), name: examples[0]}
                for tried in self.attempt(action, f"/properties/{name}/examples/0", values):
                    if tried.record or tried.template:
                        yield tried

    def attempt(self, action: Action, place: str, values: Mapping[str, Any]) -> Iterator[Tried]:
        """Prepare the records of one person with these parameters."""
        pipeline = self._pipelines[action.id]
        before = pipeline.dropped
        records = list(pipeline.prepare([Event(1, dict(values))], NOW))
        dropped = tuple(pipeline.dropped - before)
        for prepared in records:
            if isinstance(prepared, Rejection):
                template = _TEMPLATES.get(prepared.code, "")
                yield Tried(
                    action, place, refusal=prepared.reason, template=template, dropped=dropped
                )
            else:
                yield Tried(action, place, prepared, dropped=dropped)
            dropped = ()  # said once

    def _samples(self) -> Iterator[Sample]:
        """Yield the request of each example and, where these are right, of some together and of identifiers alone."""
        faulty: set[str] = set()
        together: dict[tuple[str, ...], list[tuple[Tried, Record]]] = {}
        for tried in self.tried:
            if tried.record:
                sample = self._sample(tried, "this example", [tried.record])
                if sample:
                    yield sample
                if sample and not sample.refused:
                    together.setdefault(tried.record.target.key, []).append((tried, tried.record))
                else:
                    faulty.add(tried.action.id)
        for tried in self.alone:
            if tried.record and tried.action.id not in faulty:
                sample = self._sample(tried, "this identifier alone", [tried.record])
                if sample:
                    yield sample
        for some in together.values():
            rows = _in_turn(some)
            names = ", ".join(dict.fromkeys(tried.action.id for tried, _ in rows))
            name = f"one request with examples of {names}"
            sample = (
                self._sample(rows[0][0], name, [record for _, record in rows])
                if len(rows) > 1
                else None
            )
            if sample:
                yield sample

    def _sample(self, tried: Tried, name: str, records: list[Record]) -> Sample | None:
        batch = Batch(tuple(records), tuple(_runs(records)))
        try:
            request = batch.endpoint.build(batch, NOW)
        except RenderError as error:
            self.broken.append(tried._replace(record=None, refusal=str(error), template="envelope"))
            return None
        body = orjson.loads(request.body)
        return Sample(
            tried.action, tried.place, name, batch, request, body, _refused(tried.action, body)
        )

    def seen_with(self, action: Action, place: str) -> str:
        """Return the hint that names an example."""
        file, origin = action.document.origin(place)
        return f"seen with {shown(file)}#{origin}"

    def template(self, name: str, names: tuple[str, ...]) -> Template:
        """Return a template of the sandbox; it is read once."""
        if (name, names) not in self._templates:
            self._templates[name, names] = read_template(
                self.destination.templates, name, "", names
            )
        return self._templates[name, names]

    def in_template(self, action: Action, kind: str, message: str, hint: str = "") -> Problem:
        """Return a problem of an action's template, still without a code."""
        file = action.item if kind == "item" else action.envelope
        if not file:
            return at(action.document, "/action", message, hint)
        return Problem("", str(self.destination.templates / file), "", message, hint)


def _refused(action: Action, body: Any) -> list[Failure]:
    """Return why the contract refuses a body; of what is repeated in a list, the first."""
    if action.accepts is None:
        return []
    found = Schema(action.accepts).failures(body)
    first = {
        (re.sub(r"/\d+", "/0", failure.pointer), failure.message): failure
        for failure in reversed(found)
    }
    return [*reversed(first.values())][:_MOST_FAILURES]


# What is wrong with one body is mostly one mistake.
_MOST_FAILURES = 5


def _in_turn(rows: list[tuple[Tried, Record]]) -> list[tuple[Tried, Record]]:
    """Return rows so that each action comes early, and as many as the vendor takes in one request."""
    seen: dict[str, int] = {}
    ranks = []
    for tried, _ in rows:
        seen[tried.action.id] = seen.get(tried.action.id, 0) + 1
        ranks.append(seen[tried.action.id])
    limits = rows[0][1].target.endpoint.limits
    most = min(
        (limit for limit in (limits.records, limits.groups) if limit is not None), default=len(rows)
    )
    return [row for _, row in sorted(zip(ranks, rows, strict=True), key=lambda pair: pair[0])][
        :most
    ]


def _runs(records: list[Record]) -> Iterator[int]:
    """Yield the run of each record: a new one at each change of the operation."""
    run, operation = 0, ""
    for record in records:
        if record.target.operation != operation:
            run, operation = run + 1, record.target.operation
        yield run

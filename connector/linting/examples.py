"""The examples of a definition, run through the real pipeline at a moment that never changes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

import orjson

from connector._util import times
from connector.connection.model import Connection, FromPaths, Route
from connector.definitions.model import Action, Destination, Limits
from connector.errors import Problem
from connector.linting.location import Location, of_action, problem_in
from connector.linting.rule import parameter_location
from connector.model import Batch, Event, Record, Rejection, Request
from connector.pipeline.pipeline import Pipeline
from connector.sandbox.contract import for_settings
from connector.templating.template import RenderError, Template, read_template
from connector.validation.explain import Failure
from connector.validation.schema import Schema

#: The time that lint runs at, in seconds since the epoch: its findings must not depend on the day.
NOW = times.to_epoch("2026-01-15T00:00:00Z")

# The template that fails, by the code of the rejection.
_TEMPLATES = {"template_failed": "item", "envelope_failed": "envelope"}
# The faults of one body are mostly one mistake.
_MOST_FAILURES = 5


class Example(NamedTuple):
    """What became of one example: a record, or the reason of its rejection.

    `failed_template` is "item" or "envelope" when a template is to blame. `dropped` holds parameter
    and reason of each identifier that cannot be used.
    """

    action: Action
    location: Location
    record: Record | None = None
    rejection: str = ""
    failed_template: str = ""
    dropped: tuple[tuple[str, str], ...] = ()


class ExampleRequest(NamedTuple):
    """One request made of examples.

    `name` says which one it is, `failures` why its body violates `accepts`.
    """

    action: Action
    location: Location
    name: str
    batch: Batch
    request: Request
    body: Any
    failures: Sequence[Failure]


class ExampleRun:
    """The examples of a destination and the requests that they become.

    examples: every example of every action.
    single_identifiers: people with one identifier, where no example shows that.
    requests: of one example, of one identifier, and of several examples together.
    failed_requests: the first examples of requests that cannot be built.
    """

    def __init__(self, destination: Destination) -> None:
        """Run the examples of a destination in which no blocking rule has found a problem."""
        self.destination = destination
        self.settings = destination.example_settings
        self._pipelines: dict[str, Pipeline] = {}
        self._templates: dict[tuple[str, tuple[str, ...]], Template] = {}

        self.examples: list[Example] = []
        for action in destination.actions.values():
            self._pipelines[action.id] = self._pipeline(action)
            for index, values in enumerate(action.schema.get("examples", ())):
                location = _example_location(action, index)
                self.examples += self.prepare(action, location, values)

        self.single_identifiers: list[Example] = []
        for action in destination.actions.values():
            self.single_identifiers += self._run_single_identifiers(action)

        self.requests: list[ExampleRequest] = []
        self.failed_requests: list[Example] = []
        self._build_requests()

    def prepare(
        self, action: Action, location: Location, values: Mapping[str, Any]
    ) -> Iterator[Example]:
        """Yield what becomes of one person with these parameters."""
        pipeline = self._pipelines[action.id]
        before = pipeline.dropped
        prepared = list(pipeline.prepare([Event(1, dict(values))], NOW))
        dropped = tuple(pipeline.dropped - before)

        for result in prepared:
            example = Example(action, location, dropped=dropped)
            if isinstance(result, Rejection):
                template = _TEMPLATES.get(result.code, "")
                yield example._replace(rejection=result.reason, failed_template=template)
            else:
                yield example._replace(record=result)
            # reported once for all records of a person
            dropped = ()

    def records(self, action: Action) -> list[Record]:
        """Return the records of an action's examples."""
        records = []
        for example in self.examples:
            if example.action is action and example.record:
                records.append(example.record)
        return records

    def required_params(self, action: Action, record: Record) -> dict[str, Any]:
        """Return the required parameters that name no person, with the values of a record."""
        params = {}
        for name in action.schema.get("required", ()):
            if name in action.shared_parameters:
                params[name] = record.target.params[name]
        return params

    def template(self, name: str, names: tuple[str, ...]) -> Template:
        """Return a template of the sandbox, which sees these names; it is read once."""
        if (name, names) not in self._templates:
            template = read_template(self.destination.templates, name, "", names)
            self._templates[name, names] = template
        return self._templates[name, names]

    def template_problem(
        self, action: Action, template: str, message: str, hint: str = ""
    ) -> Problem:
        """Return a problem of an action's "item" or "envelope", still without a code."""
        file = action.item if template == "item" else action.envelope
        if not file:
            return of_action(action).problem(message, hint)
        return problem_in(self.destination.templates / file, message, hint)

    def _pipeline(self, action: Action) -> Pipeline:
        """Return a pipeline whose events are examples: each member is the parameter of its name."""
        sources = {}
        for name in action.parameters:
            # a bare `item` is an element of a list
            sources[name] = FromPaths(('["item"]' if name == "item" else name,))
        connection = Connection(
            file="",
            destination=self.destination,
            settings=self.settings,
            credentials={},
            base_url=self.destination.base_url(self.settings),
            limits=Limits(),
            event_id=None,
            routes=(Route("lint", action, None, sources),),
        )
        return Pipeline(connection)

    def _run_single_identifiers(self, action: Action) -> Iterator[Example]:
        """Yield people with the first example of one identifier, where no example shows that.

        Left out are those who lack what has to come with it, or whose identifier cannot be used:
        no template is to blame for them.
        """
        records = self.records(action)
        if not records:
            return
        params = self.required_params(action, records[0])
        shown = [set(record.wires) for record in records]

        for identifier in action.identifiers:
            name = identifier.parameter
            values = action.parameters[name].examples
            if not values or not identifier.alone or {identifier.wire} in shown:
                continue
            location = parameter_location(action, name) / "examples" / 0
            for example in self.prepare(action, location, {**params, name: values[0]}):
                if example.record or example.failed_template:
                    yield example

    def _build_requests(self) -> None:
        """Build the request of each example, of each single identifier, and of several examples.

        The last two only where the requests of single examples are right: they would repeat a
        fault.
        """
        faulty_actions: set[str] = set()
        by_batch_key: dict[tuple[str, ...], list[Example]] = {}
        for example in self.examples:
            if example.record is None:
                continue
            request = self._build("this example", [example])
            if request is None or request.failures:
                faulty_actions.add(example.action.id)
            else:
                key = example.record.target.key
                by_batch_key.setdefault(key, []).append(example)

        for example in self.single_identifiers:
            if example.record and example.action.id not in faulty_actions:
                self._build("this identifier alone", [example])

        for examples in by_batch_key.values():
            together = _for_one_request(examples)
            if len(together) > 1:
                actions = dict.fromkeys(example.action.id for example in together)
                name = f"one request with examples of {', '.join(actions)}"
                self._build(name, together)

    def _build(self, name: str, examples: Sequence[Example]) -> ExampleRequest | None:
        """Add the request of these examples, or a failure when its envelope cannot be rendered."""
        action, location, *_ = examples[0]
        records = [example.record for example in examples if example.record]
        batch = Batch(tuple(records), tuple(_runs(records)))
        try:
            request = batch.endpoint.build(batch, NOW)
        except RenderError as error:
            failed = Example(action, location, None, str(error), "envelope")
            self.failed_requests.append(failed)
            return None

        body = orjson.loads(request.body)
        violations = _contract_failures(action, self.settings, body)
        result = ExampleRequest(action, location, name, batch, request, body, violations)
        self.requests.append(result)
        return result


def _example_location(action: Action, index: int) -> Location:
    """Return the location of an example; of one made of the parameters' examples, theirs."""
    top = Location(action.document)
    return top / "examples" / index if "examples" in top.content else top / "properties"


def _contract_failures(action: Action, settings: Mapping[str, Any], body: Any) -> list[Failure]:
    """Return why the contract rejects a body: of failures repeated in a list, the first."""
    if action.accepts is None:
        return []
    unique: dict[tuple[str, str], Failure] = {}
    contract = for_settings(action.accepts, settings)
    for failure in Schema(contract).failures(body):
        place = re.sub(r"/\d+", "/0", failure.pointer)
        unique.setdefault((place, failure.message), failure)
    return list(unique.values())[:_MOST_FAILURES]


def _for_one_request(examples: list[Example]) -> list[Example]:
    """Return as many examples as the vendor takes in one request.

    The first example of each action comes first.
    """
    counts: Counter[str] = Counter()
    ranked = []
    for example in examples:
        counts[example.action.id] += 1
        ranked.append((counts[example.action.id], example))
    ranked.sort(key=itemgetter(0))

    assert examples[0].record
    limits = examples[0].record.target.endpoint.limits
    most = len(examples)
    for limit in (limits.records, limits.groups):
        if limit is not None:
            most = min(most, limit)
    return [example for _, example in ranked[:most]]


def _runs(records: list[Record]) -> Iterator[int]:
    """Yield the run of each record: a new one at each change of the operation."""
    run = 0
    operation = ""
    for record in records:
        if record.target.operation != operation:
            run += 1
            operation = record.target.operation
        yield run

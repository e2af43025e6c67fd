"""The rules of lint on what the examples become: records, bodies, sizes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from connector.definitions.model import Action, Limits
from connector.errors import nearest
from connector.linting.examples import NOW, ExampleRun
from connector.linting.location import Location
from connector.linting.rule import Problems, parameter_location, rule
from connector.model import Batch, Record
from connector.pipeline.dropped import REASONS
from connector.templating.template import RenderError

# A body that is measured has at most so many items: enough for numbers in it to grow.
_MOST_ITEMS = 1200


@rule("D217", stage="examples")
def rejected_body(run: ExampleRun) -> Problems:
    """Find an example whose body violates `accepts`.

    The vendor would reject it too. Correct the template, the example or the contract.
    """
    for request in run.requests:
        for failure in request.failures:
            message = f"'accepts' rejects the body of {request.name}"
            if failure.pointer:
                message += f" at {failure.pointer}"
            message += f": {failure.message}"
            yield request.location.problem(message, failure.hint)


@rule("D218", stage="examples")
def failing_template(run: ExampleRun) -> Problems:
    """Find a template that fails on an example, or does not render JSON.

    Nothing could be sent. Correct the template.
    """
    examples = [*run.examples, *run.single_identifiers, *run.failed_requests]
    for example in examples:
        template = example.failed_template
        if not template:
            continue
        hint = f"seen with {example.location}"
        if template == "envelope":
            hint += (
                "; an envelope is also rendered without groups, "
                "and with a group without items, to measure it"
            )
        yield run.template_problem(example.action, template, example.rejection, hint)


@rule("D221", stage="examples")
def missing_examples(run: ExampleRun) -> Problems:
    """Find an action without examples.

    Lint cannot check what it renders. Add examples.
    """
    for action in run.destination.actions.values():
        if "examples" not in action.schema:
            message = "the action has no examples: lint cannot check what it renders"
            hint = 'add "examples": [{parameter: value, …}]'
            yield Location(action.document).problem(message, hint)


@rule("D221", stage="examples")
def rejected_example(run: ExampleRun) -> Problems:
    """Find an example that is rejected or loses an identifier.

    It would mislead whoever follows it. Correct the example.
    """
    for example in run.examples:
        location = example.location
        known = example.action.parameters
        is_written = location.pointer != "/properties"
        for name in location.content:
            if name not in known and is_written:
                yield (location / name).problem(
                    f"unknown parameter '{name}'",
                    nearest(name, known),
                )

        for parameter, reason in example.dropped:
            place = location / parameter
            if not is_written:
                place = parameter_location(example.action, parameter) / "examples" / 0
            yield place.problem(f"cannot be used: {REASONS[reason]}")

        if example.failed_template or example.dropped:
            # the reason of the rejection is reported already, or by another rule
            continue
        if example.rejection:
            message = f"the example is rejected: {example.rejection}"
            yield location.problem(message)


@rule("D221", stage="examples")
def rejected_identifier(run: ExampleRun) -> Problems:
    """Find an example of an identifier that cannot be used.

    A form would offer it. Correct the example.
    """
    for action in run.destination.actions.values():
        records = run.records(action)
        if not records:
            continue
        params = run.required_params(action, records[0])
        for identifier in action.identifiers:
            name = identifier.parameter
            examples = parameter_location(action, name) / "examples"
            for index, value in enumerate(action.parameters[name].examples):
                location = examples / index
                for example in run.prepare(action, location, {**params, name: value}):
                    for _, reason in example.dropped:
                        message = f"cannot be used: {REASONS[reason]}"
                        yield location.problem(message)


# --- sizes ---


class _Sample(NamedTuple):
    """A record whose body is measured with other items in its place."""

    action: Action
    record: Record


@rule("D227", stage="examples")
def wrong_size(run: ExampleRun) -> Problems:
    """Find an envelope that does not hold every item once, or is larger than its parts together.

    An item that is left out is a person who is lost. And sizes are added up, not measured: a body
    could exceed the vendor's cap. Write each item once, and around items and groups nothing that
    grows.
    """
    for samples in _by_envelope(run).values():
        for problem in _size_problems(run, samples):
            yield problem
            # one mistake shows in many bodies
            break


def _by_envelope(run: ExampleRun) -> dict[str, list[_Sample]]:
    """Return for each envelope a record for each set of group members with a value."""
    by_envelope: dict[str, list[_Sample]] = {}
    seen = set()
    for example in run.examples:
        if example.record is None:
            continue
        envelope = example.action.envelope
        members = []
        for name, value in example.record.target.group:
            members.append((name, value is None))
        key = (envelope, *members)
        if key not in seen:
            seen.add(key)
            sample = _Sample(example.action, example.record)
            by_envelope.setdefault(envelope, []).append(sample)
    return by_envelope


def _size_problems(run: ExampleRun, samples: list[_Sample]) -> Problems:
    for sample in samples:
        for layout in _layouts(sample.action.caps):
            message, hint = _measure(sample.record, layout)
            if message:
                yield run.template_problem(sample.action, "envelope", message, hint)


def _layouts(caps: Limits) -> Iterator[tuple[int, ...]]:
    """Yield the items in each group of a body: few, and as many as the vendor takes."""
    records = min(caps.records or _MOST_ITEMS, _MOST_ITEMS)
    groups = min(caps.groups or _MOST_ITEMS, records)
    one_each = (1,) * groups
    for layout in ((1,), (2,), (3,), (1, 1), (3, 1, 2), (records,), one_each):
        if sum(layout) <= records and len(layout) <= groups:
            yield layout


def _measure(record: Record, layout: tuple[int, ...]) -> tuple[str, str]:
    """Render a body with so many items in each group; return what is wrong and the hint, or ""."""
    count = sum(layout)
    items = [b'"probe-%06d"' % number for number in range(count)]
    runs: list[int] = []
    for number, items_of_group in enumerate(layout):
        runs += [number] * items_of_group

    name = f"a body of {count} item{'s' if count > 1 else ''}"
    if len(layout) > 1:
        name += f" in {len(layout)} groups"

    records = [record._replace(item=item) for item in items]
    batch = Batch(tuple(records), tuple(runs))
    try:
        body = batch.endpoint.build(batch, NOW).body
    except RenderError as error:
        return f"{name} cannot be rendered: {error}", ""

    contained = re.findall(rb'"probe-\d{6}"', body)
    if sorted(contained) != items:
        different = len(set(contained))
        message = f"{name} contains an item more than once"
        if different < count:
            message = f"{name} contains only {different} of them"
        hint = (
            "include each item exactly once: "
            "write {{ group.items }} in a loop over groups, or {{ items }}"
        )
        return message, hint

    target = record.target
    parts = target.base_bytes + len(layout) * target.group_bytes
    for item in items:
        parts += len(item) + 1
    if len(body) > parts:
        message = f"{name} has {len(body)} bytes, more than the {parts} of its parts"
        hint = (
            "sizes are added up: write nothing around items and groups that grows, "
            "such as a count or an index"
        )
        return message, hint
    return "", ""

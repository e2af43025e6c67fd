"""The rules of lint on what the examples come to: records, bodies, sizes."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from itertools import islice
from typing import Any

from connector.definitions.model import Action, Limits
from connector.errors import Problem, nearest
from connector.linting.examples import NOW, Bench, BenchRule
from connector.linting.rule import at
from connector.model import Batch, Record
from connector.pipeline.dropped import REASONS
from connector.templating.template import RenderError
from connector.validation.explain import lookup


def refused_body(bench: Bench) -> Iterator[Problem]:
    """Find an example whose body `accepts` refuses: the vendor would refuse it. Mend template, example or contract."""
    for sample in bench.samples:
        for failure in sample.refused:
            place = f" at {failure.pointer}" if failure.pointer else ""
            message = f"'accepts' refuses the body of {sample.name}{place}: {failure.message}"
            yield at(sample.action.document, sample.place, message, failure.hint)


def failing_template(bench: Bench) -> Iterator[Problem]:
    """Find a template that fails on an example, or whose text is not JSON: nothing could be sent. Mend the template."""
    for tried in [*bench.tried, *bench.alone, *bench.broken]:
        if tried.template:
            hint = bench.seen_with(tried.action, tried.place)
            if tried.template == "envelope":
                hint += "; an envelope is also rendered with no group, and with a group that has no items, for its size"
            yield bench.in_template(tried.action, tried.template, tried.refusal, hint)


def refused_example(bench: Bench) -> Iterator[Problem]:
    """Find an example that is refused or loses an identifier: it would mislead who follows it. Mend the example."""
    for action in bench.destination.actions.values():
        if "examples" not in action.schema:
            hint = 'add "examples": [{parameter: value, …}]'
            yield at(
                action.document,
                "",
                "the action has no examples: lint cannot see what it renders",
                hint,
            )
    for tried in bench.tried:
        document = tried.action.document
        unknown = [
            name
            for name in lookup(document.content, tried.place)
            if name not in tried.action.parameters
        ]
        for name in unknown:
            hint = nearest(name, tried.action.parameters)
            yield at(document, f"{tried.place}/{name}", f"unknown parameter '{name}'", hint)
        for parameter, reason in tried.dropped:
            yield at(document, f"{tried.place}/{parameter}", f"cannot be used: {REASONS[reason]}")
        if tried.refusal and not tried.template and not tried.dropped:
            yield at(document, tried.place, f"the example is refused: {tried.refusal}")


def refused_identifier(bench: Bench) -> Iterator[Problem]:
    """Find an example of an identifier that cannot be used: a form would offer it. Mend the example."""
    for action in bench.destination.actions.values():
        good = bench.good(action)
        if good:
            yield from _refused_identifiers(bench, action, bench.needed(action, good))


def _refused_identifiers(
    bench: Bench, action: Action, needed: Mapping[str, Any]
) -> Iterator[Problem]:
    for identifier in action.identifiers:
        name = identifier.parameter
        for index, example in enumerate(action.parameters[name].examples):
            place = f"/properties/{name}/examples/{index}"
            tried = bench.attempt(action, place, {**needed, name: example})
            for _, reason in (dropped for one in tried for dropped in one.dropped):
                yield at(action.document, place, f"cannot be used: {REASONS[reason]}")


def wrong_size(bench: Bench) -> Iterator[Problem]:
    """Find an envelope whose size is not the sum of its parts, or that does not hold every item once.

    Sizes are added up, not measured: a body could go over the vendor's cap. And an item that is left out is a person
    who is lost. Write each item once, and around items and groups nothing that grows.
    """
    for records in _by_envelope(bench).values():
        measured = (
            _measured(bench, action, record, layout)
            for action, record in records
            for layout in _layouts(action.caps)
        )
        yield from islice((problem for problem in measured if problem), 1)


def _by_envelope(bench: Bench) -> dict[str, Collection[tuple[Action, Record]]]:
    """Return for each envelope a record for each set of group members that may be there."""
    found: dict[str, dict[tuple[tuple[str, bool], ...], tuple[Action, Record]]] = {}
    for tried in bench.tried:
        if tried.record:
            shape = tuple((name, value is None) for name, value in tried.record.target.group)
            found.setdefault(tried.action.envelope, {}).setdefault(
                shape, (tried.action, tried.record)
            )
    return {envelope: records.values() for envelope, records in found.items()}


def _layouts(caps: Limits) -> Iterator[tuple[int, ...]]:
    """Yield how many items each group of a measured body has: few, and as many as the vendor takes."""
    records = min(caps.records or _MANY, _MANY)
    groups = min(caps.groups or _MANY, records)
    for layout in ((1,), (2,), (3,), (1, 1), (3, 1, 2), (records,), (1,) * groups):
        if sum(layout) <= records and len(layout) <= groups:
            yield layout


_MANY = 1200


def _measured(
    bench: Bench, action: Action, record: Record, layout: tuple[int, ...]
) -> Problem | None:
    """Render so many items in so many groups; say what is wrong with the body."""
    items = [b'"probe-%06d"' % index for index in range(sum(layout))]
    runs = tuple(run for run, count in enumerate(layout) for _ in range(count))
    batch = Batch(tuple(record._replace(item=item) for item in items), runs)
    what = f"a body of {len(items)} item{'s' if len(items) > 1 else ''}" + (
        f" in {len(layout)} groups" if len(layout) > 1 else ""
    )
    try:
        body = batch.endpoint.build(batch, NOW).body
    except RenderError as error:
        return bench.in_template(action, "envelope", f"{what} cannot be rendered: {error}")
    held = re.findall(rb'"probe-\d{6}"', body)
    if sorted(held) != items:
        message = f"{what} holds an item more than once"
        if len(set(held)) < len(items):
            message = f"{what} holds only {len(set(held))} of them"
        hint = "each item has to stand in it once: write {{ group.items }} in a loop over groups, or {{ items }}"
        return bench.in_template(action, "envelope", message, hint)
    target = record.target
    added = (
        target.base_bytes + len(layout) * target.group_bytes + sum(len(item) + 1 for item in items)
    )
    if len(body) > added:
        message = f"{what} has {len(body)} bytes, more than the {added} of its parts"
        hint = "sizes are added up: what stands around items and groups has to be of one length, without numbers that grow"
        return bench.in_template(action, "envelope", message, hint)
    return None


#: Code and rule.
RULES: list[tuple[str, BenchRule]] = [
    ("D217", refused_body),
    ("D218", failing_template),
    ("D221", refused_example),
    ("D221", refused_identifier),
    ("D227", wrong_size),
]

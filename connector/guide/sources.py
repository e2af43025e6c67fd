"""Where the facts of a definition come from: each source once, with its facts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from connector.definitions.exports import Export
from connector.definitions.model import (
    Action,
    BatchLimits,
    Destination,
    Field,
    ResponseRule,
    Source,
)
from connector.guide.markdown import Markdown, code

# A fact's name, and its source if it has one.
Fact = tuple[str, Source | None]


def sources(destination: Destination) -> list[Sequence[object]]:
    """Return a row for each source: how it was read, the facts, the note, the page."""
    facts: dict[Source, dict[str, None]] = {}
    for name, source in _facts(destination):
        if source is not None:
            facts.setdefault(source, {})[name] = None

    rows: list[Sequence[object]] = []
    for source, names in facts.items():
        rows.append([source.read, Markdown(", ".join(names)), source.note, source.url])
    return rows


def tally(rows: list[Sequence[object]]) -> str:
    """Return how many sources were read how."""
    counts = Counter(str(row[0]) for row in rows)
    return ", ".join(f"{word}: {counts[word]}" for word in ("vendor", "peer", "assumed")) + "."


def _facts(destination: Destination) -> Iterator[Fact]:
    """Yield what can have a source, with a name for it."""
    yield "API", destination.api.source
    for scheme in destination.schemes():
        yield "authentication scheme", scheme.source
        yield "sign-in", scheme.login_source
    yield from _shared(destination.limits, destination.responses)
    for rate in destination.rates:
        yield "rate limit", rate.source
    yield "requests side by side", destination.concurrency.source
    if destination.retry:
        yield "retries", destination.retry.source
    for setting in destination.settings.values():
        yield f"setting {code(setting.name)}", setting.source
    for action in destination.actions.values():
        yield from _of_action(action)
    for call in destination.calls.values():
        yield f"call {code(call.id)}", call.source
        for rule in call.own_responses:
            yield f"answer {code(rule.code or rule.then)}", rule.source
        for parameter in call.parameters.values():
            yield f"parameter {code(parameter.name)}", parameter.source
    for export in destination.exports.values():
        yield from _of_export(export)
    yield "sandbox", destination.sandbox.source


def _of_action(action: Action) -> Iterator[Fact]:
    yield f"action {code(action.id)}", action.source
    yield from _shared(action.own_limits, action.own_responses)
    for check in action.checks:
        yield f"check {code(check.code)}", check.source
    yield from _of_parameters(action.parameters.values())


def _of_export(export: Export) -> Iterator[Fact]:
    yield f"export {code(export.id)}", export.source
    if export.key:
        yield f"key {code(export.key.credential)}", export.key.source
    yield from _of_parameters(export.parameters.values())


def _of_parameters(parameters: Iterable[Field]) -> Iterator[Fact]:
    for parameter in parameters:
        yield f"parameter {code(parameter.name)}", parameter.source
        if parameter.identifier:
            yield f"identifier {code(parameter.name)}", parameter.identifier.source


def _shared(limits: BatchLimits | None, responses: Iterable[ResponseRule]) -> Iterator[Fact]:
    """Yield what a destination and an action can both have."""
    yield "batch limits", limits.source if limits else None
    for rule in responses:
        yield f"answer {code(rule.code or rule.then)}", rule.source

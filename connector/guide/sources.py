"""Where the facts of a definition come from: each source once, with the facts that it speaks of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from connector.definitions.model import Action, Destination
from connector.guide.markdown import Markdown, code

Fact = tuple[str, Mapping[str, Any]]


def sources(destination: Destination) -> list[Sequence[object]]:
    """Return a row for each source: how it was read, the facts, the note, the page."""
    facts: dict[tuple[str, str, str], dict[str, None]] = {}
    for name, holder in _facts(destination):
        source = holder.get("source")
        if source:
            key = (source["read"], source.get("note", ""), source.get("url", ""))
            facts.setdefault(key, {})[name] = None
    return [
        [read, Markdown(", ".join(names)), note, url] for (read, note, url), names in facts.items()
    ]


def tally(found: list[Sequence[object]]) -> str:
    """Return how many sources were read how."""
    counts = Counter(str(row[0]) for row in found)
    return ", ".join(f"{word}: {counts[word]}" for word in ("vendor", "peer", "assumed")) + "."


def _facts(destination: Destination) -> Iterator[Fact]:
    """Yield what can have a source, with a name for it."""
    raw = destination.raw
    yield "API", raw["api"]
    yield from (("authentication scheme", scheme) for scheme in destination.schemes.values())
    yield from _shared(raw)
    yield from (("rate limit", rate) for rate in raw.get("rate", ()))
    yield from ((f"setting {code(name)}", about) for name, about in destination.settings.items())
    for action in destination.actions.values():
        yield from _of_action(action)
    yield "sandbox", raw.get("sandbox", {})


def _of_action(action: Action) -> Iterator[Fact]:
    yield f"action {code(action.id)}", action.raw
    yield from _shared(action.raw)
    yield from ((f"check {code(check['code'])}", check) for check in action.raw.get("checks", ()))
    for name, about in action.properties.items():
        yield f"parameter {code(name)}", about
        yield f"identifier {code(name)}", about.get("identifier", {})


def _shared(raw: Mapping[str, Any]) -> Iterator[Fact]:
    """Yield what a destination and an action can both have."""
    yield "batch limits", raw.get("limits", {})
    for rule in raw.get("responses", ()):
        yield f"answer {code(rule.get('code', rule['then']))}", rule

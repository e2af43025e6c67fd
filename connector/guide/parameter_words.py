"""Parameters in words: how one reaches the vendor, and how a person becomes several records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from connector.definitions.model import Action, Destination, FromNow, FromParameter, Split
from connector.definitions.uri_template import placeholders
from connector.guide.identifier_words import rule_in_words
from connector.guide.markdown import Markdown, code, codes, prose


def split_words(split: Split) -> Iterator[Markdown]:
    """Yield how a person becomes several records."""
    if len(split.parts) > 1:
        yield Markdown(_parts(split.parts))
    if split.values:
        yield Markdown(f"At most {_values(split.values)} of one identifier in a record")
    if split.identifiers:
        yield Markdown(f"At most {_values(split.identifiers)} in a record")
    if len(split.parts) > 1 or split.values or split.identifiers:
        yield Markdown("A person with more is split into several records")


def _parts(parts: Mapping[str, tuple[str, ...]]) -> str:
    if all(len(wires) == 1 for wires in parts.values()):
        kinds = codes(wire for wires in parts.values() for wire in wires)
        return f"One kind of identifier in each record: {kinds}"

    kinds_of_part = [f"{code(name)} ({codes(wires)})" for name, wires in parts.items()]
    return f"Identifiers of one kind in a record, of: {', '.join(kinds_of_part)}"


def _values(count: int) -> str:
    return f"{count:,} value{'' if count == 1 else 's'}"


def sent_words(destination: Destination, action: Action, name: str) -> Markdown:
    """Return how a parameter reaches the vendor."""
    identifier = action.parameters[name].identifier
    if identifier:
        rule = prose(rule_in_words(identifier))
        return Markdown(f"as {code(identifier.wire)}: {rule}")

    uses = dict.fromkeys(_uses(destination, action, name))
    return Markdown("; ".join(uses) or "not sent")


def _uses(destination: Destination, action: Action, name: str) -> Iterator[str]:
    yield from _uses_in_texts(action, name)

    for value in (*action.request.values(), *action.group.values()):
        if isinstance(value, FromParameter) and value.parameter == name:
            otherwise = f"; without it: {_default(value.default)}" if value.has_default else ""
            yield f"in the body{otherwise}"
    for template in (action.item, action.envelope):
        if template and _reads(destination, template, name):
            yield "in the body"

    if name in [identifier.flag for identifier in action.identifiers]:
        yield "not sent; says whether identifiers are already digests"


def _uses_in_texts(action: Action, name: str) -> Iterator[str]:
    """Yield where a placeholder takes the parameter."""
    if name in placeholders(action.path):
        yield "in the address"
    for key, text in action.query.items():
        if name in placeholders(text):
            yield f"in the query, as {code(key)}"
    for header, text in action.headers.items():
        if name in placeholders(text):
            yield f"in the header {code(header)}"


def _default(default: Any) -> Markdown:
    if isinstance(default, FromNow):
        return Markdown(f"{code(default.duration)} (ISO 8601) after the request is made")
    return code(default)


def _reads(destination: Destination, template: str, name: str) -> bool:
    """Return whether a template reads a parameter."""
    path = destination.templates / template
    if not path.is_file():
        return False  # lint reports it
    text = path.read_text("utf-8", errors="replace")
    return any(f"params{access}" in text for access in (f".{name}", f"['{name}']", f'["{name}"]'))

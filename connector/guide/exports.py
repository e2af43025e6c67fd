"""The exports of a destination, for its guide: what is shown of each, with lines that are made."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from connector.connection.model import MappedExport, field_mappings
from connector.definitions.exports import Export
from connector.definitions.model import Destination
from connector.exports.lines import LinePreparer
from connector.guide.example_connection import PERSON, reference_to
from connector.guide.identifier_words import EXAMPLE_HASHES, EXAMPLE_KEY
from connector.guide.markdown import Markdown, block, code, codes


def export_chapters(destination: Destination) -> Iterator[dict[str, Any]]:
    """Yield what a guide shows of each export."""
    for export in destination.exports.values():
        yield {
            "export": export,
            "id": code(export.id),
            "title": export.title,
            "description": export.description,
            "facts": list(_facts(export)),
            "connection": example(destination, export),
            "event": _event(export),
            "lines": block("\n".join(_lines(export)), "text"),
        }


def _facts(export: Export) -> Iterator[Markdown]:
    if export.url:
        yield Markdown(f"A line: {code(export.url)}")
    else:
        between = "a comma" if export.delimiter == "," else "a tab"
        yield Markdown(f"Columns, with {between} between them: {codes(export.columns)}")
    if export.file:
        yield Markdown(f"Name of the file: {code(export.file)}")
    if export.key:
        size = f", {export.key.size} bytes" if export.key.size else ""
        words = f"{export.key.encoding} text{size}"
        yield Markdown(f"Key: the credential {code(export.key.credential)}, {words}")
        yield Markdown(f"Below, {EXAMPLE_KEY}")


def example(destination: Destination, export: Export) -> dict[str, Any]:
    """Return the members of a connection that map an export's examples."""
    sources: dict[str, Any] = {}
    for name, value in _examples(export).items():
        is_personal = export.parameters[name].identifier is not None
        sources[name] = {"from": f"{PERSON}.{name}"} if is_personal else {"value": value}
    members: dict[str, Any] = {}
    if export.key:
        name = export.key.credential
        members["credentials"] = {name: reference_to(destination, name)}
    members["exports"] = {export.id: {"map": sources}}
    return members


def _event(export: Export) -> dict[str, Any]:
    person = {}
    for name, value in _examples(export).items():
        if export.parameters[name].identifier is not None:
            person[name] = value
    return {PERSON: person}


def _examples(export: Export) -> dict[str, Any]:
    """Return an example of each parameter that has one."""
    values = {}
    for name, field in export.parameters.items():
        of_field = [*field.examples, *field.allowed]
        if of_field:
            values[name] = of_field[0]
    return values


def _lines(export: Export) -> list[str]:
    """Return the lines of the example event."""
    constants = {name: {"value": value} for name, value in _examples(export).items()}
    mapped = MappedExport(export, None, field_mappings(constants))
    [made] = LinePreparer(mapped, {}, EXAMPLE_HASHES).prepare([{}], [1], 0.0)
    if isinstance(made, str):
        return [made]
    return made if isinstance(made, list) else []  # which lint refuses

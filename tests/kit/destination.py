"""Tiny destinations: their definitions as files, connections to them, and events for them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from connector.definitions.catalog import Catalog

#: Where an invented fact comes from.
SOURCE = "assumed: A test."
NO_AUTH = {"scheme": "none", "source": SOURCE}

ACCEPTS = {
    "type": "object",
    "properties": {
        "people": {
            "type": "array",
            "items": {"person": True, "properties": {"email": {"identifier": True}}},
        }
    },
    "required": ["people"],
    "additionalProperties": False,
}


def write_destination(
    root: Path,
    actions: Mapping[str, Any],
    templates: Mapping[str, str] | None = None,
    files: Mapping[str, Any] | None = None,
    *,
    name: str = "tiny",
    settings: Mapping[str, Any] | None = None,
    **members: Any,
) -> Catalog:
    """Write a destination, and return the catalog that has it.

    `actions` and `files` are documents by name, `templates` texts by name; `members` are those of `destination`.
    """
    settings = settings or {}
    destination = {
        "title": name.title(),
        "description": "A test.",
        "properties": settings,
        "required": [one for one, schema in settings.items() if "default" not in schema],
        "destination": {
            "api": {"name": name.title(), "version": "1", "source": SOURCE},
            "base_url": "https://api.example.com",
            "auth": NO_AUTH,
            "limits": {"source": SOURCE},
            **members,
        },
    }
    schemas, texts = root / "schemas" / name, root / "templates" / name
    for folder in (schemas, texts):
        folder.mkdir(parents=True, exist_ok=True)
    for file, document in {"destination": destination, **actions, **(files or {})}.items():
        path = schemas / f"{file}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(document), "utf-8")
    for file, text in (templates or {}).items():
        (texts / f"{file}.json.j2").write_text(text, "utf-8")
    return Catalog([root])


def action(
    properties: Mapping[str, Any], *, examples: list[Any] | None = None, **members: Any
) -> dict[str, Any]:
    """Return the document of an action; `members` are those of `action`."""
    document = {
        "title": "Add",
        "description": "Adds a person.",
        "properties": dict(properties),
        "action": {"operation": "add", "method": "POST", "source": SOURCE, **members},
    }
    return document | ({"examples": examples} if examples else {})


def call(properties: Mapping[str, Any] | None = None, **members: Any) -> dict[str, Any]:
    """Return the document of a call; `members` are those of `action`."""
    return {
        "title": "Call",
        "description": "Asks for something.",
        "properties": dict(properties or {}),
        "action": {"operation": "call", "method": "GET", "source": SOURCE, **members},
    }


def parameter(**schema: Any) -> dict[str, Any]:
    """Return a parameter of a call."""
    return {"title": "Parameter", "description": "A value.", **schema}


def email(hashing: str = "sha256", **more: Any) -> dict[str, Any]:
    """Return the property for an address."""
    return {
        "title": "Email",
        "description": "The address.",
        "identifier": {"normalize": ["trim", "lowercase"], "hash": hashing, "source": SOURCE},
        **more,
    }


def define_people(
    root: Path,
    auth: Mapping[str, Any],
    settings: Mapping[str, Any] | None = None,
    *,
    envelope: str = '{"people": {{ items }}}',
    **members: Any,
) -> Catalog:
    """Write the destination `tiny` with this `auth`, which takes addresses at /people."""
    add = action(
        {"email": email()},
        examples=[{"email": "ann@example.com"}],
        path="/people",
        envelope="people.json.j2",
        accepts="people.accepts.json",
    )
    return write_destination(
        root,
        {"add": add},
        {"people": envelope},
        {"people.accepts": ACCEPTS},
        settings=settings,
        **{"auth": auth, **members},
    )


def connect(root: Path, *lines: str) -> Path:
    """Write a connection to the destination `tiny`, with further lines."""
    path = root / "connection.yaml"
    routes = "routes: [{action: add, map: {email: {from: email}}}]"
    path.write_text("\n".join(["destination: tiny", *lines, routes]) + "\n", "utf-8")
    return path


def events(root: Path, count: int = 1) -> Path:
    """Write so many events about people of their own."""
    path = root / "events.ndjson"
    lines = [f'{{"email": "person{n}@example.com"}}\n' for n in range(count)]
    path.write_text("".join(lines), "utf-8")
    return path

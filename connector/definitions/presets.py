"""Presets: connections to start from, one for each system that events come from.

`schemas/<destination>/presets/<name>/` holds a connection, events in that system's own shape, and
cases.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from connector._util.yaml_file import read_yaml
from connector.errors import ConfigError, Problem, nearest

#: The files of a preset that every preset has.
CONNECTION = "connection.yaml"
EVENTS = "events.ndjson"


class Preset(NamedTuple):
    """A preset; `title` and `description` are what its connection says of itself."""

    name: str
    title: str
    description: str
    folder: Path


def presets(schemas: Path) -> list[Preset]:
    """Return the presets of a destination's folder below `schemas/`, by name.

    Raise ConfigError (C101) for a connection that cannot be read.
    """
    found = []
    for connection in sorted((schemas / "presets").glob(f"*/{CONNECTION}")):
        content = read_yaml(connection, "C")
        members: dict[str, Any] = content if isinstance(content, dict) else {}
        folder = connection.parent
        title = str(members.get("name", folder.name))
        found.append(Preset(folder.name, title, str(members.get("description", "")), folder))
    return found


def preset(schemas: Path, name: str) -> Preset:
    """Return a preset by its name. Raise ConfigError (C020) with the nearest name and all names."""
    known = {found.name: found for found in presets(schemas)}
    if name in known:
        return known[name]
    message = f"unknown preset '{name}' of {schemas.name}"
    raise ConfigError([Problem("C020", "--from", "", message, nearest(name, known))])


def files(found: Preset) -> Iterator[Path]:
    """Yield the paths of a preset's files below its folder, without hidden ones and folders."""
    for path in sorted(found.folder.rglob("*")):
        below = path.relative_to(found.folder)
        if path.is_file() and not any(part.startswith(".") for part in below.parts):
            yield below

"""A connection to start from: a preset's files in a person's own folder, and what to fill in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from connector._util.pretty_json import as_written
from connector.connection.model import Connection, Constant
from connector.definitions.presets import Preset, files
from connector.scaffold.scaffold import write


class Blank(NamedTuple):
    """A value of a preset that is only an example: its key, what it is, and what stands there."""

    key: str
    title: str
    value: str


def copy_preset(preset: Preset, folder: Path) -> list[Path]:
    """Write the files of a preset below a folder and return their paths.

    Raise ConfigError (C021) when one of them exists, or cannot be written.
    """
    contents = {}
    for path in files(preset):
        contents[path] = (preset.folder / path).read_bytes()
    return write(folder, contents)


def blanks(connection: Connection) -> Iterator[Blank]:
    """Yield what a person has to fill in: settings, constants of routes, and secrets, each once."""
    known = connection.destination.settings
    for name, setting in known.items():
        if name in connection.settings and setting.required:
            yield Blank(f"settings.{name}", setting.title, as_written(connection.settings[name]))

    yield from dict.fromkeys(_constants(connection))

    for name, reference in connection.credentials.items():
        place = {"env": "environment variable"}.get(reference.kind, reference.kind)
        yield Blank(f"credentials.{name}", place, reference.location)


def _constants(connection: Connection) -> Iterator[Blank]:
    """Yield what routes say with `{value: …}`."""
    for route in connection.routes:
        for name, source in route.map.items():
            if isinstance(source, Constant):
                title = route.action.parameters[name].title
                yield Blank(name, title, as_written(source.value))

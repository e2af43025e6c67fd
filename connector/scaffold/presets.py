"""A connection to start from: a preset's files in a person's own folder, and what to fill in."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from connector._util.pretty_json import as_written
from connector.connection.model import Connection, Constant, NamedAudience
from connector.definitions.presets import Preset, files
from connector.scaffold.scaffold import write


class Blank(NamedTuple):
    """A value of a preset that is only an example: its key, what it is, and what stands there."""

    key: str
    title: str
    value: str


class Mark(NamedTuple):
    """What is marked with `# change: …` in a preset: the line, what stands there, and why."""

    line: int
    text: str
    why: str


_MARK = re.compile(r"(?P<code>.*?)\s*# change: (?P<why>.+)")


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


def marks(text: str) -> Iterator[Mark]:
    """Yield the marks of a connection file: at the end of a line, or above what they are about."""
    lines = text.splitlines()
    for index, line in enumerate(lines):
        match = _MARK.fullmatch(line)
        if match is None:
            continue
        code, at = match["code"].strip(), index
        while not code and at + 1 < len(lines):
            at += 1
            code = lines[at].partition(" #")[0].strip()
            code = "" if code.startswith("#") else code
        yield Mark(at + 1, _whole(code, lines[at:]), match["why"])


def _whole(code: str, lines: list[str]) -> str:
    """Return what stands in a line, with the lines below it that belong to its text."""
    if not code.endswith(">-"):
        return code
    words = [code.removesuffix(">-").strip()]
    for line in lines[1:]:
        if _indent(line) <= _indent(lines[0]):
            break
        words.append(line.strip())
    return " ".join(words)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def creates_audiences(connection: Connection) -> bool:
    """Return whether a route creates an audience that is missing: a run should remember its id."""
    for route in connection.routes:
        for source in route.map.values():
            if isinstance(source, NamedAudience) and (source.create or source.only):
                return True
    return False

"""`connector new DESTINATION --from PRESET`: a connection to start from."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from connector.errors import ConfigError, Problem

if TYPE_CHECKING:
    from connector.connection.model import Connection


def new_preset(
    destination: str, name: str, folder: Path, definitions: Sequence[Path]
) -> dict[str, Any]:
    """Copy a preset into a folder and return what was written, what to fill in, and what to run.

    Raise ConfigError: C201 for an unknown destination, C020 for an unknown preset, C021 when a file
    exists; DefinitionError.
    """
    from connector.connection.load import load_connection
    from connector.definitions.catalog import Catalog
    from connector.definitions.presets import CONNECTION, preset
    from connector.scaffold.presets import blanks, copy_preset, marks

    catalog = Catalog(definitions)
    found = preset(catalog.folder(destination) / "schemas" / destination, name)
    connection = load_connection(found.folder / CONNECTION, catalog)
    marked = marks((found.folder / CONNECTION).read_text("utf-8"))
    written = copy_preset(found, folder)
    return {
        "destination": destination,
        "from": name,
        "files": [str(file) for file in written],
        "connection": str(folder / CONNECTION),
        "fill_in": [blank._asdict() for blank in blanks(connection)],
        "change": [mark._asdict() for mark in marked],
        "next": _offline_commands(written, folder, definitions),
        "then": _own_commands(connection, folder, definitions),
    }


def check_alone(options: Mapping[str, object]) -> None:
    """Raise ConfigError (C020) for options that describe a new destination: a preset has one."""
    problems = []
    for option, value in options.items():
        if value:
            message = "has no effect with --from, which is for a destination that is there"
            problems.append(Problem("C020", option, "", message, "leave out one of them"))
    if problems:
        raise ConfigError(problems)


def text(result: Mapping[str, Any]) -> str:
    """Return the result as text."""
    lines = ["wrote"]
    for file in result["files"]:
        lines.append(f"  {file}")

    lines += _to_change(result)
    lines.append("next, without an account")
    for command in result["next"]:
        lines.append(f"  {command}")
    lines.append("then, with your account and your EVENTS")
    for command in result["then"]:
        lines.append(f"  {command}")
    return "\n".join(lines)


def _to_change(result: Mapping[str, Any]) -> list[str]:
    """Return the lines that say what to change: what is marked, else all that may be an example."""
    if not result["change"]:
        lines = ["fill in (what is there now is an example)"]
        for blank in result["fill_in"]:
            lines.append(f"  {blank['key']}: {blank['title']}, now {blank['value']}")
        return lines

    lines = [f"change in {result['connection']} (what is there now is an example)"]
    for mark in result["change"]:
        lines.append(f"  line {mark['line']}: {mark['why']}")
        lines.append(f"    {mark['text']}")
    if len(result["files"]) > 1:
        lines.append("and the same names in the sample events and the cases")
    return lines


def _offline_commands(
    written: Sequence[Path], folder: Path, definitions: Sequence[Path]
) -> list[str]:
    """Return the commands that try the connection with its sample events and cases."""
    from connector.definitions.presets import CONNECTION, EVENTS

    connection, events = str(folder / CONNECTION), str(folder / EVENTS)
    commands = [["lint", connection]]
    if folder / EVENTS in written:
        commands += [["preview", connection, events], ["send", "--sandbox", connection, events]]
    # What is filled in changes the requests, so that the snapshots are to be read once more.
    cases = [str(path) for path in written if path.name.endswith(".case.yaml")]
    if cases:
        commands.append(["test", "--update", *cases])
    return _lines(commands, definitions)


def _own_commands(connection: Connection, folder: Path, definitions: Sequence[Path]) -> list[str]:
    """Return the commands for a person's own account and events."""
    from connector.definitions.presets import CONNECTION
    from connector.scaffold.presets import creates_audiences

    path = str(folder / CONNECTION)
    commands = []
    if connection.credentials:
        commands.append(["login", path])
    state = ["--state", str(folder / "state")] if creates_audiences(connection) else []
    commands += [["check", path], ["preview", path, "EVENTS"], ["send", *state, path, "EVENTS"]]
    return _lines(commands, definitions)


def _lines(commands: Sequence[Sequence[str]], definitions: Sequence[Path]) -> list[str]:
    options = []
    for path in definitions:
        options += ["--definitions", str(path)]
    return [shlex.join(["connector", *command, *options]) for command in commands]

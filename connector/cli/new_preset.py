"""`connector new DESTINATION --from PRESET`: a connection to start from."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from connector.errors import ConfigError, Problem


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
    from connector.scaffold.presets import blanks, copy_preset

    catalog = Catalog(definitions)
    found = preset(catalog.folder(destination) / "schemas" / destination, name)
    connection = load_connection(found.folder / CONNECTION, catalog)
    written = copy_preset(found, folder)
    return {
        "destination": destination,
        "from": name,
        "files": [str(file) for file in written],
        "fill_in": [blank._asdict() for blank in blanks(connection)],
        "next": _next_commands(written, folder, definitions),
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

    lines.append("fill in (what is there now is an example)")
    for blank in result["fill_in"]:
        lines.append(f"  {blank['key']}: {blank['title']}, now {blank['value']}")

    lines.append("next")
    for command in result["next"]:
        lines.append(f"  {command}")
    return "\n".join(lines)


def _next_commands(written: Sequence[Path], folder: Path, definitions: Sequence[Path]) -> list[str]:
    from connector.definitions.presets import CONNECTION, EVENTS

    connection, events = str(folder / CONNECTION), str(folder / EVENTS)
    commands = [["lint", connection]]
    if folder / EVENTS in written:
        commands += [["preview", connection, events], ["send", "--sandbox", connection, events]]
    # What is filled in changes the requests, so that the snapshots are to be read once more.
    cases = [str(path) for path in written if path.name.endswith(".case.yaml")]
    if cases:
        commands.append(["test", "--update", *cases])

    options = []
    for path in definitions:
        options += ["--definitions", str(path)]
    return [shlex.join(["connector", *command, *options]) for command in commands]

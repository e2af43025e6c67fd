"""Definition folders of installed packages, found without running any of their code.

A package names its folder under the entry point group `connector.destinations`.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import EntryPoint, distributions
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from connector.errors import Problem

ENTRY_POINTS = "connector.destinations"


class DefinitionFolder(NamedTuple):
    """A folder with `schemas/` and `templates/`, and the name of what brings it."""

    folder: Path
    brought_by: str


def installed_folders() -> tuple[list[DefinitionFolder], list[Problem]]:
    """Return the folders that installed packages bring, and what cannot be used.

    A package that cannot be used is a problem (C010) and not an error: no other destination needs
    it.
    """
    found: list[DefinitionFolder] = []
    problems: list[Problem] = []

    for entry in _entry_points(problems):
        folders = _folders_with_schemas(entry.value)
        if not folders:
            origin = f"the entry point '{entry.name}' of {ENTRY_POINTS}"
            message = f"no installed package '{entry.value}' with a folder 'schemas'"
            problems.append(_unusable(origin, message))

        for folder in folders:
            brought = DefinitionFolder(folder, entry.value)
            # Two entry points may name one package.
            if brought not in found:
                found.append(brought)

    return found, problems


def has_schemas(folder: Path) -> bool:
    """Return whether a folder can hold definitions."""
    return (folder / "schemas").is_dir()


def _entry_points(problems: list[Problem]) -> Iterator[EntryPoint]:
    """Yield the entry points of the group.

    Append a problem for a package whose list is unreadable.
    """
    for distribution in distributions():
        try:
            text = distribution.read_text("entry_points.txt") or ""
            # Nearly all packages have nothing of ours, and need not be parsed.
            if ENTRY_POINTS not in text:
                continue
            entries = distribution.entry_points.select(group=ENTRY_POINTS)
        except (OSError, ValueError, TypeError):
            # TypeError is what the standard library raises for a line without '='.
            origin = f"a package in {distribution.locate_file('')}"
            problems.append(_unusable(origin, "entry_points.txt cannot be read"))
        else:
            yield from entries


def _unusable(origin: str, message: str) -> Problem:
    hint = "fix or uninstall the package that declares it"
    return Problem("C010", origin, "", message, hint)


def _folders_with_schemas(package: str) -> list[Path]:
    """Return the folders of an installed package that have `schemas/`.

    `find_spec("a.b")` would import `a`, so only the top-level package is looked up. A package
    without `__init__.py` may have several folders.
    """
    top, *inner = package.split(".")
    if not all(name.isidentifier() for name in (top, *inner)):
        return []

    try:
        spec = find_spec(top)
    except (ImportError, ValueError):
        return []
    if spec is None:
        return []

    locations = spec.submodule_search_locations or ()
    folders = [Path(location, *inner) for location in locations]
    return [folder for folder in folders if has_schemas(folder)]

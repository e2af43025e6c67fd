"""Which definitions, connections and cases the paths given to lint stand for."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from connector.definitions.metaschema import CALLS, EXPORTS
from connector.errors import ConfigError, Problem

_ALLOWED = (
    "allowed: a folder, a destination's folder or file below schemas/ or templates/, "
    "a connection (.yaml with 'routes' or 'exports'), a case file (.case.yaml)"
)
_SKIPPED_FOLDERS = frozenset({"node_modules", "site-packages", "__pycache__", "__snapshots__"})
_TOP_LEVEL_KEY = re.compile(r"^([a-z_]+) *:", re.MULTILINE)

# Folders of schemas/ that hold no destination.
_NO_DESTINATION = ("meta", "standard")


def expand(paths: Sequence[Path]) -> tuple[set[Path], set[Path]]:
    """Return the schema folders of destinations, and the connection and case files, of these paths.

    Raises ConfigError (C015) for a path that is neither and contains neither.
    """
    destinations: set[Path] = set()
    files: set[Path] = set()
    problems = []

    for path in paths:
        if path.is_dir():
            folders_below, files_below = _in_folder(path)
        else:
            folders_below, files_below = _single(path)
        if not folders_below and not files_below:
            problems.append(_nothing_to_lint(path))
        destinations |= folders_below
        files |= files_below

    if problems:
        raise ConfigError(problems)
    return destinations, files


def is_case(path: Path) -> bool:
    """Return whether a file is named like a case file."""
    return path.name.endswith((".case.yaml", ".case.yml"))


def relative_name(file: str) -> str:
    """Return a file's name relative to the current folder when it is below it."""
    path = Path(file).absolute()
    here = Path.cwd()
    return path.relative_to(here).as_posix() if path.is_relative_to(here) else file


def _nothing_to_lint(path: Path) -> Problem:
    message = "is not a file that lint checks"
    if path.is_dir():
        message = "contains nothing to lint"
    elif not path.exists():
        message = "no such file or folder"
    return Problem("C015", str(path), "", message, _ALLOWED)


def _single(path: Path) -> tuple[set[Path], set[Path]]:
    """Return what one file stands for: the destination that it is a part of, or itself."""
    if not path.is_file():
        return set(), set()
    if _is_yaml(path):
        return set(), {path}
    return _destination_of(_absolute(path).parent), set()


def _in_folder(folder: Path) -> tuple[set[Path], set[Path]]:
    """Return what a folder stands for: its destination, or all destinations and files below it."""
    absolute = _absolute(folder)
    destination = _destination_of(absolute)
    if destination:
        return destination, set()

    # the folder holds definitions, or is the half of them
    root = absolute.parent if absolute.name in ("schemas", "templates") else absolute
    destinations = set()
    for path in (root / "schemas").glob("*"):
        if path.is_dir() and path.name not in _NO_DESTINATION:
            destinations.add(path)

    files = set()
    for path in _walk(folder):
        if _is_definition(path):
            destinations.add(_absolute(path).parent)
        elif is_case(path) or _looks_like_connection(path):
            files.add(path)
    return destinations, files


def _destination_of(folder: Path) -> set[Path]:
    """Return the schema folder of the destination whose schemas or templates are in this folder."""
    if folder.name in (CALLS, EXPORTS):
        folder = folder.parent
    if folder.parent.name not in ("schemas", "templates") or folder.name in _NO_DESTINATION:
        return set()
    schemas = folder.parents[1] / "schemas" / folder.name
    return {schemas} if schemas.is_dir() else set()


def _absolute(path: Path) -> Path:
    """Return an absolute path without `..`; links stay, because the names of folders count."""
    return Path(os.path.abspath(path))  # noqa: PTH100 - the alternative follows links


def _walk(folder: Path) -> Iterator[Path]:
    """Yield every file below a folder, except in hidden folders and those of tools."""
    for path in sorted(folder.iterdir()):
        if not path.is_dir():
            yield path
        elif not path.name.startswith(".") and path.name not in _SKIPPED_FOLDERS:
            yield from _walk(path)


def _is_definition(path: Path) -> bool:
    return path.name == "destination.json" and path.absolute().parents[1].name == "schemas"


def _is_yaml(path: Path) -> bool:
    return path.suffix in (".yaml", ".yml")


def _looks_like_connection(path: Path) -> bool:
    """Return whether the keys at the top of a file are those of a connection."""
    if not _is_yaml(path):
        return False
    text = path.read_text("utf-8", errors="replace")
    keys = _TOP_LEVEL_KEY.findall(text)
    return ("routes" in keys or "exports" in keys) and "cases" not in keys

"""Where definitions are found: in given folders, in installed packages, and with this package.

A definition folder has `schemas/<destination>/` and `templates/<destination>/`. A given folder wins
over what is installed, and an earlier given folder over a later one. No installed package replaces
a destination silently.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from connector.definitions.installed import (
    ENTRY_POINTS,
    DefinitionFolder,
    has_schemas,
    installed_folders,
)
from connector.definitions.metaschema import own_folder
from connector.errors import ConfigError, Problem, nearest

if TYPE_CHECKING:
    from connector.definitions.exports import Export
    from connector.definitions.model import Call, Destination


class Catalog:
    """The destinations of some definition folders, each loaded when it is asked for.

    `problems` holds what is wrong with installed packages: one that cannot be used (C010), or one
    that brings a destination which is installed already (C022). The other destinations are not
    affected.
    """

    def __init__(self, extra: Sequence[Path] = ()) -> None:
        """Raise ConfigError (C010) when an extra folder has no `schemas/`."""
        for folder in extra:
            if not has_schemas(folder):
                raise ConfigError([_without_schemas(folder)])

        self._given = [DefinitionFolder(folder, "--definitions") for folder in extra]
        packages, self._broken = installed_folders()
        self._installed = [*packages, DefinitionFolder(own_folder(), "audience-connector")]
        self._conflicts = self._find_conflicts()
        self._with: dict[Path, Catalog] = {}

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Return what is wrong with installed packages."""
        return (*self._broken, *self._conflicts.values())

    def ids(self) -> list[str]:
        """Return the ids of all destinations, sorted."""
        names: set[str] = set()
        for root in (*self._given, *self._installed):
            names.update(_destinations(root.folder))
        return sorted(names)

    def usable_ids(self) -> list[str]:
        """Return the ids of the destinations that can be used, sorted.

        Exactly one package brings such a destination, or a given folder decides.
        """
        return [name for name in self.ids() if name not in self._conflicts]

    def folder(self, destination: str) -> Path:
        """Return the definition folder that holds a destination.

        Raise ConfigError: C201 for an unknown destination, C022 for one that two packages bring.
        """
        if destination in self._conflicts:
            raise ConfigError([self._conflicts[destination]])

        for root in (*self._given, *self._installed):
            if _has_destination(root.folder, destination):
                return root.folder

        message = f"unknown destination '{destination}'"
        hint = nearest(destination, self.ids())
        unknown = Problem("C201", "destination", "", message, hint)
        # The destination may be one of a package that cannot be used.
        raise ConfigError([unknown, *self._broken])

    def is_installed(self, destination: str) -> bool:
        """Return whether an installed package other than this one brings the destination."""
        folder = self.folder(destination)
        return folder != own_folder() and all(folder != root.folder for root in self._given)

    def beside(self, file: Path) -> Catalog:
        """Return the catalog for a case file: with the definition folder that it lies in, if any.

        What was given goes before that folder.
        """
        whole = Path(os.path.abspath(file))  # noqa: PTH100 - without `..`, and links stay
        for folder in whole.parents:
            if _destinations(folder):
                return self._with_folder(folder)
        return self

    def _with_folder(self, folder: Path) -> Catalog:
        given = [root.folder for root in self._given]
        if folder == own_folder() or folder in [path.absolute() for path in given]:
            return self
        if folder not in self._with:
            self._with[folder] = Catalog([*given, folder])
        return self._with[folder]

    def load(self, destination: str) -> Destination:
        """Return a destination after a check of its files' form.

        Raise ConfigError (C022, C201) and DefinitionError.
        """
        return load(self.folder(destination), destination)

    def _find_conflicts(self) -> dict[str, Problem]:
        """Return a problem for each destination in conflict.

        Two packages bring such a destination, and no extra folder decides.
        """
        decided: set[str] = set()
        for root in self._given:
            decided.update(_destinations(root.folder))

        conflicts = {}
        first: dict[str, DefinitionFolder] = {}
        # This package comes first, so that what it ships is named first.
        for root in reversed(self._installed):
            for name in _destinations(root.folder):
                other = first.setdefault(name, root)
                if other.brought_by != root.brought_by and name not in decided:
                    conflicts[name] = _conflict(name, other, root)
        return conflicts


def _without_schemas(folder: Path) -> Problem:
    hint = "expected schemas/<destination>/ and templates/<destination>/ in it"
    return Problem("C010", str(folder), "", "has no folder 'schemas'", hint)


def _conflict(destination: str, first: DefinitionFolder, second: DefinitionFolder) -> Problem:
    packages = f"'{first.brought_by}' and in '{second.brought_by}'"
    options = f"--definitions {first.folder} or --definitions {second.folder}"
    return Problem(
        "C022",
        f"the entry points of {ENTRY_POINTS}",
        "",
        f"'{destination}' is in {packages}",
        f"choose with {options}",
    )


def load(root: Path, destination: str) -> Destination:
    """Load one destination of one definition folder, without its calls and exports.

    Raise DefinitionError with every problem of form.
    """
    # To list destinations takes none of this.
    from connector.definitions.documents import checked_references, documents_of, folder_of
    from connector.definitions.model import Later
    from connector.definitions.read import read_destination
    from connector.definitions.read_audiences import read_audiences, read_verifications

    folder = folder_of(root / "schemas" / destination)
    found = documents_of(folder, "action", "destination")
    document = found["destination"]["destination"]
    actions = dict(sorted(found["action"].items()))
    templates = root / "templates" / destination
    later = Later(_read_calls, _read_exports)
    with checked_references(folder, actions.values()):
        loaded = read_destination(destination, document, actions, templates, later)
        return replace(
            loaded,
            audiences=read_audiences(document),
            verifications=read_verifications(document),
        )


def _read_calls(destination: Destination) -> Mapping[str, Call]:
    from connector.definitions.read_calls import read_calls

    return read_calls(destination)


def _read_exports(destination: Destination) -> Mapping[str, Export]:
    from connector.definitions.read_exports import read_exports

    return read_exports(destination)


def _has_destination(folder: Path, destination: str) -> bool:
    schemas = folder / "schemas" / destination
    return (schemas / "destination.json").is_file()


def _destinations(folder: Path) -> list[str]:
    """Return the ids of a definition folder's destinations."""
    files = (folder / "schemas").glob("*/destination.json")
    return [file.parent.name for file in files]

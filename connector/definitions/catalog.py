"""Where definitions are found: in given folders, in installed packages, and with this package.

A definition folder has `schemas/<destination>/` and `templates/<destination>/`. A given folder wins over what is
installed, and an earlier given folder over a later one. No installed package replaces a destination in silence.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from connector.definitions.metaschema import action_files, check_form, form_problems, own_folder
from connector.definitions.model import Destination
from connector.definitions.read import read_destination
from connector.errors import ConfigError, DefinitionError, Problem, nearest

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from connector.definitions.resolve import Document

ENTRY_POINTS = "connector.destinations"


class Root(NamedTuple):
    """A definition folder, and in words what brings it."""

    folder: Path
    brought_by: str


class Catalog:
    """The destinations of some definition folders, each loaded when it is asked for.

    `problems` holds what is wrong with installed packages: one that cannot be used (C010), or one that brings a
    destination which is installed already (C022). The other destinations are not affected.
    """

    def __init__(self, extra: Sequence[Path] = ()) -> None:
        """Raise ConfigError (C010) when an extra folder has no `schemas/`."""
        for folder in extra:
            if not _has_schemas(folder):
                hint = (
                    "a definitions folder holds schemas/<destination>/ and templates/<destination>/"
                )
                raise ConfigError(
                    [Problem("C010", str(folder), "", "has no folder 'schemas'", hint)]
                )

        self._extra = [Root(folder, "--definitions") for folder in extra]
        packages, self._broken = _installed_packages()
        self._packages = [*packages, Root(own_folder(), "audience-connector")]
        self._conflicts = self._find_conflicts()

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Return what is wrong with installed packages."""
        return (*self._broken, *self._conflicts.values())

    def ids(self) -> list[str]:
        """Return the ids of all destinations, sorted."""
        roots = [*self._extra, *self._packages]
        return sorted({path.name for root in roots for path in _destinations(root.folder)})

    def usable_ids(self) -> list[str]:
        """Return the ids of the destinations that exactly one package brings, or a given folder decides; sorted."""
        return [name for name in self.ids() if name not in self._conflicts]

    def folder(self, destination: str) -> Path:
        """Return the definition folder that holds a destination.

        Raises ConfigError: C201 for an unknown destination, C022 for one that two packages bring.
        """
        if destination in self._conflicts:
            raise ConfigError([self._conflicts[destination]])

        for root in (*self._extra, *self._packages):
            if _has_destination(root.folder, destination):
                return root.folder

        message = f"unknown destination '{destination}'"
        hint = nearest(destination, self.ids())
        # The destination may be one of a package that cannot be used.
        raise ConfigError([Problem("C201", "destination", "", message, hint), *self._broken])

    def is_installed(self, destination: str) -> bool:
        """Return whether an installed package other than this one brings the destination."""
        return self.folder(destination) in [root.folder for root in self._packages[:-1]]

    def load(self, destination: str) -> Destination:
        """Return a destination after a check of its files' form.

        Raises ConfigError (C022, C201) and DefinitionError.
        """
        return load(self.folder(destination), destination)

    def _find_conflicts(self) -> dict[str, Problem]:
        """Return a problem for each destination that two packages bring and no extra folder decides."""
        decided: set[str] = set()
        for root in self._extra:
            decided.update(path.name for path in _destinations(root.folder))

        conflicts = {}
        first: dict[str, Root] = {}
        # This package comes first, so that what it ships is named first.
        for root in reversed(self._packages):
            for path in _destinations(root.folder):
                other = first.setdefault(path.name, root)
                if other.brought_by != root.brought_by and path.name not in decided:
                    conflicts[path.name] = _conflict(path.name, other, root)
        return conflicts


def _conflict(destination: str, first: Root, second: Root) -> Problem:
    message = f"'{destination}' is in '{first.brought_by}' and in '{second.brought_by}'"
    hint = f"choose with --definitions {first.folder} or --definitions {second.folder}"
    return Problem("C022", f"the entry points of {ENTRY_POINTS}", "", message, hint)


def load(root: Path, destination: str) -> Destination:
    """Load one destination of one definition folder. Raise DefinitionError with every problem of form."""
    schemas = root / "schemas" / destination
    problems = check_form(schemas)
    if problems:
        raise DefinitionError(problems)

    from connector.definitions.resolve import Folder

    folder = Folder(schemas)
    action_documents = {path.stem: folder.document(path.name) for path in action_files(schemas)}
    document = folder.document("destination.json")

    problems = list(_whole(document, "destination"))
    for action_document in action_documents.values():
        problems += _whole(action_document, "action")
    if problems:
        raise DefinitionError(problems)

    templates = root / "templates" / destination
    return read_destination(destination, document, action_documents, templates)


def _whole(document: Document, kind: str) -> Iterator[Problem]:
    """Yield what is wrong, or still missing, once every `$ref` is put in."""
    for problem in form_problems(kind, document.content, "", "D"):
        file, pointer = document.origin(problem.pointer)
        yield problem._replace(file=file, pointer=pointer)


def _installed_packages() -> tuple[list[Root], list[Problem]]:
    """Return the folders that installed packages name under the entry point group, and what cannot be used.

    No code of a package is run. A package that cannot be used is a problem (C010), not an error: it may belong to
    somebody else's work, and the other destinations do not need it.
    """
    roots: list[Root] = []
    problems: list[Problem] = []
    for entry in _entry_points(problems):
        folders = [folder for folder in _package_folders(entry.value) if _has_schemas(folder)]
        if not folders:
            message = f"there is no package '{entry.value}' with a folder 'schemas'"
            problems.append(_unusable(f"the entry point '{entry.name}' of {ENTRY_POINTS}", message))
        for folder in folders:
            root = Root(folder, entry.value)
            if root not in roots:
                roots.append(root)
    return roots, problems


def _entry_points(problems: list[Problem]) -> Iterator[EntryPoint]:
    """Yield the group's entry points; append a problem for a package whose entry points cannot be read."""
    from importlib.metadata import distributions

    for distribution in distributions():
        try:
            text = distribution.read_text("entry_points.txt") or ""
            # Nearly all packages have nothing of ours: parsing them all would double the time of a start.
            if ENTRY_POINTS not in text:
                continue
            entries = distribution.entry_points.select(group=ENTRY_POINTS)
        except (OSError, ValueError, TypeError):
            # TypeError is what the standard library raises for a line without '='.
            file = distribution.locate_file("")
            problems.append(_unusable(f"a package in {file}", "entry_points.txt cannot be read"))
        else:
            yield from entries


def _unusable(place: str, message: str) -> Problem:
    return Problem("C010", place, "", message, "fix or uninstall the package that it comes with")


def _package_folders(package: str) -> list[Path]:
    """Return the folders of an installed package, found without importing anything.

    `find_spec("a.b")` would import `a`, so only the top-level package is looked up. One without an `__init__.py` may
    have several folders.
    """
    from importlib.util import find_spec

    top, *rest = package.split(".")
    if not all(name.isidentifier() for name in (top, *rest)):
        return []
    try:
        spec = find_spec(top)
    except (ImportError, ValueError):
        return []
    if spec is None:
        return []
    return [Path(folder, *rest) for folder in spec.submodule_search_locations or ()]


def _has_schemas(folder: Path) -> bool:
    return (folder / "schemas").is_dir()


def _has_destination(folder: Path, destination: str) -> bool:
    return (folder / "schemas" / destination / "destination.json").is_file()


def _destinations(folder: Path) -> Iterator[Path]:
    return (path.parent for path in (folder / "schemas").glob("*/destination.json"))

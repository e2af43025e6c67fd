"""Where definitions are found: in given folders, in installed packages, and with this package.

A definition folder has `schemas/<destination>/` and `templates/<destination>/`. A given folder wins
over what is installed, and an earlier given folder over a later one. No installed package replaces
a destination silently.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from connector.definitions.installed import (
    ENTRY_POINTS,
    DefinitionFolder,
    has_schemas,
    installed_folders,
)
from connector.definitions.metaschema import (
    CALLS,
    action_files,
    call_files,
    check_form,
    definition_files,
    export_files,
    form_problems,
    kind_of,
    own_folder,
    standard_identifiers,
)
from connector.errors import ConfigError, DefinitionError, Problem, nearest
from connector.validation.explain import pointer as json_pointer

if TYPE_CHECKING:
    from connector.definitions.model import Destination
    from connector.definitions.resolve import Document, Folder, Location

# What holds keys of an author's own: one may be called 'source'.
_FREE_KEYS = ("examples", "share", "query", "headers", "with", "deleted")


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
    """Load one destination of one definition folder.

    Raise DefinitionError with every problem of form.
    """
    schemas = root / "schemas" / destination
    problems = check_form(schemas)
    if problems:
        raise DefinitionError(problems)

    # To list destinations takes none of this.
    from connector.definitions.read import UnknownSourceError, read_destination
    from connector.definitions.read_audiences import read_audiences, read_verifications
    from connector.definitions.read_calls import read_calls
    from connector.definitions.resolve import BrokenContractError, references

    folder = folder_of(schemas)
    document = folder.document("destination.json")
    actions = {}
    for name, operation in action_names(folder):
        actions[operation or _stem(name)] = folder.document(name, operation)
    calls = {}
    for name, operation in call_names(folder):
        calls[operation or _stem(name)] = folder.document(name, operation)

    problems = [*_repeated(folder), *_incomplete("action#whole", actions.values())]
    problems += _incomplete("call#whole", calls.values())
    if any(references(folder.content("destination.json"))):
        problems += _incomplete("destination", [document])
    if problems:
        raise DefinitionError(problems)

    templates = root / "templates" / destination
    actions = dict(sorted(actions.items()))
    calls = dict(sorted(calls.items()))
    try:
        loaded = read_destination(destination, document, actions, templates)
        return replace(
            loaded,
            calls=read_calls(document, calls, templates),
            audiences=read_audiences(document),
            verifications=read_verifications(document),
        )
    except (UnknownSourceError, BrokenContractError):
        problems = [
            *unknown_sources(folder, document),
            *_broken_contracts((*actions.values(), *calls.values())),
        ]
        raise DefinitionError(problems) from None


def folder_of(schemas: Path) -> Folder:
    """Return the definition files of a destination's folder."""
    from connector.definitions.resolve import Folder

    return Folder(schemas, standard_identifiers())


def action_names(folder: Folder) -> Iterator[tuple[str, str]]:
    """Yield the file of every action, and its operation in that file, "" when it has none."""
    for path in action_files(folder.path):
        content = folder.content(path.name)
        yield from ((path.name, name) for name in content.get("operations", ("",)))


def call_names(folder: Folder) -> Iterator[tuple[str, str]]:
    """Yield the file of every call, and its operation in that file, "" when it has none."""
    for path in call_files(folder.path):
        name = f"{CALLS}/{path.name}"
        content = folder.content(name)
        yield from ((name, operation) for operation in content.get("operations", ("",)))


def _stem(name: str) -> str:
    return name.rpartition("/")[2].removesuffix(".json")


def _repeated(folder: Folder) -> Iterator[Problem]:
    """Yield the actions and the calls whose id another file or operation has.

    Programs and people name both, so that no call has the id of an action.
    """
    files: dict[str, str] = {}
    for name, operation in (*action_names(folder), *call_names(folder)):
        own = operation or _stem(name)
        other = files.setdefault(own, name)
        if other != name:
            pointer = f"/operations/{operation}" if operation else ""
            kind = "call" if other.startswith(f"{CALLS}/") else "action"
            message = f"the {kind} '{own}' is also in {other}"
            yield Problem("D111", str(folder.path / name), pointer, message, "rename one of them")


def _incomplete(kind: str, actions: Collection[Document]) -> Iterator[Problem]:
    """Yield what is missing or invalid once everything that documents extend is put in.

    What several lack is said once, of what all of them extend; what only one lacks, of that one.
    """
    same: dict[tuple[Location, Problem], list[tuple[Document, str]]] = {}
    for action in actions:
        for problem in form_problems(kind, action.content, "", "D"):
            key = (action.base(problem.pointer), problem._replace(pointer=""))
            same.setdefault(key, []).append((action, problem.pointer))

    for (base, problem), places in same.items():
        action, pointer = places[0]
        place = base
        if len(places) == 1:
            others = [other for other in actions if other is not action]
            is_own = any(other.is_laid_over(base) for other in others)
            place = action.origin("").below_pointer(pointer) if is_own else action.origin(pointer)
        yield problem._replace(file=place.file, pointer=place.pointer)


def _broken_contracts(actions: Iterable[Document]) -> Iterator[Problem]:
    """Yield a problem for each contract that cannot be put together."""
    for action in actions:
        reference = action.content["action"].get("accepts")
        error = action.folder.broken_contract(reference) if reference else None
        if error is None:
            continue
        place = error.place
        hint = "allowed: #/$defs/name, or a file of this folder, with an optional pointer"
        if place is None:
            place = action.origin("/action/accepts")
            hint = _contracts_hint(action.folder, reference)
        yield Problem("D110", place.file, place.pointer, str(error), hint)


def _contracts_hint(folder: Folder, reference: str) -> str:
    """Return which contracts there are instead of one that does not exist."""
    name, _, pointer = reference.partition("#")
    known = [path.name for path in folder.path.glob("*.accepts.json")]
    return f"'{name}' has nothing at {pointer}" if name in known else nearest(name, known)


def unknown_sources(folder: Folder, document: Document) -> Iterator[Problem]:
    """Yield a problem for each name of a source that is not declared, where it is first used."""
    from connector.definitions.read import declared_sources

    known = declared_sources(document)
    places: dict[str, list[Problem]] = {}
    for path in [*definition_files(folder.path), *export_files(folder.path)]:
        if kind_of(path) == "contract":
            continue
        name_in_folder = path.relative_to(folder.path).as_posix()
        for pointer, source in _written_sources(folder.content(name_in_folder), ""):
            name = source.partition(":")[0]
            if name not in known:
                hint = f"{nearest(name, known)}; add it to 'sources' in destination.json"
                problem = Problem("D112", str(path), pointer, f"unknown source '{name}'", hint)
                places.setdefault(name, []).append(problem)

    for first, *more in places.values():
        message = f"{first.message}, in {len(more) + 1} places" if more else first.message
        yield first._replace(message=message)


def _written_sources(node: object, pointer: str) -> Iterator[tuple[str, str]]:
    """Yield every `source` of a document with its pointer."""
    members: Iterable[tuple[object, object]] = ()
    if isinstance(node, dict):
        members = node.items()
    elif isinstance(node, list):
        members = enumerate(node)
    for key, value in members:
        below = pointer + json_pointer([key])
        if key == "source" and isinstance(value, str):
            yield below, value
        elif key not in _FREE_KEYS:
            yield from _written_sources(value, below)


def _has_destination(folder: Path, destination: str) -> bool:
    schemas = folder / "schemas" / destination
    return (schemas / "destination.json").is_file()


def _destinations(folder: Path) -> list[str]:
    """Return the ids of a definition folder's destinations."""
    files = (folder / "schemas").glob("*/destination.json")
    return [file.parent.name for file in files]

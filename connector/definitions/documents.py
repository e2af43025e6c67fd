"""The documents of a destination's folder by kind, and everything that is wrong with them.

They are checked in stages: the form of every file, what they extend, the whole, then the sources
and contracts that they refer to. A stage that an earlier one would mislead is left out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, get_args

from connector.definitions.metaschema import (
    action_files,
    call_files,
    check_form,
    definition_files,
    export_files,
    form_problems,
    kind_of,
    own_files,
    standard_identifiers,
)
from connector.definitions.read import UnknownSourceError, declared_sources
from connector.definitions.resolve import (
    BrokenContractError,
    Document,
    Folder,
    Location,
    references,
)
from connector.errors import DefinitionError, Problem, nearest
from connector.validation.explain import pointer as json_pointer

#: The kinds of documents, in the order in which problems are told.
Kind = Literal["action", "call", "export", "destination"]

_DESTINATION = "destination.json"

# What holds keys of an author's own: one may be called 'source'.
_FREE_KEYS = ("examples", "share", "query", "headers", "with", "deleted")


def folder_of(schemas: Path) -> Folder:
    """Return the definition files of a destination's folder."""
    return Folder(schemas, standard_identifiers())


def documents_of(folder: Folder, *kinds: Kind) -> dict[Kind, dict[str, Document]]:
    """Return the documents of some kinds by their ids.

    With the destination, all files are checked that stand beside it: what others extend is there.
    Raise DefinitionError with every problem of the first stage that finds one.
    """
    _stop_at(problem for kind in kinds for problem in check_form(_files(folder, kind)))

    found: dict[Kind, dict[str, Document]] = {}
    problems: list[Problem] = []
    for kind in kinds:
        found[kind] = {}
        for name, operation in names_of(folder, kind):
            try:
                found[kind][operation or _stem(name)] = folder.document(name, operation)
            except DefinitionError as error:
                problems += error.problems
    _stop_at(problems)

    problems += _repeated(folder, kinds)
    for kind in kinds:
        problems += _of_the_whole(folder, kind, found[kind].values())
    _stop_at(problems)
    return found


def every_problem(schemas: Path) -> list[Problem]:
    """Return what is wrong with all files of a destination's folder."""
    folder = folder_of(schemas)
    try:
        found = documents_of(folder, *get_args(Kind))
    except DefinitionError as error:
        return list(error.problems)
    documents = (*found["action"].values(), *found["call"].values())
    return [*_unknown_sources(folder), *_broken_contracts(documents)]


@contextmanager
def checked_references(folder: Folder, documents: Collection[Document]) -> Iterator[None]:
    """Raise DefinitionError for a source or a contract that cannot be found while reading."""
    try:
        yield
    except (UnknownSourceError, BrokenContractError):
        problems = [*_unknown_sources(folder), *_broken_contracts(documents)]
        raise DefinitionError(problems) from None


def _stop_at(problems: Iterable[Problem]) -> None:
    """Raise DefinitionError with the problems, each once, if there are any."""
    unique = list(dict.fromkeys(problems))
    if unique:
        raise DefinitionError(unique)


def _files(folder: Folder, kind: Kind) -> Sequence[Path]:
    """Return the files whose form is checked with the documents of a kind."""
    if kind == "call":
        return call_files(folder.path)
    if kind == "export":
        return export_files(folder.path)
    return own_files(folder.path) if kind == "destination" else ()


def names_of(folder: Folder, kind: Kind) -> Iterator[tuple[str, str]]:
    """Yield the file of every document of a kind, and its operation in it, "" without any."""
    if kind == "destination":
        yield _DESTINATION, ""
        return
    files = action_files(folder.path) if kind == "action" else _files(folder, kind)
    for path in files:
        name = path.relative_to(folder.path).as_posix()
        for operation in folder.content(name).get("operations", ("",)):
            yield name, operation


def _stem(name: str) -> str:
    return name.rpartition("/")[2].removesuffix(".json")


def _repeated(folder: Folder, kinds: Sequence[Kind]) -> Iterator[Problem]:
    """Yield the documents of some kinds whose id an action, or another of them, has.

    Programs and people name all of them alike.
    """
    files: dict[str, tuple[str, Kind]] = {}
    for kind in dict.fromkeys(("action", *kinds)):
        for name, operation in names_of(folder, kind):
            own = operation or _stem(name)
            other, other_kind = files.setdefault(own, (name, kind))
            if other != name:
                pointer = f"/operations/{operation}" if operation else ""
                message = f"the {other_kind} '{own}' is also in {other}"
                path = str(folder.path / name)
                yield Problem("D111", path, pointer, message, "rename one of them")


def _of_the_whole(folder: Folder, kind: Kind, documents: Collection[Document]) -> Iterator[Problem]:
    if kind != "destination":
        yield from _incomplete(f"{kind}#whole", documents)
    elif any(references(folder.content(_DESTINATION))):
        yield from _incomplete("destination", documents)


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


def _unknown_sources(folder: Folder) -> Iterator[Problem]:
    """Yield a problem for each name of a source that is not declared, where it is first used."""
    known = declared_sources(folder.document(_DESTINATION))
    places: dict[str, list[Problem]] = {}
    for path in definition_files(folder.path):
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

"""`extends` between definition files: one folder and the standard identifiers, never the network.

What a node extends comes first, its own keys are laid over it: objects member by member, everything
else replaced. The result has no `extends` left, and can tell where every value was written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from connector._util.json_file import read_json
from connector.errors import DefinitionError, Problem, nearest
from connector.validation.explain import lookup
from connector.validation.explain import pointer as json_pointer

#: `standard#email` stands for `/$defs/email` in the file of standard identifiers.
_STANDARD = "standard#"

# Contracts refer to what many of them have in common as JSON Schema does, by a relative path.
_STANDARD_CONTRACTS = "../standard/contracts.json"

# Where the contract of an action stands in what it comes to.
_CONTRACT = "/action/accepts"

# What is for readers and editors, or for other files to extend.
_NOT_CONTENT = ("extends", "$schema", "$comment", "$defs")


class Location(NamedTuple):
    """A file (its name in the folder, or its whole path in messages) and a JSON pointer in it."""

    file: str
    pointer: str

    def below(self, key: object) -> Location:
        """Return the location of a member or an element."""
        return Location(self.file, self.pointer + json_pointer([key]))

    def below_pointer(self, pointer: str) -> Location:
        """Return the location of what a pointer leads to from here."""
        return Location(self.file, self.pointer + pointer)


class Document:
    """A definition without `extends`.

    `content` is what it says, `operation` the member of `operations` that is laid over the file, ""
    for a file without them.
    """

    def __init__(self, folder: Folder, name: str, operation: str, content: dict[str, Any]) -> None:
        self.folder = folder
        self.content = content
        self._name = name
        self._operation = operation

    def origin(self, pointer: str) -> Location:
        """Return where a value was written, or where it would be."""
        return self._nearest(pointer, self._origins)

    def base(self, pointer: str) -> Location:
        """Return where the part of an object is written that everything else is laid over."""
        return self._nearest(pointer, self._expansion.bases)

    def is_laid_over(self, location: Location) -> bool:
        """Return whether something in this document is laid over what is written there."""
        return location in self._expansion.bases.values()

    @cached_property
    def _expansion(self) -> _Expansion:
        # Only problems ask for it, and to note every location takes most of the time of loading.
        expansion = _Expansion(self.folder, track=True)
        expansion.document(self._name, self._operation)
        return expansion

    @cached_property
    def _origins(self) -> Mapping[str, Location]:
        origins = self._expansion.origins
        accepts = self.content.get("action", {}).get("accepts")
        if accepts is None or self.folder.broken_contract(accepts):
            return origins

        contract = _Contract(self.folder, track=True)
        contract.at(accepts)
        # A problem of the contract as a whole is one of `accepts`.
        return {**contract.origins, **origins}

    def _nearest(self, pointer: str, written: Mapping[str, Location]) -> Location:
        """Return where a value of this folder is written, or where it would be."""
        unwritten = ""
        # No author of a destination changes the standard: what it says can be said here.
        while pointer not in written or written[pointer].file == str(self.folder.standard):
            pointer, _, key = pointer.rpartition("/")
            unwritten = f"/{key}{unwritten}"

        file, start = written[pointer]
        return Location(file, start + unwritten)


class Folder:
    """The definition files of one destination; each is read once."""

    def __init__(self, path: Path, standard: Path) -> None:
        """Take the folder, and the file of standard identifiers."""
        self.path = path
        self.standard = standard
        self._contents: dict[str, Any] = {}
        self._contracts: dict[str, Any] = {}
        #: What files share, expanded once for all that extend it.
        self.expanded: dict[Location, Any] = {}

    def file(self, name: str) -> Path:
        """Return the path of a file by its name in this folder, or of the standard identifiers."""
        if name == _STANDARD:
            return self.standard
        if name == _STANDARD_CONTRACTS:
            return self.standard.with_name("contracts.json")
        return self.path / name

    def content(self, name: str) -> Any:
        """Return a file as it is written. Raise DefinitionError (D101) for invalid JSON."""
        if name not in self._contents:
            self._contents[name] = read_json(self.file(name))
        return self._contents[name]

    def document(self, name: str, operation: str = "") -> Document:
        """Return one file, or one of its operations, with every `extends` put in.

        Raise DefinitionError: D101 for invalid JSON, else every D108.
        """
        expansion = _Expansion(self, track=False)
        try:
            content = expansion.document(name, operation)
        except _UnresolvedError:
            tracked = _Expansion(self, track=True)
            tracked.document(name, operation)
            raise DefinitionError(tracked.problems) from None
        return Document(self, name, operation, content)

    def contract(self, reference: str) -> Any:
        """Return the contract that a reference leads to, with every `$ref` put in.

        Raise BrokenContractError when it does not exist, or one of its `$ref` leads nowhere.
        """
        if reference not in self._contracts:
            self._contracts[reference] = _Contract(self, track=False).at(reference)
        return self._contracts[reference]

    def broken_contract(self, reference: str) -> BrokenContractError | None:
        """Return what is wrong with a contract, and where; None when nothing is."""
        try:
            _Contract(self, track=True).at(reference)
        except BrokenContractError as error:
            return error
        return None

    def lookup(self, target: Location) -> Any:
        """Return what a location leads to, as it is written. Raise LookupError."""
        if not self.file(target.file).is_file():
            raise LookupError(target.file)
        try:
            return lookup(self.content(target.file), target.pointer)
        except (ValueError, TypeError):
            raise LookupError(target.pointer) from None


class BrokenContractError(Exception):
    """A reference to a contract, or of one, that cannot be followed.

    `place` is where it is written, None when it is that of `accepts`.
    """

    def __init__(self, message: str, place: Location | None = None) -> None:
        super().__init__(message)
        self.place = place


class _UnresolvedError(Exception):
    """Something cannot be extended; an expansion that tracks locations says what and where."""


class _Cursor(NamedTuple):
    """Where an expansion is.

    `location` is where the node is written, `pointer` where it is in the result, `open` what is
    being extended.
    """

    location: Location
    pointer: str = ""
    open: tuple[Location, ...] = ()

    def below(self, key: object) -> _Cursor:
        """Return the cursor of a member or an element."""
        return _Cursor(self.location.below(key), self.pointer + json_pointer([key]), self.open)

    def at(self, target: Location) -> _Cursor:
        """Return the cursor of what is extended: it takes the place of the node."""
        return _Cursor(target, self.pointer, (*self.open, target))


class _FileOnly(NamedTuple):
    """Where an expansion is that notes no locations: in which file."""

    location: Location
    open: tuple[Location, ...] = ()

    def below(self, _key: object) -> _FileOnly:
        return self

    def at(self, target: Location) -> _FileOnly:
        return _FileOnly(target, (*self.open, target))


class _Tracker:
    """Notes where the values of a result were written, if it is asked to.

    `origins` has the first place of each value, `bases` the last.
    """

    def __init__(self, folder: Folder, *, track: bool) -> None:
        self._folder = folder
        self._track = track
        self._paths: dict[str, str] = {}
        self.origins: dict[str, Location] = {}
        self.bases: dict[str, Location] = {}

    def _start(self, location: Location, pointer: str = "") -> _Cursor | _FileOnly:
        return _Cursor(location, pointer) if self._track else _FileOnly(location)

    def _note(self, cursor: _Cursor | _FileOnly) -> None:
        if isinstance(cursor, _Cursor):
            place = self._in_messages(cursor.location)
            # What is laid over comes before what it is laid over.
            self.origins.setdefault(cursor.pointer, place)
            self.bases[cursor.pointer] = place

    def _expand(self, node: Any, cursor: _Cursor | _FileOnly) -> Any:
        """Return a node with what its references lead to put in."""
        raise NotImplementedError

    def _elements(self, nodes: list[Any], cursor: _Cursor | _FileOnly) -> list[Any]:
        elements = []
        for index, node in enumerate(nodes):
            elements.append(self._expand(node, cursor.below(index)))
        return elements

    def _in_messages(self, location: Location) -> Location:
        """Return a location with the whole path of its file."""
        file = location.file
        if file not in self._paths:
            # A path is dear, and a document has thousands of locations in a few files.
            self._paths[file] = str(self._folder.file(file))
        return Location(self._paths[file], location.pointer)


class _Contract(_Tracker):
    """A contract while what its `$ref`s lead to is put in, as JSON Schema means it: both hold."""

    def at(self, reference: str) -> Any:
        """Return the contract that a reference leads to."""
        name, _, fragment = reference.partition("#")
        target = Location(name, fragment)
        try:
            node = self._folder.lookup(target)
        except LookupError:
            raise BrokenContractError(f"'{reference}' does not exist") from None
        return self._expand(node, self._start(target, _CONTRACT))

    def _expand(self, node: Any, cursor: _Cursor | _FileOnly) -> Any:
        self._note(cursor)
        if isinstance(node, list):
            return self._elements(node, cursor)
        if not isinstance(node, dict):
            return node

        own = {}
        for key, value in node.items():
            if key not in ("$ref", "$defs"):
                own[key] = self._expand(value, cursor.below(key))

        ref = node.get("$ref")
        if not isinstance(ref, str):
            return own
        schema = self._follow(ref, cursor)
        if not own:
            return schema
        if isinstance(schema, dict) and not own.keys() & schema.keys():
            return {**schema, **own}
        return {"allOf": [schema, own]}

    def _follow(self, ref: str, cursor: _Cursor | _FileOnly) -> Any:
        """Return what a `$ref` leads to, with what its own lead to put in."""
        target = _target(ref, cursor.location.file)
        place = self._in_messages(cursor.location.below("$ref"))
        if target in cursor.open:
            raise BrokenContractError(f"'{ref}' refers to itself", place)
        try:
            node = self._folder.lookup(target)
        except LookupError:
            raise BrokenContractError(f"'{ref}' does not exist", place) from None
        return self._expand(node, cursor.at(target))


class _Expansion(_Tracker):
    """One document while what it extends is put in.

    Without `track` it raises _UnresolvedError at the first problem; with it, `origins` and
    `problems` say where everything was written, and what is wrong.
    """

    def __init__(self, folder: Folder, *, track: bool) -> None:
        super().__init__(folder, track=track)
        # A dict, because one problem may be met twice.
        self.problems: dict[Problem, None] = {}

    def document(self, name: str, operation: str) -> dict[str, Any]:
        """Return a file with an operation laid over it."""
        written = self._folder.content(name)
        start = Location(name, "")
        cursor = self._start(start)
        if not operation:
            return self._expand(written, cursor)  # type: ignore[no-any-return]

        at_operation = start.below("operations").below(operation)
        # The operation first: of two locations of one value the first is kept.
        own = self._expand(written["operations"][operation], self._start(at_operation))
        shared = {key: value for key, value in written.items() if key != "operations"}
        return merged(self._expand(shared, cursor), own)  # type: ignore[no-any-return]

    def _expand(self, node: Any, cursor: _Cursor | _FileOnly) -> Any:
        self._note(cursor)
        if isinstance(node, list):
            return self._elements(node, cursor)

        if not isinstance(node, dict):
            return node

        own = {}
        for key, value in node.items():
            # A parameter of that name extends nothing.
            if key not in _NOT_CONTENT or (key == "extends" and isinstance(value, dict)):
                own[key] = self._expand(value, cursor.below(key))

        references = node.get("extends")
        if not isinstance(references, list):
            return own

        extended: Any = {}
        for index, reference in enumerate(references):
            one = self._follow(str(reference), cursor, index)
            paths = sorted(_contradictions(extended, one, own))
            if paths:
                message = (
                    f"'{reference}' contradicts what is extended before it: {', '.join(paths)}"
                )
                self._report(cursor, index, message, "say that here, or extend only one of them")
            extended = merged(extended, one)
        return merged(extended, own)

    def _follow(self, reference: str, cursor: _Cursor | _FileOnly, index: int) -> Any:
        """Return what a reference leads to, expanded."""
        target = _target(reference, cursor.location.file)
        if target in cursor.open:
            hint = "remove one of these references; what both need can stand in a third place"
            self._report(cursor, index, f"'{reference}' extends itself", hint)
            return {}

        if not self._track and target in self._folder.expanded:
            return self._folder.expanded[target]

        try:
            node = self._folder.lookup(target)
        except LookupError:
            message = f"'{reference}' does not exist"
            self._report(cursor, index, message, self._alternatives(reference, target))
            return {}
        if not isinstance(node, dict):
            hint = "extend a file, a parameter, or another object"
            self._report(cursor, index, f"'{reference}' is not an object", hint)
            return {}

        expanded = self._expand(node, cursor.at(target))
        if not self._track:
            self._folder.expanded[target] = expanded
        return expanded

    def _alternatives(self, reference: str, target: Location) -> str:
        """Return a hint: what there is instead of what a reference leads to."""
        if reference.startswith(_STANDARD):
            names = self._folder.content(_STANDARD)["$defs"]
            return nearest(reference, [_STANDARD + name for name in names])
        if self._folder.file(target.file).is_file():
            return f"'{target.file}' has nothing at {target.pointer}"
        return nearest(target.file, [path.name for path in self._folder.path.glob("*.json")])

    def _report(self, cursor: _Cursor | _FileOnly, index: int, message: str, hint: str) -> None:
        if not self._track:
            raise _UnresolvedError
        place = self._in_messages(cursor.location.below("extends").below(index))
        self.problems[Problem("D108", place.file, place.pointer, message, hint)] = None


def _target(reference: str, file: str) -> Location:
    """Return where a reference leads to that is written in a file."""
    if reference.startswith(_STANDARD):
        return Location(_STANDARD, "/$defs/" + reference.removeprefix(_STANDARD))
    name, _, fragment = reference.partition("#")
    return Location(name or file, fragment)


def _contradictions(first: Any, second: Any, own: Any, path: str = "") -> Iterator[str]:
    """Yield the pointers of members that two nodes say differently, and the own keys do not say."""
    if not (isinstance(first, dict) and isinstance(second, dict)):
        if first != second:
            yield path
        return
    for key in first.keys() & second.keys():
        own_value = own.get(key) if isinstance(own, dict) else None
        if own_value is None or isinstance(own_value, dict):
            yield from _contradictions(first[key], second[key], own_value, path + f"/{key}")


def merged(base: Any, own: Any) -> Any:
    """Return the base with own keys laid over: objects member by member."""
    if not (isinstance(base, dict) and isinstance(own, dict)):
        return own

    result = dict(base)
    for key, value in own.items():
        below = result.get(key)
        if isinstance(value, dict) and isinstance(below, dict):
            result[key] = merged(below, value)
        else:
            result[key] = value
    return result


def references(node: Any) -> Iterator[str]:
    """Yield every reference to a file of the folder: those of `extends`, `accepts`, `$ref`."""
    if isinstance(node, dict):
        for reference in _list_of(node.get("extends")):
            if isinstance(reference, str) and not reference.startswith(_STANDARD):
                yield reference
        for key in ("$ref", "accepts"):
            reference = node.get(key)
            if isinstance(reference, str) and not reference.startswith(_STANDARD_CONTRACTS):
                yield reference
        node = list(node.values())
    if isinstance(node, list):
        for part in node:
            yield from references(part)


def _list_of(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []

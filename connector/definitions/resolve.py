"""`$ref` between definition files: one folder, never the network.

Keys beside a `$ref` are laid over what it points to: objects member by member, everything else
replaced. The result has no `$ref` left, and every value in it remembers where it was written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from referencing import Registry, Resource
from referencing.exceptions import NoSuchResource, Unresolvable
from referencing.jsonschema import DRAFT202012

from connector._util.json_file import read_json
from connector.errors import DefinitionError, Problem, nearest
from connector.validation.explain import pointer as json_pointer


class Location(NamedTuple):
    """A file (its name in the folder, or its whole path in messages) and a JSON pointer in it."""

    file: str
    pointer: str

    def below(self, key: object) -> Location:
        """Return the location of a member or an element."""
        return Location(self.file, self.pointer + json_pointer([key]))


class Document(NamedTuple):
    """A definition without `$ref`s.

    `origins` maps a JSON pointer in `content` to the location where it was written.
    """

    content: dict[str, Any]
    origins: Mapping[str, Location]

    def origin(self, pointer: str) -> Location:
        """Return where a value was written, or where it would be."""
        unwritten = ""
        while pointer not in self.origins:
            pointer, _, key = pointer.rpartition("/")
            unwritten = f"/{key}{unwritten}"

        file, start = self.origins[pointer]
        return Location(file, start + unwritten)


class Folder:
    """The definition files of one folder; each is read once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._registry: Registry[Any] = Registry(retrieve=self._retrieve)  # type: ignore[call-arg]

    def _retrieve(self, uri: str) -> Resource[Any]:
        path = self._path / uri
        if "/" in uri or ":" in uri or not path.is_file():
            raise NoSuchResource(ref=uri)  # type: ignore[call-arg]
        return DRAFT202012.create_resource(read_json(path))

    def document(self, name: str) -> Document:
        """Return one file with every `$ref` resolved.

        Raise DefinitionError: D101 for invalid JSON, else every D108.
        """
        resource = DRAFT202012.create_resource(read_json(self._path / name))
        self._registry = self._registry.with_resource(name, resource)
        expansion = _Expansion(self._path, self._registry)

        content = expansion.expand(resource.contents, _Cursor(Location(name, "")))
        if expansion.problems:
            raise DefinitionError(expansion.problems)
        return Document(content, expansion.origins)


class _Cursor(NamedTuple):
    """Where an expansion is.

    `location` is where the node is written, `pointer` where it is in the result, `open_refs` the
    references that are being followed.
    """

    location: Location
    pointer: str = ""
    open_refs: tuple[Location, ...] = ()

    def below(self, key: object) -> _Cursor:
        """Return the cursor of a member or an element."""
        pointer = self.pointer + json_pointer([key])
        return _Cursor(self.location.below(key), pointer, self.open_refs)

    def at(self, target: Location) -> _Cursor:
        """Return the cursor of what a reference points to: it takes the place of the reference."""
        return _Cursor(target, self.pointer, (*self.open_refs, target))


class _Expansion:
    """One document while its `$ref`s are put in."""

    def __init__(self, folder: Path, registry: Registry[Any]) -> None:
        self._folder = folder
        self._registry = registry
        self.origins: dict[str, Location] = {}
        self._paths: dict[str, str] = {}
        # A dict, because two references may lead to one problem.
        self.problems: dict[Problem, None] = {}

    def expand(self, node: Any, cursor: _Cursor) -> Any:
        """Return a node without `$ref`s."""
        if cursor.pointer not in self.origins:
            self.origins[cursor.pointer] = self._in_messages(cursor.location)

        if isinstance(node, list):
            elements = []
            for index, element in enumerate(node):
                elements.append(self.expand(element, cursor.below(index)))
            return elements

        if not isinstance(node, dict):
            return node

        own = {}
        for key, value in node.items():
            if key != "$ref":
                own[key] = self.expand(value, cursor.below(key))

        ref = node.get("$ref")
        if not isinstance(ref, str):
            return own
        return self._follow(ref, own, cursor)

    def _follow(self, ref: str, own: dict[str, Any], cursor: _Cursor) -> Any:
        """Return what a reference points to, with the keys beside it laid over."""
        location = cursor.location
        file, _, fragment = ref.partition("#")
        target = Location(file or location.file, fragment)

        if target in cursor.open_refs:
            hint = "move what both files need into one of them"
            self._report(location, f"'{ref}' is a circular reference", hint)
            return own

        try:
            resolver = self._registry.resolver(target.file)
            node = resolver.lookup(f"{target.file}#{target.pointer}").contents
        except Unresolvable:
            self._report(
                location, f"'{ref}' is an unresolved reference", self._alternatives(target)
            )
            return own

        return _merged(self.expand(node, cursor.at(target)), own)

    def _alternatives(self, target: Location) -> str:
        """Return a hint: what there is instead of what a reference points to."""
        if (self._folder / target.file).is_file():
            return f"'{target.file}' has nothing at {target.pointer}"
        return nearest(target.file, [path.name for path in self._folder.glob("*.json")])

    def _report(self, location: Location, message: str, hint: str) -> None:
        file, pointer = self._in_messages(location)
        self.problems[Problem("D108", file, f"{pointer}/$ref", message, hint)] = None

    def _in_messages(self, location: Location) -> Location:
        """Return a location with the whole path of its file."""
        file = location.file
        if file not in self._paths:
            # A path is dear, and a document has thousands of locations in a few files.
            self._paths[file] = str(self._folder / file)
        return Location(self._paths[file], location.pointer)


def _merged(target: Any, own: dict[str, Any]) -> Any:
    """Return the target with own keys laid over: objects member by member."""
    if not isinstance(target, dict):
        return own or target

    merged = dict(target)
    for key, value in own.items():
        if isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = _merged(merged[key], value)
        else:
            merged[key] = value
    return merged


def references(node: Any) -> Iterator[str]:
    """Yield every `$ref` of a document as it is written."""
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        node = list(node.values())
    if isinstance(node, list):
        for part in node:
            yield from references(part)

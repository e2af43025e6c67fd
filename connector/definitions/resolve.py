"""`$ref` between definition files: one folder, never the network.

Keys beside a `$ref` are laid over what it points to: objects member by member, everything else replaced. The result
has no `$ref` left, and every place of it remembers the file and pointer it came from.
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
from connector.validation.explain import pointer


class Document(NamedTuple):
    """A definition without `$ref`s. `origins` maps a JSON pointer in it to (file, pointer) where it was written."""

    content: dict[str, Any]
    origins: Mapping[str, tuple[str, str]]

    def origin(self, place: str) -> tuple[str, str]:
        """Return (file, pointer) of a place; of what surrounds it when the place itself was never written."""
        rest = ""
        while place not in self.origins:
            place, _, last = place.rpartition("/")
            rest = f"/{last}{rest}"
        file, start = self.origins[place]
        return file, start + rest


class Folder:
    """The definition files of one folder; each is read once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._registry: Registry[Any] = Registry(retrieve=self._retrieve)  # type: ignore[call-arg]
        self._problems: dict[Problem, None] = {}

    def _retrieve(self, uri: str) -> Resource[Any]:
        if "/" in uri or ":" in uri or not (self.path / uri).is_file():
            raise NoSuchResource(ref=uri)  # type: ignore[call-arg]
        return DRAFT202012.create_resource(read_json(self.path / uri))

    def document(self, name: str) -> Document:
        """Return one file with every `$ref` put in. Raises DefinitionError (D101, or every D108 there is)."""
        resource = DRAFT202012.create_resource(read_json(self.path / name))
        self._registry = self._registry.with_resource(name, resource)
        origins: dict[str, tuple[str, str]] = {}
        self._problems.clear()
        content = self._expand(resource.contents, (name, ""), "", origins, ())
        if self._problems:
            raise DefinitionError(self._problems)
        return Document(content, origins)

    def _expand(
        self, node: Any, at: tuple[str, str], place: str, origins: Any, open_refs: tuple[Any, ...]
    ) -> Any:
        origins.setdefault(place, self._shown(at))
        if isinstance(node, list):
            return [
                self._expand(v, _below(at, i), _below(("", place), i)[1], origins, open_refs)
                for i, v in enumerate(node)
            ]
        if not isinstance(node, dict):
            return node
        own = {
            key: self._expand(
                value, _below(at, key), _below(("", place), key)[1], origins, open_refs
            )
            for key, value in node.items()
            if key != "$ref"
        }
        if not isinstance(node.get("$ref"), str):
            return own
        target_at = self._target(node["$ref"], at)
        if target_at in open_refs:
            self._refuse(
                at,
                f"'{node['$ref']}' leads back to itself",
                "let one of the two files hold what both need",
            )
            return own
        try:
            found = self._registry.resolver(target_at[0]).lookup("#".join(target_at)).contents
        except Unresolvable:
            self._refuse(at, f"'{node['$ref']}' points to nothing", self._there(*target_at))
            return own
        return _over(self._expand(found, target_at, place, origins, (*open_refs, target_at)), own)

    def _target(self, ref: str, at: tuple[str, str]) -> tuple[str, str]:
        file, _, fragment = ref.partition("#")
        return file or at[0], fragment

    def _there(self, file: str, fragment: str) -> str:
        """Say what there is instead of what a reference points to."""
        if (self.path / file).is_file():
            return f"'{file}' has nothing at {fragment}"
        return nearest(file, (path.name for path in self.path.glob("*.json")))

    def _refuse(self, at: tuple[str, str], message: str, hint: str) -> None:
        file, place = self._shown(at)
        self._problems[Problem("D108", file, place + "/$ref", message, hint)] = None

    def _shown(self, at: tuple[str, str]) -> tuple[str, str]:
        return str(self.path / at[0]), at[1]


def _below(at: tuple[str, str], key: object) -> tuple[str, str]:
    return at[0], at[1] + pointer([key])


def _over(target: Any, own: dict[str, Any]) -> Any:
    if not isinstance(target, dict):
        return own or target
    merged = dict(target)
    for key, value in own.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _over(merged[key], value) if both else value
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

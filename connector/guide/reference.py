"""The reference of the project's files: every key of every file, from the meta-schemas.

`python -m connector.guide.reference > docs/reference.md` writes the page of the documentation.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from connector._util.json_file import read_json
from connector.definitions.metaschema import own_folder, standard_identifiers
from connector.definitions.resolve import merged

INTRODUCTION = """# Reference: every key of every file

Generated from the meta-schemas in `schemas/meta/`, with which editors complete and check the same
files. [language.md](language.md) explains the definitions by example, [contract.md](contract.md)
connections and cases. A key in bold is required.
"""

STANDARD = """## Standard identifiers

What `"extends": ["standard#email"]` puts under a parameter's own keys, from
`schemas/standard/identifiers.json`. Own `normalize` steps replace all of these.
"""

#: The files, and the meta-schema of each.
FILES = {
    "schemas/<destination>/destination.json": "destination",
    "schemas/<destination>/<action>.json": "action",
    "schemas/<destination>/_<name>.json": "fragment",
    "schemas/<destination>/calls/<call>.json": "call",
    "schemas/<destination>/exports/<export>.json": "export",
    "connection.yaml": "connection",
    "*.case.yaml": "case",
}

Schema = Mapping[str, Any]


class Place(NamedTuple):
    """A schema and the meta-schema file that it stands in, which its references start from."""

    file: str
    schema: Schema


class Section(NamedTuple):
    """An object with keys: how it is reached, and its schema."""

    title: str
    place: Place


class _MetaSchemas:
    """The meta-schemas, and what their references lead to."""

    def __init__(self) -> None:
        self._files: dict[str, Any] = {}
        for path in (own_folder() / "schemas" / "meta").glob("*.json"):
            self._files[path.name] = read_json(path)

    def root(self, name: str) -> Place:
        """Return the schema of a kind of file."""
        file = f"{name}.schema.json"
        return Place(file, self._files[file])

    def resolved(self, place: Place) -> Place:
        """Return a place with what its `$ref` leads to under its own keys."""
        reference = place.schema.get("$ref")
        if reference is None:
            return place
        name, _, pointer = reference.partition("#")
        file = name or place.file
        target = self._files[file]
        for part in pointer.split("/")[1:]:
            target = target[part]
        found = self.resolved(Place(file, target))
        own = {key: value for key, value in place.schema.items() if key != "$ref"}
        return Place(found.file, {**found.schema, **own})


class Reference:
    """Walks the meta-schemas from the files down; every object gets one section."""

    def __init__(self) -> None:
        self._meta = _MetaSchemas()
        self._titles: dict[str, str] = {}
        self._waiting: list[Section] = []

    def text(self) -> str:
        """Return the page."""
        parts = [INTRODUCTION]
        for title, name in FILES.items():
            parts.append(f"## `{title}`\n")
            root = self._meta.resolved(self._meta.root(name))
            parts.append(f"{root.schema['description']}\n")
            parts.append(self._table("", root))
            while self._waiting:
                section = self._waiting.pop(0)
                parts.append(f"### `{section.title}`\n")
                parts.append(_sentence(section.place.schema) + "\n")
                parts.append(self._table(section.title, section.place))
        parts.append(_standard_identifiers())
        return "\n".join(parts)

    def _table(self, path: str, place: Place) -> str:
        rows = ["| key | what it is | example |", "|---|---|---|"]
        for name, required, member in self._members(place):
            key = f"**`{name}`**" if required else f"`{name}`"
            found = self._meta.resolved(member)
            what = _cell(_sentence(found.schema))
            link = self._link(f"{path}.{name}".removeprefix("."), found)
            rows.append(f"| {key} | {what}{link} | {_example(found.schema)} |")
        return "\n".join(rows) + "\n"

    def _members(self, place: Place) -> Iterator[tuple[str, bool, Place]]:
        """Yield the keys of an object, of its alternatives too: name, whether required, schema."""
        seen: set[str] = set()
        for part in self._parts(place):
            required = part.schema.get("required", ())
            for name, schema in part.schema.get("properties", {}).items():
                if isinstance(schema, dict) and name not in seen:
                    seen.add(name)
                    yield name, name in required, Place(part.file, schema)

    def _parts(self, place: Place) -> Iterator[Place]:
        """Yield an object's schema and those of its alternatives that have keys of their own."""
        place = self._meta.resolved(place)
        yield place
        for keyword in ("then", "else"):
            if isinstance(place.schema.get(keyword), dict):
                yield from self._parts(Place(place.file, place.schema[keyword]))
        for alternative in place.schema.get("allOf", ()):
            yield from self._parts(Place(place.file, alternative))

    def _link(self, path: str, place: Place) -> str:
        """Return a link to the section of an object's keys, "" when it has none."""
        for suffix, inner in self._objects(place):
            identity = json.dumps(inner.schema, sort_keys=True)
            if identity not in self._titles:
                self._titles[identity] = path + suffix
                self._waiting.append(Section(path + suffix, inner))
            title = self._titles[identity]
            return f" → [`{title}`](#{_anchor(title)})"
        return ""

    def _objects(self, place: Place) -> Iterator[tuple[str, Place]]:
        """Yield the object, or that of each element or member, with what stands after its path."""
        if any(self._members(place)):
            yield "", place
            return
        for keyword, suffix in (("items", "[]"), ("additionalProperties", ".<name>")):
            inner = place.schema.get(keyword)
            if isinstance(inner, dict):
                found = self._meta.resolved(Place(place.file, inner))
                if any(self._members(found)):
                    yield suffix, found


def _standard_identifiers() -> str:
    """Return the table of the parameters that every destination may extend."""
    rows = ["| extend | title | steps | |", "|---|---|---|---|"]
    standard = read_json(standard_identifiers())["$defs"]
    for name, written in standard.items():
        parameter = _extended(written, standard)
        identifier = parameter.get("identifier", {})
        steps = json.dumps(identifier.get("normalize", []), ensure_ascii=False)
        kind = "no identifier"
        if identifier:
            kind = "identifier" if identifier.get("alone", True) else "companion"
        rows.append(f"| `standard#{name}` | {parameter['title']} | `{_cell(steps)}` | {kind} |")
    return f"{STANDARD}\n" + "\n".join(rows) + "\n"


def _extended(parameter: Schema, standard: Mapping[str, Schema]) -> Schema:
    """Return a parameter of the standard with those that it extends under it."""
    for reference in parameter.get("extends", ()):
        name = reference.rpartition("/")[2]
        parameter = merged(_extended(standard[name], standard), parameter)
    return parameter


def _sentence(schema: Schema) -> str:
    """Return a description as a sentence."""
    text = str(schema.get("description") or schema.get("title", ""))
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", ":")) else ".")


def _example(schema: Schema) -> str:
    examples = schema.get("examples", ())
    if not examples:
        return ""
    text = json.dumps(examples[0], ensure_ascii=False)
    return f"`{_cell(text)}`" if len(text) <= 120 else ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")


def _anchor(title: str) -> str:
    """Return the anchor that a heading gets on the usual hosts of Markdown."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


if __name__ == "__main__":
    sys.stdout.write(Reference().text())

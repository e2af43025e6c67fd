"""Exports: the files of lines that a destination's definition describes, as typed values.

They stand in the folder `exports/` of the destination, and are read only where they are asked for:
loading a destination does without them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from connector._util.json_file import read_json
from connector.definitions.catalog import unknown_sources
from connector.definitions.derive import export_schema
from connector.definitions.metaschema import EXPORTS, export_files, form_problems
from connector.definitions.model import Destination, Field, Identifier, JsonSchema, Source
from connector.definitions.read import Reader, UnknownSourceError, declared_sources
from connector.definitions.uri_template import placeholders
from connector.errors import DefinitionError, Problem

if TYPE_CHECKING:
    from connector.definitions.resolve import Document

#: What `{date}` in the name of a file stands for is no parameter.
DATE = "date"

_DELIMITERS = {"comma": ",", "tab": "\t"}


class Key(NamedTuple):
    """The key of keyed hashes.

    `credential` names it in a connection, `encoding` is that of its text, `size` its length in
    bytes, None where any will do.
    """

    credential: str
    encoding: str
    size: int | None
    source: Source


@dataclass(frozen=True, repr=False)
class Export:
    """One export: its parameters, and how they become a line.

    A line has the cells of `columns`, with `delimiter` between them; where there is a `url`, it is
    that, with the columns in it. `file` is the name that the vendor expects, "" for any.
    """

    id: str
    document: Document
    schema: JsonSchema
    parameters: Mapping[str, Field]
    columns: tuple[str, ...]
    delimiter: str
    url: str
    file: str
    key: Key | None
    source: Source

    def __repr__(self) -> str:
        return f"Export({self.id!r})"

    @property
    def title(self) -> str:
        """The title a person sees."""
        return str(self.schema["title"])

    @property
    def description(self) -> str:
        """What the file is for."""
        return str(self.schema["description"])

    @cached_property
    def identifiers(self) -> tuple[Identifier, ...]:
        """The parameters that name a person, in the order of the file."""
        parameters = self.parameters.values()
        return tuple(one.identifier for one in parameters if one.identifier)

    @cached_property
    def wires(self) -> tuple[str, ...]:
        """The columns of identifiers, each once, in the order of the file."""
        return tuple(dict.fromkeys(identifier.wire for identifier in self.identifiers))

    @cached_property
    def needed_wires(self) -> tuple[str, ...]:
        """The columns of identifiers of which every line has a value."""
        alone = [identifier.wire for identifier in self.identifiers if identifier.alone]
        return tuple(dict.fromkeys(alone))

    def of_wire(self, wire: str) -> list[str]:
        """Return the parameters whose values stand in a column."""
        return [one.parameter for one in self.identifiers if one.wire == wire]

    @cached_property
    def names_of_file(self) -> tuple[str, ...]:
        """The parameters that are a part of the file's name."""
        return tuple(name for name in placeholders(self.file) if name != DATE)


def exports_of(destination: Destination) -> dict[str, Export]:
    """Return the exports of a destination by name. Raise DefinitionError with every problem."""
    folder = destination.document.folder
    files = export_files(folder.path)
    problems = [problem for file in files for problem in _form(file)]
    if problems:
        raise DefinitionError(problems)

    documents = {file.stem: folder.document(f"{EXPORTS}/{file.name}") for file in files}
    problems = [problem for document in documents.values() for problem in _incomplete(document)]
    if problems:
        raise DefinitionError(problems)

    reader = Reader(declared_sources(destination.document))
    try:
        return {name: _read(name, document, reader) for name, document in documents.items()}
    except UnknownSourceError:
        raise DefinitionError(unknown_sources(folder, destination.document)) from None


def _form(file: Path) -> list[Problem]:
    try:
        return form_problems("export", read_json(file), str(file), "D")
    except DefinitionError as error:
        return list(error.problems)


def _incomplete(document: Document) -> Iterator[Problem]:
    """Yield what is missing or invalid once everything that an export extends is put in."""
    for problem in form_problems("export#whole", document.content, "", "D"):
        place = document.origin(problem.pointer)
        yield problem._replace(file=place.file, pointer=place.pointer)


def _read(name: str, document: Document, reader: Reader) -> Export:
    schema = export_schema(document.content)
    members = schema["export"]
    url = members.get("url", "")
    columns = members.get("columns") or dict.fromkeys(placeholders(url))
    return Export(
        id=name,
        document=document,
        schema=schema,
        parameters=reader.fields(schema),
        columns=tuple(columns),
        delimiter=_DELIMITERS.get(members.get("delimiter"), ""),
        url=url,
        file=members.get("file", ""),
        key=_key(members.get("key"), reader),
        source=reader.required_source(members),
    )


def _key(members: Mapping[str, Any] | None, reader: Reader) -> Key | None:
    if members is None:
        return None
    return Key(
        credential=members["credential"],
        encoding=members["encoding"],
        size=members.get("bytes"),
        source=reader.required_source(members),
    )

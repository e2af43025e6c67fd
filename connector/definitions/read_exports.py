"""The exports of a destination: from their documents to typed values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from connector.definitions.derive import export_schema
from connector.definitions.documents import checked_references, documents_of
from connector.definitions.exports import Export, Key
from connector.definitions.model import Destination
from connector.definitions.read import Reader, declared_sources
from connector.definitions.uri_template import placeholders

if TYPE_CHECKING:
    from connector.definitions.resolve import Document

_DELIMITERS = {"comma": ",", "tab": "\t"}


def read_exports(destination: Destination) -> dict[str, Export]:
    """Return the exports of a destination by name. Raise DefinitionError with every problem."""
    folder = destination.document.folder
    documents = documents_of(folder, "export")["export"]
    reader = Reader(declared_sources(destination.document))
    with checked_references(folder, ()):
        return {name: _read(name, document, reader) for name, document in documents.items()}


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

"""Exports: the files of lines that a destination's definition describes, as typed values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from connector.definitions.fields import Field, Form, JsonSchema, Source
from connector.definitions.uri_template import placeholders

if TYPE_CHECKING:
    from connector.definitions.resolve import Document

#: What `{date}` in the name of a file stands for is no parameter.
DATE = "date"


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
class Export(Form):
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

"""Where a problem is: a place in a definition, or a whole file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from connector.definitions.model import Action, Call, Destination
from connector.definitions.resolve import Document
from connector.errors import Problem
from connector.linting.paths import relative_name
from connector.validation.explain import lookup
from connector.validation.explain import pointer as json_pointer


class Location(NamedTuple):
    """A place in a document; `location / key` is a member or an element of it.

    Its text is where that was written, which for what is extended is another file.
    """

    document: Document
    pointer: str = ""

    def __truediv__(self, key: str | int) -> Location:
        return Location(self.document, self.pointer + json_pointer([key]))

    @property
    def content(self) -> Any:
        """What is there. Raise LookupError when nothing is."""
        return lookup(self.document.content, self.pointer)

    def below(self, pointer: str) -> Location:
        """Return the location of what a JSON pointer leads to from here."""
        return Location(self.document, self.pointer + pointer)

    def __str__(self) -> str:
        file, pointer = self.document.origin(self.pointer)
        return f"{relative_name(file)}#{pointer}"

    def problem(self, message: str, hint: str = "") -> Problem:
        """Return a problem of this place, still without a code."""
        file, pointer = self.document.origin(self.pointer)
        return Problem("", file, pointer, message, hint)


def of_action(action: Action) -> Location:
    """Return the location of the keyword `action`."""
    return Location(action.document, "/action")


def of_call(call: Call) -> Location:
    """Return the location of the keyword `action` of a call."""
    return Location(call.document, "/action")


def of_destination(destination: Destination) -> Location:
    """Return the location of the keyword `destination`."""
    return Location(destination.document, "/destination")


def problem_in(file: Path, message: str, hint: str = "") -> Problem:
    """Return a problem of a whole file, still without a code."""
    return Problem("", str(file), "", message, hint)

"""What the rules of lint share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from connector.definitions.model import Action, Destination, Identifier
from connector.definitions.resolve import Document
from connector.errors import Problem

#: Finds one kind of mistake. What it yields has no code yet: the table that lists the rule knows it.
Rule = Callable[[Destination], Iterator[Problem]]


def at(document: Document, place: str, message: str, hint: str = "") -> Problem:
    """Return a problem, still without a code, where a place of a document was written."""
    file, origin = document.origin(place)
    return Problem("", file, origin, message, hint)


def parameters(action: Action) -> list[str]:
    """Return the parameters that name no person: what checks see as `params`."""
    return list(action.shared_parameters)


def told_names(action: Action) -> list[str]:
    """Return what templates see as `params`: the parameters that name no person, and the name of a part."""
    return [
        *parameters(action),
        *([action.split.name] if action.split and action.split.name else []),
    ]


def identifiers(destination: Destination) -> Iterator[tuple[Action, Identifier, str]]:
    """Yield every identifier with its action and the place of its keyword."""
    for action in destination.actions.values():
        for identifier in action.identifiers:
            yield action, identifier, f"/properties/{identifier.parameter}/identifier"


def said(error: Exception) -> tuple[str, str]:
    """Return what an error says as message and hint."""
    message, _, hint = str(error).partition("; ")
    return message, hint


def shown(file: str) -> str:
    """Return a file's name from the current folder on, when it lies below."""
    path = Path(file).absolute()
    return path.relative_to(Path.cwd()).as_posix() if path.is_relative_to(Path.cwd()) else file

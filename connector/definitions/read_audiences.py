"""From a resolved destination to what it says of its audiences, and of what `check` looks at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from connector.definitions.audiences import AudienceKind, Names, Verification
from connector.definitions.read import Reader, declared_sources

if TYPE_CHECKING:
    from connector.definitions.resolve import Document


def read_audiences(destination: Document) -> dict[str, AudienceKind]:
    """Return the kinds of audiences by the parameter of their ids. Raise UnknownSourceError."""
    reader = Reader(declared_sources(destination))
    kinds = {}
    for parameter, members in destination.content["destination"].get("audiences", {}).items():
        kinds[parameter] = AudienceKind(
            parameter=parameter,
            title=members["title"],
            calls=members["calls"],
            names=_names(members.get("names", {})),
            only=members.get("only", False),
            source=reader.required_source(members),
            do_not_reach=members.get("do_not_reach", False),
        )
    return kinds


def _names(members: Mapping[str, Any]) -> Names:
    return Names(
        forbidden=members.get("forbidden", ""),
        longest=members.get("longest"),
        unique=members.get("unique", False),
        search=members.get("search", ""),
        deleted=members.get("deleted"),
    )


def read_verifications(destination: Document) -> tuple[Verification, ...]:
    """Return what `check` looks at, in the order of the file. Raise UnknownSourceError."""
    reader = Reader(declared_sources(destination))
    found = []
    for members in destination.content["destination"].get("verify", ()):
        verification = Verification(
            title=members["title"],
            call=members["call"],
            given=members.get("with", {}),
            require=members.get("require", ""),
            reason=members.get("reason", ""),
            level=members.get("level", "error"),
            source=reader.required_source(members),
        )
        found.append(verification)
    return tuple(found)

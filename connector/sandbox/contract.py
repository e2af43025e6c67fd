"""A vendor's contract for bodies, and its failures by position, in words that hold nothing of the body."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, NamedTuple

from connector.validation.explain import Failure
from connector.validation.schema import Schema

_UNKNOWN_KEY = ("additionalProperties", "unevaluatedProperties", "propertyNames")
# An answer need not list every failure of a group to say that it has one.
_MOST_ERRORS = 20

Errors = list[list[dict[str, str | None]]]


class _Place(NamedTuple):
    """Where a failure is: the list that is met first, its length, which entry of it, and what comes after."""

    before: Sequence[str]
    size: int
    at: int
    parameter: str | None


class Contract:
    """The JSON Schema of an action's `accepts`; without one, everything is accepted."""

    def __init__(self, schema: Any) -> None:
        """Compile `schema`: True when there is none. Raises ValueError for what is not a JSON Schema."""
        self.schema = schema
        self._validator = Schema(schema)

    def holds(self, body: Any) -> bool:
        """Whether a body satisfies it."""
        return self._validator.is_valid(body)

    def explain(self, body: Any) -> tuple[str, Errors]:
        """Return why a body is refused: in one sentence, and for each entry of the list that holds the failures.

        There are no entries when a failure is about the whole body.
        """
        found = self._validator.failures(body)
        places = [self._place(failure, body) for failure in found]
        first = places[0]
        if first is None or any(place is None or place.before != first.before for place in places):
            return _text(found[0]), []
        errors: Errors = [[] for _ in range(first.size)]
        for failure, place in zip(found, places, strict=True):
            if place is not None and len(errors[place.at]) < _MOST_ERRORS:
                errors[place.at].append({"message": _text(failure), "parameter": place.parameter})
        return _text(found[0]), errors

    @cached_property
    def _words(self) -> frozenset[str]:
        return frozenset(_property_names(self.schema))

    def _place(self, failure: Failure, body: Any) -> _Place | None:
        before: list[str] = []
        steps = _walk(failure.pointer, body)
        for part, size in steps:
            if isinstance(part, int):
                return _Place(before, size, part, self._parameter(steps))
            before.append(part)
        return None

    def _parameter(self, steps: Iterator[tuple[str | int, int]]) -> str | None:
        """Return the rest of a way, as far as the contract knows its words: another key may be an identifier."""
        text = ""
        for part, _ in steps:
            if isinstance(part, str) and part not in self._words:
                break
            text += f"[{part}]" if isinstance(part, int) else f".{part}"
        return text.removeprefix(".") or None


def _walk(pointer: str, document: Any) -> Iterator[tuple[str | int, int]]:
    """Yield the keys and indexes of a JSON pointer, each index with the length of its list."""
    for part in pointer.split("/")[1:]:
        if isinstance(document, list):
            index = int(part)
            yield index, len(document)
            document = document[index]
        else:
            key = part.replace("~1", "/").replace("~0", "~")
            yield key, 0
            document = document.get(key) if isinstance(document, dict) else None


def _text(failure: Failure) -> str:
    message = "has an unknown key" if failure.keyword in _UNKNOWN_KEY else failure.message
    return f"{message}; {failure.hint}" if failure.hint else message


def _property_names(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        properties = schema.get("properties")
        yield from properties if isinstance(properties, dict) else ()
        schema = list(schema.values())
    if isinstance(schema, list):
        for part in schema:
            yield from _property_names(part)

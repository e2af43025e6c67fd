"""No snapshot holds an identifier in plain text: a snapshot is kept, reviewed and published with the code."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from connector.connection.mapping import compile_source
from connector.connection.model import Route
from connector.definitions.model import Identifier
from connector.model import Event
from connector.pipeline.dropped import DroppedError
from connector.pipeline.identifiers import HASHES
from connector.pipeline.normalise import normaliser
from connector.templating.expressions import ExpressionError

# Shorter texts stand in every snapshot by chance.
_SHORTEST = 4
_SHORTEST_PHONE = 7
_WORD = re.compile(r"[^\W_]+")
_NOT_DIGITS = re.compile(r"[^0-9]+")
_DIGEST = re.compile(r"[0-9a-fA-F]+")


class Leak(NamedTuple):
    """An event's position, and the parameter whose plain text was found."""

    position: int
    parameter: str


class _Texts:
    """What is searched: texts without digests, since the digits of a short id can stand in one by chance."""

    def __init__(self, texts: Iterable[str]) -> None:
        digits = {hashing.digits for hashing in HASHES.values()}
        kept = {
            text.lower() for text in texts if not (len(text) in digits and _DIGEST.fullmatch(text))
        }
        self._text = "\n".join(sorted(kept))
        self._words = frozenset(_WORD.findall(self._text))

    def holds(self, value: str) -> bool:
        """Say whether a value is there: a word as a whole word, anything else as any part of a text."""
        return value in self._words if value.isalnum() else value in self._text

    def holds_number(self, digits: str) -> bool:
        return digits in self._text


def leaks(
    routes: Sequence[Route],
    settings: Mapping[str, Any],
    events: Sequence[Event],
    texts: Iterable[str],
) -> list[Leak]:
    """Return what the events map to identifiers that have to be hashed, and what yet stands in the texts unhashed."""
    found = _Texts(texts)
    rows = dict.fromkeys(
        leak for route in routes for leak in _of_route(route, settings, events, found)
    )
    return sorted(rows)


def _of_route(
    route: Route, settings: Mapping[str, Any], events: Sequence[Event], texts: _Texts
) -> Iterator[Leak]:
    for identifier in route.action.identifiers:
        if identifier.hash == "none" or identifier.parameter not in route.map:
            continue
        get = compile_source(route.map[identifier.parameter], settings)
        forms = _Forms(identifier)
        for event in events:
            if any(forms.stand_in(texts, value) for value in _values(get, event)):
                yield Leak(event.position, identifier.parameter)


def _values(get: Any, event: Event) -> Iterator[str]:
    try:
        raw = get(event.data)
    except ExpressionError:
        return
    for value in raw if isinstance(raw, list | tuple) else [raw]:
        if isinstance(value, str | int) and not isinstance(value, bool):
            yield str(value)


class _Forms:
    """The forms in which one identifier's plain text may appear."""

    def __init__(self, identifier: Identifier) -> None:
        self._normalise = normaliser(identifier)
        self._digits = HASHES[identifier.hash].digits
        self._phone = "e164" in dict(identifier.normalize)

    def stand_in(self, texts: _Texts, value: str) -> bool:
        value = value.strip()
        if len(value) == self._digits and _DIGEST.fullmatch(value):
            return False
        forms = {value, self._normal(value)}
        if any(texts.holds(form.lower()) for form in forms if len(form) >= _SHORTEST):
            return True
        numbers = {_NOT_DIGITS.sub("", form) for form in forms} if self._phone else ()
        return any(
            texts.holds_number(number) for number in numbers if len(number) >= _SHORTEST_PHONE
        )

    def _normal(self, value: str) -> str:
        try:
            return self._normalise(value)
        except DroppedError:
            return ""

"""No snapshot holds an identifier in plain text.

A snapshot is kept, reviewed and published with the code.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from connector.connection.mapping import Get, Row, compile_source
from connector.connection.model import Route
from connector.definitions.model import Identifier
from connector.model import Event
from connector.pipeline.dropped import DroppedError
from connector.pipeline.elements import elements_of
from connector.pipeline.identifiers import HASHES
from connector.pipeline.normalise import normaliser
from connector.templating.data import ExpressionError

# Shorter texts appear in every snapshot by chance.
_SHORTEST_TEXT = 4
_SHORTEST_PHONE = 7

_WORD = re.compile(r"[^\W_]+")
_DIGEST = re.compile(r"[0-9a-fA-F]+")
_NOT_DIGITS = re.compile(r"[^0-9]+")
#: Digits as people write a phone number: with spaces, dots, dashes, slashes and parentheses.
_SPACED_DIGITS = re.compile(r"[0-9](?:[ \t\xa0().\-\u2010-\u2013/]{0,3}[0-9])+")

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_PHONE = re.compile(r"\+[0-9][0-9 ().\-/]{5,}[0-9]")
_PHONE_STEPS = {"e164", "digits"}


class Leak(NamedTuple):
    """An event's position, and the parameter whose plain text was found."""

    position: int
    parameter: str


def leaks(
    routes: Sequence[Route],
    settings: Mapping[str, Any],
    events: Sequence[Event],
    texts: Iterable[str],
) -> list[Leak]:
    """Return which values that have to be hashed appear in the texts unhashed.

    They come in the order of the events.
    """
    searched = _SearchedText(texts)
    found = set()
    for route in routes:
        for identifier in route.action.identifiers:
            parameter = identifier.parameter
            if identifier.hash == "none" or parameter not in route.map:
                continue

            each = route.each is not None
            get = compile_source(route.map[parameter], settings, each=each)
            plain = _PlainText(identifier)
            for event in events:
                if any(plain.appears_in(searched, value) for value in _values(get, event, route)):
                    found.add(Leak(event.position, parameter))
    return sorted(found)


def is_personal(event_id: str) -> bool:
    """Return whether an event's id is an e-mail address or a phone number.

    Ids appear in snapshots and reports.
    """
    event_id = event_id.strip()
    return bool(_EMAIL.search(event_id) or _PHONE.fullmatch(event_id))


def _values(get: Get, event: Event, route: Route) -> Iterator[str]:
    """Yield the values of an identifier as text."""
    rows: list[Row] = [event.data]
    if route.each is not None:
        rows = list(elements_of(event.data, route.each))
    for row in rows:
        try:
            mapped = get(row)
        except ExpressionError:
            continue
        for value in mapped if isinstance(mapped, list | tuple) else [mapped]:
            if isinstance(value, str | int) and not isinstance(value, bool):
                yield str(value)


class _SearchedText:
    """The texts of a snapshot, except digests.

    The digits of a short id can appear in a digest by chance.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        digest_lengths = {hashing.digits for hashing in HASHES.values()}
        kept = set()
        for text in texts:
            if len(text) not in digest_lengths or not _DIGEST.fullmatch(text):
                kept.add(text.lower())

        self._text = "\n".join(sorted(kept))
        self._words = frozenset(_WORD.findall(self._text))
        spaced_numbers = _SPACED_DIGITS.findall(self._text)
        self._numbers = "\n".join({_NOT_DIGITS.sub("", number) for number in spaced_numbers})

    def has(self, value: str) -> bool:
        """Search for a value: a word as a whole word, anything else as any part of a text."""
        value = value.lower()
        if len(value) < _SHORTEST_TEXT:
            return False
        return value in self._words if value.isalnum() else value in self._text

    def has_number(self, digits: str) -> bool:
        """Search for a phone number, however it is spaced."""
        return len(digits) >= _SHORTEST_PHONE and digits in self._numbers


class _PlainText:
    """The forms in which an identifier's plain text may appear."""

    def __init__(self, identifier: Identifier) -> None:
        self._normalise = normaliser(identifier)
        self._digest_length = HASHES[identifier.hash].digits
        self._is_phone = not _PHONE_STEPS.isdisjoint(dict(identifier.normalize))

    def appears_in(self, searched: _SearchedText, value: str) -> bool:
        value = value.strip()
        if len(value) == self._digest_length and _DIGEST.fullmatch(value):
            return False

        forms = {value, self._normalised(value)}
        for form in forms:
            if searched.has(form):
                return True
            if _EMAIL.fullmatch(form) and searched.has(form.rpartition("@")[0]):
                return True
            if self._is_phone and any(map(searched.has_number, _phone_numbers(form))):
                return True
        return False

    def _normalised(self, value: str) -> str:
        try:
            return self._normalise(value)
        except DroppedError:
            return ""


def _phone_numbers(form: str) -> set[str]:
    """Return the digits of a phone number, with and without its country code."""
    import phonenumbers

    digits = _NOT_DIGITS.sub("", form)
    numbers = {digits}
    try:
        number = phonenumbers.parse(f"+{digits}", None)
    except phonenumbers.NumberParseException:
        return numbers
    numbers.add(str(number.national_number))
    return numbers

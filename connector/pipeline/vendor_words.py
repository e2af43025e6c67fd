"""The vendor's own words: what of an answer may stand in a report.

An answer may quote whom it refuses. Only a code is repeated, if the definition knows it, or if it
has the definition's form and nothing in common with what was sent of people. Nowhere else does text
of an answer become text of ours.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import orjson

from connector.definitions.model import Codes
from connector.model import Record
from connector.templating.data import ExpressionError
from connector.templating.expressions import Evaluate
from connector.validation.patterns import compile_pattern

# A code, such as INVALID_EMAIL: short, with a letter, and no digest in hex.
_is_code = re.compile(r"(?![0-9a-fA-F]{32,}$)(?=.*[A-Za-z])[A-Za-z0-9_.-]{1,48}").fullmatch

# So many letters or digits in a row are in common. Digests have most short rows by chance.
_ROW = 6
_ROW_OF_DIGEST = 16
# A shorter value is in a code if it is one of its words; of two letters, if it is the code.
_SHORTEST_WORD = 3
# An answer with more different codes quotes people.
_MOST_CODES = 20

_is_digest = re.compile(r"[0-9a-f]{32,}").fullmatch
_not_plain = re.compile(r"[^0-9a-z\n]+")
_not_digits = re.compile(r"[^0-9\n]+")
_words = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+").findall
_parts = re.compile(r"[A-Za-z0-9]+").findall


class Said(NamedTuple):
    """Codes of an answer: `text` is " (CODE)" or "", and may be shown.

    `codes` has what is not repeated, too: it tells answers apart, and is never shown.
    """

    text: str = ""
    codes: str = ""

    def __repr__(self) -> str:
        return f"Said({self.text!r})"


NOTHING = Said()


class VendorWords:
    """The words of a definition's vendor."""

    def __init__(self, codes: Codes | None = None, constants: Collection[str] = ()) -> None:
        """`constants` are texts of the definition's own in what is sent. Raise ValueError."""
        codes = codes or Codes()
        self._known = codes.words
        self._has_form = compile_pattern(codes.pattern, whole=True) if codes.pattern else None
        self._constants = frozenset(constants)

    def of_answer(self, records: Sequence[Record]) -> Answer:
        """Return what decides about the words of the answer to these records."""
        return Answer(self._known, self._has_form, _Sent(records, self._constants))


class Answer:
    """Decides which words of one answer are repeated."""

    def __init__(self, known: Collection[str], has_form: Any, sent: _Sent) -> None:
        self._known = known
        self._has_form = has_form
        self._sent = sent
        self._is_harmless: dict[str, bool] = {}

    def said(self, detail: Evaluate | None, scope: Mapping[str, Any]) -> Said:
        """Return the codes that an expression finds in the answer, each once."""
        if detail is None:
            return NOTHING
        try:
            value = detail(scope)
        except ExpressionError:
            return NOTHING

        codes: dict[str, None] = {}
        for candidate in value if isinstance(value, list) else [value]:
            if isinstance(candidate, str) and (candidate in self._known or _is_code(candidate)):
                codes[candidate] = None
        if not codes:
            return NOTHING

        shown = ", ".join(filter(self._may_be_shown, codes))
        return Said(f" ({shown})" if shown else "", f" ({', '.join(codes)})")

    def _may_be_shown(self, code: str) -> bool:
        if code in self._known:
            return True
        if self._has_form and not self._has_form(code):
            return False

        is_harmless = self._is_harmless.get(code)
        if is_harmless is None:
            is_new_one_looked_at = len(self._is_harmless) < _MOST_CODES
            is_harmless = is_new_one_looked_at and not self._sent.is_in(code)
            if is_new_one_looked_at:
                self._is_harmless[code] = is_harmless
        return is_harmless


class _Sent:
    """What was sent of people: their identifiers, and what else stands in their items."""

    def __init__(self, records: Sequence[Record], constants: Collection[str]) -> None:
        self._records = records
        self._constants = constants

    def is_in(self, code: str) -> bool:
        """Return whether a code has something in common with a value: it may quote it.

        Neither case nor signs between letters and digits matter.
        """
        digests, long, short = self._values
        letters = _not_plain.sub("", code.lower())
        if _has_row_of(letters, _ROW_OF_DIGEST, digests) or _has_row_of(letters, _ROW, long):
            return True

        words = {letters}
        for word in [*_words(code), *_parts(code)]:
            if len(word) >= _SHORTEST_WORD:
                words.add(word.lower())
        return not words.isdisjoint(short)

    @cached_property
    def _values(self) -> tuple[str, str, frozenset[str]]:
        """The digests and the longer values, each as one text, and the short values."""
        digests: list[str] = []
        others: list[str] = []
        for value in "\n".join(self._texts()).casefold().split("\n"):
            (digests if _is_digest(value) else others).append(value)

        text = "\n".join(others)
        values = {*_not_plain.sub("", text).split("\n"), *_not_digits.sub("", text).split("\n")}
        long = [value for value in values if len(value) >= _ROW]
        short = frozenset(value for value in values if 0 < len(value) < _ROW)
        return "\n".join(digests), "\n".join(long), short

    def _texts(self) -> Iterator[str]:
        for record in self._records:
            yield from record.ids
            # What stands beside the identifiers is in the item alone.
            if record.companions:
                for text in _leaves(orjson.loads(record.item)):
                    if text not in self._constants:
                        yield text


def _has_row_of(letters: str, length: int, text: str) -> bool:
    starts = range(len(letters) - length + 1)
    return any(letters[start : start + length] in text for start in starts)


def _leaves(value: Any) -> Iterable[str]:
    """Return the texts and numbers of a JSON value."""
    if isinstance(value, str):
        return (value,)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return (str(value),)

    members: Iterable[Any] = ()
    if isinstance(value, dict):
        members = value.values()
    elif isinstance(value, list):
        members = value
    found: list[str] = []
    for member in members:
        found += _leaves(member)
    return found

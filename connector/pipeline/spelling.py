"""Spelling: values that differ from a text that `when` compares them with only in case or spaces.

`'Ja' == 'ja'` is false, so such an event is skipped in silence beside others that are taken; with
`!=` it is taken in silence. Whole columns are looked at, each spelling once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from itertools import compress
from typing import Any

from connector.connection.fields import Field
from connector.connection.mapping import Row, compile_field
from connector.connection.model import Taking
from connector.pipeline.field_names import as_expression
from connector.templating.reads import Comparison, comparisons

#: A field with so many spellings that are no mistake holds names or numbers, and not a few words.
MANY = 1_000

# So many texts of a list are written in a message.
_FEW = 3


def texts_compared(takings: Iterable[Taking]) -> set[tuple[Field, str]]:
    """Return the fields with the texts that any `when` compares them with, as they stand."""
    found: set[tuple[Field, str]] = set()
    for taking in takings:
        for one in comparisons(taking.when) if taking.when else ():
            found.update((one.field, text) for text in one.texts)
    return found


class Spelling:
    """Counts the values of one `when` that are spelt otherwise."""

    def __init__(self, taking: Taking, meant: Collection[tuple[Field, str]] = ()) -> None:
        """`meant`: what other routes compare with, and is no other spelling. See texts_compared."""
        own = texts_compared([taking])
        each = taking.each is not None
        self._compared: list[_Compared] = []
        for one in comparisons(taking.when) if taking.when else ():
            texts = {text for field, text in (*own, *meant) if field == one.field}
            self._compared.append(_Compared(one, texts, each=each))

    def saw(self, rows: Sequence[Row], taken: Sequence[int]) -> None:
        """Look at rows; `taken` are the positions of those that `when` takes."""
        skipped: Sequence[Row] | None = None
        for one in self._compared:
            one.of += len(rows)
            if one.is_negated:
                one.saw([rows[position] for position in taken])
                continue
            if skipped is None:
                skipped = _skipped(rows, taken)
            one.saw(skipped)

    def doubts(self) -> list[str]:
        """Return what is spelt otherwise, in words and without values of the events."""
        return [one.words() for one in self._compared if one.count]


class _Compared:
    """One comparison of a field with texts."""

    def __init__(self, comparison: Comparison, meant: Collection[str], *, each: bool) -> None:
        self._comparison = comparison
        self._get = compile_field(comparison.field, each=each)
        self._folded = set(map(_folded, comparison.texts))
        # Spellings that are no mistake, and those that are.
        self._right: set[Any] = set(meant)
        self._wrong: set[Any] = set()
        self._most = len(self._right) + MANY
        #: Whether the rows that are taken matter, and not those that are skipped.
        self.is_negated = comparison.is_negated
        #: How many of so many rows are spelt otherwise.
        self.count = 0
        self.of = 0

    def saw(self, rows: Sequence[Row]) -> None:
        """Count the rows with another spelling; all are taken, or are not, for what they have."""
        if not rows or len(self._right) > self._most:
            return
        values = self._get(rows)
        spellings = _distinct(values)
        for spelling in spellings - self._right - self._wrong:
            is_wrong = spelling.__class__ is str and _folded(spelling) in self._folded
            kind = self._wrong if is_wrong else self._right
            kind.add(spelling)
        for spelling in spellings & self._wrong:
            self.count += values.count(spelling)

    def words(self) -> str:
        """Return how many are spelt otherwise, and what to write."""
        one = self._comparison
        what = as_expression(one.field)
        texts = [_quoted(text) for text in one.texts]
        folded = list(dict.fromkeys(_quoted(_folded(text)) for text in one.texts))
        meant = " or ".join(texts)
        negated, plain, written = "!=", "==", folded[0]
        if one.is_list:
            negated, plain, written = "not in", "in", f"[{', '.join(folded)}]"
        if len(texts) > _FEW:
            meant, written = "a text of the list", "[…], with these texts in lower case"
        operator = negated if one.is_negated else plain
        taken = "are taken" if one.is_negated else "are not taken"
        return (
            f"{self.count:,} of {self.of:,} {taken} whose {what} differs from {meant} only in "
            f"case or spaces; write {what} | trim | lower {operator} {written}"
        )


def _skipped(rows: Sequence[Row], taken: Sequence[int]) -> Sequence[Row]:
    """Return the rows that are not taken."""
    if not taken:
        return rows
    if len(taken) == len(rows):
        return ()
    is_skipped = bytearray(b"\1") * len(rows)
    for position in taken:
        is_skipped[position] = 0
    return list(compress(rows, is_skipped))


def _distinct(values: Sequence[Any]) -> set[Any]:
    """Return different values, each once; only texts where there are objects or lists."""
    try:
        return set(values)
    except TypeError:
        return {value for value in values if value.__class__ is str}


def _folded(value: str) -> str:
    """Return a text as the filters `trim` and `lower` leave it."""
    return value.strip().lower()


def _quoted(text: str) -> str:
    quote = '"' if "'" in text else "'"
    return f"{quote}{text}{quote}"

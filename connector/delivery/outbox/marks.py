"""Marks: which records of a bundle are gone, and how often the others were sent.

A bundle has none while nothing is known of its records; it is deleted once all of them are gone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from connector.delivery.outbox.model import BUNDLE
from connector.delivery.outbox.transaction import Transaction

#: Marks a record that is no longer pending. Any other mark is a number of attempts.
GONE = 255
#: More attempts are not counted.
MAX_ATTEMPTS = 254


class Marks:
    """The marks of the bundles that some records of a lane are in."""

    def __init__(self, tx: Transaction, lane: int, seqs: Iterable[int]) -> None:
        self._tx = tx
        self._lane = lane
        self._marks: dict[int, bytearray] = {}
        numbers = sorted({seq // BUNDLE for seq in seqs})
        for number, records, marks in tx.rows("marks", lane=lane, numbers=numbers):
            self._marks[number] = bytearray(marks or records)

    def add(self, attempts: Mapping[int, int]) -> None:
        """Add to the attempts of records."""
        for seq, count in attempts.items():
            number, index = divmod(seq, BUNDLE)
            marks = self._marks.get(number)
            if marks is not None and marks[index] != GONE:
                marks[index] = min(MAX_ATTEMPTS, marks[index] + count)

    def attempts(self, seq: int) -> int | None:
        """Return how often a record was sent, None when it is gone."""
        number, index = divmod(seq, BUNDLE)
        marks = self._marks.get(number)
        if marks is None or marks[index] == GONE:
            return None
        return marks[index]

    def remove(self, seqs: Collection[int]) -> int:
        """Mark records as gone; return how many were not."""
        indexes = _by_bundle(seqs)
        removed = 0
        for number, its_indexes in indexes.items():
            marks = self._marks.get(number)
            if marks is None:
                continue
            before = marks.count(GONE)
            if isinstance(its_indexes, range):
                marks[its_indexes.start : its_indexes.stop] = bytes([GONE]) * len(its_indexes)
            else:
                for index in its_indexes:
                    marks[index] = GONE
            removed += marks.count(GONE) - before
        return removed

    def write(self) -> None:
        """Keep the marks, and delete the bundles whose records are all gone."""
        ended = []
        changed = []
        for number, marks in self._marks.items():
            if marks.count(GONE) == len(marks):
                ended.append(number)
            elif any(marks):
                changed.append((self._lane, number, bytes(marks)))
        self._tx.many("set_marks", changed)
        if ended:
            self._tx.change("remove_bundles", lane=self._lane, numbers=ended)
            self._tx.change("remove_marks", lane=self._lane, numbers=ended)


def _by_bundle(seqs: Collection[int]) -> Mapping[int, Sequence[int]]:
    """Return the places of records in their bundles: most often a part of one, without gaps."""
    if not seqs:
        return {}
    first, last = min(seqs), max(seqs)
    number = first // BUNDLE
    if last // BUNDLE == number and list(seqs) == list(range(first, last + 1)):
        return {number: range(first % BUNDLE, last % BUNDLE + 1)}

    indexes = defaultdict(list)
    for seq in seqs:
        indexes[seq // BUNDLE].append(seq % BUNDLE)
    return indexes

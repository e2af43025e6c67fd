"""Marks: which records of a bundle are gone, and how often the others were sent.

A bundle has none while nothing is known of its records; it is deleted once all of them are gone.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping

from connector.delivery.outbox.model import BUNDLE
from connector.delivery.outbox.transaction import Transaction

#: Marks a record that is no longer pending. Any other mark is a number of attempts.
GONE = 255
#: More attempts are not counted.
MAX_ATTEMPTS = 254


class Marks:
    """The marks of the bundles that some records of a lane are in."""

    def __init__(self, tx: Transaction, lane: int, seqs: Iterable[Collection[int]]) -> None:
        self._tx = tx
        self._lane = lane
        self._marks: dict[int, bytearray] = {}
        numbers: set[int] = set()
        for some in seqs:
            numbers.update(_by_bundle(some))
        for number, records, marks in tx.rows("marks", lane=lane, numbers=sorted(numbers)):
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
        removed = 0
        for number, its_seqs in _by_bundle(seqs).items():
            marks = self._marks.get(number)
            if marks is None:
                continue
            before = marks.count(GONE)
            first = number * BUNDLE
            start, end = its_seqs[0], its_seqs[-1] + 1
            if its_seqs == list(range(start, end)):
                marks[start - first : end - first] = bytes([GONE]) * len(its_seqs)
            else:
                for seq in its_seqs:
                    marks[seq - first] = GONE
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


def _by_bundle(seqs: Collection[int]) -> Mapping[int, list[int]]:
    """Return records, in order, by the number of their bundle."""
    ordered = sorted(seqs)
    bundles = {}
    start = 0
    while start < len(ordered):
        number = ordered[start] // BUNDLE
        end = bisect_left(ordered, (number + 1) * BUNDLE, start)
        bundles[number] = ordered[start:end]
        start = end
    return bundles

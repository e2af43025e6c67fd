"""Attribution: map what a response names (positions, values) to the records of the request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

from connector.model import Batch, NamedRecords

Indexes = list[int]

#: The indexes of the records that a position or a value may mean.
Meanings = Mapping[int | str, Sequence[int]]


class Verdict(NamedTuple):
    """What becomes of each record of a batch, by its index in the batch."""

    #: Refused for good.
    refused: Indexes
    #: To be sent again later.
    later: Indexes
    delivered: Indexes
    #: To be sent again at once, in these parts.
    again: list[Indexes]
    #: The vendor's own words about a refused record.
    words: Mapping[int, str] = {}

    def refused_by_reason(self, reason: str) -> list[tuple[str, Indexes]]:
        """Return the refused records by reason, the vendor's words included, in order."""
        by_reason: dict[str, Indexes] = {}
        for index in self.refused:
            full_reason = reason + self.words.get(index, "")
            by_reason.setdefault(full_reason, []).append(index)
        return list(by_reason.items())


#: The indexes of a body's records in their order, group by group.
Places = Sequence[Sequence[int]]


def attribute(batch: Batch, named: NamedRecords, places: Places | None = None) -> Verdict | None:
    """Return what becomes of each record.

    `places`: where the records stand in the body, by default in the order of the batch's groups.
    None means that the response does not tell the records apart.
    """
    indexes_of = _indexes_by_key(batch, named, places)
    if not _can_be_trusted(named, indexes_of):
        return None

    refused, suspects = _refused(named, indexes_of)

    postponed = _indexes(named.later, indexes_of) - refused - suspects
    # What must not overtake a postponed record waits with it.
    postponed |= _behind(batch, postponed) - refused

    undecided = set(range(len(batch.records))) - refused - postponed
    repeated = undecided
    if named.rest_delivered:
        # What is sent again must not be applied after something newer: that is sent again too.
        repeated = undecided & (suspects | _behind(batch, suspects))
    delivered = undecided - repeated

    are_told_apart = 0 < len(suspects) < len(batch.records)
    if not (refused or postponed or delivered or are_told_apart):
        return None  # the same request again would be no progress

    return Verdict(
        refused=sorted(refused),
        later=sorted(postponed),
        delivered=sorted(delivered),
        again=_stretches(sorted(repeated), suspects),
        words=_words_by_index(named, indexes_of),
    )


def _can_be_trusted(named: NamedRecords, indexes_of: Meanings) -> bool:
    """Return whether every error fits a record, or does no harm when it fits none.

    An error that fits no record may mean any of them: then no record counts as delivered.
    """
    keys = {*named.refused, *named.later}
    if keys <= indexes_of.keys():
        return True
    return named.by != "value" and not named.rest_delivered


def _refused(named: NamedRecords, indexes_of: Meanings) -> tuple[set[int], set[int]]:
    """Return the records that are refused for good, and the suspects.

    A value speaks of everybody who has it. A group of several is refused because of one of them:
    these are suspects, and are sent again apart from the others.
    """
    refused: set[int] = set()
    suspects: set[int] = set()
    for key in named.refused:
        indexes = indexes_of.get(key, [])
        if named.by == "value" or len(indexes) == 1:
            refused.update(indexes)
        else:
            suspects.update(indexes)
    return refused, suspects - refused


def _indexes(keys: Iterable[int | str], indexes_of: Meanings) -> set[int]:
    """Return the indexes of all records that these keys may mean."""
    indexes: set[int] = set()
    for key in keys:
        indexes.update(indexes_of.get(key, []))
    return indexes


def _stretches(indexes: Indexes, suspects: set[int]) -> list[Indexes]:
    """Divide indexes where suspects and others meet; their order stays."""
    return [list(stretch) for _, stretch in groupby(indexes, key=suspects.__contains__)]


def may_overtake(later: Batch, earlier: Batch) -> bool:
    """Return whether a part of a batch may be applied before an earlier part of it.

    They have to be of one run, and must not have an identifier in common.
    """
    if not set(later.runs) == set(earlier.runs) == {later.runs[0]}:
        return False

    earlier_ids: set[str] = set()
    for record in earlier.records:
        earlier_ids.update(record.ids)
    return all(earlier_ids.isdisjoint(record.ids) for record in later.records)


def _behind(batch: Batch, held: set[int]) -> set[int]:
    """Return the indexes after the first held record that must not go before the held ones.

    These are the records of another run, and those that share an identifier with a held record.
    """
    if not held:
        return set()

    first = min(held)
    held_ids: set[str] = set()
    for index in held:
        held_ids.update(batch.records[index].ids)

    behind: set[int] = set()
    for index in range(first + 1, len(batch.records)):
        other_run = batch.runs[index] != batch.runs[first]
        ids = batch.records[index].ids
        if other_run or not held_ids.isdisjoint(ids):
            behind.add(index)
    return behind


def _indexes_by_key(batch: Batch, named: NamedRecords, places: Places | None) -> Meanings:
    """Return the indexes of the records that each key may mean."""
    if len(batch.records) == 1:
        # Whatever the response calls it, nobody else can be meant.
        return dict.fromkeys((*named.refused, *named.later), (0,))
    if named.by == "value":
        return _indexes_by_value(batch)

    # Groups and items are counted in the order of the body, which is not that of the batch.
    groups = batch.places() if places is None else places
    if named.by == "group":
        return dict(enumerate(groups))
    items = [[index] for indexes in groups for index in indexes]
    return dict(enumerate(items))


def _indexes_by_value(batch: Batch) -> Meanings:
    indexes: dict[int | str, Indexes] = {}
    for index, record in enumerate(batch.records):
        for value in dict.fromkeys(record.ids):
            indexes.setdefault(value, []).append(index)
    return indexes


def _words_by_index(named: NamedRecords, indexes_of: Meanings) -> dict[int, str]:
    words: dict[int, str] = {}
    for key, word in zip(named.refused, named.words, strict=False):
        for index in indexes_of.get(key, []):
            words[index] = word
    return words

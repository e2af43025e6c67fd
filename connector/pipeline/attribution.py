"""Attribution: from what an answer names (positions, values) to the records of the request."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from typing import NamedTuple

from connector.model import Batch, NamedRecords


class Verdict(NamedTuple):
    """Places of a batch's records: refused for good, to be sent again later, delivered, and in parts again at once.

    `words`: what the vendor says of a refused one, by its place.
    """

    refused: list[int]
    later: list[int]
    delivered: list[int]
    again: list[list[int]]
    words: Mapping[int, str] = {}

    def refused_by_reason(self, reason: str) -> list[tuple[str, list[int]]]:
        """Return the places that are refused by `reason` with the vendor's words for it, first come first."""
        places_by_reason: dict[str, list[int]] = {}
        for place in self.refused:
            full_reason = reason + self.words.get(place, "")
            places_by_reason.setdefault(full_reason, []).append(place)
        return list(places_by_reason.items())


def attribute(batch: Batch, named: NamedRecords) -> Verdict | None:
    """Return what becomes of each record; None when the answer does not tell them apart."""
    find = _finder(batch, named)
    refused, unknown = _places(find, named.refused)
    later, unknown_later = _places(find, named.later)
    if (unknown or unknown_later) and (named.rest_delivered or named.by == "value"):
        return None  # an error that fits nobody: nobody is safe
    alone = {
        place for places in refused if len(places) == 1 or named.by == "value" for place in places
    }
    together = {place for places in refused for place in places} - alone
    postponed = {place for places in later for place in places} - alone - together
    rest = [
        place
        for place in range(len(batch.records))
        if place not in alone and place not in postponed
    ]
    postponed |= _behind(batch, postponed) & set(rest)
    rest = [place for place in rest if place not in postponed]
    delivered: list[int] = []
    if named.rest_delivered:
        # what is sent again must not be applied after something newer that was applied before it
        stale = together | (_behind(batch, together) & set(rest))
        delivered = [place for place in rest if place not in stale]
        rest = [place for place in rest if place in stale]
    again = [list(run) for _, run in groupby(rest, key=together.__contains__)]
    if not (alone or postponed or delivered or 0 < len(together) < len(batch.records)):
        return None
    said = {
        place: word
        for key, word in zip(named.refused, named.words, strict=False)
        for place in find.get(key, ())
    }
    return Verdict(sorted(alone), sorted(postponed), delivered, again, said)


def _behind(batch: Batch, held: set[int]) -> set[int]:
    """Return the places after those that are held which must not go before them: of a later run, or of one of them."""
    if not held:
        return set()
    first = min(held)
    ids = {value for place in held for value in batch.records[place].ids}
    after = range(first + 1, len(batch.records))
    return {
        p
        for p in after
        if batch.runs[p] != batch.runs[first] or not ids.isdisjoint(batch.records[p].ids)
    }


def _finder(batch: Batch, named: NamedRecords) -> dict[int | str, list[int]]:
    if len(batch.records) == 1:
        return {
            key: [0] for key in (*named.refused, *named.later)
        }  # there is nobody else who could be meant
    return _by_value(batch) if named.by == "value" else _by_position(batch, named.by)


def _places(
    find: dict[int | str, list[int]], named: tuple[int | str, ...]
) -> tuple[list[list[int]], bool]:
    """Return the places of what is named, and whether something fits no record."""
    known = [find[key] for key in dict.fromkeys(named) if key in find]
    return known, any(key not in find for key in named)


def _by_position(batch: Batch, by: str) -> dict[int | str, list[int]]:
    place = {id(record): index for index, record in enumerate(batch.records)}
    groups = [[place[id(record)] for record in records] for _, records in batch.groups()]
    if by == "item":
        groups = [[index] for indexes in groups for index in indexes]
    return dict(enumerate(groups))


def _by_value(batch: Batch) -> dict[int | str, list[int]]:
    found: dict[int | str, list[int]] = {}
    for index, record in enumerate(batch.records):
        for value in dict.fromkeys(record.ids):
            found.setdefault(value, []).append(index)
    return found

"""Attribution: from what a response names (positions, values) to the records of the request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import NamedTuple

from connector.model import Batch, NamedRecords

Positions = list[int]


class Verdict(NamedTuple):
    """What becomes of each record of a batch, by its position."""

    #: Refused for good.
    refused: Positions
    #: To be sent again later.
    later: Positions
    delivered: Positions
    #: To be sent again at once, in these parts.
    again: list[Positions]
    #: The vendor's own words about a refused record.
    words: Mapping[int, str] = {}

    def refused_by_reason(self, reason: str) -> list[tuple[str, Positions]]:
        """Return the refused records by reason, the vendor's words included, in order."""
        by_reason: dict[str, Positions] = {}
        for position in self.refused:
            full_reason = reason + self.words.get(position, "")
            by_reason.setdefault(full_reason, []).append(position)
        return list(by_reason.items())


def attribute(batch: Batch, named: NamedRecords) -> Verdict | None:
    """Return what becomes of each record.

    None means that the response does not tell the records apart.
    """
    positions_of = _positions_by_key(batch, named)
    by_value = named.by == "value"

    keys = {*named.refused, *named.later}
    if not keys <= positions_of.keys() and (named.rest_delivered or by_value):
        # An error that fits no record may mean any of them: nobody is safe.
        return None

    # A value speaks of everybody who has it. A group of several is refused because of one of
    # them: these are suspects, and are sent again apart from the others.
    refused: set[int] = set()
    suspects: set[int] = set()
    for key in named.refused:
        positions = positions_of.get(key, [])
        if by_value or len(positions) == 1:
            refused.update(positions)
        else:
            suspects.update(positions)
    suspects -= refused

    postponed: set[int] = set()
    for key in named.later:
        postponed.update(positions_of.get(key, []))
    postponed -= refused | suspects
    # What must not overtake a postponed record waits with it.
    postponed |= _behind(batch, postponed) - refused

    rest = _without(range(len(batch.records)), refused | postponed)
    delivered: Positions = []
    if named.rest_delivered:
        # What is sent again must not be applied after something newer: that is sent again too.
        repeated = suspects | _behind(batch, suspects)
        delivered = _without(rest, repeated)
        rest = _without(rest, set(delivered))
    again = [list(part) for _, part in groupby(rest, key=suspects.__contains__)]

    suspects_are_told_apart = 0 < len(suspects) < len(batch.records)
    if not (refused or postponed or delivered or suspects_are_told_apart):
        return None  # the same request again would be no progress

    words = _words_by_position(named, positions_of)
    return Verdict(sorted(refused), sorted(postponed), delivered, again, words)


def _without(positions: Iterable[int], excluded: set[int]) -> Positions:
    """Return the positions that are not excluded, in their order."""
    return [position for position in positions if position not in excluded]


def _behind(batch: Batch, held: set[int]) -> set[int]:
    """Return the positions after the first held record that must not go before the held ones.

    These are the records of another run, and those that share an identifier with a held record.
    """
    if not held:
        return set()

    first = min(held)
    held_ids: set[str] = set()
    for position in held:
        held_ids.update(batch.records[position].ids)

    behind: set[int] = set()
    for position in range(first + 1, len(batch.records)):
        other_run = batch.runs[position] != batch.runs[first]
        if other_run or not held_ids.isdisjoint(batch.records[position].ids):
            behind.add(position)
    return behind


def _positions_by_key(batch: Batch, named: NamedRecords) -> dict[int | str, Positions]:
    """Return the positions of the records that each key may mean."""
    if len(batch.records) == 1:
        # Whatever the response calls it, nobody else can be meant.
        return {key: [0] for key in (*named.refused, *named.later)}
    if named.by == "value":
        return _positions_by_value(batch)

    # Groups and items are counted in the order of the body, which is not that of the batch.
    position_of = {id(record): index for index, record in enumerate(batch.records)}
    groups: list[Positions] = []
    for _, records in batch.groups():
        groups.append([position_of[id(record)] for record in records])
    if named.by == "group":
        return dict(enumerate(groups))

    items: list[Positions] = []
    for group in groups:
        for position in group:
            items.append([position])
    return dict(enumerate(items))


def _positions_by_value(batch: Batch) -> dict[int | str, Positions]:
    positions: dict[int | str, Positions] = {}
    for position, record in enumerate(batch.records):
        for value in dict.fromkeys(record.ids):
            positions.setdefault(value, []).append(position)
    return positions


def _words_by_position(
    named: NamedRecords, positions_of: Mapping[int | str, Positions]
) -> dict[int, str]:
    words: dict[int, str] = {}
    for key, word in zip(named.refused, named.words, strict=False):
        for position in positions_of.get(key, []):
            words[position] = word
    return words

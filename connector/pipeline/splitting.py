"""Splitting: one person as several records, where an item may hold only so much of a person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import groupby, islice
from typing import cast

from connector.definitions.model import Split
from connector.model import Record, Rejection, Result

# So many people change places with each other: one event may hold very many.
_BLOCK = 10_000

#: The code of a person without a usable identifier, and how its reason begins.
NO_IDENTIFIER = "no_identifier"
NO_IDENTIFIER_REASON = "no usable identifier: "
#: How the reason goes on where nothing was mapped, which says less than why a value was dropped.
NONE_PRESENT = "none is present"

#: What an event became on a route: None when the route does not take it, a list when the action
#: splits people.
Prepared = Result | list[Result] | None


def pieces_of(wires: Sequence[str], companions: Collection[str], split: Split) -> list[list[int]]:
    """Divide a person's values into records; return the positions of the values of each.

    `wires` holds the wire key of each value. The values of `companions`, which cannot
    identify a person by themselves, go with the first record.
    """
    # The n-th value of a wire key goes to row n // split.values: each row is within that limit.
    rows: dict[int, list[int]] = {}
    seen: Counter[str] = Counter()
    beside: list[int] = []
    for position, wire in enumerate(wires):
        if wire in companions:
            beside.append(position)
            continue
        row = seen[wire] // split.values if split.values else 0
        rows.setdefault(row, []).append(position)
        seen[wire] += 1

    # A row with too many identifiers goes to several records.
    size = split.identifiers or len(wires) or 1
    pieces: list[list[int]] = []
    for positions in rows.values():
        starts = range(0, len(positions), size)
        pieces += [positions[start : start + size] for start in starts]

    first = pieces[0] if pieces else []
    return [sorted(first + beside), *pieces[1:]]


def together(*parts: Prepared) -> list[Result] | Rejection:
    """Return what became of all parts of one person.

    Parts without an identifier are left out. When no part has one, return one rejection with the
    reasons of all.
    """
    results: list[Result] = []
    for part in parts:
        if isinstance(part, list):
            results += part
        elif part is not None:
            results.append(part)

    kept: list[Result] = []
    without: list[Rejection] = []
    for result in results:
        if isinstance(result, Rejection) and result.code == NO_IDENTIFIER:
            without.append(result)
        else:
            kept.append(result)
    if kept:
        return kept

    return without[0]._replace(reason=NO_IDENTIFIER_REASON + ", ".join(_reasons(without)))


def _reasons(rejections: Iterable[Rejection]) -> Iterable[str]:
    """Return each reason once, without the common prefix.

    Include `none is present` only when there is no other reason.
    """
    present: dict[str, None] = {}
    absent: dict[str, None] = {}
    for rejection in rejections:
        reason = rejection.reason.removeprefix(NO_IDENTIFIER_REASON)
        if reason.startswith(NONE_PRESENT):
            absent[reason] = None
        else:
            present[reason] = None
    return present or absent


def in_parts(rows: Iterable[Prepared]) -> Iterator[Result | None]:
    """Yield rows with their lists taken apart.

    Of consecutive people for one target all first parts come first, then all second ones. Such
    people differ in nothing but their identifiers, and no identifier is in two parts, so nothing
    depends on the order; but records of one target next to each other are batched much faster.
    """
    for shared, people in groupby(rows, key=_shared_target):
        if shared is None:
            yield from cast(Iterable[Result | None], people)
            continue

        while block := list(islice(cast(Iterable[list[Result]], people), _BLOCK)):
            records: list[Record] = []
            for person in block:
                for result in person:
                    if isinstance(result, Rejection):
                        yield result
                    else:
                        records.append(result)
            records.sort(key=_part)
            yield from records


def _part(record: Record) -> int:
    return record.target.part


def _shared_target(row: Prepared) -> object:
    """Return what people must have in common for their records to change places, else None."""
    if not isinstance(row, list):
        return None

    for result in row:
        if isinstance(result, Record):
            target = result.target
            return target.family or target
    # A list of rejections only: their order does not matter.
    return cast(Rejection, row[0]).code

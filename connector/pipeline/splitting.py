"""Splitting: how one person becomes several records, where a vendor takes only so much of a person in one item."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import groupby

from connector.definitions.model import Split
from connector.model import Record, Rejection

#: The code of a person without an identifier that can be used, and how its reason begins.
NOBODY = "no_identifier"
NOBODY_REASON = "no identifier that can be used: "
#: How it goes on where nothing was mapped or given, which says less than why a value was dropped.
NONE_PRESENT = "none is present"


def pieces_of(wires: Sequence[str], companions: Collection[str], split: Split) -> list[list[int]]:
    """Return the places of the values of each record, given the wire key of each value.

    The values of `companions`, which name nobody alone, go with the first record.
    """
    most = split.identifiers or len(wires) or 1
    seen: Counter[str] = Counter()
    rows: dict[int, list[int]] = {}
    for place, wire in enumerate(wires):
        if wire not in companions:
            rows.setdefault(seen[wire] // split.values if split.values else 0, []).append(place)
            seen[wire] += 1
    pieces = [
        row[start : start + most] for row in rows.values() for start in range(0, len(row), most)
    ] or [[]]
    pieces[0] = sorted(
        [*pieces[0], *(place for place, wire in enumerate(wires) if wire in companions)]
    )
    return pieces


def together(
    *found: Record | Rejection | list[Record | Rejection] | None,
) -> list[Record | Rejection] | Rejection:
    """Return what became of all parts of one person: the parts that have no identifier are left out, unless all are."""
    flat = [
        one
        for part in found
        for one in (part if isinstance(part, list) else [part])
        if one is not None
    ]
    kept = [one for one in flat if isinstance(one, Record) or one.code != NOBODY]
    if kept:
        return kept
    nobody = [one for one in flat if isinstance(one, Rejection)]
    reasons = dict.fromkeys(one.reason.removeprefix(NOBODY_REASON) for one in nobody)
    dropped = [reason for reason in reasons if not reason.startswith(NONE_PRESENT)]
    return nobody[0]._replace(reason=NOBODY_REASON + ", ".join(dropped or reasons))


def in_parts(rows: Iterable[object]) -> Iterator[object]:
    """Yield rows with their lists taken apart: of consecutive people for one target all first parts, then the next.

    Such people differ in nothing but their identifiers, and no identifier is in two parts, so nothing depends on the
    order; and records of one target next to each other are batched much faster.
    """
    for targets, some in groupby(rows, key=_targets):
        if targets is None:
            yield from some
            continue
        flat = [one for row in some if isinstance(row, list) for one in row]
        yield from (one for one in flat if isinstance(one, Rejection))
        yield from sorted(
            (one for one in flat if isinstance(one, Record)), key=lambda record: record.target.part
        )


def _targets(row: object) -> object:
    """Return what people have in common whose records may be put in another order; None for anything else."""
    if not isinstance(row, list):
        return None
    first = next((one for one in row if isinstance(one, Record)), None)
    return (first.target.family or first.target) if first else row[0].code

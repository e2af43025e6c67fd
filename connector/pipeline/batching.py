"""Batching: records into batches, under the caps and in an order that ends as one event after the other would.

A *lane* is one audience. Records of a lane form *runs* of one operation; inside a request, groups never reach across a
run, so a vendor that applies a body in its order applies the events in theirs. Two rules keep an open batch clean:

* *supersede*: a newer record replaces a pending one whose identifiers it covers, when both have one operation (and the
  newer one brings what else the older one does) or the newer one removes, and only inside the current run: past an
  opposite operation the older record may have mattered, because the vendor may know the two sets of identifiers as one
  person.
* *seal*: any other overlap under another operation closes the batch; the record starts the next.

A further overlap under the same operation but in another group starts a new run: of two expiries the newer one counts.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, groupby, repeat
from operator import itemgetter

from connector.definitions.model import Limits
from connector.model import Record, Target

#: Told of a record and the newer one that took its place.
Superseded = Callable[[Record, Record], None]

_TARGET = itemgetter(Record._fields.index("target"))


@dataclass(frozen=True, slots=True, repr=False)
class Batch:
    """Records that share a request, in order, each with the number of its run."""

    records: tuple[Record, ...]
    runs: tuple[int, ...]

    def __repr__(self) -> str:
        return f"Batch({len(self.records)} records for {self.target.route!r})"

    @property
    def target(self) -> Target:
        """The first record's target; all of them have its batch key."""
        return self.records[0].target

    @property
    def lane(self) -> str:
        """What is delivered first in, first out."""
        return self.target.lane

    def groups(self) -> list[tuple[Target, list[Record]]]:
        """Return the groups in the order of the body: runs in order, groups of a run as they first appear."""
        if len(set(self.runs)) == 1 and len(set(map(_TARGET, self.records))) == 1:
            return [(self.target, list(self.records))]
        groups: dict[tuple[object, ...], tuple[Target, list[Record]]] = {}
        last: tuple[object, object] = (None, None)  # records of one group mostly follow each other
        members: list[Record] = []
        for run, record in zip(self.runs, self.records, strict=True):
            target = record.target
            if target is not last[0] or run != last[1]:
                last = (target, run)
                members = groups.setdefault((run, target.group), (target, []))[1]
            members.append(record)
        return list(groups.values())

    def halves(self) -> tuple[Batch, Batch]:
        """Return the first and the second half."""
        middle = len(self.records) // 2
        return self.only(range(middle)), self.only(range(middle, len(self.records)))

    def only(self, positions: Iterable[int]) -> Batch:
        """Return a batch of the records at these positions."""
        kept = list(positions)
        return Batch(tuple(self.records[i] for i in kept), tuple(self.runs[i] for i in kept))


@dataclass(slots=True, eq=False)
class _Open:
    """A batch that still takes records; a superseded one leaves None. `size` is the bytes of the body, added up."""

    limits: Limits
    size: int
    opened_at: float
    records: list[Record | None] = field(default_factory=list)
    runs: list[int] = field(default_factory=list)
    groups: set[tuple[object, ...]] = field(default_factory=set)
    alive: int = 0

    def fitting(self, target: Target, sizes: Sequence[int], run: int) -> int:
        """Return how many records of one target fit, given their sizes; an empty batch takes at least one."""
        limits = self.limits
        new = (run, target.group) not in self.groups
        least = 0 if self.alive else 1
        if new and limits.groups is not None and len(self.groups) >= limits.groups:
            return least
        count = (
            len(sizes) if limits.records is None else min(len(sizes), limits.records - self.alive)
        )
        if limits.bytes is None:
            return count
        room = limits.bytes - self.size - (target.group_bytes if new else 0)
        if sum(sizes) > room:
            count = min(count, bisect_right(list(accumulate(sizes)), room))
        return max(count, least)

    def add(self, records: Sequence[Record], size: int, run: int) -> None:
        """Add records of one target, of so many bytes together."""
        target = records[0].target
        key = (run, target.group)
        if key not in self.groups:
            self.groups.add(key)
            self.size += target.group_bytes
        self.size += size
        self.records += records
        self.runs += [run] * len(records)
        self.alive += len(records)

    def drop(self, index: int) -> None:
        record = self.records[index]
        if record is not None:
            self.records[index] = None
            self.size -= len(record.item) + 1
            self.alive -= 1

    def seal(self) -> Batch | None:
        if self.alive == len(self.records):
            return Batch(tuple(self.records), tuple(self.runs)) if self.records else None  # type: ignore[arg-type]
        kept = [
            (record, run)
            for record, run in zip(self.records, self.runs, strict=True)
            if record is not None
        ]
        return (
            Batch(tuple(record for record, _ in kept), tuple(run for _, run in kept))
            if kept
            else None
        )


class _Slot:
    """Where the holder of an identifier is: a batch, and a range of its records of which exactly one holds it."""

    __slots__ = ("batch", "places")

    def __init__(self, batch: _Open, count: int) -> None:
        """The records are the next `count` of the batch."""
        self.batch = batch
        self.places = range(len(batch.records), len(batch.records) + count)


class _Lane:
    """The open batches of one lane, by batch key, and where the pending records are that hold each identifier."""

    def __init__(self, superseded: Superseded, *, strict: bool) -> None:
        self.open: dict[tuple[str, ...], _Open] = {}
        self._holders: dict[str, tuple[_Slot, ...]] = {}
        self._run = 0
        self._operations: dict[tuple[str, ...], str] = {}
        self._superseded = superseded
        self._strict = strict

    def take(self, records: Sequence[Record]) -> list[Batch]:
        """Take records of one target; return what they sealed."""
        ids = [identifier for record in records for identifier in record.ids]
        alone = self._holders.keys().isdisjoint(ids)
        if len(records) > 1 and not alone:
            return self._one_by_one(records)
        sealed = [] if alone else self._settle(records[0])
        target = records[0].target
        sizes = [len(record.item) + 1 for record in records]
        place = () if self._strict else target.key
        if self._operations.get(place) != target.operation:
            self._operations[place] = target.operation
            self._run += 1
        if self._strict:
            # another batch key is another request: what came before has to go before
            others = [
                key
                for key, one in self.open.items()
                if key != target.key and one.runs[:1] != [self._run]
            ]
            sealed += [batch for key in others for batch in self.seal(key)]
        batch, count = self._fitting(target, sizes, records[0].at, sealed)
        if count < len(records):
            # the rest goes to the next batch: the two parts are held apart
            return [*sealed, *self.take(records[:count]), *self.take(records[count:])]
        if not self._hold(ids, _Slot(batch, len(records)), alone=alone):
            return [*sealed, *self._one_by_one(records)]
        batch.add(records, sum(sizes), self._run)
        return sealed + self.seal(target.key) if batch.alive == batch.limits.records else sealed

    def _one_by_one(self, records: Sequence[Record]) -> list[Batch]:
        return [batch for record in records for batch in self.take((record,))]

    def _hold(self, ids: list[str], slot: _Slot, *, alone: bool) -> bool:
        """Note where the holders of identifiers are; with several records, only if no two of them share one."""
        holders, mine = self._holders, (slot,)
        if not alone:
            for identifier in dict.fromkeys(ids):
                holders[identifier] = holders.get(identifier, ()) + mine
            return True
        before = len(holders)
        holders.update(zip(ids, repeat(mine), strict=False))
        if len(holders) == before + len(ids) or len(slot.places) == 1:
            return True
        for identifier in ids:
            holders.pop(identifier, None)
        return False

    def _fitting(
        self, target: Target, sizes: list[int], at: float, sealed: list[Batch]
    ) -> tuple[_Open, int]:
        """Return the open batch and how many of the records fit; one that takes none is sealed first."""
        batch = self.open.get(target.key)
        if batch is not None and not batch.alive:
            # all of it was superseded: its groups and bytes count no more, its age does
            batch = self.open[target.key] = _Open(
                target.builder.limits, target.base_bytes, batch.opened_at
            )
        if batch is not None:
            count = batch.fitting(target, sizes, self._run)
            if count:
                return batch, count
            sealed += self.seal(target.key)
        batch = self.open[target.key] = _Open(target.builder.limits, target.base_bytes, at)
        return batch, batch.fitting(target, sizes, self._run)

    def _settle(self, record: Record) -> list[Batch]:
        """Apply the two rules to every pending record that shares an identifier."""
        ids = set(zip(record.wires, record.ids, strict=True))
        conflicts: list[_Open] = []
        for batch, index, older in self._sharing(record):
            theirs = set(zip(older.wires, older.ids, strict=True))
            same = older.target.operation == record.target.operation
            if theirs.isdisjoint(ids):
                continue  # the same text under another wire key is another identifier
            covered = theirs <= ids and (not same or older.companions <= record.companions)
            if (
                batch.runs[index] == self._run
                and covered
                and (same or record.target.operation == "remove")
            ):
                batch.drop(index)
                self._release(batch, index, older)
                self._superseded(older, record)
            elif not same or older.target.key != record.target.key:
                conflicts.append(
                    batch
                )  # of two requests that name one person the newer one goes last
            elif older.target.group != record.target.group and batch.runs[index] == self._run:
                self._run += 1  # of two groups that name one person the newer one comes last
        keys = [key for key, batch in self.open.items() if batch in conflicts]
        return [batch for key in keys for batch in self.seal(key)]

    def _sharing(self, record: Record) -> list[tuple[_Open, int, Record]]:
        """Return the pending records that share an identifier's text, each with its batch and place."""
        found: dict[int, tuple[_Open, int, Record]] = {}
        for identifier in record.ids:
            for slot in self._holders.get(identifier, ()):
                for index in slot.places:
                    older = slot.batch.records[index]
                    if older is not None and identifier in older.ids:
                        found[id(older)] = (slot.batch, index, older)
        return list(found.values())

    def _release(self, batch: _Open, index: int, record: Record) -> None:
        for identifier in record.ids:
            slots = self._holders.pop(identifier, ())
            rest = tuple(
                slot for slot in slots if slot.batch is not batch or index not in slot.places
            )
            if rest:
                self._holders[identifier] = rest

    def seal(self, key: tuple[str, ...]) -> list[Batch]:
        """Close an open batch and return it, unless all of it was superseded."""
        closed = self.open.pop(key)
        if not self.open:
            self._holders = {}
        else:
            for index, record in enumerate(closed.records):
                if record is not None:
                    self._release(closed, index, record)
        sealed = closed.seal()
        return [sealed] if sealed else []


# So many records are looked at together; one overlap among them, and they are taken one by one.
_SLICE = 128


class Batcher:
    """Takes records in order and gives batches when they are full, in conflict, old, or asked for.

    `superseded` is called with every record that a newer one replaced, and the newer one. `strict`: a change of the
    operation closes the other batches of a lane; otherwise requests of two operations that share no identifier may
    change places. At most `max_pending` records are held: past that the oldest batch is given early.
    """

    def __init__(
        self,
        superseded: Superseded = lambda older, newer: None,
        max_pending: int = 50_000,
        *,
        strict: bool = True,
    ) -> None:
        self._strict = strict
        self._lanes: dict[str, _Lane] = {}
        self._pending = 0
        self._max_pending = max_pending
        self._report = superseded

    def take(self, records: Sequence[Record]) -> Iterator[Batch]:
        """Add records; yield the batches that this seals, in the order in which they have to be delivered."""
        for target, same in groupby(records, key=_TARGET):
            run = list(same)
            for start in range(0, len(run), _SLICE):
                yield from self._take(target.lane, run[start : start + _SLICE])

    def _take(self, name: str, records: Sequence[Record]) -> list[Batch]:
        lane = self._lanes.get(name)
        if lane is None:
            lane = self._lanes[name] = _Lane(self._superseded, strict=self._strict)
        self._pending += len(records)
        sealed = lane.take(records)
        self._pending -= sum(len(batch.records) for batch in sealed)
        while self._pending > self._max_pending:
            oldest = min(self._open(), key=lambda row: row[2].opened_at)
            sealed += self._seal(*oldest[:2])
        if not lane.open:
            self._lanes.pop(name, None)
        return sealed

    def due(self, now: float) -> list[Batch]:
        """Return the batches whose oldest record has waited as long as it may, oldest first."""
        old = [
            row
            for row in self._open()
            if row[2].limits.age is not None and now - row[2].opened_at >= row[2].limits.age
        ]
        return self._seal_all(old)

    def flush(self) -> list[Batch]:
        """Return every open batch, oldest first."""
        return self._seal_all(list(self._open()))

    def _superseded(self, older: Record, newer: Record) -> None:
        self._pending -= 1
        self._report(older, newer)

    def _open(self) -> Iterator[tuple[str, tuple[str, ...], _Open]]:
        return (
            (name, key, batch)
            for name, lane in self._lanes.items()
            for key, batch in lane.open.items()
        )

    def _seal_all(self, rows: list[tuple[str, tuple[str, ...], _Open]]) -> list[Batch]:
        rows.sort(key=lambda row: row[2].opened_at)
        return [batch for name, key, _ in rows for batch in self._seal(name, key)]

    def _seal(self, name: str, key: tuple[str, ...]) -> list[Batch]:
        sealed = self._lanes[name].seal(key)
        self._pending -= sum(len(batch.records) for batch in sealed)
        if not self._lanes[name].open:
            del self._lanes[name]
        return sealed

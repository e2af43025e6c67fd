"""Batching: records into batches, under the limits, with the result of one event after the other.

A *lane* is one audience: its batches are delivered first in, first out. Records of a lane form
*runs* of one operation. Within a request, a group never reaches across a run, so a vendor that
applies a body in its order applies the events in theirs.

What happens when a record names a person whom a pending record also names:

* *supersede*: the newer record replaces the older one when it names everybody whom the older one
  names, and the older one has nothing to add: both have one operation and the newer one brings the
  same companions, or the newer one removes. Only within the current run: past an opposite operation
  the older record may still matter, because the vendor may know the two sets of identifiers as one
  person.
* *seal*: with another operation, or another batch key, the older record's batch is closed, and the
  newer record goes to the next one.
* *new run*: with the same operation in another group, the newer record starts a run, so that of two
  expiries the newer one comes last.

Otherwise the newer record simply follows. docs/decisions/0002 says why these rules are needed.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, chain, groupby, repeat
from operator import attrgetter, itemgetter
from typing import NamedTuple, cast

from connector.model import Batch, Record, RequestLimits, Target, target_of

BatchKey = tuple[str, ...]

#: The open batches by lane and batch key, in the order in which they were opened.
_Opened = dict[tuple[str, BatchKey], "_OpenBatch"]

#: Called with a record and the newer one that took its place.
OnSuperseded = Callable[[Record, Record], None]

#: Get a record's identifiers without a Python frame for each record.
_ids_of: Callable[[Record], tuple[str, ...]] = itemgetter(Record._fields.index("ids"))

# Records of one target are taken so many at a time. A slice without any overlap, by far the most
# frequent case, costs a few set operations; one overlap, and its records are taken one by one.
# Taking all records one by one would double the time from an event to a body.
_SLICE = 128

# Records of more identifiers than these together are not taken at once: to find the one that holds
# an identifier means to look at all of them.
_SLICE_IDS = 1_024

# Of so many pending records that name one identifier the newest are looked at: thousands may share
# a phone number. For the order of delivery the newest says as much as all of them, because those
# that stay pending are of one batch and one operation, and within a run of one group. Only an older
# record whose every identifier is shared by so many is then sent, and not superseded.
_HOLDERS = 32


@dataclass(slots=True, eq=False)
class _OpenBatch:
    """A batch that still takes records. A superseded record leaves None in its place."""

    limits: RequestLimits
    #: The bytes of the body so far.
    size: int
    #: When its first record was prepared, in seconds since the epoch.
    opened_at: float
    #: The batches that a lane has opened before it.
    number: int = 0
    records: list[Record | None] = field(default_factory=list)
    runs: list[int] = field(default_factory=list)
    #: Its groups, as (run, the target's group).
    groups: set[tuple[int, object]] = field(default_factory=set)
    #: How many of its records are not superseded.
    alive: int = 0

    def room_for(self, target: Target, sizes: Sequence[int], run: int) -> int:
        """Return how many records of a target fit, given the bytes that each of them takes.

        An empty batch takes at least one: a record that is too large for every batch is sent alone.
        """
        least = 0 if self.alive else 1
        limits = self.limits

        opens_group = (run, target.group) not in self.groups
        if opens_group and limits.groups is not None and len(self.groups) >= limits.groups:
            return least

        count = len(sizes)
        if limits.records is not None:
            count = min(count, limits.records - self.alive)

        if limits.bytes is not None:
            room = limits.bytes - self.size
            if opens_group:
                room -= target.group_bytes
            if sum(sizes) > room:
                totals = list(accumulate(sizes))
                count = min(count, bisect_right(totals, room))
            count = max(count, least)
        return count

    def add(self, records: Sequence[Record], size: int, run: int) -> None:
        """Add records of one target that take so many bytes together."""
        target = records[0].target
        group = (run, target.group)
        if group not in self.groups:
            self.groups.add(group)
            self.size += target.group_bytes

        self.size += size
        self.records += records
        self.runs += [run] * len(records)
        self.alive += len(records)

    def drop(self, position: int) -> None:
        """Take a superseded record out."""
        record = self.records[position]
        if record is not None:
            self.records[position] = None
            self.size -= len(record.item) + 1
            self.alive -= 1

    def full_by(self, target: Target, run: int) -> str:
        """Return the limit under which no further record of a target fits."""
        limit = self.limits.groups
        opens_group = (run, target.group) not in self.groups
        if opens_group and limit is not None and len(self.groups) >= limit:
            return "groups"
        return "bytes"

    def seal(self, closed_by: str) -> Batch | None:
        """Return the batch; None when all of its records were superseded."""
        if not self.alive:
            return None
        if self.alive == len(self.records):
            records = cast(list[Record], self.records)
            return Batch(tuple(records), tuple(self.runs), closed_by)

        kept: list[Record] = []
        runs: list[int] = []
        for record, run in zip(self.records, self.runs, strict=True):
            if record is not None:
                kept.append(record)
                runs.append(run)
        return Batch(tuple(kept), tuple(runs), closed_by)


class _Location:
    """Where the holder of an identifier is: among some records of a batch, exactly one of them.

    Records that were taken together share one location: to note it costs one dictionary update for
    all of them, to look into it a few comparisons.
    """

    __slots__ = ("batch", "positions")

    def __init__(self, batch: _OpenBatch, count: int) -> None:
        """Locate the next `count` records that the batch takes."""
        start = len(batch.records)
        self.batch = batch
        self.positions = range(start, start + count)

    def wires_of(self, identifier: str) -> tuple[str, ...]:
        """Return the wire keys under which the holder has an identifier's text."""
        wires: list[str] = []
        for position in self.positions:
            record = self.batch.records[position]
            if record is not None and identifier in record.ids:
                for wire, value in zip(record.wires, record.ids, strict=True):
                    if value == identifier:
                        wires.append(wire)
        return tuple(wires)


class _Overlap(NamedTuple):
    """A pending record that has an identifier's text in common with a new one."""

    batch: _OpenBatch
    position: int
    record: Record


class _Lane:
    """The open batches of one lane, by batch key, and where each pending identifier is held."""

    def __init__(
        self, name: str, opened: _Opened, on_superseded: OnSuperseded, *, strict: bool
    ) -> None:
        """`opened` holds the open batches of all lanes; this one's are put in and taken out."""
        self.open: dict[BatchKey, _OpenBatch] = {}
        self._name = name
        self._opened = opened
        self._count_opened = 0
        self._holders: dict[str, tuple[_Location, ...]] = {}
        self._run = 0
        #: The run that `_seal_earlier_runs` has seen last, and the key of the records it was for.
        self._seen: tuple[int, BatchKey] = (0, ())
        self._operations: dict[BatchKey, str] = {}
        self._on_superseded = on_superseded
        self._strict = strict

    def take(self, records: Sequence[Record]) -> list[Batch]:
        """Take records of one target; return the batches that this closed, in order."""
        ids = list(chain.from_iterable(map(_ids_of, records)))
        overlaps = not self._holders.keys().isdisjoint(ids)
        if len(records) > 1 and (overlaps or len(ids) > _SLICE_IDS):
            return self._take_one_by_one(records)

        first = records[0]
        target = first.target
        sealed = self._settle_overlaps(first) if overlaps else []
        self._count_run(target)
        if self._strict:
            sealed += self._seal_earlier_runs(target)

        sizes = [len(record.item) + 1 for record in records]  # an item and its comma
        batch = self._open_batch(first)
        count = batch.room_for(target, sizes, self._run)
        if not count:
            full_by = batch.full_by(target, self._run)
            sealed += self.seal(target.key, full_by)
            batch = self._open_batch(first)
            count = batch.room_for(target, sizes, self._run)

        if count < len(records):
            # The two parts go to two batches, and a location speaks of one.
            return [*sealed, *self.take(records[:count]), *self.take(records[count:])]

        location = _Location(batch, len(records))
        if not self._hold(ids, location, overlaps=overlaps):
            return [*sealed, *self._take_one_by_one(records)]

        batch.add(records, sum(sizes), self._run)
        if batch.alive == batch.limits.records:
            sealed += self.seal(target.key, "records")
        return sealed

    def _take_one_by_one(self, records: Sequence[Record]) -> list[Batch]:
        sealed: list[Batch] = []
        for record in records:
            sealed += self.take((record,))
        return sealed

    def _count_run(self, target: Target) -> None:
        """Start a run when the operation changes: of the lane or, unless strict, of the request."""
        key = () if self._strict else target.key
        if self._operations.get(key) != target.operation:
            self._operations[key] = target.operation
            self._run += 1

    def _seal_earlier_runs(self, target: Target) -> list[Batch]:
        """Close the lane's other requests when they began in an earlier run: they go first."""
        run, last_key = self._seen
        self._seen = (self._run, target.key)
        # In a run that was seen before, only the batch that took the last records may be older.
        keys = [last_key] if run == self._run else list(self.open)

        sealed: list[Batch] = []
        for key in keys:
            batch = self.open.get(key)
            if batch is not None and key != target.key and batch.runs[:1] != [self._run]:
                sealed += self.seal(key, "order")
        return sealed

    def _open_batch(self, record: Record) -> _OpenBatch:
        """Return the open batch for a record, a new one if need be."""
        target = record.target
        opened_at = record.prepared_at
        number = self._count_opened
        batch = self.open.get(target.key)
        if batch is not None:
            if batch.alive:
                return batch
            # All of it was superseded. Its groups and bytes no longer count, but its age does:
            # otherwise what is superseded again and again would never become due.
            opened_at = batch.opened_at
            number = batch.number

        batch = _OpenBatch(target.endpoint.limits, target.base_bytes, opened_at, number)
        self._count_opened += 1
        self.open[target.key] = batch
        self._opened[self._name, target.key] = batch
        return batch

    def _hold(self, ids: list[str], location: _Location, *, overlaps: bool) -> bool:
        """Note where identifiers are held.

        Return False, and note nothing, when two of the records have one in common.
        """
        holders = self._holders
        here = (location,)
        if overlaps:  # a single record, beside what others hold
            for identifier in dict.fromkeys(ids):
                others = holders.get(identifier, ())
                if len(others) >= 2 * _HOLDERS:
                    others = _newest(others, identifier)
                holders[identifier] = others + here
            return True

        expected = len(holders) + len(ids)
        holders.update(zip(ids, repeat(here), strict=False))
        # One record may have the same text under two wire keys.
        if len(holders) == expected or len(location.positions) == 1:
            return True

        for identifier in ids:
            holders.pop(identifier, None)
        return False

    def _settle_overlaps(self, record: Record) -> list[Batch]:
        """Supersede, seal or start a run for each pending record that names the same person."""
        target = record.target
        identifiers = set(zip(record.wires, record.ids, strict=True))
        conflicts: dict[BatchKey, _OpenBatch] = {}

        for batch, position, older in self._overlapping(record):
            older_identifiers = set(zip(older.wires, older.ids, strict=True))
            if identifiers.isdisjoint(older_identifiers):
                continue  # the same text under another wire key is another identifier

            in_current_run = batch.runs[position] == self._run
            same_operation = older.target.operation == target.operation
            covered = older_identifiers <= identifiers
            if same_operation:
                replaces = covered and older.companions <= record.companions
            else:
                replaces = covered and target.operation == "remove"

            if replaces and in_current_run:
                batch.drop(position)
                self._release(batch, position, older)
                self._on_superseded(older, record)
            elif not same_operation or older.target.key != target.key:
                # Of two requests that name one person the newer one goes last.
                conflicts[older.target.key] = batch
            elif older.target.group != target.group and in_current_run:
                # Of two groups that name one person the newer one comes last.
                self._run += 1

        sealed: list[Batch] = []
        for key in sorted(conflicts, key=lambda key: conflicts[key].number):
            sealed += self.seal(key, "conflict")
        return sealed

    def _overlapping(self, record: Record) -> list[_Overlap]:
        """Return the pending records that share an identifier's text, each of them once."""
        overlaps: dict[int, _Overlap] = {}
        for identifier in record.ids:
            for location in self._holders.get(identifier, ()):
                is_sure = len(location.positions) == 1
                for position in location.positions:
                    older = location.batch.records[position]
                    if older is not None and (is_sure or identifier in older.ids):
                        overlaps[id(older)] = _Overlap(location.batch, position, older)
        return list(overlaps.values())

    def _release(self, batch: _OpenBatch, position: int, record: Record) -> None:
        """Forget that the record at this position holds its identifiers."""
        for identifier in record.ids:
            locations = self._holders.pop(identifier, ())
            others = tuple(
                location
                for location in locations
                if location.batch is not batch or position not in location.positions
            )
            if others:
                self._holders[identifier] = others

    def seal(self, key: BatchKey, closed_by: str) -> list[Batch]:
        """Close an open batch and return it, unless all of it was superseded."""
        closed = self.open.pop(key)
        del self._opened[self._name, key]
        if not self.open:
            self._holders = {}
        else:
            for position, record in enumerate(closed.records):
                if record is not None:
                    self._release(closed, position, record)

        batch = closed.seal(closed_by)
        return [] if batch is None else [batch]


def _newest(locations: tuple[_Location, ...], identifier: str) -> tuple[_Location, ...]:
    """Return the newest locations of an identifier's text, so many for each wire key."""
    kept: list[_Location] = []
    seen: Counter[tuple[str, ...]] = Counter()
    for location in reversed(locations):
        wires = location.wires_of(identifier)
        seen[wires] += 1
        if seen[wires] <= _HOLDERS:
            kept.append(location)
    return tuple(reversed(kept))


class _Pending(NamedTuple):
    """An open batch, and where the batcher finds it."""

    lane: str
    key: BatchKey
    opened_at: float
    max_age: float | None


_opened_at = attrgetter("opened_at")


class Batcher:
    """Take records in order; give batches when they are full, in conflict, old, or asked for.

    `on_superseded` is called with every record that a newer one replaced, and the newer one.
    `strict`: a change of the operation closes the other batches of a lane. Otherwise requests of
    two operations that share no identifier may change places. At most `max_pending` records are
    held: past that, the oldest batch is closed early.
    """

    def __init__(
        self,
        on_superseded: OnSuperseded = lambda older, newer: None,
        max_pending: int = 50_000,
        *,
        strict: bool = True,
    ) -> None:
        self._strict = strict
        self._lanes: dict[str, _Lane] = {}
        self._opened: _Opened = {}
        self._pending = 0
        self._max_pending = max_pending
        self._on_superseded = on_superseded

    @property
    def is_empty(self) -> bool:
        """Whether no batch is open."""
        return not self._lanes

    def take(self, records: Sequence[Record]) -> Iterator[Batch]:
        """Add records; yield the batches that this closes, in the order of their delivery."""
        for target, same_target in groupby(records, key=target_of):
            run = list(same_target)
            for start in range(0, len(run), _SLICE):
                yield from self._take(target.lane, run[start : start + _SLICE])

    def _take(self, name: str, records: Sequence[Record]) -> list[Batch]:
        lane = self._lanes.get(name)
        if lane is None:
            lane = _Lane(name, self._opened, self._superseded, strict=self._strict)
            self._lanes[name] = lane

        self._pending += len(records)
        sealed = lane.take(records)
        self._count_out(sealed)

        while self._pending > self._max_pending:
            oldest_lane, oldest_key = next(iter(self._opened))
            sealed += self._seal(oldest_lane, oldest_key, "memory")
        if not lane.open:
            self._lanes.pop(name, None)
        return sealed

    def due(self, now: float) -> list[Batch]:
        """Return the batches whose oldest record has waited as long as it may, oldest first."""
        due: list[_Pending] = []
        for pending in self._open_batches():
            age = now - pending.opened_at
            if pending.max_age is not None and age >= pending.max_age:
                due.append(pending)
        return self._seal_all(due, "age")

    def flush(self) -> list[Batch]:
        """Return every open batch, oldest first."""
        return self._seal_all(list(self._open_batches()), "end")

    def _superseded(self, older: Record, newer: Record) -> None:
        self._pending -= 1
        self._on_superseded(older, newer)

    def _open_batches(self) -> Iterator[_Pending]:
        for name, lane in self._lanes.items():
            for key, batch in lane.open.items():
                yield _Pending(name, key, batch.opened_at, batch.limits.age)

    def _seal_all(self, pending: list[_Pending], closed_by: str) -> list[Batch]:
        pending.sort(key=_opened_at)
        sealed: list[Batch] = []
        for one in pending:
            sealed += self._seal(one.lane, one.key, closed_by)
        return sealed

    def _seal(self, name: str, key: BatchKey, closed_by: str) -> list[Batch]:
        lane = self._lanes[name]
        sealed = lane.seal(key, closed_by)
        self._count_out(sealed)
        if not lane.open:
            del self._lanes[name]
        return sealed

    def _count_out(self, sealed: list[Batch]) -> None:
        for batch in sealed:
            self._pending -= len(batch.records)

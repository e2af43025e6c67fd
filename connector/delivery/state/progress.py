"""How far a run is: which of its records are settled, lane by lane.

A record's place is its event's position and a number, which counts the records that the event has
in the record's lane from 0. Lanes are delivered in order, so what is settled of one is nearly
always everything up to some position; only what was sent beside it lies beyond.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby, islice
from operator import lt
from typing import NamedTuple

from connector.model import Chunk, Record, position_of, positions_of, target_of

# So many lanes are looked at for each settled batch, to know how far the whole run is.
_LOOKED_AT = 64


class Place(NamedTuple):
    """Where a record stands in its lane."""

    position: int
    number: int


class LaneProgress:
    """How far one lane is.

    Everything up to the position `before` is settled, and what is in `beyond`.
    """

    def __init__(self, before: int = 0, beyond: Iterable[Place] = ()) -> None:
        self.before = before
        self.beyond = set(beyond)
        #: How many records of a position are open, the earliest position first if `in_order`.
        self.open: dict[int, int] = {}
        self.in_order = True

    def has_settled(self, place: Place) -> bool:
        """Return whether a record was settled by an earlier process."""
        return place.position <= self.before or place in self.beyond

    def take(self, position: int) -> None:
        """Note a record that is to be delivered."""
        self.open[position] = self.open.get(position, 0) + 1

    def first_open(self) -> int | None:
        """Return the first position that has an open record, None if none has."""
        if not self.in_order:
            self.open = dict(sorted(self.open.items()))
            self.in_order = True
        return next(iter(self.open), None)

    def settle(self, positions: Sequence[int], numbers: Mapping[int, int], prepared: int) -> None:
        """Note that records have their outcome, and how far the lane is then.

        `numbers`: those of records that are not the first of their event, by their index among the
        positions. All events up to the position `prepared` were taken.
        """
        counts = self.open
        for position in positions:
            if counts[position] == 1:
                del counts[position]
            else:
                counts[position] -= 1

        first = self.first_open()
        before = prepared if first is None else min(prepared, first - 1)
        if before > self.before:
            self.before = before
            self.beyond = {place for place in self.beyond if place.position > before}
        if max(positions) <= self.before:
            return
        for index, position in enumerate(positions):
            if position > self.before:
                self.beyond.add(Place(position, numbers.get(index, 0)))


class Progress:
    """How far a run is, over all processes that worked at it.

    settled: all events up to this position are done with. prepared: the events up to this position
    were prepared once, so that what became of them without being sent was counted and reported.
    """

    def __init__(self, settled: int = 0, prepared: int = 0) -> None:
        self.settled = settled
        self.prepared = prepared
        # What this process prepared: lanes of earlier ones may have open records after it.
        self._taken = settled
        self._counted = prepared
        # Beyond this position no earlier process sent anything that it knew the outcome of.
        self._known = prepared
        self._lanes: dict[str, LaneProgress] = {}
        # How many records each event of this chunk has so far, by lane and position.
        self._numbers: dict[tuple[str, int], int] = {}
        # The numbers of open records, by `id(record)`, but for those whose number is 0.
        self._number_of: dict[int, int] = {}
        # The latest position that a record was taken of.
        self._latest = 0
        self._held: int | None = None
        self._commits = 0
        #: Whether what became of the chunk that was given last was counted by an earlier process.
        self.is_counted = False
        #: How many open records earlier processes may have sent: those that they prepared.
        self.reopened = 0
        #: How many records were taken.
        self.taken = 0

    def add_lane(self, name: str, before: int, beyond: Iterable[Place]) -> None:
        """Add what is known of a lane from earlier processes."""
        lane = self._lanes[name] = LaneProgress(before, beyond)
        for place in lane.beyond:
            self._known = max(self._known, place.position)

    def remaining(self, chunks: Iterable[Chunk]) -> Iterator[Chunk]:
        """Yield the chunks without the events that are done with.

        No chunk has events that were counted before and others.
        """
        begin = self.settled
        for chunk in chunks:
            self.is_counted = True
            if chunk[-1].position <= begin:
                continue
            known = [entry for entry in chunk if begin < entry.position <= self._counted]
            if known:
                yield known

            self.is_counted = False
            if known or chunk[0].position <= begin:
                chunk = [entry for entry in chunk if entry.position > self._counted]  # noqa: PLW2901
            if chunk:
                yield chunk

    def take(self, records: Sequence[Record]) -> Sequence[Record]:
        """Return the records that are still to be delivered; they are open from now on."""
        if not records:
            return records
        positions = positions_of(records)
        is_new = positions[0] > max(self._known, self._latest)
        if is_new and all(map(lt, positions, islice(positions, 1, None))):
            self._take_single(records, positions)
            # The next records may be of the same event.
            self._numbers[records[-1].target.lane, positions[-1]] = 1
            return records
        return list(self._take_numbered(records, positions))

    def _take_single(self, records: Sequence[Record], positions: Sequence[int]) -> None:
        """Take records of which each is the only one of its event, new, and behind the others."""
        end = 0
        for target, run in groupby(records, target_of):
            start, end = end, end + len(list(run))
            self._lane(target.lane).open.update(dict.fromkeys(positions[start:end], 1))
        self.taken += len(records)
        self._latest = positions[-1]

    def _take_numbered(
        self, records: Sequence[Record], positions: Sequence[int]
    ) -> Iterator[Record]:
        numbers = self._numbers
        for record, position in zip(records, positions, strict=True):
            name = record.target.lane
            lane = self._lane(name)
            number = numbers.get((name, position), 0)
            numbers[name, position] = number + 1
            if position <= self._known:
                if lane.has_settled(Place(position, number)):
                    continue
                self.reopened += 1
            if number:
                self._number_of[id(record)] = number
            if position < self._latest:
                # The parts of people who are split change places with each other.
                lane.in_order = False
            self._latest = max(self._latest, position)
            lane.take(position)
            self.taken += 1
            yield record

    def _lane(self, name: str) -> LaneProgress:
        lane = self._lanes.get(name)
        if lane is None:
            lane = self._lanes[name] = LaneProgress()
        return lane

    def place(self, record: Record) -> Place:
        """Return the place of an open record."""
        return Place(position_of(record.event_id), self._number_of.get(id(record), 0))

    def replace(self, older: Record) -> Place:
        """Return the place of an open record that is delivered no more: it shares an outcome."""
        return Place(position_of(older.event_id), self._number_of.pop(id(older), 0))

    def hold(self, position: int) -> None:
        """Note an event that has to be prepared again by another process."""
        if self._held is None:
            self._held = position

    def chunk_done(self, position: int) -> None:
        """Note that all events up to this position were taken."""
        self._numbers.clear()
        self._taken = position
        self.prepared = max(self.prepared, position)

    def settle(
        self, lane_name: str, records: Sequence[Record], replaced: Iterable[Place]
    ) -> LaneProgress:
        """Note that records of one lane, and those they replaced, have their outcome."""
        positions = positions_of(records)
        numbers: dict[int, int] = {}
        if self._number_of:
            for index, record in enumerate(records):
                numbers[index] = self._number_of.pop(id(record), 0)
        for place in replaced:
            numbers[len(positions)] = place.number
            positions.append(place.position)

        lane = self._lanes[lane_name]
        lane.settle(positions, numbers, self._taken)
        self._advance()
        if not lane.open and not lane.beyond and self._taken >= self._known:
            del self._lanes[lane_name]  # nothing has to be known of it any more
        return lane

    def finish(self) -> bool:
        """Note that the input is at its end. Return whether everything is settled."""
        self.settled = self._everything_before()
        return self.settled == self._taken and self._held is None

    def _advance(self) -> None:
        self._commits += 1
        if self._commits * _LOOKED_AT >= len(self._lanes):
            self._commits = 0
            self.settled = max(self.settled, self._everything_before())

    def _everything_before(self) -> int:
        """Return up to where all records of all lanes are settled."""
        settled = self._taken
        if self._held is not None:
            settled = min(settled, self._held - 1)
        for lane in self._lanes.values():
            first = lane.first_open()
            if first is not None:
                settled = min(settled, first - 1)
        return settled


def packed(places: Iterable[Place]) -> bytes:
    """Return places as bytes: runs of positions that follow each other, of one number."""
    numbers = array("Q")
    ordered = sorted(places, key=lambda place: (place.number, place.position))
    for position, number in ordered:
        if numbers and numbers[-1] == number and numbers[-2] == position - 1:
            numbers[-2] = position
        else:
            numbers.extend((position, position, number))
    return numbers.tobytes()


def unpacked(content: bytes) -> Iterator[Place]:
    """Yield the places of `packed`."""
    numbers = array("Q")
    numbers.frombytes(content)
    for index in range(0, len(numbers), 3):
        first, last, number = numbers[index : index + 3]
        for position in range(first, last + 1):
            yield Place(position, number)

"""Mapping: events become records of a connection, those of several posts at once."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol, cast

from connector.connection.model import Connection
from connector.delivery.worker.bundles import Bundles, Written
from connector.errors import ConnectorError
from connector.model import (
    Chunk,
    Event,
    Record,
    Rejection,
    Result,
    moved,
    position_of,
    positions_of,
)
from connector.pipeline.dropped import DroppedValue
from connector.pipeline.pipeline import Pipeline
from connector.pipeline.prepared import PreparedError
from connector.sources.reading import CHUNK_ENTRIES

# Seconds between two attempts to learn which audiences the vendor has, once that failed.
_ASK_AGAIN = 60.0

_RECORD_TYPE = {Record}


@dataclass(slots=True)
class Mapped:
    """What a connection makes of the events of one post.

    `accepted`: the positions of those that something is delivered of, once `records` are written;
    `rejected`: position, code and reason of each that cannot be, or cannot be now.
    """

    records: list[Record] = field(default_factory=list)
    accepted: set[int] = field(default_factory=set)
    rejected: list[tuple[int, str, str]] = field(default_factory=list)
    dropped: int = 0

    def counts(self, connection: str) -> dict[tuple[str, str], int]:
        """Return what an outbox counts of them."""
        return {
            (connection, "accepted"): len(self.accepted),
            (connection, "rejected"): len(self.rejected),
            (connection, "dropped"): self.dropped,
        }


class Observer(Protocol):
    """Hears of what becomes no record. A `Ledger` is one."""

    def skipped(self) -> None:
        """Nothing takes an event."""

    def refused(self, rejection: Rejection) -> None:
        """An event cannot be sent on a route, or not now."""

    def dropped(self, values: Iterable[DroppedValue]) -> None:
        """Values were dropped; their records go on without them."""


class Mapper:
    """Maps the events of one connection. One thread uses it."""

    def __init__(
        self,
        name: str,
        connection: Connection,
        make_pipeline: Callable[[], Pipeline],
        observer: Observer | None = None,
    ) -> None:
        """`make_pipeline` may ask the vendor for audiences, and raise ConnectorError."""
        self._observer = observer
        self._bundles = Bundles(name, connection)
        self._make_pipeline = make_pipeline
        self._pipeline = make_pipeline()
        self._made_at = time.monotonic()

    @property
    def pipeline(self) -> Pipeline:
        """What maps them now."""
        return self._pipeline

    def map(self, posts: Sequence[Sequence[Event]], now: float) -> list[Mapped]:
        """Return what becomes of the events of each post. `now`: seconds since the epoch."""
        if len(posts) == 1:
            return [self.map_one(posts[0], now)]
        mapped = [Mapped() for _ in posts]
        self._map_together(posts, now, mapped)
        return mapped

    def map_one(self, entries: Chunk, now: float) -> Mapped:
        """Return what becomes of one post. What is unreadable in it is rejected."""
        mapped = Mapped()
        for start in range(0, len(entries), CHUNK_ENTRIES):
            chunk = entries[start : start + CHUNK_ENTRIES]
            self._sort(list(self._pipeline.prepare(chunk, now)), mapped)
            dropped = self._pipeline.take_dropped()
            mapped.dropped += len(dropped)
            if self._observer is not None:
                self._observer.dropped(dropped)
        return mapped

    def _sort(self, prepared: list[Result | None], mapped: Mapped) -> None:
        if _RECORD_TYPE.issuperset(map(type, prepared)):
            mapped.records += cast(list[Record], prepared)  # as nearly always
            return
        for one in prepared:
            if isinstance(one, Record):
                mapped.records.append(one)
            elif one is not None:
                self._refuse(one, position_of(one.event_id), mapped)
            elif self._observer is not None:
                self._observer.skipped()

    def _map_together(
        self, posts: Sequence[Sequence[Event]], now: float, mapped: Sequence[Mapped]
    ) -> None:
        """Map the events of small posts as if they were one: it costs little more than one."""
        owners: list[tuple[Mapped, int]] = []
        events = []
        for post, its in zip(posts, mapped, strict=True):
            for position, data in post:
                owners.append((its, position))
                events.append(Event(len(owners), data))

        for start in range(0, len(events), CHUNK_ENTRIES):
            chunk = events[start : start + CHUNK_ENTRIES]
            for one in self._pipeline.prepare(chunk, now):
                if one is None:
                    continue
                its, position = owners[position_of(one.event_id) - 1]
                if isinstance(one, Record):
                    event_id = moved(one.event_id, position)
                    its.records.append(one._replace(event_id=event_id))
                else:
                    self._refuse(one, position, its)
            lost = Counter(position_of(value.event_id) for value in self._pipeline.take_dropped())
            for number, count in lost.items():
                owners[number - 1][0].dropped += count

    def write(self, posts: Sequence[Mapped]) -> list[Written]:
        """Return the records of posts as bundles; refuse those that cannot be kept."""
        try:
            written = self._bundles.write(_records_of(posts))
        except PreparedError:
            for mapped in posts:
                mapped.records = list(self._writable(mapped))
            written = self._bundles.write(_records_of(posts))
        for mapped in posts:
            mapped.accepted = set(positions_of(mapped.records))
        return written

    def _writable(self, mapped: Mapped) -> Iterator[Record]:
        """Yield the records that can be kept; refuse the others."""
        for record in mapped.records:
            try:
                self._bundles.write([record])
            except PreparedError as error:
                reason = f"its prepared record {error}"
                refused = Rejection(record.target.route, record.event_id, "invalid", reason)
                self._refuse(refused, position_of(record.event_id), mapped)
            else:
                yield record

    def _refuse(self, one: Rejection, position: int, mapped: Mapped) -> None:
        if self._observer is not None:
            self._observer.refused(one)
        if one.outcome != "skipped":
            mapped.rejected.append((position, one.code, one.reason))
        if one.outcome == "undelivered":
            self._ask_again()

    def _ask_again(self) -> None:
        """Ask the vendor for audiences again, now and then: what it said may have passed."""
        if time.monotonic() < self._made_at + _ASK_AGAIN:
            return
        self._made_at = time.monotonic()
        try:
            self._pipeline = self._make_pipeline()
        except ConnectorError:
            return


def _records_of(posts: Sequence[Mapped]) -> list[Record]:
    records: list[Record] = []
    for mapped in posts:
        records += mapped.records
    return records

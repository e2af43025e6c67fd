"""Mapping: events become records of a connection, those of several posts at once."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from operator import itemgetter

from connector.connection.model import Connection
from connector.delivery.worker.bundles import Bundles, Written
from connector.errors import ConnectorError
from connector.model import (
    Event,
    EventId,
    ItemId,
    NamedEvent,
    Record,
    Rejection,
    position_of,
    target_of,
)
from connector.pipeline.pipeline import Pipeline
from connector.sources.reading import CHUNK_ENTRIES

_event_id_of: Callable[[Record], EventId] = itemgetter(Record._fields.index("event_id"))

# Seconds between two attempts to learn which audiences the vendor has, once that failed.
_ASK_AGAIN = 60.0
# No database keeps it in a text.
_NUL = "\0"


@dataclass(slots=True)
class Mapped:
    """What a connection makes of the events of one post.

    `written`: the records as bundles. `accepted`: the positions of those that something is
    delivered of; `rejected`: position, code and reason of each that cannot be, or cannot be now.
    """

    records: list[Record] = field(default_factory=list)
    written: list[Written] = field(default_factory=list)
    accepted: set[int] = field(default_factory=set)
    rejected: list[tuple[int, str, str]] = field(default_factory=list)
    dropped: int = 0


class Mapper:
    """Maps the events of one connection. One thread uses it."""

    def __init__(
        self, name: str, connection: Connection, make_pipeline: Callable[[], Pipeline]
    ) -> None:
        """`make_pipeline` may ask the vendor for audiences, and raise ConnectorError."""
        self._bundles = Bundles(name, connection)
        self._make_pipeline = make_pipeline
        self._pipeline = make_pipeline()
        self._made_at = time.monotonic()

    def map(self, posts: Sequence[Sequence[Event]], now: float) -> list[Mapped]:
        """Return what becomes of the events of each post. `now`: seconds since the epoch."""
        mapped = [Mapped() for _ in posts]
        if len(posts) == 1:
            self._map_one(posts[0], now, mapped[0])
        else:
            self._map_together(posts, now, mapped)
        for its in mapped:
            self._write(its)
        return mapped

    def _map_one(self, events: Sequence[Event], now: float, mapped: Mapped) -> None:
        for start in range(0, len(events), CHUNK_ENTRIES):
            chunk = events[start : start + CHUNK_ENTRIES]
            for one in self._pipeline.prepare(chunk, now):
                if isinstance(one, Record):
                    mapped.records.append(one)
                elif one is not None:
                    self._reject(one, position_of(one.event_id), mapped)
            mapped.dropped += len(self._pipeline.take_dropped())

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
                    moved = one._replace(event_id=_moved(one.event_id, position))
                    its.records.append(moved)
                else:
                    self._reject(one, position, its)
            lost = Counter(position_of(value.event_id) for value in self._pipeline.take_dropped())
            for number, count in lost.items():
                owners[number - 1][0].dropped += count

    def _reject(self, one: Rejection, position: int, mapped: Mapped) -> None:
        if one.outcome != "skipped":
            mapped.rejected.append((position, one.code, one.reason))
        if one.outcome == "undelivered":
            self._ask_again()

    def _write(self, mapped: Mapped) -> None:
        records = mapped.records
        if any(_NUL in target.lane for target in set(map(target_of, records))):
            records = list(_without_nul(mapped))
        mapped.written = self._bundles.write(records)
        mapped.accepted = set(map(position_of, map(_event_id_of, records)))

    def _ask_again(self) -> None:
        """Ask the vendor for audiences again, now and then: what it said may have passed."""
        if time.monotonic() < self._made_at + _ASK_AGAIN:
            return
        self._made_at = time.monotonic()
        try:
            self._pipeline = self._make_pipeline()
        except ConnectorError:
            return


def _without_nul(mapped: Mapped) -> Iterator[Record]:
    """Yield the records that a database can keep; reject the others."""
    for record in mapped.records:
        if _NUL in record.target.lane:
            reason = "its audience holds the character U+0000"
            mapped.rejected.append((position_of(record.event_id), "invalid", reason))
        else:
            yield record


def _moved(event_id: EventId, position: int) -> EventId:
    """Return an event's id at another position."""
    if isinstance(event_id, ItemId):
        moved = _moved(event_id.event_id, position)
        assert not isinstance(moved, ItemId)
        return ItemId(moved, event_id.item)
    if isinstance(event_id, NamedEvent):
        return NamedEvent(position, event_id.name)
    return position

"""Mapping: events become records of a connection, those of several posts at once."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from connector.connection.model import Connection
from connector.delivery.outbox.model import Entry
from connector.delivery.worker.entries import Entries
from connector.errors import ConnectorError
from connector.model import (
    Event,
    EventId,
    ItemId,
    NamedEvent,
    Record,
    Rejection,
    position_of,
)
from connector.pipeline.pipeline import Pipeline
from connector.sources.reading import CHUNK_ENTRIES

# Seconds between two attempts to learn which audiences the vendor has, once that failed.
_ASK_AGAIN = 60.0
# No database keeps it in a text.
_NUL = "\0"


@dataclass(slots=True)
class Mapped:
    """What a connection makes of the events of one post.

    `accepted`: the positions of those that something is delivered of; `rejected`: position, code
    and reason of each that cannot be, or cannot be now.
    """

    entries: list[Entry] = field(default_factory=list)
    accepted: set[int] = field(default_factory=set)
    rejected: list[tuple[int, str, str]] = field(default_factory=list)
    dropped: int = 0


class Mapper:
    """Maps the events of one connection. One thread uses it."""

    def __init__(
        self, name: str, connection: Connection, make_pipeline: Callable[[], Pipeline]
    ) -> None:
        """`make_pipeline` may ask the vendor for audiences, and raise ConnectorError."""
        self._entries = Entries(name, connection)
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
        return mapped

    def _map_one(self, events: Sequence[Event], now: float, mapped: Mapped) -> None:
        for start in range(0, len(events), CHUNK_ENTRIES):
            chunk = events[start : start + CHUNK_ENTRIES]
            for one in self._pipeline.prepare(chunk, now):
                if one is not None:
                    self._add(one, position_of(one.event_id), mapped)
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
                    self._add(moved, position, its)
                else:
                    self._add(one, position, its)
            lost = Counter(position_of(value.event_id) for value in self._pipeline.take_dropped())
            for number, count in lost.items():
                owners[number - 1][0].dropped += count

    def _add(self, one: Record | Rejection, position: int, mapped: Mapped) -> None:
        if isinstance(one, Rejection):
            if one.outcome != "skipped":
                mapped.rejected.append((position, one.code, one.reason))
            if one.outcome == "undelivered":
                self._ask_again()
        elif _NUL in one.target.lane:
            reason = "its audience holds the character U+0000"
            mapped.rejected.append((position, "invalid", reason))
        else:
            mapped.entries.append(self._entries.write(one))
            mapped.accepted.add(position)

    def _ask_again(self) -> None:
        """Ask the vendor for audiences again, now and then: what it said may have passed."""
        if time.monotonic() < self._made_at + _ASK_AGAIN:
            return
        self._made_at = time.monotonic()
        try:
            self._pipeline = self._make_pipeline()
        except ConnectorError:
            return


def _moved(event_id: EventId, position: int) -> EventId:
    """Return an event's id at another position."""
    if isinstance(event_id, ItemId):
        moved = _moved(event_id.event_id, position)
        assert not isinstance(moved, ItemId)
        return ItemId(moved, event_id.item)
    if isinstance(event_id, NamedEvent):
        return NamedEvent(position, event_id.name)
    return position

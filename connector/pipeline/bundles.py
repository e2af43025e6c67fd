"""Bundles: many prepared records as one text of bytes, and back.

A line of JSON comes first, which holds a column for each member of the records; then their items,
one behind the other. What many records share stands there once. As with `prepared.py`, it holds
what would be sent of people, hashed where the definition hashes.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, TypeVar

import orjson

from connector.errors import ConnectorError
from connector.model import EventId, ItemId, NamedEvent, Record
from connector.pipeline.prepared import (
    NO_JSON,
    OTHER_DEFINITION,
    OTHER_ROUTES,
    OtherDefinitionError,
    PreparedError,
    PreparedRecords,
)

_NO_BUNDLE = "is no bundle of prepared records"

_T = TypeVar("_T", bound=Hashable)
#: The values of a column, each once, and which of them each record has; None when all have one.
_Column = tuple[list[_T], list[int] | None]


class PreparedBundles:
    """Writes and reads the bundles of one connection.

    They can be read as long as the definition and the routes are those that prepared them.
    """

    def __init__(self, prepared: PreparedRecords) -> None:
        self._prepared = prepared

    def write(self, records: Sequence[Record]) -> bytes:
        """Return records as bytes. Raise PreparedError for one that JSON cannot hold."""
        targets, ids, wires, items, events, _, companions = zip(*records, strict=True)
        its_targets, target_of = _column(targets)
        its_wires, wires_of = _column(wires)
        its_companions, companions_of = _column(companions)
        head = {
            "definition": self._prepared.definition,
            "targets": list(map(self._prepared.target_json, its_targets)),
            "target": target_of,
            "all_wires": its_wires,
            "wires": wires_of,
            "all_companions": list(map(sorted, its_companions)),
            "companions": companions_of,
            "ids": ids,
            "sizes": list(map(len, items)),
            "events": _events_json(events),
        }
        try:
            return b"\n".join((orjson.dumps(head), b"".join(items)))
        except orjson.JSONEncodeError:
            raise PreparedError(NO_JSON) from None

    def read(self, content: bytes, first: int, prepared_at: float) -> list[Record]:
        """Return the records that `write` wrote, with the event ids `first` and further.

        Raise PreparedError.
        """
        head, items = _parts(content)
        if head.get("definition") != self._prepared.definition:
            raise OtherDefinitionError(OTHER_DEFINITION)
        try:
            return self._records(head, items, first, prepared_at)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError, ConnectorError):
            raise PreparedError(OTHER_ROUTES) from None

    def _records(
        self, head: Mapping[str, Any], items: Sequence[bytes], first: int, prepared_at: float
    ) -> list[Record]:
        count = len(items)
        targets = [self._prepared.target(document) for document in head["targets"]]
        all_wires = [tuple(wires) for wires in head["all_wires"]]
        all_companions = [frozenset(companions) for companions in head["all_companions"]]
        target_of = _indexes(head["target"], count)
        wires_of = _indexes(head["wires"], count)
        companions_of = _indexes(head["companions"], count)

        records = []
        for index, its_ids in enumerate(head["ids"]):
            target = targets[target_of[index]]
            wires = all_wires[wires_of[index]]
            companions = all_companions[companions_of[index]]
            item = items[index]
            if type(its_ids) is not list:
                raise TypeError
            ids = tuple(its_ids)
            self._prepared.check(target, ids, wires, companions, item)
            seq = first + index
            records.append(Record(target, ids, wires, item, seq, prepared_at, companions))
        if len(records) != count:
            raise ValueError
        return records


def split_bundle(content: bytes, index: int) -> bytes:
    """Return the bundle of one of a bundle's records. Raise PreparedError."""
    head, items = _parts(content)
    one = dict(head)
    try:
        for name in ("target", "wires", "companions"):
            if head[name] is not None:
                one[name] = [head[name][index]]
        for name in ("ids", "sizes", "events"):
            one[name] = [head[name][index]]
        item = items[index]
    except (IndexError, KeyError, TypeError):
        raise PreparedError(_NO_BUNDLE) from None
    return b"\n".join((orjson.dumps(one), item))


def origin_of(content: bytes) -> tuple[str, str, EventId] | None:
    """Return route, action and event of a bundle's first record: what names nobody.

    None for what is no bundle.
    """
    try:
        head, _ = _parts(content)
        target = head["targets"][head["target"][0] if head["target"] else 0]
        event_id = _event_of(head["events"][0])
        route, action = target["route"], target["action"]
    except (IndexError, KeyError, PreparedError, TypeError, ValueError):
        return None
    return route, action, event_id


def _parts(content: bytes) -> tuple[dict[str, Any], list[bytes]]:
    """Return the line of JSON and the items of a bundle. Raise PreparedError."""
    line, _, text = content.partition(b"\n")
    items = []
    end = 0
    try:
        head = orjson.loads(line)
        for size in head["sizes"]:
            start, end = end, end + size
            items.append(text[start:end])
    except (KeyError, TypeError, ValueError):
        raise PreparedError(_NO_BUNDLE) from None
    if not isinstance(head, dict) or end != len(text):
        raise PreparedError(_NO_BUNDLE)
    return head, items


def _column(values: Sequence[_T]) -> _Column[_T]:
    distinct = list(dict.fromkeys(values))
    if len(distinct) == 1:
        return distinct, None
    indexes = {value: index for index, value in enumerate(distinct)}
    return distinct, list(map(indexes.__getitem__, values))


def _indexes(column: list[int] | None, count: int) -> Sequence[int]:
    return [0] * count if column is None else column


def _events_json(events: Sequence[EventId]) -> list[Any]:
    """Return ids of events in JSON: a position, [position, name], or [one of these, item]."""
    kinds = set(map(type, events))
    if kinds == {NamedEvent}:
        return list(map(tuple, events))  # type: ignore[arg-type]  # all of them are tuples
    if kinds == {int}:
        return list(events)
    return [_event_json(event) for event in events]


def _event_json(event: EventId) -> Any:
    if isinstance(event, ItemId):
        return [_event_json(event.event_id), event.item]
    if isinstance(event, NamedEvent):
        return [event.position, event.name]
    return event


def _event_of(document: Any) -> EventId:
    """Return what `_event_json` was given. Raise TypeError or ValueError."""
    if isinstance(document, int):
        return document
    first, second = document
    if isinstance(second, str):
        return NamedEvent(first, second)
    event = _event_of(first)
    if isinstance(event, ItemId):
        raise TypeError
    return ItemId(event, second)

"""Bundles: many prepared records as one text of bytes, and back.

A line of JSON comes first, which holds a column for each member of the records; then their
identifiers, if all of them are digests, then their items, one behind the other. What many records
share stands there once. As with `prepared.py`, it holds what would be sent of people, hashed where
the definition hashes.
"""

from __future__ import annotations

from binascii import unhexlify
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

#: How many bytes an identifier has that is a digest; in a record it is written in hexadecimal.
DIGEST_BYTES = 32
_HEX = 2 * DIGEST_BYTES

_T = TypeVar("_T", bound=Hashable)
#: The values of a column, each once, and which of them each record has; None when all have one.
_Column = tuple[list[_T], list[int] | None]


class PreparedBundles:
    """Writes and reads the bundles of one connection.

    They can be read as long as the definition and the routes are those that prepared them.
    """

    def __init__(self, prepared: PreparedRecords) -> None:
        self._prepared = prepared

    def write(self, records: Sequence[Record], digests: bytes | None) -> bytes:
        """Return records as bytes. Raise PreparedError for one that JSON cannot hold.

        `digests`: `digests_of` all of their identifiers, in order.
        """
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
            # As many of the digests belong to each.
            "ids": ids if digests is None else list(map(len, ids)),
            "sizes": list(map(len, items)),
            "events": _events_json(events),
        }
        try:
            return b"".join((orjson.dumps(head), b"\n", digests or b"", *items))
        except orjson.JSONEncodeError:
            raise PreparedError(NO_JSON) from None

    def read(self, content: bytes, first: int, prepared_at: float) -> list[Record]:
        """Return the records that `write` wrote, with the event ids `first` and further.

        Raise PreparedError.
        """
        head, ids, items = _parts(content)
        if head.get("definition") != self._prepared.definition:
            raise OtherDefinitionError(OTHER_DEFINITION)
        try:
            return self._records(head, ids, items, first, prepared_at)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError, ConnectorError):
            raise PreparedError(OTHER_ROUTES) from None

    def _records(
        self,
        head: Mapping[str, Any],
        ids: Sequence[tuple[str, ...]],
        items: Sequence[bytes],
        first: int,
        prepared_at: float,
    ) -> list[Record]:
        count = len(items)
        targets = [self._prepared.target(document) for document in head["targets"]]
        all_wires = [tuple(wires) for wires in head["all_wires"]]
        all_companions = [frozenset(companions) for companions in head["all_companions"]]
        target_of = _indexes(head["target"], count)
        wires_of = _indexes(head["wires"], count)
        companions_of = _indexes(head["companions"], count)

        records = []
        for index, its_ids in enumerate(ids):
            target = targets[target_of[index]]
            wires = all_wires[wires_of[index]]
            companions = all_companions[companions_of[index]]
            item = items[index]
            self._prepared.check(target, its_ids, wires, companions, item)
            seq = first + index
            records.append(Record(target, its_ids, wires, item, seq, prepared_at, companions))
        return records


def split_bundle(content: bytes, index: int) -> bytes:
    """Return the bundle of one of a bundle's records. Raise PreparedError."""
    head, ids, items = _parts(content)
    one = dict(head)
    try:
        for name in ("target", "wires", "companions"):
            if head[name] is not None:
                one[name] = [head[name][index]]
        for name in ("sizes", "events"):
            one[name] = [head[name][index]]
        one["ids"] = [ids[index]]
        item = items[index]
    except (IndexError, KeyError, TypeError):
        raise PreparedError(_NO_BUNDLE) from None
    return b"\n".join((orjson.dumps(one), item))


def digests_of(identifiers: Sequence[str]) -> bytes | None:
    """Return digests in hexadecimal as bytes; None unless all of the identifiers are some."""
    if set(map(len, identifiers)) != {_HEX}:
        return None
    text = "".join(identifiers)
    if any(map(text.__contains__, "ABCDEF")):
        return None  # they would be read in small letters
    try:
        return unhexlify(text)
    except ValueError:
        return None


def origin_of(content: bytes) -> tuple[str, str, EventId] | None:
    """Return route, action and event of a bundle's first record: what names nobody.

    None for what is no bundle.
    """
    try:
        head, _, _ = _parts(content)
        target = head["targets"][head["target"][0] if head["target"] else 0]
        event_id = _event_of(head["events"][0])
        route, action = target["route"], target["action"]
    except (IndexError, KeyError, PreparedError, TypeError, ValueError):
        return None
    return route, action, event_id


def _parts(content: bytes) -> tuple[dict[str, Any], list[tuple[str, ...]], list[bytes]]:
    """Return the line of JSON, the identifiers and the items of a bundle. Raise PreparedError."""
    line, _, text = content.partition(b"\n")
    items = []
    try:
        head = orjson.loads(line)
        ids, end = _ids_of(head["ids"], text)
        for size in head["sizes"]:
            start, end = end, end + size
            items.append(text[start:end])
    except (KeyError, TypeError, ValueError):
        raise PreparedError(_NO_BUNDLE) from None
    if end != len(text) or len(ids) != len(items):
        raise PreparedError(_NO_BUNDLE)
    return head, ids, items


def _ids_of(column: Any, text: bytes) -> tuple[list[tuple[str, ...]], int]:
    """Return the identifiers of each record, and where the items begin."""
    kinds = set(map(type, column))
    if kinds == {list}:
        return list(map(tuple, column)), 0
    if kinds != {int} or min(column) < 1:
        raise ValueError
    size = sum(column) * DIGEST_BYTES
    digits = text[:size].hex()
    digests = [digits[start : start + _HEX] for start in range(0, len(digits), _HEX)]
    ids = []
    end = 0
    for count in column:
        start, end = end, end + count
        ids.append(tuple(digests[start:end]))
    return ids, size


def _column(values: Sequence[_T]) -> _Column[_T]:
    if values.count(values[0]) == len(values):
        return [values[0]], None
    distinct = list(dict.fromkeys(values))
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

"""Events that a program already holds: dictionaries, from a list or an iterator."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from decimal import Decimal
from itertools import islice
from typing import Any

import orjson

from connector.model import Event, Unreadable
from connector.sources.reading import (
    CHUNK_BYTES,
    CHUNK_ENTRIES,
    MAX_EVENT_BYTES,
    TOO_LONG_REASON,
    Chunk,
    parse_event,
)

# Seconds. What a slow iterator has given is passed on with the first event after them.
_CHUNK_SECONDS = 1.0

_NOT_JSON = (
    "cannot be written as JSON: a value of an unsupported type, or an event that contains itself"
)


def object_chunks(
    objects: Iterable[Mapping[str, Any]], limit: int | None = None
) -> Iterator[Chunk]:
    """Yield the events in chunks; positions count from 1.

    Each object is copied through JSON, so that it means what it would mean in a file: NaN is null,
    dates are texts, and what has no JSON form makes the event unreadable. `limit` ends the input
    after that many objects.
    """
    chunk: Chunk = []
    size = 0
    due = 0.0
    for position, value in enumerate(islice(objects, limit), 1):
        if not chunk:
            due = time.monotonic() + _CHUNK_SECONDS

        entry, length = _entry(value, position)
        chunk.append(entry)
        size += length

        is_full = len(chunk) >= CHUNK_ENTRIES or size >= CHUNK_BYTES
        if is_full or time.monotonic() >= due:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _entry(value: Any, position: int) -> tuple[Event | Unreadable, int]:
    """Return the event, or why it is unreadable, and its length in bytes."""
    try:
        text = _json(value)
    except (TypeError, ValueError, RecursionError):
        return Unreadable(position, _NOT_JSON), 0

    if len(text) > MAX_EVENT_BYTES:
        return Unreadable(position, TOO_LONG_REASON), 0
    return parse_event(text, position), len(text)


def _json(value: Any) -> bytes:
    try:
        return orjson.dumps(value, _plain, orjson.OPT_SERIALIZE_NUMPY)
    except TypeError:
        # Integers of more than 64 bits, keys that are no texts, mappings that are no dictionaries.
        return json.dumps(value, default=_plain, allow_nan=False).encode()


def _plain(value: Any) -> Any:
    """Return a value of another type as one that JSON knows. Raise TypeError."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError

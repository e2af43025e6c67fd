"""NDJSON: one JSON object on each line."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import orjson

from connector.model import Event
from connector.sources.reading import (
    CHUNK_ENTRIES,
    MAX_DEPTH,
    Chunk,
    DamagedError,
    Input,
    has_long_number,
    may_be_deep,
    parse_event,
    split_lines,
)

_DICT_TYPE = {dict}


def ndjson(read: Input) -> Iterator[Chunk]:
    """Yield the events of NDJSON.

    Positions are line numbers, blank lines counted. Quiet seconds give empty chunks.
    """
    position = read.before + 1
    try:
        for lines, text in split_lines(read):
            if not lines:
                yield []
                continue

            long_numbers = has_long_number(text)
            for start in range(0, len(lines), CHUNK_ENTRIES):
                part = lines[start : start + CHUNK_ENTRIES]
                entries = _parse_lines(part, position, long_numbers)
                if len(entries) < len(part):
                    _count_blank(read, entries, position, len(part))
                if entries:
                    yield entries
                position += len(part)
    except DamagedError as damage:
        yield [damage.at(position)]


def _count_blank(read: Input, entries: Chunk, first: int, lines: int) -> None:
    """Count the lines of a part, whose first line is `first`, that are no entries."""
    positions = {entry.position for entry in entries}
    for position in range(first, first + lines):
        if position not in positions:
            read.count_blank(position)


def _parse_lines(lines: list[bytes], first: int, long_numbers: bool) -> Chunk:
    """Return the entries of lines, counted from `first`."""
    # A short line cannot be nested deeply, which is known without a call for each line.
    has_long_line = max(map(len, lines)) > 2 * MAX_DEPTH
    may_be_odd = long_numbers or (has_long_line and any(map(may_be_deep, lines)))
    if not may_be_odd:
        # The hot path: all lines at once, without a loop in Python, if each is an event.
        try:
            values = list(map(orjson.loads, lines))
        except orjson.JSONDecodeError:
            values = [None]
        if _DICT_TYPE.issuperset(map(type, values)):
            return list(map(Event, count(first), values))

    entries = []
    for position, line in enumerate(lines, first):
        if line and not line.isspace():
            entries.append(parse_event(line, position))
    return entries

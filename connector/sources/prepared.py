"""Files of prepared records: NDJSON whose first line says what the others are.

Such a file is known by that line, whatever it is called, packed or not.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import orjson

from connector.errors import SourceError
from connector.sources.ndjson import ndjson
from connector.sources.opening import open_file
from connector.sources.packed import Unpacked, kind_of
from connector.sources.reading import Chunk, DamagedError, Input

#: The name of the format.
PREPARED = "prepared"
#: The first member of the first line.
VERSION_MEMBER = "prepared_records"

#: What such a file begins with.
BEGINNING = b'{"%s":' % VERSION_MEMBER.encode()
# A first line is shorter.
_FIRST_BYTES = 4096


def header_of(path: str) -> dict[str, Any] | None:
    """Return the first line of a regular file of prepared records, None for any other file.

    Raise SourceError when it is damaged.
    """
    text = _first_bytes(path)
    if not text.startswith(BEGINNING):
        return None
    line, line_feed, _ = text.partition(b"\n")
    try:
        header = orjson.loads(line) if line_feed else None
    except orjson.JSONDecodeError:
        header = None
    if not isinstance(header, dict):
        raise SourceError("begins as prepared records do, but its first line is damaged")
    return header


def _first_bytes(path: str) -> bytes:
    """Return what a file begins with; nothing where it cannot be read, as reading it will say."""
    try:
        with io.BufferedReader(open_file(path)) as stream:
            kind = kind_of(stream.peek(4)[:4])
            if kind:
                return Unpacked(stream, kind).read(_FIRST_BYTES)
            return stream.read(_FIRST_BYTES)
    except (OSError, SourceError, DamagedError):
        return b""


def prepared_lines(read: Input) -> Iterator[Chunk]:
    """Yield the records as `ndjson` does. The first line is none."""
    first = read.before + 1
    for chunk in ndjson(read):
        records = chunk[1:] if chunk[0].position == first else chunk
        if records:
            yield records

"""The events of a post: its body, unpacked and parsed, within bounds."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from itertools import chain, islice

from connector.model import Event, Unreadable
from connector.service.problems import Problem, ProblemError
from connector.sources.json_array import json_array
from connector.sources.ndjson import ndjson
from connector.sources.packed import MAGIC
from connector.sources.reading import (
    BLANK,
    MAX_EVENT_BYTES,
    NOT_TEXT,
    TOO_LONG_REASON,
    Entry,
    parse_event,
)

#: How long a body may be, packed and unpacked.
MAX_BODY_BYTES = 16 * 1024 * 1024
#: How many events a post may have: each may need a line in the answer.
MAX_EVENTS = 50_000

JSON_TYPE = "application/json"
_LINES_TYPES = ("application/x-ndjson", "application/ndjson", "application/jsonl")
_GZIP = zlib.MAX_WBITS | 16
_PACKED = ("gzip", "x-gzip")
_ENCODINGS = ("", "identity", *_PACKED)
# What NOT_TEXT says of files has options that a caller of the service does not have.
_NOT_UTF_8_REASON = "not text in UTF-8; write the body in UTF-8"
_BLOCK = 64 * 1024

TOO_LARGE = Problem(
    413,
    "too_large",
    f"the body is longer than {MAX_BODY_BYTES:,} bytes, or is when it is unpacked; "
    "post fewer events at a time",
)
_TOO_MANY = Problem(
    413,
    "too_many_events",
    f"the body has more than {MAX_EVENTS:,} events; post fewer events at a time",
)
_NOT_GZIP = Problem(
    400, "not_gzip", "the body is not gzip although Content-Encoding says so; pack it, or say less"
)
_UNKNOWN_ENCODING = Problem(
    415,
    "unknown_encoding",
    "Content-Encoding has to be gzip or identity",
    {"Accept-Encoding": "gzip"},
)
_NOT_UTF_8 = Problem(415, "not_utf_8", "the charset has to be utf-8; write the body in UTF-8")


def check_headers(content_type: str, encoding: str) -> None:
    """Raise ProblemError for a body that nobody could read."""
    if encoding.lower() not in _ENCODINGS:
        raise ProblemError(_UNKNOWN_ENCODING)
    _, _, parameters = content_type.lower().partition(";")
    for parameter in parameters.split(";"):
        name, _, charset = parameter.strip().partition("=")
        if name == "charset" and charset.strip('"') not in ("utf-8", "utf8"):
            raise ProblemError(_NOT_UTF_8)


def entries_of(body: bytes, content_type: str, encoding: str) -> list[Entry]:
    """Return the events of a body: a JSON object, an array of them, or lines of them.

    Raise ProblemError.
    """
    if encoding.lower() in _PACKED:
        body = _unpacked(body)
    kind = content_type.partition(";")[0].strip().lower()

    if kind not in _LINES_TYPES and body.lstrip(BLANK).startswith(b"["):
        return _bounded(chain.from_iterable(json_array(_Given(body))))
    if kind == JSON_TYPE or b"\n" not in body:
        entry = _object(body)
        if type(entry) is Event or b"\n" not in body:
            return [entry] if body.strip(BLANK) else []
    return _bounded(chain.from_iterable(ndjson(_Given(body))))


def looks_packed(body: bytes, encoding: str) -> bool:
    """Return whether a body that nobody can read is gzip, and its headers do not say so."""
    return encoding.lower() not in _PACKED and body.startswith(MAGIC[".gz"])


def to_caller(entry: Unreadable) -> Unreadable:
    """Return why an event cannot be read, in words for whoever posts it."""
    return entry._replace(reason=entry.reason.replace(NOT_TEXT, _NOT_UTF_8_REASON))


def _object(body: bytes) -> Entry:
    if len(body) > MAX_EVENT_BYTES:
        return Unreadable(1, TOO_LONG_REASON)
    return parse_event(body, 1)


def _bounded(entries: Iterable[Entry]) -> list[Entry]:
    kept = list(islice(entries, MAX_EVENTS + 1))
    if len(kept) > MAX_EVENTS:
        raise ProblemError(_TOO_MANY)
    return kept


def _unpacked(body: bytes) -> bytes:
    reader = zlib.decompressobj(_GZIP)
    try:
        unpacked = reader.decompress(body, MAX_BODY_BYTES + 1)
    except zlib.error:
        raise ProblemError(_NOT_GZIP) from None
    if len(unpacked) > MAX_BODY_BYTES:
        raise ProblemError(TOO_LARGE)
    if not reader.eof or reader.unused_data:
        raise ProblemError(_NOT_GZIP)
    return unpacked


class _Given:
    """An input whose bytes are all there, given in blocks."""

    def __init__(self, body: bytes) -> None:
        self._body = memoryview(body)
        self.taken = 0
        self.before = 0
        self.doubts: list[str] = []

    def __call__(self) -> bytes:
        block = bytes(self._body[self.taken : self.taken + _BLOCK])
        self.taken += len(block)
        return block

    def count_blank(self, position: int) -> None:
        """Count nothing."""

"""The body of a request over HTTP/1.1: how long it is, and reading it (RFC 9112, 6 and 7.1).

A request that leaves its length in doubt is refused, and so is one that is too long.
"""

from __future__ import annotations

import re
from email.message import Message as Headers
from http import HTTPStatus
from typing import BinaryIO

#: The longest body, framing included.
MAX_BODY = 100_000_000

_MAX_LINE = 8192
_MAX_TRAILERS = 100

_LENGTH = re.compile(r"[0-9]{1,18}")
# The size of a chunk; its extensions are ignored, as RFC 9112, 7.1.1 says.
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(;.*)?\r?\n", re.DOTALL)
_ENDS_OF_LINE = (b"\r\n", b"\n")


class UnreadableError(Exception):
    """The body cannot be read; `status` is the answer."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


class GoneError(Exception):
    """The client went away before its request was complete."""


def length_of(headers: Headers, version: str) -> int | None:
    """Return the length of a body, None when it comes in chunks. Raise UnreadableError."""
    lengths = headers.get_all("content-length", [])
    codings = headers.get_all("transfer-encoding", [])
    if codings:
        _check_codings(codings, version, has_length=bool(lengths))
        return None
    if not lengths:
        return 0

    length = lengths[0]
    if len(set(lengths)) > 1 or not _LENGTH.fullmatch(length):
        raise UnreadableError(HTTPStatus.BAD_REQUEST, "the Content-Length is not one number")
    if int(length) > MAX_BODY:
        raise _too_large()
    return int(length)


def _check_codings(values: list[str], version: str, *, has_length: bool) -> None:
    """Raise UnreadableError for anything else than chunks."""
    if has_length:
        message = "Transfer-Encoding together with Content-Length"
        raise UnreadableError(HTTPStatus.BAD_REQUEST, message)
    if version == "HTTP/1.0":
        raise UnreadableError(HTTPStatus.BAD_REQUEST, "Transfer-Encoding in HTTP/1.0")

    codings = [coding.strip().lower() for coding in ",".join(values).split(",")]
    if codings == ["chunked"]:
        return
    if codings[-1] != "chunked" or codings.count("chunked") > 1:
        message = "the Transfer-Encoding has to end with 'chunked', once"
        raise UnreadableError(HTTPStatus.BAD_REQUEST, message)
    message = "the only Transfer-Encoding is 'chunked'"
    raise UnreadableError(HTTPStatus.NOT_IMPLEMENTED, message)


def read_body(stream: BinaryIO, length: int | None) -> bytes:
    """Return the body. Raise UnreadableError, GoneError, and OSError as the stream does."""
    if length is None:
        return _read_chunks(stream)
    return _read(stream, length)


def _read_chunks(stream: BinaryIO) -> bytes:
    chunks: list[bytes] = []
    total = 0
    while True:
        line = _read_line(stream)
        match = _CHUNK.fullmatch(line)
        if match is None:
            raise _malformed()

        size = int(match[1], 16)
        # the framing counts: endless chunks of one byte end as well
        total += len(line) + size
        if total > MAX_BODY:
            raise _too_large()
        if size == 0:
            _skip_trailers(stream)
            return b"".join(chunks)

        chunks.append(_read(stream, size))
        _skip_end_of_line(stream)


def _skip_end_of_line(stream: BinaryIO) -> None:
    """Skip it byte by byte: after a chunk with a wrong size there may be no further line."""
    byte = _read(stream, 1)
    if byte == b"\r":
        byte = _read(stream, 1)
    if byte != b"\n":
        raise _malformed()


def _skip_trailers(stream: BinaryIO) -> None:
    for _ in range(_MAX_TRAILERS):
        if _read_line(stream) in _ENDS_OF_LINE:
            return
    raise _malformed()


def _read_line(stream: BinaryIO) -> bytes:
    line = stream.readline(_MAX_LINE)
    if line.endswith(b"\n"):
        return line
    if len(line) == _MAX_LINE:
        raise _malformed()
    raise GoneError


def _read(stream: BinaryIO, size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise GoneError
    return data


def _malformed() -> UnreadableError:
    return UnreadableError(HTTPStatus.BAD_REQUEST, "a chunk of the body is malformed")


def _too_large() -> UnreadableError:
    message = f"the body has more than {MAX_BODY} bytes"
    return UnreadableError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, message)

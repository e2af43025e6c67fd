"""Open the input, whatever its format, and read it as chunks of events.

| name | format |
|---|---|
| `.ndjson`, `.jsonl` | one JSON object on each line |
| `.json` | one array of objects |
| `.csv` | a header and rows |
| `.parquet` | a table; needs the extra `parquet` |
| `-` | NDJSON on standard input |

The text formats may be gzipped (`.ndjson.gz`). Nothing is read into memory as a whole.
"""

from __future__ import annotations

import gzip
import io
import os
import select
import stat
import sys
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Protocol, Self, cast

from connector.errors import SourceError
from connector.sources.csv import csv_rows
from connector.sources.json_array import json_array
from connector.sources.ndjson import ndjson
from connector.sources.parquet import parquet_rows
from connector.sources.reading import MAX_EVENT_BYTES, Chunk, DamagedError, InputFile

BLOCK_BYTES = 256 * 1024
QUIET_SECONDS = 1.0

_GZIP_MAGIC = b"\x1f\x8b"


class _Format(NamedTuple):
    """How a file of a format is read. `may_be_gzipped`: it is read as a stream of bytes."""

    read: Callable[[InputFile], Iterator[Chunk]]
    may_be_gzipped: bool = True


#: The formats by the ending of a file's name. A further format is one more entry.
_FORMATS = {
    ".ndjson": _Format(ndjson),
    ".jsonl": _Format(ndjson),
    ".json": _Format(json_array),
    ".csv": _Format(csv_rows),
    ".parquet": _Format(parquet_rows, may_be_gzipped=False),
}


class _Origin(Protocol):
    """Where events come from.

    `position` is how far it was read, in the bytes that `size` counts.
    """

    @property
    def size(self) -> int | None: ...

    @property
    def position(self) -> int: ...

    def close(self) -> None: ...


class Source:
    """An open input: iterate over it once for chunks of events.

    Close it at the end or use it as a context manager. `size` is the file's size on disk in bytes,
    None when there is none to know (standard input, a named pipe). A chunk has at most 1,000
    entries and comes from about 1 MiB of input. Only standard input gives empty chunks: one for
    each second in which nothing came. Iterating raises `SourceError` when the operating system
    fails to read.
    """

    def __init__(
        self, path: str, origin: _Origin, chunks: Iterator[Chunk], limit: int | None
    ) -> None:
        self.path = path
        self.size = origin.size
        self._origin = origin
        self._chunks = chunks
        self._left = sys.maxsize if limit is None else limit

    @property
    def bytes_read(self) -> int:
        """How far the input was read, counted as `size` is."""
        return self._origin.position

    def __iter__(self) -> Iterator[Chunk]:
        while self._left > 0:
            with _naming(self.path):
                chunk = next(self._chunks, None)
            if chunk is None:
                return
            del chunk[self._left :]
            self._left -= len(chunk)
            yield chunk

    def close(self) -> None:
        """Close the file. Standard input stays open."""
        if isinstance(self._chunks, Generator):
            self._chunks.close()
        self._origin.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def open_source(path: str, *, limit: int | None = None, block_bytes: int = BLOCK_BYTES) -> Source:
    """Open the file at `path`, or standard input for `-`.

    `limit` ends the input after that many entries, unreadable ones counted. `block_bytes` is read
    at a time. Raise `SourceError` when the format is not known, the file cannot be opened or is not
    what its name says, or when the header of a CSV file cannot be used.
    """
    with _naming(path):
        if path == "-":
            stdin = _StandardInput(block_bytes)
            return Source(path, stdin, ndjson(stdin), limit)

        file_format, gzipped = _format_of(path)
        file = _File(path, gzipped, min(block_bytes, MAX_EVENT_BYTES))
        try:
            empty = file.size == 0
            chunks = iter(()) if empty else file_format.read(file)
        except BaseException:
            file.close()
            raise
        return Source(path, file, chunks, limit)


@contextmanager
def _naming(path: str) -> Iterator[None]:
    """Put the input's name before the text of a `SourceError`."""
    try:
        yield
    except SourceError as error:
        name = "standard input" if path == "-" else path
        raise SourceError(f"{name}: {error}") from None


def _format_of(path: str) -> tuple[_Format, bool]:
    """Return the format that a file's name tells, and whether it is gzipped."""
    name = Path(path).name.lower()
    gzipped = name.endswith(".gz")
    _, dot, extension = name.removesuffix(".gz").rpartition(".")
    ending = dot + extension if dot else ""
    file_format = _FORMATS.get(ending)
    if file_format is not None and (file_format.may_be_gzipped or not gzipped):
        return file_format, gzipped

    if gzipped:
        ending += ".gz"
    problem = f"unknown file format '{ending}'" if ending else "the name has no file extension"
    streams = [known for known, each in _FORMATS.items() if each.may_be_gzipped]
    others = [known for known, each in _FORMATS.items() if not each.may_be_gzipped]
    expected = f"{', '.join(streams)} (each optionally .gz) or {', '.join(others)}"
    raise SourceError(f"{problem}; expected {expected}, or - for NDJSON on standard input")


class _File:
    """The bytes of a file, unpacked if it is gzipped."""

    def __init__(self, path: str, gzipped: bool, block_bytes: int) -> None:
        self.path = path
        self._file = _open_file(path)
        status = os.fstat(self._file.fileno())
        self.size: int | None = status.st_size if stat.S_ISREG(status.st_mode) else None
        self.position = 0
        self.taken = 0
        self._block_bytes = block_bytes
        self._damaged = False
        self._gzip = gzip.GzipFile(fileobj=self._file, mode="rb") if gzipped else None

        if gzipped and self.size and not self._starts_as_gzip():
            self.close()
            raise SourceError("not gzip data although its name ends in .gz; rename or compress it")

    def _starts_as_gzip(self) -> bool:
        magic = self._file.read(len(_GZIP_MAGIC))
        self._file.seek(0)
        return _GZIP_MAGIC.startswith(magic)

    def __call__(self) -> bytes:
        try:
            block = self._unpack() if self._gzip else self._file.read(self._block_bytes)
        except OSError as error:
            raise SourceError(f"cannot be read ({error.strerror}); try again") from None

        self.taken += len(block)
        # How far a gzipped file was read is not how much was taken out of it.
        self.position = self._file.tell() if self._gzip and self.size else self.taken
        return block

    def _unpack(self) -> bytes:
        """Return a block, or less where the data is damaged.

        So what is before the damage counts.
        """
        assert self._gzip
        parts = []
        missing = self._block_bytes
        try:
            while missing > 0 and not self._damaged:
                part = self._gzip.read1(missing)
                if not part:
                    break
                parts.append(part)
                missing -= len(part)
        except (EOFError, gzip.BadGzipFile, zlib.error):
            self._damaged = True

        if self._damaged and not parts:
            raise DamagedError("the gzip data is cut off or damaged from here on")
        return b"".join(parts)

    def close(self) -> None:
        if self._gzip:
            self._gzip.close()
        self._file.close()


def _open_file(path: str) -> io.FileIO:
    try:
        return io.FileIO(path)
    except FileNotFoundError:
        message = "file not found; check the path"
    except IsADirectoryError:
        message = "is a directory; name a file in it"
    except PermissionError:
        message = "permission denied; make the file readable for this user"
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", "invalid name")
        message = f"cannot be opened ({reason}); check the path"
    raise SourceError(message)


class _StandardInput:
    """The bytes of standard input, as soon as they come."""

    size = None

    def __init__(self, block_bytes: int) -> None:
        stream = getattr(sys.stdin, "buffer", None)
        if stream is None:
            raise SourceError("not available; name a file instead of -")
        self._stream = cast(io.BufferedReader, stream)
        self._block_bytes = block_bytes
        self._selectable = _is_selectable(self._stream)
        self.taken = 0

    @property
    def position(self) -> int:
        return self.taken

    def __call__(self) -> bytes | None:
        try:
            if self._selectable:
                ready, _, _ = select.select([self._stream], [], [], QUIET_SECONDS)
                if not ready:
                    return None
            # At most one read: never waits for a full block.
            block = self._stream.read1(self._block_bytes)
        except OSError as error:
            raise SourceError(f"cannot be read ({error.strerror}); try again") from None

        self.taken += len(block)
        return block

    def close(self) -> None:
        """Leave it open: the caller owns it."""


def _is_selectable(stream: io.BufferedReader) -> bool:
    """Return whether `select` can wait for the stream.

    It can for a real file descriptor, and not on Windows.
    """
    try:
        select.select([stream], [], [], 0)
    except (OSError, ValueError):
        return False
    return True

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
from types import TracebackType
from typing import Protocol, Self, cast

from connector.errors import SourceError
from connector.sources.csv import csv_rows
from connector.sources.reading import (
    MAX_EVENT_BYTES,
    Chunk,
    DamagedError,
    Input,
    json_array,
    ndjson,
)

BLOCK_BYTES = 256 * 1024
QUIET_SECONDS = 1.0

_READERS: dict[str, Callable[[Input], Iterator[Chunk]]] = {
    ".ndjson": ndjson,
    ".jsonl": ndjson,
    ".json": json_array,
    ".csv": csv_rows,
}
_ALLOWED = (
    f"allowed: {', '.join(_READERS)}, each also with .gz; .parquet; - for NDJSON on standard input"
)
_GZIP_MAGIC = b"\x1f\x8b"


class _Origin(Protocol):
    """Where events come from. `position` is how far it was read, in the bytes that `size` counts."""

    @property
    def size(self) -> int | None: ...

    @property
    def position(self) -> int: ...

    def close(self) -> None: ...


class Source:
    """An open input: iterate over it once for chunks of events, close it at the end or use it as a context manager.

    `size` is the file's size on disk in bytes, None when there is none to know (standard input, a named pipe).
    A chunk has at most 1,000 entries and comes from about 1 MiB of input. Only standard input gives empty chunks: one
    for each second in which nothing came. Iterating raises `SourceError` when the operating system fails to read.
    """

    def __init__(
        self, path: str, origin: _Origin, chunks: Iterator[Chunk], limit: int | None
    ) -> None:
        self.size = origin.size
        self._path = path
        self._origin = origin
        self._chunks = chunks
        self._left = sys.maxsize if limit is None else limit

    @property
    def bytes_read(self) -> int:
        """How far the input was read, counted as `size` is."""
        return self._origin.position

    def __iter__(self) -> Iterator[Chunk]:
        while self._left > 0:
            with _naming(self._path):
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
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def open_source(path: str, *, limit: int | None = None, block_bytes: int = BLOCK_BYTES) -> Source:
    """Open the file at `path`, or standard input for `-`.

    `limit` ends the input after that many entries, unreadable ones counted. `block_bytes` is read at a time.
    Raises `SourceError` when the format is not known, the file cannot be opened or is not what its name says, or when
    the header of a CSV file cannot be used.
    """
    with _naming(path):
        if path == "-":
            stdin = _StandardInput(block_bytes)
            return Source(path, stdin, ndjson(stdin), limit)
        origin, chunks = _open(path, min(block_bytes, MAX_EVENT_BYTES))
        return Source(path, origin, chunks, limit)


@contextmanager
def _naming(path: str) -> Iterator[None]:
    """Put the input's name before the text of a `SourceError`."""
    try:
        yield
    except SourceError as error:
        raise SourceError(f"{'standard input' if path == '-' else path}: {error}") from None


def _open(path: str, block_bytes: int) -> tuple[_Origin, Iterator[Chunk]]:
    name = path.lower()
    zipped = name.endswith(".gz")
    reader = next(
        (reader for end, reader in _READERS.items() if name.removesuffix(".gz").endswith(end)), None
    )
    table = name.endswith(".parquet")
    if not reader and not table:
        raise SourceError(
            f"the name does not tell a known format; {_ALLOWED}; rename or convert the file"
        )
    file = _File(path, zipped, block_bytes)
    try:
        if file.size == 0:
            return file, iter(())
        if reader:
            return file, reader(file)
    except BaseException:
        file.close()
        raise
    file.close()
    return _open_parquet(path)


def _open_parquet(path: str) -> tuple[_Origin, Iterator[Chunk]]:
    try:
        from connector.sources.parquet import ParquetFile
    except ImportError:
        raise SourceError(
            "Parquet needs DuckDB, which is not installed; allowed without it: the other formats; "
            "run pip install 'audience-connector[parquet]'"
        ) from None
    parquet = ParquetFile(path)
    return parquet, parquet.chunks()


class _File:
    """The bytes of a file, unpacked if it is gzipped."""

    def __init__(self, path: str, zipped: bool, block_bytes: int) -> None:
        self._raw = _open_raw(path)
        status = os.fstat(self._raw.fileno())
        self.size: int | None = status.st_size if stat.S_ISREG(status.st_mode) else None
        self.position = 0
        self.taken = 0
        self._block_bytes = block_bytes
        self._damaged = False
        self._zip = gzip.GzipFile(fileobj=self._raw, mode="rb") if zipped else None
        if zipped and self.size and not self._begins_as_gzip():
            self.close()
            raise SourceError(
                "it is not gzip although its name ends so; allowed: gzip data; rename or pack the file"
            )

    def _begins_as_gzip(self) -> bool:
        magic = self._raw.read(len(_GZIP_MAGIC))
        self._raw.seek(0)
        return _GZIP_MAGIC.startswith(magic)

    def __call__(self) -> bytes:
        try:
            block = self._unpacked() if self._zip else self._raw.read(self._block_bytes)
        except OSError as error:
            raise SourceError(
                f"reading failed ({error.strerror}); allowed: a readable file; try again"
            ) from None
        self.taken += len(block)
        self.position = self._raw.tell() if self._zip and self.size else self.taken
        return block

    def _unpacked(self) -> bytes:
        """Return a block, or less where the data is damaged, so that what is before the damage counts."""
        assert self._zip
        parts, wanted = [], self._block_bytes
        try:
            while not self._damaged and wanted > 0 and (part := self._zip.read1(wanted)):
                parts.append(part)
                wanted -= len(part)
        except (EOFError, gzip.BadGzipFile, zlib.error):
            self._damaged = True
        if self._damaged and not parts:
            raise DamagedError("the gzip data is cut off or damaged from here on")
        return b"".join(parts)

    def close(self) -> None:
        if self._zip:
            self._zip.close()
        self._raw.close()


def _open_raw(path: str) -> io.FileIO:
    try:
        return io.FileIO(path)
    except FileNotFoundError:
        text = "there is no such file; allowed: a file that exists; check the path"
    except IsADirectoryError:
        text = "it is a directory; allowed: one file; name a file in it"
    except PermissionError:
        text = "this user may not read it; allowed: a readable file; change its permissions"
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", "a bad name")
        text = f"it cannot be opened ({why}); allowed: a readable file; check the path"
    raise SourceError(text)


class _StandardInput:
    """The bytes of standard input, as soon as they come."""

    size = None

    def __init__(self, block_bytes: int) -> None:
        stream = getattr(sys.stdin, "buffer", None)
        if stream is None:
            raise SourceError(
                "there is none; allowed: a pipe, a file or a terminal; name a file instead of -"
            )
        self._stream = cast(io.BufferedReader, stream)
        self._block_bytes = block_bytes
        self._selectable = _is_selectable(self._stream)
        self.taken = 0

    @property
    def position(self) -> int:
        return self.taken

    def __call__(self) -> bytes | None:
        try:
            if self._selectable and not select.select([self._stream], [], [], QUIET_SECONDS)[0]:
                return None
            block = self._stream.read1(
                self._block_bytes
            )  # at most one read: never waits for a full block
        except OSError as error:
            raise SourceError(
                f"reading failed ({error.strerror}); allowed: a readable input; try again"
            ) from None
        self.taken += len(block)
        return block

    def close(self) -> None:
        """Leave it open: it is not ours."""


def _is_selectable(stream: io.BufferedReader) -> bool:
    """Tell whether `select` can wait for the stream: a real file descriptor, and not on Windows."""
    try:
        select.select([stream], [], [], 0)
    except (OSError, ValueError):
        return False
    return True

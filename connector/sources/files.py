"""Open the input, whatever its format, and read it as chunks of events.

Nothing is read into memory as a whole.
"""

from __future__ import annotations

import sys
from bisect import bisect_right
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from connector.errors import SourceError
from connector.model import AS_WRITTEN, InputOptions
from connector.sources.formats import PARQUET, READERS, Form, Reads, form_of
from connector.sources.inputs import expand
from connector.sources.opening import (
    STANDARD_INPUT,
    Raw,
    RawFile,
    RawStandardInput,
    WholeFile,
)
from connector.sources.packed import NAMES
from connector.sources.parquet import parquet_rows
from connector.sources.prepared import PREPARED, header_of
from connector.sources.reading import MAX_EVENT_BYTES, Chunk, DamagedError
from connector.sources.text import Text

BLOCK_BYTES = 256 * 1024

_MIXED = "holds no prepared records, as other files of this input do; send them apart"


class Source:
    """The open input, one file or several: iterate over it once for chunks of events.

    `paths` are its files, `limit` is how many entries are read at most, None for all.
    Close it at the end or use it as a context manager. `size` is the size on disk in bytes, None
    when there is none to know (standard input, a named pipe). A chunk has at most 1,000 entries and
    comes from about 1 MiB of input. Only standard input gives empty chunks: one for each second in
    which nothing came. Positions go on from file to file. Where reading cannot go on, one entry
    says so.
    """

    def __init__(
        self,
        paths: Sequence[str],
        options: InputOptions,
        reads: Reads,
        limit: int | None,
        block_bytes: int,
    ) -> None:
        """Open the first file, and see whether the others can be opened. Raise `SourceError`."""
        self.paths = tuple(paths)
        self.limit = limit
        self._options = options
        self._reads = reads
        self._block_bytes = min(block_bytes, MAX_EVENT_BYTES)
        self._left = sys.maxsize if limit is None else limit

        #: The first lines of the files, if all of them are files of prepared records.
        self.headers = _headers(paths)
        if self.headers:
            self._options = AS_WRITTEN
        self._forms: list[Form] = []
        for path in paths:
            with _naming(path):
                form = Form(PREPARED, "") if self.headers else form_of(path, options)
                self._forms.append(form)
        self.size = _total_size(paths)

        # Where each file that was begun begins: the last position before it.
        self._starts: list[int] = [0]
        self._last_position = 0
        self._bytes_before = 0
        self._blank_before = 0
        self._doubts_before: list[str] = []
        for index in range(1, len(paths)):
            self._check(index)
        with _naming(paths[0]):
            self._part: _Part | None = self._open(0)
        self._chunks = self._all_chunks()

    @property
    def formats(self) -> set[str]:
        """The formats of the files."""
        return {form.format for form in self._forms}

    @property
    def bytes_read(self) -> int:
        """How far the input was read, counted as `size` is."""
        return self._bytes_before + (self._part.position if self._part else 0)

    @property
    def blank(self) -> int:
        """How many blank rows and lines were passed over so far. They are no events."""
        return self._blank_before + (self._part.blank if self._part else 0)

    @property
    def doubts(self) -> list[str]:
        """What looks like a mistake in the files read so far, though they can be read."""
        return self._doubts_before + (self._part.doubts if self._part else [])

    def locate(self, position: int) -> tuple[str, int]:
        """Return the file of a position, and its line in it (the element, or the row)."""
        index = bisect_right(self._starts, position - 1) - 1
        return self.paths[index], position - self._starts[index]

    def __iter__(self) -> Iterator[Chunk]:
        while self._left > 0:
            chunk = next(self._chunks, None)
            if chunk is None:
                return
            del chunk[self._left :]
            self._left -= len(chunk)
            if chunk and self._part:
                self._part.gave(chunk[-1].position, is_last=not self._left)
            yield chunk

    def close(self) -> None:
        """Close the file. Standard input stays open."""
        if isinstance(self._chunks, Generator):
            self._chunks.close()
        if self._part:
            self._part.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _all_chunks(self) -> Iterator[Chunk]:
        if self._part:
            yield from self._chunks_of(self._part, 0)
        for index in range(1, len(self.paths)):
            self._end_part()
            try:
                self._part = self._open(index)
            except SourceError as error:
                # It could be opened when the run began. The run goes on with the next one.
                self._last_position += 1
                yield [DamagedError(str(error)).at(self._last_position)]
            else:
                yield from self._chunks_of(self._part, index)

    def _chunks_of(self, part: _Part, index: int) -> Iterator[Chunk]:
        with _naming(self.paths[index]):
            for chunk in part.chunks:
                if chunk:
                    self._last_position = chunk[-1].position
                yield chunk

    def _end_part(self) -> None:
        if self._part:
            self._bytes_before += self._part.position
            self._blank_before += self._part.blank
            self._doubts_before += self._part.doubts
            self._part.close()
            self._part = None
        self._starts.append(self._last_position)

    def _open(self, index: int) -> _Part:
        return _Part(
            self.paths[index],
            self._forms[index],
            self._options,
            self._reads,
            self._block_bytes,
            self._last_position,
        )

    def _check(self, index: int) -> None:
        """Raise `SourceError` for a file that cannot be opened, before anything is sent."""
        path = self.paths[index]
        if path != STANDARD_INPUT and self._forms[index].format != PARQUET and not _is_pipe(path):
            with _naming(path):
                self._open(index).close()


class _Part:
    """One open file, or standard input."""

    def __init__(
        self,
        path: str,
        form: Form,
        options: InputOptions,
        reads: Reads,
        block_bytes: int,
        before: int,
    ) -> None:
        """Raise `SourceError`."""
        self._name = "standard input" if path == STANDARD_INPUT else path
        self._text: Text | None = None
        self._input: Raw | WholeFile
        self.chunks: Iterator[Chunk] = iter(())
        if form.format == PARQUET:
            self._input = WholeFile(path)
            self._input.before = before
        else:
            self._input = _raw(path, form, block_bytes)
            self._text = Text(self._input, options.encoding)
            self._text.before = before

        try:
            if self._input.size == 0:
                _check_may_be_empty(form)
                return
            if isinstance(self._input, WholeFile):
                self.chunks = parquet_rows(self._input)
            elif self._text:
                self.chunks = READERS[form.format](self._text, options, reads)
        except BaseException:
            self.close()
            raise

    @property
    def position(self) -> int:
        """How far it was read."""
        return self._input.position

    @property
    def blank(self) -> int:
        """How many of its rows and lines were blank."""
        return self._text.blank if self._text else 0

    @property
    def doubts(self) -> list[str]:
        """What looks like a mistake in it, with its name."""
        return [f"{self._name}: {doubt}" for doubt in self._text.doubts] if self._text else []

    def gave(self, position: int, *, is_last: bool) -> None:
        """Note the position of an event that was given: whether the input is ended behind it."""
        if self._text:
            self._text.gave(position, is_last=is_last)

    def close(self) -> None:
        """Close the file."""
        if isinstance(self.chunks, Generator):
            self.chunks.close()
        self._input.close()


def open_source(
    paths: str | Sequence[str],
    options: InputOptions = AS_WRITTEN,
    *,
    reads: Reads = None,
    limit: int | None = None,
    block_bytes: int = BLOCK_BYTES,
) -> Source:
    """Open files, folders, patterns, or standard input for `-`.

    `reads`: the paths that the connection reads, None when it may read any. `limit` ends the input
    after that many entries, unreadable ones counted. `block_bytes` is read at a time. Raise
    `SourceError` when the format is not known, a file cannot be opened or is not what its name
    says, or when the header of a CSV file cannot be used.
    """
    named = [paths] if isinstance(paths, str) else paths
    return Source(expand(named, options), options, reads, limit, block_bytes)


def _headers(paths: Sequence[str]) -> list[dict[str, Any]]:
    """Return the first lines of files of prepared records, if these are some.

    Raise `SourceError` when only some of them are.
    """
    headers = []
    others = []
    for path in paths:
        with _naming(path):
            header = header_of(path) if _is_file(path) else None
        if header is None:
            others.append(path)
        else:
            headers.append(header)
    if headers and others:
        with _naming(others[0]):
            raise SourceError(_MIXED)
    return headers


def _check_may_be_empty(form: Form) -> None:
    """Raise SourceError for an empty file that is none of its format."""
    kind = NAMES.get(form.packed) or ("Parquet" if form.format == PARQUET else "")
    if kind:
        raise SourceError(f"is empty, which no {kind} file is; was it written to its end?")


@contextmanager
def _naming(path: str) -> Iterator[None]:
    """Put the input's name before the text of a `SourceError`."""
    try:
        yield
    except SourceError as error:
        name = "standard input" if path == STANDARD_INPUT else path
        raise SourceError(f"{name}: {error}") from None


def _raw(path: str, form: Form, block_bytes: int) -> Raw:
    if path == STANDARD_INPUT:
        return RawStandardInput(block_bytes)
    return RawFile(path, form.packed, block_bytes)


def _is_pipe(path: str) -> bool:
    return not _is_file(path) and Path(path).exists()


def _total_size(paths: Sequence[str]) -> int | None:
    """Return the size of all files, None when one of them has none to know."""
    total = 0
    for path in paths:
        if path == STANDARD_INPUT or not _is_file(path):
            return None
        total += Path(path).stat().st_size
    return total


def _is_file(path: str) -> bool:
    try:
        return Path(path).is_file()
    except ValueError:
        return False  # no file's name: opening it says so

"""CSV: a header and rows."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from connector.errors import SourceError
from connector.model import Event, FieldPath, InputOptions, Unreadable
from connector.sources.columns import Build, Column, builder, columns_of, is_read
from connector.sources.reading import (
    CHUNK_ENTRIES,
    MAX_EVENT_BYTES,
    NOT_TEXT,
    TOO_LONG,
    TOO_LONG_REASON,
    Chunk,
    DamagedError,
    Entry,
    Input,
)

if TYPE_CHECKING:
    from _csv import Reader as CsvReader

# A first line that names the delimiter, as spreadsheets write it.
_SEPARATOR_LINE = re.compile(r'"?sep=(?P<delimiter>[^\r\n"])"?[\r\n]*', re.IGNORECASE)
_OTHER_DELIMITERS = ";\t|,"

_NUL = (
    "contains a NUL byte; UTF-16 without a byte order mark needs --encoding utf-16,"
    " or 'encoding' under the connection's 'input'"
)
_PLAIN_QUOTES = "; with --quote '' a quote is a character like any other"
# What the csv module says, by how it begins; its own words are meant for programmers.
_CSV_ERRORS = {
    "field larger": f"a cell of more than {csv.field_size_limit():,} characters",
    "unexpected end": "a quoted cell is not closed" + _PLAIN_QUOTES,
}


def csv_rows(
    read: Input, options: InputOptions, reads: Collection[FieldPath] | None
) -> Iterator[Chunk]:
    """Yield the rows of CSV as events whose values are all text.

    Positions are line numbers. A blank row is no event: it is counted. `reads`: the paths that the
    connection reads, None when it may read any. Quiet seconds give empty chunks.

    The header is read at once. Raise `SourceError` when it cannot be used.
    """
    lines = _Lines(read)
    try:
        form = _format(options, lines)
        header = _read_header(lines, form)
    except DamagedError as damage:
        raise SourceError(_unreadable_header(damage.reason)) from None
    columns = columns_of(header, reads)
    doubt = _doubt_about(header, columns, reads)
    if doubt:
        read.doubts.append(doubt)
    return _Rows(lines, form, len(header), builder(columns, len(header))).chunks()


def _format(options: InputOptions, lines: _Lines) -> dict[str, Any]:
    """Return how the rows are written, as the csv module takes it."""
    delimiter = options.delimiter or ","
    first = _SEPARATOR_LINE.fullmatch(lines.first().decode(errors="replace"))
    if first:
        delimiter = first["delimiter"]
        next(lines)

    quote = '"' if options.quote is None else options.quote
    form = {"delimiter": delimiter, "strict": True}
    if quote and quote != delimiter:
        return {**form, "quotechar": quote}
    return {**form, "quotechar": None, "quoting": csv.QUOTE_NONE}


class _Lines:
    """The lines of a CSV file, with their ends, for one row after the other.

    A row is read by itself as text, line by line, or with all others of a block at once.
    `fault`: what is wrong with the row that is read by itself, or "".
    """

    def __init__(self, read: Input) -> None:
        self._read = read
        self._blocks = _blocks(read)
        self._lines: list[bytes] = []
        self._next = 0
        self._number = read.before
        #: Whether a row has gone on in a new block.
        self.went_on = False
        self.start_row()

    def first(self) -> bytes:
        """Return the first line, b"" when there is none. It is still to be read."""
        while not self._lines:
            block = next(self._blocks, None)
            if block is None:
                return b""
            self._lines = block
        return self._lines[0]

    def count_blank(self, position: int) -> None:
        """Count a row that is no event."""
        self._read.count_blank(position)

    # --- rows by the block ---

    def block(self) -> list[bytes] | None:
        """Return the lines that have come and are still to be read; a row starts with them.

        There are none when a live input was quiet. Return None at the end. Raise `DamagedError`.
        """
        if self._next == len(self._lines):
            block = next(self._blocks, None)
            if block is None:
                return None
            self._lines = block
            self._next = 0
        return self._lines[self._next :]

    def take(self, count: int) -> int:
        """Pass over lines that were read as a block; return the position of the first."""
        first = self._number + 1
        self._next += count
        self._number += count
        return first

    # --- rows by the line ---

    @property
    def is_block_read(self) -> bool:
        """Whether every line of the block was read."""
        return self._next == len(self._lines)

    def start_row(self) -> None:
        """Note that the next line starts a row."""
        self.fault = ""
        self.position = self._number + 1
        self._row_bytes = 0

    def lines_of_row(self) -> str:
        """Name the lines of a row that has several."""
        if self._number <= self.position:
            return ""
        first = self.position - self._read.before
        return f" (lines {first} to {self._number - self._read.before})"

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        while self._next == len(self._lines):
            self._lines = next(self._blocks)
            self._next = 0
            self.went_on = True
        line = self._lines[self._next]
        self._next += 1
        self._number += 1

        self._row_bytes += len(line)
        if line is TOO_LONG or self._row_bytes > MAX_EVENT_BYTES:
            self.fault = TOO_LONG_REASON
            raise csv.Error  # makes the csv reader start anew with the next line

        if b"\0" in line:
            self.fault = _NUL
        try:
            return line.decode()
        except UnicodeDecodeError:
            self.fault = NOT_TEXT
            return line.decode(errors="replace")


def _blocks(read: Input) -> Iterator[list[bytes]]:
    r"""Yield the lines of each block, with their ends: \n, \r\n or \r.

    There are none when a live input was quiet. `TOO_LONG` replaces a line that is not kept, always
    the first of a block.
    """
    carry = b""  # the beginning of a line that goes on in the next block
    skipping = False  # inside a line that is too long
    for block in iter(read, b""):
        if block is None:
            yield []
            continue

        text = block if skipping else carry + block
        lines = text.splitlines(keepends=True)
        # A carriage return may be half of a line break.
        carry = b"" if text.endswith(b"\n") else lines.pop()

        if lines:
            if skipping or len(lines[0]) > MAX_EVENT_BYTES:
                lines[0] = TOO_LONG
            skipping = False
            yield lines

        if skipping or len(carry) > MAX_EVENT_BYTES:
            carry = b""
            skipping = True

    if skipping:
        yield [TOO_LONG]
    elif carry:
        yield [carry]


def _read_header(lines: _Lines, form: dict[str, Any]) -> list[str]:
    """Return the first row that is not blank, an empty one when there is none."""
    header: list[str] = []
    reader = csv.reader(lines, **form)
    try:
        for header in reader:
            if lines.fault or not _is_blank(header):
                break
            lines.count_blank(lines.position)
        fault = lines.fault
    except csv.Error as error:
        fault = lines.fault or _explain(error)
    if fault:
        raise SourceError(_unreadable_header(fault))

    if _is_blank(header):
        return []
    if len(header) == 1:
        _check_delimiter(header[0], form["delimiter"])
    return header


def _unreadable_header(fault: str) -> str:
    return f"the header cannot be read: {fault}; check the first line"


def _check_delimiter(name: str, delimiter: str) -> None:
    """Raise SourceError for a single column whose name holds another delimiter."""
    for other in _OTHER_DELIMITERS:
        if other in name and other != delimiter:
            shown = "tab" if other == "\t" else other
            raise SourceError(
                f"the header has one column and no {_SHOWN.get(delimiter, delimiter)};"
                f" name the delimiter: --delimiter '{shown}',"
                " or 'delimiter' under the connection's 'input'"
            )


def _doubt_about(
    header: list[str], columns: list[Column], reads: Collection[FieldPath] | None
) -> str:
    """Return what is said of a header without a column that is read, "" for any other."""
    if not header or not reads or any(is_read(path, reads) for _, path in columns):
        return ""

    names = sorted(".".join(path) for path in reads)
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    shown = ", ".join(names[:_MOST_NAMES]) + more
    looks = _LOOKS.get(header[0].strip()[:1], "")
    return f"the header has none of the columns that the connection reads ({shown}){looks}"


_MOST_NAMES = 10
_LOOKS = {
    "<": "; it begins with <, as HTML and XML do",
    "{": "; it begins with {, as JSON does",
    "[": "; it begins with [, as JSON does",
}
_SHOWN = {",": "comma", "\t": "tab", ";": "semicolon"}


class _Rows:
    """The rows behind the header."""

    def __init__(
        self,
        lines: _Lines,
        form: dict[str, Any],
        width: int,
        build: Build,
    ) -> None:
        """`width`: the number of the header's cells."""
        self._lines = lines
        self._form = form
        self._reader = csv.reader(lines, **form)
        self._width = width
        self._build = build

    def chunks(self) -> Iterator[Chunk]:
        """Yield what the rows are, block by block."""
        damaged = False
        while not damaged:
            entries: list[Entry] = []
            self._lines.start_row()
            try:
                block = self._lines.block()
                if block is None:
                    return
                if not block:
                    yield []
                self._read_block(block, entries)
            except DamagedError as damage:
                entries.append(damage.at(self._lines.position))
                damaged = True

            for start in range(0, len(entries), CHUNK_ENTRIES):
                yield entries[start : start + CHUNK_ENTRIES]

    def _read_block(self, block: list[bytes], entries: list[Entry]) -> None:
        rows = _rows_of_lines(block, self._form)
        if rows is None:
            self._read_line_by_line(entries)
            return

        first = self._lines.take(len(block))
        for offset, row in rows:
            if len(row) == self._width and row[0] and not row[0].isspace():
                entries.append(Event(first + offset, self._build(row)))
            else:
                self._add(row, first + offset, entries)

    def _read_line_by_line(self, entries: list[Entry]) -> None:
        """Read the rest of the block, and further ones while a row goes on in them."""
        lines = self._lines
        lines.went_on = False
        while not lines.is_block_read and not lines.went_on:
            lines.start_row()
            row: list[str] = []
            try:
                row = next(self._reader)
            except csv.Error as error:
                lines.fault = lines.fault or _explain(error)

            if lines.fault:
                reason = lines.fault + lines.lines_of_row()
                entries.append(Unreadable(lines.position, reason))
            else:
                self._add(row, lines.position, entries)

    def _add(self, row: list[str], position: int, entries: list[Entry]) -> None:
        """Add what a row is, unless it is blank."""
        if _is_blank(row):
            self._lines.count_blank(position)
        elif len(row) < self._width or not _is_blank(row[self._width :]):
            reason = f"expected {self._width} cells, got {len(row)}"
            entries.append(Unreadable(position, reason))
        else:
            entries.append(Event(position, self._build(row[: self._width])))


def _rows_of_lines(
    lines: list[bytes], form: dict[str, Any]
) -> Iterable[tuple[int, list[str]]] | None:
    """Return the rows of lines, each with the index of its first line.

    None when something is wrong with one of them, or when the last one goes on.
    """
    if lines and lines[0] is TOO_LONG:
        return None
    content = b"".join(lines)
    if b"\0" in content:
        return None
    try:
        text = content.decode()
        rows = list(csv.reader(io.StringIO(text, newline=""), **form))
    except (UnicodeDecodeError, csv.Error):
        return None

    if len(rows) == len(lines):
        return enumerate(rows)
    return _numbered(csv.reader(io.StringIO(text, newline=""), **form))


def _numbered(reader: CsvReader) -> Iterator[tuple[int, list[str]]]:
    """Yield rows that may have several lines, each with the index of its first one."""
    first = 0
    for row in reader:
        yield first, row
        first = reader.line_num


def _is_blank(row: list[str]) -> bool:
    return not "".join(row).strip()


def _explain(error: csv.Error) -> str:
    text = str(error)
    for beginning, reason in _CSV_ERRORS.items():
        if text.startswith(beginning):
            return reason
    return "a quoted cell goes on after its closing quote" + _PLAIN_QUOTES

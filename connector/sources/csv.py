"""CSV: a header and rows."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any

from connector.errors import SourceError
from connector.model import Event, Unreadable
from connector.sources.reading import (
    MAX_EVENT_BYTES,
    TOO_LONG,
    TOO_LONG_REASON,
    Chunk,
    DamagedError,
    Entry,
    Input,
    in_chunks,
    split_lines,
)

#: A column's name, split at the dots: `traits.email` is the member `email` of the object `traits`.
ColumnPath = tuple[str, ...]

_OTHER_SEPARATORS = frozenset(";\t|")

# What the csv module says, by how it begins; its own words are meant for programmers.
_CSV_ERRORS = {
    "field larger": f"a cell of more than {csv.field_size_limit():,} characters",
    "unexpected end": "a quoted cell is not closed",
    "new-line": "a carriage return outside quotes",
}


def csv_rows(read: Input) -> Iterator[Chunk]:
    """Yield the rows of CSV as events whose values are all text.

    Positions are data rows; blank lines are not rows. The column `traits.email` becomes
    `{"traits": {"email": …}}`; an empty cell is absent.

    The header is read at once. Raise `SourceError` when it cannot be used.
    """
    lines = _Lines(read)
    reader = csv.reader(lines, strict=True)
    columns = _read_header(reader, lines)
    return in_chunks(_rows(reader, lines, columns), read)


class _Lines:
    """The lines of a CSV file as text, for one row after the other.

    `fault`: what is wrong with the row, or "".
    """

    def __init__(self, read: Input) -> None:
        self._lines = chain.from_iterable(lines for lines, _ in split_lines(read))
        self._number = 0
        self.start_row()

    def start_row(self) -> None:
        """Note that the next line starts a row."""
        self.fault = ""
        self._first_number = self._number + 1
        self._row_bytes = 0

    def row_lines(self) -> str:
        """Name the lines of the row."""
        if self._number <= self._first_number:
            return f"line {self._first_number}"
        return f"lines {self._first_number} to {self._number}"

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self._number += 1
        self._row_bytes += len(line)
        if line is TOO_LONG or self._row_bytes > MAX_EVENT_BYTES:
            self.fault = TOO_LONG_REASON
            raise csv.Error  # makes the csv reader start anew with the next line

        if b"\0" in line:
            self.fault = "contains a NUL byte"
        try:
            return line.decode() + "\n"
        except UnicodeDecodeError as error:
            self.fault = f"invalid UTF-8: byte {error.start + 1}"
            return line.decode(errors="replace") + "\n"


def _read_header(reader: Iterator[list[str]], lines: _Lines) -> list[ColumnPath]:
    """Return the path of each column, none when the file is empty."""
    names: list[str] = []
    try:
        for row in reader:
            if row:
                names = row
                break
        fault = lines.fault
    except csv.Error as error:
        fault = lines.fault or _explain(error)
    except DamagedError as damage:
        fault = damage.reason
    if fault:
        raise SourceError(f"the header cannot be read: {fault}; check the first line")

    columns = []
    for name in names:
        path = name.strip().split(".")
        columns.append(tuple(path))
    _check_columns(columns)
    return columns


def _check_columns(columns: list[ColumnPath]) -> None:
    """Raise SourceError for conflicting columns.

    A header may be a forgotten row of data: no name is quoted.
    """
    if len(columns) == 1 and _has_other_separator(columns[0]):
        raise SourceError("the header has one column and no comma; separate columns with commas")

    numbers: dict[ColumnPath, int] = {}
    for number, path in enumerate(columns, 1):
        if path == ("",):
            raise SourceError(f"column {number} has no name; name it in the first line")
        if "" in path:
            raise SourceError(
                f"the name of column {number} has an empty part; remove the extra dot"
            )
        if path in numbers:
            raise SourceError(
                f"columns {numbers[path]} and {number} have the same name; rename one of them"
            )
        numbers[path] = number

    for path, number in numbers.items():
        for length in range(1, len(path)):
            parent = numbers.get(path[:length])
            if parent is not None:
                raise SourceError(
                    f"column {number} is a member of column {parent}, which is text;"
                    " rename one of them"
                )


def _has_other_separator(path: ColumnPath) -> bool:
    name = ".".join(path)
    return not _OTHER_SEPARATORS.isdisjoint(name)


def _rows(reader: Iterator[list[str]], lines: _Lines, columns: list[ColumnPath]) -> Iterator[Entry]:
    position = 1
    build = _builder(columns)
    while True:
        lines.start_row()
        row: list[str] = []
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            lines.fault = lines.fault or _explain(error)
        except DamagedError as damage:
            yield Unreadable(position, damage.reason)
            return

        fault = lines.fault
        if not row and not fault:
            continue  # a blank line
        if not fault and len(row) != len(columns):
            fault = f"expected {len(columns)} cells, got {len(row)}"

        if fault:
            yield Unreadable(position, f"{fault} ({lines.row_lines()})")
        else:
            yield Event(position, build(row))
        position += 1


def _explain(error: csv.Error) -> str:
    text = str(error)
    for beginning, reason in _CSV_ERRORS.items():
        if text.startswith(beginning):
            return reason
    return "a quoted cell goes on after its closing quote"


def _builder(columns: list[ColumnPath]) -> Callable[[list[str]], dict[str, Any]]:
    """Return the function from a row to its event."""
    names = [path[0] for path in columns]

    def flat(row: list[str]) -> dict[str, Any]:
        return {name: cell for name, cell in zip(names, row, strict=True) if cell}

    def nested(row: list[str]) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for path, cell in zip(columns, row, strict=True):
            if cell:
                inner = data
                for part in path[:-1]:
                    inner = inner.setdefault(part, {})
                inner[path[-1]] = cell
        return data

    is_flat = all(len(path) == 1 for path in columns)
    return flat if is_flat else nested

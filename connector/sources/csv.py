"""From CSV to events."""

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

ColumnPath = tuple[str, ...]  # a column's name, cut at the dots


def csv_rows(read: Input) -> Iterator[Chunk]:
    """Yield the rows of CSV as events whose values are all text; positions are data rows, blank lines are not rows.

    The column `traits.email` becomes `{"traits": {"email": …}}`; an empty cell is absent. The header is read at once;
    raises `SourceError` when it cannot be used.
    """
    lines = _Lines(read)
    reader = csv.reader(lines, strict=True)
    paths = _header(reader, lines)
    return in_chunks(_rows(reader, lines, paths), read)


class _Lines:
    """The lines of a CSV file as text. `fault` is what is wrong with the row since `begin`."""

    def __init__(self, read: Input) -> None:
        self._lines = chain.from_iterable(lines for lines, _ in split_lines(read))
        self._number = 0
        self.begin()

    def begin(self) -> None:
        """Begin a row."""
        self.fault = ""
        self._first = self._number + 1
        self._bytes = 0

    def place(self) -> str:
        """Name the lines of the row."""
        return (
            f"line {self._first}"
            if self._number <= self._first
            else f"lines {self._first} to {self._number}"
        )

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self._number += 1
        self._bytes += len(line)
        if line is TOO_LONG or self._bytes > MAX_EVENT_BYTES:
            self.fault = TOO_LONG_REASON
            raise csv.Error  # makes the csv reader begin anew with the next line
        if b"\0" in line:
            self.fault = "it holds a NUL byte"
        try:
            return line.decode() + "\n"
        except UnicodeDecodeError as error:
            self.fault = f"not UTF-8 text: byte {error.start + 1}"
            return line.decode(errors="replace") + "\n"


def _header(reader: Iterator[list[str]], lines: _Lines) -> list[ColumnPath]:
    """Return the path of each column, none when the file is empty."""
    try:
        names = next((row for row in reader if row), [])
        paths = [tuple(name.strip().split(".")) for name in names]
        fault = lines.fault or _contradiction(paths)
    except (csv.Error, DamagedError) as error:
        fault = lines.fault or _why(error)
    if fault:
        raise SourceError(
            f"the header cannot be used: {fault}; allowed: one line of names, separated by commas, each once; "
            "mend the first line of the file"
        )
    return paths


def _contradiction(paths: list[ColumnPath]) -> str:
    """Say why the columns cannot stand side by side. A header may be a forgotten row of data: no name is quoted."""
    columns: dict[ColumnPath, int] = {}
    if len(paths) == 1 and any(sign in name for name in paths[0] for sign in ";\t|"):
        return "there is one column only, and another separator in its name"
    for column, path in enumerate(paths, 1):
        if "" in path:
            return f"the name of column {column} is empty or has an empty part"
        if path in columns:
            return f"columns {columns[path]} and {column} have the same name"
        columns[path] = column
    for path, column in columns.items():
        for end in range(1, len(path)):
            if path[:end] in columns:
                return f"column {column} is a part of column {columns[path[:end]]}, which is a text"
    return ""


def _rows(reader: Iterator[list[str]], lines: _Lines, paths: list[ColumnPath]) -> Iterator[Entry]:
    position, build = 1, _builder(paths)
    while True:
        lines.begin()
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            row, lines.fault = [], lines.fault or _why(error)
        except DamagedError as damage:
            yield Unreadable(position, damage.reason)
            return
        if not row and not lines.fault:
            continue
        fault = lines.fault or (
            len(row) != len(paths) and f"{len(row)} cells where the header has {len(paths)}"
        )
        yield (
            Unreadable(position, f"{fault} ({lines.place()})")
            if fault
            else Event(position, build(row))
        )
        position += 1


def _why(error: csv.Error | DamagedError) -> str:
    text = str(error)
    if isinstance(error, DamagedError):
        return text
    if text.startswith("field larger"):
        return f"a cell of more than {csv.field_size_limit():,} characters"
    if text.startswith("unexpected end"):
        return "a quoted cell is not closed"
    if text.startswith("new-line"):
        return "a carriage return outside quotes"
    return "a quoted cell goes on after its closing quote"


def _builder(paths: list[ColumnPath]) -> Callable[[list[str]], dict[str, Any]]:
    """Return the function from a row to its event."""
    if all(len(path) == 1 for path in paths):
        names = [path[0] for path in paths]
        return lambda row: {name: cell for name, cell in zip(names, row, strict=True) if cell}

    def nested(row: list[str]) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for path, cell in zip(paths, row, strict=True):
            if cell:
                inner = data
                for part in path[:-1]:
                    inner = inner.setdefault(part, {})
                inner[path[-1]] = cell
        return data

    return nested

"""The columns of a CSV file: what each one is called in an event.

`traits.email` is the member `email` of the object `traits`. Only the columns that the connection
reads need good names: others that are empty, repeated or in each other's way are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from connector.errors import SourceError
from connector.model import FieldPath

#: The number of a column, from 0, and where its cell stands in an event.
Column = tuple[int, FieldPath]

#: From a row, as long as the header, to the data of its event.
Build = Callable[[list[str]], dict[str, Any]]


def columns_of(header: Sequence[str], reads: Collection[FieldPath] | None) -> list[Column]:
    """Return the columns that are part of an event.

    `reads`: the paths that the connection reads; None when it may read any.

    Raise SourceError for a column that is read and has no clear name. A header may be a forgotten
    row of data: no name is quoted.
    """
    columns: list[Column] = []
    for number, name in enumerate(header):
        paths = _paths(name.strip(), reads)
        if not paths and reads is None:
            raise SourceError(_nameless(name, number))
        for path in paths:
            columns.append((number, path))

    columns = _without_repeated(columns, reads)
    return _without_members_of_text(columns, reads)


def _paths(name: str, reads: Collection[FieldPath] | None) -> list[FieldPath]:
    """Return where a column of this name stands in an event."""
    paths: list[FieldPath] = []
    parts = tuple(name.split("."))
    if "" not in parts:
        paths.append(parts)

    # `["odd.name"]` in a path reads the column by its whole name.
    whole = (name,)
    if whole not in paths and any(path[0] == name for path in reads or ()):
        paths.append(whole)
    return paths


def _nameless(name: str, number: int) -> str:
    if name.strip():
        return f"the name of column {number + 1} has an empty part; remove the extra dot"
    return f"column {number + 1} has no name; name it in the first line"


def _without_repeated(columns: list[Column], reads: Collection[FieldPath] | None) -> list[Column]:
    """Leave out columns of one name."""
    by_path: dict[FieldPath, list[int]] = {}
    for number, path in columns:
        by_path.setdefault(path, []).append(number)

    for path, numbers in by_path.items():
        if len(numbers) > 1 and is_read(path, reads):
            first, second, *_ = numbers
            raise SourceError(
                f"columns {first + 1} and {second + 1} have the same name; rename one of them"
            )
    return [(number, path) for number, path in columns if len(by_path[path]) == 1]


def _without_members_of_text(
    columns: list[Column], reads: Collection[FieldPath] | None
) -> list[Column]:
    """Leave out `a` or `a.b` where both are columns: the text `a` has no members."""
    numbers = {path: number for number, path in columns}
    left_out: set[FieldPath] = set()
    for path, number in numbers.items():
        for length in range(1, len(path)):
            parent = path[:length]
            if parent not in numbers:
                continue
            if reads is not None and not _reads_below(parent, path, reads):
                left_out.add(path)
            elif reads is not None and parent not in reads:
                left_out.add(parent)
            else:
                raise SourceError(
                    f"column {number + 1} is a member of column {numbers[parent] + 1},"
                    " which is text; rename one of them"
                )
    return [(number, path) for number, path in columns if path not in left_out]


def is_read(path: FieldPath, reads: Collection[FieldPath] | None) -> bool:
    """Return whether a path, something in it or something around it is read."""
    if reads is None:
        return True
    return any(path[: len(read)] == read or read[: len(path)] == path for read in reads)


def _reads_below(parent: FieldPath, path: FieldPath, reads: Collection[FieldPath]) -> bool:
    """Return whether a member of `parent` is read that is, holds or is in `path`."""
    below = [read for read in reads if len(read) > len(parent)]
    return is_read(path, below)


def builder(columns: Sequence[Column], width: int) -> Build:
    """Return the function from a row of `width` cells to its event. An empty cell is absent."""
    if any(len(path) > 1 for _, path in columns):
        return _nested(columns)

    names: list[str] = [""] * width
    for number, (name,) in columns:
        names[number] = name
    if "" in names or len(columns) > width:
        return lambda row: {path[0]: row[number] for number, path in columns if row[number]}
    return lambda row: {name: cell for name, cell in zip(names, row, strict=True) if cell}


def _nested(columns: Sequence[Column]) -> Build:
    def build(row: list[str]) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for number, path in columns:
            cell = row[number]
            if cell:
                inner = data
                for part in path[:-1]:
                    inner = inner.setdefault(part, {})
                inner[path[-1]] = cell
        return data

    return build

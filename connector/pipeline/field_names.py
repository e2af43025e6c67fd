"""Field names: those of a few rows, so that the nearest one to a misspelt one can be named."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from difflib import get_close_matches
from itertools import islice
from typing import Any

from connector.connection.fields import Field
from connector.connection.mapping import Element, Row

# The fields of so many rows are looked at, of so many per chunk, and so many names are kept.
_ROWS = 200
_ROWS_OF_CHUNK = 20
_NAMES = 1_000
_DEPTH = 3

# The names of fields can be data (addresses, numbers): only what looks like a name is printed.
_PLAIN = re.compile(r"[^\W\d](?:[ -]?\w){0,39}")
_MOST_DIGITS = 4

# In which UTF-8 is read by mistake.
_ENCODINGS = ("cp1252", "latin-1", "cp1250", "cp850", "mac-roman")


class FieldNames:
    """The names of the fields of a few rows."""

    def __init__(self) -> None:
        self._rows_left = _ROWS
        # The fields that were seen, and whether they hold a value (and no object).
        self._seen: dict[Field, bool] = {}

    def are_enough(self) -> bool:
        """Whether no more rows are looked at."""
        return not self._rows_left

    def see(self, rows: Sequence[Row]) -> None:
        """Look at the first rows."""
        for row in islice(rows, min(_ROWS_OF_CHUNK, self._rows_left)):
            self._rows_left -= 1
            self._see(row)

    def _see(self, row: Row) -> None:
        roots: dict[str, Any] = {"event": row}
        if isinstance(row, Element):
            roots = {"event": row.event, "item": row.item}
        for root, value in roots.items():
            if isinstance(value, dict):
                for field, is_value in islice(_fields_in(value, (root,)), _NAMES):
                    if field in self._seen or len(self._seen) < _NAMES:
                        self._seen[field] = self._seen.get(field, False) or is_value

    def nearest(self, wanted: Field, taken: Collection[Field] = ()) -> Field | None:
        """Return the nearest field that holds values to one that was not found.

        None where none is near, or where the field is there and empty. A field that is `taken` is
        near only if the names differ in case and signs alone.
        """
        if len(wanted) == 1 or wanted in self._seen:
            return None

        candidates: dict[str, Field] = {}
        for field, is_value in self._seen.items():
            squashed = _squashed(field)
            if is_value and (field not in taken or squashed == _squashed(wanted)):
                candidates.setdefault(squashed, field)
        return _near(wanted, candidates)


def as_path(field: Field) -> str:
    """Return a field as it is written in a mapping."""
    root, *names = field
    return ".".join(names if root == "event" else field)


def as_expression(field: Field) -> str:
    """Return a field as it is written in an expression."""
    root, *names = field
    for name in names:
        root += f".{name}" if name.isidentifier() else f"['{name}']"
    return root


def _fields_in(data: Mapping[str, Any], above: Field) -> Iterator[tuple[Field, bool]]:
    """Yield the fields of an object whose names are plain, and whether each one holds a value."""
    for name, value in data.items():
        if not _is_plain(name):
            continue
        field = (*above, name)
        is_object = isinstance(value, dict)
        yield field, not is_object
        if is_object and len(field) <= _DEPTH:
            yield from _fields_in(value, field)


def _is_plain(name: object) -> bool:
    if not isinstance(name, str):
        return False  # a program's own dictionary
    if not _PLAIN.fullmatch(name) or sum(map(str.isdigit, name)) > _MOST_DIGITS:
        return False
    return name.isascii() or not _is_misread(name)


def _is_misread(name: str) -> bool:
    """Return whether a name is UTF-8 that was read in another encoding, as `GÃ¼ltig` is."""
    for encoding in _ENCODINGS:
        try:
            name.encode(encoding).decode()
        except UnicodeError:
            continue
        return True
    return False


def _near(wanted: Field, candidates: Mapping[str, Field]) -> Field | None:
    """Return the field whose name is nearest: but for case and signs, elsewhere, or misspelt."""
    squashed = _squashed(wanted)
    if squashed in candidates:
        return candidates[squashed]

    last = squashed.rpartition(".")[2]
    for name, field in candidates.items():
        if name.rpartition(".")[2] == last:
            return field

    close = get_close_matches(squashed, _as_deep(wanted, candidates), 1)
    return candidates[close[0]] if close else None


def _as_deep(wanted: Field, candidates: Mapping[str, Field]) -> list[str]:
    """Return the names of the candidates that start where the field does, and are as deep."""
    names = []
    for name, field in candidates.items():
        if field[0] == wanted[0] and len(field) == len(wanted):
            names.append(name)
    return names


def _squashed(field: Field) -> str:
    """Return a field's names without case and signs: `E-Mail` is `email`."""
    names = []
    for name in field[1:]:
        letters = "".join(filter(str.isalnum, name))
        names.append(letters.casefold())
    return ".".join(names)

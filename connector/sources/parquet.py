"""From Parquet to events, with DuckDB. Importing this module needs the extra `parquet`."""

from __future__ import annotations

import glob
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb

from connector.errors import SourceError
from connector.model import Unreadable
from connector.sources.reading import MAX_EVENT_BYTES, TOO_LONG, Chunk, Entry, in_chunks, parse

_ROWS_AT_ONCE = 100
_TABLE = "read_parquet($path, hive_partitioning = false)"
_NOT_FINITE = "a nested number is NaN or infinite, which JSON does not have"

# One thread keeps the order of the rows and, as they are streamed, costs no speed.
_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "threads": 1,
}


class ParquetFile:
    """The rows of a Parquet file as events, in their order; positions are row numbers.

    Structs and maps are objects, lists arrays, integers and decimals without a fraction exact, other numbers float,
    dates `YYYY-MM-DD`. A timestamp with a time zone is RFC 3339 in UTC: `2026-01-15T10:00:00.5Z`. One without is
    `2026-01-15T10:00:00.5`, with no offset, because the file does not say which. Inside a struct or a list both keep
    DuckDB's own form: `2026-01-15 10:00:00.5+00` (UTC) and `2026-01-15 10:00:00.5`. NaN and infinity are null; nested
    ones make the row `Unreadable`.

    `size` is the file's in bytes; `position` follows it in proportion to the rows read. Nothing comes from a network.
    Raises `SourceError` when the file is not Parquet.
    """

    def __init__(self, path: str) -> None:
        self.size: int | None = Path(path).stat().st_size
        self.position = 0
        self.taken = 0
        self._connection = duckdb.connect(":memory:", config=_CONFIG)
        self._parameters = {"path": glob.escape(str(Path(path).absolute()))}
        try:
            self._connection.execute("SET TimeZone = 'UTC'")
            self._rows = int(
                self._all("SELECT sum(num_rows) FROM parquet_file_metadata($path)")[0][0]
            )
            self._query = _query(self._all(f"DESCRIBE SELECT * FROM {_TABLE}"))  # noqa: S608, a constant
        except duckdb.Error:
            self.close()
            raise SourceError(
                "it is not a Parquet file; allowed: a whole file, not encrypted; write it anew"
            ) from None

    def _all(self, query: str) -> list[Any]:
        return self._connection.execute(query, self._parameters).fetchall()

    def chunks(self) -> Iterator[Chunk]:
        """Yield the rows."""
        return in_chunks(self._entries(), self)

    def _entries(self) -> Iterator[Entry]:
        done = 0
        try:
            result = self._connection.execute(self._query, self._parameters)
            while rows := result.fetchmany(_ROWS_AT_ONCE):
                for (row,) in rows:
                    done += 1
                    yield self._entry(row.encode(), done)
                self.position = (self.size or 0) * done // self._rows
        except duckdb.Error:
            yield Unreadable(done + 1, "the file is damaged from here on")

    def _entry(self, text: bytes, position: int) -> Entry:
        self.taken += len(text)
        entry = parse(text if len(text) <= MAX_EVENT_BYTES else TOO_LONG, position)
        not_json = type(entry) is Unreadable and entry.reason.startswith("not JSON")
        return Unreadable(position, _NOT_FINITE) if not_json else entry

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


def _query(columns: list[Any]) -> str:
    """Return the query that gives each row as JSON text."""
    changed = ", ".join(form for name, kind, *_ in columns if (form := _json_form(name, kind)))
    alias = "row"
    while alias in {name.lower() for name, *_ in columns}:
        alias += "_"  # a column of that name would stand for itself, not for the row
    columns_as = f"* REPLACE ({changed})" if changed else "*"
    return f"SELECT to_json({alias})::VARCHAR FROM (SELECT {columns_as} FROM {_TABLE}) AS {alias}"  # noqa: S608, names are quoted


def _json_form(name: str, kind: str) -> str:
    """Return the SQL that replaces a column whose own JSON form nobody could use, or an empty text."""
    column = '"' + name.replace('"', '""') + '"'
    if kind in {"FLOAT", "DOUBLE"}:
        return f"CASE WHEN isfinite({column}) THEN {column} END AS {column}"
    if kind.startswith("TIMESTAMP") and kind.endswith("WITH TIME ZONE"):
        return rf"regexp_replace({column}::VARCHAR, '^(\S+) (\S+)\+00$', '\1T\2Z') AS {column}"
    if kind.startswith("TIMESTAMP") and not kind.endswith("]"):
        return f"replace({column}::VARCHAR, ' ', 'T') AS {column}"
    return ""

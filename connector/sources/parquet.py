"""Parquet: a table, read with DuckDB, which the extra `parquet` installs."""

from __future__ import annotations

import glob
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from connector.errors import SourceError
from connector.model import Unreadable
from connector.sources.reading import (
    CHUNK_BYTES,
    INVALID_JSON,
    MAX_EVENT_BYTES,
    TOO_LONG,
    Chunk,
    Entry,
    InputFile,
    in_chunks,
    parse_event,
)

if TYPE_CHECKING:
    import duckdb

_MAX_ROWS_AT_ONCE = 100
_TABLE = "read_parquet($path, hive_partitioning = false)"
_ROW_COUNT = "SELECT sum(num_rows) FROM parquet_file_metadata($path)"
_NOT_FINITE = "a nested number is NaN or infinite, which JSON does not allow"

# One thread keeps the order of the rows and, as they are streamed, costs no speed.
_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "threads": 1,
}


def parquet_rows(file: InputFile) -> Iterator[Chunk]:
    """Yield the rows of a Parquet file as events, in their order; positions are row numbers.

    Structs and maps are objects, lists arrays, integers and decimals without a fraction exact,
    other numbers float, dates `YYYY-MM-DD`. A timestamp with a time zone is RFC 3339 in UTC:
    `2026-01-15T10:00:00.5Z`. One without is `2026-01-15T10:00:00.5`, with no offset, because the
    file does not say which. Inside a struct or a list both keep DuckDB's own form: `2026-01-15
    10:00:00.5+00` (UTC) and `2026-01-15 10:00:00.5`. NaN and infinity are null; nested ones make
    the row `Unreadable`.

    The file's `position` follows in proportion to the rows read. Nothing comes from a network.
    Raise `SourceError` when DuckDB is not installed, the file is not Parquet, or memory runs out.
    """
    try:
        import duckdb
    except ImportError:
        raise SourceError(
            "Parquet needs DuckDB, which is not installed;"
            " run pip install 'audience-connector[parquet]'"
        ) from None

    parameters = {"path": glob.escape(str(Path(file.path).absolute()))}
    connection = duckdb.connect(":memory:", config=_CONFIG)
    try:
        connection.execute("SET TimeZone = 'UTC'")
        [(row_count,)] = connection.execute(_ROW_COUNT, parameters).fetchall()
        describe = f"DESCRIBE SELECT * FROM {_TABLE}"  # noqa: S608, a constant
        columns = connection.execute(describe, parameters).fetchall()
        names_and_types = [(name, sql_type) for name, sql_type, *_ in columns]
    except duckdb.Error:
        connection.close()
        raise SourceError(
            "not a Parquet file, or a truncated or encrypted one; write it again"
        ) from None

    rows = _json_rows(connection, _query(names_and_types), parameters, file, int(row_count))
    return in_chunks(rows, file)


def _json_rows(
    connection: duckdb.DuckDBPyConnection,
    query: str,
    parameters: dict[str, str],
    file: InputFile,
    row_count: int,
) -> Iterator[Entry]:
    import duckdb

    done = 0
    rows_at_once = 1
    try:
        result = connection.execute(query, parameters)
        while rows := result.fetchmany(rows_at_once):
            taken_before = file.taken
            for (row,) in rows:
                done += 1
                yield _entry(row.encode(), done, file)
            file.position = (file.size or 0) * done // row_count

            # As many rows as fill a chunk: rows may be of some bytes or of some megabytes.
            row_bytes = (file.taken - taken_before) // len(rows)
            fitting = CHUNK_BYTES // (row_bytes + 1)
            rows_at_once = max(1, min(fitting, _MAX_ROWS_AT_ONCE))
    except (duckdb.OutOfMemoryException, MemoryError):
        raise SourceError(
            f"not enough memory to read on after row {done:,};"
            " free memory, or write the file again with smaller row groups"
        ) from None
    except duckdb.Error:
        yield Unreadable(done + 1, "the file is damaged from here on")
    finally:
        connection.close()


def _entry(text: bytes, position: int, file: InputFile) -> Entry:
    file.taken += len(text)
    if len(text) > MAX_EVENT_BYTES:
        text = TOO_LONG
    entry = parse_event(text, position)

    if type(entry) is Unreadable and entry.reason.startswith(INVALID_JSON):
        return Unreadable(position, _NOT_FINITE)
    return entry


def _query(columns: list[tuple[str, str]]) -> str:
    """Return the query that gives each row as JSON text. `columns` are names and SQL types."""
    replacements = []
    for name, sql_type in columns:
        replacement = _replacement(name, sql_type)
        if replacement:
            replacements.append(replacement)
    selected = f"* REPLACE ({', '.join(replacements)})" if replacements else "*"

    # A column of that name would stand for itself, not for the row.
    names = {name.lower() for name, _ in columns}
    alias = "row"
    while alias in names:
        alias += "_"
    rows = f"(SELECT {selected} FROM {_TABLE})"  # noqa: S608 - names are quoted
    return f"SELECT to_json({alias})::VARCHAR FROM {rows} AS {alias}"  # noqa: S608 - our own alias


def _replacement(name: str, sql_type: str) -> str:
    """Return the SQL that replaces a column whose default JSON form is unusable, or ""."""
    column = '"' + name.replace('"', '""') + '"'
    if sql_type in {"FLOAT", "DOUBLE"}:
        return f"CASE WHEN isfinite({column}) THEN {column} END AS {column}"

    if sql_type.startswith("TIMESTAMP") and sql_type.endswith("WITH TIME ZONE"):
        return rf"regexp_replace({column}::VARCHAR, '^(\S+) (\S+)\+00$', '\1T\2Z') AS {column}"

    if sql_type.startswith("TIMESTAMP") and not sql_type.endswith("]"):
        return f"replace({column}::VARCHAR, ' ', 'T') AS {column}"
    return ""

"""Parquet: a table, read with DuckDB, which the extra `parquet` installs."""

from __future__ import annotations

import glob
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from connector.errors import SourceError
from connector.model import Event, Unreadable
from connector.sources.reading import (
    CHUNK_BYTES,
    INVALID_JSON,
    MAX_EVENT_BYTES,
    TOO_LONG,
    Chunk,
    DamagedError,
    Entry,
    InputFile,
    in_chunks,
    parse_event,
)

if TYPE_CHECKING:
    import duckdb

#: The columns of a table by name, each with its DuckDBPyType.
Columns = dict[str, Any]
Convert = Callable[[Any], Any]

_MAX_ROWS_AT_ONCE = 100
_TABLE = "read_parquet($path, hive_partitioning = false)"
_ROW_COUNT = "SELECT sum(num_rows) FROM parquet_file_metadata($path)"
_NOT_FINITE = "a nested number is NaN or infinite, which JSON does not allow"

_MIDNIGHT = "T00:00:00Z"

# One thread keeps the order of the rows and, as they are streamed, costs no speed.
_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "threads": 1,
}


def parquet_rows(file: InputFile) -> Iterator[Chunk]:
    """Yield the rows of a Parquet file as events, in their order; positions are row numbers.

    Structs and maps are objects, lists arrays, integers and decimals without a fraction exact,
    other numbers float. A timestamp with a time zone is RFC 3339 in UTC: `2026-01-15T10:00:00.5Z`.
    So is a date, at midnight: `2026-01-15T00:00:00Z`. A timestamp without a time zone is
    `2026-01-15T10:00:00.5`, with no offset, because the file does not say which. NaN and infinity
    are null; nested ones make the row `Unreadable`.

    The file's `position` follows in proportion to the rows read. Nothing comes from a network.
    Raise `SourceError` when DuckDB is not installed or the file is not Parquet.
    """
    try:
        import duckdb
    except ImportError:
        raise SourceError(
            "Parquet needs the extra 'parquet', which is not installed;"
            " run pip install '.[parquet]' in the connector's folder"
        ) from None

    parameters = {"path": glob.escape(str(Path(file.path).absolute()))}
    connection = duckdb.connect(":memory:", config=_CONFIG)
    try:
        connection.execute("SET TimeZone = 'UTC'")
        [(row_count,)] = connection.execute(_ROW_COUNT, parameters).fetchall()
        table = connection.read_parquet(parameters["path"], hive_partitioning=False)
        columns = dict(zip(table.columns, table.types, strict=True))
    except duckdb.Error:
        connection.close()
        raise SourceError(
            "not a Parquet file, or a truncated or encrypted one; write it again"
        ) from None

    rows = _json_rows(connection, _query(columns), parameters, file, int(row_count))
    return in_chunks(_with_times(rows, columns), file)


def _json_rows(
    connection: duckdb.DuckDBPyConnection,
    query: str,
    parameters: dict[str, str],
    file: InputFile,
    row_count: int,
) -> Iterator[Entry]:
    import duckdb

    done = 0
    before = file.before
    rows_at_once = 1
    try:
        result = connection.execute(query, parameters)
        while rows := result.fetchmany(rows_at_once):
            taken_before = file.taken
            for (row,) in rows:
                done += 1
                yield _entry(row.encode(), before + done, file)
            file.position = (file.size or 0) * done // row_count

            # As many rows as fill a chunk: rows may be of some bytes or of some megabytes.
            row_bytes = (file.taken - taken_before) // len(rows)
            fitting = CHUNK_BYTES // (row_bytes + 1)
            rows_at_once = max(1, min(fitting, _MAX_ROWS_AT_ONCE))
    except (duckdb.OutOfMemoryException, MemoryError):
        reason = (
            "not enough memory to read on;"
            " free memory, or write the file again with smaller row groups"
        )
        yield DamagedError(reason).at(before + done + 1)
    except duckdb.Error:
        yield DamagedError("the file is damaged").at(before + done + 1)
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


def _query(columns: Columns) -> str:
    """Return the query that gives each row as JSON text."""
    replacements = []
    for name, sql_type in columns.items():
        replacement = _replacement(name, str(sql_type))
        if replacement:
            replacements.append(replacement)
    selected = f"* REPLACE ({', '.join(replacements)})" if replacements else "*"

    # A column of that name would stand for itself, not for the row.
    names = {name.lower() for name in columns}
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

    if sql_type == "DATE":
        day = f"{column}::VARCHAR"
        return (
            f"CASE WHEN isfinite({column}) THEN {day} || '{_MIDNIGHT}' ELSE {day} END AS {column}"
        )

    if sql_type.startswith("TIMESTAMP") and sql_type.endswith("WITH TIME ZONE"):
        return rf"regexp_replace({column}::VARCHAR, '^(\S+) (\S+)\+00$', '\1T\2Z') AS {column}"

    if sql_type.startswith("TIMESTAMP") and not sql_type.endswith("]"):
        return f"replace({column}::VARCHAR, ' ', 'T') AS {column}"
    return ""


# Times inside structs, lists and maps ------------------------------------------------------------


def _with_times(rows: Iterator[Entry], columns: Columns) -> Iterator[Entry]:
    """Write times inside other values as those of a column are written."""
    converters = {}
    for name, sql_type in columns.items():
        if sql_type.id in _NESTED:
            convert = _converter(sql_type)
            if convert:
                converters[name] = convert
    if not converters:
        return rows
    return _converted(rows, converters)


def _converted(rows: Iterator[Entry], converters: dict[str, Convert]) -> Iterator[Entry]:
    for entry in rows:
        if isinstance(entry, Event):
            for name, convert in converters.items():
                entry.data[name] = convert(entry.data[name])
        yield entry


def _converter(sql_type: Any) -> Convert | None:
    """Return what rewrites the times in a value, None where there are none."""
    convert = _CONVERTERS.get(sql_type.id)
    if convert or sql_type.id not in _NESTED:
        return convert

    children = dict(sql_type.children)
    if sql_type.id == "array":
        del children["size"]  # a number, no type
    if sql_type.id == "map":
        del children["key"]  # always text in JSON

    inner = {}
    for name, child in children.items():
        child_convert = _converter(child)
        if child_convert:
            inner[name] = child_convert
    return _inside(inner, sql_type.id) if inner else None


def _inside(inner: dict[str, Convert], kind: str) -> Convert:
    """Return what rewrites the members of a struct, or all elements of a list or a map."""

    def convert(value: Any) -> Any:
        if isinstance(value, list):
            return [inner["child"](element) for element in value]
        if isinstance(value, dict) and kind == "map":
            return {key: inner["value"](element) for key, element in value.items()}
        if isinstance(value, dict):
            return {**value, **{name: one(value.get(name)) for name, one in inner.items()}}
        return value

    return convert


def _with_offset(text: Any) -> Any:
    return f"{text[:-3].replace(' ', 'T')}Z" if text and text.endswith("+00") else text


def _without_offset(text: Any) -> Any:
    return text.replace(" ", "T") if text else text


def _at_midnight(text: Any) -> Any:
    return text + _MIDNIGHT if text and text[-1].isdigit() else text


_NESTED = ("struct", "list", "array", "map")
_CONVERTERS: dict[str, Convert] = {
    "date": _at_midnight,
    "timestamp with time zone": _with_offset,
    "timestamp": _without_offset,
    "timestamp_s": _without_offset,
    "timestamp_ms": _without_offset,
    "timestamp_ns": _without_offset,
}

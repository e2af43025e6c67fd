"""Named queries out of `.sql` files, in the words of each database."""

from __future__ import annotations

import re
from importlib.resources import files

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)
_COMMENT = re.compile(r"--.*$", re.MULTILINE)
_LIST = re.compile(r"\bIN :(\w+)")
_VALUE = re.compile(r"(?<!:):([a-z]\w*)")
_LOCK = re.compile(r"\s+FOR UPDATE(?: SKIP LOCKED)?")


def sqlite_queries() -> dict[str, str]:
    """Return the queries for SQLite by name. A list is given as JSON."""
    queries = {}
    for name, text in _read("queries.sql", "sqlite.sql").items():
        with_lists = _LIST.sub(r"IN (SELECT value FROM json_each(:\1))", text)
        queries[name] = _LOCK.sub("", with_lists)
    return queries


def postgres_queries() -> dict[str, bytes]:
    """Return the queries for PostgreSQL by name."""
    queries = {}
    for name, text in _read("queries.sql", "postgres.sql").items():
        with_lists = _LIST.sub(r"= ANY(:\1)", text)
        with_values = _VALUE.sub(r"%(\1)s", with_lists)
        queries[name] = with_values.replace("?", "%s").encode()
    return queries


def _read(*names: str) -> dict[str, str]:
    folder = files("connector.delivery.outbox") / "sql"
    queries: dict[str, str] = {}
    for name in names:
        parts = _NAME.split((folder / name).read_text("utf-8"))
        for query, text in zip(parts[1::2], parts[2::2], strict=True):
            queries[query] = _COMMENT.sub("", text).strip()
    return queries

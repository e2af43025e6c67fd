"""The outbox in SQLite: one file of a folder, one delivering process, any number of threads.

Other processes may look at it, and at its dead letters, beside the one that delivers.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import orjson

from connector._util.state_folder import FolderLock
from connector.delivery.outbox.model import ALL, MAX_PENDING, OutboxError, Selection
from connector.delivery.outbox.queries import sqlite_queries
from connector.delivery.outbox.settling import Split
from connector.delivery.outbox.store import SqlOutbox
from connector.delivery.outbox.transaction import Transaction
from connector.pipeline.bundles import split_bundle

FILE = "outbox.db"
VERSION = 1

# For how many seconds one process waits for another.
_PATIENCE = 15.0
# A bundle of a thousand records has half a megabyte: by larger pages it is written and overwritten
# for a quarter less than by those of 4 KiB.
_PAGE_BYTES = 16 * 1024
# What a large commit leaves of the write-ahead log, in bytes.
_LOG_BYTES = 64 * 1024 * 1024

T = TypeVar("T")


class SqliteOutbox(SqlOutbox):
    """An `Outbox` in DIR/outbox.db.

    Whoever delivers gives the `lock` of the folder; all leases of earlier processes end. Without
    it the file has to be there.
    """

    def __init__(
        self,
        folder: Path,
        lock: FolderLock | None,
        *,
        now: Callable[[], float] = time.time,
        max_pending: int = MAX_PENDING,
        split: Split = split_bundle,
    ) -> None:
        super().__init__(max_pending, split)
        self._path = folder / FILE
        self._now = now
        self._queries = sqlite_queries()
        if lock is None and not self._path.exists():
            raise OutboxError(f"{folder}: there is no outbox in this folder")

        with _plain_errors(self._path):
            if lock is not None:
                # SQLite gives its other files the mode of this one.
                os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
            self._writer = self._connect()
            self._reader = self._connect()
        self._writer_lock = threading.Lock()
        self._reader_lock = threading.Lock()
        try:
            self._write(self._prepare)
            if lock is not None:
                self._write(lambda tx: tx.change("free_all_lanes"))
        except OutboxError:
            self._disconnect()
            raise

    def purge(self, selection: Selection = ALL, older_than: float = 0.0) -> int:
        """Delete what died longer ago than so many seconds; return how many.

        Nothing of it is in the files afterwards.
        """
        purged = super().purge(selection, older_than)
        if not self._empty_log():
            raise OutboxError(
                f"{self._path}: {purged} dead letters were deleted, but a process that still reads "
                "the file keeps their bytes in its log; purge again later"
            )
        return purged

    def close(self) -> None:
        """End. What is held stays held until it expires."""
        try:
            self._empty_log()
        finally:
            self._disconnect()

    def _write(self, work: Callable[[Transaction], T]) -> T:
        with self._writer_lock:
            return self._run(self._writer, "BEGIN IMMEDIATE", work)

    def _read(self, work: Callable[[Transaction], T]) -> T:
        with self._reader_lock:
            return self._run(self._reader, "BEGIN", work)

    def _run(
        self, connection: sqlite3.Connection, begin: str, work: Callable[[Transaction], T]
    ) -> T:
        with _plain_errors(self._path):
            connection.execute(begin)
            try:
                result = work(_Transaction(connection, self._queries, self._now))
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
        return result

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False
        )
        try:
            connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA secure_delete = ON")
            connection.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES}")
        except sqlite3.Error:
            connection.close()  # the file is no database
            raise
        return connection

    def _disconnect(self) -> None:
        self._reader.close()
        self._writer.close()

    def _prepare(self, tx: Transaction) -> None:
        """Make the tables of a new file. Raise OutboxError for a file of a later version."""
        [(version,)] = self._writer.execute("PRAGMA user_version").fetchall()
        if version > VERSION:
            raise OutboxError(
                f"{self._path} was written by a later version of connector (format {version}, "
                f"this one knows {VERSION}); install that version, or name another folder"
            )
        if version == 0:
            for statement in self._queries["tables"].split(";"):
                self._writer.execute(statement)
            self._writer.execute(f"PRAGMA user_version = {VERSION}")

    def _empty_log(self) -> bool:
        """Move the write-ahead log into the file; return whether all of it could be."""
        with self._writer_lock, _plain_errors(self._path):
            [(busy, _, _)] = self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return not busy


class _Transaction:
    def __init__(
        self, connection: sqlite3.Connection, queries: Mapping[str, str], now: Callable[[], float]
    ) -> None:
        self._connection = connection
        self._queries = queries
        self.now = now

    def rows(self, query: str, **values: Any) -> list[tuple[Any, ...]]:
        return self._execute(query, values).fetchall()

    def change(self, query: str, **values: Any) -> int:
        return self._execute(query, values).rowcount

    def many(self, query: str, rows: Iterable[tuple[Any, ...]]) -> None:
        self._connection.executemany(self._queries[query], rows)

    def _execute(self, query: str, values: dict[str, Any]) -> sqlite3.Cursor:
        for name, value in values.items():
            if isinstance(value, list):
                values[name] = orjson.dumps(value).decode()
        return self._connection.execute(self._queries[query], values)


@contextmanager
def _plain_errors(path: Path) -> Iterator[None]:
    """Raise OutboxError for what the database or the file system says. It quotes no value."""
    try:
        yield
    except sqlite3.Error as error:
        fix = _FIXES.get(error.sqlite_errorname.split("_")[1], "")
        raise OutboxError(f"{path}: {error}{fix}") from None
    except OSError as error:
        raise OutboxError(f"{path} cannot be used: {error.strerror}") from None


_FIXES = {
    "BUSY": f": another process kept it for {_PATIENCE:.0f} seconds; try again",
    "FULL": "; make room, then start again: nothing that was accepted is lost",
    "NOTADB": "; it is not an outbox: name another folder",
    "CORRUPT": "; restore it from a copy, or name another folder",
    "READONLY": "; let this user write to the file and its folder",
    "CANTOPEN": "; let this user write to the folder",
}

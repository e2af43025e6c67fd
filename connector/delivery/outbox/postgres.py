"""The outbox in PostgreSQL: any number of delivering processes, on any number of machines."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg
from psycopg import errors

from connector.delivery.outbox.model import MAX_PENDING, OutboxError
from connector.delivery.outbox.queries import postgres_queries
from connector.delivery.outbox.settling import Split
from connector.delivery.outbox.store import SqlOutbox
from connector.delivery.outbox.transaction import Transaction
from connector.pipeline.bundles import split_bundle

VERSION = 1

# How many connections are open at most.
_CONNECTIONS = 8
# Seconds before a transaction that failed is tried again.
_WAITS = (0.05, 0.2, 0.5, 1.0, 2.0)
_OPTIONS = (
    "-c search_path=connector "
    "-c lock_timeout=15s "
    "-c statement_timeout=120s "
    "-c idle_in_transaction_session_timeout=120s"
)
_BUNDLE_TYPES = ("int8", "int8", "int4", "text", "bytea", "bytea", "float8")
# What is worth another try: others were quicker, or the server went away.
_PASSING = (
    errors.SerializationFailure,
    errors.DeadlockDetected,
    errors.LockNotAvailable,
    errors.UniqueViolation,
    psycopg.OperationalError,
    psycopg.InterfaceError,
)

T = TypeVar("T")
_Connection = psycopg.Connection[tuple[Any, ...]]


class PostgresOutbox(SqlOutbox):
    """An `Outbox` in the schema `connector` of a database, which is made when it is not there."""

    def __init__(
        self, url: str, *, max_pending: int = MAX_PENDING, split: Split = split_bundle
    ) -> None:
        super().__init__(max_pending, split)
        self._queries = postgres_queries()
        self._pool = _Pool(url, self._queries["durable"])
        self._try(self._prepare)

    def close(self) -> None:
        """End. What is held stays held until it expires."""
        self._pool.close()

    def _write(self, work: Callable[[Transaction], T]) -> T:
        return self._try(lambda connection: self._commit(connection, work))

    def _read(self, work: Callable[[Transaction], T]) -> T:
        return self._try(lambda connection: self._look(connection, work))

    def _try(self, work: Callable[[_Connection], T]) -> T:
        """Return what `work` returns; try again what may pass. Raise OutboxError."""
        for wait in (*_WAITS, None):
            try:
                with self._pool.connection() as connection:
                    return work(connection)
            except _PASSING as error:
                if wait is None or _refusal(error):
                    raise OutboxError(_plain(error)) from None
                time.sleep(wait)
            except psycopg.Error as error:
                raise OutboxError(_plain(error)) from None
        raise AssertionError

    def _commit(self, connection: _Connection, work: Callable[[Transaction], T]) -> T:
        tx = _Transaction(connection, self._queries)
        result = work(tx)
        [(transaction,)] = tx.rows("transaction")
        try:
            connection.commit()
        except psycopg.OperationalError:
            # Whether it was committed is not known, and it must not be done twice.
            if transaction is None or not self._was_committed(transaction):
                raise
        return result

    def _look(self, connection: _Connection, work: Callable[[Transaction], T]) -> T:
        connection.execute(b"SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        result = work(_Transaction(connection, self._queries))
        connection.rollback()
        return result

    def _was_committed(self, transaction: str) -> bool:
        """Return whether a transaction was committed. Raise OutboxError when nobody knows."""
        for wait in (*_WAITS, None):
            try:
                with self._pool.connection() as connection:
                    tx = _Transaction(connection, self._queries)
                    [(status,)] = tx.rows("transaction_status", transaction=transaction)
                    connection.rollback()
            except psycopg.OperationalError:
                status = None
            if status in {"committed", "aborted"}:
                return bool(status == "committed")
            if wait is not None:
                time.sleep(wait)
        raise OutboxError(
            "PostgreSQL went away while it wrote: whether it did is not known; "
            "what was not answered has to be sent again"
        )

    def _prepare(self, connection: _Connection) -> None:
        """Make the tables of a new database. Raise OutboxError for those of a later version."""
        if connection.info.server_version < 130_000:
            raise OutboxError("PostgreSQL has to be version 13 or later")

        tx = _Transaction(connection, self._queries)
        if not tx.rows("has_tables")[0][0]:
            tx.rows("lock_tables")
            if not tx.rows("has_tables")[0][0]:  # nobody was quicker
                for statement in self._queries["tables"].split(b";"):
                    connection.execute(statement)
                tx.change("set_version", version=VERSION)
        [(version,)] = tx.rows("version")
        connection.commit()
        if version > VERSION:
            raise OutboxError(
                f"the schema 'connector' was written by a later version of connector (format "
                f"{version}, this one knows {VERSION}); install that version, or name another "
                "database"
            )


class _Transaction:
    def __init__(self, connection: _Connection, queries: Mapping[str, bytes]) -> None:
        self._cursor = connection.cursor(binary=True)
        self._queries = queries

    def now(self) -> float:
        [(now,)] = self.rows("now")
        return float(now)

    def rows(self, query: str, **values: Any) -> list[tuple[Any, ...]]:
        return self._cursor.execute(self._queries[query], values).fetchall()

    def change(self, query: str, **values: Any) -> int:
        return self._cursor.execute(self._queries[query], values).rowcount

    def many(self, query: str, rows: Iterable[tuple[Any, ...]]) -> None:
        if query == "add_bundles":
            with self._cursor.copy(self._queries[query]) as copy:
                copy.set_types(_BUNDLE_TYPES)
                for row in rows:
                    copy.write_row(row)
        else:
            self._cursor.executemany(self._queries[query], rows)


class _Pool:
    """Connections that are open, and not used at the moment."""

    def __init__(self, url: str, durable: bytes) -> None:
        self._url = url
        self._durable = durable
        self._free: list[_Connection] = []
        self._slots = threading.BoundedSemaphore(_CONNECTIONS)

    @contextmanager
    def connection(self) -> Iterator[_Connection]:
        """Give a connection. One with an error in it is not used again."""
        with self._slots:
            try:
                connection = self._free.pop()
            except IndexError:
                connection = self._connect()
            try:
                yield connection
            except BaseException:
                if connection.broken:
                    self.close()  # the server went away: the others are broken too
                connection.close()
                raise
            self._free.append(connection)

    def close(self) -> None:
        """Close the connections that are not used."""
        while True:
            try:
                connection = self._free.pop()
            except IndexError:
                return
            connection.close()

    def _connect(self) -> _Connection:
        try:
            connection = psycopg.connect(
                self._url, options=_OPTIONS, connect_timeout=10, application_name="connector"
            )
        except psycopg.ProgrammingError:
            # psycopg quotes the URL, and so its password
            raise OutboxError(
                "the URL of the store is not valid; it is "
                "postgresql://USER:PASSWORD@HOST/DATABASE, with other characters than letters and "
                "digits percent-encoded"
            ) from None
        connection.execute(self._durable)
        connection.commit()
        return connection


def _refusal(error: psycopg.Error) -> str:
    """Return why there is no connection, empty when it is not for good."""
    if error.sqlstate is None:
        text = str(error)
        for pattern, plain in _REFUSALS.items():
            if re.search(pattern, text):
                return plain
    return ""


def _plain(error: psycopg.Error) -> str:
    """Return what an error says without a value, a host or a part of the URL."""
    refusal = _refusal(error)
    if refusal:
        return f"PostgreSQL refuses the connection: {refusal}"
    if isinstance(error, psycopg.DataError):
        return "PostgreSQL cannot hold a text of this record, as one with the character U+0000"
    if error.sqlstate is None:
        return "PostgreSQL cannot be reached; see that it runs and that the URL's host is right"
    if error.sqlstate == errors.InsufficientPrivilege.sqlstate:
        return (
            "PostgreSQL lets this user do too little: it needs CREATE on the database once, or "
            "the rights to all tables of the schema 'connector'"
        )
    return f"PostgreSQL: {error.diag.message_primary} ({error.sqlstate})"


# psycopg has no codes for what happens before a connection is there.
_REFUSALS = {
    "password authentication failed": "the user or the password is wrong",
    "no password supplied": "it needs a password",
    "no pg_hba.conf entry": "pg_hba.conf does not allow this user and host",
    'role ".*" does not exist': "there is no such user",
    'database ".*" does not exist': "there is no such database",
    "does not support SSL": "it has no TLS, which the URL asks for",
    "certificate verify failed": "its certificate is not one that this machine trusts",
}

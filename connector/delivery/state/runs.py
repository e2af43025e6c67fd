"""Runs on disk: `DIR/runs.sqlite3` has how far each connection's run is, and what it counted.

What a run holds of people is nothing: positions in a file, and the names of lanes.
"""

from __future__ import annotations

import os
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import orjson

from connector.delivery.report import Counts, new_run_id
from connector.delivery.state.folder import state_error
from connector.delivery.state.inputs import Input
from connector.delivery.state.progress import LaneProgress, Place, packed, unpacked
from connector.errors import ConfigError

FILE = "runs.sqlite3"
_VERSION = 1
# Seconds. A run that ended longer ago is forgotten.
_KEPT = 30 * 24 * 3600

_SCHEMA = """
CREATE TABLE run (
  id TEXT PRIMARY KEY,
  connection TEXT NOT NULL,
  began REAL NOT NULL,
  ended REAL,
  identity TEXT NOT NULL,
  progress TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE lane (
  run TEXT NOT NULL REFERENCES run ON DELETE CASCADE,
  name TEXT NOT NULL,
  before INTEGER NOT NULL,
  beyond BLOB NOT NULL,
  PRIMARY KEY (run, name)
) WITHOUT ROWID;
CREATE TABLE refused (
  run TEXT NOT NULL REFERENCES run ON DELETE CASCADE,
  position INTEGER NOT NULL,
  count INTEGER NOT NULL,
  PRIMARY KEY (run, position)
) WITHOUT ROWID;
"""

Reasons = dict[tuple[str, str, str], int]
Dropped = dict[tuple[str, str], int]


@dataclass(frozen=True)
class Identity:
    """What a run is made of: while it is unfinished, none of this may change.

    `definitions` and `connection` are digests.
    """

    input: Input
    definitions: str
    connection: str

    def as_json(self) -> dict[str, Any]:
        """Return the same for JSON."""
        return {**asdict(self), "input": self.input.as_json()}


@dataclass
class Saved:
    """What is known of a run after each settled batch.

    `settled` and `prepared` are those of Progress. `report_bytes`: how long the report was. `paced`
    counts the requests in the window of each rate, the last of them sent at `paced_at`.
    `ended_well`: whether the last process that worked at the run came to its end, and `unanswered`
    how many records that are still open it sent then, without an answer.
    """

    settled: int = 0
    prepared: int = 0
    restarts: int = 0
    counts: Counts = field(default_factory=Counts)
    reasons: Reasons = field(default_factory=dict)
    dropped: Dropped = field(default_factory=dict)
    report: str = ""
    report_bytes: int = 0
    paced: Sequence[int] = ()
    paced_at: float = 0.0
    ended_well: bool = False
    unanswered: int = 0

    def as_json(self) -> bytes:
        """Return the same as JSON."""
        reasons = [[*key, count] for key, count in self.reasons.items()]
        dropped = [[*key, count] for key, count in self.dropped.items()]
        document = {**vars(self), "counts": asdict(self.counts)}
        return orjson.dumps({**document, "reasons": reasons, "dropped": dropped})

    @classmethod
    def from_json(cls, text: str) -> Saved:
        """Return what `as_json` returned."""
        document: dict[str, Any] = orjson.loads(text)
        document["counts"] = Counts(**document["counts"])
        reasons: Reasons = {}
        for outcome, code, reason, count in document["reasons"]:
            reasons[outcome, code, reason] = count
        dropped: Dropped = {}
        for parameter, reason, count in document["dropped"]:
            dropped[parameter, reason] = count
        return cls(**{**document, "reasons": reasons, "dropped": dropped})


@dataclass(frozen=True)
class StoredRun:
    """A run as it is stored."""

    id: str
    input: Input
    definitions: str
    connection: str
    ended: bool
    saved: Saved


class Runs:
    """The runs in a state folder. Open it while the folder's lock is held; any thread may use it.

    Every method raises ConfigError (C247) when the file cannot be used.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        with self._errors():
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
            self._database = sqlite3.connect(
                self._path, isolation_level=None, check_same_thread=False
            )
        try:
            with self._errors():
                self._execute("PRAGMA journal_mode = WAL")
                # What was committed is there, also after a power failure.
                self._execute("PRAGMA synchronous = FULL")
                self._execute("PRAGMA foreign_keys = ON")
                self._create()
        except ConfigError:
            self.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def last(self, connection: str) -> StoredRun | None:
        """Return the run of a connection that began last."""
        with self._errors():
            rows = self._execute(
                "SELECT id, identity, ended, progress FROM run WHERE connection = ?"
                " ORDER BY began DESC LIMIT 1",
                connection,
            )
            row = next(iter(rows), None)
        if row is None:
            return None

        run, identity, ended, progress = row
        document = orjson.loads(identity)
        return StoredRun(
            run,
            Input.from_json(document["input"]),
            document["definitions"],
            document["connection"],
            ended is not None,
            Saved.from_json(progress),
        )

    def lanes(self, run: str) -> Iterator[tuple[str, int, list[Place]]]:
        """Yield the lanes of a run: name, `before` and `beyond` of LaneProgress."""
        with self._errors():
            rows = self._execute("SELECT name, before, beyond FROM lane WHERE run = ?", run)
            for name, before, beyond in rows:
                yield name, before, list(unpacked(beyond))

    def refused(self, run: str) -> Counter[int]:
        """Return how many rejections were counted of each event that may be prepared again."""
        with self._errors():
            rows = self._execute("SELECT position, count FROM refused WHERE run = ?", run)
            return Counter(dict(rows))

    def begin(self, connection: str, identity: Identity, saved: Saved, now: float) -> str:
        """Store a new run of a connection, and forget its unfinished one; return its id."""
        run = new_run_id(now)
        with self._transaction():
            self._execute("DELETE FROM run WHERE connection = ? AND ended IS NULL", connection)
            self._execute("DELETE FROM run WHERE ended < ?", now - _KEPT)
            self._execute(
                "INSERT INTO run (id, connection, began, identity, progress)"
                " VALUES (?, ?, ?, ?, ?)",
                run,
                connection,
                now,
                orjson.dumps(identity.as_json()).decode(),
                saved.as_json().decode(),
            )
        return run

    def go_on(self, run: str, identity: Identity, saved: Saved) -> None:
        """Store that a run goes on, with an input that may have grown."""
        with self._transaction():
            self._execute(
                "UPDATE run SET ended = NULL, identity = ?, progress = ? WHERE id = ?",
                orjson.dumps(identity.as_json()).decode(),
                saved.as_json().decode(),
                run,
            )

    def commit(
        self,
        run: str,
        saved: Saved,
        lanes: Mapping[str, LaneProgress],
        refused: Mapping[int, int] = MappingProxyType({}),
    ) -> None:
        """Store how far a run is, what is known of some of its lanes, and further rejections."""
        with self._transaction():
            self._save(run, saved)
            for position, count in refused.items():
                self._execute(
                    "INSERT INTO refused (run, position, count) VALUES (?, ?, ?)"
                    " ON CONFLICT DO UPDATE SET count = count + excluded.count",
                    run,
                    position,
                    count,
                )
            self._execute("DELETE FROM refused WHERE run = ? AND position <= ?", run, saved.settled)
            for name, lane in lanes.items():
                self._execute(
                    "INSERT OR REPLACE INTO lane (run, name, before, beyond) VALUES (?, ?, ?, ?)",
                    run,
                    name,
                    lane.before,
                    packed(lane.beyond),
                )

    def end(self, run: str, saved: Saved, now: float) -> None:
        """Store that everything of a run is settled."""
        with self._transaction():
            self._save(run, saved)
            self._execute("UPDATE run SET ended = ? WHERE id = ?", now, run)
            self._execute("DELETE FROM lane WHERE run = ?", run)
            self._execute("DELETE FROM refused WHERE run = ?", run)

    def _save(self, run: str, saved: Saved) -> None:
        self._execute("UPDATE run SET progress = ? WHERE id = ?", saved.as_json().decode(), run)

    def _create(self) -> None:
        [(version,)] = self._execute("PRAGMA user_version")
        if version > _VERSION:
            message = f"is of a newer version of the connector ({version}, this one has {_VERSION})"
            raise state_error(self._path, message, "use the newer version, or another folder")
        if version < _VERSION:
            self._database.executescript(
                f"BEGIN; {_SCHEMA} PRAGMA user_version = {_VERSION}; COMMIT"
            )

    def _execute(self, statement: str, *values: Any) -> Iterable[tuple[Any, ...]]:
        return self._database.execute(statement, values)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._errors():
            self._execute("BEGIN IMMEDIATE")
            try:
                yield
                self._execute("COMMIT")
            except BaseException:
                # After some errors, that of a full disk among them, SQLite has done it already.
                if self._database.in_transaction:
                    self._execute("ROLLBACK")
                raise

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            is_full = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
            fix = "make room" if is_full else ""
            raise state_error(self._path, f"cannot be used: {error}", fix) from None

"""The file of what a run left undelivered: prepared records, in the order of the events.

Its first line says which connection they are of. It is there at the end of the run, all of it or
nothing, and only if a record is left. Memory stays flat, whatever is left: until then the records
are in a temporary database, which is removed when the process ends, however it ends.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from connector._util.new_file import NewFile
from connector.connection.model import Connection
from connector.connection.urls import is_local
from connector.definitions.digest import definition_digest
from connector.delivery.report import UndeliveredFile
from connector.errors import ConfigError, Problem
from connector.model import Chunk, ItemId, Record, position_of
from connector.pipeline.prepared import PreparedError, PreparedRecords
from connector.sources.files import Source
from connector.sources.prepared import VERSION_MEMBER
from connector.sources.reading import MAX_EVENT_BYTES

if TYPE_CHECKING:
    import sqlite3

_VERSION = 1

_AGAIN = "send the events again instead"


class Undelivered:
    """Keeps what a run leaves undelivered, and writes it to a file. To be called by one thread."""

    def __init__(self, path: Path, connection: Connection) -> None:
        """Raise RenderError for what lint refuses."""
        #: What the run is called.
        self.run = ""
        self._path = path
        self._header = _belonging(connection)
        self._prepared = PreparedRecords(connection)
        self._routes = {}
        for index, route in enumerate(connection.routes):
            self._routes[route.name] = index
        self._spool: _Spool | None = None
        self._records = 0
        self._error = ""
        self._written: UndeliveredFile | None = None

    def add(self, records: Iterable[Record]) -> None:
        """Keep records, in any order. What cannot be kept is not counted in the result."""
        rows = list(self._rows(records))
        if not rows or self._error:
            return
        try:
            if self._spool is None:
                self._spool = _Spool()
            self._spool.add(rows)
            self._records += len(rows)
        except OSError as error:
            self._fail(error)

    def _rows(self, records: Iterable[Record]) -> Iterator[tuple[int, int, int, int, bytes]]:
        """Yield what records are in the order of: event, route, element, and part of a person."""
        for record in records:
            try:
                line = self._prepared.write(record)
            except PreparedError:
                continue
            if len(line) > MAX_EVENT_BYTES:
                continue  # no input may have such a line
            event_id, target = record.event_id, record.target
            item = event_id.item if isinstance(event_id, ItemId) else 0
            yield position_of(event_id), self._routes[target.route], item, target.part, line

    def complete(self) -> UndeliveredFile:
        """Write the file, unless nothing is left; return what is in it."""
        if self._written is None:
            self._write()
            path = str(self._path)
            self._written = UndeliveredFile(path, self._records, self._error)
        return self._written

    def _write(self) -> None:
        # Without some of its records, a file would not lead to what the events lead to.
        if self._spool is None or self._error:
            return
        try:
            with closing(self._spool), closing(NewFile(self._path)) as file:
                file.write(orjson.dumps({**self._header, "run": self.run}) + b"\n")
                for line in self._spool.in_order():
                    file.write(line + b"\n")
                file.complete(force=False)
        except FileExistsError:
            self._fail(FileExistsError(0, "there is such a file by now"))
        except OSError as error:
            self._fail(error)

    def _fail(self, error: OSError) -> None:
        self._error = error.strerror or type(error).__name__
        self._records = 0
        if self._spool is not None:
            self._spool.close()


class _Spool:
    """Keeps lines on disk, and gives them in order. Every method raises OSError."""

    def __init__(self) -> None:
        # Mostly nothing is left, and no database is needed.
        import sqlite3

        self._library = sqlite3
        with self._errors():
            # Without a name it is a file that nobody else can open, and that nothing remains of.
            self._database: sqlite3.Connection = sqlite3.connect(
                "", isolation_level=None, check_same_thread=False
            )
            self._database.execute("PRAGMA journal_mode = OFF")
            self._database.execute("CREATE TABLE record (event, route, item, part, line BLOB)")

    def add(self, rows: Sequence[tuple[int, int, int, int, bytes]]) -> None:
        """Keep lines, each behind what it is in the order of."""
        with self._errors():
            self._database.execute("BEGIN")
            self._database.executemany("INSERT INTO record VALUES (?, ?, ?, ?, ?)", rows)
            self._database.execute("COMMIT")

    def in_order(self) -> Iterator[bytes]:
        """Yield the lines."""
        with self._errors():
            rows = self._database.execute(
                "SELECT line FROM record ORDER BY event, route, item, part, rowid"
            )
            for (line,) in rows:
                yield line

    def close(self) -> None:
        """Remove what is kept."""
        self._database.close()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except self._library.Error as error:
            raise OSError(0, str(error)) from None


def _belonging(connection: Connection) -> dict[str, Any]:
    """Return what the first line of a file says of the connection that its records are of."""
    return {
        VERSION_MEMBER: _VERSION,
        "destination": connection.destination.id,
        "definition": definition_digest(connection.destination),
        "connection": connection.digest,
        # A sandbox has audiences of its own.
        "local": is_local(connection.base_url),
    }


def _check_belongs(path: str, header: Mapping[str, Any], connection: Connection) -> None:
    """Raise ConfigError (C251) for a file whose records are none of this connection."""
    here = _belonging(connection)
    hint = _AGAIN
    if header.get(VERSION_MEMBER) != _VERSION:
        message = f"is not what this version of the connector writes ({_VERSION})"
        hint = "send it with the version that wrote it"
    elif header.get("destination") != here["destination"]:
        message = f"its records are not for the destination '{connection.destination.id}'"
        hint = "name the connection that they were prepared by"
    elif header.get("definition") != here["definition"]:
        message = "its records were prepared by other definition files of the destination"
    elif header.get("connection") != here["connection"]:
        message = "its records were prepared by a connection that sends something else"
        hint = f"name that connection, undo the change of it, or {_AGAIN}"
    elif header.get("local") and not here["local"]:
        message = "its records are for a server on this machine, such as a sandbox"
    else:
        return
    raise ConfigError([Problem("C251", path, "", message, hint)])


def are_prepared_records(opened: Source | Iterator[Chunk], connection: Connection) -> bool:
    """Return whether an input is prepared records. Raise ConfigError (C251) for a stranger's."""
    if not isinstance(opened, Source):
        return False
    for path, header in zip(opened.paths, opened.headers, strict=False):
        _check_belongs(path, header, connection)
    return bool(opened.headers)


@contextmanager
def undelivered_file(
    path: str | os.PathLike[str] | None,
    connection: Connection,
    report: object = None,
    *,
    resumes: bool = False,
) -> Iterator[Undelivered | None]:
    """Open the file of what a run leaves undelivered; it is complete at the end, however that is.

    `resumes`: what is left stays in the run, which goes on later. Two keepers of it would send it
    in an order that nobody knows.

    Raise ConfigError: C012 for such a run, C013 when there is such a file, none can be made there,
    or `report` is it.
    """
    if path is None:
        yield None
        return
    if resumes:
        message = "with a state, what is left undelivered stays in its run"
        hint = "leave it out, and give the same command again to send what is left"
        raise ConfigError([Problem("C012", str(path), "", message, hint)])
    kept = Undelivered(_checked(Path(path), report), connection)
    try:
        yield kept
    finally:
        kept.complete()


def _checked(path: Path, report: object) -> Path:
    message = hint = ""
    if isinstance(report, str | os.PathLike) and Path(report).absolute() == path.absolute():
        message = "is the report"
        hint = "name another file"
    elif os.path.lexists(path):
        message = "exists already"
        hint = "name another file: it may hold records that are to be sent again"
    elif path.suffix == ".zst":
        message = "cannot be packed with zstd"
        hint = "let the name end in .gz, or in neither"
    elif not path.parent.is_dir():
        message = "cannot be written: there is no such folder"
        hint = "create the folder first"
    elif not os.access(path.parent, os.W_OK | os.X_OK):
        message = "cannot be written: nothing can be written in its folder"
        hint = "name another file"
    if message:
        raise ConfigError([Problem("C013", str(path), "", message, hint)])
    return path

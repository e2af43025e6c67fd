"""A run of an export: the events of a source become the lines of a file, in constant memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from connector._util import times
from connector.connection.model import Connection, Constant, MappedExport
from connector.definitions.exports import DATE
from connector.definitions.uri_template import expand
from connector.delivery.clock import Clock
from connector.delivery.ledger import Ledger
from connector.delivery.report import Report
from connector.delivery.run import in_pieces
from connector.errors import ConfigError, Problem, nearest
from connector.exports.keys import hashes_of
from connector.exports.lines import LinePreparer
from connector.exports.output import Output
from connector.model import Chunk, Rejection
from connector.pipeline.elements import EachPreparer
from connector.pipeline.preparation import Preparation, identifying_fields

_ONLY_TEXTS = {str}

# Characters of "2026-01-15" in "2026-01-15T00:00:00Z".
_DAY = 10


def mapped_export(connection: Connection, name: str) -> MappedExport:
    """Return an export of a connection. Raise ConfigError (C041) for an unknown name."""
    if name in connection.exports:
        return connection.exports[name]

    destination = connection.destination
    message = f"the connection has no export '{name}'"
    if name in destination.exports:
        hint = f"map it under 'exports'; see 'connector show {destination.id}.{name}'"
    else:
        hint = f"{nearest(name, destination.exports)}; see 'connector show {destination.id}'"
    raise ConfigError([Problem("C041", connection.file, "/exports", message, hint)])


def file_name(mapped: MappedExport, now: float) -> str:
    """Return the name that the vendor expects of the file, "" for any.

    `now`: seconds since the epoch.
    """
    export = mapped.export
    values: dict[str, Any] = {DATE: times.from_epoch(now)[:_DAY]}
    for name in export.names_of_file:
        values[name] = export.parameters[name].default
        source = mapped.map.get(name)
        if isinstance(source, Constant):
            values[name] = source.value
    return expand(export.file, values, encode=False)


class ExportRun:
    """Everything of an export that can be known before the first event, compiled once."""

    def __init__(self, connection: Connection, mapped: MappedExport) -> None:
        """Compile an export. Raise ConfigError (C204, C216) for its key."""
        settings = connection.settings
        lines = LinePreparer(mapped, settings, hashes_of(connection, mapped.export))
        preparer = lines if mapped.each is None else EachPreparer(mapped, lines, settings)
        names = [f"export {mapped.name}"]
        people = identifying_fields(mapped, mapped.export.identifiers)
        self._preparation = Preparation([preparer], names, connection.event_id, people)

    def write(
        self,
        chunks: Iterable[Chunk],
        output: Output,
        ledger: Ledger,
        clock: Clock,
        progress: Callable[[], None],
    ) -> Report:
        """Write the lines of all events, and return the report: `delivered` counts the lines.

        The output is complete when the run was not ended before, and has a line. Raise what the
        source and the output raise. `progress` is called after each chunk.
        """
        started = time.perf_counter()
        counts = ledger.counts
        for chunk in chunks:
            ledger.read(len(chunk))
            for prepared in in_pieces(self._preparation.prepare(chunk, clock.now())):
                data = _joined(prepared, ledger)
                ledger.dropped(self._preparation.take_dropped())
                if data:
                    output.write(data)
                    counts.bytes += len(data)
            progress()
            if clock.ending:
                break

        if clock.ending:
            counts.undelivered, counts.delivered = counts.delivered, 0
        elif counts.delivered:
            output.complete()
        return ledger.close(
            self._preparation.dropped,
            time.perf_counter() - started,
            interrupted=clock.ending,
            fill=self._preparation.fill,
            doubts=self._preparation.doubts,
        )


def _joined(prepared: Sequence[Any], ledger: Ledger) -> bytes:
    """Return the lines of some rows; report to the ledger what has none."""
    if not prepared:
        return b""
    lines: list[str] = []
    if set(map(type, prepared)) == _ONLY_TEXTS:
        lines = list(prepared)  # mostly so
    else:
        for one in prepared:
            if isinstance(one, str):
                lines.append(one)
            elif isinstance(one, list):
                lines += one
            elif isinstance(one, Rejection):
                ledger.refused(one)
            else:
                ledger.skipped()
    if not lines:
        return b""

    ledger.prepared(len(lines))
    ledger.counts.delivered += len(lines)
    return ("\n".join(lines) + "\n").encode()

"""Exports: files of lines for a vendor."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from connector.connection.model import Connection
from connector.delivery.clock import Clock, SystemClock
from connector.delivery.inputs import Events, observed, opened_events
from connector.delivery.ledger import Ledger
from connector.delivery.report import Counts, Report
from connector.delivery.report_file import check_overwritten, report_file
from connector.errors import ConfigError, Problem
from connector.library.arguments import require_connection

if TYPE_CHECKING:
    pass


def export(
    connection: Connection,
    name: str,
    events: Events,
    *,
    into: str | os.PathLike[str] | BinaryIO,
    force: bool = False,
    clock: Clock | None = None,
    report: str | os.PathLike[str] | BinaryIO | None = None,
    progress: Callable[[Counts], None] | None = None,
    limit: int | None = None,
    keep_failures: bool = True,
) -> Report:
    """Write a file for the vendor: the connection's export of this name.

    `into`: the file, a folder in which it gets the name that the vendor expects, or an open binary
    stream. A file appears only when all of it is written, and has a line; it can be read by its
    owner only. `force` replaces one that is there already. All else is as for `send`. In the
    report, `delivered` counts the lines.

    Raise ConfigError for a missing key or a file that cannot be written, DefinitionError, and
    SourceError.
    """
    # Only an export needs it.
    from connector.exports.output import FileOutput, Output, StreamOutput
    from connector.exports.run import ExportRun, mapped_export

    require_connection(connection)
    mapped = mapped_export(connection, name)
    clock = clock or SystemClock()
    run = ExportRun(connection, mapped)

    with ExitStack() as stack:
        opened = stack.enter_context(opened_events(events, connection, limit, [mapped]))
        if isinstance(into, str | os.PathLike):
            path = export_path(connection, name, into, clock)
            check_overwritten(path, "export", connection, opened)
            _check_apart(path, report)
            output: Output = stack.enter_context(FileOutput(path, force=force))
        else:
            output = StreamOutput(into)
        file = stack.enter_context(report_file(report, connection, opened))
        ledger = Ledger(file, keep_failures=keep_failures)

        def show_progress() -> None:
            if progress is not None:
                progress(replace(ledger.counts))

        chunks = observed(opened, connection, ledger)
        return run.write(chunks, output, ledger, clock, show_progress)


def export_path(
    connection: Connection, name: str, into: str | os.PathLike[str], clock: Clock
) -> Path:
    """Return the file of an export: in a folder, that of the name that the vendor expects.

    Raise ConfigError (C041, C042).
    """
    from connector.exports.run import file_name, mapped_export

    path = Path(into)
    if not path.is_dir():
        return path
    expected = file_name(mapped_export(connection, name), clock.now())
    if not expected:
        message = "is a folder, and the vendor expects no name of the file"
        raise ConfigError([Problem("C042", str(path), "", message, "name a file")])
    return path / expected


def _check_apart(path: Path, report: object) -> None:
    if isinstance(report, str | os.PathLike) and Path(report).absolute() == path.absolute():
        message = "the report would overwrite the export"
        raise ConfigError([Problem("C013", str(path), "", message, "choose another file")])

"""The file of a report, which is none of the inputs."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from connector.connection.model import Connection
from connector.errors import ConfigError, Problem
from connector.model import Chunk
from connector.sources.files import Source

if TYPE_CHECKING:
    from connector.delivery.state.resume import OpenRun


@contextmanager
def report_file(
    report: str | os.PathLike[str] | BinaryIO | None,
    connection: Connection,
    opened: Source | Iterator[Chunk],
    run: OpenRun | None = None,
) -> Iterator[BinaryIO | None]:
    """Open the report, to write at its end: behind what the run committed of it, if it goes on.

    Raise ConfigError (C013) when it cannot be written, or is one of the inputs.
    """
    if not isinstance(report, str | os.PathLike):
        if run and report is not None:
            run.report_elsewhere()
        yield report
        return

    path = Path(report)
    check_overwritten(path, "report", connection, opened)
    with _report_errors(path):
        file = _opened(path)
        if run and file.seekable():
            size = file.tell()
            length = run.report_length(path, size)
            if length < size:
                file.truncate(length)
                # Its position is what the next commit keeps as the length, also before any line.
                file.seek(0, os.SEEK_END)
        if file.seekable() and _ends_within_a_line(path):
            file.write(b"\n")  # somebody cut it off: what comes now is not to be a part of that
    try:
        yield file
    finally:
        # What could not be written was noted when it was flushed.
        with suppress(OSError):
            file.close()


def _ends_within_a_line(path: Path) -> bool:
    # Whoever may only write to it is not told.
    with suppress(PermissionError), path.open("rb") as report:
        if report.seek(0, os.SEEK_END):
            report.seek(-1, os.SEEK_END)
            return report.read(1) != b"\n"
    return False


def _opened(path: Path) -> BinaryIO:
    if not path.is_fifo():
        return path.open("ab")
    try:
        pipe = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    except OSError as error:
        if error.errno == errno.ENXIO:
            raise OSError(error.errno, "nobody reads from this named pipe") from None
        raise
    os.set_blocking(pipe, True)
    return os.fdopen(pipe, "wb")


def check_overwritten(
    path: Path, what: str, connection: Connection, opened: Source | Iterator[Chunk]
) -> None:
    """Raise ConfigError (C013) for a file to write that is one of the inputs."""
    inputs = [connection.file]
    if isinstance(opened, Source):
        inputs += opened.paths
    for name in inputs:
        if path.exists() and Path(name).exists() and path.samefile(name):
            message = f"the {what} would overwrite an input file"
            raise ConfigError([Problem("C013", str(path), "", message, "choose another file")])


@contextmanager
def _report_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        message = f"cannot write the report: {error.strerror}"
        raise ConfigError([Problem("C013", str(path), "", message)]) from None

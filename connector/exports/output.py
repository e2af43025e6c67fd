"""The file of an export: nothing is there until all of it is.

The lines go to a temporary file beside it, which only its owner can read. It takes the name of the
file when it is complete, and is removed when it is not.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Protocol, Self

from connector._util.new_file import NewFile
from connector.errors import ConfigError, OutputError, Problem


@contextmanager
def _problems(file: str, *, is_begun: bool = True) -> Iterator[None]:
    """Say why a file cannot be written. One that is begun is at the fault of its disk."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        message = f"cannot write the export: {error.strerror}"
        hint = "create the folder first" if isinstance(error, FileNotFoundError) else ""
        problem = Problem("C042", file, "", message, hint)
        raise (OutputError(str(problem)) if is_begun else ConfigError([problem])) from None


class Output(Protocol):
    """Takes the bytes of an export."""

    def write(self, data: bytes, /) -> object:
        """Write bytes."""

    def complete(self) -> None:
        """Say that this was all."""


class StreamOutput:
    """Writes to an open stream, such as standard output."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def write(self, data: bytes) -> None:
        """Write bytes. Raise BrokenPipeError, and OutputError (C042)."""
        with _problems("the output"):
            self._stream.write(data)

    def complete(self) -> None:
        """Hand on what is not written yet. Raise as `write` does."""
        with _problems("the output"):
            self._stream.flush()


class FileOutput:
    """Writes to a file that appears when it is complete; packed with gzip if its name says so.

    To be used as a context manager. Raise ConfigError (C042) when it cannot be begun, and (C043)
    when there is such a file already, unless `force` is given; OutputError (C042) later on.
    """

    def __init__(self, path: Path, *, force: bool) -> None:
        self._path = path
        self._force = force
        with _problems(str(path)):
            is_special = path.exists() and not path.is_file()
        if is_special:
            # to replace a device such as /dev/null would break other programs
            hint = "name a file, or write - for standard output"
            raise ConfigError([Problem("C042", str(path), "", "is not a file", hint)])
        if not force and os.path.lexists(path):
            raise self._exists()
        with _problems(str(self._path), is_begun=False):
            self._file = NewFile(path)

    def __enter__(self) -> Self:
        return self

    def write(self, data: bytes) -> None:
        """Write bytes."""
        with _problems(str(self._path)):
            self._file.write(data)

    def complete(self) -> None:
        """Give the file its name, once all of it is on the disk."""
        with _problems(str(self._path)):
            try:
                self._file.complete(force=self._force)
            except FileExistsError:
                raise self._exists() from None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()

    def _exists(self) -> ConfigError:
        hint = "name another file, or add --force to replace it"
        return ConfigError([Problem("C043", str(self._path), "", "exists already", hint)])

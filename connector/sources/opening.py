"""Open files and standard input: their bytes, unpacked, as soon as they come."""

from __future__ import annotations

import io
import os
import select
import shutil
import stat
import sys
import tempfile
from pathlib import Path
from typing import IO, Protocol, cast

from connector.errors import SourceError
from connector.sources.packed import MAGIC, Unpacked, kind_of
from connector.sources.reading import DamagedError

QUIET_SECONDS = 1.0

STANDARD_INPUT = "-"


class Raw(Protocol):
    """The bytes of an input as they are written, unpacked.

    `position` is how far it was read, in the bytes that `size` counts.
    """

    size: int | None
    position: int

    def read(self) -> bytes | None:
        """Return the next bytes: b"" at the end, None when a live input was quiet for a second.

        Raise `DamagedError` where packed data breaks off, or the operating system fails to read.
        """

    def close(self) -> None:
        """Close the input."""


class RawFile:
    """The bytes of a file, unpacked if they are packed. `size` is None for a named pipe."""

    def __init__(self, path: str, packed: str, block_bytes: int) -> None:
        """`packed`: how the file is packed by its name, "" if it does not say so."""
        self._file = open_file(path)
        status = os.fstat(self._file.fileno())
        self.size: int | None = status.st_size if stat.S_ISREG(status.st_mode) else None
        self.position = 0
        self._block_bytes = block_bytes
        self._stream = io.BufferedReader(self._file)
        # A pipe gives what has come, without waiting for a full block.
        self._read = self._stream.read1 if self.size is None else self._stream.read
        self._unpacked: Unpacked | None = None
        try:
            kind = self._kind(packed)
            if kind:
                self._unpacked = Unpacked(self._stream, kind)
        except BaseException as error:
            self.close()
            if isinstance(error, OSError):
                raise SourceError(_why_unreadable(error)) from None
            raise

    def _kind(self, packed: str) -> str:
        """Return how the file is packed; only a regular file is asked for its first bytes."""
        if not self.size:
            return packed

        kind = kind_of(self._stream.peek()[:4])
        if packed and kind != packed and self.size >= len(MAGIC[packed]):
            name = "gzip" if packed == ".gz" else "zstd"
            raise SourceError(
                f"not {name} data although its name ends in {packed}; rename or compress it"
            )
        return kind or packed

    def read(self) -> bytes:
        """Return the next bytes, as `Raw.read` does."""
        try:
            if self._unpacked:
                block = self._unpacked.read(self._block_bytes)
            else:
                block = self._read(self._block_bytes)
        except OSError as error:
            raise DamagedError(_why_unreadable(error)) from None

        # How far a packed file was read is not how much was taken out of it.
        self.position = self._stream.tell() if self.size else self.position + len(block)
        return block

    def close(self) -> None:
        """Close the file."""
        self._stream.close()


def open_file(path: str) -> io.FileIO:
    """Open a file. Raise SourceError."""
    try:
        return io.FileIO(path)
    except FileNotFoundError:
        message = "file not found; check the path"
    except IsADirectoryError:
        message = "is a directory; name a file in it"
    except PermissionError:
        message = "permission denied; make the file readable for this user"
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", "invalid name")
        message = f"cannot be opened ({reason}); check the path"
    raise SourceError(message)


def _why_unreadable(error: OSError) -> str:
    return f"cannot be read ({error.strerror}); try again"


class RawStandardInput:
    """The bytes of standard input, as soon as they come; of packed ones, once a block is there."""

    def __init__(self, block_bytes: int) -> None:
        self.size: int | None = None
        self._stream = standard_input()
        self._block_bytes = block_bytes
        self._selectable = _is_selectable(self._stream)
        self._unpacked: Unpacked | None = None
        self._is_begun = False
        self.position = 0

    def read(self) -> bytes | None:
        """Return the next bytes, as `Raw.read` does."""
        try:
            if self._selectable and not self._unpacked:
                ready, _, _ = select.select([self._stream], [], [], QUIET_SECONDS)
                if not ready:
                    return None
            if not self._is_begun:
                self._begin()
            if self._unpacked:
                block = self._unpacked.read(self._block_bytes)
            else:
                # At most one read: never waits for a full block.
                block = self._stream.read1(self._block_bytes)
        except OSError as error:
            raise DamagedError(_why_unreadable(error)) from None

        self.position += len(block)
        return block

    def _begin(self) -> None:
        self._is_begun = True
        # A stream that a program has put in its place may not let its beginning be seen.
        kind = kind_of(self._stream.peek(4)[:4]) if hasattr(self._stream, "peek") else ""
        if kind:
            self._unpacked = Unpacked(self._stream, kind)

    def close(self) -> None:
        """Leave it open: the caller owns it."""


def standard_input() -> io.BufferedReader:
    """Return standard input. Raise SourceError when there is none."""
    stream = getattr(sys.stdin, "buffer", None)
    if stream is None:
        raise SourceError("not available; name a file instead of -")
    return cast(io.BufferedReader, stream)


def _is_selectable(stream: io.BufferedReader) -> bool:
    """Return whether `select` can wait for the stream.

    It can for a real file descriptor, and not on Windows.
    """
    try:
        select.select([stream], [], [], 0)
    except (OSError, ValueError):
        return False
    return True


class WholeFile:
    """A file for a format that reads it by its path, and anywhere in it.

    Standard input is copied to a file that only this user can read, and that is removed at the end.
    """

    def __init__(self, path: str) -> None:
        self._copy: IO[bytes] | None = None
        if path == STANDARD_INPUT:
            stream = standard_input()
            self._copy = tempfile.NamedTemporaryFile()  # noqa: SIM115 - closed by `close`
            shutil.copyfileobj(stream, self._copy)
            self._copy.flush()
            path = self._copy.name
        else:
            open_file(path).close()

        self.path = path
        self.size: int | None = Path(path).stat().st_size
        self.position = 0
        self.taken = 0
        self.before = 0

    def close(self) -> None:
        """Remove the copy."""
        if self._copy:
            self._copy.close()

"""A file that is not there until all of it is.

Until then it has another name beside it. Only its owner can read it.
"""

from __future__ import annotations

import gzip
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, cast


class NewFile:
    """A file that gets its name when it is complete; packed with gzip if its name says so.

    Every method raises OSError.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        self._temporary = Path(name)
        self._file = os.fdopen(descriptor, "wb")
        self._packed: BinaryIO | None = None
        if path.suffix == ".gz":
            packed = gzip.GzipFile("", "wb", fileobj=self._file, mtime=0)
            self._packed = cast(BinaryIO, packed)

    def write(self, data: bytes) -> None:
        """Write bytes."""
        (self._packed or self._file).write(data)

    def complete(self, *, force: bool) -> None:
        """Give the file its name, once all of it is on the disk.

        Raise FileExistsError when another file has it, unless `force`.
        """
        if self._packed:
            self._packed.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        if force:
            self._temporary.replace(self._path)
        else:
            self._place()

    def _place(self) -> None:
        try:
            os.link(self._temporary, self._path)
        except FileExistsError:
            raise
        except OSError:  # not every file system has links
            if os.path.lexists(self._path):
                raise FileExistsError from None
            self._temporary.rename(self._path)

    def close(self) -> None:
        """Remove what is not complete."""
        with suppress(OSError):
            self._file.close()
        with suppress(OSError):
            self._temporary.unlink()

"""A state folder: its owner's alone, and delivered from by one process at a time.

The lock is the operating system's (flock), so it ends with its process, however that ends.
"""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

from connector.errors import ConnectorError

if sys.platform != "win32":
    import fcntl

LOCK = "lock"


class StateFolderError(ConnectorError):
    """A state folder cannot be used, or another process delivers from it."""


def make_folder(folder: Path) -> None:
    """Make a folder that belongs to its owner alone. Raise StateFolderError."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        mode = folder.stat().st_mode
    except (FileExistsError, NotADirectoryError):
        raise StateFolderError(f"{folder} is no folder; name a folder, or one to be made") from None
    except OSError as error:
        raise StateFolderError(f"{folder} cannot be used: {error.strerror}") from None
    if sys.platform != "win32" and mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise StateFolderError(
            f"{folder}: others can write to this folder; make it yours alone (chmod 700), "
            "or name a folder inside, which is made"
        )


class FolderLock:
    """Holds DIR/lock until `close`. Raise StateFolderError when another process holds it."""

    def __init__(self, folder: Path) -> None:
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)
        try:
            self._file: int | None = os.open(folder / LOCK, flags, 0o600)
        except OSError as error:
            raise StateFolderError(f"{folder / LOCK} cannot be used: {error.strerror}") from None
        if sys.platform == "win32":
            return  # there it is left to whoever starts processes
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.close()
            raise StateFolderError(
                f"{folder}: another process delivers from this folder; wait for its end, "
                "or name another folder"
            ) from None

    def close(self) -> None:
        """Let another process have the folder."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

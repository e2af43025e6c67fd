"""The lock of a state folder: one delivering process at a time.

It is the operating system's (flock), so it ends with its process, however that ends.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from connector.errors import ConnectorError

if sys.platform != "win32":
    import fcntl

FILE = "lock"


class FolderLockedError(ConnectorError):
    """Another process delivers from this folder."""


class FolderLock:
    """Holds DIR/lock until `close`. Raise FolderLockedError when another process holds it."""

    def __init__(self, folder: Path) -> None:
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)
        self._file: int | None = os.open(folder / FILE, flags, 0o600)
        if sys.platform == "win32":
            return  # there it is left to whoever starts processes
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.close()
            raise FolderLockedError(
                f"{folder}: another process delivers from this folder; wait for its end, "
                "or name another folder"
            ) from None

    def close(self) -> None:
        """Let another process have the folder."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

"""The folder of `--state`, while a process delivers from it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from connector._util.state_folder import FolderLock, make_folder
from connector.errors import Problem, StateError


@contextmanager
def delivering(folder: Path) -> Iterator[FolderLock]:
    """Make the folder, and hold its lock. Raise StateFolderError."""
    make_folder(folder)
    with closing(FolderLock(folder)) as lock:
        yield lock


def state_error(path: Path, message: str, hint: str = "") -> StateError:
    """Return the error (C247) of a state that cannot be used."""
    return StateError([Problem("C247", str(path), "", message, hint)])

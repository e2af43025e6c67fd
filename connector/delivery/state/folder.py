"""The folder of `--state`: its owner's alone, and one delivering process at a time."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from connector.errors import ConfigError, Problem

if sys.platform != "win32":
    import fcntl

_LOCK = "lock"


@contextmanager
def delivering(folder: Path) -> Iterator[None]:
    """Make the folder, and hold its lock. Raise ConfigError: C247, C251 when it is held."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise state_error(folder, f"cannot be used: {error.strerror}") from None

    try:
        if sys.platform != "win32":
            # Not a file with a process id: the system gives it back when a process is killed.
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        message = "another process is delivering with this folder"
        hint = "wait until it has ended, or name another folder"
        raise ConfigError([Problem("C251", str(folder), "", message, hint)]) from None
    finally:
        os.close(handle)


def state_error(path: Path, message: str, hint: str = "") -> ConfigError:
    """Return the error (C247) of a state that cannot be used."""
    return ConfigError([Problem("C247", str(path), "", message, hint)])

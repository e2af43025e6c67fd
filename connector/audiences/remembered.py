"""What `--state DIR` holds of audiences: the ids that names had at earlier runs.

DIR/audiences.json belongs to its owner alone, as DIR does when it is made here; what a folder that
is there allows is left to its owner. Whoever reads the file sees the old one or the new one, and
processes with one folder take turns.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

from connector._util.replace_file import replace_file
from connector.connection.audience_names import Wanted
from connector.connection.model import Connection
from connector.connection.store import OTHERS
from connector.errors import ConfigError, Problem

if sys.platform != "win32":
    import fcntl

_FILE = "audiences.json"
_VERSION = 1

_Entry = dict[str, Any]


class Remembered:
    """The ids that audiences of a connection had at earlier runs."""

    def __init__(self, folder: Path, connection: Connection) -> None:
        self._folder = folder
        self._path = folder / _FILE
        # another account, or a sandbox, has other audiences
        self._account = {
            "destination": connection.destination.id,
            "base_url": connection.base_url,
            "settings": dict(connection.settings),
        }

    def prepare(self) -> None:
        """Make the folder, and see that it can be used. Raise ConfigError (C247)."""
        self._check_folder()
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise self._error(self._folder, f"cannot be used: {error.strerror}") from None
        if not os.access(self._folder, os.W_OK | os.X_OK):
            raise self._error(self._folder, "cannot be written to")
        self.check()

    def check(self) -> None:
        """Raise ConfigError (C247) when what is there cannot be read."""
        self._check_folder()
        self._read()

    def _check_folder(self) -> None:
        if self._folder.exists() and not self._folder.is_dir():
            hint = f"name a folder: {_FILE} is written into it"
            raise self._error(self._folder, "is no folder", hint)

    def find(self, wanted: Wanted) -> str | None:
        """Return the id of an audience, None when it is not remembered. Raise ConfigError."""
        for entry in self._read():
            if self._is(entry, wanted):
                return str(entry["id"])
        return None

    def keep(self, wanted: Wanted, own: str) -> None:
        """Remember an id. Call it while the folder is locked. Raise ConfigError (C247)."""
        entries = [entry for entry in self._read() if not self._is(entry, wanted)]
        entry = {
            **self._account,
            "parameter": wanted.parameter,
            "key": wanted.key,
            "name": wanted.name,
            "id": own,
        }
        document = {"version": _VERSION, "audiences": [*entries, entry]}
        try:
            replace_file(self._path, orjson.dumps(document, option=orjson.OPT_INDENT_2))
        except OSError as error:
            raise self._error(self._path, f"cannot be written: {error.strerror}") from None

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Wait for other processes with this folder, and let them wait. Raise ConfigError."""
        if sys.platform == "win32":
            yield  # there it is left to the vendor that one name is one audience
            return
        try:
            folder = os.open(self._folder, os.O_RDONLY)
        except OSError as error:
            raise self._error(self._folder, f"cannot be used: {error.strerror}") from None
        try:
            # the folder itself, so that there is no further file
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)

    def _is(self, entry: _Entry, wanted: Wanted) -> bool:
        same_account = all(entry[name] == value for name, value in self._account.items())
        return same_account and (entry["parameter"], entry["key"]) == (wanted.parameter, wanted.key)

    def _read(self) -> list[_Entry]:
        try:
            with self._path.open("rb") as file:
                mode = os.fstat(file.fileno()).st_mode
                content = file.read()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise self._error(self._path, f"cannot be read: {error.strerror}") from None
        if sys.platform != "win32" and mode & OTHERS:
            hint = f"take the rights away: chmod go= {self._path}"
            raise self._error(self._path, "can be read or changed by others", hint)
        try:
            return _entries(orjson.loads(content))
        except (ValueError, KeyError, TypeError):
            message = f"is not what 'connector send --state' writes in version {_VERSION}"
            hint = "restore it from a copy; without it, names with the time get new audiences"
            raise self._error(self._path, message, hint) from None

    def _error(self, path: Path, message: str, hint: str = "") -> ConfigError:
        return ConfigError([Problem("C247", str(path), "", message, hint)])


def _entries(document: Any) -> list[_Entry]:
    """Return the entries of a file. Raise ValueError, KeyError or TypeError for another file."""
    if document["version"] != _VERSION:
        raise ValueError
    entries: list[_Entry] = document["audiences"]
    for entry in entries:
        for name in ("destination", "base_url", "settings", "parameter", "key", "name", "id"):
            entry[name]
    return entries

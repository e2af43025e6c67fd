"""A file that says whom the sandbox holds, for scripts: digests, never an identifier.

Each request is answered after the file says what it changed. Requests that arrive together share
one writing.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import tempfile
import threading
from collections.abc import Iterable
from pathlib import Path

import orjson

from connector.sandbox.reading import Identifier
from connector.sandbox.vendor import Holding, Vendor

_DIGEST = re.compile(r"[0-9a-fA-F]{64}")


class HoldingsFile:
    """The file; may be used from several threads."""

    def __init__(self, vendor: Vendor, path: Path) -> None:
        """Write to `path`, with all that the vendor holds. Raise OSError when that fails."""
        # a link stays a link
        self._path = path.resolve()
        if self._path.exists() and not self._path.is_file():
            raise OSError(errno.EEXIST, "it is no regular file")
        self._vendor = vendor
        self._lock = threading.Lock()
        self._audiences: dict[str, bytes] = {}
        self._written = 0
        self._replace()

    def update(self) -> None:
        """Write what was changed until now, unless the file says it already. Raise OSError."""
        changes = self._vendor.changes
        with self._lock:
            # who waited for the writing of another thread may find its own change written
            if changes <= self._written:
                return
            changes, changed = self._vendor.changed_since(self._written)
            for holding, members in changed:
                self._audiences[holding.path] = _audience(holding, members)
            self._replace()
            self._written = changes

    def _replace(self) -> None:
        """Replace the file as a whole: whoever reads it sees the old one or the new one."""
        handle, name = tempfile.mkstemp(dir=self._path.parent, prefix=f".{self._path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:  # only its owner can read it
                file.write(self._content())
            Path(name).replace(self._path)
        except OSError:
            Path(name).unlink()
            raise

    def _content(self) -> bytes:
        audiences = []
        for path in sorted(self._audiences):
            audiences.append(orjson.dumps(path) + b": " + self._audiences[path])
        return b'{"audiences": {' + b",\n".join(audiences) + b"}}\n"


def _audience(holding: Holding, members: Iterable[Iterable[Identifier]]) -> bytes:
    """Return what the file says of one audience, with the members in the order of their JSON."""
    written = []
    for member in members:
        written.append(orjson.dumps(_digests(member)))
    written.sort()

    people = f'"people": {holding.people}, "identifiers": {holding.identifiers}'
    return f'{{{people}, "members": ['.encode() + b",\n".join(written) + b"]}"


def _digests(member: Iterable[Identifier]) -> dict[str, list[str]]:
    """Return a person's digests by wire key, both sorted."""
    digests: dict[str, list[str]] = {}
    for wire, value in sorted(member):
        digests.setdefault(wire, []).append(digest_of(value))
    for values in digests.values():
        values.sort()
    return digests


def digest_of(value: str) -> str:
    """Return a value that is a SHA-256 digest as it is, and the digest of any other."""
    if _DIGEST.fullmatch(value):
        return value
    return hashlib.sha256(value.encode()).hexdigest()

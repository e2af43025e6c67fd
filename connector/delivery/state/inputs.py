"""Which input a run has: enough of its files to tell whether they are still the same ones."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

#: So many bytes of a file's beginning and of its end are compared.
COMPARED_BYTES = 64 * 1024


class InputFile(NamedTuple):
    """A file as it was: its name, its size in bytes, and the digests of its beginning and end."""

    path: str
    size: int
    head: str
    tail: str


class Input(NamedTuple):
    """The files of a run, in order, and how many events of them are read at most."""

    files: tuple[InputFile, ...]
    limit: int | None

    def difference(self, before: Input) -> str:
        """Return why this is not what was there before, "" if it is, or has more at its end.

        Only the last file may have grown, and further files may follow it.
        """
        if self.limit != before.limit:
            return "it has another --limit"
        if len(self.files) < len(before.files):
            return f"it has {len(self.files)} files instead of {len(before.files)}"

        for index, old in enumerate(before.files):
            new = self.files[index]
            is_last = index == len(before.files) - 1
            if new.path != old.path:
                return f"it was {old.path}, and is {new.path} now"
            if new.size < old.size:
                return f"{new.path} is smaller than it was"
            if new.size > old.size and not is_last:
                return f"{new.path} has grown, but other files come behind it"
            if not _begins_with(old):
                return f"{new.path} holds something else than before"
        return ""

    def as_json(self) -> dict[str, Any]:
        """Return the same for JSON."""
        return {"files": [file._asdict() for file in self.files], "limit": self.limit}

    @classmethod
    def from_json(cls, document: Any) -> Input:
        """Return what `as_json` returned."""
        files = [InputFile(**file) for file in document["files"]]
        return cls(tuple(files), document["limit"])


def describe(paths: Sequence[str], limit: int | None) -> Input:
    """Return the input that these files are. Raise OSError."""
    return Input(tuple(map(_describe, paths)), limit)


def _describe(path: str) -> InputFile:
    size = Path(path).stat().st_size
    head, tail = _digests(path, size)
    return InputFile(str(Path(path).resolve()), size, head, tail)


def _begins_with(old: InputFile) -> bool:
    """Return whether a file still begins with what it was."""
    return _digests(old.path, old.size) == (old.head, old.tail)


def _digests(path: str, size: int) -> tuple[str, str]:
    """Return the digests of the beginning and the end of a file's first `size` bytes."""
    length = min(size, COMPARED_BYTES)
    with Path(path).open("rb") as file:
        head = file.read(length)
        file.seek(size - length)
        tail = file.read(length)
    return hashlib.sha256(head).hexdigest(), hashlib.sha256(tail).hexdigest()

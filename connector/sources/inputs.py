"""Which files are meant: files, folders and patterns, in name order."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from pathlib import Path

from connector.errors import SourceError
from connector.model import InputOptions
from connector.sources.formats import has_form
from connector.sources.opening import STANDARD_INPUT

# Files that whoever writes a folder keeps for itself, such as _SUCCESS.
_HIDDEN = (".", "_")


def expand(paths: Sequence[str], options: InputOptions) -> list[str]:
    """Return the files of paths, folders and patterns.

    What is named comes in the order in which it is named; what a folder or a pattern holds, in the
    order of the names. Raise SourceError, with the path.
    """
    if paths.count(STANDARD_INPUT) > 1:
        raise SourceError("standard input: is named twice; name - once")

    files: list[str] = []
    for path in paths:
        if path != STANDARD_INPUT and os.path.isdir(path):  # noqa: PTH112 - any text, also NUL
            files += _files_in(path, options)
        elif glob.has_magic(path) and not os.path.exists(path):  # noqa: PTH110
            files += _matches(path)
        else:
            files.append(path)
    return files


def _files_in(folder: str, options: InputOptions) -> list[str]:
    """Return the files directly in a folder."""
    try:
        entries = sorted(os.listdir(folder))  # noqa: PTH208 - names, not paths
    except OSError as error:
        raise SourceError(f"{folder}: cannot be listed ({error.strerror})") from None

    files = []
    for name in entries:
        path = os.path.join(folder, name)  # noqa: PTH118
        if name.startswith(_HIDDEN) or Path(path).is_dir():
            continue
        if not has_form(path, options):
            raise SourceError(
                f"{path}: nothing says its format; name the files by a pattern,"
                f" such as '{os.path.join(folder, '*.csv')}', or the format"  # noqa: PTH118
                " with --input-format"
            )
        files.append(path)
    if not files:
        raise SourceError(f"{folder}: the folder holds no file; name another")
    return files


def _matches(pattern: str) -> list[str]:
    files = []
    for path in sorted(glob.glob(pattern, recursive=True)):  # noqa: PTH207 - the pattern is a text
        if not Path(path).is_dir():
            files.append(path)
    if not files:
        raise SourceError(f"{pattern}: no file matches this pattern; check it")
    return files

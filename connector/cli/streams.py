"""The three standard streams, whatever the command was started with.

Standard error never decides what becomes of a run: a failure to write there is ignored, whereas
one of standard output ends the command with a message. A stream that is closed has its place taken,
so that no file that is opened later gets its number, and with it what is meant for the stream.
"""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING

from connector.errors import OutputError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer

_ENCODING = "utf-8"  # whatever the locale: JSON is UTF-8


def prepare_streams() -> None:
    """Make the streams fit to be used. Only for the process of a command."""
    # In this order: what is opened gets the lowest number that is free.
    for number in range(3):
        if not _is_open(number):
            # To write into it fails, as it would in a closed one.
            os.open(os.devnull, os.O_WRONLY if number == 0 else os.O_RDONLY)

    if sys.stdout is None or sys.stdout is sys.__stdout__:
        sys.stdout = _text(_Telling(1, "w", closefd=False), "strict")
    if sys.stderr is None or sys.stderr is sys.__stderr__:
        sys.stderr = _text(_Forgiving(2, "w", closefd=False), "backslashreplace")


def silence_output() -> None:
    """Let what is still to be written on standard output go nowhere, without a word at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def _text(raw: io.FileIO, errors: str) -> io.TextIOWrapper:
    by_line = raw.isatty() or isinstance(raw, _Forgiving)
    return io.TextIOWrapper(io.BufferedWriter(raw), _ENCODING, errors, line_buffering=by_line)


class _Telling(io.FileIO):
    """A stream that says what is wrong with it."""

    def write(self, data: Buffer, /) -> int | None:  # type: ignore[override]
        """Write bytes. Raise OutputError, and BrokenPipeError when the reader is gone."""
        try:
            return super().write(data)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise OutputError(f"cannot write the output: {error.strerror}") from None


class _Forgiving(io.FileIO):
    """A stream that takes what cannot be written."""

    def write(self, data: Buffer, /) -> int:
        """Write bytes, or nothing; return how many there were."""
        try:
            written = super().write(data)
        except OSError:
            written = None
        return memoryview(data).nbytes if written is None else written

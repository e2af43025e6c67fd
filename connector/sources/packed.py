"""Unpack gzip and zstd.

A packed input is known by its name or by its first bytes.
"""

from __future__ import annotations

import gzip
import zlib
from typing import IO, Any, Protocol

from connector.errors import SourceError
from connector.sources.reading import DamagedError

#: The endings of packed files, and the bytes they start with.
MAGIC = {".gz": b"\x1f\x8b", ".zst": b"\x28\xb5\x2f\xfd"}

#: The endings of packed files, in words.
NAMES = {".gz": "gzip", ".zst": "zstd"}
# A few bytes of zstd may stand for 32,768 times as many: 16 MiB at most, so that memory stays flat.
_ZSTD_PIECE = 512


class _Unpacker(Protocol):
    def read1(self, size: int, /) -> bytes:
        """Return some bytes, b"" at the end. Raise an error of `_DAMAGE`."""


class _DamagedZstdError(Exception):
    """The zstd data is no zstd data from here on."""


_DAMAGE = (EOFError, gzip.BadGzipFile, zlib.error, _DamagedZstdError)


def kind_of(beginning: bytes) -> str:
    """Return the ending of files that start so, "" for bytes that are not packed."""
    for ending, magic in MAGIC.items():
        if beginning.startswith(magic):
            return ending
    return ""


class Unpacked:
    """The unpacked bytes of a stream. `kind` is its ending, a key of `MAGIC`."""

    def __init__(self, stream: IO[bytes], kind: str) -> None:
        """Raise SourceError when a library is missing."""
        self._kind = NAMES[kind]
        self._damaged = False
        self._unpacker: _Unpacker
        if kind == ".gz":
            self._unpacker = gzip.GzipFile(fileobj=stream, mode="rb")
        else:
            self._unpacker = _Zstd(stream)

    def read(self, size: int) -> bytes:
        """Return a block of bytes, or less at the end and where the data is damaged.

        So what is before the damage counts. Raise DamagedError.
        """
        parts = []
        missing = size
        try:
            while missing > 0 and not self._damaged:
                part = self._unpacker.read1(missing)
                if not part:
                    break
                parts.append(part)
                missing -= len(part)
        except _DAMAGE:
            self._damaged = True

        if self._damaged and not parts:
            raise DamagedError(f"the {self._kind} data is cut off or damaged")
        return b"".join(parts)


class _Zstd:
    """Unpacks zstd, frame after frame."""

    def __init__(self, stream: IO[bytes]) -> None:
        try:
            import zstandard
        except ImportError:
            raise SourceError(
                "zstd needs the extra 'zstd', which is not installed;"
                " run pip install '.[zstd]' in the connector's folder, or unpack the file"
            ) from None

        self._library = zstandard
        self._stream = stream
        self._frame: Any = None
        self._packed = b""
        self._unpacked = memoryview(b"")

    def read1(self, size: int, /) -> bytes:
        """Return some bytes, b"" at the end. Raise EOFError or _DamagedZstdError."""
        while not self._unpacked:
            piece = self._packed or self._stream.read(_ZSTD_PIECE)
            if piece:
                self._unpack(piece)
            elif self._frame is None:
                return b""
            else:
                raise EOFError

        part = self._unpacked[:size]
        self._unpacked = self._unpacked[size:]
        return bytes(part)

    def _unpack(self, piece: bytes) -> None:
        if self._frame is None:
            self._frame = self._library.ZstdDecompressor().decompressobj()
        try:
            self._unpacked = memoryview(self._frame.decompress(piece))
        except self._library.ZstdError:
            raise _DamagedZstdError from None

        self._packed = b""
        if self._frame.eof:
            self._packed = self._frame.unused_data
            self._frame = None

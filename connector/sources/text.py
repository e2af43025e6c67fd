"""The text of an input: UTF-8 without a byte order mark, whatever encoding it is written in.

A byte order mark decides; else the encoding that was asked for; else it is UTF-8. Bytes that are no
text become bytes that are no UTF-8, so that only the row or the line that holds them is refused.
"""

from __future__ import annotations

import codecs
from bisect import bisect_left

from connector.errors import SourceError
from connector.sources.opening import Raw
from connector.sources.prepared import BEGINNING
from connector.sources.reading import DamagedError

_MARKS = {b"\xef\xbb\xbf": "utf-8", b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}
# Half a surrogate pair: no encoder but one that is told to makes bytes of it.
_NO_TEXT = "\udc80"
_ERRORS = "connector-no-text"

# What can be read once only is not asked beforehand whether it is such a file.
_PREPARED = (
    "this is a file of prepared records, which cannot be read from a pipe; "
    "name it as a file: connector send CONNECTION FILE"
)

codecs.register_error(_ERRORS, lambda error: (_NO_TEXT, error.end))  # type: ignore[attr-defined]


class Text:
    """An open input as its reader sees it (`connector.sources.reading.Input`)."""

    def __init__(self, raw: Raw, encoding: str | None) -> None:
        """`encoding`: the name of a text encoding that Python knows."""
        self._raw = raw
        self._encoding = encoding or "utf-8"
        self._decoder: codecs.IncrementalDecoder | None = None
        self._head: bytes | None = b""  # what has come before the first block was given
        self.taken = 0
        self.before = 0
        self.doubts: list[str] = []
        self._looks_for_utf8 = False
        self._blank = 0
        # The positions of the blank rows behind the last event that was given.
        self._blank_ahead: list[int] = []

    @property
    def blank(self) -> int:
        """How many blank rows and lines there were so far."""
        return self._blank + len(self._blank_ahead)

    def count_blank(self, position: int) -> None:
        """Count a blank row or line, as `Input` says."""
        self._blank_ahead.append(position)

    def gave(self, position: int, *, is_last: bool) -> None:
        """Note the position of an event that was given: whether the input is ended behind it.

        Blank rows come with the block that holds them. Those behind the last event do not count.
        """
        before = bisect_left(self._blank_ahead, position)
        self._blank += before
        del self._blank_ahead[: None if is_last else before]

    def __call__(self) -> bytes | None:
        """Return the next bytes, as `Input` says. Raise SourceError for prepared records."""
        block = self._raw.read() if self._head is None else self._first_block(self._head)
        if block and self._looks_for_utf8 and not block.isascii():
            self._looks_for_utf8 = False
            if _is_utf8(block):
                self.doubts.append(
                    f"looks like UTF-8, but was read as {self._encoding}; leave out --encoding,"
                    " or 'encoding' under the connection's 'input'"
                )
        if block is not None and self._decoder is not None:
            block = self._recode(block, self._decoder)
        self.taken += len(block or b"")
        return block

    def _first_block(self, text: bytes) -> bytes | None:
        """Return what comes first behind the mark; see which encoding it is."""
        while True:
            block = self._raw.read()
            if block is None:
                self._head = text
                return None
            text += block
            if not block or not (_may_become_mark(text) or self._may_be_prepared(text)):
                break

        if self._raw.size is None and text.startswith(BEGINNING):
            if self.before:
                raise DamagedError(_PREPARED)  # what came before is sent already
            raise SourceError(_PREPARED)
        for mark, encoding in _MARKS.items():
            if text.startswith(mark):
                self._encoding = encoding
                text = text.removeprefix(mark)
        if codecs.lookup(self._encoding).name not in ("utf-8", "utf-8-sig"):
            self._decoder = codecs.getincrementaldecoder(self._encoding)(_ERRORS)
            self._looks_for_utf8 = _has_one_byte(self._encoding)
        self._head = None
        # A mark alone is not the end of the input.
        return text or self._raw.read()

    def _may_be_prepared(self, text: bytes) -> bool:
        """Return whether more bytes could make a text the beginning of prepared records."""
        is_short = len(text) < len(BEGINNING)
        return self._raw.size is None and is_short and BEGINNING.startswith(text)

    def _recode(self, block: bytes, decoder: codecs.IncrementalDecoder) -> bytes | None:
        while True:
            text = decoder.decode(block, final=not block)
            if text or not block:
                return text.encode("utf-8", "surrogatepass")
            # The block ended inside its only character.
            following = self._raw.read()
            if following is None:
                return None
            block = following


def _may_become_mark(text: bytes) -> bool:
    """Return whether more bytes could make a mark of a text."""
    return any(len(text) < len(mark) and mark.startswith(text) for mark in _MARKS)


def _has_one_byte(encoding: str) -> bool:
    """Return whether an encoding has one byte for each character."""
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    return all(len(decoder.decode(bytes([byte]))) == 1 for byte in range(0x20, 0x100))


def _is_utf8(block: bytes) -> bool:
    """Return whether a block, which may end inside a character, is UTF-8."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(block)
    except UnicodeDecodeError:
        return False
    return True

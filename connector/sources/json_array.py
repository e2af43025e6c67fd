"""JSON: one array of objects, element by element."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import cast

from connector.model import Event, Unreadable
from connector.sources.reading import (
    BLANK,
    MAX_EVENT_BYTES,
    TOO_LONG_REASON,
    Chunk,
    DamagedError,
    Entry,
    Input,
    in_chunks,
    parse_event,
)

_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_BRACKET = re.compile(rb"[\[\]{}]")
_CLOSING = {b"[": b"]", b"{": b"}"}


def _skip_to(stops: bytes) -> re.Pattern[bytes]:
    """Match what lies before the next of `stops` outside a string.

    The stop itself is matched too if it has come yet. Nothing in the pattern backtracks, so time
    and memory stay flat whatever the input.
    """
    plain = b'[^"' + stops + b"]*+"
    pattern = plain + b"(?:" + _STRING.pattern + plain + b")*+([" + stops + b"]?)"
    return re.compile(pattern, re.DOTALL)


_TO_BRACKET = _skip_to(rb"\[\]{}")
_TO_BRACKET_OR_COMMA = _skip_to(rb"\[\]{},")

# Where an object most often ends. Trying there first is three times as fast as counting brackets.
_OBJECT = re.compile(rb"[ \t\r\n]*+\{")
_SEAM = re.compile(rb"\}[ \t\r\n]*+,(?=[ \t\r\n]*+\{)")
_GUESS_BYTES = 4 * 1024


def json_array(read: Input) -> Iterator[Chunk]:
    """Yield the events of one JSON array of objects; positions are element numbers.

    An element that is no event is `Unreadable`, and reading goes on as long as its brackets and
    quotes say where it ends. Where they do not, one `Unreadable` says so and reading ends: where
    the next element starts could only be guessed.
    """
    return in_chunks(_elements(read), read)


def _elements(read: Input) -> Iterator[Entry]:
    position = read.before + 1
    try:
        array = _Array(read)
        if array.is_missing:
            return

        while True:
            event = array.guess(position)
            if event is not None:
                yield event
                position += 1
                continue

            element, is_last = array.cut()
            is_empty_array = is_last and position == read.before + 1 and not element
            if not is_empty_array:
                entry = parse_event(element, position)
                if type(entry) is Unreadable and not _is_closed(element):
                    yield DamagedError(entry.reason).at(position)
                    return
                yield entry
                position += 1

            if is_last:
                array.close()
                return
    except DamagedError as damage:
        yield damage.at(position)


class _Array:
    """The text of an array as it comes. `is_missing`: the input is empty."""

    def __init__(self, read: Input) -> None:
        """Read up to the opening bracket."""
        self._read = read
        self._text = self._beginning()
        self._start = 1  # of what is still to be cut
        self.is_missing = not self._text

    def _beginning(self) -> bytes:
        """Return what has come of the input from the opening bracket on.

        Return b"" when the input is empty.
        """
        text = b""
        for block in iter(self._read, b""):
            text = (block or b"").lstrip(BLANK)
            if text:
                break

        if text and not text.startswith(b"["):
            raise DamagedError(
                "not a JSON array: .json is one array of objects, .ndjson one object on each line"
            )
        return text

    def guess(self, position: int) -> Event | None:
        """Cut the next element where an object most often ends.

        Return None, cutting nothing, if that is not an event.
        """
        text = self._text
        start = self._start
        if not _OBJECT.match(text, start):
            return None
        seam = _SEAM.search(text, start, start + _GUESS_BYTES)
        if seam is None:
            return None

        # An object ends in one place only: if this is one, the guess was right.
        entry = parse_event(text[start : seam.end() - 1], position)
        if type(entry) is not Event:
            return None
        self._start = seam.end()
        return entry

    def cut(self) -> tuple[bytes, bool]:
        """Cut the next element, whatever it is, and the comma or bracket behind it.

        Return the element, and whether it is the last.
        """
        position = self._start
        depth = 0
        while True:
            pattern = _TO_BRACKET if depth else _TO_BRACKET_OR_COMMA
            match = cast(re.Match[bytes], pattern.match(self._text, position))
            position = match.end()
            stop = match[1]
            if not stop:
                position -= self._start
                self._read_on()
            elif stop in b"[{":
                depth += 1
            elif depth:
                depth -= 1
            else:
                break

        element = self._text[self._start : position - 1]
        if len(element) > MAX_EVENT_BYTES:
            raise DamagedError(TOO_LONG_REASON)
        self._start = position
        return element.strip(BLANK), stop != b","

    def _read_on(self) -> None:
        """Drop what was cut, and read the next block."""
        rest = self._text[self._start :]
        if len(rest) > MAX_EVENT_BYTES:
            raise DamagedError(TOO_LONG_REASON)
        block = self._read()
        while block is None:
            block = self._read()
        if not block:
            raise DamagedError("unexpected end of input: the array is not closed")
        self._text = rest + block
        self._start = 0

    def close(self) -> None:
        """Read to the end of the input. Raise `DamagedError` when the array is not all of it."""
        end = self._start - 1
        if not self._text.startswith(b"]", end):
            raise DamagedError("invalid JSON: unmatched closing brace")

        after: bytes | None = self._text[end + 1 :] or None
        while after != b"":
            if after and after.strip(BLANK):
                break
            after = self._read()
        if after:
            raise DamagedError("unexpected content after the end of the array")


def _is_closed(text: bytes) -> bool:
    """Return whether each bracket of an unreadable text is closed by its own kind."""
    expected = []
    for bracket in _BRACKET.findall(_STRING.sub(b"", text)):
        if bracket in _CLOSING:
            expected.append(_CLOSING[bracket])
        elif not expected or expected.pop() != bracket:
            return False
    return True

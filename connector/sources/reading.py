"""What the formats share: an open input, one JSON text, lines, chunks.

A reader takes an `Input` and yields chunks: at most 1,000 entries and about 1 MiB of input each.
Anything else than an event becomes an `Unreadable` and reading goes on; no reason quotes the input.
Memory stays flat: nothing longer than `MAX_EVENT_BYTES` is ever kept. JSON means the same in all
formats: integers exact, other numbers float, and what JSON does not know (NaN, half a surrogate
pair, a comma too many) refused. Readers see UTF-8, whatever the input is written in.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Protocol

import orjson

from connector._util.depth import is_deeper
from connector.model import Event, Unreadable

MAX_EVENT_BYTES = 4 * 1024 * 1024
#: How deep the objects and lists of an event may be nested. Python compares and prints nested
#: values by recursion, and its own limit depends on its version and on the caller.
MAX_DEPTH = 128
CHUNK_ENTRIES = 1_000
CHUNK_BYTES = 1024 * 1024

Entry = Event | Unreadable
Chunk = list[Entry]

BLANK = b" \t\r\n"

#: Stands for a line that is too long to keep. Distinguished from a real line by identity.
TOO_LONG = b"a line too long to keep"
TOO_LONG_REASON = f"longer than {MAX_EVENT_BYTES:,} bytes"
TOO_DEEP_REASON = f"nested more than {MAX_DEPTH} levels deep"
#: How the reason begins for text that does not parse as JSON.
INVALID_JSON = "invalid JSON"
NOT_TEXT = (
    "not text in the expected encoding, which is UTF-8"
    " unless --encoding or the connection's 'input' names another"
)

_JSON_TYPES = {
    list: "an array",
    str: "text",
    int: "a number",
    float: "a number",
    bool: "true or false",
    type(None): "null",
}

# An integer of more than 64 bits has 20 digits, or a sign and 19. orjson makes it a float.
_DIGITS_AS_ZEROS = bytes(0x30 if byte in b"-0123456789" else 0x20 for byte in range(256))
_LONG_NUMBER = b"0" * 20
_FIFTH_OF_LONG_NUMBER = b"0" * 4


class Input(Protocol):
    """An open input: its bytes in UTF-8, without a byte order mark."""

    #: How many bytes it gave so far.
    taken: int
    #: The last position of the inputs before it: its own positions go on from there.
    before: int
    #: What looks like a mistake in it, though it can be read, in words.
    doubts: list[str]

    def __call__(self) -> bytes | None:
        """Return the next bytes: b"" at the end, None when a live input was quiet for a second.

        Raise `DamagedError` where the input breaks off.
        """

    def count_blank(self, position: int) -> None:
        """Count a blank row or line, which is no event."""


class InputFile(Protocol):
    """A file that its format reads by itself, by its path; so it sets `position` and `taken`."""

    path: str
    #: The size on disk in bytes.
    size: int | None
    #: How far the file was read, in the bytes that `size` counts.
    position: int
    taken: int
    before: int


class DamagedError(Exception):
    """The input breaks off here: what was read before counts, what follows cannot be read."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def at(self, position: int) -> Unreadable:
        """Return the entry that says where reading ended, and why."""
        return Unreadable(position, f"{self.reason}; the rest of this input was not read")


def parse_event(text: bytes, position: int) -> Entry:
    """Return the event of one JSON text, or why it is unreadable."""
    if text is TOO_LONG:
        return Unreadable(position, TOO_LONG_REASON)

    try:
        data = orjson.loads(text)
        if may_be_deep(text) and is_deeper(data, MAX_DEPTH):
            return Unreadable(position, TOO_DEEP_REASON)
        if type(data) is dict and has_long_number(text):
            data = json.loads(text.decode())
    except orjson.JSONDecodeError as error:
        return Unreadable(position, _explain(text, error))

    if type(data) is not dict:
        return Unreadable(position, f"expected a JSON object, got {_JSON_TYPES[type(data)]}")
    return Event(position, data)


def may_be_deep(text: bytes) -> bool:
    """Return whether a text has brackets enough to be nested more than `MAX_DEPTH` levels deep."""
    if len(text) <= 2 * MAX_DEPTH:
        return False
    return text.count(b"{") + text.count(b"[") > MAX_DEPTH


def has_long_number(text: bytes) -> bool:
    """Return whether a text may hold an integer of more than 64 bits.

    The test is for 20 digits or signs in a row.
    """
    # Of 20 bytes in a row 4 stand at multiples of 5. To look at those first takes a fifth of the
    # time.
    every_fifth = text[::5].translate(_DIGITS_AS_ZEROS)
    if _FIFTH_OF_LONG_NUMBER not in every_fifth:
        return False
    return _LONG_NUMBER in text.translate(_DIGITS_AS_ZEROS)


def _explain(text: bytes, error: orjson.JSONDecodeError) -> str:
    try:
        text.decode()
    except UnicodeDecodeError:
        return NOT_TEXT
    return f"{INVALID_JSON}: {error.msg} at character {error.pos + 1}"


def in_chunks(entries: Iterator[Entry], counted: Input | InputFile) -> Iterator[Chunk]:
    """Gather entries into chunks."""
    chunk: Chunk = []
    taken_before = counted.taken
    for entry in entries:
        chunk.append(entry)
        full = len(chunk) == CHUNK_ENTRIES
        if full or counted.taken - taken_before >= CHUNK_BYTES:
            yield chunk
            chunk = []
            taken_before = counted.taken
    if chunk:
        yield chunk


def split_lines(read: Input) -> Iterator[tuple[list[bytes], bytes]]:
    """Yield the lines of each block and the text they were cut from.

    There are no lines when a live input was quiet. `TOO_LONG` replaces a line that is not kept.
    """
    carry = b""  # the beginning of a line that goes on in the next block
    skipping = False  # inside a line that is too long
    for block in iter(read, b""):
        if block is None:
            yield [], b""
            continue

        text = block if skipping else carry + block
        lines = text.split(b"\n")
        carry = lines.pop()

        if lines:
            if skipping or len(lines[0]) > MAX_EVENT_BYTES:
                lines[0] = TOO_LONG
            skipping = False
            yield lines, text

        if skipping or len(carry) > MAX_EVENT_BYTES:
            carry = b""
            skipping = True

    # The last line need not end with a line break.
    if skipping:
        yield [TOO_LONG], b""
    elif carry:
        yield [carry], carry

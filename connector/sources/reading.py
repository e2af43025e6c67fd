"""From bytes to events: NDJSON and JSON arrays, and the tools that the tables share.

A reader takes an `Input` and yields chunks: at most 1,000 entries and about 1 MiB of input each. What is no event
becomes an `Unreadable` and reading goes on; no reason quotes the input. Memory stays flat: nothing longer than
`MAX_EVENT_BYTES` is ever kept. JSON means the same in all formats: UTF-8, integers exact, other numbers float, and
what JSON does not know (NaN, half a surrogate pair, a comma too many) refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from typing import Any, NoReturn, Protocol, cast

import orjson

from connector.model import Event, Unreadable

MAX_EVENT_BYTES = 4 * 1024 * 1024
CHUNK_ENTRIES = 1_000
CHUNK_BYTES = 1024 * 1024

Entry = Event | Unreadable
Chunk = list[Entry]

_BOM = b"\xef\xbb\xbf"
_BLANK = b" \t\r\n"
TOO_LONG = b"a line too long to keep"  # stands for such a line; told from a real one by identity
TOO_LONG_REASON = f"longer than {MAX_EVENT_BYTES:,} bytes"
_KINDS = {
    list: "an array",
    str: "text",
    int: "a number",
    float: "a number",
    bool: "true or false",
    type(None): "null",
}
_DICT = {dict}

# An integer of more than 64 bits has 20 digits or a sign and 19; orjson would make it a float.
_DIGITS = bytes(0x30 if byte in b"-0123456789" else 0x20 for byte in range(256))
_LONG_NUMBER = b"0" * 20

# `Event(*pair)` without a Python frame for each event.
_event = cast(Callable[[tuple[int, Any]], Event], partial(tuple.__new__, Event))


class Counted(Protocol):
    """Something that gives bytes."""

    @property
    def taken(self) -> int:
        """How many bytes it gave so far."""


class Input(Counted, Protocol):
    """An open input."""

    def __call__(self) -> bytes | None:
        """Return the next bytes: b"" at the end, None when a live input was quiet for a second.

        Raises `DamagedError` where the input breaks off.
        """


class DamagedError(Exception):
    """The input breaks off here: what was read before counts, what follows cannot be read."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


# One JSON text -------------------------------------------------------------------------------------------------------


def parse(text: bytes, position: int) -> Entry:
    """Return the event of one JSON text, or why it is none."""
    if text is TOO_LONG:
        return Unreadable(position, TOO_LONG_REASON)
    try:
        data = orjson.loads(text)
        if type(data) is not dict:
            return Unreadable(position, f"an event is a JSON object, this is {_KINDS[type(data)]}")
        return Event(position, json.loads(text.decode()) if _has_long_number(text) else data)
    except orjson.JSONDecodeError as error:
        return Unreadable(position, _why(text, error))
    except RecursionError:
        return Unreadable(position, "not JSON: nested too deeply")


def _has_long_number(text: bytes) -> bool:
    return _LONG_NUMBER in text.translate(_DIGITS)


def _why(text: bytes, error: orjson.JSONDecodeError) -> str:
    try:
        text.decode()
    except UnicodeDecodeError as bad:
        return f"not UTF-8 text: byte {bad.start + 1}"
    return f"not JSON: {error.msg} at character {error.pos + 1}"


def in_chunks(entries: Iterator[Entry], read: Counted) -> Iterator[Chunk]:
    """Gather entries into chunks."""
    chunk: Chunk = []
    begun = read.taken
    for entry in entries:
        chunk.append(entry)
        if len(chunk) == CHUNK_ENTRIES or read.taken - begun >= CHUNK_BYTES:
            yield chunk
            chunk, begun = [], read.taken
    if chunk:
        yield chunk


# NDJSON --------------------------------------------------------------------------------------------------------------


def ndjson(read: Input) -> Iterator[Chunk]:
    """Yield the events of NDJSON; positions are line numbers, blank lines counted. Quiet seconds give empty chunks."""
    position = 1
    try:
        for lines, text in split_lines(read):
            if not lines:
                yield []
                continue
            long_numbers = _has_long_number(text)
            for start in range(0, len(lines), CHUNK_ENTRIES):
                part = lines[start : start + CHUNK_ENTRIES]
                if entries := _parse_lines(part, position, long_numbers):
                    yield entries
                position += len(part)
    except DamagedError as damage:
        yield [Unreadable(position, damage.reason)]


def _parse_lines(lines: list[bytes], first: int, long_numbers: bool) -> Chunk:
    """Return the entries of lines, counted from `first`. This is the hot path: all or nothing, without a loop."""
    if not long_numbers:
        try:
            values = list(map(orjson.loads, lines))
        except orjson.JSONDecodeError:
            values = [None]
        if _DICT.issuperset(map(type, values)):
            return list(map(_event, zip(count(first), values, strict=False)))
    return [
        parse(line, position)
        for position, line in enumerate(lines, first)
        if line and not line.isspace()
    ]


def split_lines(read: Input) -> Iterator[tuple[list[bytes], bytes]]:
    """Yield the lines of each block and the text they were cut from; no lines when a live input was quiet.

    `TOO_LONG` stands for a line that was not kept.
    """
    carry, skipping, bom = b"", False, _BOM
    for block in iter(read, b""):
        if block is None:
            yield [], b""
            continue
        text = block if skipping else carry + block
        lines = text.split(b"\n")
        carry = lines.pop()
        if lines:
            lines[0] = (
                TOO_LONG
                if skipping or len(lines[0]) > MAX_EVENT_BYTES
                else lines[0].removeprefix(bom)
            )
            skipping, bom = False, b""
            yield lines, text
        if skipping or len(carry) > MAX_EVENT_BYTES:
            carry, skipping = b"", True
    if skipping:
        yield [TOO_LONG], b""
    elif carry := carry.removeprefix(bom):
        yield [carry], carry


# JSON array ----------------------------------------------------------------------------------------------------------


def _skip_to(stops: bytes) -> re.Pattern[bytes]:
    """Match what lies before the next of `stops` outside a string, and that one too if it has come yet.

    Nothing in the pattern backtracks, so time and memory stay flat whatever the input.
    """
    plain, string = b'[^"' + stops + b"]*+", rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
    return re.compile(plain + b"(?:" + string + plain + b")*+([" + stops + b"]?)", re.DOTALL)


_TO_BRACKET = _skip_to(rb"\[\]{}")
_TO_BRACKET_OR_COMMA = _skip_to(rb"\[\]{},")

# Where an object most often ends. Trying there first is three times as fast as counting brackets.
_OBJECT = re.compile(rb"[ \t\r\n]*+\{")
_SEAM = re.compile(rb"\}[ \t\r\n]*+,(?=[ \t\r\n]*+\{)")
_GUESS_BYTES = 4 * 1024


def json_array(read: Input) -> Iterator[Chunk]:
    """Yield the events of one JSON array of objects; positions are element numbers.

    An element that is JSON but no event is `Unreadable` and reading goes on. Where the text stops being a JSON array
    one `Unreadable` says so and reading ends: where the next element starts could only be guessed.
    """
    return in_chunks(_elements(read), read)


def _elements(read: Input) -> Iterator[Entry]:
    position = 1
    try:
        text, start = _open_array(read), 1
        while text:
            seam = _OBJECT.match(text, start) and _SEAM.search(text, start, start + _GUESS_BYTES)
            entry = parse(text[start : seam.end() - 1], position) if seam else None
            if seam and type(entry) is Event:
                yield entry  # an object ends in one place only, so the guess was right
                start, position = seam.end(), position + 1
                continue
            element, text, start = _cut(read, text, start)
            last = not text.startswith(b",", start - 1)
            if element or position > 1 or not last:
                yield (entry := parse(element, position))
                if type(entry) is Unreadable and not _is_json(element):
                    return
                position += 1
            if last:
                return _close_array(read, text[start - 1 :])
    except DamagedError as damage:
        yield Unreadable(position, damage.reason)


def _cut(read: Input, text: bytes, start: int) -> tuple[bytes, bytes, int]:
    """Return the element at `start`, whatever it is, its text and the place behind the comma or bracket after it."""
    at, depth = start, 0
    while True:
        found = cast(
            re.Match[bytes], (_TO_BRACKET if depth else _TO_BRACKET_OR_COMMA).match(text, at)
        )
        at, stop = found.end(), found[1]
        if not stop:
            text, at, start = text[start:] + _more(read, len(text) - start), at - start, 0
        elif stop in b"[{":
            depth += 1
        elif depth:
            depth -= 1
        elif at - 1 - start > MAX_EVENT_BYTES:
            raise DamagedError(TOO_LONG_REASON)
        else:
            return text[start : at - 1].strip(_BLANK), text, at


def _open_array(read: Input) -> bytes:
    """Return what has come of the input from the opening bracket on, or b"" when the input is empty."""
    text = b""
    for block in iter(read, b""):
        text += cast(bytes, block)
        if not _BOM.startswith(text):
            text = text.removeprefix(_BOM).lstrip(_BLANK)
            if text:
                break
    text = text.removeprefix(_BOM)
    if text and not text.startswith(b"["):
        raise DamagedError(
            "not a JSON array: .json is one array of objects, .ndjson one object on each line"
        )
    return text


def _more(read: Input, kept: int) -> bytes:
    if kept > MAX_EVENT_BYTES:
        raise DamagedError(TOO_LONG_REASON)
    block = read()
    if not block:
        raise DamagedError("the array is not closed: the input ends in the middle")
    return block


def _close_array(read: Input, rest: bytes) -> None:
    """Read to the end of the input, which begins with the closing bracket, or raise `DamagedError`."""
    if not rest.startswith(b"]"):
        raise DamagedError("not JSON: a brace closes what no brace has opened")
    after: bytes | None = rest[1:]
    while after is not None and not after.strip(_BLANK):
        after = read() or None
    if after:
        raise DamagedError("there is more after the end of the array")


def _is_json(text: bytes) -> bool:
    """Tell whether a text that is no event is JSON at least in form, so that it surely ends where it seems to."""
    try:
        json.loads(
            text.decode(errors="replace"), parse_int=len, parse_float=len, parse_constant=_refuse
        )
    except (ValueError, RecursionError):
        return False
    return True


def _refuse(_: str) -> NoReturn:
    raise ValueError("JSON knows neither NaN nor Infinity")

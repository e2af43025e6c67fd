"""JSON for people.

As `json.dumps` with indent, but numbers stay digit for digit, duplicate keys are kept, and long
lists are cut.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

# Lists of so many entries are never cut: the line that says so would be no shorter.
_MAX_UNCUT = 3

# Starts what has to stand in the result without quotes. A lone surrogate, which no UTF-8 text can
# hold.
_UNQUOTED = "\ud800"
_QUOTED_UNQUOTED = re.compile(f'"{_UNQUOTED}([^"]*)"')


class _Members(dict[str, Any]):
    """An object whose `items` are those of the text, duplicate keys included."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self._pairs = pairs

    def items(self) -> Any:
        return self._pairs


def pretty(body: bytes, *, cut: bool = False) -> str:
    """Return a JSON text indented by two spaces.

    Keys stay in their order and numbers digit for digit.

    `cut`: of longer lists only the first and the last entry are shown.
    """
    value = _parse(body)
    if cut:
        value = _cut_lists(value)
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return _QUOTED_UNQUOTED.sub(r"\1", text)


def texts(body: bytes) -> set[str]:
    """Return every text of a JSON body: keys, texts, and numbers as text."""
    return set(_texts(_parse(body))) if body else set()


def as_written(value: Any) -> str:
    """Return a value as a person writes it: text as it is, anything else as JSON."""
    if isinstance(value, str) and value:
        return value
    return json.dumps(value, ensure_ascii=False)


def _parse(body: bytes) -> Any:
    return json.loads(body, parse_int=_number, parse_float=_number, object_pairs_hook=_Members)


def _number(digits: str) -> str:
    return _UNQUOTED + digits


def _cut_lists(value: Any) -> Any:
    if isinstance(value, _Members):
        members = []
        for key, member in value.items():
            members.append((key, _cut_lists(member)))
        return _Members(members)

    if isinstance(value, list):
        if len(value) > _MAX_UNCUT:
            note = f"{_UNQUOTED}… {len(value) - 2} more …"
            value = [value[0], note, value[-1]]
        return [_cut_lists(entry) for entry in value]
    return value


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, _Members):
        for key, member in value.items():
            yield key
            yield from _texts(member)
    elif isinstance(value, list):
        for entry in value:
            yield from _texts(entry)
    elif isinstance(value, str):
        yield value.removeprefix(_UNQUOTED)

"""JSON for people: indented, keys in their order, numbers digit for digit."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, NamedTuple

# Lists of so many entries are never cut: the line that says so would be no shorter.
_UNCUT = 3


class _Number(str):
    """A number, digit for digit as it was sent."""

    __slots__ = ()


class _Members(NamedTuple):
    """An object's members in the order in which they were sent; a key may stand twice."""

    pairs: list[tuple[str, Any]]


def _parse(body: bytes) -> Any:
    return json.loads(body, parse_int=_Number, parse_float=_Number, object_pairs_hook=_Members)


def pretty(body: bytes, *, cut: bool = False) -> str:
    """Return a JSON text indented by two spaces, with its keys in their order and its numbers digit for digit.

    `cut`: of longer lists only the first and the last entry are shown.
    """
    return _pretty(_parse(body), "", cut=cut)


def _pretty(value: Any, margin: str, *, cut: bool) -> str:
    inner = margin + "  "
    if isinstance(value, _Members):
        parts = [
            f"{_quoted(key)}: {_pretty(member, inner, cut=cut)}" for key, member in value.pairs
        ]
        return _enclosed("{", parts, "}", margin)
    if isinstance(value, list):
        return _enclosed("[", _entries(value, inner, cut=cut), "]", margin)
    return value if isinstance(value, _Number) else _quoted(value)


def _entries(value: list[Any], margin: str, *, cut: bool) -> list[str]:
    if not cut or len(value) <= _UNCUT:
        return [_pretty(entry, margin, cut=cut) for entry in value]
    first, last = _pretty(value[0], margin, cut=cut), _pretty(value[-1], margin, cut=cut)
    return [first, f"… {len(value) - 2} more …", last]


def _enclosed(start: str, parts: list[str], end: str, margin: str) -> str:
    inner = f"\n{margin}  "
    return f"{start}{inner}{f',{inner}'.join(parts)}\n{margin}{end}" if parts else start + end


def _quoted(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def texts(body: bytes) -> set[str]:
    """Return every text of a JSON body: keys, texts, and numbers as text."""
    return set(_texts(_parse(body))) if body else set()


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, _Members):
        for key, member in value.pairs:
            yield key
            yield from _texts(member)
    elif isinstance(value, list):
        for entry in value:
            yield from _texts(entry)
    elif isinstance(value, str):
        yield value


def as_written(value: Any) -> str:
    """Return a value as a person writes it: text as it is, anything else as JSON."""
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)

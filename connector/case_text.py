"""The text of a snapshot: every request as it was sent, what came back, and the outcome of each event."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, NamedTuple
from urllib.parse import unquote

from . import times
from .values import Bisect, Delivered, Outcome, Rejected, Request, Retry

#: A body of more bytes is shown by its digest, with lists cut down to their first and last entry.
LONG_BODY = 16 * 1024
# Lists of so many entries are never cut: the line that says so would be no shorter.
_UNCUT = 3
# So many events that end alike are still shown one by one.
_UNFOLDED = 50
_DASH = "\N{EN DASH}"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt of a request: what was sent, and what came of it.

    `status` is None when there was no answer. `waited`: seconds since the attempt before. `again`: it has the bytes of
    the attempt before.
    """

    request: Request
    groups: int
    records: int
    status: int | None
    outcome: Outcome
    waited: float = 0.0
    again: bool = False


@dataclass(frozen=True, slots=True)
class Ending:
    """How one event ended: its id, and (route, outcome in words) for each route that took it."""

    event_id: str
    routes: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Story:
    """All that a snapshot tells. `dropped`: identifier values by (parameter, reason); `counts` by name."""

    attempts: Sequence[Attempt] = field(repr=False)
    endings: Sequence[Ending]
    dropped: Mapping[tuple[str, str], int]
    counts: Mapping[str, int]

    def text(self) -> str:
        """Return the snapshot."""
        return "\n\n".join([*map(_attempt, self.attempts), self.ending()]) + "\n"

    def texts(self) -> set[str]:
        """Return every text of the snapshot, and those of bodies in full."""
        found = {self.ending()}
        for attempt in self.attempts:
            request = attempt.request
            found |= {request.url, unquote(request.url), *request.headers.values(), _words(attempt.outcome)}
        return found.union(*(texts(body) for body in {attempt.request.body for attempt in self.attempts}))

    def ending(self) -> str:
        """Return the part that follows the requests."""
        parts = ["\n".join(["outcomes:", *_endings(self.endings)])]
        if self.dropped:
            lines = [f"{name} {reason}: {count}" for (name, reason), count in sorted(self.dropped.items())]
            parts.append("\n".join(["dropped identifiers:", *lines]))
        parts.append("counts: " + ", ".join(f"{name} {count}" for name, count in self.counts.items()))
        return "\n\n".join(parts)


def _attempt(attempt: Attempt) -> str:
    lines = [f"({attempt.waited:g} s later)"] if attempt.waited else []
    lines.append(f"{attempt.request.method} {attempt.request.url}")
    if attempt.again:
        lines.append("(the same headers and body again)")
    else:
        lines += [f"{name}: {value}" for name, value in sorted(attempt.request.headers.items())]
        lines += ["", *_body(attempt), ""]
    status = "no answer," if attempt.status is None else str(attempt.status)
    return "\n".join([*lines, f"→ {status} {_words(attempt.outcome)}"])


def _body(attempt: Attempt) -> Iterator[str]:
    body = attempt.request.body
    if len(body) > LONG_BODY:
        yield f"bytes: {len(body)}"
        yield f"sha256: {hashlib.sha256(body).hexdigest()}"
        yield f"groups: {attempt.groups}"
        yield f"records: {attempt.records}"
        yield ""
    if body:
        yield pretty(body, cut=len(body) > LONG_BODY)


def _words(outcome: Outcome) -> str:
    if isinstance(outcome, Delivered):
        return "delivered"
    if isinstance(outcome, Retry):
        moment = f", not before {times.from_epoch(outcome.at)}" if outcome.at is not None else ""
        return f"retry: {outcome.reason}{moment}"
    if isinstance(outcome, Rejected):
        return f"rejected {outcome.code}: {outcome.reason}{_places(outcome)}"
    return f"{'bisect' if isinstance(outcome, Bisect) else 'stop'} {outcome.code}: {outcome.reason}"


def _places(outcome: Rejected) -> str:
    if outcome.positions is None:
        return ""
    return f" ({outcome.by} {', '.join(str(position + 1) for position in outcome.positions)})"


def _endings(endings: Sequence[Ending]) -> Iterator[str]:
    for routes, alike in groupby(endings, key=lambda ending: ending.routes):
        ids = [ending.event_id for ending in alike]
        whom = [f"event {event_id}" for event_id in ids]
        if len(ids) > _UNFOLDED:
            whom = [f"events {ids[0]}{_DASH}{ids[-1]}"]
        for who in whom:
            yield from (f"{who}, {route}: {outcome}" for route, outcome in routes)
            if not routes:
                yield f"{who}: skipped"


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
        parts = [f"{_quoted(key)}: {_pretty(member, inner, cut=cut)}" for key, member in value.pairs]
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

"""The text of a snapshot: every request as it was sent, what came back, and the outcome of each event."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from urllib.parse import unquote

from connector._util import times
from connector._util.pretty_json import pretty, texts
from connector.model import Bisect, Delivered, Outcome, Rejected, Request, Retry

#: A body of more bytes is shown by its digest, with lists cut down to their first and last entry.
LONG_BODY = 16 * 1024
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
            found |= {
                request.url,
                unquote(request.url),
                *request.headers.values(),
                _words(attempt.outcome),
            }
        return found.union(
            *(texts(body) for body in {attempt.request.body for attempt in self.attempts})
        )

    def ending(self) -> str:
        """Return the part that follows the requests."""
        parts = ["\n".join(["outcomes:", *_endings(self.endings)])]
        if self.dropped:
            lines = [
                f"{name} {reason}: {count}"
                for (name, reason), count in sorted(self.dropped.items())
            ]
            parts.append("\n".join(["dropped identifiers:", *lines]))
        parts.append(
            "counts: " + ", ".join(f"{name} {count}" for name, count in self.counts.items())
        )
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
        moment = (
            f", not before {times.from_epoch(outcome.not_before)}"
            if outcome.not_before is not None
            else ""
        )
        return f"retry: {outcome.reason}{moment}"
    if isinstance(outcome, Rejected):
        return f"rejected {outcome.code}: {outcome.reason}{_places(outcome)}"
    return f"{'bisect' if isinstance(outcome, Bisect) else 'stop'} {outcome.code}: {outcome.reason}"


def _places(outcome: Rejected) -> str:
    named = outcome.named
    if named is None:
        return ""
    parts = [
        f"{kind}{_named(named.by, places)}"
        for kind, places in (("", named.refused), ("later ", named.later))
        if places
    ]
    return f" ({', '.join(parts)})" + ("; the rest is delivered" if named.rest_delivered else "")


def _named(by: str, places: Sequence[int | str]) -> str:
    """Return whom an answer names: positions from 1; of values only how many, for they are identifiers."""
    if by == "value":
        return f"{len(places)} value{'s' if len(places) > 1 else ''}"
    return f"{by} {', '.join(str(int(place) + 1) for place in places)}"


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

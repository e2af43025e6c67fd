"""The text of a snapshot.

It has every request as it was sent, what came back, and the outcome of each event.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from urllib.parse import unquote

from connector._util import times
from connector._util.pretty_json import pretty, texts
from connector.model import Bisect, Delivered, NamedRecords, Outcome, Rejected, Request, Retry
from connector.pipeline.audiences import readable

#: A longer body, in bytes, is shown by its digest, with lists cut to their first and last entry.
LONG_BODY = 16 * 1024
# Up to this many consecutive events with one result are listed one by one.
_LISTED_ALIKE = 50
_EN_DASH = "\N{EN DASH}"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt of a request: what was sent, and what came of it."""

    request: Request
    groups: int
    records: int
    #: None when there was no answer.
    status: int | None
    outcome: Outcome
    #: Seconds since the attempt before.
    waited: float = 0.0
    #: Whether it has the bytes of the attempt before.
    again: bool = False


@dataclass(frozen=True, slots=True)
class EventResult:
    """What became of one event: (route, outcome in words) for each route that matched it.

    With `each`, the route of a pair has the element behind it; `taken_by` has the names alone.
    """

    event_id: str
    routes: tuple[tuple[str, str], ...]
    taken_by: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Transcript:
    """All that a snapshot says."""

    attempts: Sequence[Attempt] = field(repr=False)
    results: Sequence[EventResult]
    #: How many identifier values were dropped, by (parameter, reason).
    dropped: Mapping[tuple[str, str], int]
    counts: Mapping[str, int]
    #: What a run does that a case cannot show.
    notes: Sequence[str] = ()

    def text(self) -> str:
        """Return the snapshot."""
        parts = [_attempt_text(attempt) for attempt in self.attempts]
        return "\n\n".join([*parts, self._results_text()]) + "\n"

    def texts(self) -> set[str]:
        """Return every text of the snapshot, with the texts of bodies in full."""
        collected = {self._results_text()}
        bodies = set()
        for attempt in self.attempts:
            request = attempt.request
            collected |= {request.url, unquote(request.url), *request.headers.values()}
            collected.add(_outcome_text(attempt.outcome))
            bodies.add(request.body)
        for body in bodies:
            collected |= texts(body)
        return collected

    def _results_text(self) -> str:
        """Return the part that follows the requests."""
        parts = ["\n".join(["outcomes:", *_result_lines(self.results)])]

        if self.dropped:
            lines = ["dropped identifiers:"]
            for (parameter, reason), count in sorted(self.dropped.items()):
                lines.append(f"{parameter} {reason}: {count}")
            parts.append("\n".join(lines))

        if self.notes:
            parts.append("\n".join(["notes:", *self.notes]))

        counts = [f"{name} {count}" for name, count in self.counts.items()]
        parts.append("counts: " + ", ".join(counts))
        return "\n\n".join(parts)


def _attempt_text(attempt: Attempt) -> str:
    request = attempt.request
    lines = []
    if attempt.waited:
        lines.append(f"({attempt.waited:g} s later)")
    lines.append(f"{request.method} {readable(request.url)}")

    if attempt.again:
        lines.append("(the same headers and body again)")
    else:
        for name, value in sorted(request.headers.items()):
            lines.append(f"{name}: {value}")
        lines += ["", *_body_lines(attempt), ""]

    status = "no answer," if attempt.status is None else str(attempt.status)
    lines.append(f"→ {status} {_outcome_text(attempt.outcome)}")
    return "\n".join(lines)


def _body_lines(attempt: Attempt) -> Iterator[str]:
    body = attempt.request.body
    is_long = len(body) > LONG_BODY
    if is_long:
        yield f"bytes: {len(body)}"
        yield f"sha256: {hashlib.sha256(body).hexdigest()}"
        yield f"groups: {attempt.groups}"
        yield f"records: {attempt.records}"
        yield ""
    if body:
        yield pretty(body, cut=is_long)


def _outcome_text(outcome: Outcome) -> str:
    match outcome:
        case Delivered():
            return "delivered"
        case Retry(reason, not_before):
            moment = "" if not_before is None else f", not before {times.from_epoch(not_before)}"
            return f"retry: {reason}{moment}"
        case Rejected(code, reason, named):
            return f"rejected {code}: {reason}{_named_text(named)}"
        case Bisect(code, reason):
            return f"bisect {code}: {reason}"
        case _:
            return f"stop {outcome.code}: {outcome.reason}"


def _named_text(named: NamedRecords | None) -> str:
    """Return whom an answer names."""
    if named is None:
        return ""
    parts = []
    if named.refused:
        parts.append(_positions_text(named.by, named.refused))
    if named.later:
        parts.append("later " + _positions_text(named.by, named.later))
    rest = "; the rest is delivered" if named.rest_delivered else ""
    return f" ({', '.join(parts)}){rest}"


def _positions_text(by: str, positions: Sequence[int | str]) -> str:
    """Return positions counted from 1; of values only how many, for they are identifiers."""
    if by == "value":
        return f"{len(positions)} value{'s' if len(positions) > 1 else ''}"
    numbers = [str(int(position) + 1) for position in positions]
    return f"{by} {', '.join(numbers)}"


def _result_lines(results: Sequence[EventResult]) -> Iterator[str]:
    for routes, alike in groupby(results, key=lambda result: result.routes):
        ids = [result.event_id for result in alike]
        if len(ids) > _LISTED_ALIKE:
            subjects = [f"events {ids[0]}{_EN_DASH}{ids[-1]}"]
        else:
            subjects = [f"event {event_id}" for event_id in ids]

        for subject in subjects:
            for route, outcome in routes:
                yield f"{subject}, {route}: {outcome}"
            if not routes:
                yield f"{subject}: skipped"

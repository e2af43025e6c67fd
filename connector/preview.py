"""Preview: the requests that a run would send, and the events that it would not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from .batching import Batch
from .delivery import SystemClock
from .pipeline import Pipeline
from .run import Chunk, batches
from .tally import Tally


class _Listing(Tally):
    """A tally that keeps the lines of its report."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[dict[str, Any]] = []

    def _note(self, outcome: str, event_id: str, route: str, code: str, reason: str) -> None:
        self.lines.append(
            {"event": event_id, "route": route or None, "outcome": outcome, "code": code, "reason": reason}
        )


def preview_lines(pipeline: Pipeline, chunks: Iterable[Chunk], *, json: bool) -> Iterator[tuple[bool, str]]:
    """Yield (whether nothing was rejected so far, a text to print): requests, refused events, at the end the counts."""
    tally, clock = _Listing(), SystemClock()
    number = 0
    for batch in batches(pipeline, chunks, tally, clock):
        yield from _refusals(tally, json=json)
        number += 1
        request = _request(pipeline, batch, clock.now())
        yield tally.summary.complete, orjson.dumps(request).decode() if json else _text(number, request)
    yield from _refusals(tally, json=json)
    s = tally.summary
    counts = f"{s.events:,} events, {s.records:,} records, {number:,} requests"
    counts += f", {s.superseded:,} superseded, {s.rejected:,} rejected, {s.skipped:,} skipped"
    yield s.complete, "" if json else counts


def _refusals(tally: _Listing, *, json: bool) -> Iterator[tuple[bool, str]]:
    for line in tally.lines:
        route = f" (route {line['route']})" if line["route"] else ""
        text = f"# event {line['event']}{route}: {line['outcome']}, {line['code']}: {line['reason']}\n"
        yield False, orjson.dumps(line).decode() if json else text
    tally.lines.clear()


def _request(pipeline: Pipeline, batch: Batch, now: float) -> dict[str, Any]:
    request = pipeline.build(batch, now)
    return {
        "method": request.method,
        "url": request.url,
        "headers": dict(request.headers),
        "records": len(batch.records),
        "bytes": len(request.body),
        "body": orjson.Fragment(request.body),
    }


def _text(number: int, request: dict[str, Any]) -> str:
    head = f"# request {number}: {request['records']:,} records, {request['bytes']:,} bytes"
    headers = "".join(f"{name}: {value}\n" for name, value in request["headers"].items())
    body = orjson.dumps(orjson.loads(orjson.dumps(request["body"])), option=orjson.OPT_INDENT_2).decode()
    return f"{head}\n{request['method']} {request['url']}\n{headers}\n{body}\n"

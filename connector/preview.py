"""Preview: the requests that a run would send, and the events that it would not."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import orjson

from .batching import Batch
from .case_text import pretty
from .delivery import SystemClock
from .pipeline import Pipeline
from .run import Chunk, batches
from .tally import Tally


class _Listing(Tally):
    """A tally that keeps the lines of its report."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[dict[str, Any]] = []

    def _note(self, outcome: str, event_id: int | str, route: str, code: str, reason: str) -> None:
        self.lines.append(
            {"event": str(event_id), "route": route or None, "outcome": outcome, "code": code, "reason": reason}
        )


def show_preview(pipeline: Pipeline, chunks: Iterable[Chunk], show: Callable[[str], None], *, json: bool) -> bool:
    """Show requests, refused events and at the end the counts; return whether no event was refused.

    With `json` each is one object on a line of its own, and there are no counts.
    """
    tally, clock = _Listing(), SystemClock()
    number = 0
    for number, batch in enumerate(batches(pipeline, chunks, tally, clock), 1):
        _show_refusals(tally, show, json=json)
        request = _request(pipeline, batch, clock.now())
        show(orjson.dumps(request).decode() if json else _text(number, request))
    _show_refusals(tally, show, json=json)
    s = tally.summary
    if not json:
        counts = f"{s.events:,} events, {s.records:,} records, {number:,} requests"
        show(f"{counts}, {s.superseded:,} superseded, {s.rejected:,} rejected, {s.skipped:,} skipped")
    return s.complete


def _show_refusals(tally: _Listing, show: Callable[[str], None], *, json: bool) -> None:
    for line in tally.lines:
        route = f" (route {line['route']})" if line["route"] else ""
        text = f"# event {line['event']}{route}: {line['outcome']}, {line['code']}: {line['reason']}\n"
        show(orjson.dumps(line).decode() if json else text)
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
    return f"{head}\n{request['method']} {request['url']}\n{headers}\n{pretty(request['body'].contents)}\n"

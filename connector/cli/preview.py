"""Preview: the requests that a run would send, and the events that it would not."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import orjson

from connector._util.pretty_json import pretty
from connector.delivery.courier import SystemClock
from connector.delivery.ledger import Tally
from connector.delivery.run import Chunk, batches
from connector.model import Request
from connector.pipeline.batching import Batch
from connector.pipeline.identifiers import dropped_lines
from connector.pipeline.pipeline import Pipeline


class _Listing(Tally):
    """A tally that keeps the lines of its report."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[dict[str, Any]] = []

    def _note(self, outcome: str, event_id: int | str, route: str, code: str, reason: str) -> None:
        self.lines.append(
            {
                "event": str(event_id),
                "route": route or None,
                "outcome": outcome,
                "code": code,
                "reason": reason,
            }
        )


def show_preview(
    pipeline: Pipeline, chunks: Iterable[Chunk], show: Callable[[str], None], *, json: bool
) -> bool:
    """Show requests, refused events and at the end the counts; return whether no event was refused.

    With `json` each is one object on a line of its own, and there are no counts.
    """
    tally, clock = _Listing(), SystemClock()
    number = 0
    for number, batch in enumerate(batches(pipeline, chunks, tally, clock), 1):
        _show_refusals(tally, show, json=json)
        request = pipeline.build(batch, clock.now())
        show(_json(request, batch) if json else _text(request, batch, number))
    _show_refusals(tally, show, json=json)
    s = tally.summary
    if not json:
        counts = f"{s.events:,} events, {s.records:,} records, {number:,} requests"
        counts += f", {s.superseded:,} superseded, {s.rejected:,} rejected, {s.skipped:,} skipped"
        show("\n".join([counts, *dropped_lines(pipeline.dropped)]))
    return s.complete


def _show_refusals(tally: _Listing, show: Callable[[str], None], *, json: bool) -> None:
    for line in tally.lines:
        route = f" (route {line['route']})" if line["route"] else ""
        text = (
            f"# event {line['event']}{route}: {line['outcome']}, {line['code']}: {line['reason']}\n"
        )
        show(orjson.dumps(line).decode() if json else text)
    tally.lines.clear()


def _json(request: Request, batch: Batch) -> str:
    shown = {
        "method": request.method,
        "url": request.url,
        "headers": dict(request.headers),
        "records": len(batch.records),
        "bytes": len(request.body),
        "body": orjson.Fragment(request.body),
    }
    return orjson.dumps(shown).decode()


def _text(request: Request, batch: Batch, number: int) -> str:
    head = f"# request {number}: {len(batch.records):,} records, {len(request.body):,} bytes"
    headers = "".join(f"{name}: {value}\n" for name, value in request.headers.items())
    return f"{head}\n{request.method} {request.url}\n{headers}\n{pretty(request.body)}\n"

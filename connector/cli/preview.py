"""Preview: the requests that a run would send, and the events that it would not."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import orjson

from connector._util.pretty_json import pretty
from connector.delivery.clock import SystemClock
from connector.delivery.ledger import Ledger
from connector.delivery.run import Chunk, batches
from connector.model import Batch, Request
from connector.pipeline.dropped import dropped_lines
from connector.pipeline.pipeline import Pipeline


def show_preview(
    pipeline: Pipeline, chunks: Iterable[Chunk], show: Callable[[str], None], *, json: bool
) -> bool:
    """Show requests, refused events and at the end the counts; return whether no event was refused.

    With `json` each is one object on a line of its own, and there are no counts.
    """
    ledger, clock = Ledger(keep_failures=True), SystemClock()
    number = 0
    for number, batch in enumerate(batches(pipeline, chunks, ledger, clock), 1):
        _show_refusals(ledger, show, json=json)
        request = batch.endpoint.build(batch, clock.now())
        ledger.delivered(batch.records)  # nobody refuses anything in a preview
        show(_json(request, batch) if json else _text(request, batch, number))
    _show_refusals(ledger, show, json=json)
    s = ledger.counts
    if not json:
        counts = f"{s.events:,} events, {s.records:,} records, {number:,} requests"
        counts += f", {s.superseded:,} superseded, {s.rejected:,} rejected, {s.skipped:,} skipped"
        show("\n".join([counts, *dropped_lines(pipeline.dropped)]))
    return s.complete


def _show_refusals(ledger: Ledger, show: Callable[[str], None], *, json: bool) -> None:
    for failure in ledger.failures:
        route = f" (route {failure.route})" if failure.route else ""
        what = f"{failure.outcome}, {failure.code}: {failure.reason}"
        text = f"# event {failure.event}{route}: {what}\n"
        show(failure.line().decode().rstrip("\n") if json else text)
    ledger.failures.clear()


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

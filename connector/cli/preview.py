"""`connector preview`: the requests that a run would send, and the events that it would reject."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from connector.cli.options import (
    ConnectionArgument,
    DefinitionsOption,
    EventsArgument,
    Format,
    FormatOption,
    LimitOption,
    SetOption,
)
from connector.cli.output import on_one_line, say, say_raw

if TYPE_CHECKING:
    from connector.delivery.report import Failure
    from connector.library import Preview, PreviewedRequest


def preview(
    connection: ConnectionArgument,
    events: EventsArgument,
    limit: LimitOption = None,
    settings: SetOption = None,
    definitions: DefinitionsOption = None,
    form: FormatOption = Format.TEXT,
) -> None:
    """Print the exact requests; needs no network, no secrets."""
    from connector import library

    loaded = library.load_connection(
        connection, overrides=settings or (), definitions=definitions or ()
    )
    requests = library.preview(loaded, events, limit=limit)

    if form is Format.JSON:
        _print_json(requests)
    else:
        if loaded.name:
            say(f"# {on_one_line(loaded.name)}\n")
        _print_text(requests)
    raise typer.Exit(0 if requests.counts.complete else 1)


def _print_json(requests: Preview) -> None:
    """Print one object a line: requests, and before each one the events that failed meanwhile."""
    for request in requests:
        _print_failures_as_json(requests.failures)
        say_raw(_request_json(request))
    _print_failures_as_json(requests.failures)


def _print_failures_as_json(failures: list[Failure]) -> None:
    for failure in failures:
        say_raw(failure.line().decode().rstrip("\n"))
    failures.clear()


def _request_json(request: PreviewedRequest) -> str:
    import orjson

    line = {
        "method": request.method,
        "url": request.url,
        "headers": dict(request.headers),
        "records": request.records,
        "bytes": len(request.body),
        "body": orjson.Fragment(request.body),
    }
    return orjson.dumps(line).decode()


def _print_text(requests: Preview) -> None:
    """Print requests, and at the end the counts.

    Before each request come the events that failed meanwhile.
    """
    from connector.pipeline.dropped import dropped_lines

    for number, request in enumerate(requests, 1):
        _print_failures(requests.failures)
        say(_request_text(request, number))
    _print_failures(requests.failures)

    counts = requests.counts
    say(
        f"{counts.events:,} events, {counts.records:,} records, {counts.requests:,} requests, "
        f"{counts.superseded:,} superseded, {counts.rejected:,} rejected, "
        f"{counts.skipped:,} skipped"
    )
    for line in dropped_lines(requests.dropped):
        say(line)


def _print_failures(failures: list[Failure]) -> None:
    for failure in failures:
        # An event's id is whatever the event says: a line break in it must not look like a line of
        # ours.
        event = on_one_line(failure.event)
        if failure.item is not None:
            event += f", item {failure.item}"
        route = f" (route {on_one_line(failure.route)})" if failure.route else ""
        reason = on_one_line(failure.reason)
        say(f"# event {event}{route}: {failure.outcome}, {failure.code}: {reason}\n")
    failures.clear()


def _request_text(request: PreviewedRequest, number: int) -> str:
    from connector._util.pretty_json import pretty

    size = len(request.body)
    lines = [
        f"# request {number}: {request.records:,} records, {size:,} bytes",
        f"{request.method} {on_one_line(request.url)}",
    ]
    for name, text in request.headers.items():
        lines.append(f"{name}: {on_one_line(text)}")
    lines += ["", pretty(request.body), ""]
    return "\n".join(lines)

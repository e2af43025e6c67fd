"""`connector preview`: the requests that a run would send, and the events that it would reject."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from connector.cli.inputs import InputFlags, open_input
from connector.cli.options import (
    ConnectionArgument,
    DefinitionsOption,
    DelimiterOption,
    EncodingOption,
    EventsArgument,
    Format,
    FormatOption,
    InputFormatOption,
    LimitOption,
    QuoteOption,
    SetOption,
    StateOption,
    StrictOption,
)
from connector.cli.output import on_one_line, say, say_raw
from connector.cli.words import (
    blank_words,
    counted,
    exit_status,
    fill_json,
    fill_lines,
    place_of,
    warning_lines,
    warnings_of,
)

if TYPE_CHECKING:
    from connector.delivery.report import Failure
    from connector.errors import Problem
    from connector.library import Preview, PreviewedRequest


def preview(
    connection: ConnectionArgument,
    events: EventsArgument,
    limit: LimitOption = None,
    input_format: InputFormatOption = None,
    delimiter: DelimiterOption = None,
    encoding: EncodingOption = None,
    quote: QuoteOption = None,
    state: StateOption = None,
    strict: StrictOption = False,
    settings: SetOption = None,
    definitions: DefinitionsOption = None,
    form: FormatOption = Format.TEXT,
) -> None:
    """Print the exact requests; needs no network, no secrets."""
    from connector import library
    from connector.connection.load import connection_warnings

    flags = InputFlags(input_format, delimiter, encoding, quote)
    overrides = [*(settings or ()), *flags.overrides()]
    loaded = library.load_connection(connection, overrides=overrides, definitions=definitions or ())
    with open_input(loaded, events, flags, limit) as source:
        requests = library.preview(loaded, source, state=state)
        about = connection_warnings(loaded)
        if form is Format.JSON:
            warnings = _print_json(requests, about)
        else:
            _print_heading(loaded.name, loaded.description)
            warnings = _print_text(requests, about)
    complete = requests.counts.complete
    raise typer.Exit(exit_status(succeeded=complete, warnings=warnings, strict=strict))


def _print_json(requests: Preview, about: Sequence[Problem]) -> list[str]:
    """Print one object a line; return the warnings.

    Requests, before each one the events that failed meanwhile, and last what was found.
    """
    import orjson

    for request in requests:
        _print_failures_as_json(requests.failures)
        say_raw(_request_json(request))
    _print_failures_as_json(requests.failures)
    warnings = warnings_of(requests, about)
    last = {"fill": fill_json(requests.fill), "warnings": warnings}
    if requests.notes:
        last["notes"] = requests.notes
    say_raw(orjson.dumps(last).decode())
    return warnings


def _print_failures_as_json(failures: list[Failure]) -> None:
    for failure in failures:
        say_raw(failure.ndjson().decode().rstrip("\n"))
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


def _print_heading(*texts: str) -> None:
    """Print what a connection says of itself, as far as it does."""
    said = list(filter(None, texts))
    for text in said:
        say(f"# {on_one_line(text)}")
    if said:
        say("")


def _print_text(requests: Preview, about: Sequence[Problem]) -> list[str]:
    """Print requests, and at the end the counts; return the warnings.

    Before each request come the events that failed meanwhile.
    """
    from connector.pipeline.dropped import dropped_lines

    for number, request in enumerate(requests, 1):
        _print_failures(requests.failures)
        say(_request_text(request, number))
    _print_failures(requests.failures)

    counts = requests.counts
    say(
        f"{counted(counts.events, 'event')}, {counted(counts.records, 'record')}, "
        f"{counted(counts.requests, 'request')}, "
        f"{counts.superseded:,} superseded, {counts.rejected:,} rejected, "
        f"{counts.skipped:,} skipped{blank_words(counts)}"
    )
    notes = [f"note: {note}" for note in requests.notes]
    for line in [*dropped_lines(requests.dropped), *fill_lines(requests.fill), *notes]:
        say(on_one_line(line))
    warnings = warnings_of(requests, about)
    for line in warning_lines(warnings):
        say(line)
    return warnings


def _print_failures(failures: list[Failure]) -> None:
    for failure in failures:
        # An event's id is whatever the event says: a line break in it must not look like a line of
        # ours.
        event = on_one_line(place_of(failure))
        route = f" (route {on_one_line(failure.route)})" if failure.route else ""
        reason = on_one_line(failure.reason)
        lost = f" {failure.parameter}" if failure.parameter else ""
        say(f"# {event}{route}: {failure.outcome}{lost}, {failure.code}: {reason}\n")
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

"""`connector export`: write a file for the vendor, such as a list of ids that it matches."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from connector.cli.inputs import InputFlags, open_input
from connector.cli.interrupt import interruptible
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
    ProgressOption,
    QuoteOption,
    ReportOption,
    SetOption,
    StrictOption,
)
from connector.cli.output import on_one_line, print_result
from connector.cli.words import exit_status, fill_lines, warning_lines, warnings_of

if TYPE_CHECKING:
    from connector.connection.model import Connection
    from connector.delivery.clock import Clock
    from connector.delivery.report import Report

#: What stands for standard output.
_STDOUT = "-"

# The counts that are printed, in this order: their name here → that in the report.
_COUNTS = {
    "events": "events",
    "records": "records",
    "written": "delivered",
    "rejected": "rejected",
    "unwritten": "undelivered",
    "skipped": "skipped",
    "blank": "blank",
    "identifiers_dropped": "identifiers_dropped",
    "bytes": "bytes",
}

_NO_LINE = "no line was written, so that there is no file"


def export(
    connection: ConnectionArgument,
    name: Annotated[
        str,
        typer.Argument(metavar="EXPORT", help="One of the connection's exports."),
    ],
    events: EventsArgument,
    into: Annotated[
        str,
        typer.Option(
            "--into",
            metavar="FILE",
            help="The file to write (.gz: packed), a folder in which it gets the name that the "
            "vendor expects, or - for standard output.",
        ),
    ],
    force: Annotated[
        bool, typer.Option("--force", help="Replace a file that is there already.")
    ] = False,
    report: ReportOption = None,
    limit: LimitOption = None,
    input_format: InputFormatOption = None,
    delimiter: DelimiterOption = None,
    encoding: EncodingOption = None,
    quote: QuoteOption = None,
    progress: ProgressOption = None,
    strict: StrictOption = False,
    settings: SetOption = None,
    definitions: DefinitionsOption = None,
    form: FormatOption = Format.TEXT,
) -> None:
    """Write a file for the vendor; progress on stderr, a summary on stdout.

    The file appears when all of it is written. With --into - the summary is on stderr.

    Exit status: 0 every record has its line, 1 something was rejected, or the export was ended
    before (with --strict also: there are warnings), 2 usage or configuration error.
    """
    from connector import library
    from connector.cli.progress import watching
    from connector.connection.load import connection_warnings
    from connector.delivery.clock import SystemClock
    from connector.delivery.run import quiet_collector
    from connector.exports.run import mapped_export

    flags = InputFlags(input_format, delimiter, encoding, quote)
    overrides = [*(settings or ()), *flags.overrides()]
    loaded = library.load_connection(connection, overrides=overrides, definitions=definitions or ())
    mapped = mapped_export(loaded, name)
    clock = SystemClock()
    path = None if into == _STDOUT else library.export_path(loaded, name, into, clock)

    with ExitStack() as stack:
        source = stack.enter_context(open_input(loaded, events, flags, limit, [mapped]))
        on_progress, _ = stack.enter_context(watching(source, progress, done="written"))
        quiet_collector(freeze="parquet" not in source.formats)  # as `send` does
        with interruptible(clock, "stopping; nothing is written"):
            result = library.export(
                loaded,
                name,
                source,
                into=path or sys.stdout.buffer,
                force=force,
                clock=clock,
                report=report,
                progress=on_progress,
                keep_failures=False,
            )

    warnings = warnings_of(result, connection_warnings(loaded), "export")
    warnings += _about_file(loaded, name, path, result, clock)
    summary = _summary(result, warnings, path)
    with ExitStack() as stack:
        if path is None:
            stack.enter_context(redirect_stdout(sys.stderr))
        print_result(summary, lambda _: _text(result, warnings, path), form)
    raise typer.Exit(exit_status(succeeded=result.succeeded, warnings=warnings, strict=strict))


def _about_file(
    connection: Connection, name: str, path: Path | None, result: Report, clock: Clock
) -> list[str]:
    """Return the warnings about the file."""
    from connector.exports.run import file_name, mapped_export

    if path is None or result.interrupted:
        return []
    if not result.counts.delivered:
        return [_NO_LINE]
    expected = file_name(mapped_export(connection, name), clock.now())
    if expected in ("", path.name):
        return []
    return [f"the vendor expects the file to be called {expected}"]


def _is_there(result: Report) -> bool:
    return bool(result.counts.delivered) and not result.interrupted


def _summary(result: Report, warnings: Sequence[str], path: Path | None) -> dict[str, Any]:
    """Return the counts, why records have no line, and which values were dropped and found."""
    from connector.cli.summary import reasons_json

    summary: dict[str, Any] = {"file": str(path) if path and _is_there(result) else None}
    for name, counted in _COUNTS.items():
        summary[name] = getattr(result.counts, counted)
    summary["seconds"] = round(result.counts.seconds, 3)
    summary["interrupted"] = result.interrupted
    summary |= {**reasons_json(result), "warnings": list(warnings)}
    if result.report_error:
        summary["report_error"] = result.report_error
    return summary


def _text(result: Report, warnings: Sequence[str], path: Path | None) -> str:
    """Return the same as text, with only the most frequent reasons."""
    from connector.cli.summary import report_lines
    from connector.pipeline.dropped import dropped_lines

    counts = result.counts
    rows = [
        ("events", counts.events),
        ("skipped", counts.skipped),
        ("records", counts.records),
        ("  written", counts.delivered),
        ("  rejected", counts.rejected),
        ("identifiers dropped", counts.identifiers_dropped),
    ]
    if counts.blank:
        rows.insert(1, ("blank rows (no event)", counts.blank))
    if counts.undelivered:
        rows.insert(-1, ("  unwritten", counts.undelivered))
    lines = [f"{row:<22}{count:>12,}" for row, count in rows]

    file = "no file"
    if _is_there(result):
        into = "packed into" if path and path.suffix == ".gz" else "in"
        file = f"{counts.bytes:,} bytes {into} {on_one_line(str(path)) if path else 'the output'}"
    interrupted = ", interrupted" if result.interrupted else ""
    lines.append(f"{file}, {counts.seconds:.2f} s{interrupted}")
    lines += report_lines(result)
    lines += dropped_lines(Counter(result.dropped))
    lines += fill_lines(result.fill)
    lines += warning_lines(warnings)
    return "\n".join(lines)

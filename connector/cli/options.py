"""Options and arguments shared by several commands."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from connector.errors import ConfigError, Problem

if TYPE_CHECKING:
    from connector.sandbox.faults import Fault


class Format(StrEnum):
    """How results are printed."""

    TEXT = "text"
    JSON = "json"


class InputFormat(StrEnum):
    """How the input is written."""

    NDJSON = "ndjson"
    JSON = "json"
    CSV = "csv"
    PARQUET = "parquet"


FormatOption = Annotated[
    Format,
    typer.Option("--format", help="Output format: text for people, or JSON with stable names."),
]
DefinitionsOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--definitions",
        metavar="PATH",
        help="An additional folder with schemas/ and templates/; can be repeated.",
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="Replace settings.NAME, limits.NAME, input.NAME, base_url, token_url or login_url of "
        "the connection; can be repeated.",
    ),
]
ConnectionArgument = Annotated[
    Path, typer.Argument(metavar="CONNECTION", help="The connection file (YAML).")
]
EventsArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="EVENTS…",
        help="Events: files (.ndjson, .jsonl, .json (a list), .csv, each also .gz or .zst; "
        ".parquet), folders, patterns; - is standard input, NDJSON by default.",
    ),
]
InputFormatOption = Annotated[
    InputFormat | None,
    typer.Option(
        "--input-format", help="The format of the events; default: by the ending of each file."
    ),
]
DelimiterOption = Annotated[
    str | None,
    typer.Option(
        "--delimiter",
        metavar="CHARACTER",
        help="What separates the cells of CSV: a character, or tab; default: a comma, or what a "
        "first line 'sep=;' says.",
    ),
]
EncodingOption = Annotated[
    str | None,
    typer.Option(
        "--encoding",
        metavar="NAME",
        help="The encoding of the events, such as cp1252; default: utf-8, or what a byte order "
        "mark says.",
    ),
]
QuoteOption = Annotated[
    str | None,
    typer.Option(
        "--quote",
        metavar="CHARACTER",
        help="What encloses a cell of CSV; '' for nothing; default: the double quote.",
    ),
]
StrictOption = Annotated[
    bool, typer.Option("--strict", help="Exit with status 1 when there are warnings, too.")
]
TimeoutOption = Annotated[
    float | None,
    typer.Option(
        "--timeout",
        min=0.1,
        metavar="SECONDS",
        help="Seconds for one attempt of a request, up to the end of its answer; default 60.",
    ),
]
RetriesOption = Annotated[
    int | None,
    typer.Option(
        "--retries",
        min=0,
        metavar="N",
        help="How many times to retry a request, by default as the destination says, else 7.",
    ),
]
ProgressOption = Annotated[
    bool | None,
    typer.Option(
        "--progress/--no-progress", help="Show progress on stderr; default: on a terminal."
    ),
]
FailOption = Annotated[
    list[str] | None,
    typer.Option(
        "--fail",
        metavar="FAULT",
        help="A sandbox fault: 429:3 (the next three requests), 5xx, timeout, drop, "
        "applied-drop, html, counts, slow=SECONDS, 202, 204, person; can be repeated.",
    ),
]
ExitDetailOption = Annotated[
    bool,
    typer.Option(
        "--exit-detail",
        help="In place of exit status 1: 3 when something was rejected and all else delivered, "
        "4 when something is left undelivered, 5 when the run was interrupted.",
    ),
]
StateOption = Annotated[
    Path | None,
    typer.Option(
        "--state",
        metavar="DIR",
        help="A folder for what has to be known at the next run: how far this one is, so that it "
        "goes on when it ended early, what was read of a pipe (-) and not delivered, which goes "
        "first in the next run, and the ids of audiences by name. --sandbox leaves it alone.",
    ),
]
RestartOption = Annotated[
    bool,
    typer.Option(
        "--restart",
        help="Forget the unfinished run in --state, and send everything again; an error for a "
        "pipe, which has none.",
    ),
]
UndeliveredOption = Annotated[
    Path | None,
    typer.Option(
        "--undelivered",
        metavar="FILE",
        help="Write the records that are left undelivered to a new file (.gz: packed), which can "
        "be sent later in the place of EVENTS; an error with --state, which keeps them.",
    ),
]

ReportOption = Annotated[
    Path | None,
    typer.Option(
        "--report",
        metavar="FILE",
        help="Append to a file a line (NDJSON) for each event that was rejected or left "
        "undelivered, and for each value that was dropped.",
    ),
]
LimitOption = Annotated[
    int | None, typer.Option("--limit", min=1, metavar="N", help="Read only the first N events.")
]


def parse_faults(texts: Sequence[str] | None) -> list[Fault]:
    """Return the faults of `--fail`. Raise ConfigError (C014) for an unknown one."""
    from connector.sandbox.faults import parse_fault

    try:
        return [parse_fault(text) for text in texts or ()]
    except ValueError as error:
        raise ConfigError([Problem("C014", "--fail", "", str(error))]) from None

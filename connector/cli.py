"""The command line. Each command is a few calls into the library; heavy imports wait until a command needs them."""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import __version__
from .errors import ConfigError, ConnectorError, Problem

if TYPE_CHECKING:
    from .connection import Connection
    from .delivery import SystemClock
    from .run import Run
    from .sandbox import Sandbox
    from .sandbox_server import SandboxServer
    from .sending import HttpSender

app = typer.Typer(
    name="connector",
    help="Put people into ad audiences, and take them out, by destinations described in files.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # importing rich for a help text takes longer than all the rest
    pretty_exceptions_enable=False,
)


class Format(StrEnum):
    """How results are printed."""

    TEXT = "text"
    JSON = "json"


FormatOption = Annotated[Format, typer.Option("--format", help="How to print: for people, or JSON with stable names.")]
DefinitionsOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--definitions", metavar="PATH", help="A further folder with schemas/ and templates/; can be repeated."
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="Replace settings.NAME, limits.NAME or base_url of the connection; can be repeated.",
    ),
]
ConnectionArgument = Annotated[Path, typer.Argument(metavar="CONNECTION", help="The connection file (YAML).")]
EventsArgument = Annotated[
    str,
    typer.Argument(
        metavar="EVENTS",
        help="Events: .ndjson, .jsonl, .json (a list), .csv, each also .gz; .parquet; - is NDJSON on standard input.",
    ),
]
TimeoutOption = Annotated[
    float | None, typer.Option("--timeout", min=0.1, metavar="SECONDS", help="Seconds to wait; default 60.")
]
FailOption = Annotated[
    list[str] | None,
    typer.Option(
        "--fail",
        metavar="FAULT",
        help="A fault of the sandbox: 429:3 (the next three requests), 5xx, timeout, drop, applied-drop, html, counts; "
        "can be repeated.",
    ),
]
LimitOption = Annotated[int | None, typer.Option("--limit", min=1, metavar="N", help="Read only the first N events.")]


def main() -> None:
    """Run the command line; a person's mistake ends with a message and status 2."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8")  # whatever the locale: JSON is UTF-8
    try:
        app()
    except ConnectorError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:
        # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"connector {__version__}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Put people into ad audiences, and take them out, by destinations described in files."""


@app.command("list", epilog="Example: connector list --format json")
def list_(definitions: DefinitionsOption = None, form: FormatOption = Format.TEXT) -> None:
    """List the destinations and their actions."""
    from .catalog import Catalog
    from .showing import listing, listing_text

    found = listing(Catalog(definitions or ()))
    _print(found, listing_text, form)


@app.command(epilog="Example: connector show DESTINATION.add_user")
def show(
    name: Annotated[str, typer.Argument(metavar="DESTINATION[.ACTION]", help="What to show.")],
    definitions: DefinitionsOption = None,
    form: FormatOption = Format.TEXT,
) -> None:
    """Show parameters, identifier rules, caps and sources."""
    from .catalog import Catalog
    from .showing import showing, showing_text

    _print(showing(Catalog(definitions or ()), name), showing_text, form)


@app.command(epilog="Example: connector lint connection.yaml schemas/")
def lint(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[PATH]…", help="Definitions, connections, cases or folders of them; default: all definitions."
        ),
    ] = None,
    definitions: DefinitionsOption = None,
    form: FormatOption = Format.TEXT,
) -> None:
    """Find every problem of files, each with code and place."""
    from .catalog import Catalog
    from .lint import lint as find_problems

    problems = find_problems(paths or (), Catalog(definitions or ()))
    _print([problem._asdict() for problem in problems], lambda _: "\n".join(map(str, problems)) or "no problems", form)
    raise typer.Exit(1 if problems else 0)


@app.command(epilog="Example: connector preview connection.yaml events.ndjson --limit 3")
def preview(
    connection: ConnectionArgument,
    events: EventsArgument,
    limit: LimitOption = None,
    settings: SetOption = None,
    definitions: DefinitionsOption = None,
    form: FormatOption = Format.TEXT,
) -> None:
    """Print the exact requests; needs no network, no secrets."""
    from .pipeline import Pipeline
    from .preview import show_preview
    from .sources import open_source

    pipeline = Pipeline(_connection(connection, settings, definitions))
    with open_source(events, limit=limit) as source:
        complete = show_preview(pipeline, source, _say, json=form is Format.JSON)
    raise typer.Exit(0 if complete else 1)


@app.command(epilog="Example: connector send connection.yaml events.ndjson.gz --report failed.ndjson")
def send(
    connection: ConnectionArgument,
    events: EventsArgument,
    sandbox: Annotated[
        bool, typer.Option("--sandbox", help="Deliver to a sandbox started inside, then show what it holds.")
    ] = False,
    report: Annotated[
        Path | None,
        typer.Option(
            "--report",
            metavar="FILE",
            help="Write a line (NDJSON) for each event that was rejected or left undelivered.",
        ),
    ] = None,
    limit: LimitOption = None,
    retries: Annotated[
        int, typer.Option("--retries", min=0, metavar="N", help="Try a request again so many times.")
    ] = 7,
    timeout: TimeoutOption = None,
    fail: FailOption = None,
    progress: Annotated[
        bool | None, typer.Option("--progress/--no-progress", help="Show progress on stderr; default: on a terminal.")
    ] = None,
    settings: SetOption = None,
    definitions: DefinitionsOption = None,
    form: FormatOption = Format.TEXT,
) -> None:
    """Deliver events; progress on stderr, a summary on stdout.

    Exit status: 0 everything delivered, 1 something was rejected or left undelivered, 2 usage or configuration error.
    """
    from .delivery import RetryPolicy, SystemClock
    from .pipeline import Pipeline
    from .run import Run, quiet_collector
    from .sources import open_source
    from .summary import summary_json, summary_text
    from .tally import Tally

    if fail and not sandbox:
        raise ConfigError([Problem("C012", "--fail", "", "faults are for the sandbox", "add --sandbox")])
    loaded = _connection(connection, settings, definitions)
    with ExitStack() as stack:
        source = stack.enter_context(open_source(events, limit=limit))
        box = _start_sandbox(stack, loaded, fail or ()) if sandbox else None
        reached, sender = _reach(stack, loaded, box, timeout)
        tally = Tally(stack.enter_context(_open_report(report, connection, events)) if report else None)
        clock, policy = SystemClock(), RetryPolicy(retries=retries)
        run = Run(Pipeline(reached), loaded.destination.rates, sender, clock, policy, tally)
        quiet_collector()
        with _interruptible(clock), _progress(progress, source, run) as watched:
            watched.deliver(source)
        _print(
            summary_json(tally, box[0] if box else None),
            lambda _: summary_text(tally, box[0] if box else None, interrupted=clock.ending),
            form,
        )
        raise typer.Exit(0 if tally.summary.complete and not clock.ending else 1)


@app.command(epilog="Example: connector sandbox DESTINATION --port 8080 --fail 429:3")
def sandbox(
    destination: Annotated[str, typer.Argument(metavar="DESTINATION", help="The destination to stand in for.")],
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, metavar="N", help="The port; 0 takes a free one.")
    ] = 0,
    connection: Annotated[
        Path | None, typer.Option("--connection", metavar="FILE", help="Expect the credentials of this connection.")
    ] = None,
    fail: Annotated[
        list[str] | None,
        typer.Option(
            "--fail", metavar="FAULT", help="A fault such as 429:3, 5xx, timeout, drop, counts; can be repeated."
        ),
    ] = None,
    definitions: DefinitionsOption = None,
) -> None:
    """Run a local vendor that checks auth, caps and bodies."""
    from .catalog import Catalog
    from .summary import holdings_text, sandbox_text

    catalog = Catalog(definitions or ())
    secrets = _connection(connection, None, definitions).secrets() if connection else None
    box, given = _sandbox(catalog.load(destination), secrets, fail or ())
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with _listen(box, port) as server:
        try:
            print(sandbox_text(destination, server.base_url, given if secrets is None else {}), flush=True)
            server.serve_forever()
        except KeyboardInterrupt:
            print(holdings_text(box))


@app.command("test", epilog="Example: connector test tests/cases --update")
def run_tests(
    paths: Annotated[
        list[Path] | None, typer.Argument(metavar="[PATH]…", help="Case files or folders; default: this folder.")
    ] = None,
    update: Annotated[bool, typer.Option("--update", help="Write the snapshots instead of comparing them.")] = False,
    definitions: DefinitionsOption = None,
    form: FormatOption = Format.TEXT,
) -> None:
    """Run *.case.yaml files against their snapshots."""
    from .testing import run_cases

    raise typer.Exit(run_cases(paths or [Path()], definitions or [], update=update, form=form.value))


def _print(result: Any, as_text: Any, form: Format) -> None:
    if form is Format.JSON:
        import json

        _say(json.dumps(result, indent=None, ensure_ascii=False))
    else:
        _say(as_text(result))


def _say(text: str) -> None:
    try:
        print(text, flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise ConnectorError(f"the output cannot be written: {error.strerror}") from None


def _connection(path: Path, settings: Sequence[str] | None, definitions: Sequence[Path] | None) -> Connection:
    from .catalog import Catalog
    from .connection import load_connection

    return load_connection(path, Catalog(definitions or ()), settings or ())


@contextmanager
def _open_report(path: Path, *inputs: Path | str) -> Iterator[Any]:
    for other in map(Path, inputs):
        if path.exists() and other.exists() and path.samefile(other):
            message = "the report would overwrite what is read"
            raise ConfigError([Problem("C013", str(path), "", message, "name another file")])
    try:
        with path.open("wb") as file:
            yield file
    except OSError as error:
        raise ConfigError([Problem("C013", str(path), "", f"the report cannot be written: {error.strerror}")]) from None


def _sandbox(destination: Any, secrets: dict[str, str] | None, faults: Sequence[str]) -> tuple[Sandbox, dict[str, str]]:
    from .auth import scheme
    from .sandbox import Sandbox, parse_fault

    given = secrets or {name: f"sandbox-{name}" for name in destination.auth.get("credentials", ())}
    try:
        parsed = [parse_fault(fault) for fault in faults]
    except ValueError as error:
        raise ConfigError([Problem("C014", "--fail", "", str(error))]) from None
    return Sandbox(destination, scheme=scheme(destination.auth, given), faults=parsed), given


def _start_sandbox(
    stack: ExitStack, connection: Connection, faults: Sequence[str]
) -> tuple[Sandbox, str, dict[str, str]]:
    """Start a sandbox that expects the connection's own credentials, or made-up ones when it has none."""
    try:
        secrets = connection.secrets() or None
    except ConfigError:
        secrets = None
    box, given = _sandbox(connection.destination, secrets, faults)
    server = stack.enter_context(_listen(box, 0))
    return box, server.base_url, given


def _reach(stack: ExitStack, connection: Connection, box: Any, timeout: float | None) -> tuple[Connection, HttpSender]:
    """Return the connection as it is reached, and what sends to it. Raises ConfigError when a secret is missing."""
    from dataclasses import replace

    from .auth import scheme
    from .delivery import LANES
    from .sending import HttpSender

    _, base_url, secrets = box or (None, connection.base_url, connection.secrets())
    auth = scheme(connection.destination.auth, secrets).client()
    return replace(connection, base_url=base_url), stack.enter_context(HttpSender(auth, LANES, timeout))


def _listen(box: Sandbox, port: int) -> SandboxServer:
    from .sandbox_server import SandboxServer

    try:
        return SandboxServer(box, port)
    except OSError as error:
        message = f"port {port} cannot be used: {error.strerror}"
        raise ConfigError([Problem("C018", "--port", "", message, "0 takes a free one")]) from None


@contextmanager
def _interruptible(clock: SystemClock) -> Iterator[None]:
    """Let the first Ctrl-C end the run after the requests in flight, the second one at once."""

    def end(number: int, frame: object) -> None:
        signal.signal(signal.SIGINT, before)
        print("ending after the requests in flight; Ctrl-C again ends at once", file=sys.stderr)
        clock.end()

    before = signal.signal(signal.SIGINT, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _progress(wanted: bool | None, source: Any, run: Run) -> Iterator[Run]:
    if not (sys.stderr.isatty() if wanted is None else wanted):
        yield run
        return
    from .summary import progress

    with progress(source, run) as watched:
        yield watched

"""The command line. Each command is a few calls into the library; heavy imports wait until a command needs them."""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from connector import __version__
from connector.cli.new import EXAMPLE, new
from connector.cli.options import (
    ConnectionArgument,
    DefinitionsOption,
    EventsArgument,
    FailOption,
    Format,
    FormatOption,
    LimitOption,
    SetOption,
    TimeoutOption,
)
from connector.cli.output import print_result, say, warn
from connector.errors import ConfigError, ConnectorError, Problem

if TYPE_CHECKING:
    from connector.connection.model import Connection
    from connector.definitions.model import Destination
    from connector.delivery.clock import SystemClock
    from connector.delivery.http import HttpSender
    from connector.delivery.run import Run
    from connector.sandbox.server import SandboxServer
    from connector.sandbox.vendor import Sandbox

app = typer.Typer(
    name="connector",
    help="Put people into ad audiences, and take them out, by destinations described in files.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # importing rich for a help text takes longer than all the rest
    pretty_exceptions_enable=False,
)


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
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Put people into ad audiences, and take them out, by destinations described in files."""


@app.command("list", epilog="Example: connector list --format json")
def list_(definitions: DefinitionsOption = None, form: FormatOption = Format.TEXT) -> None:
    """List the destinations and their actions."""
    from connector.cli.show import listing, listing_text
    from connector.definitions.catalog import Catalog

    found, problems = listing(Catalog(definitions or ()))
    warn(problems)
    print_result(found, listing_text, form)


@app.command(epilog="Example: connector show DESTINATION.add_user")
def show(
    name: Annotated[str, typer.Argument(metavar="DESTINATION[.ACTION]", help="What to show.")],
    definitions: DefinitionsOption = None,
    form: FormatOption = Format.TEXT,
) -> None:
    """Show parameters, identifier rules, caps and sources."""
    from connector.cli.show import showing, showing_text
    from connector.definitions.catalog import Catalog

    print_result(showing(Catalog(definitions or ()), name), showing_text, form)


@app.command(epilog="Example: connector docs DESTINATION > setup.md")
def docs(
    destination: Annotated[
        str, typer.Argument(metavar="DESTINATION", help="The destination to describe.")
    ],
    definitions: DefinitionsOption = None,
) -> None:
    """Print a destination's setup guide, as Markdown."""
    from connector.definitions.catalog import Catalog
    from connector.guide.guide import guide

    say(guide(Catalog(definitions or ()).load(destination)))


app.command(epilog=f"Example: {EXAMPLE}")(new)


@app.command(epilog="Example: connector lint connection.yaml schemas/")
def lint(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[PATH]…",
            help="Definitions, connections, cases or folders of them; default: all definitions.",
        ),
    ] = None,
    definitions: DefinitionsOption = None,
    form: FormatOption = Format.TEXT,
) -> None:
    """Find every problem of files, each with code and place."""
    from connector.definitions.catalog import Catalog
    from connector.linting.engine import lint as find_problems

    problems = find_problems(paths or (), Catalog(definitions or ()))
    print_result(
        [problem._asdict() for problem in problems],
        lambda _: "\n".join(map(str, problems)) or "no problems",
        form,
    )
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
    from connector.cli.preview import show_preview
    from connector.pipeline.pipeline import Pipeline
    from connector.sources.files import open_source

    pipeline = Pipeline(_connection(connection, settings, definitions))
    with open_source(events, limit=limit) as source:
        complete = show_preview(pipeline, source, say, json=form is Format.JSON)
    raise typer.Exit(0 if complete else 1)


@app.command(
    epilog="Example: connector send connection.yaml events.ndjson.gz --report failed.ndjson"
)
def send(
    connection: ConnectionArgument,
    events: EventsArgument,
    sandbox: Annotated[
        bool,
        typer.Option(
            "--sandbox", help="Deliver to a sandbox started inside, then show what it holds."
        ),
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
        int,
        typer.Option("--retries", min=0, metavar="N", help="Try a request again so many times."),
    ] = 7,
    timeout: TimeoutOption = None,
    fail: FailOption = None,
    progress: Annotated[
        bool | None,
        typer.Option(
            "--progress/--no-progress", help="Show progress on stderr; default: on a terminal."
        ),
    ] = None,
    settings: SetOption = None,
    definitions: DefinitionsOption = None,
    form: FormatOption = Format.TEXT,
) -> None:
    """Deliver events; progress on stderr, a summary on stdout.

    Exit status: 0 everything delivered, 1 something was rejected or left undelivered, 2 usage or configuration error.
    """
    from connector.cli.summary import summary_json, summary_text
    from connector.delivery.clock import SystemClock
    from connector.delivery.ledger import Ledger
    from connector.delivery.retry import RetryPolicy
    from connector.delivery.run import Run, quiet_collector
    from connector.pipeline.pipeline import Pipeline
    from connector.sources.files import open_source

    if fail and not sandbox:
        raise ConfigError(
            [Problem("C012", "--fail", "", "faults are for the sandbox", "add --sandbox")]
        )
    loaded = _connection(connection, settings, definitions)
    with ExitStack() as stack:
        source = stack.enter_context(open_source(events, limit=limit))
        box = _start_sandbox(stack, loaded, fail or ()) if sandbox else None
        reached, sender = _reach(stack, loaded, box, timeout)
        ledger = Ledger(
            stack.enter_context(_open_report(report, connection, events)) if report else None
        )
        clock, policy = SystemClock(), RetryPolicy(retries=retries)
        run = Run(Pipeline(reached), loaded.destination.rates, sender, clock, policy, ledger)
        quiet_collector()
        with _interruptible(clock), _progress(progress, source, run) as watched:
            finished = watched.deliver(source)
        print_result(
            summary_json(finished, box[0] if box else None),
            lambda _: summary_text(finished, box[0] if box else None),
            form,
        )
        raise typer.Exit(0 if finished.complete else 1)


@app.command(epilog="Example: connector sandbox DESTINATION --port 8080 --fail 429:3")
def sandbox(
    destination: Annotated[
        str, typer.Argument(metavar="DESTINATION", help="The destination to stand in for.")
    ],
    port: Annotated[
        int,
        typer.Option("--port", min=0, max=65535, metavar="N", help="The port; 0 takes a free one."),
    ] = 0,
    connection: Annotated[
        Path | None,
        typer.Option(
            "--connection", metavar="FILE", help="Expect the credentials of this connection."
        ),
    ] = None,
    fail: Annotated[
        list[str] | None,
        typer.Option(
            "--fail",
            metavar="FAULT",
            help="A fault such as 429:3, 5xx, timeout, drop, counts; can be repeated.",
        ),
    ] = None,
    definitions: DefinitionsOption = None,
) -> None:
    """Run a local vendor that checks auth, caps and bodies."""
    from connector.cli.summary import holdings_text, sandbox_text
    from connector.definitions.catalog import Catalog

    chosen = Catalog(definitions or ()).load(destination)
    settings, secrets = chosen.example_settings, None
    if connection:
        loaded = _connection(connection, None, definitions)
        if loaded.destination.id != chosen.id:
            message = (
                f"is '{loaded.destination.id}', and the sandbox is to stand in for '{chosen.id}'"
            )
            raise ConfigError(
                [Problem("C201", str(connection), "/destination", message, "name one destination")]
            )
        settings, secrets = loaded.settings, loaded.secrets()
    box, given = _sandbox(chosen, settings, secrets, fail or ())
    box.log = lambda line: print(line, file=sys.stderr, flush=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with _listen(box, port) as server:
        try:
            members = {"base_url": server.base_url, "token_url": server.token_url}
            if chosen.auth.setting:
                members[f"settings.{chosen.auth.setting}"] = settings[chosen.auth.setting]
            print(sandbox_text(destination, members, {} if connection else given), flush=True)
            server.serve_forever()
        except KeyboardInterrupt:
            print(holdings_text(box))


@app.command("test", epilog="Example: connector test tests/cases --update")
def run_tests(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[PATH]…", help="Case files or folders; default: this folder."),
    ] = None,
    update: Annotated[
        bool, typer.Option("--update", help="Write the snapshots instead of comparing them.")
    ] = False,
    definitions: DefinitionsOption = None,
    form: FormatOption = Format.TEXT,
) -> None:
    """Run *.case.yaml files against their snapshots."""
    from connector.testing.command import run_cases

    raise typer.Exit(
        run_cases(paths or [Path()], definitions or [], update=update, form=form.value)
    )


def _connection(
    path: Path, settings: Sequence[str] | None, definitions: Sequence[Path] | None
) -> Connection:
    from connector.connection.load import load_connection
    from connector.definitions.catalog import Catalog

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
        raise ConfigError(
            [Problem("C013", str(path), "", f"the report cannot be written: {error.strerror}")]
        ) from None


def _sandbox(
    destination: Destination,
    settings: Mapping[str, Any],
    secrets: dict[str, str] | None,
    faults: Sequence[str],
) -> tuple[Sandbox, dict[str, str]]:
    """Return a sandbox and the secrets that it takes: made-up ones when there are none."""
    from connector.sandbox.faults import parse_fault
    from connector.sandbox.vendor import Sandbox
    from connector.sandbox.verify import AuthVerifier

    auth = destination.auth_of(settings)
    given = {name: f"sandbox-{name}" for name in auth.credentials} if secrets is None else secrets
    try:
        parsed = [parse_fault(fault) for fault in faults]
    except ValueError as error:
        raise ConfigError([Problem("C014", "--fail", "", str(error))]) from None
    return Sandbox(
        destination, settings=settings, verifier=AuthVerifier(auth, given), faults=parsed
    ), given


def _start_sandbox(
    stack: ExitStack, connection: Connection, faults: Sequence[str]
) -> tuple[Sandbox, SandboxServer, dict[str, str]]:
    """Start a sandbox that expects the connection's own credentials, or made-up ones when it has none."""
    try:
        secrets = connection.secrets()
    except ConfigError:
        secrets = None
    box, given = _sandbox(connection.destination, connection.settings, secrets, faults)
    return box, stack.enter_context(_listen(box, 0)), given


def _reach(
    stack: ExitStack, connection: Connection, box: Any, timeout: float | None
) -> tuple[Connection, HttpSender]:
    """Return the connection as it is reached, and what sends to it.

    Raises ConfigError when a secret is missing, or would go where it should not.
    """
    from dataclasses import replace

    from connector.auth.schemes import Auth
    from connector.delivery.http import HttpSender
    from connector.delivery.lanes import LANES

    if box:
        _, server, secrets = box
        connection = replace(connection, base_url=server.base_url, token_url=server.token_url)
    else:
        secrets = connection.secrets()
    auth = Auth(connection.auth(), secrets)
    return connection, stack.enter_context(HttpSender(auth, LANES, timeout))


def _listen(box: Sandbox, port: int) -> SandboxServer:
    from connector.sandbox.server import SandboxServer

    try:
        return SandboxServer(box, port)
    except OSError as error:
        message = f"port {port} cannot be used: {error.strerror}"
        raise ConfigError([Problem("C018", "--port", "", message, "0 takes a free one")]) from None


@contextmanager
def _interruptible(clock: SystemClock) -> Iterator[None]:
    """Let the first Ctrl-C or SIGTERM end the run after the requests in flight, the second one at once."""

    def end(number: int, frame: object) -> None:
        restore()
        print("ending after the requests in flight; Ctrl-C again ends at once", file=sys.stderr)
        clock.end()

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        restore()


@contextmanager
def _progress(wanted: bool | None, source: Any, run: Run) -> Iterator[Run]:
    if not (sys.stderr.isatty() if wanted is None else wanted):
        yield run
        return
    from connector.cli.summary import progress

    with progress(source, run) as watched:
        yield watched

"""`connector send`: deliver events, or try the delivery against a sandbox."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from connector.cli.inputs import InputFlags, open_input
from connector.cli.interrupt import ENDING, interruptible
from connector.cli.options import (
    ConnectionArgument,
    DefinitionsOption,
    DelimiterOption,
    EncodingOption,
    EventsArgument,
    ExitDetailOption,
    FailOption,
    Format,
    FormatOption,
    InputFormatOption,
    LimitOption,
    ProgressOption,
    QuoteOption,
    ReportOption,
    RestartOption,
    RetriesOption,
    SetOption,
    StateOption,
    StrictOption,
    TimeoutOption,
    UndeliveredOption,
    parse_faults,
)
from connector.cli.output import print_result
from connector.cli.words import detailed_status, exit_status, warnings_of
from connector.errors import ConfigError, ConnectorError, Problem

if TYPE_CHECKING:
    from connector.connection.model import Connection
    from connector.delivery.clock import SystemClock
    from connector.delivery.http import HttpSender
    from connector.delivery.report import Report
    from connector.delivery.seal import Seal
    from connector.sandbox.local import Sandbox
    from connector.sources.files import Source

# What is said when a run is to end that reads a pipe and has a state.
_LOSING = f"{ENDING}; what was not read of the input yet is lost, what was read is kept"


def send(
    connection: ConnectionArgument,
    events: EventsArgument,
    sandbox: Annotated[
        bool,
        typer.Option(
            "--sandbox",
            help="Deliver to a local sandbox instead of the vendor, "
            "then show the audiences it holds.",
        ),
    ] = False,
    report: ReportOption = None,
    undelivered: UndeliveredOption = None,
    state: StateOption = None,
    restart: RestartOption = False,
    limit: LimitOption = None,
    input_format: InputFormatOption = None,
    delimiter: DelimiterOption = None,
    encoding: EncodingOption = None,
    quote: QuoteOption = None,
    retries: RetriesOption = None,
    timeout: TimeoutOption = None,
    fail: FailOption = None,
    progress: ProgressOption = None,
    strict: StrictOption = False,
    exit_detail: ExitDetailOption = False,
    settings: SetOption = None,
    definitions: DefinitionsOption = None,
    form: FormatOption = Format.TEXT,
) -> None:
    """Deliver events; progress on stderr, a summary on stdout.

    Events that come slowly wait until a request is full, until the oldest has the 'age' of the
    connection's 'limits' (often 60m by default), SIGUSR1 comes, or the input ends.

    Exit status: 0 everything delivered, 1 something was rejected or left undelivered (with --strict
    also: there are warnings), 2 usage or configuration error.
    """
    from connector import library
    from connector.cli.progress import watching
    from connector.connection.load import connection_warnings
    from connector.delivery.clock import SystemClock
    from connector.delivery.report import DefectError
    from connector.delivery.run import quiet_collector

    _check_options(fail, state, sandbox=sandbox, restart=restart)
    flags = InputFlags(input_format, delimiter, encoding, quote)
    overrides = [*(settings or ()), *flags.overrides()]
    loaded = library.load_connection(connection, overrides=overrides, definitions=definitions or ())
    clock = SystemClock()
    box = transport = defect = None
    with ExitStack() as stack:
        source = stack.enter_context(open_input(loaded, events, flags, limit))
        if sandbox:
            box = _sandbox(loaded, fail)
            loaded, transport = stack.enter_context(_served(box, loaded, timeout))
            clock.when_cut(transport.cut)
            # Its audiences are gone afterwards, and so is what is remembered of them.
            state = Path(stack.enter_context(TemporaryDirectory(prefix="connector-")))

        on_progress, notify = stack.enter_context(watching(source, progress))
        # What reads Parquet calls objects that are never collected leaks, and lists them at exit.
        quiet_collector(freeze="parquet" not in source.formats)
        with _signalled(clock, source, keeps=state is not None and not sandbox) as seal:
            try:
                result = library.send(
                    loaded,
                    source,
                    transport=transport,
                    clock=clock,
                    report=report,
                    progress=on_progress,
                    notify=notify,
                    retries=retries,
                    timeout=timeout,
                    keep_failures=False,
                    state=state,
                    resume=not sandbox,
                    restart=restart,
                    undelivered=undelivered,
                    seal=seal,
                )
            except DefectError as error:
                result, defect = error.report, error

    warnings = warnings_of(result, connection_warnings(loaded))
    _print(result, warnings, box, loaded.name, form)
    if defect is not None:
        raise _what_to_say(defect)
    raise typer.Exit(_status(result, warnings, strict=strict, detail=exit_detail))


@contextmanager
def _signalled(clock: SystemClock, source: Source, *, keeps: bool) -> Iterator[Seal | None]:
    """Let signals end the run; yield what another one asks for, if the run reads a pipe.

    `keeps`: whether what is read of a pipe is kept.
    """
    from connector.delivery.inputs import is_pipe
    from connector.delivery.seal import Seal

    seal = Seal() if is_pipe(source) else None
    with interruptible(clock, _LOSING if seal is not None and keeps else ENDING, seal):
        yield seal


def _what_to_say(defect: Exception) -> Exception:
    """Return the error to end with: nobody needs a traceback of a full disk."""
    cause = defect.__cause__
    return cause if isinstance(cause, ConnectorError) else defect


def _status(result: Report, warnings: Sequence[str], *, strict: bool, detail: bool) -> int:
    status = exit_status(succeeded=result.succeeded, warnings=warnings, strict=strict)
    return detailed_status(result, status) if detail else status


def _sandbox(connection: Connection, fail: list[str] | None) -> Sandbox:
    """Return a sandbox that has the audiences which routes name."""
    from connector.pipeline.audiences import asks_for_audiences
    from connector.sandbox.local import Sandbox

    faults = parse_faults(fail)
    box = Sandbox(connection)
    if asks_for_audiences(connection):
        from connector.audiences.names import create_named

        create_named(connection, box)
    box.vendor.inject(faults)
    return box


@contextmanager
def _served(
    box: Sandbox, connection: Connection, timeout: float | None
) -> Iterator[tuple[Connection, HttpSender]]:
    """Yield the connection as one to a sandbox that is served, and what sends to it."""
    from connector import library
    from connector.sandbox.local import connected_to

    with box.serve() as server:
        connected = connected_to(connection, server)
        with library.http_transport(connected, secrets=box.secrets, timeout=timeout) as sender:
            yield connected, sender


def _print(
    result: Report,
    warnings: Sequence[str],
    box: Sandbox | None,
    name: str,
    form: Format,
) -> None:
    from connector.cli.summary import summary_json, summary_text

    holdings = box.holdings() if box else None
    as_json = summary_json(result, warnings, holdings, name)
    print_result(as_json, lambda _: summary_text(result, warnings, holdings, name), form)


def _check_options(
    fail: list[str] | None, state: Path | None, *, sandbox: bool, restart: bool
) -> None:
    """Raise ConfigError (C012) for an option that does nothing without another."""
    if restart and state is None:
        problem = Problem("C012", "--restart", "", "requires --state", "add --state DIR")
        raise ConfigError([problem])
    if fail and not sandbox:
        raise ConfigError([Problem("C012", "--fail", "", "requires --sandbox", "add --sandbox")])

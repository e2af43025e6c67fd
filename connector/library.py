"""The library: what `import connector` gives, in the order of use.

The command line is a thin layer over it.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import orjson

from connector.calls.run import rows
from connector.calls.values import check_settings, find_call, values_of
from connector.connection.load import connection_from_document
from connector.connection.load import load_connection as load_connection_file
from connector.connection.model import Connection
from connector.connection.secrets import missing
from connector.definitions.catalog import Catalog
from connector.delivery.clock import Clock, SystemClock
from connector.delivery.courier import Transport
from connector.delivery.inputs import Events, observed, opened_events
from connector.delivery.lanes import REQUESTS
from connector.delivery.ledger import Ledger
from connector.delivery.rate_limit import Limiter
from connector.delivery.report import Counts, Failure, Report, new_run_id
from connector.delivery.report_file import check_overwritten, report_file
from connector.delivery.retry import RetryPolicy
from connector.delivery.run import Run, batches
from connector.delivery.state import durable_run
from connector.errors import ConfigError, DefinitionError, Problem
from connector.model import Batch, Request, name_of
from connector.pipeline.audiences import KnownAudiences, asks_for_audiences, notes_of, readable
from connector.pipeline.fill import Filled
from connector.pipeline.pipeline import Pipeline, template_problem
from connector.templating.template import RenderError

if TYPE_CHECKING:
    from connector.audiences.check import Check
    from connector.audiences.manager import Manager
    from connector.audiences.remembered import Remembered
    from connector.delivery.http import HttpSender


def load_connection(
    path: str | os.PathLike[str],
    *,
    overrides: Sequence[str] = (),
    definitions: Sequence[str | os.PathLike[str]] = (),
) -> Connection:
    """Load a connection file (YAML).

    `overrides` replace members, as in `settings.account_id=42`. `definitions` are further folders
    with `schemas/` and `templates/`.

    Raise ConfigError with every problem, and DefinitionError when the destination itself is wrong.
    """
    return load_connection_file(Path(path), _catalog(definitions), overrides)


def make_connection(
    document: Mapping[str, Any],
    *,
    name: str = "connection",
    definitions: Sequence[str | os.PathLike[str]] = (),
) -> Connection:
    """Make a connection of what a connection file would hold.

    `name` stands for the file in messages.

    Raise ConfigError with every problem, and DefinitionError when the destination itself is wrong.
    """
    return connection_from_document(document, name, _catalog(definitions))


def lint(
    *paths: str | os.PathLike[str], definitions: Sequence[str | os.PathLike[str]] = ()
) -> list[Problem]:
    """Return every problem of definitions, connections and cases.

    Without paths, lint looks at all definitions.

    Raise ConfigError for a path that lint cannot look at.
    """
    # Its many rules are loaded only for this.
    from connector.linting.engine import lint as lint_paths

    return lint_paths([Path(path) for path in paths], _catalog(definitions))


def _catalog(definitions: Sequence[str | os.PathLike[str]]) -> Catalog:
    return Catalog([Path(folder) for folder in definitions])


# Preview ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PreviewedRequest:
    """A request as it would be sent, without credentials.

    `records`: how many people are in it. `event_ids` and `routes` are those of its records, in
    order.

    `closed_by`: why it takes no more records: "records", "bytes" or "groups" (a limit), "age" (its
    oldest record has waited long enough), "conflict" (the next record is about a person in it),
    "order" (the next record has to come in a later request), "memory" (too many records are
    pending), or "end" (of the events).
    """

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    records: int
    event_ids: tuple[int | str, ...] = field(repr=False)
    routes: tuple[str, ...]
    closed_by: str

    def json(self) -> Any:
        """Return the parsed body."""
        return orjson.loads(self.body)


class Preview:
    """The requests that a run would send: iterate over it once. Needs no network and no secrets.

    `counts`, `failures` (the events that cannot be sent, and the values that are dropped),
    `reasons` (as in a report), `dropped` (identifier values, by parameter and reason), `fill` (how
    many events had a value) and `doubts` (what looks like a mistake) grow as it is iterated over.
    The caller may clear `failures` after handling them.
    """

    def __init__(
        self,
        connection: Connection,
        events: Events,
        *,
        limit: int | None,
        clock: Clock,
        remembered: Remembered | None = None,
    ) -> None:
        self._connection = connection
        known = KnownAudiences(connection, remembered.find if remembered else None)
        self._pipeline = Pipeline(connection, known)
        self._events = events
        self._limit = limit
        self._clock = clock
        self._ledger = Ledger(keep_failures=True)

    @property
    def counts(self) -> Counts:
        """The counts so far. Nothing is delivered in a preview."""
        return self._ledger.counts

    @property
    def failures(self) -> list[Failure]:
        """The failures so far, or since the list was cleared."""
        return self._ledger.failures

    @property
    def reasons(self) -> Counter[tuple[str, str, str]]:
        """How many records failed so far, by (outcome, code, reason)."""
        return self._ledger.reasons

    @property
    def dropped(self) -> Counter[tuple[str, str]]:
        """How many identifier values were dropped so far, by (parameter, reason)."""
        return self._pipeline.dropped

    @property
    def fill(self) -> list[Filled]:
        """How many of the rows that each route took had a value, by parameter, so far."""
        return self._pipeline.fill

    @property
    def doubts(self) -> list[str]:
        """What the events so far make look like a mistake, though nothing failed."""
        return [*self._ledger.doubts_of_input(), *self._pipeline.doubts]

    @property
    def notes(self) -> list[str]:
        """What a run does that a preview cannot show."""
        return notes_of(self._connection)

    def __iter__(self) -> Iterator[PreviewedRequest]:
        with opened_events(self._events, self._connection, self._limit) as opened:
            chunks = observed(opened, self._connection, self._ledger)
            for batch in batches(self._pipeline, chunks, self._ledger, self._clock):
                try:
                    request = batch.endpoint.build(batch, self._clock.now())
                except RenderError as error:
                    raise DefinitionError([template_problem(error)]) from None
                self._ledger.counts.requests += 1
                self._ledger.counts.bytes += len(request.body)
                yield _previewed(batch, request)


def preview(
    connection: Connection,
    events: Events,
    *,
    limit: int | None = None,
    clock: Clock | None = None,
    state: str | os.PathLike[str] | None = None,
) -> Preview:
    """Return the requests that `send` would send, one by one.

    The events that it would not send are the result's `failures`.

    `limit`: read only so many events. `clock`: the time that requests are built at. `state`: the
    folder of `send`. An audience by its name has the id that is remembered there, else
    `<audience:NAME>`.

    Raise DefinitionError for a definition that cannot be used, and ConfigError for a state that
    cannot be read. Iterating raises SourceError, and DefinitionError for a template that cannot be
    rendered.
    """
    _check_connection(connection)
    _check_routes(connection)
    clock = clock or SystemClock()
    remembered = _remembered(state, connection)
    if remembered is not None:
        remembered.check()
    return Preview(connection, events, limit=limit, clock=clock, remembered=remembered)


def _previewed(batch: Batch, request: Request) -> PreviewedRequest:
    routes = dict.fromkeys(record.target.route for record in batch.records)
    return PreviewedRequest(
        method=request.method,
        url=readable(request.url),
        headers=request.headers,
        body=request.body,
        records=len(batch.records),
        event_ids=tuple(name_of(record.event_id) for record in batch.records),
        routes=tuple(routes),
        closed_by=batch.closed_by,
    )


# Send -------------------------------------------------------------------------------------------


def send(
    connection: Connection,
    events: Events,
    *,
    transport: Transport | None = None,
    clock: Clock | None = None,
    report: str | os.PathLike[str] | BinaryIO | None = None,
    progress: Callable[[Counts], None] | None = None,
    notify: Callable[[str], None] | None = None,
    limit: int | None = None,
    retries: int | None = None,
    timeout: float | None = None,
    keep_failures: bool = True,
    state: str | os.PathLike[str] | None = None,
    resume: bool = True,
    restart: bool = False,
) -> Report:
    """Deliver events and return what became of them; blocks until every record has its outcome.

    `transport` sends one request; without one they go over HTTP, with the secrets that the
    connection refers to. `timeout` is how many seconds an attempt may take, as in `http_transport`.
    `clock` tells the time, waits, and may end the run early (`SystemClock.end`, and `cut` for what
    is in flight, too). `report`: a file,
    or its path, that gets a line of NDJSON for each failure. `progress` is called with the counts
    so far, last when all is done; `notify` with a line when a request has to wait for long, from a
    thread of the run. `limit`: read only so many events. `retries`: send a request again so many
    times, by default as often as the destination says, else 7. `keep_failures`: keep every failure
    in the returned report. Without it memory stays flat whatever fails. `state`: a folder for
    what has to be known at the next run: the ids of audiences by name and, unless `resume` is
    false, how far a run of files is. One that ended early goes on; `restart` forgets it.

    Changes nothing of the process around it: no signal handlers, no logging, no environment.

    Raise ConfigError for a missing secret, an audience that is not there or a report that cannot be
    written, DefinitionError, and SourceError. Raise DefectError, with the report, when the
    connector itself fails.
    """
    _check_connection(connection)
    _check_routes(connection)
    if retries is not None and retries < 0:
        raise ValueError(f"retries must be 0 or more, got {retries}")
    clock = clock or SystemClock()
    pipeline = Pipeline(connection)
    remembered = _remembered(state, connection)
    rates = connection.destination.rates
    retry = RetryPolicy.of(connection.destination.retry, retries)

    with ExitStack() as stack:
        opened = stack.enter_context(opened_events(events, connection, limit))
        transport = stack.enter_context(_sender(connection, transport, timeout, clock))
        kept = durable_run(state if resume else None, connection, opened, restart=restart)
        durable = stack.enter_context(kept)
        file = stack.enter_context(report_file(report, connection, opened, durable))

        if remembered is not None:
            remembered.prepare()
        if asks_for_audiences(connection):
            pipeline = _pipeline_with_audiences(
                connection, transport, remembered, clock, retries, notify
            )

        limiter = Limiter(rates, clock)
        if durable is None:
            ledger = Ledger(file, keep_failures=keep_failures, run=new_run_id(clock.now()))
        else:
            ledger = durable.ledger(file, clock, limiter, keep_failures=keep_failures)
        ledger.notify = notify or ledger.notify
        chunks = observed(opened, connection, ledger)

        def show_progress() -> None:
            if progress is not None:
                progress(replace(ledger.counts))

        advice = connection.sign_in_advice
        run = Run(pipeline, rates, transport, clock, retry, ledger, show_progress, advice, limiter)
        result = run.deliver(chunks)
        show_progress()
    return result


def _pipeline_with_audiences(
    connection: Connection,
    transport: Transport,
    remembered: Remembered | None,
    clock: Clock,
    retries: int | None,
    notify: Callable[[str], None] | None,
) -> Pipeline:
    """Return a pipeline that knows the audiences which the connection names."""
    # A run that names none does without what asks the vendor.
    from connector.audiences.names import RunAudiences

    audiences = RunAudiences(
        connection, transport, remembered, clock=clock, retries=retries, notify=notify
    )
    audiences.prepare()
    return Pipeline(connection, audiences)


def _remembered(state: str | os.PathLike[str] | None, connection: Connection) -> Remembered | None:
    if state is None:
        return None
    from connector.audiences.remembered import Remembered

    return Remembered(Path(state), connection)


def call(
    connection: Connection,
    name: str,
    values: Mapping[str, Any] | None = None,
    *,
    transport: Transport | None = None,
    clock: Clock | None = None,
    notify: Callable[[str], None] | None = None,
    retries: int | None = None,
    timeout: float | None = None,
) -> Iterator[dict[str, Any]]:
    """Return the rows of a call, one by one; a result that is no list is one row.

    `values` are its parameters. Pages are asked for as they are wanted. `transport`, `clock`,
    `notify`, `retries` and `timeout` are as in `send`.

    Raise ConfigError for an unknown call, and for parameters that do not fit. Iterating raises
    CallError, and ConfigError for a missing secret.
    """
    _check_connection(connection)
    given = dict(values or {})
    found_call = find_call(connection.destination, name)
    check_settings(found_call, connection)
    values_of(found_call, given)

    def found() -> Iterator[dict[str, Any]]:
        with _sender(connection, transport, timeout, clock) as sender:
            yield from rows(
                connection, name, given, sender, clock=clock, retries=retries, notify=notify
            )

    return found()


@contextmanager
def open_audiences(
    connection: Connection,
    kind: str | None = None,
    *,
    transport: Transport | None = None,
    clock: Clock | None = None,
    notify: Callable[[str], None] | None = None,
    retries: int | None = None,
    timeout: float | None = None,
) -> Iterator[Manager]:
    """Yield the audiences of an account: `list`, `get`, `find`, `create`, `rename`, `delete`.

    `kind`: the parameter of actions that takes their ids, by default the first kind with names. The
    other arguments are as in `call`.

    Raise ConfigError for an unknown kind, and for a missing secret.
    """
    # Only who asks for audiences needs this.
    from connector.audiences.manager import Manager, find_kind

    _check_connection(connection)
    chosen = find_kind(connection.destination, kind)
    with _sender(connection, transport, timeout, clock) as sender:
        yield Manager(connection, chosen, sender, clock=clock, retries=retries, notify=notify)


def check(
    connection: Connection,
    *,
    transport: Transport | None = None,
    clock: Clock | None = None,
    timeout: float | None = None,
    state: str | os.PathLike[str] | None = None,
) -> Iterator[Check]:
    """Yield what is found of a connection, its credentials and its audiences, one by one.

    Nothing is changed. `transport`, `clock` and `timeout` are as in `send`. `state`: its folder, in
    which the ids of audiences by name are.

    Iterating raises ConfigError for a state that cannot be read.
    """
    from connector.audiences.check import check as check_connection
    from connector.audiences.check import without_secrets

    _check_connection(connection)
    remembered = _remembered(state, connection)
    if remembered is not None:
        remembered.check()
    try:
        opened = _sender(connection, transport, timeout, clock)
    except ConfigError as error:
        yield from without_secrets(connection, error)
        return
    with opened as sender:
        yield from check_connection(connection, sender, clock, remembered)


def http_transport(
    connection: Connection,
    *,
    secrets: Mapping[str, str] | None = None,
    timeout: float | None = None,
) -> HttpSender:
    """Return the transport that signs requests and sends them over HTTP.

    It is a context manager and may serve several runs.

    `secrets`: by the names of the credentials, for a program that has them from elsewhere; by
    default those that the connection refers to; of these, one in a login of the store is kept there
    when the vendor renews it. `timeout`: seconds for one attempt of a request, from connecting to
    the end of its answer and with a token that it needs first; by default 60.

    Raise ConfigError when a secret is missing, or would go where it should not.
    """
    are_its_own = secrets is None
    if secrets is None:
        secrets = connection.secrets()

    problems = []
    for name in missing(connection.auth(), secrets):
        message = f"missing credential '{name}'"
        pointer = f"/credentials/{name}"
        problems.append(Problem("C204", connection.file, pointer, message, "add it to secrets"))
    if problems:
        raise ConfigError(problems)

    # A preview does without what speaks HTTP and signs.
    from connector.auth.schemes import Auth, scheme_of
    from connector.delivery.http import HttpSender

    auth = connection.auth()
    renewed = scheme_of(auth).RENEWED
    kept = connection.kept_secret(renewed) if are_its_own else None
    return HttpSender(Auth(auth, secrets, kept), REQUESTS, timeout)


def _sender(
    connection: Connection,
    transport: Transport | None,
    timeout: float | None,
    clock: Clock | None = None,
) -> AbstractContextManager[Transport]:
    """Return the transport of whoever calls, left open, else one of its own, which `clock` cuts.

    Raise ConfigError.
    """
    if transport is not None:
        return nullcontext(transport)
    sender = http_transport(connection, timeout=timeout)
    if isinstance(clock, SystemClock):
        clock.when_cut(sender.cut)
    return sender


def _check_connection(connection: object) -> None:
    if not isinstance(connection, Connection):
        kind = type(connection).__name__
        hint = "load_connection(path) and make_connection(document) return one"
        raise TypeError(f"connection: expected a Connection, got {kind}; {hint}")


def _check_routes(connection: Connection) -> None:
    if not connection.routes:
        message = "has no routes: nothing can be sent"
        hint = "add routes, or write a file with 'connector export'"
        raise ConfigError([Problem("C040", connection.file, "", message, hint)])


# Export -----------------------------------------------------------------------------------------


def export(
    connection: Connection,
    name: str,
    events: Events,
    *,
    into: str | os.PathLike[str] | BinaryIO,
    force: bool = False,
    clock: Clock | None = None,
    report: str | os.PathLike[str] | BinaryIO | None = None,
    progress: Callable[[Counts], None] | None = None,
    limit: int | None = None,
    keep_failures: bool = True,
) -> Report:
    """Write a file for the vendor: the connection's export of this name.

    `into`: the file, a folder in which it gets the name that the vendor expects, or an open binary
    stream. A file appears only when all of it is written, and has a line; it can be read by its
    owner only. `force` replaces one that is there already. All else is as for `send`. In the
    report, `delivered` counts the lines.

    Raise ConfigError for a missing key or a file that cannot be written, DefinitionError, and
    SourceError.
    """
    # Only an export needs it.
    from connector.exports.output import FileOutput, Output, StreamOutput
    from connector.exports.run import ExportRun, mapped_export

    _check_connection(connection)
    mapped = mapped_export(connection, name)
    clock = clock or SystemClock()
    run = ExportRun(connection, mapped)

    with ExitStack() as stack:
        opened = stack.enter_context(opened_events(events, connection, limit, [mapped]))
        if isinstance(into, str | os.PathLike):
            path = export_path(connection, name, into, clock)
            check_overwritten(path, "export", connection, opened)
            _check_apart(path, report)
            output: Output = stack.enter_context(FileOutput(path, force=force))
        else:
            output = StreamOutput(into)
        file = stack.enter_context(report_file(report, connection, opened))
        ledger = Ledger(file, keep_failures=keep_failures)

        def show_progress() -> None:
            if progress is not None:
                progress(replace(ledger.counts))

        chunks = observed(opened, connection, ledger)
        return run.write(chunks, output, ledger, clock, show_progress)


def export_path(
    connection: Connection, name: str, into: str | os.PathLike[str], clock: Clock
) -> Path:
    """Return the file of an export: in a folder, that of the name that the vendor expects.

    Raise ConfigError (C041, C042).
    """
    from connector.exports.run import file_name, mapped_export

    path = Path(into)
    if not path.is_dir():
        return path
    expected = file_name(mapped_export(connection, name), clock.now())
    if not expected:
        message = "is a folder, and the vendor expects no name of the file"
        raise ConfigError([Problem("C042", str(path), "", message, "name a file")])
    return path / expected


def _check_apart(path: Path, report: object) -> None:
    if isinstance(report, str | os.PathLike) and Path(report).absolute() == path.absolute():
        message = "the report would overwrite the export"
        raise ConfigError([Problem("C013", str(path), "", message, "choose another file")])

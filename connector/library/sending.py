"""Runs: events are delivered."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from connector.connection.model import Connection
from connector.delivery.clock import Clock, SystemClock
from connector.delivery.courier import Transport
from connector.delivery.inputs import Events, is_pipe, observed, opened_events
from connector.delivery.ledger import Ledger
from connector.delivery.rate_limit import Limiter
from connector.delivery.report import Counts, Report, new_run_id
from connector.delivery.report_file import report_file
from connector.delivery.retry import RetryPolicy
from connector.delivery.run import Run
from connector.delivery.seal import Seal
from connector.delivery.state import durable_run
from connector.delivery.undelivered import Undelivered, are_prepared_records, undelivered_file
from connector.library.arguments import Wishes, remembered_in, require_connection, require_routes
from connector.library.transports import sender_of
from connector.model import Chunk
from connector.pipeline.audiences import asks_for_audiences
from connector.pipeline.pipeline import Pipeline
from connector.pipeline.prepared_pipeline import AnyPipeline, PreparedPipeline
from connector.sources.files import Source

if TYPE_CHECKING:
    from connector.audiences.remembered import Remembered
    from connector.delivery.state.resume import OpenRun


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
    undelivered: str | os.PathLike[str] | None = None,
    seal: Seal | None = None,
) -> Report:
    """Deliver events and return what became of them; blocks until every record has its outcome.

    `transport` sends one request; without one they go over HTTP, with the secrets that the
    connection refers to. `timeout` is how many seconds an attempt may take, as in `http_transport`.
    `clock` tells the time, waits, and may end the run early (`SystemClock.end`, and `cut` for what
    is in flight, too). `report`: a file, or its path, that gets a line of NDJSON for each failure.
    `progress` is called with the counts so far, last when all is done; `notify` with a line when a
    request has to wait for long, from a thread of the run. `limit`: read only so many events.
    `retries`: send a request again so many times, by default as often as the destination says, else
    7. `keep_failures`: keep every failure in the returned report. Without it memory stays flat
    whatever fails. `state`: a folder for what has to be known at the next run: the ids of audiences
    by name and, unless `resume` is false, how far a run of files is. One that ended early goes on;
    `restart` forgets it. What is read of a pipe, which cannot be read again, is kept there until it
    has its outcome. `seal` may ask to send now what was read so far. `undelivered`: a new
    file for what is left undelivered, which can be sent in the place of events: its records go as
    they are, in their order.

    Changes nothing of the process around it: no signal handlers, no logging, no environment.

    Raise ConfigError for a missing secret, an audience that is not there or a report that cannot be
    written, DefinitionError, and SourceError. Raise DefectError, with the report, when the
    connector itself fails, or when the state cannot be kept, which is its cause then.
    """
    require_connection(connection)
    require_routes(connection)
    if retries is not None and retries < 0:
        raise ValueError(f"retries must be 0 or more, got {retries}")
    wishes = Wishes(
        transport=transport,
        clock=clock or SystemClock(),
        report=report,
        progress=progress,
        notify=notify,
        retries=retries,
        timeout=timeout,
        keep_failures=keep_failures,
        state=state,
        resume=resume,
        restart=restart,
        undelivered=undelivered,
        seal=seal,
    )
    mapping = Pipeline(connection)
    with opened_events(events, connection, limit) as opened:
        if state is None or not resume or not is_pipe(opened):
            return _send(connection, opened, mapping, wishes)

        # Only a pipe with a state needs an outbox.
        from connector.library.piped import send_piped

        return send_piped(connection, opened, Path(state), wishes)


def _send(
    connection: Connection,
    opened: Source | Iterator[Chunk],
    mapping: Pipeline,
    wishes: Wishes,
) -> Report:
    """Deliver an open input, as `send` does."""
    clock, retries, report = wishes.clock, wishes.retries, wishes.report
    remembered = remembered_in(wishes.state, connection)
    rates = connection.destination.rates
    retry = RetryPolicy.of(connection.destination.retry, retries)

    with ExitStack() as stack:
        are_prepared = are_prepared_records(opened, connection)
        pipeline: AnyPipeline = PreparedPipeline(connection) if are_prepared else mapping
        sender = sender_of(connection, wishes.transport, wishes.timeout, clock)
        transport = stack.enter_context(sender)
        folder = wishes.state if wishes.resume else None
        kept = durable_run(folder, connection, opened, restart=wishes.restart)
        durable = stack.enter_context(kept)
        resumes = durable is not None
        left = undelivered_file(wishes.undelivered, connection, report, resumes=resumes)
        keep = stack.enter_context(left)
        file = stack.enter_context(report_file(report, connection, opened, durable))

        if remembered is not None:
            remembered.prepare()
        if asks_for_audiences(connection) and not are_prepared:
            asking = (transport, remembered, clock, retries, wishes.notify)
            pipeline = _pipeline_with_audiences(connection, *asking)

        limiter = Limiter(rates, clock)
        keep_failures = wishes.keep_failures
        ledger = _ledger(durable, file, keep, clock, limiter, keep_failures=keep_failures)
        ledger.notify = wishes.notify or ledger.notify
        chunks = observed(opened, connection, ledger)

        show_progress = partial(wishes.show, ledger.counts)
        run = Run(
            *(pipeline, rates, transport, clock, retry, ledger, show_progress),
            *(connection.sign_in_advice, limiter, wishes.seal),
        )
        result = run.deliver(chunks)
        show_progress()
    return result


def _ledger(
    durable: OpenRun | None,
    report: BinaryIO | None,
    keep: Undelivered | None,
    clock: Clock,
    limiter: Limiter,
    *,
    keep_failures: bool,
) -> Ledger:
    """Return the ledger of a run: of one that goes on, or of a new one."""
    if durable is not None:
        return durable.ledger(report, clock, limiter, keep_failures=keep_failures)
    ledger = Ledger(report, keep_failures=keep_failures, run=new_run_id(clock.now()))
    ledger.keep = keep
    if keep is not None:
        keep.run = ledger.run
    return ledger


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

"""Runs of pipes that have a state: put together, and refused what makes no sense for them."""

from __future__ import annotations

from contextlib import ExitStack, closing
from pathlib import Path

from connector.connection.model import Connection
from connector.delivery.clock import SystemClock
from connector.delivery.courier import Transport
from connector.delivery.http import TIMEOUT_SECONDS
from connector.delivery.inputs import observed
from connector.delivery.ledger import Ledger
from connector.delivery.outbox.sqlite import SqliteOutbox
from connector.delivery.piped import PipedRun, Told
from connector.delivery.report import Report, new_run_id
from connector.delivery.report_file import report_file
from connector.delivery.state.folder import delivering
from connector.delivery.state.order import check_run_is_finished
from connector.delivery.worker.channel import SLOT_SECONDS, Sender
from connector.errors import ConfigError, Problem
from connector.library.arguments import Wishes
from connector.library.outgoing import Means, Open, Outgoing
from connector.model import Request, Response
from connector.sources.files import Source


def send_piped(connection: Connection, source: Source, folder: Path, wishes: Wishes) -> Report:
    """Deliver what is read of a pipe, through the outbox of a folder."""
    _check(wishes)
    name = Path(connection.file).stem
    clock = wishes.clock
    seconds = wishes.timeout or TIMEOUT_SECONDS
    retries = wishes.retries
    means = Means(folder, seconds, retries, retries, open=_opening(wishes.transport))
    ends = SystemClock()  # of the worker alone, which ends with the input, too

    with ExitStack() as stack:
        lock = stack.enter_context(delivering(folder))
        check_run_is_finished(folder, name)
        outbox = stack.enter_context(closing(SqliteOutbox(folder, lock)))
        file = stack.enter_context(report_file(wishes.report, connection, source))
        ledger = Ledger(file, keep_failures=wishes.keep_failures, run=new_run_id(clock.now()))
        ledger.notify = wishes.notify or ledger.notify
        told = Told(outbox.status().now, ledger)
        if isinstance(clock, SystemClock):
            clock.when_ended(ends.end)
        outgoing = Outgoing({name: connection}, outbox, means, ends, told, ledger)
        if isinstance(clock, SystemClock):
            for channel in outgoing.channels:
                clock.when_cut(channel.cut)

        run = PipedRun(
            name=name,
            folder=folder,
            outbox=outbox,
            mapper=outgoing.mappers[name],
            worker=outgoing.worker,
            told=told,
            ledger=ledger,
            clock=clock,
            grace=seconds + SLOT_SECONDS,
            progress=wishes.progress,
            seal=wishes.seal,
        )
        result = run.deliver(observed(source, connection, ledger))
        wishes.show(result.counts)
        return result


def _check(wishes: Wishes) -> None:
    """Raise ConfigError (C012) for what only a run of files can do."""
    problems = []
    if wishes.restart:
        message = "a pipe has nothing to begin again: what is left in the outbox goes first"
        hint = "leave it out, or name another folder to leave alone what is in this one"
        problems.append(Problem("C012", "--restart", "", message, hint))
    if wishes.undelivered is not None:
        message = "with a state, what is left undelivered of a pipe stays in the outbox"
        hint = "leave it out; the next 'send' of a pipe with this folder sends it first"
        problems.append(Problem("C012", str(wishes.undelivered), "", message, hint))
    if problems:
        raise ConfigError(problems)


class _Given(Sender):
    """A transport of the caller's, who closes it."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def __call__(self, request: Request) -> Response:
        return self._transport(request)

    def cut(self) -> None:
        """Leave it alone."""

    def __exit__(self, *_: object) -> None:
        """Leave it open."""


def _opening(transport: Transport | None) -> Open | None:
    return None if transport is None else lambda connection: _Given(transport)

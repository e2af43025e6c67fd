"""Go on with the run of a state folder, or begin one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from connector.connection.model import Connection
from connector.definitions.digest import definition_digest
from connector.delivery.clock import Clock
from connector.delivery.rate_limit import Limiter
from connector.delivery.state.durable import DurableLedger
from connector.delivery.state.folder import delivering
from connector.delivery.state.inputs import Input
from connector.delivery.state.order import check_nothing_is_pending
from connector.delivery.state.progress import Progress
from connector.delivery.state.runs import Identity, Runs, Saved, StoredRun
from connector.errors import ConfigError, Problem


@dataclass(frozen=True)
class OpenRun:
    """A run that this process works at. `last` is what earlier ones did of it, None for a new run.

    Nothing of it is stored before its ledger is asked for.
    """

    runs: Runs
    connection: str
    identity: Identity
    last: StoredRun | None
    saved: Saved
    progress: Progress

    def report_length(self, report: Path, size: int) -> int:
        """Return how long a report is as far as it is committed, of `size` bytes as it is now.

        From now on it is the run's report.
        """
        path = str(report.resolve())
        if self.saved.report != path:
            # What stands there already is of other runs.
            self.saved.report = path
            self.saved.report_bytes = size
        # Somebody may have made it shorter meanwhile.
        self.saved.report_bytes = min(self.saved.report_bytes, size)
        return self.saved.report_bytes

    def report_elsewhere(self) -> None:
        """Note that this process does not report to a file by its name.

        What it reports is no part of the file of another process.
        """
        self.saved.report = ""

    def ledger(
        self, report: BinaryIO | None, clock: Clock, limiter: Limiter, *, keep_failures: bool
    ) -> DurableLedger:
        """Return the ledger of this process; the limiter knows the latest requests from now on."""
        limiter.resume(self.saved.paced, self.saved.paced_at)
        unanswered = self.saved.unanswered if self.saved.ended_well else None
        self.saved.ended_well = False
        return DurableLedger(
            self.runs,
            self._store(clock.now()),
            self.saved,
            self.progress,
            report,
            keep_failures=keep_failures,
            paced=limiter.recent,
            now=clock.now,
            had_ended=self.last is not None and self.last.ended,
            unanswered=unanswered,
        )

    def _store(self, now: float) -> str:
        """Store that this process begins; return what the run is called."""
        if self.last is None:
            return self.runs.begin(self.connection, self.identity, self.saved, now)

        if not self.last.ended:
            self.saved.restarts += 1
        self.runs.go_on(self.last.id, self.identity, self.saved)
        return self.last.id


@contextmanager
def open_run(
    folder: Path, connection: Connection, source: Input, *, restart: bool
) -> Iterator[OpenRun]:
    """Go on with the run of a connection, unless there is none or `restart`; then begin one.

    While a run is unfinished, it is an error (C250) when its input, definitions or connection are
    not what they were. After that another input begins a new run. The same input has nothing left
    to send, and what it has more at its end is sent.

    Raise ConfigError, also C247 and C252, OutboxError, and StateFolderError as `delivering`.
    """
    name = Path(connection.file).stem
    identity = Identity(source, definition_digest(connection.destination), connection.digest)
    with delivering(folder):
        check_nothing_is_pending(folder, name)
        runs = Runs(folder)
        try:
            last = None if restart else runs.last(name)
            if last is not None and not _goes_on(last, identity, folder):
                last = None
            saved = Saved() if last is None else last.saved
            progress = Progress(saved.settled, saved.prepared)
            if last is not None:
                for lane, before, beyond in runs.lanes(last.id):
                    progress.add_lane(lane, before, beyond)
            yield OpenRun(runs, name, identity, last, saved, progress)
        finally:
            runs.close()


def _goes_on(last: StoredRun, identity: Identity, folder: Path) -> bool:
    """Return whether a run goes on with this identity. Raise ConfigError (C250) if it has to."""
    change = identity.input.difference(last.input)
    if change:
        change = f"the input is another: {change}"
    elif identity.definitions != last.definitions:
        change = "the definition files of the destination changed"
    elif identity.connection != last.connection:
        change = "the connection changed in what it sends"

    if change and not last.ended:
        message = f"run {last.id} is unfinished, and {change}"
        hint = "undo the change to finish it, or pass --restart to forget it and send everything"
        raise ConfigError([Problem("C250", str(folder), "", message, hint)])
    return not change

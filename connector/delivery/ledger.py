"""The ledger of a run.

It records every outcome and request, keeps the counts and reports the failures.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import BinaryIO, Protocol

from connector.delivery.report import Counts, Failure, Report, UndeliveredFile
from connector.delivery.retry import waiting_line
from connector.errors import StateError
from connector.model import (
    Batch,
    Chunk,
    EventId,
    ItemId,
    Outcome,
    Record,
    Rejection,
    Request,
    Response,
    name_of,
)
from connector.pipeline.audiences import UsedAudience
from connector.pipeline.dropped import DroppedValue
from connector.pipeline.fill import Filled

# A reason may hold a vendor's own code: what a vendor can invent must not fill the memory.
MAX_REASONS = 1_000


class KeepsUndelivered(Protocol):
    """Keeps records, one call at a time."""

    def add(self, records: Iterable[Record], /) -> None:
        """Keep records."""

    def complete(self) -> UndeliveredFile:
        """Return what became of them."""


class Ledger:
    """Counts outcomes, from any thread, and reports failures.

    With a `report` each failure is written to it as a line of NDJSON. With `keep_failures` they are
    kept in `failures`, which grows with every one of them.

    To observe a run, subclass it and extend its public methods.
    """

    def __init__(
        self, report: BinaryIO | None = None, *, keep_failures: bool = False, run: str = ""
    ) -> None:
        """`run`: what the run is called, in each line of the report."""
        #: What the run is called, "" if it has no name.
        self.run = run
        self.counts = Counts()
        #: Failed records by (outcome, code, reason).
        self.reasons: Counter[tuple[str, str, str]] = Counter()
        self.failures: list[Failure] = []
        self.report_error = ""
        #: Why what has to be kept of the run is not, None as long as it is.
        self.failure: StateError | None = None
        #: Return the file and the line of a position in the input.
        self.locate: Callable[[int], tuple[str | None, int]] = lambda position: (None, position)
        #: The last position that was read, if the input was not read to its end; 0: none was.
        self.stopped_after: int | None = None
        #: Return what looks like a mistake in the input.
        self.doubts_of_input: Callable[[], Sequence[str]] = tuple
        #: Whether events are known by their positions, and not by ids of their own.
        self.positions_are_ids = True
        #: Called with a line for whoever watches the run.
        self.notify: Callable[[str], None] = lambda line: None
        #: Keeps the records that are left undelivered, None if nobody asks for them.
        self.keep: KeepsUndelivered | None = None
        self._report = report
        self._is_flushed = True
        self._keep_failures = keep_failures
        # The (event id, route) pairs that a record on its way has superseded, by `id(record)`.
        self._superseded: dict[int, list[tuple[EventId, str]]] = {}
        self._lock = threading.Lock()

    def read(self, events: int) -> None:
        """Count events that were read."""
        self.counts.events += events

    def prepared(self, records: int) -> None:
        """Count records that were made of a piece of the input."""
        self.counts.records += records
        with self._lock:
            self._flush()

    def remaining(self, chunks: Iterable[Chunk]) -> Iterable[Chunk]:
        """Return the chunks of an input without what is done with."""
        return chunks

    def take(self, records: Sequence[Record]) -> Sequence[Record]:
        """Return the records that are to be delivered."""
        return records

    def chunk_done(self, position: int) -> None:
        """Note that all events up to this position became records, or something else."""

    def skipped(self) -> None:
        """Count an event that no route takes."""
        self.counts.skipped += 1

    def refused(self, rejection: Rejection) -> None:
        """Report an event that cannot become a record.

        It counts as a record all the same, unless there is nothing to do for it.
        """
        code = rejection.code
        reason = rejection.reason
        outcome = rejection.outcome
        with self._lock:
            if outcome == "rejected":
                self.counts.records += 1
                self.counts.rejected += 1
            elif outcome == "undelivered":
                self.counts.records += 1
                self.counts.undelivered += 1
            self._count_reason(outcome, code, reason)
            event_id, route = rejection.event_id, rejection.route
            self._report_event(event_id, route, outcome, code, reason)

    def dropped(self, values: Iterable[DroppedValue]) -> None:
        """Report values that were dropped. Their records go on without them."""
        if not self._reports_events:
            return
        with self._lock:
            for value in values:
                self._report_event(
                    value.event_id,
                    value.route,
                    "dropped",
                    value.code,
                    value.reason,
                    value.parameter,
                )
            self._flush()

    def superseded(self, older: Record, newer: Record) -> None:
        """Count a record that a newer one replaced; it shares the outcome of the newer one."""
        with self._lock:
            self.counts.superseded += 1
            if not self._reports_events:
                return

            replaced = self._superseded.pop(id(older), [])
            replaced.append((older.event_id, older.target.route))
            known = self._superseded.setdefault(id(newer), replaced)
            if known is not replaced:
                known += replaced

    def delivered(self, records: Sequence[Record]) -> None:
        """Count records that the vendor confirmed."""
        with self._lock:
            self.counts.delivered += len(records)
            if self._superseded:
                for record in records:
                    self._superseded.pop(id(record), None)

    def rejected(self, records: Sequence[Record], code: str, reason: str) -> None:
        """Report records that the vendor refused for good."""
        with self._lock:
            self.counts.rejected += len(records)
            for record in records:
                self._fail(record, "rejected", code, reason)
            self._flush()

    def undelivered(self, records: Sequence[Record], code: str, reason: str) -> None:
        """Report records that were not sent, or whose arrival is unknown."""
        with self._lock:
            self.counts.undelivered += len(records)
            for record in records:
                self._fail(record, "undelivered", code, reason)
            if self.keep is not None:
                self.keep.add(records)
            self._flush()

    def unanswered(self, records: Sequence[Record], code: str, reason: str) -> None:
        """Report records that may have been delivered and must not be sent twice."""
        self.undelivered(records, code, reason)

    def kept(self, records: int, code: str, reason: str) -> None:
        """Count records that are left undelivered and kept in an outbox. They have no line."""
        with self._lock:
            self.counts.records += records
            self.counts.undelivered += records
            self._count_reason("undelivered", code, reason, records)

    def attempted(
        self,
        batch: Batch,
        request: Request,
        response: Response | None,
        outcome: Outcome,
    ) -> None:
        """Count a request that was sent. `response` is None when there was no answer."""
        with self._lock:
            self.counts.requests += 1
            self.counts.bytes += len(request.body)

    def waiting(self, seconds: float, reason: str) -> None:
        """Note that a request waits before it is sent again."""
        line = waiting_line(seconds, reason)
        if line:
            self.notify(line)

    def close(
        self,
        dropped: Mapping[tuple[str, str], int],
        seconds: float,
        *,
        interrupted: bool = False,
        fill: Iterable[Filled] = (),
        doubts: Iterable[str] = (),
        audiences: Iterable[UsedAudience] = (),
    ) -> Report:
        """Return the report of the finished run.

        `dropped` counts identifier values by (parameter, reason); `seconds` is the wall clock time
        of the run; `fill`, `doubts` and `audiences` are those of the pipeline.
        """
        with self._lock:
            self._flush()
        undelivered_file = None if self.keep is None else self.keep.complete()
        self.counts.identifiers_dropped = sum(dropped.values())
        self.counts.seconds = seconds
        return Report(
            replace(self.counts),
            dict(self.reasons.most_common()),
            dict(Counter(dropped).most_common()),
            tuple(self.failures),
            interrupted,
            self.report_error,
            tuple(fill),
            (*self.doubts_of_input(), *doubts),
            tuple(audiences),
            self.run,
            undelivered_file=undelivered_file,
            stopped_after=self._stopped_after,
        )

    @property
    def _stopped_after(self) -> tuple[str | None, int] | None:
        """Return the file and the line of the last event that was read."""
        if not self.stopped_after:
            return None if self.stopped_after is None else (None, 0)
        return self.locate(self.stopped_after)

    @property
    def _reports_events(self) -> bool:
        return self._report is not None or self._keep_failures

    def _fail(self, record: Record, outcome: str, code: str, reason: str) -> None:
        """Report a record, and the events that it superseded: they were not delivered either."""
        self._count_reason(outcome, code, reason)
        route = record.target.route
        self._report_event(record.event_id, route, outcome, code, reason)

        older_reason = f"replaced by a later event, which was {outcome}: {reason}"
        for event_id, older_route in self._superseded.pop(id(record), ()):
            self._report_event(event_id, older_route, "superseded", code, older_reason)

    def _count_reason(self, outcome: str, code: str, reason: str, records: int = 1) -> None:
        key = (outcome, code, reason)
        if key in self.reasons or len(self.reasons) < MAX_REASONS:
            self.reasons[key] += records

    def _report_event(
        self,
        event_id: EventId,
        route: str,
        outcome: str,
        code: str,
        reason: str,
        parameter: str | None = None,
    ) -> None:
        if not self._reports_events:
            return

        item = event_id.item if isinstance(event_id, ItemId) else None
        file = line = None
        name = name_of(event_id)
        event: str | None = str(name)
        if isinstance(name, int):
            file, line = self.locate(name)
            # A position among ids would blame another event.
            if not self.positions_are_ids or not route:
                event = None
        failure = Failure(event, route or None, outcome, code, reason, item, file, line, parameter)
        if self._keep_failures:
            self.failures.append(failure)
        if self._report is not None:
            self._write(failure.ndjson(self.run))

    def _write(self, line: bytes) -> None:
        """Write a line of the report."""
        if self._report is None:
            return
        self._is_flushed = False
        try:
            self._report.write(line)
        except OSError as error:
            self._give_up_report(error)

    def _flush(self) -> None:
        """Hand on the lines so far: a process that is killed leaves them behind."""
        if self._is_flushed or self._report is None:
            return
        self._is_flushed = True
        try:
            self._report.flush()
        except OSError as error:
            self._give_up_report(error)

    def _give_up_report(self, error: OSError) -> None:
        """Go on without a report; the summary says so."""
        self.report_error = error.strerror or type(error).__name__
        self._report = None

"""The tally: what became of every record, as counts and, line by line, as a report of what was not delivered."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import BinaryIO

import orjson

from connector.model import Record, Rejection, Request

# Seconds; shorter waits are nobody's business.
_LONG_WAIT = 5.0


@dataclass(slots=True)
class Summary:
    """The counts of a run: `records == delivered + superseded + rejected + undelivered`; seconds are of wall clock."""

    events: int = 0
    records: int = 0
    delivered: int = 0
    superseded: int = 0
    rejected: int = 0
    undelivered: int = 0
    skipped: int = 0
    identifiers_dropped: int = 0
    requests: int = 0
    bytes: int = 0
    seconds: float = 0.0

    @property
    def complete(self) -> bool:
        """Whether nothing was rejected or left undelivered."""
        return not self.rejected and not self.undelivered


class Tally:
    """Counts outcomes, from any thread; writes the report when there is a file for it."""

    def __init__(self, report: BinaryIO | None = None) -> None:
        self.summary = Summary()
        self.reasons: Counter[tuple[str, str, str]] = Counter()
        self.dropped: Counter[tuple[str, str]] = Counter()
        self.report_error = ""
        self._report = report
        #: What to do with a line for whoever watches the run.
        self.say: Callable[[str], None] = lambda text: None
        # record → the events that it superseded, as long as it is on its way
        self._covered: dict[int, list[tuple[int | str, str]]] = {}
        self._lock = threading.Lock()

    def read(self, events: int) -> None:
        """So many events were read."""
        self.summary.events += events

    def prepared(self, records: int) -> None:
        """So many records were made."""
        self.summary.records += records

    def skipped(self) -> None:
        """No route took an event."""
        self.summary.skipped += 1

    def refused(self, rejection: Rejection) -> None:
        """An event could not become a record: it counts as a rejected one."""
        with self._lock:
            self.summary.records += 1
            self.summary.rejected += 1
            self._note(
                "rejected", rejection.event_id, rejection.route, rejection.code, rejection.reason
            )

    def superseded(self, older: Record, newer: Record) -> None:
        """A newer record took an older one's place, and answers for it from now on."""
        with self._lock:
            self.summary.superseded += 1
            if self._report is not None:
                covered = self._covered.pop(id(older), [])
                covered.append((older.event_id, older.target.route))
                mine = self._covered.setdefault(id(newer), covered)
                if mine is not covered:
                    mine += covered

    def delivered(self, records: Sequence[Record]) -> None:
        """The vendor confirmed these."""
        with self._lock:
            self.summary.delivered += len(records)
            for record in records if self._covered else ():
                self._covered.pop(id(record), None)

    def rejected(self, records: Sequence[Record], code: str, reason: str) -> None:
        """The vendor refused these for good."""
        with self._lock:
            self.summary.rejected += len(records)
            for record in records:
                self._note_record("rejected", record, code, reason)

    def undelivered(self, records: Sequence[Record], code: str, reason: str) -> None:
        """These were not sent, or nobody knows that they arrived."""
        with self._lock:
            self.summary.undelivered += len(records)
            for record in records:
                self._note_record("undelivered", record, code, reason)

    def attempted(self, request: Request) -> None:
        """A request was sent."""
        with self._lock:
            self.summary.requests += 1
            self.summary.bytes += len(request.body)

    def waiting(self, seconds: float, reason: str) -> None:
        """A request is sent again after some seconds; a long wait is said."""
        if seconds >= _LONG_WAIT:
            self.say(f"waiting {seconds:.0f} s before a request is sent again: {reason}")

    def finish(self, dropped: Counter[tuple[str, str]], seconds: float) -> None:
        """Take the dropped identifier values, by (parameter, reason), and the wall clock time of the run."""
        self.dropped = dropped
        self.summary.identifiers_dropped = sum(dropped.values())
        self.summary.seconds = seconds

    def _note_record(self, outcome: str, record: Record, code: str, reason: str) -> None:
        """Note a record, and in the report the events that it superseded: they were not delivered either."""
        self._note(outcome, record.event_id, record.target.route, code, reason)
        for event_id, route in self._covered.pop(id(record), ()):
            self._write(
                "superseded", event_id, route, code, f"the event after it was {outcome}: {reason}"
            )

    def _note(self, outcome: str, event_id: int | str, route: str, code: str, reason: str) -> None:
        key = (outcome, code, reason)
        if key in self.reasons or len(self.reasons) < 1_000:
            self.reasons[key] += 1
        self._write(outcome, event_id, route, code, reason)

    def _write(self, outcome: str, event_id: int | str, route: str, code: str, reason: str) -> None:
        if self._report is not None:
            line = {
                "event": str(event_id),
                "route": route or None,
                "outcome": outcome,
                "code": code,
                "reason": reason,
            }
            try:
                self._report.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
            except OSError as error:  # the run goes on, the summary says so
                self.report_error = str(error.strerror)
                self._report = None

"""The ledger of a run that can go on after it ended: every outcome is on disk before it counts."""

from __future__ import annotations

import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import BinaryIO

from connector.delivery.ledger import Ledger
from connector.delivery.report import Counts, Report
from connector.delivery.state.progress import LaneProgress, Place, Progress
from connector.delivery.state.runs import Runs, Saved
from connector.errors import StateError
from connector.model import (
    Batch,
    Chunk,
    Outcome,
    Record,
    Rejection,
    Request,
    Response,
    position_of,
)
from connector.pipeline.audiences import UsedAudience
from connector.pipeline.dropped import DroppedValue
from connector.pipeline.fill import Filled

_GOES_ON = (
    "then give the same command again: what was kept of the run before is there, and what was "
    "delivered since is sent again"
)


class DurableLedger(Ledger):
    """Keeps how far a run is in its state, and counts over all processes that worked at it.

    What is delivered or rejected is committed at once, with its counts and with what it superseded.
    What became of events without being sent is counted once for each chunk, with the next commit.
    What is undelivered stays open: the next process sends it again.
    """

    def __init__(
        self,
        runs: Runs,
        run: str,
        saved: Saved,
        progress: Progress,
        report: BinaryIO | None = None,
        *,
        keep_failures: bool = False,
        paced: Callable[[], Sequence[int]] = tuple,
        now: Callable[[], float],
        had_ended: bool = False,
        unanswered: int | None = None,
    ) -> None:
        """`report` stands where the run left it; `paced` counts the latest requests by rate.

        `had_ended`: whether nothing was left of the run. `unanswered`: how many records the last
        process had sent without an answer, None when it did not come to its end.
        """
        super().__init__(report, keep_failures=keep_failures, run=run)
        self._runs = runs
        self._saved = saved
        self._progress = progress
        self._paced = paced
        self._had_ended = had_ended
        self._left_unanswered = unanswered
        self._now = now
        self.counts = replace(saved.counts)
        self.reasons = Counter(saved.reasons)
        self._dropped = Counter(saved.dropped)
        # Open records that were sent, and may have arrived: the lane and place of each.
        self._unanswered: set[tuple[str, Place]] = set()

        # Rejections that earlier processes counted, of events that are prepared again, and those
        # that are counted since the last commit; by position.
        self._refused_before = runs.refused(run)
        self._newly_refused: Counter[int] = Counter()
        # What became of this chunk's events without being sent.
        self._chunk = Counts()
        self._refused: list[Rejection] = []
        self._lost: list[DroppedValue] = []
        # The places of records on their way to the same outcome, by `id(record)` of the newest.
        self._replaced: dict[int, list[Place]] = {}
        # Lines about records that stay open: the next process has other words for them.
        self._open_lines = tempfile.TemporaryFile()  # noqa: SIM115 - `close` closes it
        self._is_open = False
        # Taken before the lock of `Ledger`.
        self._turn = threading.RLock()

    # While a chunk is prepared.

    def remaining(self, chunks: Iterable[Chunk]) -> Iterable[Chunk]:
        """Return the chunks of an input without what earlier processes are done with."""
        return self._progress.remaining(chunks)

    def read(self, events: int) -> None:
        """Count events that were read."""
        self._chunk.events += events

    def skipped(self) -> None:
        """Count an event that no route takes."""
        self._chunk.skipped += 1

    def refused(self, rejection: Rejection) -> None:
        """Report an event that cannot become a record."""
        position = position_of(rejection.event_id)
        if rejection.outcome != "undelivered":
            if self._refused_before[position]:
                self._refused_before[position] -= 1
            else:
                self._refused.append(rejection)
            return
        with self._turn:
            self._progress.hold(position)
            self._is_open = True
            super().refused(rejection)
            self._is_open = False

    def dropped(self, values: Iterable[DroppedValue]) -> None:
        """Report values that were dropped."""
        self._lost += values

    def take(self, records: Sequence[Record]) -> Sequence[Record]:
        """Return the records that no earlier process delivered."""
        with self._turn:
            return self._progress.take(records)

    def chunk_done(self, position: int) -> None:
        """Count what became of a chunk without being sent, unless an earlier process did."""
        with self._turn:
            self._count_chunk()
            self._progress.chunk_done(position)

    def _count_chunk(self) -> None:
        saved = self._saved
        if not self._progress.is_counted:
            for counts in (self.counts, saved.counts):
                counts.events += self._chunk.events
                counts.skipped += self._chunk.skipped
                counts.blank = self.counts.blank

        # An event that was open may have become one that cannot be sent: its time is past, say.
        for rejection in self._refused:
            self._newly_refused[position_of(rejection.event_id)] += 1
            super().refused(rejection)
            if rejection.outcome == "rejected":
                saved.counts.records += 1
                saved.counts.rejected += 1
            self._save_reason(rejection.outcome, rejection.code, rejection.reason, 1)

        if not self._progress.is_counted:
            super().dropped(self._lost)
            self._dropped.update((value.parameter, value.code) for value in self._lost)
        self._chunk = Counts()
        self._refused = []
        self._lost = []

    # While records are delivered.

    def superseded(self, older: Record, newer: Record) -> None:
        """Count a record that a newer one replaced; it shares the outcome of the newer one."""
        with self._turn:
            super().superseded(older, newer)
            replaced = self._replaced.pop(id(older), [])
            replaced.append(self._progress.replace(older))
            self._replaced.setdefault(id(newer), []).extend(replaced)

    def attempted(
        self, batch: Batch, request: Request, response: Response | None, outcome: Outcome
    ) -> None:
        """Count a request that was sent."""
        with self._turn:
            super().attempted(batch, request, response, outcome)
            if response is None:
                self._unanswered.update(self._places(batch.records))

    def delivered(self, records: Sequence[Record]) -> None:
        """Commit records that the vendor confirmed."""
        with self._turn:
            super().delivered(records)
            self._saved.counts.delivered += len(records)
            self._settle(records)

    def rejected(self, records: Sequence[Record], code: str, reason: str) -> None:
        """Commit and report records that the vendor refused for good."""
        with self._turn:
            super().rejected(records, code, reason)
            self._saved.counts.rejected += len(records)
            self._save_reason("rejected", code, reason, len(records))
            self._settle(records)

    def undelivered(self, records: Sequence[Record], code: str, reason: str) -> None:
        """Report records that were not sent, or whose arrival is unknown. They stay open."""
        with self._turn:
            self._is_open = True
            super().undelivered(records, code, reason)
            self._is_open = False

    def _settle(self, records: Sequence[Record]) -> None:
        if not records:
            return
        replaced: list[Place] = []
        if self._replaced:
            for record in records:
                replaced += self._replaced.pop(id(record), ())

        if self._unanswered:
            self._unanswered.difference_update(self._places(records))

        name = records[0].target.lane
        lane = self._progress.settle(name, records, replaced)
        counts = self._saved.counts
        counts.superseded += len(replaced)
        counts.records += len(records) + len(replaced)
        self._commit({name: lane})

    def _commit(self, lanes: Mapping[str, LaneProgress], *, ended: bool = False) -> None:
        """Keep how far the run is, unless that has failed before: there would be a gap."""
        if self.failure is not None:
            return
        self._save()
        try:
            if ended:
                self._runs.end(self.run, self._saved, self._now())
            else:
                self._runs.commit(self.run, self._saved, lanes, self._newly_refused)
        except StateError as error:
            self.failure = _with_what_is_kept(error)
            return
        self._newly_refused.clear()

    def _places(self, records: Sequence[Record]) -> list[tuple[str, Place]]:
        places = []
        for record in records:
            places.append((record.target.lane, self._progress.place(record)))
        return places

    def _save(self) -> None:
        """Bring what is saved up to date."""
        saved = self._saved
        saved.settled = self._progress.settled
        saved.prepared = self._progress.prepared
        saved.counts.requests = self.counts.requests
        saved.counts.bytes = self.counts.bytes
        saved.counts.identifiers_dropped = self._dropped.total()
        saved.dropped = self._dropped
        saved.paced = self._paced()
        saved.paced_at = self._now()
        with self._lock:
            self._flush()
        if self._report is not None and self._report.seekable():
            saved.report_bytes = self._report.tell()

    def _save_reason(self, outcome: str, code: str, reason: str, count: int) -> None:
        key = (outcome, code, reason)
        if key in self.reasons:
            self._saved.reasons[key] = self._saved.reasons.get(key, 0) + count

    def _write(self, line: bytes) -> None:
        if not self._is_open or self._report is None:
            super()._write(line)
            return
        try:
            self._open_lines.write(line)
        except OSError as error:
            self._give_up_report(error)

    def _write_open_lines(self) -> None:
        """Write what the report has to say of records that stay open."""
        try:
            with self._open_lines as lines:
                lines.seek(0)
                for line in lines:
                    self._write(line)
        except OSError as error:
            # There was no room for them in the folder of temporary files.
            self._give_up_report(error)

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
        """Return the report of the run over all processes; it is ended when nothing is open."""
        with self._turn:
            self._saved.counts.seconds += seconds
            nothing_open = self._progress.finish()
            ended = nothing_open and not interrupted
            self._saved.ended_well = True
            self._saved.unanswered = len(self._unanswered)
            self._commit({}, ended=ended)
            ended = ended and self.failure is None

            self._count_chunk()  # of a chunk that a defect ended
            self._is_open = False
            self._write_open_lines()
            report = super().close(
                self._dropped,
                self._saved.counts.seconds,
                interrupted=interrupted,
                fill=fill,
                doubts=doubts,
                audiences=audiences,
            )
        resent = self._left_unanswered
        if resent is None:
            resent = self._progress.reopened
        return replace(
            report,
            ended=ended,
            restarts=self._saved.restarts,
            resent=resent,
            nothing_new=self._had_ended and ended and not self._progress.taken,
        )


def _with_what_is_kept(error: StateError) -> StateError:
    problems = []
    for problem in error.problems:
        hint = f"{problem.hint or 'mend that'}, {_GOES_ON}"
        problems.append(problem._replace(hint=hint))
    return StateError(problems)

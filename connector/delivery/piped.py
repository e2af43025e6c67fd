"""A run that reads a pipe: what is read goes into an outbox, from which a worker delivers it.

A pipe cannot be read again. So what is read is committed before anything else happens to it, and
what has no outcome at the end, however that comes, goes first in the next run.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from connector.delivery.clock import Clock, SteadyTime
from connector.delivery.ledger import Ledger
from connector.delivery.outbox.model import (
    Accepted,
    ConnectionStatus,
    DeadLetter,
    LaneStatus,
    Outbox,
    OutboxError,
    Post,
    Selection,
)
from connector.delivery.report import Counts, DefectError, OutboxUse, Report
from connector.delivery.seal import Seal
from connector.delivery.worker.bundles import offered
from connector.delivery.worker.mapping import Mapper
from connector.delivery.worker.terms import Events
from connector.delivery.worker.worker import Worker
from connector.errors import ConnectorError
from connector.model import Chunk, Record, Rejection, Stop
from connector.pipeline.bundles import origin_of

# What counts the runs that began to read a pipe, and those that said how they ended, in the counts
# of a connection.
_BEGUN = "pipes"
_ENDED = "pipes_ended"

# Seconds between two looks at the outbox: for whoever watches, while it is full, and for its end.
_WATCH_SECONDS = 1.0
_FULL_SECONDS = 0.25
_END_SECONDS = 0.05
# The pause after a look, in times of what it took.
_LOOKS = 10.0

_NOTHING = ConnectionStatus(0, 0, {}, ())
_INTERRUPTED = ("interrupted", "the run ended before this was sent")
_NO_ROOM = ("interrupted", "the run ended while its outbox was full: this event is not kept")


class Told(Events):
    """What the worker of a run tells, counted. `since`: when the run began, by the outbox."""

    def __init__(self, since: float, ledger: Ledger) -> None:
        self.since = since
        #: How many records of earlier runs were delivered.
        self.leftovers = 0
        #: Why nothing can be delivered any more.
        self.error: Exception | None = None
        self._ledger = ledger
        self._lock = threading.Lock()

    def attempted(self, connection: str, word: str, size: int) -> None:
        """Count a request."""
        with self._lock:
            self._ledger.counts.requests += 1
            self._ledger.counts.bytes += size

    def delivered(self, connection: str, records: Sequence[Record]) -> None:
        """Count what an earlier run had left."""
        if records[0].prepared_at >= self.since:
            return  # those of a lane are in the order of their commits
        count = sum(record.prepared_at < self.since for record in records)
        with self._lock:
            self.leftovers += count

    def stopped(self, connection: str, lane: str, stop: Stop, seconds: float) -> None:
        """Say why a lane is stopped."""
        line = (
            f"{lane} is stopped, {stop.code}: {stop.reason}; it is tried again in {seconds:.0f} s"
        )
        self._ledger.notify(line)

    def waiting(self, line: str) -> None:
        """Say that a request waits."""
        self._ledger.notify(line)

    def failed(self, error: Exception) -> None:
        """End the run."""
        self.error = self.error or error


@dataclass
class PipedRun:
    """Reads a pipe and delivers it. `name`: what its connection is called in the outbox.

    `folder`: where the outbox is. `grace`: how many seconds a request in flight can take.
    `progress` is called with the counts so far. `seal` may ask to send now what was read so far.
    """

    name: str
    folder: Path
    outbox: Outbox
    mapper: Mapper
    worker: Worker
    told: Told
    ledger: Ledger
    clock: Clock
    grace: float
    progress: Callable[[Counts], None] | None = None
    seal: Seal | None = None

    def __post_init__(self) -> None:
        """See what earlier runs left. Raise OutboxError."""
        self._time = SteadyTime(self.clock)
        self._before = self._now = self._status()
        self._look_at = 0.0
        counts = self._before.counts
        #: How many earlier runs did not say how they ended.
        self._unended = counts.get(_BEGUN, 0) - counts.get(_ENDED, 0)

    def deliver(self, chunks: Iterable[Chunk]) -> Report:
        """Deliver what earlier runs left, and what is read; return the report.

        Raise what the source raises, OutboxError, and DefectError for a defect of the connector.
        """
        started = time.perf_counter()
        is_read = False
        found: Exception | None = None
        try:
            self._begin()
            is_read = self._read(chunks)
            if is_read:
                self._finish()
        except Exception as error:  # noqa: BLE001 - raised below, once nothing is in flight
            found = error
        interrupted = self.clock.ending
        self.worker.stop(self.grace)
        found = found or self.told.error
        with suppress(OutboxError):
            self._count({_ENDED: 1})
        if isinstance(found, ConnectorError):
            raise _with_what_is_kept(found) from None

        use = self._account(input_lost=not is_read)
        pipeline = self.mapper.pipeline
        report = self.ledger.close(
            pipeline.dropped,
            time.perf_counter() - started,
            interrupted=interrupted or found is not None,
            fill=pipeline.fill,
            doubts=pipeline.doubts,
            audiences=pipeline.audiences,
        )
        report = replace(report, outbox=use, resent=use.leftovers_delivered)
        if found is not None:
            raise DefectError(report) from found
        return report

    def _begin(self) -> None:
        self._count({_BEGUN: 1, _ENDED: self._unended})
        # What stopped an audience may be mended by now.
        self.outbox.start(self.name)
        self.worker.start()
        if self._before.pending:
            self.worker.flush([self.name])

    def _read(self, chunks: Iterable[Chunk]) -> bool:
        """Commit what is read; return whether the input was read to its end."""
        for chunk in chunks:
            if chunk:
                self._take(chunk)
            if self.seal is not None and self.seal.take():
                self.worker.flush([self.name])
            self._show()
            if self._is_over:
                return False
        return True

    def _take(self, chunk: Chunk) -> None:
        self.ledger.read(len(chunk))
        mapped = self.mapper.map_one(chunk, self._time.now())
        written = self.mapper.write([mapped])
        bundles = [one.bundle for one in written]
        accepted = self._commit(Post(bundles, mapped.counts(self.name)))
        if accepted is not None:
            self.worker.offer(offered(written, accepted))
            return
        for position in sorted(mapped.accepted):
            self.ledger.refused(Rejection("", position, *_NO_ROOM, "undelivered"))

    def _commit(self, post: Post) -> Accepted | None:
        """Commit a post; wait while the outbox is full. Return None when the run is over first."""
        while True:
            [answer] = self.outbox.accept([post])
            if isinstance(answer, Accepted):
                return answer
            if self._is_over:
                return None
            self._show()
            self.clock.sleep(_FULL_SECONDS)

    def _finish(self) -> None:
        """Wait until everything has its outcome, or its lane is stopped."""
        self.worker.flush([self.name])
        while not self._is_over:
            looked_at = time.monotonic()
            self._now = self._status()
            if not any(_goes_on(lane) for lane in self._now.lanes):
                return
            self._show()
            took = time.monotonic() - looked_at
            self.clock.sleep(max(_END_SECONDS, took * _LOOKS))

    @property
    def _is_over(self) -> bool:
        return self.clock.ending or self.told.error is not None

    def _status(self) -> ConnectionStatus:
        return self.outbox.status().connections.get(self.name, _NOTHING)

    def _count(self, counts: Mapping[str, int]) -> None:
        self.outbox.accept([Post((), {(self.name, name): n for name, n in counts.items()})])

    def _since(self, name: str) -> int:
        """Return what was counted since the run began, as far as it was looked at."""
        return self._now.counts.get(name, 0) - self._before.counts.get(name, 0)

    def _show(self) -> None:
        """Let whoever watches see the counts; look at the outbox now and then."""
        if self.progress is None:
            return
        if time.monotonic() >= self._look_at:
            self._now = self._status()
            self._look_at = time.monotonic() + _WATCH_SECONDS
        counts = replace(self.ledger.counts)
        counts.delivered = self._since("delivered")
        counts.rejected += self._since("buried")
        self.progress(counts)

    # What became of everything.

    def _account(self, *, input_lost: bool) -> OutboxUse:
        """Let the ledger count what became of the records; return what is left of them."""
        self._now = self._status()
        counts = self.ledger.counts
        counts.delivered = self._since("delivered")
        counts.superseded = self._since("superseded")
        counts.records += counts.delivered + counts.superseded
        dead = 0
        if self._since("buried"):
            for letter in self._dead_letters():
                self._report(letter)
                dead += 1
        for lane in self._now.lanes:
            if lane.pending:
                code, reason = lane.stopped[:2] if lane.stopped else _INTERRUPTED
                self.ledger.kept(lane.pending, code, reason)
        return OutboxUse(
            str(self.folder),
            self._before.pending,
            self.told.leftovers,
            self._now.pending,
            dead,
            input_lost,
            self._unended > 0,
        )

    def _dead_letters(self) -> Iterator[DeadLetter]:
        """Yield those of this run."""
        after = ""
        while page := self.outbox.dead_letters(Selection(connection=self.name), after):
            for letter in page:
                if letter.died_at >= self.told.since:
                    yield letter
            after = page[-1].id

    def _report(self, letter: DeadLetter) -> None:
        origin = origin_of(letter.payload)
        locate = self.ledger.locate
        if letter.committed_at < self.told.since or origin is None:
            self.ledger.locate = _elsewhere
        route, _, event_id = origin or ("", "", 0)
        self.ledger.refused(Rejection(route, event_id, letter.code, letter.reason))
        self.ledger.locate = locate


def _goes_on(lane: LaneStatus) -> bool:
    """Return whether a lane has something to deliver, and is not stopped."""
    return lane.pending > 0 and (lane.stopped is None or lane.worker is not None)


def _elsewhere(position: int) -> tuple[str | None, int]:
    """Return where an event of an earlier run stood: nobody knows in which input."""
    return None, position


def _with_what_is_kept(error: ConnectorError) -> ConnectorError:
    if not isinstance(error, OutboxError):
        return error
    return OutboxError(
        f"{error}; what is in the outbox goes first next time, what was not read yet is lost"
    )

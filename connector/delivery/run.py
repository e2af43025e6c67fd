"""A run: the events of a source through a pipeline to delivery, in constant memory."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar, cast

from connector.definitions.model import Rate
from connector.delivery.clock import Clock, SteadyTime
from connector.delivery.courier import Courier, Transport, defect
from connector.delivery.lanes import Lanes
from connector.delivery.ledger import Ledger
from connector.delivery.rate_limit import Limiter
from connector.delivery.report import DefectError, Report
from connector.delivery.retry import RetryPolicy
from connector.delivery.seal import Seal
from connector.model import Batch, Chunk, Record, Rejection, Result
from connector.pipeline.batching import Batcher
from connector.pipeline.prepared_pipeline import AnyPipeline

_Prepared = TypeVar("_Prepared")

_RECORD_TYPE = {Record}
_PIECE = 10_000


def quiet_collector(*, freeze: bool = True) -> None:
    """Let Python's garbage collector look less often, and never again at what is loaded now.

    A run makes many short-lived values and hardly a cycle; looking through them costs a seventh of
    its time. Without `freeze` it looks at what is loaded now, too. For a process that does nothing
    but run: the command line calls it, the library does not.
    """
    if freeze:
        gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def batches(
    pipeline: AnyPipeline,
    chunks: Iterable[Chunk],
    ledger: Ledger,
    clock: Clock,
    seal: Seal | None = None,
) -> Iterator[Batch]:
    """Yield the batches of a source, each once it is full or old, or the `seal` is asked for.

    They come in the order in which they have to be delivered. When the clock says that the run is
    to end, what is still pending is counted as undelivered.
    """
    pipeline.take_dropped()  # what was prepared before is no part of this run
    batcher = Batcher(ledger.superseded, strict=pipeline.strict)
    time_of_run = SteadyTime(clock)
    last = 0
    try:
        for chunk in chunks:
            now = time_of_run.now()
            ledger.read(len(chunk))
            for prepared in in_pieces(pipeline.prepare(chunk, now)):
                records = ledger.take(_records_of(prepared, ledger))
                ledger.prepared(len(records))
                ledger.dropped(pipeline.take_dropped())
                yield from batcher.take(records)
            if chunk:
                last = chunk[-1].position
                ledger.chunk_done(last)
            yield from batcher.due(now)
            if seal is not None and seal.take():
                yield from batcher.flush()
            if clock.ending:
                ledger.stopped_after = last
                break
    except Exception as error:
        ledger.stopped_after = last
        stop = defect(error)
        for batch in batcher.flush():
            ledger.undelivered(batch.records, stop.code, stop.reason)
        raise

    for batch in batcher.flush():
        if clock.ending:
            reason = "the run ended before this was sent"
            ledger.undelivered(batch.records, "interrupted", reason)
        else:
            yield batch


def in_pieces(prepared: Iterable[_Prepared]) -> Iterator[list[_Prepared]]:
    """Yield results that are not there yet piece by piece: one event may hold very many people."""
    if isinstance(prepared, list):
        yield prepared
        return

    results = iter(prepared)
    while piece := list(islice(results, _PIECE)):
        yield piece


def _records_of(prepared: list[Result | None], ledger: Ledger) -> list[Record]:
    """Return the records; report everything else to the ledger."""
    if _RECORD_TYPE.issuperset(map(type, prepared)):
        # Mostly so: without a loop in Python for each record.
        return cast(list[Record], prepared)

    records = []
    for entry in prepared:
        if entry is None:
            ledger.skipped()
        elif isinstance(entry, Rejection):
            ledger.refused(entry)
        else:
            records.append(entry)
    return records


@dataclass(frozen=True)
class Run:
    """Everything that a run needs.

    `progress` is called after each chunk of events. `advice` is for when the vendor refuses the
    credentials. `limiter`: by default one of the `rates` that knows no request yet. `seal` may ask
    to send now what was read so far.
    """

    pipeline: AnyPipeline
    rates: Sequence[Rate]
    transport: Transport
    clock: Clock
    policy: RetryPolicy
    ledger: Ledger
    progress: Callable[[], None] = lambda: None
    advice: str = ""
    limiter: Limiter | None = None
    seal: Seal | None = None

    def deliver(self, chunks: Iterable[Chunk]) -> Report:
        """Deliver all events and return the report.

        Raise what the source raises, and DefectError for a defect of the connector, or when what
        the ledger has to keep cannot be kept.
        """
        started = time.perf_counter()
        limiter = self.limiter or Limiter(self.rates, self.clock)
        courier = Courier(
            self.transport, self.ledger, self.clock, limiter, self.policy, advice=self.advice
        )
        lanes = Lanes(courier, strict=self.pipeline.strict)
        source_failed = threading.Event()
        found: Exception | None = None
        try:
            try:
                watched = self._watched(chunks, source_failed)
                pipeline, ledger = self.pipeline, self.ledger
                for batch in batches(pipeline, watched, ledger, self.clock, self.seal):
                    lanes.submit(batch)
            finally:
                lanes.close()
        except Exception as error:
            if source_failed.is_set():
                raise
            found = error  # raised below, with the report

        seconds = time.perf_counter() - started
        report = self.ledger.close(
            self.pipeline.dropped,
            seconds,
            interrupted=self.clock.ending or found is not None,
            fill=self.pipeline.fill,
            doubts=self.pipeline.doubts,
            audiences=self.pipeline.audiences,
        )
        found = found or self.ledger.failure
        if found is not None:
            raise DefectError(report) from found
        return report

    def _watched(self, chunks: Iterable[Chunk], failed: threading.Event) -> Iterator[Chunk]:
        """Yield the chunks; note when the source raises."""
        source = iter(chunks)
        while True:
            try:
                chunk = next(source, None)
            except Exception:
                failed.set()
                raise
            if chunk is None:
                return
            yield chunk
            self.progress()

"""A run: the events of a source through a pipeline to delivery, in constant memory."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from connector.definitions.model import Rate
from connector.delivery.courier import Clock, Courier, Lanes, Limiter, RetryPolicy
from connector.delivery.http import Send
from connector.delivery.ledger import Tally
from connector.model import Event, Record, Rejection, Unreadable
from connector.pipeline.batching import Batch, Batcher
from connector.pipeline.pipeline import Pipeline

Chunk = Sequence[Event | Unreadable]


def quiet_collector() -> None:
    """Let Python's garbage collector look less often, and never again at what is loaded now.

    A run makes many short-lived values and hardly a cycle; looking through them costs a seventh of its time. For a
    process that does nothing but run: the command line calls it, the library does not.
    """
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def batches(
    pipeline: Pipeline, chunks: Iterable[Chunk], tally: Tally, clock: Clock
) -> Iterator[Batch]:
    """Yield the batches of a source in the order in which they have to be delivered, each as soon as it is full or old.

    When the clock says that the run is to end, what is still pending is counted as undelivered.
    """
    batcher = Batcher(tally.superseded, strict=pipeline.strict)
    for chunk in chunks:
        now = clock.now()
        tally.read(len(chunk))
        records = []
        for prepared in pipeline.prepare(chunk, now):
            if type(prepared) is Record:
                records.append(prepared)
            elif prepared is None:
                tally.skipped()
            elif isinstance(prepared, Rejection):
                tally.refused(prepared)
        tally.prepared(len(records))
        yield from batcher.take(records)
        yield from batcher.due(now)
        if clock.ending:
            break
    for batch in batcher.flush():
        if clock.ending:
            tally.undelivered(
                batch.records, "interrupted", "the run was ended before this was sent"
            )
        else:
            yield batch


@dataclass(frozen=True)
class Run:
    """Everything that a run needs. `progress` is called after each chunk of events."""

    pipeline: Pipeline
    rates: Sequence[Rate]
    send: Send
    clock: Clock
    policy: RetryPolicy
    tally: Tally
    progress: Callable[[], None] = lambda: None

    def deliver(self, chunks: Iterable[Chunk]) -> None:
        """Deliver all events; afterwards the tally's summary is whole."""
        started = time.perf_counter()
        courier = Courier(
            self.send, self.tally, self.clock, Limiter(self.rates, self.clock), self.policy
        )
        lanes = Lanes(courier, self.tally)
        try:
            for batch in batches(self.pipeline, self._watched(chunks), self.tally, self.clock):
                lanes.submit(batch)
        finally:
            lanes.close()
        self.tally.finish(self.pipeline.dropped, time.perf_counter() - started)

    def _watched(self, chunks: Iterable[Chunk]) -> Iterator[Chunk]:
        for chunk in chunks:
            yield chunk
            self.progress()

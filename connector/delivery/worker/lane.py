"""A lane that is held: reads its records, batches and sends them, and settles what became of them.

The batcher and the courier are those of every run. Nothing is kept of batches: whoever holds the
lane next reads what is not settled, in its order.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

from connector.delivery.clock import Clock
from connector.delivery.courier import Courier
from connector.delivery.lanes import RECORDS, Lanes
from connector.delivery.outbox.model import PAGE, Kept, Outbox, OutboxError, Settled, Verdict
from connector.delivery.worker.bundles import Offered, numbered, verdicts
from connector.delivery.worker.channel import SLOT_SECONDS, SLOTS, Channel, probe_after
from connector.delivery.worker.holding import Holding
from connector.delivery.worker.ledger import LaneLedger
from connector.delivery.worker.terms import Events, Terms
from connector.errors import CutError, UnreachableError
from connector.model import Batch, Record, Request, Response, Stop
from connector.pipeline.batching import Batcher

#: How many records of one lane are read and not settled at most.
LANE_RECORDS = RECORDS // 2

#: Seconds for which a lane is held that has nothing to send: the next post may bring some.
LINGER = 1.0

_NO_BOUND = 10**9
_NEVER = float("inf")
_INTERRUPTED = "interrupted"


class HeldLane:
    """Delivers one lane under a lease. One thread calls `advance` and `leave`."""

    def __init__(
        self,
        channel: Channel,
        outbox: Outbox,
        clock: Clock,
        holding: Holding,
        terms: Terms,
        events: Events,
        wake: Callable[[], None],
    ) -> None:
        """`wake` is called when `advance` has something to do."""
        self.channel = channel
        #: How many records are read and not settled.
        self.held = 0
        #: Whether there may be records that were not read.
        self.has_more = True
        self._outbox = outbox
        self._clock = clock
        self._holding = holding
        # Whether it was stopped, and has not delivered since.
        self._was_stopped = holding.lease.stops > 0
        self._terms = terms
        self._events = events
        self._wake = wake
        self._ledger = LaneLedger(
            self._settle,
            self._attempted,
            partial(events.delivered, channel.name),
            partial(events.retrying, channel.name, holding.lease.lane),
        )
        self._ledger.notify = events.waiting
        self._courier = Courier(
            self._send, self._ledger, clock, channel.limiter, channel.policy, advice=channel.advice
        )
        self._lanes = Lanes(
            self._courier,
            strict=channel.strict,
            queue=_NO_BOUND,
            records=_NO_BOUND,
            pool=channel.pool,
        )
        self._batcher = Batcher(self._ledger.superseded, _NO_BOUND, strict=channel.strict)
        # The last bundle that was read.
        self._after = 0
        self._idle_since: float | None = None
        # Of the records in the batcher: the oldest commit, and when a batch may be due.
        self._oldest = _NEVER
        self._due_at = _NEVER
        self._lock = threading.Lock()

    def begin(self, holding: Holding) -> None:
        """Go on under another lease. What is known of the vendor's answers still holds."""
        self._holding = holding
        self._was_stopped = holding.lease.stops > 0
        if self.held:
            self._after = 0
            self.held = 0
        self.has_more = True

    def offer(self, bundles: Sequence[Offered], room: int) -> None:
        """Take bundles that were accepted a moment ago, as far as there is room.

        The others are read from the outbox: that is slower, and no record is taken twice.
        """
        for bundle in bundles:
            if bundle.number <= self._after:
                continue
            is_next = bundle.number == self._after + 1 and bundle.records
            room = min(room, LANE_RECORDS - self.held)
            if not is_next or room <= 0 or self._stop() is not None:
                self.has_more = True
                return
            self._after = bundle.number
            room -= len(bundle.records)
            self._hold(len(bundle.records))
            self._take(numbered(bundle))

    def advance(self, now: float, flushed_at: float, room: int) -> bool:
        """Do what there is to do; return whether the lane can be left.

        `now` is the time of the database. What was committed until `flushed_at` does not wait.
        `room`: how many further records may be read.
        """
        self._holding.keep()
        if self._stop() is not None:
            return self._lanes.is_idle
        if self.has_more:
            self._read(room, now)
        if now >= self._due_at:
            self._submit(self._batcher.due(now))
            # Others became older meanwhile: look again soon.
            self._due_at = now + 1.0 if not self._batcher.is_empty else _NEVER
        if not self.has_more and self._oldest <= flushed_at:
            self.flush()
        return self._can_be_left()

    def flush(self) -> None:
        """Close every open batch."""
        self._submit(self._batcher.flush())
        self._oldest = self._due_at = _NEVER

    def leave(self) -> bool:
        """Give up the lease, once nothing is on its way; return whether the lane can be resumed."""
        stop = self._stop()
        if stop is None:
            # Who was refused alone is judged now.
            self._courier.finish()
            stop = self._stop()
        if self._holding.is_lost:
            with suppress(OutboxError):
                self._outbox.release(self._holding.lease)  # if nobody else holds it
            return False
        if stop is None:
            self._outbox.release(self._holding.lease)
            return True

        attempts = self._ledger.left()
        if attempts:
            self._outbox.settle(self._holding.lease, Settled(attempts=attempts))
        if stop.code == _INTERRUPTED:
            self._outbox.release(self._holding.lease)
        else:
            self._leave_stopped(stop)
        return False

    def _leave_stopped(self, stop: Stop) -> None:
        lease = self._holding.lease
        seconds = probe_after(lease.stops)
        refused = self.channel.refused()
        if refused is not None:
            seconds = max(seconds, refused[1])
        self._outbox.stop(lease, stop.code, stop.reason, seconds)
        self._events.stopped(lease.connection, lease.lane, stop, seconds)

    @property
    def is_lost(self) -> bool:
        """Whether the lease was lost, or the outbox cannot be reached."""
        return self._holding.is_lost

    @property
    def waits_since(self) -> float:
        """The oldest commit of what waits for a batch to be due; infinite when nothing does."""
        return self._oldest

    @property
    def is_idle(self) -> bool:
        """Whether nothing is on its way."""
        return self._lanes.is_idle

    def _stop(self) -> Stop | None:
        """Return why nothing more is sent, None while the lane goes on."""
        if self._holding.is_lost:
            return Stop("lease_lost", "")
        if self._clock.ending:
            return Stop(_INTERRUPTED, "")
        for stop in self._courier.stopped.values():
            if stop.of_account:
                self.channel.refuse(stop)
            return stop
        refused = self.channel.refused()
        return None if refused is None else refused[0]

    def _can_be_left(self) -> bool:
        if self._stop() is not None:
            return self._lanes.is_idle
        # People who were refused alone may be left, who are judged then.
        if self.has_more or not self._batcher.is_empty or not self._lanes.is_idle:
            self._idle_since = None
            return False
        if self.held:
            return True
        if self._idle_since is None:
            self._idle_since = self._clock.monotonic()
        return self._clock.monotonic() >= self._idle_since + LINGER

    def _read(self, room: int, now: float) -> None:
        """Read on, as far as there is room."""
        room = min(room, LANE_RECORDS - self.held)
        while self.has_more and room > 0:
            limit = min(PAGE, room)
            page = self._outbox.read(self._holding.lease, self._after, limit)
            self.has_more = sum(kept.records for kept in page) >= limit
            # Of all bundles of the page: what dies of one cause is told at once.
            buried: list[Verdict] = []
            for kept in page:
                self._after = kept.number
                records, dead = self._opened(kept, now)
                count = len(records) + len(dead)
                room -= count
                self._hold(count)
                buried += dead
                if records:
                    self._take(records)
            if buried:
                self._settle(Settled(dead=buried))

        if self.has_more and self._lanes.is_idle:
            self.flush()  # there is no room, and nothing that would make some

    def _opened(self, kept: Kept, now: float) -> tuple[list[Record], list[Verdict]]:
        """Return the pending records of a bundle, or why they become dead letters."""
        deadline = self._terms.deadline
        if deadline is not None and now > kept.committed_at + deadline:
            reason = "it could not be delivered before its --deadline; the lane was stopped"
            return [], verdicts(kept, "deadline", reason)
        return self.channel.bundles.read(kept)

    def _hold(self, records: int) -> None:
        with self._lock:
            self.held += records

    def _take(self, records: list[Record]) -> None:
        self._oldest = min(self._oldest, records[0].prepared_at)
        for record in records:
            age = record.target.endpoint.limits.age
            if age is not None:
                self._due_at = min(self._due_at, record.prepared_at + age)
                break
        self._submit(list(self._batcher.take(records)))

    def _submit(self, batches: list[Batch]) -> None:
        for batch in batches:
            self._lanes.submit(batch)

    # From the threads that send.

    def _send(self, request: Request) -> Response:
        if not SLOTS.acquire(timeout=SLOT_SECONDS):
            raise UnreachableError("too many requests of this process are on their way")
        try:
            if self._clock.ending:
                raise CutError("the service ends")
            self._holding.check(self._terms.timeout)
            return self.channel.send(request)
        finally:
            SLOTS.release()

    def _attempted(
        self, batch: Batch, request: Request, response: Response | None, word: str
    ) -> None:
        self._events.attempted(self.channel.name, word, len(request.body))
        self.channel.sent(batch, response, word)

    def _settle(self, settled: Settled) -> None:
        try:
            is_held = self._outbox.settle(self._holding.lease, settled)
        except OutboxError:
            # What became of these is sent again by whoever holds the lane next.
            is_held = False
        if not is_held:
            self._holding.is_lost = True
        count = len(settled.delivered) + len(settled.superseded) + len(settled.dead)
        with self._lock:
            self.held -= count
        if settled.delivered:
            self.channel.accept()
        if is_held:
            self._tell(settled)
        self._wake()

    def _tell(self, settled: Settled) -> None:
        """Say what an operator has to know of what was settled."""
        connection, lane = self._holding.lease.connection, self._holding.lease.lane
        if settled.delivered and self._was_stopped:
            with self._lock:
                is_first, self._was_stopped = self._was_stopped, False
            if is_first:
                self._events.resumed(connection, lane)
        causes = Counter((verdict.code, verdict.reason) for verdict in settled.dead)
        for (code, reason), count in causes.items():
            self._events.buried(connection, lane, code, reason, count)

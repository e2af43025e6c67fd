"""Lanes: the order of batches in each, and how many are on their way at the same time.

A lane is a sequence of phases: inside a phase are batches that commute, which are on their way side
by side, and a phase begins when the one before is settled. So only what is first in a lane may
start, once it commutes with everything that is on its way: nothing overtakes what is before it.
"""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor

from connector.delivery.courier import Courier
from connector.model import Batch, Stop
from connector.pipeline.commuting import Change

#: How many batches are on their way at the same time, over all lanes.
REQUESTS = 64
#: How many further ones wait before `submit` waits.
QUEUE = 16
#: How many records all of these hold, whatever the vendor's requests take: they fill the memory.
RECORDS = 100_000


class _Queue:
    """The batches of a lane: those on their way, and those that wait, in order."""

    __slots__ = ("on_their_way", "waiting")

    def __init__(self) -> None:
        self.on_their_way: list[Change] = []
        self.waiting: deque[Change] = deque()


class Lanes:
    """Runs a courier for each batch in threads."""

    def __init__(
        self,
        courier: Courier,
        *,
        strict: bool = True,
        requests: int = REQUESTS,
        queue: int = QUEUE,
        records: int = RECORDS,
        pool: ThreadPoolExecutor | None = None,
    ) -> None:
        """`strict`: also people without a common identifier may be one person to the vendor.

        `pool`: the threads, of whoever closes it; by default so many as `requests` of its own.
        """
        self._courier = courier
        self._strict = strict
        # It starts a thread only when none of those that it has is idle.
        self._pool = pool or ThreadPoolExecutor(requests, thread_name_prefix="lane")
        self._max_waiting = queue
        self._max_records = records
        self._changed = threading.Condition()
        # Batches without a thread yet, and the records of all that have no outcome.
        self._waiting = 0
        self._records = 0
        self._queues: dict[str, _Queue] = {}
        self._defect: BaseException | None = None

    @property
    def stopped(self) -> dict[str, Stop]:
        """Why lanes were stopped, by lane."""
        return self._courier.stopped

    @property
    def is_idle(self) -> bool:
        """Whether every batch has its outcome."""
        return not self._queues

    def submit(self, batch: Batch) -> None:
        """Queue a batch. Wait while too much waits."""
        change = Change(batch)
        with self._changed:
            self._changed.wait_for(lambda: self._has_room_for(batch))
            self._waiting += 1
            self._records += len(batch.records)
            queue = self._queues.setdefault(batch.lane, _Queue())
            queue.waiting.append(change)
            self._start(queue)

    def close(self) -> None:
        """Wait until every batch has its outcome.

        Raise the exception of a lane that failed by a defect.
        """
        with self._changed:
            self._changed.wait_for(lambda: not self._queues)
        self._pool.shutdown(wait=True)
        self._courier.finish()
        if self._defect is not None:
            raise self._defect

    def _has_room_for(self, batch: Batch) -> bool:
        if self._waiting >= self._max_waiting:
            return False
        # A batch that is too large by itself goes alone.
        records = self._records
        return not records or records + len(batch.records) <= self._max_records

    def _start(self, queue: _Queue) -> None:
        """Start what is first in a lane, as long as it may be beside what is on its way."""
        while queue.waiting:
            first = queue.waiting[0]
            if len(queue.on_their_way) >= self._courier.side_by_side(first.batch):
                return
            for other in queue.on_their_way:
                if not first.commutes_with(other, strict=self._strict):
                    return

            queue.on_their_way.append(queue.waiting.popleft())
            self._pool.submit(self._deliver, first, queue)

    def _deliver(self, change: Change, queue: _Queue) -> None:
        batch = change.batch
        with self._changed:
            self._waiting -= 1
            self._changed.notify_all()
        try:
            self._courier.deliver(batch)
        except BaseException as error:  # noqa: BLE001 - a defect stops its lane; `close` raises it
            self._defect = error

        with self._changed:
            self._records -= len(batch.records)
            queue.on_their_way.remove(change)
            self._start(queue)
            if not queue.on_their_way:
                del self._queues[batch.lane]
            self._changed.notify_all()

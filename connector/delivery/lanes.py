"""Lanes: each first in, first out with one request in flight; different lanes run at the same time.

What cannot be delivered stops its lane: what comes later must not overtake it.
"""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor

from connector.delivery.courier import Courier, defect
from connector.delivery.ledger import Ledger
from connector.model import Batch, Stop

#: How many lanes are delivered at the same time.
LANES = 8
#: How many batches wait or are being delivered before `submit` waits.
QUEUE = 16


class Lanes:
    """Runs a courier for each lane in threads."""

    def __init__(
        self, courier: Courier, ledger: Ledger, lanes: int = LANES, queue: int = QUEUE
    ) -> None:
        self._courier = courier
        self._ledger = ledger
        self._pool = ThreadPoolExecutor(lanes, thread_name_prefix="lane")
        self._queue_slots = threading.Semaphore(queue)
        self._lock = threading.Lock()
        # By lane. The first batch of a queue is the one that is being delivered.
        self._queues: dict[str, deque[Batch]] = {}
        self._stopped: dict[str, Stop] = {}
        self._defect: BaseException | None = None

    @property
    def stopped(self) -> dict[str, Stop]:
        """Why lanes were stopped, by lane."""
        return dict(self._stopped)

    def submit(self, batch: Batch) -> None:
        """Queue a batch. Wait while too many are queued."""
        self._queue_slots.acquire()

        with self._lock:
            queue = self._queues.setdefault(batch.lane, deque())
            idle = not queue
            queue.append(batch)

        if idle:
            self._pool.submit(self._run_lane, batch.lane)

    def close(self) -> None:
        """Wait until every batch has its outcome.

        Raise the exception of a lane that failed by a defect.
        """
        self._pool.shutdown(wait=True)
        self._stopped |= self._courier.finish()
        if self._defect is not None:
            raise self._defect

    def _run_lane(self, lane: str) -> None:
        """Deliver the batches of a lane until its queue is empty."""
        with self._lock:
            queue = self._queues[lane]
            batch = queue[0]

        while True:
            self._deliver(lane, batch)
            self._queue_slots.release()

            with self._lock:
                queue.popleft()
                if not queue:
                    del self._queues[lane]
                    return
                batch = queue[0]

    def _deliver(self, lane: str, batch: Batch) -> None:
        earlier_stop = self._stopped.get(lane)
        if earlier_stop is not None:
            reason = f"its lane was stopped: {earlier_stop.reason}"
            self._ledger.undelivered(batch.records, earlier_stop.code, reason)
            return

        try:
            stop = self._courier.deliver(batch)
        except BaseException as error:  # noqa: BLE001 - a defect stops its lane; `close` raises it
            self._defect = error
            stop = defect(error)

        if stop is not None:
            self._stopped[lane] = stop

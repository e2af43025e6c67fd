"""One audience reaches the vendor's rate in spite of slow answers: in simulated time, exactly."""

from __future__ import annotations

import heapq
import threading
from dataclasses import replace

from connector.definitions.model import Limits, Rate
from connector.delivery.courier import Courier
from connector.delivery.lanes import Lanes
from connector.delivery.rate_limit import Limiter
from connector.model import Batch, Request, Response
from tests.kit.clock import NOW
from tests.kit.memory_vendor import Book
from tests.kit.records import x
from tests.laws.test_refusals import Vendor, batches

LATENCY = 0.3
SECONDS = 60.0


class SimulatedClock:
    """Its time goes on once everybody who could do something sleeps, to when the next one wakes."""

    ending = False

    def __init__(self) -> None:
        self._now = NOW
        self._changed = threading.Condition()
        self._sleepers: list[float] = []
        self._is_over = False

    def now(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._now

    def sleep(self, seconds: float) -> bool:
        with self._changed:
            wakes_at = self._now + seconds
            heapq.heappush(self._sleepers, wakes_at)
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._is_over or self._now >= wakes_at)
            self._now = max(self._now, wakes_at)
        return True

    def go_on(self, sleepers: int) -> None:
        """Wait for so many sleepers, and let those wake that are the first to."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self._sleepers) == sleepers, 30)
            self._now = self._sleepers[0]
            while self._sleepers and self._sleepers[0] <= self._now:
                heapq.heappop(self._sleepers)
            self._changed.notify_all()

    def finish(self) -> None:
        """Let everybody go on without a wait."""
        with self._changed:
            self._is_over = True
            self._changed.notify_all()


class SlowVendor(Vendor):
    """Accepts every request after `LATENCY`."""

    def __init__(self, clock: SimulatedClock, concurrency: int) -> None:
        super().__init__(lambda numbers: "")
        self.caps = self.limits = Limits(concurrency=concurrency)
        self._clock = clock
        self.times: list[float] = []

    def __call__(self, request: Request) -> Response:
        self._clock.sleep(LATENCY)
        self.times.append(self._clock.now())
        return Response(200, {}, "")


def answered(rate: Rate, concurrency: int) -> int:
    """Return how many requests of one audience are answered in so many seconds."""
    count = round(rate.requests * SECONDS / rate.per) + 100
    clock, book = SimulatedClock(), Book()
    vendor = SlowVendor(clock, concurrency)
    lanes = Lanes(Courier(vendor, book, clock, Limiter([rate], clock)))
    made: list[Batch] = batches(vendor, [1] * count)

    def submit() -> None:
        for batch in made:
            lanes.submit(batch)

    feeding = threading.Thread(target=submit)
    feeding.start()
    clock.go_on(1)  # until the first is accepted, there is one
    while clock.now() < NOW + SECONDS:
        clock.go_on(concurrency)
    clock.finish()
    feeding.join(10)
    lanes.close()
    return sum(time <= NOW + SECONDS for time in vendor.times)


def test_one_audience_reaches_nine_tenths_of_the_rate_at_300_ms() -> None:
    # The rate and the requests side by side are those of X, in windows of six seconds.
    [rate] = x().rates
    shorter = replace(rate, requests=rate.requests // 10, per=rate.per / 10)
    most = rate.requests * SECONDS / rate.per
    assert answered(shorter, x().concurrency.requests) >= 0.9 * most
    # one after the other
    assert answered(shorter, 1) <= 0.14 * most

"""Rate limits: never more requests in a window of time than the vendor allows."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence

from connector.definitions.model import Rate
from connector.delivery.clock import Clock


class Limiter:
    """Keeps to a vendor's rates: never more than `requests` in any window of `per` seconds."""

    def __init__(self, rates: Sequence[Rate], clock: Clock) -> None:
        self._rates = rates
        self._clock = clock
        self._lock = threading.Lock()
        # The times of the last requests, by the rate's index and its lane ("" for all lanes
        # together).
        self._windows: dict[tuple[int, str], deque[float]] = {}
        self._not_before = 0.0

    def wait(self, lane: str) -> bool:
        """Wait until a request is allowed, and count it. Return False when the run is to end."""
        while not self._clock.ending:
            with self._lock:
                now = self._clock.now()
                ready = self._ready_at(lane)
                if ready <= now:
                    self._take_turn(lane, now)
                    return True

            if not self._clock.sleep(ready - now):
                return False
        return False

    def pause(self, until: float) -> None:
        """Let no lane send before `until`: the vendor counts all lanes together.

        `until`: seconds since the epoch.
        """
        with self._lock:
            self._not_before = max(self._not_before, until)

    def _ready_at(self, lane: str) -> float:
        ready = self._not_before
        for index, rate in enumerate(self._rates):
            window = self._window(index, rate, lane)
            if len(window) == rate.requests:
                ready = max(ready, window[0] + rate.per)
        return ready

    def _take_turn(self, lane: str, now: float) -> None:
        for index, rate in enumerate(self._rates):
            self._window(index, rate, lane).append(now)

    def _window(self, index: int, rate: Rate, lane: str) -> deque[float]:
        key = (index, lane if rate.scope == "lane" else "")
        if key not in self._windows:
            self._windows[key] = deque(maxlen=rate.requests)
        return self._windows[key]

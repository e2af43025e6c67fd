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
        # The times of the last requests, of each rate.
        self._windows = [deque[float](maxlen=rate.requests) for rate in rates]
        self._not_before = 0.0

    def wait(self) -> bool:
        """Wait until a request is allowed, and count it. Return False when the run is to end."""
        while not self._clock.ending:
            with self._lock:
                now = self._clock.now()
                ready = self._ready_at()
                if ready <= now:
                    self._take_turn(now)
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

    def _ready_at(self) -> float:
        ready = self._not_before
        for rate, window in zip(self._rates, self._windows, strict=True):
            if len(window) == rate.requests:
                ready = max(ready, window[0] + rate.per)
        return ready

    def _take_turn(self, now: float) -> None:
        for window in self._windows:
            window.append(now)

"""Rate limits: never more requests in a window of time than the vendor allows."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter

from connector.definitions.model import Rate
from connector.delivery.clock import Clock


@dataclass(slots=True, eq=False)
class Turn:
    """A request that was allowed: when it was sent and, once that is known, answered."""

    at: float


_at = attrgetter("at")


class Limiter:
    """Keeps to a vendor's rates: never more than `requests` in any window of `per` seconds.

    The vendor counts a request when it arrives, which may be as late as the moment of its answer.
    """

    def __init__(self, rates: Sequence[Rate], clock: Clock) -> None:
        self._rates = rates
        self._clock = clock
        self._lock = threading.Lock()
        # The last requests, of each rate.
        self._windows: list[list[Turn]] = [[] for _ in rates]
        self._not_before = float("-inf")

    def wait(self) -> Turn | None:
        """Wait until a request is allowed, and count it. Return None when the run is to end."""
        while not self._clock.ending:
            with self._lock:
                now = self._clock.monotonic()
                ready = self._ready_at()
                if ready <= now:
                    return self._take_turn(now)

            if not self._clock.sleep(ready - now):
                return None
        return None

    def answered(self, turn: Turn) -> None:
        """Count a request from now on as one that arrived at this moment at the latest."""
        turn.at = self._clock.monotonic()

    def pause(self, until: float) -> None:
        """Let no lane send before `until`: the vendor counts all lanes together.

        `until`: by the clock's `monotonic`.
        """
        with self._lock:
            self._not_before = max(self._not_before, until)

    def recent(self) -> list[int]:
        """Return how many requests each rate's window of time has now."""
        now = self._clock.now()
        with self._lock:
            counts = []
            for rate, window in zip(self._rates, self._windows, strict=True):
                counts.append(sum(turn.at > now - rate.per for turn in window))
            return counts

    def resume(self, counts: Sequence[int], at: float) -> None:
        """Count the requests of an earlier process, the last of which was sent at a moment."""
        for rate, window, count in zip(self._rates, self._windows, counts, strict=False):
            window += [Turn(at) for _ in range(min(count, rate.requests))]

    def _ready_at(self) -> float:
        ready = self._not_before
        for rate, window in zip(self._rates, self._windows, strict=True):
            if len(window) == rate.requests:
                ready = max(ready, min(map(_at, window)) + rate.per)
        return ready

    def _take_turn(self, now: float) -> Turn:
        turn = Turn(now)
        for rate, window in zip(self._rates, self._windows, strict=True):
            if len(window) == rate.requests:
                window.remove(min(window, key=_at))
            window.append(turn)
        return turn

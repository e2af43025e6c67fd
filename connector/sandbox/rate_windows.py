"""Sliding windows that count requests for the sandbox's rate limits."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from connector.definitions.model import Rate


class RateState(NamedTuple):
    """A rate limit: its size, what is left of it, and when the next slot frees.

    `reset` is in whole seconds since the epoch.
    """

    limit: int
    remaining: int
    reset: int


class _Window:
    """The requests of the last `per` seconds."""

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._times: deque[float] = deque()

    def _recent(self, now: float) -> deque[float]:
        times = self._times
        while times and times[0] + self._rate.per <= now:
            times.popleft()
        return times

    def state(self, now: float) -> RateState:
        times = self._recent(now)
        reset = times[0] + self._rate.per if times else now
        return RateState(
            limit=self._rate.requests,
            remaining=self._rate.requests - len(times),
            reset=math.ceil(reset),
        )

    def take(self, now: float) -> None:
        self._recent(now).append(now)


class RateWindows:
    """Sliding windows for all rate limits of a destination."""

    def __init__(self, rates: Sequence[Rate]) -> None:
        self._windows = [_Window(rate) for rate in rates]

    def take(self, now: float) -> bool:
        """Count a request when every limit has room for it; return whether it has."""
        state = self.state(now)
        if state is not None and not state.remaining:
            return False
        for window in self._windows:
            window.take(now)
        return True

    def state(self, now: float) -> RateState | None:
        """Return the limit with the least left; of several, the one that frees last.

        None when there are no limits.
        """
        states = [window.state(now) for window in self._windows]
        return min(states, key=lambda state: (state.remaining, -state.reset), default=None)

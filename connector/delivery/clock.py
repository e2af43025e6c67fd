"""Time, as a run needs it: the machine's clock here, a fake one in tests and cases."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol


class Clock(Protocol):
    """The time, waiting, and whether the run is to end."""

    def now(self) -> float:
        """Return seconds since the epoch: the time of day, which may be set back."""
        ...

    def monotonic(self) -> float:
        """Return seconds since some moment, which are never set: what is waited for is so long."""
        ...

    def sleep(self, seconds: float) -> bool:
        """Wait. Return False, at once, when the run is to end."""
        ...

    @property
    def ending(self) -> bool:
        """Whether the run is to end."""
        ...


class SystemClock:
    """The machine's clock. `end` and `cut` end a run, and wake every sleeper."""

    def __init__(self) -> None:
        self._end = threading.Event()
        self._ends: list[Callable[[], None]] = []
        self._cuts: list[Callable[[], None]] = []

    def now(self) -> float:
        """Return seconds since the epoch."""
        return time.time()

    def monotonic(self) -> float:
        """Return seconds since some moment, which are never set."""
        return time.monotonic()

    def sleep(self, seconds: float) -> bool:
        """Wait. Return False, at once, when `end` was called."""
        ended = self._end.wait(max(0.0, seconds))
        return not ended

    def end(self) -> None:
        """End the run: no further request is started."""
        self._end.set()
        for end in self._ends:
            end()

    def cut(self) -> None:
        """End the run at once: what is in flight is given up, and may have arrived."""
        self.end()
        for cut in self._cuts:
            cut()

    def when_ended(self, end: Callable[[], None]) -> None:
        """Have `end` called by `end` and by `cut`, such as that of another clock."""
        self._ends.append(end)
        if self.ending:
            end()

    def when_cut(self, cut: Callable[[], None]) -> None:
        """Have `cut` called by `cut`, such as that of a transport."""
        self._cuts.append(cut)

    @property
    def ending(self) -> bool:
        """Whether `end` was called."""
        return self._end.is_set()


class SteadyTime:
    """The time of day of a run: it goes on when the clock is set back."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._time = clock.now()
        self._moment = clock.monotonic()

    def now(self) -> float:
        """Return seconds since the epoch."""
        moment = self._clock.monotonic()
        self._time = max(self._clock.now(), self._time + moment - self._moment)
        self._moment = moment
        return self._time

"""Time, as a run needs it: the machine's clock here, a fake one in tests and cases."""

from __future__ import annotations

import threading
import time
from typing import Protocol


class Clock(Protocol):
    """The time, waiting, and whether the run is to end."""

    def now(self) -> float:
        """Return seconds since the epoch."""
        ...

    def sleep(self, seconds: float) -> bool:
        """Wait. Return False, at once, when the run is to end."""
        ...

    @property
    def ending(self) -> bool:
        """Whether the run is to end."""
        ...


class SystemClock:
    """The machine's clock. `end` wakes every sleeper."""

    def __init__(self) -> None:
        self._end = threading.Event()

    def now(self) -> float:
        """Return seconds since the epoch."""
        return time.time()

    def sleep(self, seconds: float) -> bool:
        """Wait. Return False, at once, when `end` was called."""
        ended = self._end.wait(max(0.0, seconds))
        return not ended

    def end(self) -> None:
        """End the run: no further request is started."""
        self._end.set()

    @property
    def ending(self) -> bool:
        """Whether `end` was called."""
        return self._end.is_set()

"""A clock that moves only when somebody waits."""

from __future__ import annotations

import threading

#: 2026-01-15T00:00:00Z, in seconds since the epoch.
NOW = 1_768_435_200.0


class FakeClock:
    """Starts at `now`. `end_after`: the run is to end after so many sends (`sent` counts them)."""

    def __init__(self, end_after: int | None = None, now: float = NOW) -> None:
        self._now = now
        self._set_back = 0.0
        self._lock = threading.Lock()
        self.left = end_after
        self.slept: list[float] = []

    def now(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._now + self._set_back

    def set(self, now: float) -> None:
        self._now = now

    def set_back(self, seconds: float) -> None:
        """Set the time of day back, as an operator or a time server may do."""
        self._now -= seconds
        self._set_back += seconds

    def sleep(self, seconds: float) -> bool:
        assert seconds >= 0
        if self.ending:
            return False
        with self._lock:
            self._now += seconds
            self.slept.append(seconds)
        return True

    @property
    def ending(self) -> bool:
        return self.left is not None and self.left <= 0

    def sent(self) -> None:
        with self._lock:
            if self.left is not None:
                self.left -= 1

"""The window of a lane: how many of its requests may be on their way side by side.

It opens with the first answer that accepts somebody: until then a fault of the account would be
asked about many times. An answer that asks to wait halves it, and every quiet minute adds one, up
to what the vendor takes.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from connector.delivery.clock import Clock

# Seconds without an answer that asks to wait, after which there is room for one more.
_QUIET = 60.0


class Window:
    """Counts the requests of one lane, and says how many there may be."""

    def __init__(self, most: int, clock: Clock, changed: threading.Condition) -> None:
        """`most`: what the vendor takes; `changed`: shared by all lanes, it guards the window."""
        self._most = most
        self._clock = clock
        self._changed = changed
        self._size = most
        self._is_open = False
        self._halved_at = float("-inf")
        self._grown_at = float("-inf")
        self._on_their_way = 0

    def size(self) -> int:
        """Return how many requests there may be side by side now, at least one."""
        with self._changed:
            if not self._is_open:
                return 1
            self._grow()
            return self._size

    def open(self) -> None:
        """Note that the vendor accepted somebody."""
        with self._changed:
            self._is_open = True

    def push_back(self, sent_at: float) -> None:
        """Halve the window: a request that was sent at this moment is to be sent again later.

        Requests that were on their way together halve it once.
        """
        with self._changed:
            if sent_at <= self._halved_at:
                return
            self._grow()
            self._size = max(1, self._size // 2)
            self._halved_at = self._grown_at = self._clock.monotonic()

    @contextmanager
    def request(self) -> Iterator[None]:
        """Wait until there is room for a request, and take it for the time of the block."""
        with self._changed:
            self._changed.wait_for(self._has_room)
            self._on_their_way += 1
        try:
            yield
        finally:
            with self._changed:
                self._on_their_way -= 1
                self._changed.notify_all()

    def _has_room(self) -> bool:
        return self._on_their_way < self.size()

    def _grow(self) -> None:
        if self._size == self._most:
            return
        quiet = self._clock.monotonic() - self._grown_at
        minutes = max(0, int(quiet // _QUIET))
        self._size = min(self._most, self._size + minutes)
        self._grown_at += minutes * _QUIET

"""A lease as its holder knows it: until when nobody else sends in the lane.

It is measured from before it was asked for, by a clock that is never set. An attempt starts only
while the rest of the lease is longer than the attempt can take. What no check can see: a process
that is frozen between the check and the first byte, and wakes up after the lease.
"""

from __future__ import annotations

import threading

from connector.delivery.clock import Clock
from connector.delivery.outbox.model import Lease, Outbox, OutboxError
from connector.errors import FinalError


class LeaseLostError(FinalError):
    """The lane is no longer held, or not for long enough: nothing was sent."""

    code = "lease_lost"


class Holding:
    """A lease that is renewed while it is used."""

    def __init__(
        self, outbox: Outbox, lease: Lease, seconds: float, clock: Clock, asked_at: float
    ) -> None:
        """`seconds`: for how long it was asked; `asked_at`: when, by the clock's `monotonic`."""
        self.lease = lease
        self.is_lost = False
        self._outbox = outbox
        self._seconds = seconds
        self._clock = clock
        self._ends_at = asked_at + seconds
        self._lock = threading.Lock()

    def keep(self) -> None:
        """Renew the lease when a third of it is over. Failing to do so loses it in time."""
        with self._lock:
            if self._left() > self._seconds * 2 / 3 or self.is_lost:
                return
            asked_at = self._clock.monotonic()
            try:
                is_held = self._outbox.renew(self.lease, self._seconds)
            except OutboxError:
                return
            if is_held:
                self._ends_at = asked_at + self._seconds
            else:
                self.is_lost = True

    def check(self, seconds: float) -> None:
        """Raise LeaseLostError unless the lane is surely held for so long from now on."""
        self.keep()
        if self.is_lost or self._left() <= seconds:
            self.is_lost = True
            raise LeaseLostError("another process may deliver this audience now")

    def _left(self) -> float:
        return self._ends_at - self._clock.monotonic()

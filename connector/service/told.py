"""What an operator is told of the delivery: counts and lines of the log."""

from __future__ import annotations

import threading
from collections.abc import Callable

from connector.delivery.worker.terms import Events
from connector.errors import ConnectorError
from connector.model import Stop
from connector.service.logs import Log
from connector.service.metrics import Metrics

# Seconds in which it is said once of a lane that its requests are sent again.
_RETRYING_SECONDS = 60.0


class Told(Events):
    """Counts and logs what a worker tells."""

    def __init__(self, metrics: Metrics, log: Log, monotonic: Callable[[], float]) -> None:
        self._metrics = metrics
        self._log = log
        self._monotonic = monotonic
        # When it was said last that a lane tries again, the oldest first.
        self._said: dict[tuple[str, str], float] = {}
        self._lock = threading.Lock()

    def attempted(self, connection: str, word: str, size: int) -> None:
        """Count a request."""
        self._metrics.attempted(connection, word)

    def stopped(self, connection: str, lane: str, stop: Stop, seconds: float) -> None:
        """Say why a lane is stopped."""
        self._metrics.stopped(connection)
        self._log.warning(
            "lane_stopped",
            connection=connection,
            lane=lane,
            code=stop.code,
            reason=stop.reason,
            tried_again_in_seconds=round(seconds),
        )

    def retrying(self, connection: str, lane: str, reason: str) -> None:
        """Say, now and then, why a request is sent again."""
        if self._is_due((connection, lane)):
            self._log.warning("retrying", connection=connection, lane=lane, reason=reason)

    def buried(self, connection: str, lane: str, code: str, reason: str, records: int) -> None:
        """Say that records became dead letters."""
        self._log.warning(
            "dead_letters",
            connection=connection,
            lane=lane,
            code=code,
            reason=reason,
            records=records,
        )

    def resumed(self, connection: str, lane: str) -> None:
        """Say that a stopped lane goes on."""
        self._log.info("lane_resumed", connection=connection, lane=lane)

    def failed(self, error: Exception) -> None:
        """Say that nothing is delivered for now."""
        self._log.error("delivery_failed", reason=words_of(error))

    def _is_due(self, lane: tuple[str, str]) -> bool:
        """Return whether it was not said of a lane for a while; it is now."""
        now = self._monotonic()
        with self._lock:
            while self._said:
                oldest = next(iter(self._said))
                if now < self._said[oldest] + _RETRYING_SECONDS:
                    break
                del self._said[oldest]
            if lane in self._said:
                return False
            self._said[lane] = now
            return True


def words_of(error: Exception) -> str:
    """Return what may be said of an error: what others say may quote what it was about."""
    return str(error) if isinstance(error, ConnectorError) else type(error).__name__

"""The metrics of a service. Labels are bounded: connections, paths, statuses and words of ours."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from connector.delivery.outbox.model import ConnectionStatus, OutboxError, Status
from connector.service.status import oldest_seconds

_OTHER = "other"
_STORE_UP = ("connector_store_up", "Whether this process could read the outbox a moment ago")

#: What is measured of each connection whenever the metrics are asked for.
_GAUGES: Mapping[str, tuple[str, Callable[[ConnectionStatus, float], float]]] = {
    "connector_pending_records": (
        "Records that are accepted and not settled",
        lambda one, now: one.pending,
    ),
    "connector_oldest_pending_seconds": (
        "How long the oldest pending record waits",
        lambda one, now: oldest_seconds(one, now) or 0.0,
    ),
    "connector_dead_letters": ("Records that nobody sends any more", lambda one, now: one.dead),
    "connector_stopped_lanes": (
        "Audiences that are stopped",
        lambda one, now: sum(lane.stopped is not None for lane in one.lanes),
    ),
}


class Metrics:
    """Counts what this process does, and measures what the outbox holds."""

    def __init__(
        self, status: Callable[[], Status], connections: Collection[str], paths: Collection[str]
    ) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Held(status, connections))
        self._paths = frozenset(paths)
        self._requests = self._counter(
            "connector_http_requests", "Answers of this process", "path", "status"
        )
        self._events = self._counter(
            "connector_events", "Events that were posted to this process", "outcome"
        )
        self._attempts = self._counter(
            "connector_vendor_requests",
            "Requests that this process sent to vendors",
            *("connection", "outcome"),
        )
        self._stops = self._counter(
            "connector_lane_stops", "How often this process stopped a lane", "connection"
        )
        for name in connections:
            self._stops.labels(name)

    def answered(self, path: str, status: int) -> None:
        """Count an answer."""
        known = path if path in self._paths else _OTHER
        self._requests.labels(known, str(status)).inc()

    def taken(self, counts: Mapping[str, int]) -> None:
        """Count events, by accepted, skipped and rejected."""
        for outcome, count in counts.items():
            if count:
                self._events.labels(outcome).inc(count)

    def attempted(self, connection: str, outcome: str) -> None:
        """Count a request to a vendor."""
        self._attempts.labels(connection, outcome).inc()

    def stopped(self, connection: str) -> None:
        """Count a stop."""
        self._stops.labels(connection).inc()

    def text(self) -> tuple[bytes, str]:
        """Return all of it, and its media type; no measures while the outbox cannot be used."""
        return generate_latest(self._registry), CONTENT_TYPE_LATEST

    def _counter(self, name: str, words: str, *labels: str) -> Counter:
        return Counter(name, words, labels, registry=self._registry)


class _Held(Collector):
    """What the outbox holds, over all processes."""

    def __init__(self, status: Callable[[], Status], connections: Collection[str]) -> None:
        self._status = status
        self._connections = connections

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield a measure of each connection of this process after the other.

        What the process itself counts is worth most while the outbox is away: that is no error.
        """
        try:
            status = self._status()
        except OutboxError:
            yield GaugeMetricFamily(*_STORE_UP, value=0)
            return
        yield GaugeMetricFamily(*_STORE_UP, value=1)
        for name, (words, measure) in _GAUGES.items():
            family = GaugeMetricFamily(name, words, labels=["connection"])
            for connection in self._connections:
                one = status.connections.get(connection)
                value = 0.0 if one is None else measure(one, status.now)
                family.add_metric([connection], value)
            yield family

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Yield what `collect` yields, without a look at the outbox."""
        yield GaugeMetricFamily(*_STORE_UP)
        for name, (words, _) in _GAUGES.items():
            yield GaugeMetricFamily(name, words, labels=["connection"])

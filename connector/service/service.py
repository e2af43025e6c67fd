"""A service: what takes events, keeps them and delivers them, put together."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from connector.connection.model import Connection
from connector.delivery.clock import SystemClock
from connector.delivery.outbox.model import Outbox, Selection, Status
from connector.delivery.state.order import check_run_is_finished
from connector.library.outgoing import Means, Outgoing
from connector.service.app import PATHS
from connector.service.intake import Intake, Result, Taken
from connector.service.logs import Log
from connector.service.metrics import Metrics
from connector.service.posts import Incoming
from connector.service.stores import Place
from connector.service.told import Told, words_of
from connector.service.traces import OFF, Traces

# How often the vendor is asked again for an audience while a post waits for the answer.
_LOOK_UPS = 1
# Seconds between two looks for dead letters that are too old.
_PURGE_SECONDS = 600.0


@dataclass(frozen=True)
class Settings:
    """What a service is told. `keep_dead` and `deadline`: seconds, None for ever."""

    place: Place
    timeout: float
    retries: int | None
    keep_dead: float | None
    deadline: float | None = None


class Service:
    """Takes posts and delivers them, from `start` to `stop`."""

    def __init__(
        self,
        connections: Mapping[str, Connection],
        outbox: Outbox,
        settings: Settings,
        log: Log,
        traces: Traces = OFF,
    ) -> None:
        """Read the credentials and the audiences of all connections.

        Raise ConfigError and DefinitionError.
        """
        self.connections = list(connections)
        self._outbox = outbox
        self._settings = settings
        self._log = log
        self.traces = traces
        self._clock = SystemClock()
        self._is_ending = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: dict[Incoming, Callable[[Result], None]] = {}
        self._metrics = Metrics(outbox.status, self.connections, PATHS)

        place = settings.place
        if place.folder is not None:
            for name in connections:
                check_run_is_finished(place.folder, name)
        means = Means(
            place.folder,
            settings.timeout,
            settings.retries,
            _LOOK_UPS,
            settings.deadline,
            is_shared=place.is_shared,
            sent=traces.sent,
        )
        told = Told(self._metrics, log, self._clock.monotonic)
        self._outgoing = Outgoing(connections, outbox, means, self._clock, told)
        self._worker = self._outgoing.worker
        self._intake: Intake | None = None
        self._ended = threading.Event()
        self._purging = threading.Thread(target=self._purge, name="purging", daemon=True)

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to deliver and to take posts. Raise OutboxError."""
        self._loop = loop
        self._worker.start()
        self._intake = Intake(
            self._outbox,
            self._outgoing.mappers,
            self._done,
            self._worker.offer,
            self._not_kept,
            self.traces,
        )
        if self._settings.keep_dead is not None:
            self._purging.start()

    def end(self) -> None:
        """Send nothing further; what was posted is still taken."""
        self._is_ending = True
        self._clock.end()

    def stop(self, seconds: float) -> None:
        """End: answer what was posted, wait so long for requests in flight, then give them up."""
        self._is_ending = True
        self._ended.set()
        if self._intake is not None:
            self._intake.close()
        self._worker.stop(seconds)

    def cut(self) -> None:
        """Give up the requests in flight."""
        self._clock.cut()

    # What the application asks.

    def post(self, incoming: Incoming, done: Callable[[Result], None]) -> None:
        """Take a post; both are called in the loop's thread."""
        assert self._intake is not None
        self._waiting[incoming] = done
        self._intake.submit(incoming)

    def flush(self, connections: Sequence[str]) -> None:
        """Send what is accepted so far. Raise OutboxError."""
        self._worker.flush(connections)

    def status(self) -> Status:
        """Return what the outbox holds. Raise OutboxError."""
        return self._outbox.status()

    def metrics(self) -> tuple[bytes, str]:
        """Return the metrics and their media type."""
        return self._metrics.text()

    def unready(self) -> str:
        """Return why no post is taken, "" when posts are."""
        if self._is_ending or self._intake is None:
            return "the service begins or ends"
        if self._intake.is_failing:
            return "a commit failed a moment ago; see the log of the service"
        if not self._worker.is_alive:
            return "nothing is delivered any more; see the log of the service, and restart it"
        return ""

    def answered(self, path: str, status: int) -> None:
        """Count an answer; say so where the service itself is at fault."""
        self._metrics.answered(path, status)
        if status >= 500 and path in PATHS and path != "/readyz":
            self._log.error("answered", path=path, status=status)

    def _not_kept(self, error: Exception) -> None:
        self._log.error("commit_failed", reason=words_of(error))

    def _done(self, results: Sequence[tuple[Incoming, Result]]) -> None:
        """Hand on what became of posts, in the loop's thread."""
        assert self._loop is not None
        counts: Counter[str] = Counter()
        for _, result in results:
            if isinstance(result, Taken):
                for outcome, count in result.counts.items():
                    counts[outcome] += count
        self._metrics.taken(counts)
        with contextlib.suppress(RuntimeError):  # nobody waits in a loop that is closed
            self._loop.call_soon_threadsafe(self._hand_on, results)

    def _hand_on(self, results: Sequence[tuple[Incoming, Result]]) -> None:
        for incoming, result in results:
            self._waiting.pop(incoming)(result)

    def _purge(self) -> None:
        """Delete dead letters that are too old, now and then."""
        keep = self._settings.keep_dead
        assert keep is not None
        while True:
            for name in self.connections:
                try:
                    count = self._outbox.purge(Selection(connection=name), keep)
                except Exception as error:  # noqa: BLE001 - it is tried again
                    self._log.warning("purge_failed", reason=words_of(error))
                    break
                if count:
                    self._log.info("purged", connection=name, dead_letters=count)
            if self._ended.wait(_PURGE_SECONDS):
                return

"""A worker that delivers from an outbox to a vendor in memory, in real time."""

from __future__ import annotations

import json
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from connector._util.state_folder import FolderLock
from connector.connection.model import Connection
from connector.delivery.clock import SystemClock
from connector.delivery.outbox.model import Accepted, Outbox, Post
from connector.delivery.outbox.sqlite import SqliteOutbox
from connector.delivery.rate_limit import Limiter
from connector.delivery.worker.bundles import Bundles, Written, offered
from connector.delivery.worker.channel import Channel
from connector.delivery.worker.terms import Events, Terms
from connector.delivery.worker.worker import Worker
from connector.errors import UnauthorizedError
from connector.model import Event, Record, Request, Response, Stop
from connector.pipeline.pipeline import Pipeline
from tests.kit.clock import NOW
from tests.kit.outbox import MEMORY
from tests.kit.records import connection

MAP = {
    "custom_audience_id": {"from": "audience"},
    "email": {"from": "email"},
    "partner_user_id": {"from": "partner"},
}
ROUTES = [
    {"name": "in", "action": "add_user_multi", "when": "not event.remove", "map": MAP},
    {"name": "out", "action": "remove_user_multi", "when": "event.remove", "map": MAP},
]
BAD = "bad"
TERMS = Terms(lease=30.0, timeout=1.0)


def made(**limits: Any) -> Connection:
    return connection(ROUTES, limits={"records": 10, "age": "1h", **limits})


def event(person: str, audience: str = "aaa", *, remove: bool = False) -> dict[str, Any]:
    return {"audience": audience, "partner": person, "remove": remove}


class MemoryVendor:
    """Keeps the people of each audience; refuses whoever is called bad. A sender.

    `answer` may answer instead, or return None.
    """

    def __init__(self, answer: Callable[[Request], Response | None] = lambda request: None) -> None:
        self.people: dict[str, set[str]] = defaultdict(set)
        self.requests: list[Request] = []
        self.answer = answer
        self.opened = 0
        self._lock = threading.Lock()

    def open(self) -> MemoryVendor:
        self.opened += 1
        return self

    def cut(self) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        pass

    def __call__(self, request: Request) -> Response:
        with self._lock:
            self.requests.append(request)
        answer = self.answer(request)
        return answer if answer is not None else self.honest(request)

    def honest(self, request: Request) -> Response:
        operations = json.loads(request.body)
        audience = request.url.split("/")[-2]
        errors = []
        count = 0
        for operation in operations:
            users = operation["params"]["users"]
            count += len(users)
            names = [user["partner_user_id"][0] for user in users]
            errors.append([{"code": "INVALID"}] if any(map(is_bad, names)) else [])
        if any(errors):
            return Response(400, {}, {"operation_errors": errors})
        with self._lock:
            for operation in operations:
                for user in operation["params"]["users"]:
                    names = set(user["partner_user_id"])
                    if operation["operation_type"] == "Update":
                        self.people[audience] |= names
                    else:
                        self.people[audience] -= names
        return Response(200, {}, {"data": {"success_count": count, "total_count": count}})


def is_bad(person: str) -> bool:
    return person.startswith(BAD)


def unauthorized(request: Request) -> Response:
    raise UnauthorizedError("the vendor refuses the credentials")


class Told(Events):
    """Remembers what a worker tells."""

    def __init__(self) -> None:
        self.stops: list[tuple[str, str, str, float]] = []
        self.errors: list[Exception] = []
        self.words: list[str] = []
        self.retries: list[tuple[str, str, str]] = []
        self.buryings: list[tuple[str, str, str, int]] = []
        self.resumptions: list[tuple[str, str]] = []

    def attempted(self, connection: str, word: str, size: int) -> None:
        self.words.append(word)

    def stopped(self, connection: str, lane: str, stop: Stop, seconds: float) -> None:
        self.stops.append((connection, lane.split("/")[-2], stop.code, seconds))

    def retrying(self, connection: str, lane: str, reason: str) -> None:
        self.retries.append((connection, lane.split("/")[-2], reason))

    def buried(self, connection: str, lane: str, code: str, reason: str, records: int) -> None:
        self.buryings.append((connection, lane.split("/")[-2], code, records))

    def resumed(self, connection: str, lane: str) -> None:
        self.resumptions.append((connection, lane.split("/")[-2]))

    def failed(self, error: Exception) -> None:
        self.errors.append(error)


def written_of(
    connections: Mapping[str, Connection], events: Iterable[Mapping[str, Any]]
) -> list[Written]:
    written = []
    numbered = [Event(number, dict(one)) for number, one in enumerate(events, 1)]
    for name, one in connections.items():
        records = []
        for record in Pipeline(one).prepare(numbered, NOW):
            if isinstance(record, Record):
                records.append(record)
        written += Bundles(name, one).write(records)
    return written


class Deliveries:
    """An outbox in SQLite, and a worker that delivers it; a context manager."""

    def __init__(
        self,
        vendor: MemoryVendor,
        connections: Mapping[str, Connection] | None = None,
        *,
        outbox: Outbox | None = None,
        terms: Terms = TERMS,
        retries: int = 1,
        name: str = "w",
    ) -> None:
        self.connections = connections or {"c": made()}
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._lock: FolderLock | None = None
        if outbox is None:
            memory = str(MEMORY) if MEMORY.is_dir() else None
            self._folder = tempfile.TemporaryDirectory(dir=memory)
            self._lock = FolderLock(Path(self._folder.name))
            outbox = SqliteOutbox(Path(self._folder.name), self._lock)
        self.outbox = outbox
        self.told = Told()
        self.clock = SystemClock()
        self.channels = {}
        for name_of_one, one in self.connections.items():
            limiter = Limiter((), self.clock)
            self.channels[name_of_one] = Channel(
                name_of_one, one, vendor.open, limiter, self.clock, retries
            )
        channels = self.channels.values()
        self.worker = Worker(name, outbox, channels, self.clock, terms, self.told)

    def __enter__(self) -> Self:
        self.worker.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.worker.stop(5.0)
        if self._folder is not None and self._lock is not None:
            self.outbox.close()
            self._lock.close()
            self._folder.cleanup()

    def accept(self, *events: Mapping[str, Any], is_offered: bool = True) -> None:
        """Accept events, as another process does unless they are offered."""
        written = written_of(self.connections, events)
        [accepted] = self.outbox.accept([Post([one.bundle for one in written], {})])
        assert isinstance(accepted, Accepted)
        if is_offered:
            self.worker.offer(offered(written, accepted))

    def pending(self) -> int:
        status = self.outbox.status()
        return sum(one.pending for one in status.connections.values())

    def drain(self) -> None:
        """Flush, and wait until nothing is pending."""
        self.worker.flush(self.connections)
        wait_until(lambda: not self.pending())

    def counts(self, name: str = "c") -> Mapping[str, int]:
        return self.outbox.status().connections[name].counts

    def dead(self) -> list[tuple[str, str, int]]:
        letters = self.outbox.dead_letters()
        return [(one.code, one.operation, one.attempts) for one in letters]


def wait_until(is_so: Callable[[], object], seconds: float = 30.0) -> None:
    ends = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < ends, "it took too long"
        time.sleep(0.005)

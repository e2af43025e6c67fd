"""`python -m benchmarks.day`: a day of a stream with bursts in a minute, by a clock that skips.

Exits with 1 when the memory of the delivering process is not flat.
"""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import orjson

from connector._util.state_folder import FolderLock
from connector.connection.load import load_connection
from connector.connection.model import Connection
from connector.definitions.catalog import Catalog
from connector.delivery.clock import SystemClock
from connector.delivery.outbox.sqlite import SqliteOutbox
from connector.delivery.run import quiet_collector
from connector.delivery.worker.channel import Sender
from connector.delivery.worker.terms import Events
from connector.library.outgoing import Means, Outgoing
from connector.model import Request, Response
from connector.service.intake import Intake, Result, Taken
from connector.service.posts import Incoming

from .mapping import CONNECTION

HOURS = 24
#: Seconds between two posts, and their events; those of a burst, once in an hour.
STEP = 60.0
STREAM = 200
BURST = 20_000
AUDIENCES = 20
#: From this hour on nothing may grow, but by this.
WARM = 6
GROWTH = 1.1

CHANGES = "limits: {age: 10m}\n"
STEPS = int(3600 / STEP)


class SkippingClock(SystemClock):
    """The machine's clock, put forward."""

    ahead = 0.0

    def now(self) -> float:
        """Return seconds since the epoch."""
        return super().now() + self.ahead

    def monotonic(self) -> float:
        """Return seconds since some moment."""
        return super().monotonic() + self.ahead


class Vendor(Sender):
    """Takes everything."""

    people = 0

    def __call__(self, request: Request) -> Response:
        """Count the people of a request."""
        count = request.body.count(b'"email"')
        self.people += count
        return Response(200, {}, {"data": {"success_count": count, "total_count": count}})

    def cut(self) -> None:
        """Do nothing."""

    def __exit__(self, *_: object) -> None:
        """Do nothing."""


class Stream:
    """Posts events, and knows how many were taken."""

    def __init__(self) -> None:
        self.taken = 0
        self.intake: Intake | None = None
        self._number = 0
        self._posts = 0
        self._changed = threading.Condition()

    def done(self, results: Sequence[tuple[Incoming, Result]]) -> None:
        """Count the answers."""
        with self._changed:
            self._posts -= len(results)
            for _, result in results:
                assert isinstance(result, Taken), result
                self.taken += result.counts["accepted"]
            self._changed.notify_all()

    def post(self, events: int) -> None:
        """Post events of some audiences, and wait for the answer."""
        assert self.intake is not None
        lines = []
        for number in range(self._number, self._number + events):
            person = {"email": f"user{number}@example.com"}
            audience = f"a{number * number % AUDIENCES}"
            lines.append(orjson.dumps({"audience": audience, "traits": person}))
        self._number += events
        with self._changed:
            self._posts += 1
            body = b"\n".join(lines)
            self.intake.submit(Incoming(body, "application/x-ndjson", "", ["connection"]))
            self._changed.wait_for(lambda: not self._posts)


def main() -> int:
    """Print the memory of each hour; return whether it grew, as an exit status."""
    quiet_collector()
    clock = SkippingClock()
    vendor = Vendor()
    stream = Stream()
    hours = []
    with tempfile.TemporaryDirectory() as name, running(Path(name), clock, vendor, stream):
        for hour in range(HOURS):
            for step in range(STEPS):
                stream.post(BURST if step == STEPS // 2 else STREAM)
                clock.ahead += STEP
                time.sleep(0.02)
            hours.append(megabytes())
            print(f"hour {hour + 1:>2}  {hours[-1]:.1f} MB  {stream.taken:>8,} taken", flush=True)
        clock.ahead += 3600.0
        ends = time.monotonic() + 30
        while vendor.people < stream.taken and time.monotonic() < ends:
            time.sleep(0.05)

    growth = max(hours[WARM:]) / max(hours[:WARM])
    print(f"{stream.taken:,} taken, {vendor.people:,} delivered")
    print(f"memory of the later hours against the first {WARM}  {growth:.3f}  at most {GROWTH}")
    return int(growth > GROWTH or vendor.people != stream.taken)


@contextmanager
def running(folder: Path, clock: SkippingClock, vendor: Vendor, stream: Stream) -> Iterator[None]:
    """Take what is posted, and deliver it."""
    made = connection(folder)
    means = Means(None, 60.0, open=lambda _: vendor)
    with (
        closing(FolderLock(folder)) as lock,
        closing(SqliteOutbox(folder, lock, now=clock.now)) as outbox,
    ):
        outgoing = Outgoing({"connection": made}, outbox, means, clock, Events())
        worker = outgoing.worker
        worker.start()
        intake = Intake(outbox, outgoing.mappers, stream.done, worker.offer, print)
        stream.intake = intake
        try:
            yield
        finally:
            intake.close()
            worker.stop(10.0)


def connection(folder: Path) -> Connection:
    """Return a connection whose events name their audience."""
    path = folder / "connection.yaml"
    by_event = CONNECTION.replace("{value: 1nmth}", "{from: audience}")
    path.write_text(by_event + CHANGES, "utf-8")
    return load_connection(path, Catalog())


def megabytes() -> float:
    """Return the memory of this process now."""
    for line in Path("/proc/self/status").read_text("utf-8").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1e3
    raise LookupError


if __name__ == "__main__":
    sys.exit(main())

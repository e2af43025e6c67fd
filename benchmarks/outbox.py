"""`python -m benchmarks.outbox [postgresql://…]`: the outbox with a million pending records.

In SQLite, or in an empty database of PostgreSQL. Exits with 1 when a figure misses its bound.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar

from connector._util.state_folder import FolderLock
from connector.delivery.outbox.keys import KEY_BYTES, pack_keys
from connector.delivery.outbox.model import BUNDLE, Bundle, Outbox, Post, Settled
from connector.delivery.outbox.sqlite import SqliteOutbox

PENDING = 1_000_000
POST = 1_000
LANES = 20
RECORD_BYTES = 240

T = TypeVar("T")


def main() -> int:
    """Print the figures; return how many miss their bounds, as an exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.outbox", description=__doc__)
    parser.add_argument("store", nargs="?", default="")
    parser.add_argument("--restart", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.restart:
        restart(arguments.store)
        return 0

    with tempfile.TemporaryDirectory() as folder:
        store = arguments.store or folder
        with opened(store) as outbox:
            fill(outbox)
        command = [sys.executable, "-m", "benchmarks.outbox", "--restart", store]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        seconds, megabytes = map(float, done.stdout.split())
        size = sum(path.stat().st_size for path in Path(folder).iterdir()) / 1e6
    print(f"restart with {PENDING:,} pending, to the first batches  {seconds:.3f} s  at most 5")
    print(f"memory of that process  {megabytes:.0f} MB  at most 300")
    if size:
        print(f"size of the files  {size:.0f} MB")
    return int(seconds > 5 or megabytes > 300)


@contextmanager
def opened(store: str) -> Iterator[Outbox]:
    """Open the store as a delivering process does."""
    if store.startswith("postgresql://"):
        from connector.delivery.outbox.postgres import PostgresOutbox

        with closing(PostgresOutbox(store, max_pending=2 * PENDING)) as outbox:
            yield outbox
        return

    folder = Path(store)
    with (
        closing(FolderLock(folder)) as lock,
        closing(SqliteOutbox(folder, lock, max_pending=2 * PENDING)) as outbox,
    ):
        yield outbox


def fill(outbox: Outbox) -> None:
    """Accept a million records in posts of a thousand; settle some, and accept them again."""
    accepted = []
    for number in range(PENDING // POST):
        accepted.append(timed(lambda lane=number % LANES: outbox.accept([post(lane)]))[0])
    print(f"accept {POST:,} records of {RECORD_BYTES} bytes  {median(accepted)}")

    taken = []
    settled = []
    for _ in range(LANES):
        seconds, [lease] = timed(lambda: outbox.lease("w", ["c"], 600, 1))
        more, kept = timed(lambda lease=lease: outbox.read(lease, 0, POST))
        taken.append(seconds + more)
        first = kept[0].number * BUNDLE
        delivered = Settled(range(first, first + POST))
        settled.append(timed(lambda lease=lease, done=delivered: outbox.settle(lease, done))[0])
        outbox.accept([post(0)])
    print(f"lease a lane and read {POST:,}  {median(taken)}")
    print(f"settle {POST:,}  {median(settled)}")


def restart(store: str) -> None:
    """Print the seconds until each lane has its first thousand, and the megabytes of memory."""
    started = time.perf_counter()
    with opened(store) as outbox:
        status = outbox.status()
        assert status.connections["c"].pending == PENDING
        for lease in outbox.lease("v", ["c"], 600, LANES):
            assert sum(kept.records for kept in outbox.read(lease, 0, POST)) == POST
        print(time.perf_counter() - started)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3)


def post(lane: int) -> Post:
    """Return a post of records for one lane."""
    keys = pack_keys([1] * POST, os.urandom(POST * KEY_BYTES))
    bundle = Bundle("c", f"l{lane}", "add", POST, keys, os.urandom(POST * RECORD_BYTES))
    return Post([bundle], {("c", "accepted"): POST})


def timed(work: Callable[[], T]) -> tuple[float, T]:
    """Return the seconds that a piece of work takes, and its result."""
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result


def median(seconds: list[float]) -> str:
    """Return a median in milliseconds."""
    return f"{statistics.median(seconds) * 1e3:.2f} ms"


if __name__ == "__main__":
    sys.exit(main())

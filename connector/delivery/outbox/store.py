"""What both stores do, given the transactions of a database."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from typing import TypeVar

from connector.delivery.outbox import accepting, dead, pace, settling
from connector.delivery.outbox.model import (
    ALL,
    PAGE,
    Answer,
    ConnectionStatus,
    DeadLetter,
    Grant,
    Kept,
    LaneStatus,
    Lease,
    Post,
    Retried,
    Selection,
    Settled,
    Status,
    Stopped,
)
from connector.delivery.outbox.settling import Split
from connector.delivery.outbox.transaction import Transaction

T = TypeVar("T")
_LaneWork = Callable[[Transaction, str, int, Sequence[int]], T]


class SqlOutbox(ABC):
    """An `Outbox` in a database."""

    def __init__(self, max_pending: int, split: Split) -> None:
        self._max_pending = max_pending
        self._split = split

    @abstractmethod
    def _write(self, work: Callable[[Transaction], T]) -> T:
        """Return what `work` returns once its transaction is committed. It may run again."""

    @abstractmethod
    def _read(self, work: Callable[[Transaction], T]) -> T:
        """Return what `work` returns, which sees everything at one moment."""

    @abstractmethod
    def close(self) -> None:
        """End. What is held stays held until it expires."""

    def accept(self, posts: Sequence[Post]) -> list[Answer]:
        """Commit posts together, each as a whole or not at all; return their answers in order."""
        return self._write(lambda tx: accepting.accept(tx, posts, self._max_pending))

    def lease(
        self, worker: str, connections: Collection[str], seconds: float, limit: int
    ) -> list[Lease]:
        """Return lanes with pending records that nobody held; those held longest ago first."""
        return self._write(lambda tx: settling.lease(tx, worker, connections, seconds, limit))

    def renew(self, lease: Lease, seconds: float) -> bool:
        """Hold a lane for so long from now on. Return False when it is no longer held."""
        return self._write(lambda tx: settling.renew(tx, lease, seconds))

    def release(self, lease: Lease) -> None:
        """Hold a lane no longer."""
        self._write(lambda tx: settling.renew(tx, lease, 0.0))

    def read(self, lease: Lease, after: int, limit: int) -> list[Kept]:
        """Return the first bundles of a lane behind the one numbered `after`, 0 for all."""
        return self._read(lambda tx: _bundles(tx, lease.number, after, limit))

    def settle(self, lease: Lease, settled: Settled) -> bool:
        """Note what became of records. Return False when the lane is no longer held."""
        return self._write(lambda tx: settling.settle(tx, lease, settled, self._split))

    def stop(self, lease: Lease, code: str, reason: str, seconds: float) -> bool:
        """Stop a lane for so long. Return False when it is no longer held."""
        return self._write(lambda tx: settling.stop(tx, lease, code, reason, seconds))

    def start(self, connection: str) -> None:
        """End the stops of a connection's lanes."""
        self._write(lambda tx: settling.start(tx, connection))

    def status(self) -> Status:
        """Return what there is, all of it at one moment."""
        return self._read(_status)

    def dead_letters(
        self, selection: Selection = ALL, after: str = "", limit: int = PAGE
    ) -> list[DeadLetter]:
        """Return a page of dead letters by lane, those of a lane in order."""
        return self._read(lambda tx: dead.letters(tx, selection, after, limit, float("inf")))

    def dead_letter(self, dead_id: str) -> DeadLetter | None:
        """Return one dead letter, None when there is none with this id."""
        return self._read(lambda tx: dead.letter(tx, dead_id))

    def retry(self, selection: Selection = ALL) -> Retried:
        """Put dead letters at the end of their lanes, except for those that are overtaken."""
        retried = 0
        overtaken = 0
        for done in self._each_lane(selection, 0.0, dead.retry_in_lane):
            retried += done.retried
            overtaken += done.overtaken
        return Retried(retried, overtaken)

    def purge(self, selection: Selection = ALL, older_than: float = 0.0) -> int:
        """Delete what died longer ago than so many seconds; return how many."""
        return sum(self._each_lane(selection, older_than, dead.purge_in_lane))

    def take(
        self, account: str, rates: Sequence[tuple[int, float]], want: int, within: float
    ) -> Grant:
        """Grant a block of requests of an account, by its rates of (requests, per seconds)."""
        return self._write(lambda tx: pace.take(tx, account, rates, want, within))

    def used(self, account: str, grant: Grant, requests: int) -> None:
        """Give back what is left of a block, once the requests that were sent have arrived."""
        self._write(lambda tx: pace.used(tx, account, grant, requests))

    def pause(self, account: str, seconds: float) -> None:
        """Grant an account nothing for so long."""
        self._write(lambda tx: pace.pause(tx, account, seconds))

    def _each_lane(
        self,
        selection: Selection,
        older_than: float,
        work: _LaneWork[T],
    ) -> Iterator[T]:
        """Yield what `work` returns for the dead letters of each lane, a page at a time."""
        before = self._read(lambda tx: tx.now()) - older_than
        after = ""
        while True:
            find = partial(
                dead.letters, selection=selection, after=after, limit=PAGE, before=before
            )
            page = self._read(find)
            if not page:
                return
            for (connection, lane), seqs in dead.by_lane(page).items():
                yield self._write(partial(_in_lane, work, connection, lane, seqs))
            after = page[-1].id


def _in_lane(
    work: _LaneWork[T], connection: str, lane: int, seqs: Sequence[int], tx: Transaction
) -> T:
    return work(tx, connection, lane, seqs)


def _bundles(tx: Transaction, lane: int, after: int, limit: int) -> list[Kept]:
    """Return bundles that have `limit` records together, if there are so many."""
    last = after
    total = 0
    for number, records in tx.rows("sizes", lane=lane, after=after, limit=limit):
        last = number
        total += records
        if total >= limit:
            break
    return list(map(Kept._make, tx.rows("bundles", lane=lane, after=after, last=last)))


def _status(tx: Transaction) -> Status:
    now = tx.now()
    counts: dict[str, dict[str, int]] = defaultdict(dict)
    for connection, name, value in tx.rows("all_counts"):
        counts[connection][name] = value

    lanes: dict[str, list[LaneStatus]] = defaultdict(list)
    for connection, *row in tx.rows("all_lanes"):
        lanes[connection].append(_lane_status(now, *row))

    connections = {}
    for name, pending in tx.rows("all_connections"):
        dead_letters = sum(lane.dead for lane in lanes[name])
        connections[name] = ConnectionStatus(pending, dead_letters, counts[name], lanes[name])
    return Status(now, connections)


def _lane_status(
    now: float,
    lane: str,
    pending: int,
    dead_letters: int,
    code: str | None,
    reason: str,
    stops: int,
    probe_at: float,
    worker: str,
    lease_ends: float,
    oldest: float | None,
) -> LaneStatus:
    stopped = None if code is None else Stopped(code, reason, stops, probe_at)
    holder = worker if lease_ends > now else None
    return LaneStatus(lane, pending, oldest, dead_letters, stopped, holder)

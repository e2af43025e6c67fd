"""The outbox's values, and what every store does.

Records are kept in bundles: those of one post, lane and operation, in order. The bundles of a lane
are numbered in the order in which they were accepted, and so are its records: record `index` of
bundle `number` has `seq` number * BUNDLE + index. What a bundle holds is opaque here, beside its
lane, its operation and digests of its identifiers.

Times are seconds since the epoch, by the clock of the database; SQLite has none, so its clock is
given. A caller's own clock may differ: it measures a lease from before it asked for it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from connector.errors import ConnectorError

#: For how long an idempotency key is kept, in seconds.
KEEP_KEYS = 24 * 3600
#: How many records a bundle has at most.
BUNDLE = 1_024
#: How many records of a connection may be pending before it takes no more.
MAX_PENDING = 1_000_000
#: How many rows one step of a long piece of work handles.
PAGE = 1_000

#: What a store counts itself, for each connection. At any time
#: records + retried = pending + delivered + superseded + buried, and
#: dead letters = buried - retried - purged.
OWN_COUNTS = ("records", "delivered", "superseded", "buried", "retried", "purged")


class OutboxError(ConnectorError):
    """The store cannot be used; nothing was changed unless the text says so."""


class Bundle(NamedTuple):
    """Records of one lane and operation that are put in together, in order.

    `records`: how many, at most BUNDLE. `keys`: digests of their identifiers, see `pack_keys`.
    """

    connection: str
    lane: str
    operation: str
    records: int
    keys: bytes
    payload: bytes


class Idempotency(NamedTuple):
    """`key` and `body` are digests as text; `answer` is given again for the same key and body."""

    key: str
    body: str
    answer: bytes


class Post(NamedTuple):
    """What is accepted as a whole or not at all. `counts`: by (connection, name)."""

    bundles: Sequence[Bundle]
    counts: Mapping[tuple[str, str], int] = {}
    idempotency: Idempotency | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """The post is committed. `repeated`: it was earlier, and `answer` is that of then.

    `numbers`: those of its bundles; `committed_at`: the moment from which they are as old as they
    are.
    """

    answer: bytes = b""
    repeated: bool = False
    numbers: Sequence[int] = field(default=(), compare=False)
    committed_at: float = field(default=0.0, compare=False)


class Conflict(NamedTuple):
    """The key was used for another body. Nothing of the post was taken."""

    key: str


class Full(NamedTuple):
    """The connection has as many pending records as it may. Nothing of the post was taken."""

    connection: str
    pending: int


Answer = Accepted | Conflict | Full


class Lease(NamedTuple):
    """A lane that one worker holds. `number` is the lane's; `token` that of this lease.

    `stops`: how often in a row the lane was stopped; this lease is the next probe then.
    """

    connection: str
    lane: str
    number: int
    token: int
    stops: int


class Kept(NamedTuple):
    """A bundle with pending records.

    `marks`: a byte for each record, GONE for one that is not pending, else how often it was sent;
    None when all are pending and none was sent.
    """

    number: int
    records: int
    operation: str
    payload: bytes
    committed_at: float
    marks: bytes | None


class Verdict(NamedTuple):
    """Why a record becomes a dead letter."""

    seq: int
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of records of a lane, by `seq`; each stands in one of the first three.

    `attempts`: how often records were sent since they were read, of those that die or stay.
    `counts`: more to count for the connection, by name.
    """

    delivered: Collection[int] = ()
    superseded: Collection[int] = ()
    dead: Sequence[Verdict] = ()
    attempts: Mapping[int, int] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)


class DeadLetter(NamedTuple):
    """A record that nobody sends any more.

    `overtaken`: a newer record of its lane shares an identifier under another operation, so that
    sending it now would undo what came later.
    """

    id: str
    connection: str
    lane: str
    operation: str
    payload: bytes
    committed_at: float
    died_at: float
    attempts: int
    code: str
    reason: str
    overtaken: bool


class Selection(NamedTuple):
    """Which dead letters: all that agree with what is given. `ids` are asked for alone."""

    connection: str | None = None
    lane: str | None = None
    code: str | None = None
    ids: tuple[str, ...] = ()


ALL = Selection()


class Retried(NamedTuple):
    """How many dead letters are pending again, and how many stay because they are overtaken."""

    retried: int
    overtaken: int


class Grant(NamedTuple):
    """So many requests may be sent; `wait`: seconds until more, at most, when it is none."""

    block: int
    requests: int
    wait: float


class Stopped(NamedTuple):
    """Why a lane is stopped, how often in a row, and when it is tried again."""

    code: str
    reason: str
    stops: int
    probe_at: float


class LaneStatus(NamedTuple):
    """A lane with pending records, dead letters or a stop. `worker`: who holds it."""

    lane: str
    pending: int
    oldest: float | None
    dead: int
    stopped: Stopped | None
    worker: str | None


class ConnectionStatus(NamedTuple):
    """The sums of a connection, its counts by name, and its lanes by name."""

    pending: int
    dead: int
    counts: Mapping[str, int]
    lanes: Sequence[LaneStatus]


class Status(NamedTuple):
    """Everything at one moment, `now`, by connection."""

    now: float
    connections: Mapping[str, ConnectionStatus]


class Outbox(Protocol):
    """A store. Each method is one transaction and may be called from any thread.

    All of them raise OutboxError.
    """

    def accept(self, posts: Sequence[Post]) -> list[Answer]:
        """Commit posts together, each as a whole or not at all; return their answers in order."""
        ...

    def lease(
        self, worker: str, connections: Collection[str], seconds: float, limit: int
    ) -> list[Lease]:
        """Return lanes with pending records that nobody holds; those held longest ago first.

        A stopped lane is among them once it is to be tried again.
        """
        ...

    def renew(self, lease: Lease, seconds: float) -> bool:
        """Hold a lane for so long from now on. Return False when it is no longer held."""
        ...

    def release(self, lease: Lease) -> None:
        """Hold a lane no longer."""
        ...

    def read(self, lease: Lease, after: int, limit: int) -> list[Kept]:
        """Return the first bundles of a lane behind the one numbered `after`, 0 for all.

        They have `limit` records together at least, unless there are no more, and at most that
        and the last bundle.
        """
        ...

    def settle(self, lease: Lease, settled: Settled) -> bool:
        """Note what became of records. A delivered one ends the stop of its lane.

        Records that share an identifier under different operations are settled in their order.
        Return False, without any change, when the lane is no longer held.
        """
        ...

    def stop(self, lease: Lease, code: str, reason: str, seconds: float) -> bool:
        """Release a lane that keeps its records and is tried again in so many seconds.

        Return False, without any change, when the lane is no longer held.
        """
        ...

    def start(self, connection: str) -> None:
        """End the stops of a connection's lanes: whoever begins to deliver it tries all of them."""
        ...

    def status(self) -> Status:
        """Return what there is, all of it at one moment."""
        ...

    def dead_letters(
        self, selection: Selection = ALL, after: str = "", limit: int = PAGE
    ) -> list[DeadLetter]:
        """Return a page of dead letters by lane, those of a lane in order.

        `after`: the id of the last one of the page before, empty for the first page.
        """
        ...

    def dead_letter(self, dead_id: str) -> DeadLetter | None:
        """Return one dead letter, None when there is none with this id."""
        ...

    def retry(self, selection: Selection = ALL) -> Retried:
        """Put dead letters at the end of their lanes, except for those that are overtaken.

        It is done in several transactions; what dies again meanwhile stays dead.
        """
        ...

    def purge(self, selection: Selection = ALL, older_than: float = 0.0) -> int:
        """Delete what died longer ago than so many seconds; return how many.

        It is done in several transactions.
        """
        ...

    def take(
        self, account: str, rates: Sequence[tuple[int, float]], want: int, within: float
    ) -> Grant:
        """Grant a block of requests of an account, by its rates of (requests, per seconds).

        Each of them arrives at the vendor within `within` seconds from now, or is not sent at all.
        """
        ...

    def used(self, account: str, grant: Grant, requests: int) -> None:
        """Give back what is left of a block, once the requests that were sent have arrived."""
        ...

    def pause(self, account: str, seconds: float) -> None:
        """Grant an account nothing for so long: the vendor asked for it."""
        ...

    def close(self) -> None:
        """End. What is held stays held until it expires."""
        ...

"""The outbox against a simple model: nothing lost, nothing twice, in order, one holder of a lane."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from connector.delivery.outbox.model import (
    ALL,
    KEEP_KEYS,
    Accepted,
    Answer,
    Conflict,
    Full,
    Idempotency,
    Kept,
    Lease,
    Outbox,
    Post,
    Selection,
    Settled,
    Verdict,
)
from tests.kit.outbox import (
    Entry,
    PostgresWorld,
    SqliteWorld,
    World,
    in_runs,
    key,
    pending_of,
    waiting,
)
from tests.kit.records import tries

MAX_PENDING = 12
# Whatever time passes is a multiple of ten seconds: how long a test takes makes no difference.
HELD, STOPPED = 25.0, 65.0

CONNECTIONS = ("c", "d")
ENTRIES = st.tuples(
    st.sampled_from(CONNECTIONS),
    st.sampled_from(["l", "m"]),
    st.sampled_from(["add", "remove"]),
    st.sampled_from([{0}, {1}, {0, 1}, {1, 2}, set()]),
)
KEYS = st.none() | st.tuples(st.sampled_from("kq"), st.sampled_from("xy"))
POSTS = st.lists(st.tuples(st.lists(ENTRIES, max_size=4), KEYS), min_size=1, max_size=2)
FATES = st.sampled_from(["dead", "delivered", "superseded", "dead", "again"])


@dataclass
class Known:
    """A record, as the model knows it. `order` is that of its lane."""

    entry: Entry
    order: int
    attempts: int = 0
    code: str = ""
    overtaken: bool = False


@dataclass
class LaneModel:
    pending: list[Known] = field(default_factory=list)
    dead: list[Known] = field(default_factory=list)
    # every record that was ever put at the end
    log: list[Known] = field(default_factory=list)
    token: int = 0
    ends: float = 0.0
    stops: int = 0
    probe_at: float = 0.0

    def conflicts(self, one: Known, other: Known) -> bool:
        shared = set(one.entry.keys) & set(other.entry.keys)
        return bool(shared) and one.entry.operation != other.entry.operation

    def is_overtaken(self, dead: Known) -> bool:
        """Return whether a newer record undoes what sending this one would do."""
        return any(other.order > dead.order and self.conflicts(dead, other) for other in self.log)


class OutboxMachine(RuleBasedStateMachine):
    """Accepts, leases, settles and lets time pass, and compares with the model."""

    world_type: type[World]

    def __init__(self) -> None:
        super().__init__()
        self.world: World = self.world_type()
        self.outbox: Outbox = self.world.open(max_pending=MAX_PENDING)
        self.lanes: dict[tuple[str, str], LaneModel] = {}
        self.counts: dict[str, dict[str, int]] = {}
        self.answers: dict[str, tuple[str, bytes, float]] = {}
        self.leases: list[Lease] = []
        self.names = count()
        self.orders = count()

    def teardown(self) -> None:
        self.world.close()

    # --- what the model expects ---------------------------------------------------------------------------------------

    def pending(self, connection: str) -> int:
        return sum(
            len(lane.pending) for (name, _), lane in self.lanes.items() if name == connection
        )

    def some(self, what: str) -> bool:
        return any(getattr(lane, what) for lane in self.lanes.values())

    def add(self, connection: str, name: str, number: int = 1) -> None:
        counts = self.counts.setdefault(connection, {})
        counts[name] = counts.get(name, 0) + number

    def held(self, lease: Lease) -> LaneModel | None:
        lane = self.lanes[lease.connection, lease.lane]
        return lane if lane.token == lease.token and lane.ends > self.world.now() else None

    def expected(self, post: Post, entries: Sequence[Entry]) -> Answer:
        if post.idempotency is not None:
            name, body, answer = post.idempotency
            known = self.answers.get(name)
            if known is not None and known[2] > self.world.now():
                if known[0] != body:
                    return Conflict(name)
                return Accepted(known[1], repeated=True)
        for connection in sorted({entry.connection for entry in entries}):
            if self.pending(connection) >= MAX_PENDING:
                return Full(connection, self.pending(connection))

        for entry in entries:
            lane = self.lanes.setdefault((entry.connection, entry.lane), LaneModel())
            known_entry = Known(entry, next(self.orders))
            lane.pending.append(known_entry)
            lane.log.append(known_entry)
            self.add(entry.connection, "records")
        for (connection, name), number in post.counts.items():
            self.add(connection, name, number)
        if post.idempotency is None:
            return Accepted()
        name, body, answer = post.idempotency
        self.answers[name] = (body, answer, self.world.now() + KEEP_KEYS)
        return Accepted(answer)

    # --- what happens -------------------------------------------------------------------------------------------------

    @rule(posts=POSTS)
    def accept(self, posts: list[Any]) -> None:
        made = []
        for entries, idempotency in posts:
            rows = []
            for connection, lane, operation, people in entries:
                payload = b"%d" % next(self.names)
                rows.append(Entry(connection, lane, operation, tuple(map(key, people)), payload))
            answer = b"answer %d" % next(self.names)
            again = idempotency and Idempotency(*idempotency, answer)
            made.append((Post(in_runs(*rows), {("c", "accepted"): len(rows)}, again), rows))
        expected = [self.expected(post, rows) for post, rows in made]
        assert self.outbox.accept([post for post, _ in made]) == expected

    @precondition(lambda self: self.some("pending"))
    @rule(
        worker=st.sampled_from("vw"),
        connections=st.sampled_from([("c",), ("c", "d")]),
        limit=st.integers(1, 4),
    )
    def lease(self, worker: str, connections: tuple[str, ...], limit: int) -> None:
        now = self.world.now()
        free = set()
        for (connection, name), lane in self.lanes.items():
            if connection in connections and lane.pending and max(lane.ends, lane.probe_at) <= now:
                free.add((connection, name))

        leases = self.outbox.lease(worker, connections, HELD, limit)
        assert len(leases) == min(limit, len(free))
        assert {(lease.connection, lease.lane) for lease in leases} <= free
        for lease in leases:
            lane = self.lanes[lease.connection, lease.lane]
            assert lease.token > lane.token
            assert lease.stops == lane.stops
            lane.token = lease.token
            lane.ends = now + HELD
            self.leases.append(lease)

    @precondition(lambda self: self.leases)
    @rule(data=st.data())
    def renew(self, data: st.DataObject) -> None:
        lease = data.draw(st.sampled_from(self.leases))
        lane = self.held(lease)
        assert self.outbox.renew(lease, HELD) == (lane is not None)
        if lane is not None:
            lane.ends = self.world.now() + HELD

    @precondition(lambda self: self.leases)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        lease = data.draw(st.sampled_from(self.leases))
        lane = self.held(lease)
        self.outbox.release(lease)
        if lane is not None:
            lane.ends = 0.0

    @precondition(lambda self: self.leases)
    @rule(data=st.data())
    def stop(self, data: st.DataObject) -> None:
        lease = data.draw(st.sampled_from(self.leases))
        lane = self.held(lease)
        assert self.outbox.stop(lease, "refused", "why", STOPPED) == (lane is not None)
        if lane is not None:
            lane.ends = 0.0
            lane.stops += 1
            lane.probe_at = self.world.now() + STOPPED

    @precondition(lambda self: self.leases)
    @rule(data=st.data(), fates=st.lists(FATES, max_size=6))
    def settle(self, data: st.DataObject, fates: list[str]) -> None:
        self.settle_some(data.draw(st.sampled_from(self.leases)), fates)

    # several things in one rule: hypothesis leaves out any rule for a whole example
    @rule(posts=st.just([]) | POSTS, fates=st.lists(FATES, min_size=1, max_size=6))
    def work(self, posts: list[Any], fates: list[str]) -> None:
        """Accept some, and settle some of every lane that is free."""
        self.accept(posts)
        before = len(self.leases)
        self.lease("w", CONNECTIONS, 4)
        for lease in self.leases[before:]:
            self.settle_some(lease, fates)
            self.outbox.release(lease)
            self.lanes[lease.connection, lease.lane].ends = 0.0

    def settle_some(self, lease: Lease, fates: list[str]) -> None:
        lane = self.lanes[lease.connection, lease.lane]
        read = waiting(self.outbox, lease)
        assert [kept.payload for kept in read] == [known.entry.payload for known in lane.pending]
        assert [kept.attempts for kept in read] == [known.attempts for known in lane.pending]

        chosen: dict[str, list[tuple[int, Known]]] = {}
        later: list[Known] = []
        for kept, known, fate in zip(read, lane.pending, fates, strict=False):
            # what depends on the order is settled in order
            waits = fate == "again" or any(lane.conflicts(known, other) for other in later)
            if waits:
                later.append(known)
            chosen.setdefault("again" if waits else fate, []).append((kept.seq, known))

        def seqs(fate: str) -> list[int]:
            return [seq for seq, _ in chosen.get(fate, ())]

        attempts = dict.fromkeys(seqs("again") + seqs("dead"), 1)
        verdicts = [Verdict(seq, f"code{seq % 2}", "why") for seq in seqs("dead")]
        settled = Settled(
            seqs("delivered"), seqs("superseded"), verdicts, attempts, {"requests": 1}
        )
        held = self.held(lease)
        assert self.outbox.settle(lease, settled) == (held is not None)
        if held is not None:
            self.settled(lease.connection, lane, chosen)

    def settled(
        self, connection: str, lane: LaneModel, chosen: dict[str, list[tuple[int, Known]]]
    ) -> None:
        self.add(connection, "requests")
        for fate, rows in chosen.items():
            for seq, known in rows:
                known.attempts += fate in ("again", "dead")
                if fate == "again":
                    continue
                lane.pending.remove(known)
                self.add(connection, "buried" if fate == "dead" else fate)
                if fate == "dead":
                    known.code = f"code{seq % 2}"
                    lane.dead.append(known)
                if fate == "delivered":
                    lane.stops = 0
                    lane.probe_at = 0.0

    @precondition(lambda self: self.some("dead"))
    @rule(selection=st.sampled_from([ALL, Selection("c"), Selection(lane="l", code="code0")]))
    def retry(self, selection: Selection) -> None:
        retried = overtaken = 0
        for connection, lane in self.selected(selection):
            for known in sorted(lane.dead, key=lambda known: known.order):
                if selection.code in (None, known.code):
                    if lane.is_overtaken(known):
                        overtaken += 1
                        continue
                    retried += 1
                    again = Known(known.entry, next(self.orders), known.attempts)
                    lane.dead.remove(known)
                    lane.pending.append(again)
                    lane.log.append(again)
                    self.add(connection, "retried")
        assert self.outbox.retry(selection) == (retried, overtaken)

    @precondition(lambda self: self.some("dead"))
    @rule(selection=st.just(Selection("c", "m")))
    def purge(self, selection: Selection) -> None:
        purged = 0
        for connection, lane in self.selected(selection):
            purged += len(lane.dead)
            self.add(connection, "purged", len(lane.dead))
            lane.dead.clear()
        assert self.outbox.purge(selection) == purged

    def selected(self, selection: Selection) -> list[tuple[str, LaneModel]]:
        found = []
        for (connection, name), lane in self.lanes.items():
            if selection.connection in (None, connection) and selection.lane in (None, name):
                found.append((connection, lane))
        return found

    @rule(seconds=st.sampled_from([10, 10, 30, 70, 86_410]))
    def pass_time(self, seconds: int) -> None:
        self.world.pass_time(seconds)

    # --- what holds ---------------------------------------------------------------------------------------------------

    @invariant()
    def each_record_is_in_its_place_and_no_other(self) -> None:
        stored: dict[tuple[str, str], list[bytes]] = {}
        for connection, name, *bundle, marks in self.world.sql(
            "SELECT lane.connection, lane.lane, bundle.number, records, operation, payload, "
            "committed_at, marks FROM bundle JOIN lane ON lane.number = bundle.lane "
            "LEFT JOIN bundle_marks ON bundle_marks.lane = bundle.lane "
            "AND bundle_marks.number = bundle.number ORDER BY bundle.number"
        ):
            number, records, operation, payload, committed_at = bundle
            kept = Kept(number, records, operation, bytes(payload), committed_at, marks)
            found = stored.setdefault((connection, name), [])
            pending = [one.payload for one in pending_of(kept)]
            assert pending, "a bundle is kept of which nothing is pending"
            found += pending
        self.compare(stored, "pending")

        stored = {}
        for connection, name, payload in self.world.sql(
            "SELECT lane.connection, lane.lane, payload FROM dead "
            "JOIN lane ON lane.number = dead.lane ORDER BY seq"
        ):
            stored.setdefault((connection, name), []).append(bytes(payload))
        self.compare(stored, "dead")

    def compare(self, stored: dict[tuple[str, str], list[bytes]], what: str) -> None:
        for place, lane in self.lanes.items():
            in_order = sorted(getattr(lane, what), key=lambda known: known.order)
            assert stored.pop(place, []) == [one.entry.payload for one in in_order]
        assert not stored

    @invariant()
    def status_says_so(self) -> None:
        now = self.world.now()
        status = self.outbox.status()
        for name, connection in status.connections.items():
            assert connection.pending == self.pending(name)
            counts = {key: value for key, value in self.counts.get(name, {}).items() if value}
            assert connection.counts == counts
            assert counts.get("records", 0) + counts.get("retried", 0) == (
                connection.pending
                + counts.get("delivered", 0)
                + counts.get("superseded", 0)
                + counts.get("buried", 0)
            )
            lanes = {}
            for lane in connection.lanes:
                stops = lane.stopped.stops if lane.stopped else 0
                lanes[lane.lane] = (lane.pending, lane.dead, stops, lane.worker is not None)
            assert lanes == {
                lane: (len(model.pending), len(model.dead), model.stops, model.ends > now)
                for (owner, lane), model in self.lanes.items()
                if owner == name and (model.pending or model.dead or model.stops)
            }

    @invariant()
    def only_what_is_overtaken_is_called_so(self) -> None:
        called = {letter.payload for letter in self.outbox.dead_letters() if letter.overtaken}
        for lane in self.lanes.values():
            for known in lane.dead:
                if known.entry.payload in called:
                    assert lane.is_overtaken(known)


class SqliteMachine(OutboxMachine):
    world_type = SqliteWorld

    @rule()
    def restart(self) -> None:
        """Open the store as a new process: the leases of the old one have ended."""
        self.outbox = self.world.open(max_pending=MAX_PENDING)
        for lane in self.lanes.values():
            lane.ends = 0.0


class PostgresMachine(OutboxMachine):
    world_type = PostgresWorld


TestSqliteOutbox = SqliteMachine.TestCase
TestSqliteOutbox.settings = tries(30)
TestPostgresOutbox = PostgresMachine.TestCase
TestPostgresOutbox.settings = tries(10)

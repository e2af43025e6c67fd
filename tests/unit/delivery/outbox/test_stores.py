"""Both stores: leases and stops, idempotency, dead letters, the pace, and several threads at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.delivery.outbox.model import (
    BUNDLE,
    KEEP_KEYS,
    Accepted,
    Bundle,
    Conflict,
    Full,
    Grant,
    Idempotency,
    Lease,
    Outbox,
    Post,
    Retried,
    Selection,
    Settled,
    Verdict,
)
from tests.kit.outbox import (
    WORLDS,
    Entry,
    World,
    bundle,
    entry,
    in_runs,
    seq,
    singly,
    waiting,
)
from tests.kit.records import tries


@pytest.fixture(params=WORLDS)
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    with closing(WORLDS[request.param]()) as world:
        yield world


@pytest.fixture
def outbox(world: World) -> Outbox:
    return world.open()


def put(outbox: Outbox, *entries: Entry) -> None:
    assert outbox.accept([Post(singly(*entries))]) == [Accepted()]


def hold(outbox: Outbox, connection: str = "c", limit: int = 1) -> Lease:
    [lease] = outbox.lease("w", [connection], 20, limit)
    return lease


def bury(outbox: Outbox, *numbers: int) -> None:
    """Let records of the only lane die, which are bundles of their own."""
    lease = hold(outbox)
    dead = [Verdict(seq(number), "bad", "why") for number in numbers]
    assert outbox.settle(lease, Settled(dead=dead))
    outbox.release(lease)


def payloads(outbox: Outbox, lease: Lease) -> list[bytes]:
    return [one.payload for one in waiting(outbox, lease)]


# --- leases -----------------------------------------------------------------------------------------------------------


def test_a_lane_is_held_by_one_worker_until_it_expires(world: World, outbox: Outbox) -> None:
    put(outbox, entry("l", "a"))
    first = hold(outbox)
    assert outbox.lease("v", ["c"], 20, 9) == []
    world.pass_time(30)

    [second] = outbox.lease("v", ["c"], 20, 9)
    assert second.token > first.token
    assert not outbox.renew(first, 20)
    assert not outbox.settle(first, Settled(delivered=[seq(1)]))
    assert not outbox.stop(first, "x", "y", 60)
    outbox.release(first)
    assert outbox.lease("w", ["c"], 20, 9) == []
    assert payloads(outbox, second) == [b"a"]
    assert outbox.settle(second, Settled(delivered=[seq(1)]))


def test_an_expired_lease_is_nobodys(world: World, outbox: Outbox) -> None:
    put(outbox, entry("l", "a"))
    lease = hold(outbox)
    world.pass_time(30)
    assert not outbox.renew(lease, 20)
    assert not outbox.settle(lease, Settled(delivered=[seq(1)]))


def test_a_renewed_lease_lasts(world: World, outbox: Outbox) -> None:
    put(outbox, entry("l", "a"))
    lease = hold(outbox)
    for _ in range(3):
        world.pass_time(10)
        assert outbox.renew(lease, 20)
    assert outbox.lease("v", ["c"], 20, 9) == []


def test_lanes_take_turns(world: World, outbox: Outbox) -> None:
    put(outbox, entry("l", "a"), entry("m", "b"), entry("n", "c"))
    seen = []
    for _ in range(6):
        lease = hold(outbox)
        seen.append(lease.lane)
        world.pass_time(1)
        outbox.release(lease)
    assert seen == ["l", "m", "n"] * 2


def test_only_lanes_of_the_connections_are_given(outbox: Outbox) -> None:
    put(outbox, entry("l", "a"), entry("l", "b", connection="d"))
    assert outbox.lease("w", ["e"], 20, 9) == []
    assert outbox.lease("w", [], 20, 9) == []
    assert payloads(outbox, hold(outbox, "d", 9)) == [b"b"]


def test_a_stopped_lane_keeps_its_records_until_it_is_tried_again(
    world: World, outbox: Outbox
) -> None:
    put(outbox, entry("l", "a"), entry("m", "b"))
    for stops in range(2):
        lease = hold(outbox)
        assert (lease.lane, lease.stops) == ("l", stops)
        assert outbox.stop(lease, "refused", "the vendor said no", 60)
        world.pass_time(30)
        assert payloads(outbox, hold(outbox, limit=9)) == [b"b"]
        status = outbox.status()
        stopped = status.connections["c"].lanes[0].stopped
        assert stopped is not None
        assert stopped[:3] == ("refused", "the vendor said no", stops + 1)
        assert stopped.probe_at == pytest.approx(status.now + 30, abs=5)
        world.pass_time(40)

    lease = hold(outbox)
    assert outbox.settle(lease, Settled(delivered=[seq(1)]))
    assert [lane.lane for lane in outbox.status().connections["c"].lanes] == ["m"]


def test_whoever_begins_tries_all_lanes_of_a_connection(world: World, outbox: Outbox) -> None:
    put(outbox, entry("l", "a"), entry("m", "b"), entry("l", "c", connection="d"))
    for connection, lanes in (("c", 2), ("d", 1)):
        for lease in outbox.lease("w", [connection], 20, 9):
            assert outbox.stop(lease, "refused", "the vendor said no", 60)
        assert len(outbox.status().connections[connection].lanes) == lanes

    outbox.start("c")
    status = outbox.status().connections
    assert [lane.stopped for lane in status["c"].lanes] == [None, None]
    assert [lane.stopped is None for lane in status["d"].lanes] == [False]
    leases = outbox.lease("w", ["c", "d"], 20, 9)
    assert [(lease.lane, lease.stops) for lease in leases] == [("l", 0), ("m", 0)]


# --- accepting --------------------------------------------------------------------------------------------------------


def test_the_same_key_and_body_get_the_same_answer_for_a_day(world: World, outbox: Outbox) -> None:
    first = Post(singly(entry("l", "a")), {("c", "accepted"): 1}, Idempotency("k", "x", b"one"))
    again = Post(singly(entry("l", "a")), {("c", "accepted"): 1}, Idempotency("k", "x", b"two"))
    other = Post(singly(entry("l", "b")), {}, Idempotency("k", "y", b"three"))
    assert outbox.accept([first, again, other]) == [
        Accepted(b"one"),
        Accepted(b"one", repeated=True),
        Conflict("k"),
    ]
    outbox = world.open()
    world.pass_time(KEEP_KEYS - 100)
    assert outbox.accept([again, other]) == [Accepted(b"one", repeated=True), Conflict("k")]
    world.pass_time(200)
    assert outbox.accept([other]) == [Accepted(b"three")]
    assert payloads(outbox, hold(outbox)) == [b"a", b"b"]
    assert outbox.status().connections["c"].counts == {"accepted": 1, "records": 2}


def test_a_full_connection_refuses_its_posts_alone(world: World) -> None:
    outbox = world.open(max_pending=2)
    many = Post(
        in_runs(*(entry("l", str(number)) for number in range(3))), {}, Idempotency("k", "x", b"")
    )
    both = Post(singly(entry("l", "x"), entry("l", "y", connection="d")))
    other = Post(singly(entry("l", "z", connection="d")))
    assert outbox.accept([many, both, other]) == [Accepted(), Full("c", 3), Accepted()]
    assert outbox.accept([Post([], {("c", "skipped"): 1})]) == [Accepted()]

    refused = Post(singly(entry("l", "x")), {}, Idempotency("q", "x", b""))
    assert outbox.accept([refused]) == [Full("c", 3)]
    assert outbox.settle(hold(outbox), Settled(delivered=[seq(1), seq(1, 1)]))
    assert outbox.accept([refused]) == [Accepted()]  # its key was not taken


def test_odd_names_and_bytes_come_back(outbox: Outbox) -> None:
    payload = bytes(range(256)) * 5_000
    lane = "https://é.example/'; DROP TABLE entry; -- %s ? :lane \t"
    put(outbox, Entry("ü c", lane, "add", (), payload), Entry("ü c", lane, "add", (), b""))
    lease = hold(outbox, "ü c")
    assert lease.lane == lane
    assert payloads(outbox, lease) == [payload, b""]


def test_a_key_that_is_no_digest_is_a_defect() -> None:
    with pytest.raises(ValueError, match="a key has 8 bytes"):
        bundle(Entry("c", "l", "add", (b"short",), b""))


def test_a_bundle_that_is_too_large_is_a_defect(outbox: Outbox) -> None:
    for records in (0, BUNDLE + 1):
        with pytest.raises(ValueError, match="from 1 to 1024 records"):
            outbox.accept([Post([Bundle("c", "l", "add", records, b"", b"")])])
    assert outbox.status().connections == {}


def test_reading_goes_on_where_it_ended(outbox: Outbox) -> None:
    put(outbox, *(entry("l", str(number)) for number in range(4)))
    outbox.accept([Post([bundle(*(entry("l", str(number)) for number in range(4, 8)))])])
    lease = hold(outbox)
    page = outbox.read(lease, 0, 2)
    assert [kept.payload for kept in page] == [b"0", b"1"]
    found = waiting(outbox, lease, page[-1].number, 3)
    assert [one.payload for one in found] == [b"2", b"3", b"4", b"5", b"6", b"7"]
    assert {one.attempts for one in found} == {0}
    assert outbox.read(lease, 5, 9) == []


def test_a_bundle_stays_until_all_of_it_is_gone(outbox: Outbox) -> None:
    outbox.accept([Post([bundle(*(entry("l", str(number), number) for number in range(4)))])])
    lease = hold(outbox)
    assert outbox.settle(lease, Settled(delivered=[seq(1, 1)], attempts={seq(1, 2): 300}))
    assert outbox.settle(lease, Settled(delivered=[seq(1, 1)]))
    assert [(one.payload, one.attempts) for one in waiting(outbox, lease)] == [
        (b"0", 0),
        (b"2", 254),
        (b"3", 0),
    ]
    assert outbox.settle(lease, Settled(dead=[Verdict(seq(1, 2), "bad", "")]))
    assert outbox.settle(lease, Settled(superseded=[seq(1, 0)], delivered=[seq(1, 3)]))
    assert outbox.settle(lease, Settled(delivered=[seq(1, 0), seq(7)], attempts={seq(1): 1}))
    assert [letter.payload for letter in outbox.dead_letters()] == [b"2"]
    assert outbox.read(lease, 0, 9) == []
    counts = {"records": 4, "delivered": 2, "superseded": 1, "buried": 1}
    assert outbox.status().connections["c"][:3] == (0, 1, counts)


# --- dead letters -----------------------------------------------------------------------------------------------------


def test_a_dead_letter_keeps_what_there_is_to_know(world: World, outbox: Outbox) -> None:
    put(outbox, entry("l", "a", 1), entry("l", "b", 2))
    lease = hold(outbox)
    outbox.settle(lease, Settled(attempts={seq(2): 3}))
    world.pass_time(10)
    verdict = Verdict(seq(2), "bad", "no such person")
    outbox.settle(lease, Settled(dead=[verdict], attempts={seq(2): 1}))

    [letter] = outbox.dead_letters()
    assert letter == outbox.dead_letter(letter.id)
    assert letter[1:5] == ("c", "l", "add", b"b")
    assert letter.died_at - letter.committed_at == pytest.approx(10, abs=5)
    assert letter[7:] == (4, "bad", "no such person", False)
    for unknown in ("", "1-1", "x", "1", "-", "9" * 30 + "-1", "1-" + "9" * 30, "\u0661-\u0662"):
        assert outbox.dead_letter(unknown) is None


def test_dead_letters_come_in_pages_and_by_what_they_are(outbox: Outbox) -> None:
    put(outbox, *(entry("l", str(number)) for number in range(5)))
    put(outbox, entry("m", "5"), entry("l", "6", connection="d"))
    for lease in outbox.lease("w", ["c", "d"], 20, 9):
        found = waiting(outbox, lease, 0, 9)
        dead = [Verdict(one.seq, f"code{one.seq // BUNDLE % 2}", "") for one in found]
        outbox.settle(lease, Settled(dead=dead))

    everything = outbox.dead_letters()
    assert [letter.payload for letter in everything] == [b"%d" % n for n in (0, 1, 2, 3, 4, 5, 6)]
    pages = []
    after = ""
    while page := outbox.dead_letters(after=after, limit=2):
        pages += page
        after = page[-1].id
    assert pages == everything

    def found(**selection: str) -> list[int]:
        return [int(letter.payload) for letter in outbox.dead_letters(Selection(**selection))]

    assert found(connection="d") == [6]
    assert found(lane="m") == [5]
    assert found(code="code0") == [1, 3]
    assert found(connection="c", lane="l", code="code1") == [0, 2, 4]
    ids = (everything[6].id, everything[1].id, "9-9")
    assert [one.payload for one in outbox.dead_letters(Selection(ids=ids))] == [b"6", b"1"]
    assert outbox.dead_letters(Selection(ids=ids), after=everything[1].id) == []


def test_a_retried_letter_stands_at_the_end_of_its_lane(world: World, outbox: Outbox) -> None:
    put(outbox, entry("l", "a", 1), entry("l", "b", 2), entry("l", "c", 3))
    bury(outbox, 1, 2)
    world.pass_time(50)
    [first, _] = outbox.dead_letters()
    assert outbox.retry(Selection(ids=(first.id,))) == Retried(1, 0)

    kept = waiting(outbox, hold(outbox), 0, 9)
    assert [one.payload for one in kept] == [b"c", b"a"]
    assert kept[1].committed_at - kept[0].committed_at == pytest.approx(50, abs=5)
    assert [one.payload for one in outbox.dead_letters()] == [b"b"]
    assert outbox.retry() == Retried(1, 0)
    assert outbox.retry() == Retried(0, 0)


def overtaken(outbox: Outbox) -> list[bytes]:
    return [letter.payload for letter in outbox.dead_letters() if letter.overtaken]


def test_a_newer_record_of_a_person_overtakes_a_dead_letter(outbox: Outbox) -> None:
    put(outbox, entry("l", "a", 1, 2), entry("l", "b", 3), entry("l", "c"))
    bury(outbox, 1, 2)
    put(outbox, entry("l", "d", 2), entry("m", "e", 3, operation="remove"))
    assert overtaken(outbox) == []  # the same operation, another lane
    put(outbox, entry("l", "f", 2, 9, operation="remove"))
    assert overtaken(outbox) == [b"a"]
    assert outbox.retry() == Retried(1, 1)
    assert [letter.payload for letter in outbox.dead_letters()] == [b"a"]


def test_one_that_was_waiting_when_a_letter_died_overtakes_it_once_it_leaves(
    outbox: Outbox,
) -> None:
    put(outbox, entry("l", "a", 1), entry("l", "b", 1, operation="remove"))
    bury(outbox, 1)
    assert outbox.settle(hold(outbox), Settled(delivered=[seq(2)]))
    assert overtaken(outbox) == [b"a"]
    assert outbox.retry() == Retried(0, 1)


def test_one_that_still_waits_overtakes_a_letter_that_is_retried(outbox: Outbox) -> None:
    put(outbox, entry("l", "a", 1), entry("l", "x", 2), entry("l", "b", 1, operation="remove"))
    bury(outbox, 1, 2)
    assert outbox.retry() == Retried(1, 1)
    assert overtaken(outbox) == [b"a"]


def test_what_dies_together_overtakes_in_its_order(outbox: Outbox) -> None:
    put(outbox, entry("l", "a", 1, operation="remove"), entry("l", "b", 1))
    bury(outbox, 1, 2)
    assert overtaken(outbox) == [b"a"]


def test_old_letters_are_purged(world: World, outbox: Outbox) -> None:
    put(outbox, entry("l", "a", 1), entry("l", "b", 1))
    bury(outbox, 1)
    world.pass_time(100)
    bury(outbox, 2)
    assert outbox.purge(older_than=50) == 1
    assert [letter.payload for letter in outbox.dead_letters()] == [b"b"]
    assert outbox.purge(Selection(code="other")) == 0
    assert outbox.purge() == 1
    assert world.sql("SELECT count(*) FROM dead_key") == [(0,)]
    assert outbox.status().connections["c"].counts == {"records": 2, "buried": 2, "purged": 2}


def test_many_letters_are_retried_and_purged(outbox: Outbox) -> None:
    for start in (0, 1_000, 2_000):
        many = [entry("l", str(number), number) for number in range(start, start + 1_000)]
        outbox.accept([Post(in_runs(*many))])
    lease = hold(outbox)
    seqs = [one.seq for one in waiting(outbox, lease, 0, 3_000)][:2_500]
    outbox.settle(lease, Settled(dead=[Verdict(one, "bad", "") for one in seqs]))
    assert outbox.retry() == Retried(2_500, 0)
    outbox.release(lease)
    kept = waiting(outbox, hold(outbox), 0, 4_000)
    assert [int(one.payload) for one in kept] == [*range(2_500, 3_000), *range(2_500)]


# --- pace -------------------------------------------------------------------------------------------------------------

RATES = [(5, 1.0), (12, 8.0)]
STEPS = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.1, 0.5, 1.0, 3.0]),
        st.integers(1, 8),
        st.sampled_from([0.2, 2.0]),
        st.booleans(),
        st.floats(0, 1),
    ),
    max_size=25,
)


@pytest.mark.parametrize("name", WORLDS)
def test_no_window_holds_more_requests_than_a_rate_allows(name: str) -> None:
    @given(STEPS)
    @tries(25 if name == "sqlite" else 6)
    def law(steps: list[tuple[float, int, float, bool, float]]) -> None:
        with closing(WORLDS[name]()) as world:
            arrivals = sorted(arrive(world, steps))
            for requests, per in RATES:
                for first, beyond in zip(arrivals, arrivals[requests:], strict=False):
                    assert beyond - first >= per

    law()


def arrive(world: World, steps: list[tuple[float, int, float, bool, float]]) -> list[float]:
    """Take blocks, and return when their requests reach the vendor: at any time they may."""
    outbox = world.open()
    arrivals: list[float] = []
    for seconds, want, within, gives_back, share in steps:
        world.pass_time(seconds)
        asked = world.now()
        grant = outbox.take("acc", RATES, want, within)
        taken = world.now()
        assert 0 <= grant.requests <= want
        if gives_back:
            # one request is not sent; the others have arrived
            world.pass_time(within * share)
            arrivals += [world.now()] * (grant.requests - 1)
            outbox.used("acc", grant, max(0, grant.requests - 1))
        else:
            arrivals += [taken + (asked + within - taken) * share] * grant.requests
    return arrivals


def test_whoever_waits_as_long_as_it_says_gets_some(world: World, outbox: Outbox) -> None:
    assert outbox.take("acc", [(5, 100.0)], 3, 10)[1:] == (3, 0)
    assert outbox.take("acc", [(5, 100.0)], 3, 20)[1:] == (2, 0)
    none = outbox.take("acc", [(5, 100.0)], 3, 10)
    assert none.requests == 0
    assert none.wait == pytest.approx(110, abs=5)
    assert outbox.take("other", [(5, 100.0)], 9, 10).requests == 5
    world.pass_time(none.wait)
    assert outbox.take("acc", [(5, 100.0)], 9, 10).requests == 3


def test_what_is_given_back_is_free_and_the_rest_counts_from_then(
    world: World, outbox: Outbox
) -> None:
    grant = outbox.take("acc", [(5, 100.0)], 5, 1_000)
    world.pass_time(10)
    outbox.used("acc", grant, 2)
    assert outbox.take("acc", [(5, 100.0)], 5, 1_000).requests == 3
    world.pass_time(90)
    assert outbox.take("acc", [(5, 100.0)], 5, 1_000).requests == 0
    world.pass_time(15)
    assert outbox.take("acc", [(5, 100.0)], 5, 1_000).requests == 2


def test_a_grant_that_ended_cannot_be_given_back(world: World, outbox: Outbox) -> None:
    grant = outbox.take("acc", [(5, 100.0)], 5, 10)
    world.pass_time(50)
    outbox.used("acc", grant, 0)
    assert outbox.take("acc", [(5, 100.0)], 5, 10).requests == 0


def test_a_pause_is_one_for_everybody(world: World, outbox: Outbox) -> None:
    outbox.pause("acc", 100)
    outbox.pause("acc", 50)
    assert outbox.take("acc", [(5, 1.0)], 1, 1).wait == pytest.approx(100, abs=5)
    outbox = world.open()
    assert outbox.take("acc", [], 1, 1).requests == 0
    world.pass_time(110)
    assert outbox.take("acc", [], 7, 1)[1:] == (7, 0)


# --- several threads --------------------------------------------------------------------------------------------------


POSTS, CLIENTS, WORKERS = 25, 4, 3


def all_at_once(*works: Callable[[], None]) -> None:
    """Run functions in threads, and raise what one of them raises."""
    with ThreadPoolExecutor(len(works)) as pool:
        for running in [pool.submit(work) for work in works]:
            running.result(60)


def post_all(outbox: Outbox, client: int) -> None:
    for number in range(POSTS):
        entries = [entry(lane, f"{client} {number}", client) for lane in "llmm"]
        assert outbox.accept([Post(in_runs(*entries))]) == [Accepted()]


def settle_all(outbox: Outbox, worker: str, seen: dict[str, list[bytes]]) -> None:
    ends = time.monotonic() + 60
    while sum(map(len, seen.values())) < POSTS * CLIENTS * 4:
        assert time.monotonic() < ends
        for lease in outbox.lease(worker, ["c"], 600, 1):
            kept = waiting(outbox, lease, 0, 50)
            # only the holder adds to the list of a lane
            seen[lease.lane] += [one.payload for one in kept]
            assert outbox.settle(lease, Settled([one.seq for one in kept]))
            outbox.release(lease)


def test_threads_accept_and_settle_at_once(world: World) -> None:
    outbox = world.open()
    seen: dict[str, list[bytes]] = {"l": [], "m": []}
    clients = [partial(post_all, outbox, client) for client in range(CLIENTS)]
    workers = [partial(settle_all, outbox, f"w{worker}", seen) for worker in range(WORKERS)]
    all_at_once(*clients, *workers)

    for lane in "lm":
        for client in range(CLIENTS):
            mine = [payload for payload in seen[lane] if payload.startswith(b"%d " % client)]
            assert mine == [b"%d %d" % (client, number) for number in range(POSTS) for _ in "ll"]
    total = POSTS * CLIENTS * 4
    connection = outbox.status().connections["c"]
    assert connection[:3] == (0, 0, {"records": total, "delivered": total})


def test_grants_side_by_side_keep_to_the_rate(world: World) -> None:
    outbox = world.open()
    grants: list[Grant] = []

    def take() -> None:
        for _ in range(5):
            grants.append(outbox.take("acc", [(40, 1_000.0)], 3, 100))

    all_at_once(take, take, take, take)
    assert sum(grant.requests for grant in grants) == 40
    blocks = [grant.block for grant in grants if grant.requests]
    assert len(set(blocks)) == len(blocks)

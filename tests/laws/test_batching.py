"""Batching ends as one record after the other would, within the limits, and loses nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.definitions.model import Limits
from connector.model import Batch, Record, Target
from connector.pipeline.batching import Batcher
from tests.kit.records import People, applied, identifiers, record, target, tries

WIRES = ("email", "phone")
LIMITS = st.builds(
    Limits,
    records=st.none() | st.integers(1, 6),
    groups=st.none() | st.integers(1, 3),
    bytes=st.none() | st.integers(1, 80),
    age=st.none() | st.integers(0, 6).map(float),
)


@dataclass
class World:
    """Chunks of records, and the moment at which each is taken."""

    chunks: list[tuple[float, list[Record]]]
    limits: Limits
    max_pending: int
    universe: list[tuple[str, str]]

    @property
    def records(self) -> list[Record]:
        return [one for _, chunk in self.chunks for one in chunk]


@dataclass
class Run:
    """What a batcher made of a world. `held` is what it still had after each chunk."""

    batches: list[Batch] = field(default_factory=list)
    superseded: list[Record] = field(default_factory=list)
    due: list[tuple[float, list[Batch]]] = field(default_factory=list)
    held: list[int] = field(default_factory=list)


@st.composite
def worlds(draw: st.DrawFn, *, lanes: int = 2, keys: int = 1) -> World:
    limits = draw(LIMITS)
    size = draw(st.sampled_from([2, 3, 5, 60]))
    universe = [(wire, str(number)) for wire in WIRES for number in range(size)]
    targets = [
        target(
            f"lane{lane}", operation, group, limits, key=str(key) if operation == "remove" else "0"
        )
        for lane in range(lanes)
        for operation in ("add", "remove")
        for group in ("g", "h")
        for key in range(keys)
    ]
    # a target is made anew now and then: equal ones are not identical
    targets += [replace(one) for one in targets]
    ids = st.lists(st.sampled_from(universe), min_size=1, max_size=3, unique=True)
    rows = draw(
        st.lists(
            st.tuples(
                st.sampled_from(targets), ids, st.integers(0, 20), st.integers(0, 2), st.booleans()
            ),
            max_size=25,
        )
    )
    chunks: list[tuple[float, list[Record]]] = [(0.0, [])]
    where, now = targets[0], 0.0
    for number, (chosen, named, length, passed, new) in enumerate(rows):
        if new:
            now += passed
            chunks.append((now, []))
            where = chosen
        elif passed == 0:
            where = chosen
        chunks[-1][1].append(record(where, named, number, now, b"x" * length))
    return World(chunks, limits, draw(st.sampled_from([1, 3, 10, 50_000])), universe)


def run(world: World, *, due: bool = True, strict: bool = True) -> Run:
    result = Run()
    batcher = Batcher(
        lambda older, newer: result.superseded.append(older), world.max_pending, strict=strict
    )
    taken = 0
    for now, chunk in world.chunks:
        result.batches += batcher.take(chunk)
        taken += len(chunk)
        result.held.append(
            taken - sum(len(b.records) for b in result.batches) - len(result.superseded)
        )
        if due:
            result.due.append((now, batcher.due(now)))
            result.batches += result.due[-1][1]
    result.batches += batcher.flush()
    assert not batcher.flush()
    return result


def of_lane(items: Sequence[Any], lane: str) -> list[Any]:
    return [
        item
        for item in items
        if (item.lane if isinstance(item, Batch) else item.target.url) == lane
    ]


def people(universe: list[tuple[str, str]]) -> st.SearchStrategy[People]:
    """Any set of people in which nobody shares an identifier."""

    def divided(numbers: list[int]) -> People:
        parts = {
            n: frozenset(i for i, m in zip(universe, numbers, strict=False) if m == n)
            for n in set(numbers) - {0}
        }
        return frozenset(part for part in parts.values() if part)

    return st.lists(
        st.integers(0, 3), min_size=min(10, len(universe)), max_size=min(10, len(universe))
    ).map(divided)


@given(worlds())
@tries(80)
def test_every_record_is_in_one_batch_or_superseded(world: World) -> None:
    result = run(world)
    ended = [one.event_id for batch in result.batches for one in batch.records] + [
        one.event_id for one in result.superseded
    ]
    assert sorted(map(int, ended)) == [one.event_id for one in world.records]


@given(worlds())
@tries(80)
def test_the_records_of_a_lane_keep_their_order(world: World) -> None:
    result = run(world)
    for lane in ("lane0", "lane1"):
        sent = [
            int(one.event_id) for batch in of_lane(result.batches, lane) for one in batch.records
        ]
        assert all(a < b for a, b in pairwise(sent))
        for batch in of_lane(result.batches, lane):
            assert all(a <= b for a, b in pairwise(batch.runs))
            assert len(batch.runs) == len(batch.records)
            assert {one.target.key for one in batch.records} == {batch.target.key}


@given(worlds())
@tries(80)
def test_no_identifier_is_in_a_batch_under_two_operations(world: World) -> None:
    for batch in run(world).batches:
        seen: dict[Any, str] = {}
        for one in batch.records:
            for named in identifiers(one):
                assert seen.setdefault(named, one.target.operation) == one.target.operation


def last_operations(records: Sequence[Record]) -> dict[Any, str]:
    return {named: one.target.operation for one in records for named in identifiers(one)}


@given(worlds(keys=2))
@tries(150)
def test_in_the_order_of_identifiers_the_last_operation_on_each_is_sent_last(world: World) -> None:
    result = run(world, strict=False)
    for lane in ("lane0", "lane1"):
        sent = [one for batch in of_lane(result.batches, lane) for one in batch.records]
        assert last_operations(sent) == last_operations(of_lane(world.records, lane))


def test_only_the_strict_order_parts_requests_of_two_operations_that_share_nobody() -> None:
    add, remove = (
        target("lane", operation, "g", Limits(), key=operation) for operation in ("add", "remove")
    )
    records = [record(remove if n % 2 else add, [("email", str(n))], n) for n in range(100)]
    sent = {
        strict: [*(b := Batcher(strict=strict)).take(records), *b.flush()]
        for strict in (True, False)
    }
    assert {strict: len(batches) for strict, batches in sent.items()} == {True: 100, False: 2}
    assert all(len(batch.groups()) <= 2 for batch in sent[False])


def test_a_shared_request_does_not_overtake_one_of_another_kind() -> None:
    mixed_add, mixed_remove = (
        target("lane", operation, "g", Limits(), key="mixed") for operation in ("add", "remove")
    )
    bulk = target("lane", "remove", "g", Limits(), key="bulk")
    rows = [
        (mixed_add, "a"),
        (mixed_remove, "c"),
        (bulk, "e"),
        (mixed_remove, "f"),
        (mixed_add, "b"),
    ]
    records = [record(where, [("email", name)], n) for n, (where, name) in enumerate(rows)]
    batcher = Batcher()
    batches = [*batcher.take(records), *batcher.flush()]
    runs = [[int(one.event_id) for one in batch.records] for batch in batches]
    assert runs.index([0, 1]) < runs.index([2])  # the addition has to go before the later removals


def test_an_addition_that_brings_less_does_not_supersede() -> None:
    add = target("lane", "add", "g", Limits())
    named, bare = (record(add, [("email", "a")], n) for n in (0, 1))
    named = named._replace(companions=frozenset({"first_name"}))
    for rows, sent in (([named, bare], [0, 1]), ([bare, named], [0])):
        batcher = Batcher()
        batches = [
            *batcher.take([one._replace(event_id=n) for n, one in enumerate(rows)]),
            *batcher.flush(),
        ]
        left = [one.event_id for batch in batches for one in batch.records]
        assert left == (sent if rows[0] is named else [1])


def bytes_of(batch: Batch) -> int:
    groups = batch.groups()
    items = sum(len(one.item) + 1 for one in batch.records)
    return batch.target.base_bytes + sum(where.group_bytes for where, _ in groups) + items


@given(worlds())
@tries(80)
def test_no_batch_is_over_its_limits_unless_one_record_is(world: World) -> None:
    limits = world.limits
    for batch in run(world).batches:
        assert batch.records
        assert len(batch.records) <= (limits.records or 1e9)
        assert len(batch.groups()) <= (limits.groups or 1e9)
        if len(batch.records) > 1:
            assert bytes_of(batch) <= (limits.bytes or 1e9)


def test_limits_are_used_up() -> None:
    where = target("lane", "add", "g", Limits(records=3, bytes=24))
    rows = [
        record(where, [("email", str(n))], n, item=b"x" * (1 if n < 3 else 5)) for n in range(9)
    ]
    batcher = Batcher()
    sizes = [len(batch.records) for batch in [*batcher.take(rows), *batcher.flush()]]
    # three by number; then 2 + 10 + 2 * 6 = 24 bytes
    assert sizes == [3, 2, 2, 2]


@given(worlds(), st.data())
@tries(200)
def test_batches_end_as_one_record_after_the_other_does(world: World, data: st.DataObject) -> None:
    before = data.draw(people(world.universe))
    result = run(world)
    for lane in ("lane0", "lane1"):
        expected = applied(before, of_lane(world.records, lane))
        bodies = [
            one
            for batch in of_lane(result.batches, lane)
            for _, group in batch.groups()
            for one in group
        ]
        assert applied(before, bodies) == expected


@given(worlds(), st.data())
@tries(100)
def test_parts_of_a_batch_end_as_the_batch_does(world: World, data: st.DataObject) -> None:
    before = data.draw(people(world.universe))
    for batch in run(world).batches:
        expected = applied(before, batch.records)
        if len(batch.records) > 1:
            halves = batch.halves()
            assert all(half.records for half in halves)
            parts = [one for half in halves for _, group in half.groups() for one in group]
            assert applied(before, parts) == expected
        chosen = data.draw(st.sets(st.integers(0, len(batch.records) - 1)))
        picked = batch.only(sorted(chosen))
        assert [*picked.records] == [one for i, one in enumerate(batch.records) if i in chosen]
        assert [*picked.runs] == [run for i, run in enumerate(batch.runs) if i in chosen]


@given(worlds())
@tries(80)
def test_groups_hold_every_record_once_and_never_reach_across_a_run(world: World) -> None:
    for batch in run(world).batches:
        run_of = {id(one): number for one, number in zip(batch.records, batch.runs, strict=True)}
        groups = batch.groups()
        assert sorted(int(one.event_id) for _, group in groups for one in group) == [
            one.event_id for one in batch.records
        ]
        runs = [{run_of[id(one)] for one in group} for _, group in groups]
        assert all(len(numbers) == 1 for numbers in runs)
        assert all(a <= b for (a,), (b,) in pairwise(runs))
        for where, group in groups:
            assert {(one.target.group, one.target.operation) for one in group} == {
                (where.group, where.operation)
            }
        assert len(
            {(*numbers, where.group) for numbers, (where, _) in zip(runs, groups, strict=True)}
        ) == len(groups)


@given(worlds())
@tries(80)
def test_nothing_waits_longer_than_its_age(world: World) -> None:
    age = world.limits.age
    result = Run()
    batcher = Batcher(lambda older, newer: result.superseded.append(older), world.max_pending)
    for now, chunk in world.chunks:
        list(batcher.take(chunk))
        batcher.due(now)
        # what is left now, looked at through a copy of the world up to here, is young
    left = batcher.flush()
    if age is not None:
        last = world.chunks[-1][0]
        assert all(last - one.prepared_at < age for batch in left for one in batch.records)


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3)), max_size=12),
    st.integers(0, 8),
    st.integers(1, 9),
)
@tries(80)
def test_due_gives_exactly_what_is_old_enough_the_oldest_first(
    rows: list[tuple[str, int]], later: int, age: int
) -> None:
    targets: dict[str, Target] = {
        lane: target(lane, "add", "g", Limits(age=float(age))) for lane in "abc"
    }
    batcher, now, first = Batcher(), 0.0, dict[str, float]()
    for number, (lane, passed) in enumerate(rows):
        now += passed
        first.setdefault(lane, now)
        assert not list(
            batcher.take([record(targets[lane], [("email", str(number))], number, now)])
        )
    moment = now + later
    due = batcher.due(moment)
    assert {batch.lane for batch in due} == {
        lane for lane, at in first.items() if moment - at >= age
    }
    assert all(a.records[0].prepared_at <= b.records[0].prepared_at for a, b in pairwise(due))
    assert not batcher.due(moment)
    assert {batch.lane for batch in batcher.flush()} == set(first) - {batch.lane for batch in due}


@given(worlds(lanes=3))
@tries(80)
def test_no_more_than_max_pending_is_held(world: World) -> None:
    assert max(run(world).held) <= world.max_pending


def test_a_full_batcher_gives_until_it_holds_what_it_may() -> None:
    lanes = {name: target(name, "add", "g", Limits()) for name in "abc"}
    batcher = Batcher(max_pending=3)
    for number, name in enumerate("ab"):
        assert not list(batcher.take([record(lanes[name], [("email", name)], number)]))
    given_up = list(batcher.take([record(lanes["c"], [("email", str(n))], n) for n in range(4)]))
    assert sum(len(batch.records) for batch in given_up) >= 6 - 3
    assert [batch.lane for batch in given_up][:2] == ["a", "b"]


def test_groups_of_superseded_records_count_no_more() -> None:
    g, h = (target("lane", "add", group, Limits(groups=1)) for group in "gh")
    rows = [
        record(g, [("email", "1")], 0),
        record(h, [("email", "1")], 1),
        record(g, [("email", "2")], 2),
    ]
    batcher = Batcher()
    assert [len(batch.groups()) for batch in [*batcher.take(rows), *batcher.flush()]] == [1, 1]


def test_what_is_superseded_again_and_again_still_becomes_due() -> None:
    where = target("lane", "add", "g", Limits(age=5.0))
    batcher = Batcher()
    for second in range(5):
        assert not list(batcher.take([record(where, [("email", "1")], second, float(second))]))
        assert not batcher.due(float(second))
    assert [batch.records[0].event_id for batch in batcher.due(5.0)] == [4]


ADD, REMOVE = "add", "remove"
TABLE = [
    # (operation, group, identifiers)…, then batches as event numbers, then the superseded ones
    ("a newer one that covers", [(ADD, "g", "1"), (ADD, "g", "12")], [[1]], [0]),
    ("equal ones", [(ADD, "g", "1"), (ADD, "h", "1")], [[1]], [0]),
    ("a part only", [(ADD, "g", "12"), (ADD, "g", "1")], [[0, 1]], []),
    ("a removal covers an add", [(ADD, "g", "1"), (REMOVE, "g", "12")], [[1]], [0]),
    ("a removal by a part seals", [(ADD, "g", "12"), (REMOVE, "g", "1")], [[0], [1]], []),
    ("an add after a removal seals", [(REMOVE, "g", "1"), (ADD, "g", "1")], [[0], [1]], []),
    (
        "strangers share a request",
        [(ADD, "g", "1"), (REMOVE, "g", "2"), (ADD, "g", "3")],
        [[0, 1, 2]],
        [],
    ),
    (
        "past another run nothing is superseded",
        [(ADD, "g", "1"), (REMOVE, "g", "2"), (ADD, "g", "1")],
        [[0, 1, 2]],
        [],
    ),
    (
        "a removal covers removals",
        [(REMOVE, "g", "1"), (REMOVE, "g", "2"), (REMOVE, "g", "12")],
        [[2]],
        [0, 1],
    ),
]


@pytest.mark.parametrize(
    ("rows", "batches", "superseded"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
def test_supersede_and_seal(
    rows: list[tuple[str, str, str]], batches: list[list[int]], superseded: list[int]
) -> None:
    gone: list[Record] = []
    batcher = Batcher(lambda older, newer: gone.append(older))
    records = [
        record(
            target("lane", operation, group, Limits()), [("email", value) for value in ids], number
        )
        for number, (operation, group, ids) in enumerate(rows)
    ]
    found = [
        [one.event_id for one in batch.records]
        for batch in [*batcher.take(records), *batcher.flush()]
    ]
    assert found == batches
    assert [one.event_id for one in gone] == superseded


def test_the_same_text_under_another_wire_key_is_another_identifier() -> None:
    add, remove = (target("lane", operation, "g", Limits()) for operation in (ADD, REMOVE))
    batcher = Batcher()
    assert not list(
        batcher.take([record(add, [("email", "1")], 0), record(remove, [("phone", "1")], 1)])
    )
    assert [len(batch.records) for batch in batcher.flush()] == [2]


def test_two_batch_keys_of_one_lane_keep_the_order_of_opposite_operations() -> None:
    limits = Limits(records=2)
    add, remove = (
        target("lane", ADD, "g", limits, key="0"),
        target("lane", REMOVE, "g", limits, key="1"),
    )
    rows = [
        record(add, [("email", "1")], 0),
        record(remove, [("email", "2")], 1),
        record(add, [("email", "3")], 2),
    ]
    before = frozenset({frozenset({("email", "2"), ("email", "3")})})
    batcher = Batcher()
    sent = [one for batch in [*batcher.take(rows), *batcher.flush()] for one in batch.records]
    assert applied(before, sent) == applied(before, rows)


def test_the_last_of_two_adds_of_one_person_counts() -> None:
    long, short = target("lane", ADD, "2027", Limits()), target("lane", ADD, "2026", Limits())
    rows = [
        record(long, [("email", "3")], 0),
        record(short, [("email", "1"), ("phone", "1")], 1),
        record(long, [("email", "1")], 2),
    ]
    batcher = Batcher()
    batches = [*batcher.take(rows), *batcher.flush()]
    bodies = [one for batch in batches for _, group in batch.groups() for one in group]
    assert [one.target.group for one in bodies if ("email", "1") in identifiers(one)] == [
        short.group,
        long.group,
    ]

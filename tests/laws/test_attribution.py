"""Errors of single records: each is told apart from the others, nobody refused is delivered, and nobody is lost."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.definitions.model import Limits
from connector.delivery.courier import Courier
from connector.delivery.lanes import Lanes
from connector.delivery.rate_limit import Limiter
from connector.delivery.retry import RetryPolicy
from connector.model import Batch, NamedRecords, Record, Request, Response, Stop
from connector.pipeline.attribution import Verdict, attribute
from connector.pipeline.batching import Batcher
from connector.pipeline.pipeline import Pipeline
from tests.kit.clock import FakeClock
from tests.kit.lists import RULES, Keeper, cached, named, prepared
from tests.kit.memory_vendor import Book
from tests.kit.records import Identifier, record, target, tries

TARGETS = [
    target("lane", operation, group, Limits()) for operation in ("add", "remove") for group in "gh"
]


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    """A batch of records of some groups and runs, each with values of its own and one that some share."""
    rows = draw(
        st.lists(st.tuples(st.sampled_from(TARGETS), st.booleans()), min_size=1, max_size=7)
    )
    records = [
        record(where, [("a", f"v{n}"), *([("a", "shared")] if shares else [])], n)
        for n, (where, shares) in enumerate(rows)
    ]
    runs: list[int] = []
    operation = ""
    for where, _ in rows:
        runs.append((runs[-1] if runs else 0) + (where.operation != operation))
        operation = where.operation
    return Batch(tuple(records), tuple(runs))


KEYS: dict[str, st.SearchStrategy[Any]] = {
    "group": st.integers(-1, 5),
    "item": st.integers(-1, 8),
    "value": st.sampled_from([*(f"v{n}" for n in range(8)), "shared", "somebody"]),
}


@st.composite
def answers(draw: st.DrawFn) -> NamedRecords:
    by = draw(st.sampled_from(sorted(KEYS)))
    keys = st.lists(KEYS[by], max_size=3).map(tuple)
    refused = draw(keys)
    words = tuple(draw(st.sampled_from(["", " (A)", " (B)"])) for _ in refused)
    return NamedRecords(by, refused, draw(keys), draw(st.booleans()), words)


def places(batch: Batch, by: str) -> dict[Any, list[int]]:
    """Return whom a position or value means, told in the plainest way."""
    if by == "value":
        values = {value for one in batch.records for value in one.ids}
        return {
            value: [n for n, one in enumerate(batch.records) if value in one.ids]
            for value in values
        }
    groups = [[batch.records.index(one) for one in members] for _, members in batch.groups()]
    return dict(
        enumerate(groups if by == "group" else [[place] for members in groups for place in members])
    )


@given(batches(), answers())
@tries(200)
def test_everybody_is_refused_or_postponed_or_delivered_or_sent_again(
    batch: Batch, said: NamedRecords
) -> None:
    verdict = attribute(batch, said)
    if verdict is None:
        return
    again = [place for places in verdict.again for place in places]
    assert sorted([*verdict.refused, *verdict.later, *verdict.delivered, *again]) == list(
        range(len(batch.records))
    )
    assert verdict != Verdict([], [], [], [list(range(len(batch.records)))]), (
        "the same again would be no step"
    )


@given(batches(), answers())
@tries(200)
def test_only_who_is_named_is_refused_and_nobody_who_is_named_is_delivered(
    batch: Batch, said: NamedRecords
) -> None:
    means, verdict = places(batch, said.by), attribute(batch, said)
    refused, later = (
        [means[key] for key in keys if key in means] for keys in (said.refused, said.later)
    )
    unknown = not {*said.refused, *said.later} <= means.keys()
    if verdict is None:
        return
    if len(batch.records) == 1:
        assert (verdict.refused, verdict.later) == (
            ([0], []) if said.refused else ([], [0]) if said.later else ([], [])
        )
        return
    assert not (unknown and (said.rest_delivered or said.by == "value")), (
        "nobody is safe of an error that fits nobody"
    )
    guilty = {place for some in refused for place in some}
    assert set(verdict.refused) == {
        p for some in refused if len(some) == 1 or said.by == "value" for p in some
    }
    postponed = {place for some in later for place in some} - guilty
    goes_along = set(verdict.later) - postponed
    assert postponed <= set(verdict.later)
    assert not goes_along or min(postponed) < min(goes_along)
    assert not set(verdict.delivered) & (guilty | set(verdict.later))
    assert said.rest_delivered or not verdict.delivered
    if said.rest_delivered:
        again = {place for some in verdict.again for place in some}
        suspects = guilty - set(verdict.refused)
        # a suspect behind a postponed record waits with it
        assert suspects <= again | goes_along
        assert again <= suspects or min(suspects) < min(again - suspects)


def test_nothing_older_is_applied_last() -> None:
    add, remove = (target("lane", operation, "g", Limits()) for operation in ("add", "remove"))
    rows = [(add, "a"), (add, "b"), (remove, "c"), (remove, "a2")]
    records = tuple(record(where, [("email", name)], n) for n, (where, name) in enumerate(rows))
    batch = Batch(records, (1, 1, 2, 2))
    verdict = attribute(batch, NamedRecords("item", (), (0,), rest_delivered=True))
    assert verdict is not None
    assert (verdict.delivered, verdict.later) == (
        [1],
        [0, 2, 3],
    )  # the removals may be of the same person


@given(batches(), answers())
@tries(200)
def test_a_vendors_word_goes_to_whom_it_was_said_of(batch: Batch, said: NamedRecords) -> None:
    verdict = attribute(batch, said)
    for place, word in (verdict.words if verdict else {}).items():
        keys = (
            [key for key, some in places(batch, said.by).items() if place in some]
            if len(batch.records) > 1
            else said.refused
        )
        assert word in {
            other for key, other in zip(said.refused, said.words, strict=True) if key in keys
        }


def test_who_is_named_together_is_sent_again_apart_from_the_others() -> None:
    where = [TARGETS[n] for n in (0, 0, 1, 0, 1)]
    batch = Batch(tuple(record(one, [("a", str(n))], n) for n, one in enumerate(where)), (1,) * 5)
    assert attribute(batch, NamedRecords("group", (1,))) == Verdict(
        [], [], [], [[0, 1], [2], [3], [4]]
    )
    assert attribute(batch, NamedRecords("group", (1,), rest_delivered=True)) == Verdict(
        [], [], [0, 1, 3], [[2, 4]]
    )
    assert attribute(batch, NamedRecords("group", (0, 1))) is None
    # items are counted in the order of the body: first all of one group
    assert attribute(batch, NamedRecords("item", (3,), rest_delivered=True)) == Verdict(
        [2], [], [0, 1, 3, 4], []
    )


# --- from events to outcomes, whatever the way in which a vendor names them ---

ANSWERED = [name for name in RULES if name != "whole"]
POOL = [f"e{n}" for n in range(6)]
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "add": st.booleans(),
            "list": st.sampled_from(["1", "2"]),
            "until": st.sampled_from([None, "x", "y"]),
            "email": st.lists(st.sampled_from(POOL), max_size=3),
            "customer": st.sampled_from([None, None, None, "c1", "bad1", "bad2", "busy1", "busy2"]),
        }
    ),
    max_size=9,
)
ACTIONS = {"whole": "{}", "split": json.dumps({"split": {"values": 1}})}


@dataclass
class Told:
    """What became of some events."""

    records: list[Record]
    superseded: list[Record] = field(default_factory=list)
    book: Book = field(default_factory=Book)
    stopped: dict[str, Stop] = field(default_factory=dict)
    clock: FakeClock = field(default_factory=FakeClock)


def told(using: Pipeline, rows: Sequence[dict[str, Any]], send: Any, retries: int = 7) -> Told:
    records, _ = prepared(using, rows)
    result = Told(records)
    batcher = Batcher(lambda older, newer: result.superseded.append(older))
    policy = RetryPolicy(retries=retries)
    courier = Courier(
        send, result.book, result.clock, Limiter((), result.clock), policy, lambda: 0.5
    )
    lanes = Lanes(courier, requests=2)
    for batch in [*batcher.take(records), *batcher.flush()]:
        lanes.submit(batch)
    lanes.close()
    result.stopped = lanes.stopped
    # every record has one outcome
    assert len(result.book.outcomes) + len(result.superseded) == len(records)
    ended = Counter(
        [event_id for event_id, _, _ in result.book.outcomes]
        + [one.event_id for one in result.superseded]
    )
    assert ended == Counter(one.event_id for one in records)
    return result


def using(answer: str, action: str = "{}", **limits: int) -> Pipeline:
    return cached(action, json.dumps(RULES[answer]), json.dumps(limits))


def holds(one: Record, begin: str) -> bool:
    return any(value.startswith(begin) for value in one.ids)


@pytest.mark.parametrize("action", ACTIONS.values(), ids=ACTIONS)
@pytest.mark.parametrize("answer", ANSWERED)
def test_exactly_the_bad_ones_are_refused_and_the_busy_ones_are_delivered_later(
    answer: str, action: str
) -> None:
    @tries(30)
    @given(ROWS, st.integers(0, 3), st.integers(1, 6))
    def law(rows: list[dict[str, Any]], busy: int, size: int) -> None:
        # somebody is accepted in each list: it is not everybody who is refused
        rows = [row("known", "1"), row("known", "2"), *rows]
        # a vendor that names nobody says nothing of later either
        vendor = Keeper(answer, 0 if answer == "anonymous" else busy)
        result = told(using(answer, action, records=size), rows, vendor)
        guilty = Counter(
            one.event_id
            for one in result.records
            if one not in result.superseded and holds(one, "bad")
        )
        assert (
            Counter(
                event_id for event_id, outcome, _ in result.book.outcomes if outcome == "rejected"
            )
            == guilty
        )
        assert not any(holds(one, "bad") for one in result.book.order)
        assert not result.book.ids("undelivered")
        for name in ("1", "2"):
            fate = expected([row for row in rows if row["list"] == name])
            assert {pair for pair in vendor.lists[name] if pair in fate} == {
                pair for pair, held in fate.items() if held
            }
            assert not any(value.startswith("bad") for _, value in vendor.lists[name])

    law()


def expected(rows: Sequence[dict[str, Any]]) -> dict[Identifier, bool]:
    """Return whether each identifier is held at the end; without those that ever stood beside a refused one."""
    held: dict[Identifier, bool] = {}
    beside: set[Identifier] = set()
    for row in rows:
        pairs = list(named(row))
        if any(value.startswith("bad") for _, value in pairs):
            beside.update(pairs)
        held.update(dict.fromkeys(pairs, row["add"]))
    return {pair: holds for pair, holds in held.items() if pair not in beside}


@pytest.mark.parametrize("answer", [name for name in ANSWERED if name != "anonymous"])
def test_who_is_busy_for_too_long_is_kept_and_stops_the_list_of_nobody_else(answer: str) -> None:
    @tries(30)
    @given(ROWS, st.integers(1, 6), st.integers(0, 2))
    def law(rows: list[dict[str, Any]], size: int, retries: int) -> None:
        rows = [row("known", "1"), row("known", "2"), *rows]
        result = told(using(answer, records=size), rows, Keeper(answer, busy=99), retries)
        assert not any(holds(one, "bad") or holds(one, "busy") for one in result.book.order)
        assert not [
            one
            for one in result.records
            if one.event_id in result.book.ids("rejected") and not holds(one, "bad")
        ]
        sent = [one for one in result.records if one not in result.superseded]
        assert set(result.stopped) == {one.target.lane for one in sent if holds(one, "busy")}
        assert {stop.code for stop in result.stopped.values()} <= {"gave_up"}
        for one in sent:
            assert (
                one.event_id not in result.book.ids("undelivered")
                or one.target.lane in result.stopped
            )

    law()


def row(customer: str, name: str = "1", *, add: bool = True) -> dict[str, Any]:
    return {"add": add, "list": name, "customer": customer}


def outcomes(result: Told) -> dict[Any, str]:
    return {
        event_id: f"{outcome} {code}".strip()
        for event_id, outcome, code in sorted(result.book.outcomes)
    }


def test_each_round_of_later_waits_longer_and_the_last_one_gives_up() -> None:
    rows = [row("a"), row("busy1"), row("b")]
    result = told(using("positions"), rows, Keeper("positions", busy=2))
    assert (outcomes(result), result.clock.slept) == (
        {0: "delivered", 1: "delivered", 2: "delivered"},
        [0.5, 1.0],
    )
    result = told(
        using("positions"), [*rows, row("c", "2")], Keeper("positions", busy=9), retries=3
    )
    assert outcomes(result) == {
        0: "delivered",
        1: "undelivered gave_up",
        2: "delivered",
        3: "delivered",
    }
    assert (result.clock.slept, list(result.stopped)) == ([0.5, 1.0, 2.0], ["1"])


def test_an_end_while_somebody_waits_keeps_them() -> None:
    vendor, clock = Keeper("statuses", busy=9), FakeClock(end_after=1)

    def send(request: Request) -> Response:
        clock.sent()
        return vendor(request)

    records, _ = prepared(using("statuses"), [row("a"), row("busy1")])
    book, batcher = Book(), Batcher()
    courier = Courier(send, book, clock, Limiter((), clock))
    stops = [courier.deliver(batch) for batch in [*batcher.take(records), *batcher.flush()]]
    assert [stop and stop.code for stop in stops] == ["interrupted"]
    assert sorted(book.outcomes) == [(0, "delivered", ""), (1, "undelivered", "interrupted")]


def test_of_an_atomic_refusal_the_others_are_sent_again_in_their_order() -> None:
    vendor = Keeper("atomic")
    result = told(using("atomic"), [row("a"), row("bad1"), row("b"), row("bad2"), row("c")], vendor)
    assert outcomes(result) == {
        n: "rejected http_400" if n in (1, 3) else "delivered" for n in range(5)
    }
    sent = [item["ids"]["customer"][0] for item in vendor.items]
    assert sent == ["a", "bad1", "b", "bad2", "c", "a", "b", "c"]


def test_a_position_counts_those_who_were_sent_not_those_who_were_dropped_before() -> None:
    rows = [
        {"add": True, "list": "1"},
        row("old"),
        row("old"),
        {**row(" "), "email": ""},
        row("a"),
        row("bad1"),
        row("b"),
    ]
    result = told(using("positions"), rows, Keeper("positions"))
    assert [one.event_id for one in result.superseded] == [1]
    assert outcomes(result) == {
        2: "delivered",
        4: "delivered",
        5: "rejected http_207",
        6: "delivered",
    }


@pytest.mark.parametrize("envelope", ["sorted", "twice"])
def test_a_position_follows_the_body_however_the_envelope_regroups(envelope: str) -> None:
    """Of the other envelope a position means nobody for sure: it is found by halving."""
    action = json.dumps({"path": "/v1/changes", "envelope": f"{envelope}.json.j2"})
    rows = [row("a"), row("b", add=False), row("bad1"), row("c", add=False), row("d")]
    sizes = []

    def send(request: Request) -> Response:
        body = json.loads(request.body)
        people = [item["ids"]["customer"][0] for item in body["remove"] + body["add"]]
        sizes.append(len(people))
        errors = [{"index": n} for n, name in enumerate(people) if name.startswith("bad")]
        return Response(207, {}, {"errors": errors})

    result = told(using("positions", action), rows, send)
    assert outcomes(result) == {
        n: "rejected http_207" if n == 2 else "delivered" for n in range(len(rows))
    }
    assert (sizes[0], len(sizes) == 1) == (5, envelope == "sorted")


@pytest.mark.parametrize("answer", ["positions", "values"])
def test_an_error_that_fits_nobody_halves_until_somebody_is_alone_with_it(answer: str) -> None:
    vendor = Keeper(answer)

    def send(request: Request) -> Response:
        response = vendor(request)
        for entry in (response.body or {}).get("errors", (response.body or {}).get("refused", ())):
            entry |= {"index": 99, "value": "a spelling of its own"}
        return response

    result = told(using(answer), [row("a"), row("b"), row("bad1"), row("c")], send)
    assert outcomes(result) == {
        0: "delivered",
        1: "delivered",
        2: "rejected http_207",
        3: "delivered",
    }
    assert vendor.lists["1"] == {("customer", value) for value in "abc"}


def test_one_alone_is_meant_by_whatever_is_said_and_may_come_later() -> None:
    vendor = Keeper("values", busy=2)

    def send(request: Request) -> Response:
        response = vendor(request)
        for entry in response.body["refused"]:
            entry["value"] = "BUSY1"
        return response

    result = told(using("values"), [row("busy1")], send)
    assert outcomes(result) == {0: "delivered"}


def test_a_value_that_several_records_hold_speaks_of_all_of_them() -> None:
    rows = [
        {"add": True, "list": "1", "until": until, "email": [until, "bad1"]} for until in "xy"
    ] + [row("a")]
    result = told(using("values"), rows, Keeper("values"))
    assert outcomes(result) == {0: "rejected http_207", 1: "rejected http_207", 2: "delivered"}

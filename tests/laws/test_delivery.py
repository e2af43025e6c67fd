"""Delivery: whatever the vendor answers, every record has one outcome, and only those it refused are refused.

Here an audience has one request in flight; `test_phases.py` has several.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from itertools import combinations, pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.definitions.model import Rate
from connector.delivery.courier import Courier
from connector.delivery.lanes import Lanes
from connector.delivery.ledger import Ledger
from connector.delivery.rate_limit import Limiter
from connector.delivery.report import DefectError
from connector.delivery.retry import RetryPolicy
from connector.delivery.run import Run
from connector.model import Batch, Event, Record, Rejection, Request, Response, Retry
from connector.pipeline.batching import Batcher
from connector.pipeline.pipeline import Pipeline
from tests.kit.clock import NOW, FakeClock
from tests.kit.memory_vendor import OFFENDER, Book, Vendor
from tests.kit.records import People, applied, connection, identifiers, tries

AUDIENCES = ("aaa", "bbb")
MAP = {
    "custom_audience_id": {"from": "audience"},
    "email": {"from": "emails[*]"},
    "partner_user_id": {"from": "id"},
    "expires_at": {"from": "expires"},
}
ROUTES = [
    {"name": "in", "action": "add_user_multi", "when": "event.add", "map": MAP},
    {"name": "out", "action": "remove_user_multi", "when": "not event.add", "map": MAP},
]
TRANSIENT = [
    "429",
    "reset",
    "500",
    "502",
    "503",
    "retry-after",
    "408",
    "423",
    "count",
    "broken",
    "204",
]
FINAL = ["401", "403", "404", "301", "501"]


@dataclass
class World:
    """Records for two audiences, in batches, and what the vendor answers first."""

    records: list[Record]
    batches: list[Batch]
    superseded: list[Record]
    faults: dict[str, list[str]]

    @property
    def offenders(self) -> set[int | str]:
        return {
            one.event_id
            for one in self.sent
            if any(value.startswith(OFFENDER) for value in one.ids)
        }

    @property
    def sent(self) -> list[Record]:
        return [one for batch in self.batches for one in batch.records]


@st.composite
def events(draw: st.DrawFn, most: int = 9) -> list[dict[str, Any]]:
    emails = st.lists(
        st.sampled_from([f"{n}@example.com" for n in range(8)]), min_size=1, max_size=2, unique=True
    )
    rows = draw(
        st.lists(
            st.tuples(
                st.sampled_from(AUDIENCES),
                st.booleans(),
                emails,
                st.sampled_from([None, "2027-01-01", "2028-01-01"]),
                st.integers(0, 4),
            ),
            max_size=most,
        )
    )
    return [
        {
            "audience": audience,
            "add": add,
            "emails": named,
            "expires": expires and f"{expires}T00:00:00Z",
            "id": f"{OFFENDER}{number}" if bad == 0 else None,
        }
        for number, (audience, add, named, expires, bad) in enumerate(rows)
    ]


def url(audience: str) -> str:
    return f"https://ads-api.x.com/12/accounts/18ce54d4x5t/custom_audiences/{audience}/users"


@cache
def _pipeline(limits: tuple[tuple[str, int], ...]) -> Pipeline:
    return Pipeline(connection(ROUTES, limits={"concurrency": 1, **dict(limits)}))


def prepared(rows: list[dict[str, Any]], **limits: int) -> tuple[Pipeline, list[Record]]:
    pipeline = _pipeline(tuple(limits.items()))
    found = list(pipeline.prepare([Event(number, row) for number, row in enumerate(rows)], NOW))
    return pipeline, [one for one in found if isinstance(one, Record)]


@st.composite
def worlds(draw: st.DrawFn, faults: Iterable[str] = ()) -> World:
    # in each lane the vendor accepts somebody: it is not everybody who is refused
    rows = [
        {"audience": audience, "add": True, "emails": ["known@example.com"]}
        for audience in AUDIENCES
    ]
    rows += draw(events())
    _, records = prepared(rows, records=draw(st.integers(1, 8)), groups=draw(st.integers(1, 3)))
    superseded: list[Record] = []
    batcher = Batcher(lambda older, newer: superseded.append(older))
    batches = [*batcher.take(records), *batcher.flush()]
    names = (
        st.lists(st.sampled_from([*faults, "honest", "honest"]), max_size=6)
        if faults
        else st.just(["honest"])
    )
    return World(
        records, batches, superseded, {url(audience): draw(names) for audience in AUDIENCES}
    )


def deliver(
    world: World,
    *,
    refusal: str = "named",
    retries: int = 7,
    end_after: int | None = None,
    rates: tuple[Rate, ...] = (),
) -> tuple[Book, Vendor, Lanes]:
    clock, book = FakeClock(end_after), Book()
    vendor = Vendor(clock, world.faults, refusal)
    courier = Courier(
        vendor, book, clock, Limiter(rates, clock), RetryPolicy(retries=retries), lambda: 0.5
    )
    lanes = Lanes(courier, requests=2)
    for batch in world.batches:
        lanes.submit(batch)
    lanes.close()
    return book, vendor, lanes


def conserved(book: Book, world: World) -> None:
    """Every record that was not superseded has one outcome."""
    assert sorted(int(event_id) for event_id, _, _ in book.outcomes) == sorted(
        int(one.event_id) for one in world.sent
    )


refusals = st.sampled_from(["named", "anonymous"])


@given(worlds(TRANSIENT), refusals)
@tries(80)
def test_exactly_the_offenders_are_rejected_and_all_others_delivered(
    world: World, refusal: str
) -> None:
    book, vendor, lanes = deliver(world, refusal=refusal)
    conserved(book, world)
    assert book.ids("rejected") == world.offenders
    assert book.ids("delivered") == {one.event_id for one in world.sent} - world.offenders
    assert not lanes.stopped
    assert book.attempts == len(vendor.requests)


@given(worlds([*TRANSIENT, *FINAL]), refusals, st.integers(0, 3))
@tries(120)
def test_every_record_has_one_outcome_whatever_the_answers(
    world: World, refusal: str, retries: int
) -> None:
    book, vendor, lanes = deliver(world, refusal=refusal, retries=retries)
    conserved(book, world)
    assert book.ids("rejected") <= world.offenders
    assert not book.ids("delivered") & world.offenders
    where = {one.event_id: one.target.url for one in world.sent}
    stopped = set(lanes.stopped)
    assert {where[event_id] for event_id in book.ids("undelivered")} <= stopped
    for lane in stopped:
        # the answer that stopped a lane is the last one it got; one about credentials stops all
        answers = [said for requested, _, said in vendor.requests if requested == lane]
        if lanes.stopped[lane].code != "unauthorized":
            assert answers[-1] != "honest"
        assert not set(answers[:-1]) & set(FINAL)
    for lane in AUDIENCES:
        answers = [said for requested, _, said in vendor.requests if requested == url(lane)]
        assert url(lane) in stopped or not set(answers) & set(FINAL)
    codes = {stop.code for stop in lanes.stopped.values()}
    said = {said for _, _, said in vendor.requests}
    assert ("unauthorized" in codes) == ("401" in said)


@given(worlds(TRANSIENT), refusals)
@tries(60)
def test_a_retry_sends_the_same_bytes_and_a_lane_has_one_request_in_flight(
    world: World, refusal: str
) -> None:
    _, vendor, _ = deliver(world, refusal=refusal)
    assert all(most == 1 for most in vendor.most_in_flight.values())
    for audience in AUDIENCES:
        of_lane = [
            (body, said) for requested, body, said in vendor.requests if requested == url(audience)
        ]
        for (body, said), (following, _) in pairwise(of_lane):
            assert said == "honest" or following == body


@given(worlds(TRANSIENT))
@tries(80)
def test_a_lane_is_first_in_first_out_wherever_the_order_matters(world: World) -> None:
    book, _, _ = deliver(world, refusal="anonymous")
    places = {}
    for number, batch in enumerate(world.batches):
        for run, one in zip(batch.runs, batch.records, strict=True):
            places[one.event_id] = (number, run)
    for first, second in combinations(book.order, 2):
        if first.target.url == second.target.url and int(first.event_id) > int(second.event_id):
            # it overtook one of its own batch and operation, who has nothing in common with it
            assert places[first.event_id] == places[second.event_id]
            assert set(first.ids).isdisjoint(second.ids)


@given(worlds(TRANSIENT))
@tries(80)
def test_the_audience_ends_as_one_record_after_the_other_would_leave_it(world: World) -> None:
    _, vendor, _ = deliver(world, refusal="anonymous")
    for audience in AUDIENCES:
        innocent = [
            one
            for one in world.sent
            if one.event_id not in world.offenders and one.target.url == url(audience)
        ]
        assert vendor.people[url(audience)] == applied(frozenset(), innocent)


def test_innocent_people_of_a_refused_operation_keep_their_place() -> None:
    rows = [
        {"audience": "aaa", "add": True, "emails": ["1@example.com"]},
        {"audience": "aaa", "add": True, "emails": ["5@example.com"], "id": OFFENDER},
        {"audience": "aaa", "add": False, "emails": ["2@example.com"]},
    ]
    _, records = prepared(rows)
    batcher = Batcher()
    world = World(records, [*batcher.take(records), *batcher.flush()], [], {})
    known: People = frozenset({identifiers(records[0]) | identifiers(records[2])})
    clock, book = FakeClock(), Book()
    vendor = Vendor(clock, {})
    vendor.people[url("aaa")] = known
    courier = Courier(vendor, book, clock, Limiter((), clock))
    assert [courier.deliver(batch) for batch in world.batches] == [None]
    assert book.ids("rejected") == {1}
    assert vendor.people[url("aaa")] == applied(known, [records[0], records[2]])


@given(worlds(["429", "broken"]), st.integers(0, 6))
@tries(80)
def test_an_ended_run_keeps_what_it_did_not_send(world: World, sends: int) -> None:
    book, vendor, _ = deliver(world, end_after=sends)
    conserved(book, world)
    # requests of two lanes may pass the gate at the same time
    assert len(vendor.requests) <= sends + 1
    codes = {code for _, outcome, code in book.outcomes if outcome == "undelivered"}
    assert codes <= {"interrupted"}


@given(events(), st.integers(0, 5), st.integers(1, 4))
@tries(60)
def test_the_counts_of_a_run_add_up_also_when_it_is_ended(
    rows: list[dict[str, Any]], sends: int, size: int
) -> None:
    pipeline, _ = prepared([], records=2)
    clock, ledger = FakeClock(sends), Ledger()
    numbered = [Event(number, row) for number, row in enumerate(rows)]
    chunks = [numbered[start : start + size] for start in range(0, len(numbered), size)]
    vendor = Vendor(clock, {}, "anonymous")
    report = Run(pipeline, (), vendor, clock, RetryPolicy(), ledger).deliver(chunks)
    assert report.counts == ledger.counts
    assert report.interrupted == clock.ending
    assert report.complete == (ledger.counts.complete and not clock.ending)
    s = ledger.counts
    assert s.records == s.delivered + s.superseded + s.rejected + s.undelivered
    assert s.requests == len(vendor.requests)
    assert s.events <= len(rows)
    if not clock.ending:
        assert s.events == len(rows)
        # Who is refused where nobody was accepted is kept: the fault may be the request's. Where
        # a whole request was refused so, its lane stops, and keeps what comes later too.
        refused = [row for row in rows if str(row["id"]).startswith("offender")]
        if len(refused) < 2:
            assert s.undelivered <= len(refused)


RATES = st.builds(Rate, st.integers(1, 4), st.integers(1, 10).map(float))


@given(
    st.lists(RATES, min_size=1, max_size=2),
    st.lists(
        st.tuples(st.integers(0, 3), st.none() | st.integers(0, 20)),
        max_size=30,
    ),
)
@tries(150)
def test_no_window_has_more_requests_than_the_rate(
    rates: list[Rate], rows: list[tuple[int, int | None]]
) -> None:
    clock = FakeClock()
    limiter = Limiter(rates, clock)
    sent: list[float] = []
    not_before = 0.0
    for passed, pause in rows:
        clock.sleep(float(passed))
        if pause is not None:
            not_before = max(not_before, clock.now() + pause)
            limiter.pause(clock.now() + pause)
        asked = clock.now()
        assert limiter.wait()
        assert clock.now() >= not_before
        sent.append(clock.now())
        # and no wait is longer than one rate or pause asks for
        assert (
            clock.now() == asked
            or clock.now() == not_before
            or any(abs(clock.now() - at - rate.per) < 1e-6 for rate in rates for at in sent)
        )
    for rate in rates:
        later = zip(sent, sent[rate.requests :], strict=False)
        assert all(second - first >= rate.per for first, second in later)


def test_a_request_counts_from_its_answer_on() -> None:
    clock = FakeClock()
    limiter = Limiter([Rate(2, 10.0)], clock)
    slow = limiter.wait()
    quick = limiter.wait()
    assert slow
    assert quick
    limiter.answered(quick)
    clock.sleep(3.0)
    limiter.answered(slow)
    assert limiter.wait()
    assert clock.now() == NOW + 10
    assert limiter.wait()
    assert clock.now() == NOW + 13


def test_a_rate_is_used_up() -> None:
    clock = FakeClock()
    limiter = Limiter([Rate(3, 10.0)], clock)
    times = []
    for _ in range(7):
        assert limiter.wait()
        times.append(clock.now() - NOW)
    assert times == [0, 0, 0, 10, 10, 10, 20]


@given(worlds(), st.integers(1, 3))
@tries(40)
def test_a_delivery_keeps_to_the_rate(world: World, requests: int) -> None:
    # one lane: with several, the fake clock may move between the turn and the request
    only = [batch for batch in world.batches if batch.lane == url("aaa")]
    _, vendor, _ = deliver(
        World(world.records, only, [], {}),
        refusal="anonymous",
        rates=(Rate(requests, 5.0),),
    )
    times = [at for at, _ in vendor.times]
    assert all(b - a >= 5.0 for a, b in zip(times, times[requests:], strict=False))


@given(
    st.integers(0, 20) | st.just(5000),
    st.none() | st.floats(-1e4, 1e7),
    st.floats(0, 1, exclude_max=True),
    st.floats(0.01, 10),
    st.floats(1, 100),
)
def test_a_delay_is_within_its_bounds(
    retry: int, ahead: float | None, unit: float, base: float, cap: float
) -> None:
    policy = RetryPolicy(base=base, cap=cap)
    asked = Retry("busy", None if ahead is None else NOW + ahead)
    delay = policy.delay(retry, asked, NOW, lambda: unit)
    if asked.not_before is None or asked.not_before <= NOW:
        assert delay == unit * min(cap, base * 2.0 ** min(retry, 64))
    else:
        wait = asked.not_before - NOW
        assert wait <= delay <= wait + 1


@pytest.mark.parametrize("said", ["reset", "retry-after", "429", "broken"])
def test_a_refused_attempt_waits_as_long_as_it_is_told(said: str) -> None:
    _, records = prepared([{"audience": "aaa", "add": True, "emails": ["1@example.com"]}])
    batcher = Batcher()
    batches = [*batcher.take(records), *batcher.flush()]
    _, vendor, _ = deliver(World(records, batches, [], {url("aaa"): [said, said]}))
    # a reset is in whole seconds, and the second one is asked for half a second past one
    waits = [b - a for (a, _), (b, _) in pairwise(vendor.times)]
    assert waits == {"reset": [30.5, 30.0], "retry-after": [7.5, 7.5], "429": [60.5, 60.5]}.get(
        said, [0.5, 1.0]
    )


def test_after_the_last_retry_the_lane_stops_and_keeps_its_records() -> None:
    _, records = prepared(
        [
            {"audience": a, "add": True, "emails": [f"{n}@example.com"]}
            for n in range(2)
            for a in AUDIENCES
        ],
        records=1,
    )
    batcher = Batcher()
    batches = [*batcher.take(records), *batcher.flush()]
    book, vendor, lanes = deliver(World(records, batches, [], {url("aaa"): ["500"] * 4}), retries=3)
    assert sorted(book.outcomes) == [
        (0, "undelivered", "gave_up"),
        (1, "delivered", ""),
        (2, "undelivered", "gave_up"),
        (3, "delivered", ""),
    ]
    assert [requested for requested, _, _ in vendor.requests].count(url("aaa")) == 4
    assert list(lanes.stopped) == [url("aaa")]


def test_a_defect_keeps_the_records_and_is_raised_at_the_end() -> None:
    _, records = prepared([{"audience": "aaa", "add": True, "emails": ["1@example.com"]}])
    batcher = Batcher()
    book, clock = Book(), FakeClock()

    def broken(request: Any) -> Any:
        raise ZeroDivisionError

    lanes = Lanes(Courier(broken, book, clock, Limiter((), clock)))
    for batch in [*batcher.take(records), *batcher.flush()]:
        lanes.submit(batch)
    with pytest.raises(ZeroDivisionError):
        lanes.close()
    assert [(e, o) for e, o, _ in book.outcomes] == [(0, "undelivered")]


class BrokenPipeline:
    """A pipeline that fails on its third chunk."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._chunks = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pipeline, name)

    def prepare(self, chunk: Any, now: float) -> Any:
        self._chunks += 1
        if self._chunks == 3:
            raise ZeroDivisionError
        return self._pipeline.prepare(chunk, now)


@pytest.mark.parametrize("broken", ["one lane", "the input"])
def test_a_defect_comes_with_the_report_of_everything_else(broken: str) -> None:
    audiences = ["aaa", "bbb", "aaa", "bbb"]
    rows = [{"audience": a, "add": True, "emails": [f"{n}@x.de"]} for n, a in enumerate(audiences)]
    pipeline, _ = prepared([], records=2)
    clock, ledger = FakeClock(), Ledger(keep_failures=True)
    vendor = Vendor(clock, {}, "anonymous")

    def transport(request: Request) -> Response:
        if broken == "one lane" and "aaa" in request.url:
            raise ZeroDivisionError
        return vendor(request)

    made: Any = BrokenPipeline(pipeline) if broken == "the input" else pipeline
    run = Run(made, (), transport, clock, RetryPolicy(), ledger)
    with pytest.raises(DefectError) as raised:
        run.deliver([[Event(number, row)] for number, row in enumerate(rows)])
    assert isinstance(raised.value.__cause__, ZeroDivisionError)

    report = raised.value.report
    s = report.counts
    assert (s.delivered, s.undelivered) == ((2, 2) if broken == "one lane" else (0, 2))
    assert s.records == s.delivered + s.undelivered
    assert {failure.code for failure in report.failures} == {"internal"}
    assert report.interrupted
    assert not report.complete


def test_what_is_refused_before_it_is_a_record_is_no_record() -> None:
    _, records = prepared([{"audience": "aaa", "add": True}])
    assert not records
    pipeline, _ = prepared([])
    [found] = pipeline.prepare([Event(1, {"audience": "aaa", "add": True})], NOW)
    assert isinstance(found, Rejection)
    assert found.code == "no_identifier"


def test_a_lane_waits_for_its_own_answer_and_for_no_other_lanes() -> None:
    rows = [
        {"audience": a, "add": True, "emails": [f"{n}@example.com"]}
        for n, a in enumerate(["aaa", "aaa", "bbb"])
    ]
    _, records = prepared(rows, records=1)
    batcher = Batcher()
    clock, book, other = FakeClock(), Book(), threading.Event()
    vendor = Vendor(clock, {})

    def send(request: Request) -> Response:
        if request.url == url("bbb"):
            other.set()
        started.append(request.url)
        # the first lane has its answer once the second one was served
        assert other.wait(10)
        assert started.count(url("aaa")) <= 1 or book.ids("delivered")
        return vendor(request)

    started: list[str] = []
    lanes = Lanes(Courier(send, book, clock, Limiter((), clock)), requests=2)
    for batch in [*batcher.take(records), *batcher.flush()]:
        lanes.submit(batch)
    lanes.close()
    assert sorted(started) == [url("aaa"), url("aaa"), url("bbb")]
    assert [one.event_id for one in book.order if one.event_id != 2] == [0, 1]

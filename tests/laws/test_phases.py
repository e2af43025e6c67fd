"""Phases: requests of one audience side by side, answered in any order, end as one after the other would."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.definitions.model import Limits
from connector.delivery.courier import Courier
from connector.delivery.lanes import Lanes
from connector.delivery.rate_limit import Limiter
from connector.delivery.retry import RetryPolicy
from connector.model import Batch, Event, Record, Request, Response, Stop
from connector.pipeline.batching import Batcher
from connector.pipeline.pipeline import Pipeline
from tests.kit.clock import NOW, FakeClock
from tests.kit.memory_vendor import OFFENDER, Book, Vendor
from tests.kit.records import applied, connection, tries
from tests.laws import test_refusals as refusals
from tests.laws.test_delivery import AUDIENCES, FINAL, ROUTES, TRANSIENT, url

MOST = 4
ALL = 6


def pauses(seed: int) -> Callable[[], None]:
    """Return what lets other threads run, for a moment that the seed decides."""
    chance = random.Random(seed)
    lock = threading.Lock()

    def pause() -> None:
        with lock:
            wait = chance.choice([0.0, 0.0, 0.0005, 0.002])
        time.sleep(wait)

    return pause


class Watching(Courier):
    """Notes which batches of a lane are on their way at the same time."""

    def __init__(self, *args: Any, strict: bool = True) -> None:
        super().__init__(*args)
        self._strict = strict
        self._watch = threading.Lock()
        self._flying: dict[str, list[Batch]] = defaultdict(list)
        self.most: Counter[str] = Counter()
        self.wrong: list[tuple[Batch, Batch]] = []

    def deliver(self, batch: Batch) -> Stop | None:
        with self._watch:
            flying = self._flying[batch.lane]
            self.wrong += [(batch, one) for one in flying if not self._may(batch, one)]
            flying.append(batch)
            self.most[batch.lane] = max(self.most[batch.lane], len(flying))
        try:
            return super().deliver(batch)
        finally:
            with self._watch:
                flying.remove(batch)

    def _may(self, one: Batch, other: Batch) -> bool:
        records = (*one.records, *other.records)
        kinds = {(record.target.operation, record.target.group) for record in records}
        ids = {value for record in one.records for value in record.ids}
        apart = ids.isdisjoint(value for record in other.records for value in record.ids)
        return len(kinds) == 1 or (not self._strict and apart)


@cache
def _pipeline(order: str, records: int) -> Pipeline:
    limits = {"concurrency": MOST, "records": records}
    return Pipeline(connection(ROUTES, order=order, limits=limits))


@st.composite
def events(draw: st.DrawFn, order: str) -> list[dict[str, Any]]:
    """Many additions in a row, then removals: what commutes is often beside something that does not."""
    # With `order: identifiers`, the events of a person share an identifier: here they have one.
    most = 1 if order == "identifiers" else 2
    emails = st.lists(
        st.sampled_from([f"{n}@example.com" for n in range(12)]),
        min_size=1,
        max_size=most,
        unique=True,
    )
    stretches = draw(
        st.lists(
            st.tuples(
                st.sampled_from(AUDIENCES),
                st.booleans(),
                st.sampled_from([None, None, "2027-01-01", "2028-01-01"]),
                st.lists(st.tuples(emails, st.integers(0, 9)), min_size=1, max_size=8),
            ),
            max_size=5,
        )
    )
    # in each lane the vendor accepts somebody first
    rows: list[dict[str, Any]] = []
    for audience in AUDIENCES:
        rows.append({"audience": audience, "add": True, "emails": ["known@example.com"]})
    for audience, add, expires, people in stretches:
        for named, bad in people:
            row = {
                "audience": audience,
                "add": add,
                "emails": named,
                "expires": expires and f"{expires}T00:00:00Z",
                "id": f"{OFFENDER}{len(rows)}" if bad == 0 else None,
            }
            rows.append(row)
    return rows


@st.composite
def worlds(draw: st.DrawFn, faults: Sequence[str]) -> tuple[str, list[Batch], dict[str, list[str]]]:
    order = draw(st.sampled_from(["strict", "identifiers"]))
    pipeline = _pipeline(order, draw(st.integers(1, 3)))
    rows = draw(events(order))
    numbered = [Event(number, row) for number, row in enumerate(rows)]
    records = [one for one in pipeline.prepare(numbered, NOW) if isinstance(one, Record)]
    batcher = Batcher(strict=pipeline.strict)
    batches = [*batcher.take(records), *batcher.flush()]
    names = st.lists(st.sampled_from([*faults, "honest", "honest"]), max_size=7)
    # No more faults than a request is sent again. The first answer of a lane is honest, so that several requests are on their way when faults come.
    said = {url(audience): ["honest", *draw(names)] for audience in AUDIENCES}
    return order, batches, said


def deliver(
    order: str,
    batches: Sequence[Batch],
    faults: dict[str, list[str]],
    seed: int,
    refusal: str = "anonymous",
    retries: int = 7,
    end_after: int | None = None,
) -> tuple[Book, Vendor, Watching]:
    clock, book = FakeClock(end_after), Book()
    vendor = Vendor(clock, faults, refusal, pauses(seed))
    strict = order == "strict"
    policy = RetryPolicy(retries=retries)
    courier = Watching(vendor, book, clock, Limiter((), clock), policy, lambda: 0.5, strict=strict)
    lanes = Lanes(courier, strict=strict, requests=ALL)
    for batch in batches:
        lanes.submit(batch)
    lanes.close()

    sent = [int(one.event_id) for batch in batches for one in batch.records]
    assert sorted(int(event_id) for event_id, _, _ in book.outcomes) == sorted(sent)
    assert not courier.wrong, "two batches on their way do not commute"
    assert all(most <= MOST for most in courier.most.values())
    assert all(most <= MOST for most in vendor.most_in_flight.values())
    assert vendor.most_in_all <= ALL
    return book, vendor, courier


def offends(one: Record) -> bool:
    return any(value.startswith(OFFENDER) for value in one.ids)


@given(worlds(TRANSIENT), st.integers(0, 99), st.sampled_from(["named", "anonymous"]))
@tries(60)
def test_an_audience_ends_as_the_events_one_by_one_would_leave_it(
    world: tuple[str, list[Batch], dict[str, list[str]]], seed: int, refusal: str
) -> None:
    order, batches, faults = world
    book, vendor, courier = deliver(order, batches, faults, seed, refusal)
    sent = [one for batch in batches for one in batch.records]
    assert not courier.stopped
    assert book.ids("rejected") == {one.event_id for one in sent if offends(one)}
    for audience in AUDIENCES:
        innocent = [one for one in sent if not offends(one) and one.target.url == url(audience)]
        innocent.sort(key=lambda one: int(one.event_id))
        assert vendor.people[url(audience)] == applied(frozenset(), innocent)


@given(
    worlds([*TRANSIENT, *FINAL]),
    st.integers(0, 99),
    st.integers(0, 2),
    st.none() | st.integers(0, 9),
)
@tries(60)
def test_each_record_has_one_outcome_and_what_stops_is_kept(
    world: tuple[str, list[Batch], dict[str, list[str]]],
    seed: int,
    retries: int,
    end_after: int | None,
) -> None:
    order, batches, faults = world
    book, _, courier = deliver(order, batches, faults, seed, "named", retries, end_after)
    sent = {one.event_id: one for batch in batches for one in batch.records}
    assert all(offends(sent[event_id]) for event_id in book.ids("rejected"))
    kept = {sent[event_id].target.lane for event_id in book.ids("undelivered")}
    assert kept <= set(courier.stopped)


# --- a stopped lane, and credentials that are refused ---


def batches_of(audience: str, count: int, first: int = 0) -> list[Batch]:
    rows = []
    for number in range(first, first + count):
        row = {"audience": audience, "add": True, "emails": [f"{number}@example.com"]}
        rows.append(Event(number, row))
    records = [one for one in _pipeline("strict", 1).prepare(rows, NOW) if isinstance(one, Record)]
    batcher = Batcher()
    return [*batcher.take(records), *batcher.flush()]


class Gate:
    """A transport that answers once the test says what."""

    def __init__(self) -> None:
        self.arrived: list[Request] = []
        self._answers: dict[int, Response] = {}
        self._changed = threading.Condition()

    def __call__(self, request: Request) -> Response:
        with self._changed:
            place = len(self.arrived)
            self.arrived.append(request)
            self._changed.notify_all()
            assert self._changed.wait_for(lambda: place in self._answers, 10)
            return self._answers[place]

    def wait_for(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.arrived) >= count, 10)

    def answer(self, place: int, response: Response) -> None:
        with self._changed:
            self._answers[place] = response
            self._changed.notify_all()


OK = Response(200, {}, {"data": {"success_count": 1, "total_count": 1}})


def running(gate: Gate) -> tuple[Lanes, Book, FakeClock]:
    clock, book = FakeClock(), Book()
    courier = Courier(gate, book, clock, Limiter((), clock), RetryPolicy(retries=1), lambda: 0.5)
    return Lanes(courier), book, clock


def settled(book: Book, count: int) -> None:
    """Wait until so many records have their outcome."""
    end = time.monotonic() + 10
    while len(book.outcomes) < count:
        assert time.monotonic() < end
        time.sleep(0.001)


def test_one_request_until_the_first_is_accepted_then_up_to_the_window() -> None:
    gate = Gate()
    lanes, book, _ = running(gate)
    for batch in batches_of("aaa", 7):
        lanes.submit(batch)
    gate.wait_for(1)
    time.sleep(0.01)
    assert len(gate.arrived) == 1
    gate.answer(0, OK)
    gate.wait_for(1 + MOST)
    time.sleep(0.01)
    assert len(gate.arrived) == 1 + MOST
    # they may be answered in any order
    for place in (3, 2, 1, 4, 6, 5):
        gate.wait_for(place + 1)
        gate.answer(place, OK)
    lanes.close()
    assert len(book.ids("delivered")) == 7


def test_what_is_beside_a_stop_is_settled_and_what_waits_is_kept() -> None:
    gate = Gate()
    lanes, book, _ = running(gate)
    for batch in batches_of("aaa", 10):
        lanes.submit(batch)
    gate.wait_for(1)
    gate.answer(0, OK)
    gate.wait_for(1 + MOST)
    gate.answer(2, Response(404, {}, None))
    settled(book, 2 + 5)  # the accepted one, the refused one, and the five that wait
    gate.answer(1, OK)
    gate.answer(3, OK)
    gate.answer(4, Response(503, {}, None))  # it is not sent again
    lanes.close()
    assert len(gate.arrived) == 5
    assert book.ids("delivered") == {0, 1, 3}
    assert {code for _, outcome, code in book.outcomes if outcome == "undelivered"} == {"not_found"}
    assert len(book.outcomes) == 10


def test_refused_credentials_stop_every_lane() -> None:
    gate = Gate()
    lanes, book, _ = running(gate)
    for audience in ("aaa", "bbb"):
        lanes.submit(batches_of(audience, 1)[0])
        gate.wait_for(1 if audience == "aaa" else 2)
    places = {request.url: place for place, request in enumerate(gate.arrived)}
    gate.answer(places[url("aaa")], Response(401, {}, None))
    settled(book, 1)
    gate.answer(places[url("bbb")], OK)
    settled(book, 2)
    for batch in [*batches_of("bbb", 3, 10), *batches_of("ccc", 3, 20)]:
        lanes.submit(batch)
    lanes.close()
    assert len(gate.arrived) == 2
    assert len(book.ids("delivered")) == 1
    assert len(book.ids("undelivered")) == 7
    assert {code for _, outcome, code in book.outcomes if outcome == "undelivered"} == {
        "unauthorized"
    }
    assert set(lanes.stopped) == {url("aaa"), url("bbb"), url("ccc")}


def test_a_stopped_lane_does_not_slow_the_others() -> None:
    gate = Gate()
    lanes, book, _ = running(gate)
    for audience, first in (("aaa", 0), ("bbb", 10)):
        for batch in batches_of(audience, 3, first):
            lanes.submit(batch)
    gate.wait_for(2)
    places = {request.url: place for place, request in enumerate(gate.arrived)}
    gate.answer(places[url("aaa")], Response(404, {}, None))
    settled(book, 3)
    gate.answer(places[url("bbb")], OK)
    gate.wait_for(4)
    gate.answer(2, OK)
    gate.answer(3, OK)
    lanes.close()
    assert book.ids("undelivered") == {0, 1, 2}
    assert book.ids("delivered") == {10, 11, 12}


def test_what_waits_holds_a_bounded_number_of_records() -> None:
    gate = Gate()
    clock, book = FakeClock(), Book()
    lanes = Lanes(Courier(gate, book, clock, Limiter((), clock)), records=3)
    submitted: list[Batch] = []

    def submit() -> None:
        for number in range(6):
            [batch] = batches_of(f"list{number}", 1, number)
            lanes.submit(batch)
            submitted.append(batch)

    feeding = threading.Thread(target=submit)
    feeding.start()
    gate.wait_for(3)
    time.sleep(0.01)
    assert len(submitted) == 3
    for place in range(6):
        gate.wait_for(place + 1)
        gate.answer(place, OK)
    feeding.join(10)
    lanes.close()
    assert len(book.ids("delivered")) == 6


# --- refusals of whole requests, beside each other ---


class Refusing(refusals.Vendor):
    """Refuses as `says` does, with requests side by side in any order."""

    def __init__(self, says: refusals.Says, seed: int) -> None:
        super().__init__(says)
        self.limits = Limits(concurrency=16)
        self._pause = pauses(seed)
        self._lock = threading.Lock()

    def __call__(self, request: Request) -> Response:
        self._pause()
        with self._lock:
            response = super().__call__(request)
        self._pause()
        return response


def refused(vendor: Refusing, sizes: Sequence[int]) -> tuple[Book, Stop | None]:
    clock, book = FakeClock(), Book()
    made = refusals.batches(vendor, sizes)
    lanes = Lanes(Courier(vendor, book, clock, Limiter((), clock)))
    for batch in made:
        lanes.submit(batch)
    lanes.close()
    assert sorted(int(event_id) for event_id, _, _ in book.outcomes) == list(range(sum(sizes)))
    return book, lanes.stopped.get("lane")


@pytest.mark.parametrize("seed", range(3))
def test_one_bad_person_in_front_of_each_of_many_requests_stops_nothing(seed: int) -> None:
    bad = {number * 100 for number in range(1, 30)}
    vendor = Refusing(refusals.refuses(bad), seed)
    book, stop = refused(vendor, [100] * 30)
    assert (book.ids("rejected"), stop) == (bad, None)
    assert len(book.ids("delivered")) == 3000 - len(bad)


@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=12),
    st.sampled_from([0.0, 0.02, 0.1, 0.5]),
    st.integers(0, 2**16),
)
@tries(30)
def test_only_the_bad_are_refused(sizes: list[int], share: float, seed: int) -> None:
    chance = random.Random(seed)
    bad = {number for number in range(sum(sizes)) if chance.random() < share}
    vendor = Refusing(refusals.refuses(bad), seed)
    book, stop = refused(vendor, sizes)
    assert book.ids("rejected") <= bad
    assert set(vendor.accepted) == book.ids("delivered")
    assert stop is not None or book.ids("delivered") == set(range(sum(sizes))) - bad


@pytest.mark.parametrize("size", [1, 7, 100])
@pytest.mark.parametrize("seed", range(3))
def test_a_fault_that_begins_in_the_middle_refuses_nobody_and_takes_few_requests(
    size: int, seed: int
) -> None:
    good = 30
    count = 0

    def says(numbers: list[int]) -> str:
        nonlocal count
        count += 1
        return "no_terms" if count > good else ""

    vendor = Refusing(says, seed)
    book, stop = refused(vendor, [size] * 80)
    assert stop is not None
    assert stop.code == "no_terms"
    assert not book.ids("rejected")
    assert len(book.ids("delivered")) == good * size
    # those that were on their way when it began, those that are asked about to find it out, and
    # those that found nobody accepted since the last answer that was on its way
    assert count - good <= 16 + 20 + 16


def test_a_fault_from_the_beginning_is_asked_about_once() -> None:
    vendor = Refusing(refusals.everybody, 0)
    book, stop = refused(vendor, [100] * 40)
    assert stop is not None
    assert len(vendor.sizes) <= 19
    assert len(book.ids("undelivered")) == 4_000

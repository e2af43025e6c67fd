"""Whole requests are refused: who is at fault is found, and nobody is refused for what everybody is told."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.definitions.model import Limits
from connector.delivery.courier import Courier
from connector.delivery.lanes import Lanes
from connector.delivery.rate_limit import Limiter
from connector.model import (
    Batch,
    Bisect,
    Delivered,
    NamedRecords,
    Outcome,
    Rejected,
    Request,
    Response,
    Stop,
    Target,
)
from tests.kit.clock import FakeClock
from tests.kit.memory_vendor import Book
from tests.kit.records import record, tries

#: Given the numbers of the people in a request: what the vendor says, "" when it accepts them.
Says = Callable[[list[int]], str]


class Vendor:
    """Refuses whole requests, and remembers how many people were in each, and in which order."""

    def __init__(self, says: Says) -> None:
        self.sizes: list[int] = []
        self.accepted: list[int] = []
        self._says = says
        self.caps = self.limits = Limits()

    def build(self, batch: Batch, now: float) -> Request:
        numbers = [one.event_id for one in batch.records]
        return Request("POST", "https://api.example.com", {}, json.dumps(numbers).encode())

    def __call__(self, request: Request) -> Response:
        numbers = json.loads(request.body)
        self.sizes.append(len(numbers))
        said = self._says(numbers)
        if not said:
            self.accepted += numbers
        return Response(200, {}, said)

    def classify(self, response: Response, sent: int, now: float, _: object) -> Outcome:
        return Bisect(response.body, "no") if response.body else Delivered()

    def places(self, batch: Batch, now: float) -> list[list[int]] | None:
        return batch.places()


def refuses(bad: set[int], code: str = "bad") -> Says:
    return lambda numbers: code if bad.intersection(numbers) else ""


def target_of(vendor: Any, operation: str) -> Target:
    return Target(
        route=operation, operation=operation, url="u", lane="lane", key=("k",), request={},
        group=(), params={}, base_bytes=0, group_bytes=0, room=float("inf"), endpoint=vendor,
    )  # fmt: skip


def batches(vendor: Any, sizes: Sequence[int], operations: Sequence[str] = ()) -> list[Batch]:
    """Return batches of so many people, numbered from 0; by default all are added."""
    made = []
    number = run = 0
    last = ""
    for size in sizes:
        records, runs = [], []
        for _ in range(size):
            operation = operations[number] if operations else "add"
            run += operation != last
            last = operation
            where = target_of(vendor, operation)
            records.append(record(where, [("email", f"{number}")], number))
            runs.append(run)
            number += 1
        made.append(Batch(tuple(records), tuple(runs)))
    return made


def deliver(vendor: Any, made: Sequence[Batch]) -> tuple[Book, Stop | None]:
    clock, book = FakeClock(), Book()
    lanes = Lanes(Courier(vendor, book, clock, Limiter((), clock)), requests=1)
    for batch in made:
        lanes.submit(batch)
    lanes.close()
    people = [one.event_id for batch in made for one in batch.records]
    assert sorted(event_id for event_id, _, _ in book.outcomes) == people, "each has one outcome"
    return book, lanes.stopped.get("lane")


def everybody(numbers: list[int]) -> str:
    return "no_terms"


def test_of_a_thousand_nobody_is_refused_for_what_all_are_told_in_19_requests() -> None:
    vendor = Vendor(everybody)
    book, stop = deliver(vendor, batches(vendor, [1000]))
    halves = [1000, 500, 250, 125, 62, 31, 15, 7, 3, 1]
    assert vendor.sizes == [*halves, 2, 4, 8, 16, 31, 63, 125, 250, 500]
    assert len(book.ids("undelivered")) == 1000
    assert stop is not None
    assert (stop.code, stop.reason) == (
        "no_terms",
        "no; everybody gets this answer, so the request or the account is at fault",
    )


@given(st.lists(st.integers(1, 3000), min_size=1, max_size=30))
@tries(60)
def test_what_everybody_is_told_stops_a_lane_within_20_requests(sizes: list[int]) -> None:
    vendor = Vendor(everybody)
    book, stop = deliver(vendor, batches(vendor, sizes))
    assert len(vendor.sizes) <= 20
    if sum(sizes) == 1:
        assert book.ids("rejected") == {0}  # alone: there is nobody to compare with
        return
    assert stop is not None
    assert len(book.ids("undelivered")) == sum(sizes)


@pytest.mark.parametrize("people", [1, 2, 3, 4, 5, 8, 13, 1000])
def test_one_bad_person_is_found_wherever_he_is(people: int) -> None:
    places = range(people) if people < 20 else [0, 1, 2, 499, 500, 501, 998, 999]
    for bad in places:
        vendor = Vendor(refuses({bad}))
        book, stop = deliver(vendor, batches(vendor, [people]))
        assert (book.ids("rejected"), stop) == ({bad}, None)
        assert len(book.ids("delivered")) == people - 1
        assert len(vendor.sizes) <= 2 * people.bit_length() + 1


@given(st.integers(3, 1000), st.data())
@tries(60)
def test_two_bad_people_are_found_wherever_they_are(people: int, data: st.DataObject) -> None:
    places = st.integers(0, people - 1)
    bad = data.draw(st.sets(places, min_size=2, max_size=2))
    vendor = Vendor(refuses(bad))
    book, stop = deliver(vendor, batches(vendor, [people]))
    assert (book.ids("rejected"), stop) == (bad, None)
    assert len(book.ids("delivered")) == people - 2


@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=6),
    st.sampled_from([0.0, 0.02, 0.1, 0.5, 0.9, 1.0]),
    st.sampled_from([1, 2, 7, 1000]),
    st.integers(0, 2**32),
)
@tries(150)
def test_only_the_bad_are_refused_and_what_must_not_be_overtaken_is_not(
    sizes: list[int], share: float, stretch: int, seed: int
) -> None:
    """`share` of the people are bad; operations change after at most `stretch` people."""
    chance = random.Random(seed)
    people = sum(sizes)
    bad = {number for number in range(people) if chance.random() < share}
    operations: list[str] = []
    while len(operations) < people:
        operations += [chance.choice(["add", "remove"])] * chance.randint(1, stretch)

    vendor = Vendor(refuses(bad))
    made = batches(vendor, sizes, operations)
    book, stop = deliver(vendor, made)
    assert book.ids("rejected") <= bad
    assert set(vendor.accepted) == book.ids("delivered")
    assert stop is not None or book.ids("delivered") == set(range(people)) - bad

    place = {}
    for count, batch in enumerate(made):
        for one, run in zip(batch.records, batch.runs, strict=True):
            place[one.event_id] = (count, run)
    for first, second in combinations(vendor.accepted, 2):
        assert first < second or place[first] == place[second]


def test_an_undecided_addition_is_not_overtaken_by_a_removal() -> None:
    # 0 to 2 are added, then others removed: nobody of them before 1 and 2 are settled
    vendor = Vendor(refuses({0, 1}))
    operations = ["add"] * 3 + ["remove"] * 5
    book, _ = deliver(vendor, batches(vendor, [8], operations))
    assert book.ids("rejected") == {0, 1}
    assert vendor.accepted == [2, 3, 4, 5, 6, 7]


def test_whoever_has_an_identifier_of_an_undecided_person_waits_for_him() -> None:
    vendor = Vendor(refuses({0, 1, 2}))
    where = target_of(vendor, "add")
    ids = [["a"], ["b"], ["c"], ["d"], ["e"], ["f"], ["g"], ["d", "h"]]
    records = [record(where, [("email", one) for one in some], n) for n, some in enumerate(ids)]
    book, _ = deliver(vendor, [Batch(tuple(records), (1,) * 8)])
    assert book.ids("rejected") == {0, 1, 2}
    assert vendor.accepted.index(3) < vendor.accepted.index(7)


def test_twenty_in_a_row_stop_a_lane_of_single_people_and_all_are_kept() -> None:
    vendor = Vendor(everybody)
    book, stop = deliver(vendor, batches(vendor, [1] * 50))
    assert len(vendor.sizes) == 20
    assert len(book.ids("undelivered")) == 50
    assert stop is not None


def test_nineteen_in_a_row_are_judged_once_somebody_is_accepted() -> None:
    vendor = Vendor(refuses(set(range(19))))
    book, stop = deliver(vendor, batches(vendor, [1] * 22))
    assert (book.ids("rejected"), stop) == (set(range(19)), None)
    assert vendor.accepted == [19, 20, 21]


def test_answers_that_differ_are_about_people() -> None:
    vendor = Vendor(lambda numbers: f"bad_{numbers[0] % 2}")
    book, stop = deliver(vendor, batches(vendor, [1] * 50))
    # the last one is alone with its answer
    assert (len(book.ids("rejected")), stop) == (50, None)


def test_in_a_lane_that_works_a_small_batch_of_bad_people_stops_nothing() -> None:
    vendor = Vendor(refuses({3, 4, 5, 6}))
    book, stop = deliver(vendor, batches(vendor, [3, 4, 3]))
    assert (book.ids("rejected"), stop) == ({3, 4, 5, 6}, None)
    assert vendor.accepted == [0, 1, 2, 7, 8, 9]


def test_in_a_lane_that_works_a_large_batch_of_refused_people_is_kept() -> None:
    vendor = Vendor(refuses(set(range(10, 40))))
    book, stop = deliver(vendor, batches(vendor, [10, 30, 10]))
    assert (book.ids("rejected"), len(book.ids("undelivered"))) == (set(), 40)
    assert stop is not None


class Naming(Vendor):
    """Names everybody it refuses, and applies nothing."""

    def classify(self, response: Response, sent: int, now: float, _: object) -> Outcome:
        if not response.body:
            return Delivered()
        return Rejected("bad", "no", NamedRecords("item", tuple(range(sent))))


def test_nobody_is_refused_by_name_for_what_everybody_is_told() -> None:
    vendor = Naming(everybody)
    book, stop = deliver(vendor, batches(vendor, [100]))
    assert (book.ids("rejected"), stop is None) == (set(), False)
    assert len(vendor.sizes) <= 20


class Regrouped(Vendor):
    """Reads the people of a request in another order, and names one by his position in it."""

    def __init__(self, bad: int) -> None:
        super().__init__(refuses({bad}))
        self.bad = bad

    def places(self, batch: Batch, now: float) -> list[list[int]] | None:
        return [list(reversed(range(len(batch.records))))]

    def classify(self, response: Response, sent: int, now: float, _: object) -> Outcome:
        if not response.body:
            return Delivered()
        return Rejected("bad", "no", NamedRecords("item", (sent - 1 - self.bad,)))


def test_a_position_is_that_in_the_body() -> None:
    vendor = Regrouped(1)
    book, _ = deliver(vendor, batches(vendor, [5]))
    assert book.ids("rejected") == {1}
    assert vendor.sizes == [5, 4]


def test_a_position_that_means_nobody_for_sure_is_halved() -> None:
    vendor = Regrouped(1)
    vendor.places = lambda batch, now: None  # type: ignore[method-assign]
    book, _ = deliver(vendor, batches(vendor, [5]))
    assert book.ids("rejected") == {1}

"""The batcher's work is in proportion to the records, whatever they have in common."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from connector.definitions.model import Limits
from connector.model import Record
from connector.pipeline.batching import Batcher
from tests.kit.records import record, target

FEW, MANY = 200, 800
NO_LIMITS = Limits()


def lines_run(function: Callable[[], Any]) -> int:
    """Return how many lines of Python a call runs: a measure that no busy machine changes."""
    count = 0

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal count
        count += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        function()
    finally:
        sys.settrace(before)
    return count


def one_phone(count: int) -> list[Record]:
    where = target("lane", "add", "g", NO_LIMITS)
    return [record(where, [("phone", "p"), ("email", f"e{n}")], n) for n in range(count)]


def one_phone_many_groups(count: int) -> list[Record]:
    records = []
    for number in range(count):
        where = target("lane", "add", f"g{number}", NO_LIMITS)
        records.append(record(where, [("phone", "p"), ("email", f"e{number}")], number))
    return records


def one_text_under_two_wires(count: int) -> list[Record]:
    where = target("lane", "add", "g", NO_LIMITS)
    records = []
    for number in range(count):
        ids = [(("phone", "id")[number % 2], "p"), ("email", f"e{number}")]
        records.append(record(where, ids, number))
    return records


def many_lanes(count: int) -> list[Record]:
    records = []
    for number in range(count):
        where = target(f"lane{number}", "add", "g", NO_LIMITS)
        records.append(record(where, [("email", f"e{number}")], number))
    return records


def many_keys(count: int) -> list[Record]:
    records = []
    for number in range(count):
        where = target("lane", "add", "g", NO_LIMITS, key=str(number))
        records.append(record(where, [("email", f"e{number}")], number))
    return records


def many_keys_in_conflict(count: int) -> list[Record]:
    records = []
    for number in range(count):
        where = target("lane", "add", "g", NO_LIMITS, key=str(number))
        records.append(record(where, [("email", f"e{number // 2}")], number))
    return records


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize(
    "make",
    [
        one_phone,
        one_phone_many_groups,
        one_text_under_two_wires,
        many_lanes,
        many_keys,
        many_keys_in_conflict,
    ],
)
def test_four_times_the_records_take_about_four_times_the_work(
    make: Callable[[int], list[Record]], strict: bool
) -> None:
    def work(count: int) -> int:
        # half of them fit, so that batches are closed early, too
        batcher = Batcher(max_pending=count // 2, strict=strict)
        records = make(count)
        return lines_run(lambda: [*batcher.take(records), *batcher.flush()])

    assert work(MANY) < 8 * work(FEW)


def test_two_records_that_share_many_identifiers_take_time_of_their_size() -> None:
    where = target("lane", "add", "g", NO_LIMITS)

    def seconds(count: int) -> float:
        many = [("email", f"e{number}") for number in range(count)]
        batcher = Batcher()
        started = time.perf_counter()
        list(batcher.take([record(where, [*many, ("phone", str(n))], n) for n in range(3)]))
        return time.perf_counter() - started

    # 64 times when each identifier is looked for among all others
    slowest = min(seconds(24_000) for _ in range(3))
    assert slowest < 30 * min(seconds(3_000) for _ in range(3)) + 0.1


def test_of_very_many_who_share_a_phone_the_same_person_is_still_superseded() -> None:
    superseded: list[tuple[int, int]] = []
    batcher = Batcher(lambda older, newer: superseded.append((older.event_id, newer.event_id)))
    where = target("lane", "add", "g", NO_LIMITS)
    again = record(where, [("phone", "p"), ("email", "e0")], 1000)
    list(batcher.take([*one_phone(1000), again]))
    assert superseded == [(0, 1000)]


def test_of_very_many_who_share_a_phone_a_removal_goes_after_all_of_them() -> None:
    batcher = Batcher(strict=False)
    remove = record(target("lane", "remove", "g", NO_LIMITS, key="remove"), [("phone", "p")], 1000)
    first, last = [*batcher.take([*one_phone(1000), remove]), *batcher.flush()]
    assert (len(first.records), first.closed_by) == (1000, "conflict")
    assert last.records == (remove,)


def test_the_oldest_of_all_batches_is_closed_when_too_many_records_are_held() -> None:
    batcher = Batcher(max_pending=3)
    closed = list(batcher.take(many_lanes(6)))
    assert [(batch.lane, batch.closed_by) for batch in closed] == [
        ("lane0", "memory"),
        ("lane1", "memory"),
        ("lane2", "memory"),
    ]
    assert [batch.lane for batch in batcher.flush()] == ["lane3", "lane4", "lane5"]

"""What becomes of the records that a response does not name: who waits with a postponed one, and who does not."""

from __future__ import annotations

import pytest

from connector.definitions.model import Limits
from connector.model import Batch, NamedRecords
from connector.pipeline.attribution import Verdict, attribute
from tests.kit.records import record, target

ADD, REMOVE = (target("lane", operation, "g", Limits()) for operation in ("add", "remove"))


def batch(*rows: tuple[str, int], runs: tuple[int, ...] = ()) -> Batch:
    """Return a batch of records, each given as its identifiers (a letter each) and its run."""
    records = [
        record(ADD if run % 2 else REMOVE, [("email", value) for value in ids], number)
        for number, (ids, run) in enumerate(rows)
    ]
    return Batch(tuple(records), tuple(run for _, run in rows))


#: `b` stands alone, `ac` shares an identifier with the first, `d` is removed after that.
MIXED = batch(("a", 1), ("b", 1), ("ac", 1), ("d", 2))


@pytest.mark.parametrize("rest_delivered", [True, False], ids=["rest delivered", "nothing applied"])
def test_what_stands_behind_a_postponed_record_waits_with_it(*, rest_delivered: bool) -> None:
    verdict = attribute(MIXED, NamedRecords("item", (), (0,), rest_delivered))
    assert verdict is not None
    assert verdict.later == [0, 2, 3]
    assert (verdict.delivered, verdict.again) == (([1], []) if rest_delivered else ([], [[1]]))


@pytest.mark.parametrize(
    ("rows", "later"),
    [
        ([("a", 1), ("a", 1), ("b", 1)], [0, 1]),
        ([("a", 1), ("b", 1), ("c", 2)], [0, 2]),
        ([("b", 1), ("a", 1), ("ab", 1)], [0, 2]),
    ],
    ids=["one identifier in common", "another run", "whoever stands between"],
)
def test_only_what_must_not_overtake_waits(rows: list[tuple[str, int]], later: list[int]) -> None:
    verdict = attribute(batch(*rows), NamedRecords("item", (), (0,)))
    assert verdict is not None
    assert verdict.later == later


def test_what_stands_before_a_postponed_record_is_not_held() -> None:
    verdict = attribute(MIXED, NamedRecords("item", (), (2,), rest_delivered=True))
    assert verdict == Verdict([], [2, 3], [0, 1], [])


def test_who_is_refused_does_not_wait() -> None:
    verdict = attribute(MIXED, NamedRecords("item", (2,), (0,), rest_delivered=True))
    assert verdict == Verdict([2], [0, 3], [1], [])


def test_the_refused_are_reported_by_reason() -> None:
    words = (" (A)", "", " (A)")
    verdict = attribute(MIXED, NamedRecords("item", (3, 0, 1), words=words))
    assert verdict is not None
    assert verdict.refused_by_reason("no") == [("no", [0]), ("no (A)", [1, 3])]

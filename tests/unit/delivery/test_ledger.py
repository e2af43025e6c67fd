"""The ledger counts every record once, and reports every event that was not delivered."""

from __future__ import annotations

import io
import json
from collections import Counter

import pytest

from connector.definitions.model import Limits
from connector.delivery.ledger import MAX_REASONS, Ledger
from connector.delivery.report import Failure
from connector.model import ItemId, Rejection
from tests.kit.records import record, target

ADD = target("lane", "add", "g", Limits())


@pytest.mark.parametrize(
    ("outcome", "events"),
    [("delivered", []), ("rejected", ["3", "1", "2"]), ("undelivered", ["3", "1", "2"])],
)
def test_a_superseded_event_shares_the_fate_of_the_one_that_stands_for_it(
    outcome: str, events: list[str]
) -> None:
    file = io.BytesIO()
    ledger = Ledger(file, keep_failures=True)
    first, second, third, other = (record(ADD, [("email", str(n))], n) for n in range(1, 5))
    ledger.prepared(4)
    ledger.superseded(first, second)
    ledger.superseded(second, third)
    if outcome == "delivered":
        ledger.delivered([third])
    else:
        getattr(ledger, outcome)([third], "code", "reason")
    ledger.delivered([other])

    lines = [json.loads(line) for line in file.getvalue().splitlines()]
    assert [line["event"] for line in lines] == events
    assert {line["outcome"] for line in lines} <= {outcome, "superseded"}
    assert [Failure(**line) for line in lines] == ledger.failures
    counts = ledger.counts
    assert counts.records == (
        counts.delivered + counts.superseded + counts.rejected + counts.undelivered
    )
    assert ledger._superseded == {}


def test_a_failure_is_one_line_of_json() -> None:
    failure = Failure("7", None, "rejected", "unreadable", "invalid JSON: a “reason”")
    assert (
        failure.ndjson()
        == (
            '{"event":"7","route":null,"outcome":"rejected","code":"unreadable",'
            '"reason":"invalid JSON: a “reason”","file":null,"line":null}\n'
        ).encode()
    )


def test_failures_are_kept_only_when_asked_for() -> None:
    for keep_failures in (False, True):
        ledger = Ledger(keep_failures=keep_failures)
        ledger.superseded(record(ADD, [], 1), record(ADD, [], 2))
        ledger.refused(Rejection("", 3, "unreadable", "not JSON"))
        assert len(ledger.failures) == len(ledger._superseded) == keep_failures


def test_a_finished_run_has_its_counts_and_the_most_frequent_reasons_first() -> None:
    ledger = Ledger()
    ledger.refused(Rejection("in", 1, "once", "a"))
    for number in range(2, 4):
        ledger.refused(Rejection("in", number, "twice", "b"))
    report = ledger.close(Counter({("email", "empty"): 1, ("phone", "invalid"): 2}), 1.5)
    assert list(report.reasons.items()) == [
        (("rejected", "twice", "b"), 2),
        (("rejected", "once", "a"), 1),
    ]
    assert list(report.dropped) == [("phone", "invalid"), ("email", "empty")]
    assert (report.counts.rejected, report.counts.identifiers_dropped) == (3, 3)
    assert report.counts.seconds == 1.5
    assert not report.complete

    # The report of a finished run stays as it is.
    ledger.read(5)
    assert report.counts.events == 0


def test_an_interrupted_run_is_not_complete() -> None:
    assert Ledger().close({}, 0.0).complete
    assert not Ledger().close({}, 0.0, interrupted=True).complete


def test_distinct_reasons_are_capped_and_known_ones_still_counted() -> None:
    ledger = Ledger()
    more = MAX_REASONS + 5
    for number in range(more):
        ledger.rejected([record(ADD, [], number)], "refused", f"the vendor's word {number}")
    ledger.rejected([record(ADD, [], more)], "refused", "the vendor's word 0")

    assert len(ledger.reasons) == MAX_REASONS == 1_000
    assert ledger.reasons["rejected", "refused", "the vendor's word 0"] == 2
    assert ledger.counts.rejected == more + 1


def test_a_report_that_cannot_be_written_does_not_end_the_run() -> None:
    class Full(io.BytesIO):
        def write(self, line: object) -> int:
            raise OSError(28, "No space left on device")

    ledger = Ledger(Full())
    for number in range(2):
        ledger.refused(Rejection("in", number, "code", "reason"))
    report = ledger.close({}, 0.0)
    assert report.counts.rejected == 2
    assert report.report_error == "No space left on device"


def test_only_a_long_wait_is_told() -> None:
    lines: list[str] = []
    ledger = Ledger()
    ledger.notify = lines.append
    ledger.waiting(0.7, "busy")
    ledger.waiting(300.2, "the rate limit was reached")
    assert lines == ["waiting 300 s before retrying a request: the rate limit was reached"]


def test_a_position_is_never_taken_for_an_id() -> None:
    ledger = Ledger(keep_failures=True)
    ledger.locate = lambda position: ("b.csv", position - 10)
    ledger.refused(Rejection("in", 12, "code", "it is known by its position"))
    ledger.refused(Rejection("", 13, "unreadable", "it cannot be read"))
    ledger.positions_are_ids = False
    ledger.refused(Rejection("in", "12", "code", "it has an id"))
    ledger.refused(Rejection("in", 14, "code", "it has none, but others have"))
    ledger.refused(Rejection("in", ItemId(14, 2), "code", "an element of it"))
    ledger.refused(Rejection("in", ItemId("12", 0), "code", "an element of one with an id"))
    assert [(one.event, one.item, one.file, one.line) for one in ledger.failures] == [
        ("12", None, "b.csv", 2),
        (None, None, "b.csv", 3),
        ("12", None, None, None),
        (None, None, "b.csv", 4),
        (None, 2, "b.csv", 4),
        ("12", 0, None, None),
    ]

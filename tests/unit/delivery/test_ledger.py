"""The report has a line for every event that was not delivered, also for those that a later one stood for."""

from __future__ import annotations

import io
import json

import pytest

from connector.definitions.model import Limits
from connector.delivery.ledger import Ledger
from tests.laws.worlds import record, target

ADD = target("lane", "add", "g", Limits())


@pytest.mark.parametrize(
    ("end", "events"),
    [("delivered", []), ("rejected", ["3", "1", "2"]), ("undelivered", ["3", "1", "2"])],
)
def test_a_superseded_event_shares_the_fate_of_the_one_that_stands_for_it(
    end: str, events: list[str]
) -> None:
    report = io.BytesIO()
    ledger = Ledger(report)
    first, second, third, other = (record(ADD, [("email", str(n))], n) for n in range(1, 5))
    ledger.prepared(4)
    ledger.superseded(first, second)
    ledger.superseded(second, third)
    getattr(ledger, end)([third], *(() if end == "delivered" else ("code", "reason")))
    ledger.delivered([other])

    lines = [json.loads(line) for line in report.getvalue().splitlines()]
    assert [line["event"] for line in lines] == events
    assert {line["outcome"] for line in lines} <= {end, "superseded"}
    s = ledger.counts
    assert s.records == s.delivered + s.superseded + s.rejected + s.undelivered
    assert ledger._superseded == {}


def test_only_a_long_wait_is_said() -> None:
    said: list[str] = []
    ledger = Ledger()
    ledger.notify = said.append
    ledger.waiting(0.7, "busy")
    ledger.waiting(300.2, "the rate limit was reached")
    assert said == ["waiting 300 s before a request is sent again: the rate limit was reached"]

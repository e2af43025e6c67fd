"""The report has a line for every event that was not delivered, also for those that a later one stood for."""

from __future__ import annotations

import io
import json

import pytest

from connector.definitions.model import Limits
from connector.delivery.ledger import Tally
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
    tally = Tally(report)
    first, second, third, other = (record(ADD, [("email", str(n))], n) for n in range(1, 5))
    tally.prepared(4)
    tally.superseded(first, second)
    tally.superseded(second, third)
    getattr(tally, end)([third], *(() if end == "delivered" else ("code", "reason")))
    tally.delivered([other])

    lines = [json.loads(line) for line in report.getvalue().splitlines()]
    assert [line["event"] for line in lines] == events
    assert {line["outcome"] for line in lines} <= {end, "superseded"}
    s = tally.summary
    assert s.records == s.delivered + s.superseded + s.rejected + s.undelivered
    assert tally._covered == {}


def test_only_a_long_wait_is_said() -> None:
    said: list[str] = []
    tally = Tally()
    tally.say = said.append
    tally.waiting(0.7, "busy")
    tally.waiting(300.2, "the rate limit was reached")
    assert said == ["waiting 300 s before a request is sent again: the rate limit was reached"]

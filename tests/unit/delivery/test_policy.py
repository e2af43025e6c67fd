"""What a definition says of stops: a request without an answer, refusals in a row, an account."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from connector.connection.model import Connection
from connector.definitions.catalog import Catalog
from connector.definitions.model import RetrySchedule
from connector.delivery.courier import Courier
from connector.delivery.ledger import Ledger
from connector.delivery.rate_limit import Limiter
from connector.delivery.report import Report
from connector.delivery.retry import REFUSALS, RETRIES, RetryPolicy
from connector.delivery.run import Run
from connector.errors import SendError, StaleError, UnreachableError
from connector.model import Event, Record, Request, Response, Stop
from connector.pipeline.batching import Batcher
from connector.pipeline.pipeline import Pipeline
from connector.pipeline.responses import compile_rules
from connector.sandbox.local import connected_to
from tests.kit import ROOT
from tests.kit.clock import FakeClock
from tests.kit.delivering import MemoryVendor, event, made

ONCE = RetrySchedule(unanswered="stop")
AUDIENCES = ("aaa", "bbb", "ccc")


def connection(retry: RetrySchedule | None, **limits: Any) -> Connection:
    one = made(**limits)
    return replace(one, destination=replace(one.destination, retry=retry))


def sent(one: Connection, send: Callable[[Request], Response], *events: dict[str, Any]) -> Report:
    policy = RetryPolicy.of(one.destination.retry)
    run = Run(Pipeline(one), (), send, FakeClock(), policy, Ledger(keep_failures=True))
    return run.deliver([[Event(number, data) for number, data in enumerate(events, 1)]])


def failing(*errors: SendError) -> MemoryVendor:
    """Return a vendor whose first requests fail so."""
    left = list(errors)

    def answer(request: Request) -> Response | None:
        if left:
            raise left.pop(0)
        return None

    return MemoryVendor(answer)


# A request without an answer.


@pytest.mark.parametrize("retry", [None, RetrySchedule((0.0,)), RetrySchedule(refusals=3)])
@pytest.mark.parametrize("error", [SendError("timed out"), StaleError("closed")])
def test_a_request_without_an_answer_is_sent_again_unless_a_definition_says_otherwise(
    retry: RetrySchedule | None, error: SendError
) -> None:
    vendor = failing(error)
    report = sent(connection(retry), vendor, event("a"))
    assert (report.counts.delivered, len(vendor.requests)) == (1, 2)
    assert vendor.requests[0].repeatable


@pytest.mark.parametrize("error", [SendError("timed out"), StaleError("closed")])
def test_what_must_not_arrive_twice_is_sent_once_and_said_to_be_perhaps_delivered(
    error: SendError,
) -> None:
    vendor = failing(error)
    people = [event(f"p{number}") for number in range(25)]
    report = sent(connection(ONCE, records=10), vendor, *people, event("other", "bbb"))
    assert vendor.people == {"bbb": {"other"}}
    assert [request.repeatable for request in vendor.requests] == [False] * 2
    assert {failure.code for failure in report.failures} == {"unanswered"}
    reason = (
        f"a request got no answer, and may have been applied: {error}; changes must not be made "
        "twice, so look at the audience before you send again what it held"
    )
    assert [failure.reason for failure in report.failures] == [
        *[reason] * 10,
        *[f"its lane was stopped: {reason}"] * 15,
    ]


def test_what_was_not_sent_is_sent_again() -> None:
    vendor = failing(UnreachableError("no connection"), UnreachableError("no token"))
    report = sent(connection(ONCE), vendor, event("a"))
    assert (report.counts.delivered, len(vendor.requests)) == (1, 3)


def test_an_answer_is_no_missing_answer() -> None:
    answers = [Response(503, {}, None)]
    vendor = MemoryVendor(lambda request: answers.pop() if answers else None)
    report = sent(connection(ONCE), vendor, event("a"))
    assert (report.counts.delivered, len(vendor.requests)) == (1, 2)


def test_each_request_that_is_lost_is_said_to_be_so_and_no_other() -> None:
    one = connection(ONCE, records=1)
    records = []
    for record in Pipeline(one).prepare([Event(n, event(f"p{n}")) for n in range(3)], 0.0):
        assert isinstance(record, Record)
        records.append(record)
    batches = [*Batcher(lambda older, newer: None).take(records)]
    told: list[tuple[list[Any], str]] = []

    class Told(Ledger):
        def unanswered(self, records: Any, code: str, reason: str) -> None:
            told.append(([one.event_id for one in records], code))
            super().unanswered(records, code, reason)

    clock = FakeClock()
    vendor = failing(SendError("timed out"))
    policy = RetryPolicy.of(one.destination.retry)
    courier = Courier(vendor, Told(), clock, Limiter((), clock), policy)
    for batch in batches:
        courier.deliver(batch)
    assert told == [([0], "unanswered")]
    assert len(vendor.requests) == 1


# Refusals in a row.


@pytest.mark.parametrize(("refusals", "requests"), [(None, REFUSALS), (1, 1), (3, 3), (30, 30)])
def test_so_many_equal_refusals_of_single_people_stop_a_lane(
    refusals: int | None, requests: int
) -> None:
    vendor = MemoryVendor(lambda request: Response(422, {}, {"errors": [{"code": "NO"}]}))
    retry = RetrySchedule(refusals=refusals)
    people = [event(f"p{number}") for number in range(40)]
    report = sent(connection(retry, records=1, concurrency=1), vendor, *people)
    assert len(vendor.requests) == requests
    assert (report.counts.undelivered, report.counts.rejected) == (40, 0)


def test_a_definition_without_a_schedule_has_the_usual_one() -> None:
    assert RetryPolicy.of(RetrySchedule()) == RetryPolicy.of(None) == RetryPolicy()
    policy = RetryPolicy.of(RetrySchedule(unanswered="stop", refusals=7))
    assert policy == RetryPolicy(RETRIES, stops_unanswered=True, refusals=7)
    assert RetryPolicy.of(RetrySchedule(refusals=7), 2).retries == 2


def test_what_a_definition_says_is_read(tmp_path: Path) -> None:
    tiny = ROOT / "tests" / "bad" / "tiny"
    for kind in ("schemas", "templates"):
        shutil.copytree(tiny / kind, tmp_path / kind)
    path = tmp_path / "schemas" / "tiny" / "destination.json"
    raw = json.loads(path.read_text("utf-8"))
    source = "assumed: A test."
    raw["destination"]["retry"] = {"unanswered": "stop", "refusals": 7, "source": source}
    rule = {"when": "status == 418", "then": "stop", "scope": "account", "source": source}
    raw["destination"]["responses"].append(rule)
    path.write_text(json.dumps(raw), "utf-8")

    destination = Catalog([tmp_path]).load("tiny")
    policy = RetryPolicy.of(destination.retry)
    assert policy == RetryPolicy(stops_unanswered=True, refusals=7)
    classify = compile_rules(destination.responses)
    stop = classify(Response(418, {}, None), 1, 0.0)
    assert isinstance(stop, Stop)
    assert stop.of_account
    other = classify(Response(403, {}, None), 1, 0.0)
    assert isinstance(other, Stop)
    assert not other.of_account


def test_a_sandbox_waits_for_no_schedule_and_keeps_the_rest() -> None:
    server: Any = SimpleNamespace(base_url="http://localhost", token_url="", login_url="")
    retry = RetrySchedule((60.0,), 3600.0, unanswered="stop", refusals=7)
    kept = connected_to(connection(retry), server).destination.retry
    assert kept == RetrySchedule(unanswered="stop", refusals=7)
    assert connected_to(connection(None), server).destination.retry is None


# An account.


def refusing(code: str) -> Callable[[Request], Response]:
    return lambda request: Response(403, {}, {"errors": [{"code": code}]})


def test_a_stop_of_the_account_stops_every_lane_and_one_of_a_lane_does_not() -> None:
    one = connection(None, records=1)
    events = [Event(n, event("a", audience)) for n, audience in enumerate(AUDIENCES)]
    for code, expected in (("ACCOUNT_LOCKED_OUT", 1), ("UNAUTHORIZED_CLIENT_APPLICATION", 3)):
        clock = FakeClock()
        ledger = Ledger(keep_failures=True)
        vendor = MemoryVendor(refusing(code))
        courier = Courier(vendor, ledger, clock, Limiter((), clock))
        batcher = Batcher(lambda older, newer: None)
        records = [one for one in Pipeline(one).prepare(events, 0.0) if isinstance(one, Record)]
        for batch in [*batcher.take(records), *batcher.flush()]:
            courier.deliver(batch)
        assert len(vendor.requests) == expected
        assert ledger.counts.undelivered == 3
        assert {stop.code for stop in courier.stopped.values()} == {"forbidden"}
        assert len(courier.stopped) == 3

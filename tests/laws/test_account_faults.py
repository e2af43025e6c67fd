"""A fault of the request or of the account, at every destination that ships: the lane stops, and everybody is kept."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from connector.connection.model import Connection, FromPaths, Route
from connector.definitions.catalog import Catalog
from connector.definitions.model import Limits
from connector.delivery.ledger import Ledger
from connector.delivery.report import Report
from connector.delivery.retry import RetryPolicy
from connector.delivery.run import Run
from connector.model import Event, Request, Response
from connector.pipeline.pipeline import Pipeline
from connector.sandbox.local import Sandbox
from tests.kit.clock import FakeClock

DESTINATIONS = Catalog(()).ids()
PEOPLE = 1000

#: Stops that a definition knows: one request.
KNOWN: list[tuple[str, int, Any]] = [
    ("x_custom_audiences", 400, {"errors": [{"code": "FEATURE_NOT_AVAILABLE"}]}),
    ("x_custom_audiences", 400, {"errors": [{"code": 220}]}),
    ("x_custom_audiences", 400, {"operation_errors": [[{"code": "FEATURE_NOT_AVAILABLE"}]]}),
    ("x_custom_audiences", 400, {"errors": [{"code": "INVALID_TAILORED_AUDIENCE_TYPE"}]}),
    ("tiktok_audiences", 200, {"code": 40002, "message": "batch_data.0.audience_ids: the audience_id is invalid"}),
    ("tiktok_audiences", 404, None),
    *[
        ("google_customer_match", 400, {"error": {"status": "INVALID_ARGUMENT", "details": [{"reason": reason}]}})
        for reason in (
            "ADVERTISER_TOS_NOT_ACCEPTED", "USER_LIST_TYPE_NOT_SUPPORTED_FOR_ACCOUNT",
            "UNSUPPORTED_ACCOUNT_TYPES_FOR_USER_LIST_TYPE", "UNSUPPORTED_USER_LIST_UPLOAD_KEY_TYPES",
            "DATA_PARTNER_NOT_ALLOWLISTED_FOR_THIRD_PARTY_PARTNER_DATA", "OWNERSHIP_REQUIRED_FOR_UPDATE",
            "TERMS_AND_CONDITIONS_NOT_SIGNED", "PERMISSION_DENIED", "NOT_FOUND",
        )
    ],
    ("meta_custom_audiences", 400, {"error": {"code": 100, "error_subcode": 1487301}}),
    ("meta_custom_audiences", 400, {"error": {"code": 100, "error_subcode": 1487366}}),
    ("meta_custom_audiences", 400, {"error": {"code": 2655}}),
    ("microsoft_customer_lists", 400, {"OperationErrors": [{"Code": 8002, "ErrorCode": "CustomerListItemSubTypeNotSupported"}]}),
    ("linkedin_audiences", 200, {"elements": [{"status": 403}] * PEOPLE}),
    ("snapchat_audiences", 400, {"request_status": "ERROR", "error_code": "E3002"}),
    ("iterable_lists", 400, {"code": "UniqueFieldsLimitExceeded"}),
    *[(name, status, None) for name in DESTINATIONS for status in (401, 402, 403, 406, 410, 418, 421, 451)],
]  # fmt: skip

#: Refusals that a definition knows nothing of: it has to find out.
UNKNOWN: list[tuple[str, int, Any]] = [
    ("x_custom_audiences", 400, {"errors": [{"code": "NEW_TERMS"}]}),
    ("x_custom_audiences", 400, {"operation_errors": [[{"code": "NEW_TERMS"}]]}),
    ("tiktok_audiences", 200, {"code": 40061, "message": "no"}),
    ("google_customer_match", 400, {"error": {"details": [{"reason": "NEW_TERMS"}]}}),
    ("meta_custom_audiences", 400, {"error": {"code": 100, "message": "This audience requires LOOKALIKE_VALUE"}}),
    ("microsoft_customer_lists", 400, {"OperationErrors": [{"Code": 9999, "ErrorCode": "NewTerms"}]}),
    ("linkedin_audiences", 400, {"code": "NEW_TERMS"}),
    ("snapchat_audiences", 400, {"request_status": "ERROR", "error_code": "E9999"}),
    ("iterable_lists", 400, {"code": "BadParams"}),
    ("braze_audiences", 400, {"message": "new terms"}),
    ("webhook", 400, {"message": "new terms"}),
    *[(name, 422, {"message": "new terms"}) for name in DESTINATIONS],
]  # fmt: skip


def email(number: int) -> str:
    return f"person{number}@example.com"


@cache
def connection(name: str) -> Connection:
    """Return a connection that adds people by their e-mail address."""
    destination = Catalog(()).load(name)
    action = next(
        action
        for action in destination.actions.values()
        if action.operation == "add"
        and "email" in action.parameters
        and "do_not_reach" not in action.id
    )
    settings = destination.example_settings
    mapped = {field: FromPaths((field,)) for field in action.parameters}
    return Connection(
        "",
        destination,
        settings,
        {},
        destination.base_url(settings),
        Limits(),
        None,
        (Route("in", action, None, mapped),),
    )


def people(name: str) -> list[Event]:
    [route] = connection(name).routes
    example = next(iter(route.action.schema["examples"]))
    identifiers = {identifier.parameter for identifier in route.action.identifiers}
    shared = {field: value for field, value in example.items() if field not in identifiers}
    return [Event(n, {**shared, "email": email(n)}) for n in range(PEOPLE)]


def deliver(name: str, send: Callable[[Request], Response]) -> Report:
    pipeline = Pipeline(connection(name))
    ledger = Ledger(keep_failures=True)
    policy = RetryPolicy.of(connection(name).destination.retry)
    return Run(pipeline, (), send, FakeClock(), policy, ledger).deliver([people(name)])


def ids(rows: list[tuple[str, int, Any]]) -> list[str]:
    return [f"{name}-{status}-{place}" for place, (name, status, _) in enumerate(rows)]


@pytest.mark.parametrize(("name", "status", "body"), KNOWN, ids=ids(KNOWN))
def test_a_known_fault_takes_one_request_and_refuses_nobody(
    name: str, status: int, body: Any
) -> None:
    report = deliver(name, lambda request: Response(status, {}, body))
    assert report.counts.undelivered == report.counts.records == PEOPLE
    assert report.counts.requests == 1


@pytest.mark.parametrize(("name", "status", "body"), UNKNOWN, ids=ids(UNKNOWN))
def test_an_unknown_fault_takes_few_requests_and_refuses_nobody(
    name: str, status: int, body: Any
) -> None:
    report = deliver(name, lambda request: Response(status, {}, body))
    assert report.counts.undelivered == report.counts.records == PEOPLE
    assert report.counts.requests <= 19


@pytest.mark.parametrize("bad", [{0}, {499}, {999}, {3, 700}], ids=str)
@pytest.mark.parametrize(("name", "status", "body"), UNKNOWN[:11], ids=ids(UNKNOWN[:11]))
def test_bad_people_are_found_wherever_they_are(
    name: str, status: int, body: Any, bad: set[int]
) -> None:
    clock = FakeClock()
    sandbox = Sandbox(connection(name).destination, clock=clock.now)
    marks = set()
    for number in bad:
        marks.add(f'"{email(number)}"'.encode())
        marks.add(hashlib.sha256(email(number).encode()).hexdigest().encode())

    def send(request: Request) -> Response:
        clock.sleep(60.0)  # no rate of any vendor is reached
        if any(mark in request.body for mark in marks):
            return Response(status, {}, body)
        return sandbox(request)

    report = deliver(name, send)
    assert {int(failure.event) for failure in report.failures} == bad
    assert {failure.outcome for failure in report.failures} == {"rejected"}
    assert report.counts.delivered == PEOPLE - len(bad)


@pytest.mark.parametrize("name", [name for name in DESTINATIONS if name != "webhook"])
def test_a_page_of_a_gateway_refuses_nobody_and_is_waited_for(name: str) -> None:
    sandbox = Sandbox(connection(name).destination, clock=FakeClock().now)
    pages = iter([Response(400, {"content-type": "text/html"}, None)] * 2)
    report = deliver(name, lambda request: next(pages, None) or sandbox(request))
    assert report.counts.delivered == PEOPLE

"""What `check` makes of answers: clocks, conditions, destinations that say little."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

import connector
from connector.audiences.check import Check
from connector.connection.load import connection_from_document
from connector.connection.model import Connection
from connector.errors import SendError, UnauthorizedError
from connector.model import Request, Response
from tests.kit.clock import NOW, FakeClock
from tests.kit.destination import SOURCE, action, call, email, parameter, write_destination

LIST = {"path": "/lists", "result": "body.lists", "fields": {"id": "row.id", "name": "row.name"}}
KIND = {"list_id": {"title": "list", "calls": {"list": "all"}, "source": SOURCE}}
VERIFY = {"title": "access", "call": "me", "source": SOURCE}

Make = Callable[..., Connection]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Return what makes a connection to a destination with calls, and these members."""

    def connection(**members: Any) -> Connection:
        properties = {"email": email(), "list_id": parameter()}
        files = {
            "add": action(properties, path="/lists/{list_id}"),
            "calls/all": call(**LIST),
            "calls/me": call(path="/me", result="body"),
            "calls/pages": call(**LIST, pages={"cursor": "body.next", "parameter": "cursor"}),
        }
        catalog = write_destination(tmp_path, {}, None, files, **members)
        mapped = {"email": {"from": "email"}, "list_id": {"value": "7"}}
        route = {"name": "in", "action": "add", "map": mapped}
        written = {"destination": "tiny", "settings": {}, "routes": [route]}
        return connection_from_document(written, "c.yaml", catalog)

    return connection


def found(connection: Connection, *answers: Any) -> dict[str, Check]:
    """Return what is found by its name, when these are the answers in turn."""
    left = list(answers)

    def vendor(request: Request) -> Response:
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, Response) else Response(200, {}, answer)

    checks = list(connector.check(connection, transport=vendor, clock=FakeClock()))
    assert not left
    return {check.name: check for check in checks}


def at(seconds: float) -> Response:
    """Return an answer that was sent when the vendor's clock was so many seconds ahead."""
    date = format_datetime(datetime.fromtimestamp(NOW + seconds, UTC), usegmt=True)
    return Response(200, {"date": date}, {})


@pytest.mark.parametrize(
    ("answer", "status", "message"),
    [
        (at(0), "ok", "as the vendor's"),
        (at(59), "ok", "as the vendor's"),
        (at(-60), "warning", "this machine is 60 s ahead of the vendor"),
        (at(299), "warning", "this machine is 299 s behind the vendor"),
        (at(-3600), "error", "this machine is 3,600 s ahead of the vendor"),
        (at(300), "error", "this machine is 300 s behind the vendor"),
        (Response(200, {}, {}), "skipped", "no answer said what time it is"),
        (Response(200, {"date": "noon"}, {}), "skipped", "no answer said what time it is"),
    ],
)
def test_the_clock_is_compared_with_that_of_the_answer(
    make: Make, answer: Response, status: str, message: str
) -> None:
    clock = found(make(verify=[VERIFY]), answer)["clock"]
    assert (clock.status, clock.message) == (status, message)
    assert bool(clock.fix) == (status in ("warning", "error"))


def test_a_refusal_says_what_time_it_is_as_well(make: Make) -> None:
    checks = found(make(verify=[VERIFY]), Response(401, at(3600).headers, {}))
    assert checks["credentials"].status == "error"
    assert checks["clock"].status == "error"
    assert checks["audiences"].status == "skipped"


@pytest.mark.parametrize("error", [UnauthorizedError("no token"), SendError("timed out")])
def test_no_answer_is_an_error_of_the_credentials_line(make: Make, error: Exception) -> None:
    checks = found(make(verify=[VERIFY]), error)
    assert checks["credentials"].status == "error"
    assert str(error) in checks["credentials"].message


@pytest.mark.parametrize(
    ("body", "level", "status"),
    [
        ({"roles": ["EDITOR"]}, "error", "ok"),
        ({"roles": ["VIEWER"]}, "error", "error"),
        ({"roles": ["VIEWER"]}, "warning", "warning"),
        ({}, "error", "error"),
    ],
)
def test_a_condition_has_to_hold(make: Make, body: Any, level: str, status: str) -> None:
    verification = {
        **VERIFY,
        "require": "'EDITOR' in rows[0].roles",
        "reason": "the user may not; ask for the role EDITOR",
        "level": level,
    }
    checks = found(make(verify=[verification]), body)
    assert checks["access"].status == status
    if status != "ok":
        assert (checks["access"].message, checks["access"].fix) == (
            "the user may not",
            "ask for the role EDITOR",
        )


def test_a_call_is_asked_once_for_several_conditions(make: Make) -> None:
    one = {**VERIFY, "require": "rows[0].a", "reason": "no a"}
    two = {**one, "title": "terms", "require": "rows[0].b", "reason": "not accepted; accept them"}
    checks = found(make(verify=[one, two]), {"a": True, "b": False})
    assert (checks["access"].status, checks["terms"].status) == ("ok", "error")


def test_one_page_is_enough(make: Make) -> None:
    one = {**VERIFY, "call": "pages", "require": "rows[0].id == '7'", "reason": "no list"}
    checks = found(make(verify=[one]), {"lists": [{"id": 7}], "next": "more"})
    assert (checks["credentials"].status, checks["access"].status) == ("ok", "ok")


def test_without_verifications_the_list_of_audiences_shows_whether_credentials_do(
    make: Make,
) -> None:
    lists = {"lists": [{"id": 7, "name": "Spring"}]}
    checks = found(make(audiences=KIND), lists, lists)
    assert checks["credentials"].status == "ok"
    assert checks["list 7"] == Check("list 7", "ok", "'Spring', size not known yet")


def test_without_any_call_nothing_is_sent(make: Make) -> None:
    checks = found(make())
    assert list(checks) == ["settings", "credentials", "clock"]
    assert checks["credentials"].status == "skipped"

"""Calls: what is sent, pages, rows, and what is sent again."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from connector import library
from connector.calls.run import rows, run
from connector.connection.load import connection_from_document
from connector.connection.model import Connection
from connector.errors import CallError, ConfigError, SendError, UnauthorizedError, UnreachableError
from connector.model import Request, Response
from tests.kit.clock import FakeClock
from tests.kit.destination import SOURCE, action, call, email, parameter, write_destination

BASE = "https://api.example.com"
LIST = {"path": "/lists", "result": "body.lists", "fields": {"id": "row.id", "name": "row.name"}}
CURSOR = {"cursor": "body.next", "parameter": "cursor"}

Said = Response | Exception


class Vendor:
    """A transport that gives prepared answers, and keeps what it was sent."""

    def __init__(self, *answers: Said) -> None:
        self.answers = list(answers)
        self.requests: list[Request] = []

    def __call__(self, request: Request) -> Response:
        self.requests.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    @property
    def urls(self) -> list[str]:
        return [request.url.removeprefix(BASE) for request in self.requests]


def ok(body: Any = None, **headers: str) -> Response:
    return Response(200, headers, body)


def refused(status: int, body: Any = None, **headers: str) -> Response:
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Response(status, named, {} if body is None else body)


Make = Callable[..., Connection]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Return what makes a connection to a destination with one call, `ask`."""

    def connection(
        document: Mapping[str, Any], templates: Mapping[str, str] | None = None, **members: Any
    ) -> Connection:
        add = action({"email": email()}, path="/people", examples=[{"email": "ann@example.com"}])
        files = {"calls/ask": document}
        catalog = write_destination(
            tmp_path,
            {"add": add},
            templates,
            files,
            settings=members.pop("settings", {}),
            **members,
        )
        route = {"name": "in", "action": "add", "map": {"email": {"from": "email"}}}
        written = {"destination": "tiny", "settings": {}, "routes": [route]}
        if "account" in catalog.load("tiny").settings:
            written["settings"] = {"account": "a/1"}
        return connection_from_document(written, "c.yaml", catalog)

    return connection


def asked(connection: Connection, vendor: Vendor, **given: Any) -> list[dict[str, Any]]:
    return list(rows(connection, "ask", given, vendor, clock=FakeClock()))


def code_of(connection: Connection, vendor: Vendor, **given: Any) -> str:
    with pytest.raises(CallError) as caught:
        asked(connection, vendor, **given)
    return caught.value.code


# --- what is sent ---


def test_parameters_and_settings_stand_in_path_and_query_and_absent_ones_are_left_out(
    make: Make,
) -> None:
    properties = {
        "id": parameter(),
        "name": parameter(),
        "note": parameter(),
        "all": parameter(type="boolean"),
        "ids": parameter(type="array"),
    }
    query = {"n": "{name}", "note": "{note}", "all": "{all}", "ids": "{ids}", "fixed": "yes"}
    document = call(properties, path="/{account}/lists/{id}", query=query)
    connection = make(document, settings={"account": parameter()})
    vendor = Vendor(ok({}))

    asked(connection, vendor, id="ä b", name="a&b=c?d/e+f", all="true", ids="1, 2")

    path = "/a%2F1/lists/%C3%A4%20b"
    assert vendor.urls == [f"{path}?n=a%26b%3Dc%3Fd%2Fe%2Bf&all=true&ids=1%2C2&fixed=yes"]
    assert vendor.requests[0].body == b""
    assert vendor.requests[0].headers == {"accept": "application/json"}


def test_a_body_is_a_template_over_parameters_and_settings(make: Make) -> None:
    properties = {"name": parameter(), "note": parameter()}
    template = '{{ {"name": params.name, "note": params.note, "of": settings.account} | compact }}'
    document = call(properties, method="POST", path="/lists", body="new.json.j2")
    connection = make(document, {"new": template}, settings={"account": parameter()})
    vendor = Vendor(ok({}))

    asked(connection, vendor, name='x"y')

    assert json.loads(vendor.requests[0].body) == {"name": 'x"y', "of": "a/1"}
    assert vendor.requests[0].headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "'id' is required"),
        ({"id": "1", "nmae": "x"}, "unknown parameter 'nmae'; known: all, count, id, name"),
        ({"id": "1", "count": "many"}, "count must be a whole number"),
        ({"id": "1", "count": "0"}, "count must be"),
        ({"id": "1", "all": "yes"}, "all must be true or false"),
    ],
)
def test_parameters_that_do_not_fit_are_refused_before_anything_is_sent(
    make: Make, given: dict[str, Any], message: str
) -> None:
    properties = {
        "id": parameter(),
        "name": parameter(),
        "count": parameter(type="integer", minimum=1),
        "all": parameter(type="boolean"),
    }
    connection = make(call(properties, path="/lists/{id}"))
    vendor = Vendor()
    with pytest.raises(ConfigError, match="C231") as caught:
        run(connection, "ask", given, vendor)
    assert message in str(caught.value)
    assert not vendor.requests


def test_an_unknown_call_is_refused_with_the_nearest_one(make: Make) -> None:
    connection = make(call(path="/lists"))
    with pytest.raises(ConfigError, match=r"C230 .*'aks'.*did you mean 'ask'"):
        run(connection, "aks", {}, Vendor())
    with pytest.raises(ConfigError, match="'add' is an action"):
        run(connection, "add", {}, Vendor())


def test_a_setting_that_only_the_call_needs_is_asked_for_before_anything_is_sent(
    make: Make,
) -> None:
    account = parameter(description="The account's id.")
    connection = make(call(path="/{account}/lists"), settings={"account": account})
    without = replace(connection, settings={})
    vendor = Vendor()
    message = "C202 c.yaml#/settings: missing setting 'account', which ask needs; The account's id."
    with pytest.raises(ConfigError, match=message):
        run(without, "ask", {}, vendor)
    with pytest.raises(ConfigError, match=message):
        library.call(without, "ask", transport=vendor)


def test_a_parameter_cannot_lead_to_another_path(make: Make) -> None:
    connection = make(call({"id": parameter()}, path="/lists/{id}/members"))
    vendor = Vendor()
    assert code_of(connection, vendor, id="..") == "not_built"
    assert not vendor.requests


# --- rows ---


def test_a_list_gives_rows_and_anything_else_one(make: Make) -> None:
    connection = make(call(**LIST))
    body = {"lists": [{"id": 1, "name": "A", "more": 2}, {"id": "2"}]}
    expected = [{"id": "1", "name": "A"}, {"id": "2", "name": None}]
    assert asked(connection, Vendor(ok(body))) == expected

    [page] = run(connection, "ask", {}, Vendor(ok({"lists": {"id": "1"}})))
    assert page.rows == [{"id": "1", "name": None}]
    assert not page.is_list


def test_without_fields_a_row_is_as_the_vendor_sends_it(make: Make) -> None:
    connection = make(call(path="/lists"))
    assert asked(connection, Vendor(ok({"a": {"b": [1]}}))) == [{"a": {"b": [1]}}]
    assert asked(connection, Vendor(ok(None))) == [{}]


def test_no_id_and_no_number_loses_digits(make: Make) -> None:
    beyond = 2**53 + 1
    answer = Response.parsed(200, {}, b'{"lists": [{"id": %d, "size": %d}]}' % (beyond, beyond))
    fields = {"id": "row.id", "size": "row.size"}
    connection = make(call(path="/lists", result="body.lists", fields=fields))
    assert asked(connection, Vendor(answer)) == [{"id": str(beyond), "size": str(beyond)}]


def test_ids_are_text_whatever_they_are_of(make: Make) -> None:
    connection = make(call(path="/lists"))
    sent = {"id": 1, "owner_id": 2, "list_ids": [3], "of": {"id": 4}, "idle": 5}
    read = {"id": "1", "owner_id": "2", "list_ids": ["3"], "of": {"id": "4"}, "idle": 5}
    assert asked(connection, Vendor(ok(sent))) == [read]


def test_a_field_may_stand_in_a_header(make: Make) -> None:
    connection = make(call(path="/lists", fields={"id": "headers['x-id']"}))
    assert asked(connection, Vendor(Response(200, {"x-id": "7"}, None))) == [{"id": "7"}]


def test_an_answer_without_what_was_asked_for_is_an_error(make: Make) -> None:
    connection = make(call(**LIST))
    assert code_of(connection, Vendor(ok({"other": 1}))) == "unexpected_answer"
    assert code_of(connection, Vendor(ok(None))) == "unexpected_answer"


# --- pages ---


def test_all_pages_are_read_by_cursor_and_the_rest_of_the_query_stays(make: Make) -> None:
    query = {"q": "{q}", "count": "{count}"}
    properties = {"q": parameter(), "count": parameter(type="integer", default=2)}
    connection = make(call(properties, query=query, pages=CURSOR, **LIST))
    one, two = {"id": "1", "name": "A"}, {"id": "2", "name": "B"}
    vendor = Vendor(ok({"lists": [one], "next": "c&1"}), ok({"lists": [two], "next": None}))

    assert asked(connection, vendor, q="x") == [one, two]
    assert vendor.urls == ["/lists?q=x&count=2", "/lists?q=x&count=2&cursor=c%261"]


def test_a_page_is_asked_for_only_when_it_is_wanted(make: Make) -> None:
    connection = make(call(pages=CURSOR, **LIST))
    vendor = Vendor(ok({"lists": [{"id": "1"}], "next": "c"}))
    found = rows(connection, "ask", {}, vendor)
    assert not vendor.requests
    assert next(found)["id"] == "1"
    assert len(vendor.requests) == 1


@pytest.mark.parametrize(
    ("pages", "bodies", "urls"),
    [
        (
            {"page": "page", "last": "body.last"},
            [{"last": 2}, {"last": 2}],
            ["/lists?page=1", "/lists?page=2"],
        ),
        (
            {"page": "p", "first": 0, "last": "body.last", "size": {"parameter": "n", "value": 5}},
            [{"last": "1"}, {"last": "1"}],
            ["/lists?n=5&p=0", "/lists?n=5&p=1"],
        ),
        (
            {"start": "start", "size": {"parameter": "count", "value": 1}, "total": "body.total"},
            [{"total": 2}, {"total": 2}],
            ["/lists?count=1&start=0", "/lists?count=1&start=1"],
        ),
        (
            {"next": "body.link"},
            [{"link": f"{BASE}/lists?after=1"}, {"link": None}],
            ["/lists", "/lists?after=1"],
        ),
        (
            {"next": "body.link"},
            [{"link": "https://API.example.com:443/lists?after=1"}, {}],
            ["/lists", "https://API.example.com:443/lists?after=1"],
        ),
    ],
)
def test_every_way_of_paging(
    make: Make, pages: dict[str, Any], bodies: list[Any], urls: list[str]
) -> None:
    connection = make(call(pages=pages, **LIST))
    vendor = Vendor(*[ok({"lists": [{"id": "1"}], **body}) for body in bodies])
    assert len(asked(connection, vendor)) == 2
    assert vendor.urls == urls


@pytest.mark.parametrize(
    "link",
    [
        "https://evil.example.net/lists?after=1",
        "http://api.example.com/lists?after=1",
        "https://api.example.com:8443/lists",
        "https://api.example.com.evil.net/lists",
        "https://me:secret@api.example.com/lists",
        "//evil.example.net/lists",
        "/lists?after=1",
        "https://api.example.com:notaport/",
    ],
)
def test_a_link_to_another_host_is_refused_before_anything_is_sent(make: Make, link: str) -> None:
    connection = make(call(pages={"next": "body.link"}, **LIST))
    vendor = Vendor(ok({"lists": [{"id": "1"}], "link": link}))
    with pytest.raises(CallError, match="nothing was sent there") as caught:
        asked(connection, vendor)
    assert caught.value.code == "foreign_link"
    assert link not in str(caught.value)
    assert len(vendor.requests) == 1


def test_a_cursor_that_comes_again_ends_the_loop(make: Make) -> None:
    connection = make(call(pages=CURSOR, **LIST))
    answers = [ok({"lists": [{"id": "1"}], "next": cursor}) for cursor in ("a", "b", "a")]
    vendor = Vendor(*answers)
    assert code_of(connection, vendor) == "pages_repeat"
    assert len(vendor.requests) == 3


def test_pages_without_rows_are_the_end_whatever_the_vendor_counts(make: Make) -> None:
    connection = make(call(pages={"page": "page", "last": "body.last"}, **LIST))
    assert asked(connection, Vendor(ok({"lists": [], "last": 9}))) == []


# --- what is sent again ---


@pytest.mark.parametrize(
    "first",
    [
        refused(503),
        refused(500),
        refused(429),
        SendError("timed out waiting for an answer"),
        UnreachableError("cannot connect"),
    ],
)
def test_what_only_reads_is_sent_again(make: Make, first: Said) -> None:
    connection = make(call(**LIST))
    vendor = Vendor(first, ok({"lists": []}))
    assert asked(connection, vendor) == []
    assert len(vendor.requests) == 2


@pytest.mark.parametrize(
    "first", [refused(429), refused(503, retry_after="1"), UnreachableError("cannot connect")]
)
def test_a_change_is_sent_again_when_nothing_was_done(make: Make, first: Said) -> None:
    connection = make(call(method="POST", path="/lists"))
    vendor = Vendor(first, ok({"id": "1"}))
    assert asked(connection, vendor) == [{"id": "1"}]


@pytest.mark.parametrize(
    "first", [refused(503), refused(500), refused(504), SendError("the connection closed")]
)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_a_change_whose_outcome_is_unknown_is_not_repeated(
    make: Make, method: str, first: Said
) -> None:
    connection = make(call(method=method, path="/lists"))
    vendor = Vendor(first)
    with pytest.raises(CallError, match="look at what is there") as caught:
        asked(connection, vendor)
    assert caught.value.code == "outcome_unknown"
    assert len(vendor.requests) == 1


def test_waits_are_those_of_the_vendor_and_are_announced(make: Make) -> None:
    connection = make(call(**LIST))
    clock = FakeClock()
    said: list[str] = []
    vendor = Vendor(refused(429, retry_after="30"), ok({"lists": []}))
    assert list(rows(connection, "ask", {}, vendor, clock=clock, notify=said.append)) == []
    [waited] = clock.slept
    assert 30 <= waited < 31
    assert said == [f"waiting {waited:.0f} s before retrying a request: HTTP 429"]


def test_no_more_retries_than_are_allowed(make: Make) -> None:
    connection = make(call(**LIST))
    vendor = Vendor(*[refused(503)] * 9)
    with pytest.raises(CallError, match="HTTP 503") as caught:
        list(rows(connection, "ask", {}, vendor, clock=FakeClock(), retries=2))
    assert caught.value.code == "gave_up"
    assert caught.value.status == 503
    assert len(vendor.requests) == 3


# --- errors ---


def test_an_answer_has_the_words_of_the_call_before_those_of_the_destination(make: Make) -> None:
    taken = {"when": "status == 409", "then": "stop", "code": "name_taken", "reason": "Taken."}
    document = call(path="/lists", method="POST", responses=[{**taken, "source": SOURCE}])
    hints = {"404": "No such list.", "409": "Busy.", "source": SOURCE}
    connection = make(document, hints=hints)
    assert code_of(connection, Vendor(refused(409))) == "name_taken"
    with pytest.raises(CallError, match=r"ask failed \(not_found\): No such list\."):
        asked(connection, Vendor(refused(404)))


def test_what_the_destination_calls_a_success_counts_people_and_is_not_asked_of_a_call(
    make: Make,
) -> None:
    success = {"when": "body.received == sent", "source": SOURCE}
    connection = make(call(path="/lists"), success=success, hints={"2xx": "x", "source": SOURCE})
    assert asked(connection, Vendor(Response(201, {}, {"id": "1"}))) == [{"id": "1"}]


def test_a_call_may_say_what_a_success_is(make: Make) -> None:
    success = {"when": "body.code == 0", "source": SOURCE}
    connection = make(call(path="/lists", success=success, detail="body.word"))
    assert asked(connection, Vendor(ok({"code": 0}))) == [{"code": 0}]
    with pytest.raises(CallError, match=r"does not say that it was done.*NO_ACCESS") as caught:
        asked(connection, Vendor(ok({"code": 40, "word": "NO_ACCESS"})))
    assert caught.value.code == "not_confirmed"


def test_refused_credentials_are_an_error_of_the_call(make: Make) -> None:
    connection = make(call(path="/lists"))
    vendor = Vendor(UnauthorizedError("the token endpoint refused the credentials"))
    assert code_of(connection, vendor) == "unauthorized"


def test_where_nothing_listens_nothing_was_sent(make: Make) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    setting = {"url": parameter(default=f"http://127.0.0.1:{port}")}
    connection = make(call(path="/lists", method="POST"), base_url="{url}", settings=setting)
    with library.http_transport(connection, secrets={}) as transport:
        found = rows(connection, "ask", {}, transport, clock=FakeClock(), retries=1)
        with pytest.raises(CallError, match="host unreachable") as caught:
            list(found)
    assert caught.value.code == "gave_up"

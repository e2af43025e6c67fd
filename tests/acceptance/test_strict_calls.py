"""Calls against the strict server, which knows nothing of the connector: signatures, pages, names, faults."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import connector
from connector.calls.run import rows
from connector.errors import CallError

from .mixed_events import ACCOUNT_ID, CREDENTIALS
from .strict_server import Fault, StrictServer
from .test_strict_server import send

#: Every character that a URL, a form or a signature gives another meaning, and some of other scripts.
RESERVED = "a+&,%:;@/=?$ b'()*!~-._\"<>#[]{}|\\^`é漢🎈"


class Clock(connector.SystemClock):
    """A clock that does not wait."""

    def sleep(self, seconds: float) -> bool:
        return not self.ending


class Client:
    """A connection to the server."""

    def __init__(self, server: StrictServer) -> None:
        self.server = server
        document = {
            "destination": "x_custom_audiences",
            "settings": {"account_id": ACCOUNT_ID},
            "base_url": server.base_url,
            "routes": [
                {
                    "name": "in",
                    "action": "add_user_multi",
                    "map": {"custom_audience_id": {"from": "audience"}, "email": {"from": "email"}},
                }
            ],
        }
        self.connection = connector.make_connection(document)

    def ask(self, call_: str, **given: Any) -> list[dict[str, Any]]:
        with connector.http_transport(self.connection, secrets=CREDENTIALS) as transport:
            return list(rows(self.connection, call_, given, transport, clock=Clock()))

    def send(self, audience: str) -> connector.Report:
        events = [{"audience": audience, "email": "ann@example.com"}]
        with connector.http_transport(self.connection, secrets=CREDENTIALS) as transport:
            return connector.send(self.connection, events, transport=transport)

    def code(self, call_: str, **given: Any) -> str:
        with pytest.raises(CallError) as caught:
            self.ask(call_, **given)
        return caught.value.code


@pytest.fixture
def client() -> Iterator[Client]:
    with StrictServer(CREDENTIALS, ACCOUNT_ID, {"1nmth"}, set()) as server:
        yield Client(server)


def test_an_audience_from_its_creation_to_its_end(client: Client) -> None:
    [created] = client.ask("create_custom_audience", name="Spring", description="A test")
    own = created["id"]
    assert client.send(own).complete
    [found] = client.ask("get_custom_audience", custom_audience_id=own)
    assert (found["name"], found["size"], found["state"]) == ("Spring", 1, "TOO_SMALL")

    client.ask("update_custom_audience", custom_audience_id=own, name="Summer")
    assert [row["name"] for row in client.ask("list_custom_audiences", q="sum")] == ["Summer"]
    client.ask("delete_custom_audience", custom_audience_id=own)
    assert [row["id"] for row in client.ask("list_custom_audiences")] == ["1nmth"]
    assert [failure.code for failure in client.send(own).failures] == ["not_found"]
    assert client.code("create_custom_audience", name="Summer") == "name_taken"
    assert not client.server.violations


def test_a_name_of_every_reserved_character_is_signed_right(client: Client) -> None:
    [created] = client.ask("create_custom_audience", name=RESERVED)
    assert created["name"] == RESERVED
    [found] = client.ask("list_custom_audiences", q=RESERVED, with_deleted=True)
    assert found["id"] == created["id"]


def test_all_pages_are_read(client: Client) -> None:
    for number in range(5):
        client.ask("create_custom_audience", name=f"Spring {number}")
    before = len(client.server.requests)
    assert len(client.ask("list_custom_audiences", q="Spring", count=2)) == 5
    assert len(client.server.requests) - before == 3


def test_the_do_not_reach_list_of_an_account(client: Client) -> None:
    [created] = client.ask("create_do_not_reach_list", description="Who objected")
    assert client.ask("list_do_not_reach_lists") == [created]
    assert client.code("create_do_not_reach_list") == "request_refused"
    client.ask("delete_do_not_reach_list", do_not_reach_list_id=created["id"])
    assert client.ask("list_do_not_reach_lists") == []


@pytest.mark.parametrize("fault", [Fault("applied_then_drop"), Fault(500)])
def test_a_creation_whose_outcome_is_unknown_is_not_repeated(client: Client, fault: Fault) -> None:
    client.server.faults = [fault]
    assert client.code("create_custom_audience", name="Spring") == "outcome_unknown"
    assert len(client.server.requests) == 1
    made = fault.kind == "applied_then_drop"
    assert len(client.ask("list_custom_audiences", q="Spring")) == made


def test_what_was_not_begun_is_done_later(client: Client) -> None:
    client.server.faults = [Fault(429, 5), Fault(503, 5)]
    [created] = client.ask("create_custom_audience", name="Spring")
    assert created["name"] == "Spring"
    client.server.faults = [Fault(500), Fault("drop"), Fault("html")]
    assert len(client.ask("list_custom_audiences")) == 2


# --- the server itself ---

LISTS = f"/12/accounts/{ACCOUNT_ID}/custom_audiences"
NO_REACH = f"/12/accounts/{ACCOUNT_ID}/do_not_reach_lists"
REFUSED: list[tuple[str, str, bytes, int, str]] = [
    ("GET", f"{LISTS}?count=0", b"", 400, "INVALID_PARAMETER"),
    ("GET", f"{LISTS}?count=1001", b"", 400, "INVALID_PARAMETER"),
    ("GET", f"{LISTS}?cursor=nonsense", b"", 400, "INVALID_PARAMETER"),
    ("GET", f"{LISTS}?nonsense=1", b"", 400, "INVALID_PARAMETER"),
    ("GET", f"{LISTS}?with_deleted=yes", b"", 400, "INVALID_PARAMETER"),
    ("GET", f"{LISTS}?cursor=c-0&with_total_count=true", b"", 400, "EXCLUSIVE_PARAMETERS"),
    ("GET", f"{LISTS}/9zzzz", b"", 404, "NOT_FOUND"),
    ("GET", LISTS.replace(ACCOUNT_ID, "other"), b"", 403, "ACCOUNT_NOT_FOUND"),
    ("POST", LISTS, b"", 400, "MISSING_PARAMETER"),
    ("POST", f"{LISTS}?name=1nmth", b"", 400, "INVALID_PARAMETER"),
    ("POST", f"{LISTS}?name=Spring", b'{"name": "Spring"}', 400, "INVALID_PARAMETER"),
    ("PUT", f"{LISTS}/9zzzz?name=Spring", b"", 404, "NOT_FOUND"),
    ("DELETE", f"{LISTS}/9zzzz", b"", 404, "NOT_FOUND"),
    ("PATCH", LISTS, b"", 405, "METHOD_NOT_ALLOWED"),
    ("POST", f"{NO_REACH}?name=x", b"", 400, "INVALID_PARAMETER"),
    ("PUT", f"{NO_REACH}/9zzzz", b"", 405, "METHOD_NOT_ALLOWED"),
    ("DELETE", f"{NO_REACH}/9zzzz", b"", 404, "NOT_FOUND"),
]


def test_the_server_refuses_what_the_facts_do_not_have(client: Client) -> None:
    for method, path, body, status, code in REFUSED:
        answer = send(client.server, path, body, method)
        said = (method, path, answer.status, answer.body["errors"][0]["code"])
        assert said == (method, path, status, code)
    assert not any(one.applied for one in client.server.requests)


def test_the_server_tells_the_rates_of_the_account_with_reads_alone(client: Client) -> None:
    user = {f"x-rate-limit-{name}" for name in ("limit", "remaining", "reset")}
    account = {name.replace("x-", "x-account-") for name in user}
    for path in (LISTS, f"{LISTS}/1nmth", NO_REACH):
        assert {*user, *account} <= send(client.server, path, b"", "GET").headers.keys()
    for path in (f"{LISTS}?name=Spring", NO_REACH):
        headers = send(client.server, path, b"").headers.keys()
        assert user <= headers
        assert not account & headers
    client.server.faults = [Fault(429, 5)]
    refused = send(client.server, LISTS, b"", "GET")
    assert (refused.status, refused.headers["x-rate-limit-remaining"]) == (429, "0")
    assert "retry-after" not in refused.headers

"""The sandbox's collections: what calls create, find, change and delete, and what they refuse."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import connector
from connector.calls.run import rows
from connector.connection.load import connection_from_document
from connector.errors import CallError
from connector.sandbox.local import Sandbox, connected_to
from connector.sandbox.vendor import Answer
from tests.kit.destination import action, call, email, parameter, write_destination

X = {
    "destination": "x_custom_audiences",
    "settings": {"account_id": "18ce54d4x5t"},
    "routes": [
        {
            "name": "in",
            "action": "add_user_multi",
            "map": {"custom_audience_id": {"from": "audience"}, "email": {"from": "email"}},
        }
    ],
}
#: Every character that a URL, a form or a signature gives another meaning, and some of other scripts.
RESERVED = "a+&,%:;@/=?$ b'()*!~-._\"<>#[]{}|\\^`é漢🎈"


class Account:
    """An account in the sandbox."""

    def __init__(self) -> None:
        self.connection = connector.make_connection(X)
        self.sandbox = Sandbox(self.connection)

    def ask(self, call_: str, **given: Any) -> list[dict[str, Any]]:
        return list(rows(self.connection, call_, given, self.sandbox, retries=0))

    def code(self, call_: str, **given: Any) -> str:
        with pytest.raises(CallError) as caught:
            self.ask(call_, **given)
        return caught.value.code

    def create(self, name: str) -> str:
        return str(self.ask("create_custom_audience", name=name)[0]["id"])

    def send(self, audience: str, people: int = 1) -> connector.Report:
        events = [{"audience": audience, "email": f"p{n}@example.com"} for n in range(people)]
        return connector.send(self.connection, events, transport=self.sandbox)


@pytest.fixture
def account() -> Account:
    return Account()


def test_an_audience_from_its_creation_to_its_end(account: Account) -> None:
    own = account.create("Spring")
    [created] = account.ask("get_custom_audience", custom_audience_id=own)
    assert created["state"] == "PROCESSING, TOO_SMALL"
    assert created["size"] is None

    assert account.send(own, 100).complete
    [filled] = account.ask("get_custom_audience", custom_audience_id=own)
    assert (filled["size"], filled["targetable"], filled["state"]) == (100, True, "ready")

    account.ask("update_custom_audience", custom_audience_id=own, name="Summer")
    [renamed] = account.ask("list_custom_audiences")
    assert (renamed["id"], renamed["name"]) == (own, "Summer")

    [deleted] = account.ask("delete_custom_audience", custom_audience_id=own)
    assert (deleted["deleted"], deleted["state"]) == (True, "deleted")
    assert account.ask("list_custom_audiences") == []
    assert [row["id"] for row in account.ask("list_custom_audiences", with_deleted=True)] == [own]


def test_nobody_is_added_to_a_deleted_audience_and_unknown_ids_are_taken(account: Account) -> None:
    own = account.create("Spring")
    account.ask("delete_custom_audience", custom_audience_id=own)
    assert [failure.code for failure in account.send(own).failures] == ["not_found"]
    assert account.send("1nmth").complete

    assert account.code("get_custom_audience", custom_audience_id=own) == "not_found"
    assert account.code("delete_custom_audience", custom_audience_id=own) == "not_found"
    assert account.code("get_custom_audience", custom_audience_id="1nmth") == "not_found"
    [found] = account.ask("get_custom_audience", custom_audience_id=own, with_deleted=True)
    assert found["id"] == own


def test_a_name_stays_taken_when_its_audience_is_deleted(account: Account) -> None:
    own = account.create("Spring")
    assert account.code("create_custom_audience", name="Spring") == "name_taken"
    account.ask("delete_custom_audience", custom_audience_id=own)
    assert account.code("create_custom_audience", name="Spring") == "name_taken"

    other = account.create("Summer")
    changes = {"custom_audience_id": other, "name": "Spring"}
    assert account.code("update_custom_audience", **changes) == "name_taken"
    account.ask("update_custom_audience", custom_audience_id=other, name="Summer")


def test_a_list_is_filtered_and_paged(account: Account) -> None:
    ids = [account.create(f"Spring {number}") for number in range(5)]
    account.create("Autumn")
    found = account.ask("list_custom_audiences", q="sPRing", count=2)
    assert [row["id"] for row in found] == ids
    found = account.ask("list_custom_audiences", custom_audience_ids=f"{ids[3]},{ids[1]}")
    assert [row["id"] for row in found] == [ids[1], ids[3]]
    assert account.ask("list_custom_audiences", sort_by="name-desc", q="spring") == account.ask(
        "list_custom_audiences", q="spring"
    )


def test_an_account_has_one_do_not_reach_list(account: Account) -> None:
    assert account.ask("list_do_not_reach_lists") == []
    [created] = account.ask("create_do_not_reach_list", description="Who objected")
    assert account.code("create_do_not_reach_list") == "request_refused"
    assert account.ask("list_do_not_reach_lists") == [created]

    account.ask("delete_do_not_reach_list", do_not_reach_list_id=created["id"])
    [second] = account.ask("create_do_not_reach_list")
    assert second["id"] != created["id"]


def test_how_many_audiences_there_are_is_a_call_of_its_own(account: Account) -> None:
    for name in ("Spring 1", "Spring 2", "Autumn"):
        account.create(name)
    assert account.ask("count_custom_audiences") == [{"total_count": 3}]
    assert account.ask("count_custom_audiences", q="spring") == [{"total_count": 2}]


def test_an_audience_is_shared_and_no_longer(account: Account) -> None:
    own, other = account.create("Spring"), account.create("Autumn")
    given = {"granted_account_id": "18ce54bgxky", "permission_level": "READ_ONLY"}
    [granted] = account.ask("grant_permission", custom_audience_id=own, **given)
    assert account.ask("list_permissions", custom_audience_id=own) == [granted]
    assert account.ask("list_permissions", custom_audience_id=other) == []
    for chosen, found in (
        ({"granted_account_ids": "18ce54bgxky"}, [granted]),
        ({"granted_account_ids": "18ce54aymz3"}, []),
        ({"custom_audience_permission_ids": granted["id"], "count": 1}, [granted]),
        ({"custom_audience_permission_ids": "ri", "sort_by": "created_at-asc"}, []),
    ):
        assert account.ask("list_permissions", custom_audience_id=own, **chosen) == found
    assert account.ask("count_permissions", custom_audience_id=own) == [{"total_count": 1}]
    assert account.ask("count_permissions", custom_audience_id=other) == [{"total_count": 0}]

    ids = {"custom_audience_id": own, "custom_audience_permission_id": granted["id"]}
    account.ask("revoke_permission", **ids)
    assert account.ask("list_permissions", custom_audience_id=own) == []
    assert account.code("revoke_permission", **ids) == "not_found"


def test_who_asks_and_what_they_may_do(account: Account) -> None:
    assert [row["id"] for row in account.ask("list_accounts")] == ["18ce54d4x5t"]
    [access] = account.ask("authenticated_user_access")
    assert "PARTNER_AUDIENCE_MANAGER" in access["permissions"]


def test_line_items_of_an_audience(account: Account) -> None:
    own = account.create("Spring")
    found = account.ask("list_targeted_line_items", custom_audience_id=own, with_active=False)
    assert found == []
    assert account.code("list_targeted_line_items", custom_audience_id="1nmth") == "not_found"


def test_keywords_are_given_as_a_list(account: Account) -> None:
    times = {"start_time": "2026-01-15T01:00:00+01:00", "granularity": "DAY"}
    [found] = account.ask("search_keyword_insights", keywords="coffee, tea", **times)
    assert found["related_keywords"] == ["coffee", "tea"]

    longer_than_a_week = {**times, "end_time": "2026-02-15T01:00:00+01:00"}
    assert account.ask("search_keyword_insights", keywords="coffee", **longer_than_a_week)


def test_flexible_audiences_are_changed_ten_at_a_time_all_or_none(account: Account) -> None:
    child = {"custom_audience_id": "1nmth", "negate": False}
    segments = {"boolean_operator": "AND", "child_segments": [child]}
    params = {"name": "Both", "audience_type": "FLEXIBLE", "segments": segments}
    create = {"operation_type": "Create", "params": params}
    [made] = account.ask("change_flexible_audiences", operations=json.dumps([create]))
    assert made["name"] == "Both"

    too_many = {"operations": [create] * 11}
    assert account.code("change_flexible_audiences", **too_many) == "request_refused"
    nameless = {"operation_type": "Create", "params": {"audience_type": "FLEXIBLE"}}
    refused = {"operations": [create, nameless]}
    assert account.code("change_flexible_audiences", **refused) == "operation_refused"


@pytest.mark.parametrize("comparator", ["NUM_GTE", "NUM_GT", "NUM_EQ", "NUM_LTE", "NUM_LT", "NUM"])
@pytest.mark.parametrize("days", [1, 7, 14, 30, 31])
def test_how_often_and_since_when_people_were_in_a_part(
    account: Account, comparator: str, days: int
) -> None:
    child = {
        "custom_audience_id": "1nmth",
        "frequency": 2,
        "frequency_comparator": comparator,
        "lookback_window": days,
        "negate": True,
    }
    segments = {"boolean_operator": "OR", "child_segments": [child]}
    params = {"name": "Often", "audience_type": "FLEXIBLE", "segments": segments}
    asked = {"operations": [{"operation_type": "Create", "params": params}]}
    if comparator == "NUM" or days == 31:
        assert account.code("change_flexible_audiences", **asked) == "operation_refused"
    else:
        [made] = account.ask("change_flexible_audiences", **asked)
        assert made["name"] == "Often"


@pytest.fixture
def over_http(account: Account) -> Iterator[Account]:
    """Yield an account behind a server: what is signed is what arrives."""
    sandbox = account.sandbox
    with sandbox.serve() as server:
        account.connection = connected_to(account.connection, server)
        with connector.http_transport(account.connection, secrets=sandbox.secrets) as transport:
            account.sandbox = transport  # type: ignore[assignment]
            yield account


def test_a_name_of_every_reserved_character_is_signed_and_arrives(over_http: Account) -> None:
    own = over_http.create(RESERVED)
    [found] = over_http.ask("list_custom_audiences", q=RESERVED)
    assert (found["id"], found["name"]) == (own, RESERVED)


def test_wrong_credentials_are_told(account: Account) -> None:
    wrong = dict.fromkeys(account.sandbox.secrets, "wrong")
    with account.sandbox.serve() as server:
        connection = connected_to(account.connection, server)
        with (
            connector.http_transport(connection, secrets=wrong) as transport,
            pytest.raises(CallError, match="X refused the credentials") as caught,
        ):
            list(connector.call(connection, "list_custom_audiences", transport=transport))
    assert caught.value.code == "unauthorized"


# --- other shapes ---


def lists(does: str, **members: Any) -> dict[str, Any]:
    sandbox = {"collection": "lists", "does": does, "success": "lists.json.j2"}
    return {"sandbox": {**sandbox, **members.pop("more", {})}, **members}


TEMPLATE = '{"lists": {{ objects }}, "total": {{ total }}, "last": {{ last }}, "next": {{ next }}}'


class Tiny:
    """A vendor of lists with numbers: what its pages and its ids look like is up to a test."""

    def __init__(self, root: Path, pages: dict[str, Any], ids: str = "number") -> None:
        fields = {"id": "row.id", "n": "row.n"}
        found = {"path": "/lists", "result": "body.lists", "fields": fields}
        n = {"n": parameter(type="integer", minimum=1)}
        made = lists("create", method="POST", query={"n": "{n}"}, more={"ids": ids})
        create = {**call(n, **made, **found), "required": ["n"]}
        files = {"calls/all": call(**lists("list", pages=pages), **found), "calls/new": create}
        add = action({"email": email()}, path="/people", examples=[{"email": "ann@example.com"}])
        catalog = write_destination(root, {"add": add}, {"lists": TEMPLATE}, files)
        route = {"name": "in", "action": "add", "map": {"email": {"from": "email"}}}
        document = {"destination": "tiny", "settings": {}, "routes": [route]}
        self.connection = connection_from_document(document, "c.yaml", catalog)
        self.sandbox = Sandbox(self.connection)
        self.log: list[str] = []
        self.sandbox.vendor.log = self.log.append

    def ask(self, name: str, **given: Any) -> list[dict[str, Any]]:
        return list(rows(self.connection, name, given, self.sandbox, retries=0))

    def status(self, method: str, query: str) -> int:
        url = f"https://api.example.com/lists{query}"
        answer = self.sandbox.vendor.answer(method, url, {}, b"")
        assert isinstance(answer, Answer)
        return answer.status


@pytest.mark.parametrize(
    "pages",
    [
        {"cursor": "body.next", "parameter": "c", "size": {"parameter": "s", "value": 2}},
        {"next": "body.next", "size": {"parameter": "s", "value": 2}},
        {"page": "p", "last": "body.last", "size": {"parameter": "s", "value": 2}},
        {"page": "p", "first": 0, "last": "body.last", "size": {"parameter": "s", "value": 2}},
        {"start": "o", "total": "body.total", "size": {"parameter": "s", "value": 2}},
    ],
)
def test_the_sandbox_speaks_every_way_of_paging(tmp_path: Path, pages: dict[str, Any]) -> None:
    tiny = Tiny(tmp_path, pages)
    for n in range(1, 6):
        tiny.ask("new", n=n)
    assert [row["n"] for row in tiny.ask("all")] == [1, 2, 3, 4, 5]
    assert tiny.log[5:] == ["GET /lists 200"] * 3
    assert tiny.status("GET", "?s=0") == 400


@pytest.mark.parametrize("ids", ["letters", "digits", "number", "uuid"])
def test_ids_have_the_form_that_the_definition_says(tmp_path: Path, ids: str) -> None:
    tiny = Tiny(tmp_path, {"next": "body.next"}, ids)
    first, second = tiny.ask("new", n=1)[0]["id"], tiny.ask("new", n=2)[0]["id"]
    assert first != second
    assert isinstance(first, str)
    if ids in ("digits", "number"):
        # As a number of JavaScript it would be another.
        assert int(float(first)) != int(first)


def test_calls_of_one_path_are_told_apart_by_their_bodies(tmp_path: Path) -> None:
    files: dict[str, Any] = {"add": action({"email": email()}, path="/people")}
    for name in ("open", "close"):
        members = {
            "method": "POST",
            "path": "/do",
            "body": f"{name}.json.j2",
            "result": "body.does",
        }
        box = {"does": "answer", "success": f"{name}.json.j2"}
        files[f"calls/{name}"] = call(**members, accepts=f"{name}.accepts.json", sandbox=box)
        files[f"{name}.accepts"] = {"properties": {"does": {"const": name}}}
    templates = {name: f'{{"does": "{name}"}}' for name in ("open", "close")}
    catalog = write_destination(tmp_path, {}, templates, files)
    route = {"action": "add", "map": {"email": {"from": "email"}}}
    document = {"destination": "tiny", "settings": {}, "routes": [route]}
    connection = connection_from_document(document, "c.yaml", catalog)
    for name in ("open", "close"):
        done = list(rows(connection, name, {}, Sandbox(connection), retries=0))
        assert done == [{"value": name}]


def test_what_a_call_does_not_know_is_refused_by_the_sandbox(tmp_path: Path) -> None:
    tiny = Tiny(tmp_path, {"next": "body.next"})
    tiny.ask("new", n=1)
    for query in ("?n=0", "?n=x", "?n=1&n=2", "?n=1&other=2", ""):
        assert tiny.status("POST", query) == 400
    assert tiny.status("POST", "?n=1") == 200
    assert tiny.status("DELETE", "") == 405
    assert tiny.status("GET", "?after=nonsense") == 400

"""Each call of X at its sandbox: an answer, the headers of its rate limits, pages, and errors in X's form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from connector.calls.run import rows
from connector.model import Request, Response
from connector.sandbox.faults import parse_fault
from connector.sandbox.vendor import Answer
from tests.kit.accounts import Account

GRANTED = {"granted_account_id": "18ce54bgxky", "permission_level": "READ_ONLY"}
CHILD = {"custom_audience_id": "1nmth", "negate": False}
SEGMENTS = {"boolean_operator": "AND", "child_segments": [CHILD]}
FLEXIBLE = {"name": "Both", "audience_type": "FLEXIBLE", "segments": SEGMENTS}
CHANGE = {"operation_type": "Create", "params": FLEXIBLE}
AUDIENCE = {"custom_audience_id": "AUDIENCE"}
PERMISSION = {**AUDIENCE, "custom_audience_permission_id": "PERMISSION"}
TIMES = {"granularity": "DAY", "start_time": "2026-01-15T00:00:00Z"}

#: Every call with what it needs; a word in capitals stands for an id.
CALLS: dict[str, dict[str, Any]] = {
    "list_accounts": {},
    "authenticated_user_access": {},
    "list_custom_audiences": {},
    "count_custom_audiences": {},
    "get_custom_audience": AUDIENCE,
    "create_custom_audience": {"name": "Autumn"},
    "update_custom_audience": {**AUDIENCE, "name": "Summer"},
    "delete_custom_audience": AUDIENCE,
    "list_targeted_line_items": AUDIENCE,
    "list_permissions": AUDIENCE,
    "count_permissions": AUDIENCE,
    "grant_permission": {**AUDIENCE, **GRANTED},
    "revoke_permission": PERMISSION,
    "change_flexible_audiences": {"operations": [CHANGE]},
    "list_do_not_reach_lists": {},
    "create_do_not_reach_list": {},
    "delete_do_not_reach_list": {"do_not_reach_list_id": "LIST"},
    "search_keyword_insights": {"keywords": ["coffee"], **TIMES},
}
each_call = pytest.mark.parametrize("name", CALLS)

USER = ("x-rate-limit-limit", "x-rate-limit-remaining", "x-rate-limit-reset")
OF_ACCOUNT = tuple(name.replace("x-", "x-account-") for name in USER)


class Vendor:
    """An account with one audience that is shared, and a Do Not Reach list."""

    def __init__(self) -> None:
        self.account = Account()
        self.answers: list[tuple[Request, Response]] = []
        self.account.change = self._note
        audience = self.account.create("Spring")
        [granted] = self.ask("grant_permission", custom_audience_id=audience, **GRANTED)
        [no_reach] = self.ask("create_do_not_reach_list")
        self.ids = {"AUDIENCE": audience, "PERMISSION": granted["id"], "LIST": no_reach["id"]}

    def _note(self, request: Request, response: Response) -> Response:
        self.answers.append((request, response))
        return response

    def ask(self, call_: str, **given: Any) -> list[dict[str, Any]]:
        return list(rows(self.account.connection, call_, given, self.account, retries=0))

    def needed(self, name: str) -> dict[str, Any]:
        ids = self.ids
        return {key: ids.get(str(value), value) for key, value in CALLS[name].items()}

    def request(self, name: str) -> Request:
        """Return the request of a call, which is not sent to the sandbox."""
        caught: list[Request] = []

        def catch(request: Request) -> Response:
            caught.append(request)
            return Response(404, {}, {})

        self.account.answer, before = catch, self.account.answer
        with pytest.raises(Exception, match="not_found"):
            self.ask(name, **self.needed(name))
        self.account.answer = before
        return caught[0]

    def refusal(self, request: Request) -> Response:
        """Return the answer to a request that is refused, which says so in X's form."""
        response = self.account.sandbox(request)
        [error] = response.body["errors"]
        assert error["message"]
        return response


@pytest.fixture
def vendor() -> Vendor:
    return Vendor()


@pytest.fixture(scope="module")
def unchanged() -> Vendor:
    """Return one that all tests share which change nothing."""
    return Vendor()


def test_the_table_has_every_call(unchanged: Vendor) -> None:
    calls = unchanged.account.connection.destination.calls
    assert CALLS.keys() == calls.keys()
    assert all(call.sandbox.does for call in calls.values())


@each_call
def test_an_answer_has_the_headers_of_its_rate_limits(vendor: Vendor, name: str) -> None:
    """Those of the user always, those of the account with what reads it; in a 429 as well."""
    request = vendor.request(name)
    reads_account = request.method == "GET" and "/accounts/" in request.url
    families = [USER, OF_ACCOUNT] if reads_account else [USER]

    vendor.account.sandbox.vendor.inject([parse_fault("429")])
    refused = vendor.refusal(request)
    assert (refused.status, refused.body["errors"][0]["code"]) == (429, "TOO_MANY_REQUESTS")
    assert "retry-after" not in refused.headers
    assert {refused.headers[remaining] for _, remaining, _ in families} == {"0"}

    if name == "create_do_not_reach_list":
        vendor.ask("delete_do_not_reach_list", do_not_reach_list_id=vendor.ids["LIST"])
    taken = vendor.account.sandbox(request)
    assert taken.status == 200
    assert "data" in taken.body
    for answer in (taken, refused):
        assert answer.headers["x-current-api-version"] == "12"
        found = {header for header in answer.headers if "rate-limit" in header}
        assert found == {header for family in families for header in family}
        for limit, remaining, reset in families:
            left = int(answer.headers[remaining])
            assert 0 <= left < int(answer.headers[limit])
            assert int(answer.headers[reset]) > 1_700_000_000, "seconds since the epoch"


@each_call
def test_what_is_wrong_with_a_request_is_said_in_the_form_of_x(
    unchanged: Vendor, name: str
) -> None:
    vendor = unchanged
    request = vendor.request(name)
    made = vendor.account.sandbox.vendor
    unsigned = made.answer(request.method, request.url, request.headers, request.body)
    assert isinstance(unsigned, Answer)
    assert unsigned.status == 401
    assert b"UNAUTHORIZED_ACCESS" in unsigned.body

    joint = "&" if "?" in request.url else "?"
    response = vendor.refusal(replace(request, url=f"{request.url}{joint}nonsense=1"))
    assert (response.status, response.body["errors"][0]["code"]) == (400, "INVALID_PARAMETER")
    response = vendor.refusal(replace(request, method="PATCH"))
    assert (response.status, response.body["errors"][0]["code"]) == (405, "METHOD_NOT_ALLOWED")


def test_what_was_deleted_is_not_found(vendor: Vendor) -> None:
    for call in ("revoke_permission", "delete_custom_audience", "delete_do_not_reach_list"):
        vendor.ask(call, **vendor.needed(call))
    for name, needed in CALLS.items():
        if {"AUDIENCE", "LIST"} & {*map(str, needed.values())}:
            response = vendor.refusal(vendor.request(name))
            said = (name, response.status, response.body["errors"][0]["code"])
            assert said == (name, 404, "NOT_FOUND")


# --- pages ---


def many_audiences(vendor: Vendor) -> None:
    for number in range(4):
        vendor.account.create(f"Spring {number}")


def many_permissions(vendor: Vendor) -> None:
    for number in range(4):
        given = {**GRANTED, "granted_account_id": f"18ce54bgxk{number}"}
        vendor.ask("grant_permission", custom_audience_id=vendor.ids["AUDIENCE"], **given)


def many_lists(vendor: Vendor) -> None:
    """An account has one, but those that were deleted are shown as well."""
    own = vendor.ids["LIST"]
    for _ in range(100):  # a page has so many
        vendor.ask("delete_do_not_reach_list", do_not_reach_list_id=own)
        own = vendor.ask("create_do_not_reach_list")[0]["id"]


@pytest.mark.parametrize(
    ("name", "more", "fill", "total", "pages"),
    [
        ("list_custom_audiences", {"count": 2}, many_audiences, 5, 3),
        ("list_custom_audiences", {"count": 2, "q": "spring "}, many_audiences, 4, 2),
        ("list_permissions", {"count": 2}, many_permissions, 5, 3),
        ("list_do_not_reach_lists", {"with_deleted": True}, many_lists, 101, 2),
        ("list_accounts", {"count": 1}, many_audiences, 1, 1),
        ("list_targeted_line_items", {}, many_audiences, 0, 1),
    ],
)
def test_every_list_comes_page_by_page(
    vendor: Vendor,
    name: str,
    more: dict[str, Any],
    fill: Callable[[Vendor], None],
    total: int,
    pages: int,
) -> None:
    fill(vendor)
    vendor.answers.clear()
    found = vendor.ask(name, **vendor.needed(name), **more)
    assert len(found) == len({row["id"] for row in found}) == total
    assert [request.method for request, _ in vendor.answers] == ["GET"] * pages
    cursors = [response.body["next_cursor"] for _, response in vendor.answers]
    assert all(cursors[:-1])
    assert cursors[-1] is None


def test_every_call_with_pages_is_in_the_table_of_lists(unchanged: Vendor) -> None:
    paged = {
        id_ for id_, call in unchanged.account.connection.destination.calls.items() if call.pages
    }
    assert paged == {
        "list_accounts",
        "list_custom_audiences",
        "list_do_not_reach_lists",
        "list_permissions",
        "list_targeted_line_items",
    }


def test_a_cursor_of_another_list_is_refused(unchanged: Vendor) -> None:
    request = unchanged.request("list_custom_audiences")
    response = unchanged.refusal(replace(request, url=f"{request.url}&cursor=nonsense"))
    assert (response.status, response.body["errors"][0]["code"]) == (400, "INVALID_PARAMETER")

"""A script without a library, with the bodies of Iterable's reference."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from tests.witness.kit import Client, RefusedError, Visit, assert_refused, assert_taken, call

ANN = {"email": "ann@example.com", "userId": "crm-1"}
BEN = {"userId": "crm-2"}
EVE = {"email": "eve@example.com"}
#: What the reference says of each subscriber, and of each request to subscribe.
FIELDS = {"dataFields": {}, "preferUserId": True, "mergeNestedObjects": True}


def _says(told: Any) -> str:
    if isinstance(told, RefusedError):
        return f"{told.status}: {told.body['code']}"
    return f"successCount {told['successCount']}, failCount {told['failCount']}"


@cache
def visit() -> Visit:
    known = {
        name: set(person.items()) for name, person in (("Ann", ANN), ("Ben", BEN), ("Eve", EVE))
    }
    client = Client("Iterable", "the examples of its reference", "", "Python")
    seen = Visit(client, "iterable_lists", known, _says)
    with seen.server() as server:
        _use(seen, f"{server.base_url}/api/lists")
    return seen


def _use(seen: Visit, url: str) -> None:
    def subscribe(*people: dict[str, Any], key: str = seen.secrets["api_key"]) -> Any:
        body = {"listId": 10, "subscribers": list(people), "updateExistingUsersOnly": False}
        return call("POST", f"{url}/subscribe", body, Api_Key=key)

    def unsubscribe(*people: dict[str, Any], **more: Any) -> Any:
        body = {"listId": 10, "subscribers": list(people), **more}
        return call("POST", f"{url}/unsubscribe", body, Api_Key=seen.secrets["api_key"])

    seen.adds("Ben by user id", lambda: subscribe(BEN))
    seen.removes("Ben", lambda: unsubscribe(BEN))
    seen.adds("Ann by both ids", lambda: subscribe({**ANN, **FIELDS}))
    everywhere = {"campaignId": 0, "channelUnsubscribe": True}
    seen.removes("Ann from all lists", lambda: unsubscribe({"email": ANN["email"]}, **everywhere))
    seen.is_refused("with a wrong key", lambda: subscribe(EVE, key="wrong"))
    seen.is_refused("without subscribers", unsubscribe)


@pytest.mark.parametrize(
    ("step", "held"),
    [
        ("Ben by user id", {"10": ["Ben"]}),
        ("Ben", {}),
        ("Ann by both ids", {"10": ["Ann"]}),
        ("Ann from all lists", {}),
    ],
)
def test_people_are_added_and_removed(step: str, held: dict[str, list[str]]) -> None:
    assert assert_taken(visit(), step, held)["failCount"] == 0


@pytest.mark.parametrize(
    ("step", "status", "code"),
    [("with a wrong key", 401, "BadApiKey"), ("without subscribers", 400, "BadParams")],
)
def test_what_is_wrong_is_refused(step: str, status: int, code: str) -> None:
    error = assert_refused(visit(), step, RefusedError)
    assert (error.status, error.body["code"]) == (status, code)

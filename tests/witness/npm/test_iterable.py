"""Iterable's own client for node, `@iterable/api`: its `baseUrl` is the sandbox's."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from tests.witness.kit import (
    Client,
    NodeError,
    Visit,
    assert_refused,
    assert_taken,
    needs_npm,
    node,
    npm_version,
)

PACKAGE = "@iterable/api"
needs_npm(PACKAGE)

LIST = "10"
ANN = {"email": "ann@example.com", "dataFields": {"plan": "pro"}, "mergeNestedObjects": True}
BEN = {"email": "ben@example.com"}
CEM = {"userId": "crm-7", "preferUserId": True}
EVE = {"email": "eve@example.com"}


def _says(told: Any) -> str:
    if isinstance(told, NodeError):
        return f"`{told.name}` {told.members['status']}: {told.members['code']}"
    if isinstance(told, Exception):
        return f"`{type(told).__name__}`"
    return f"successCount {told['successCount']}, failCount {told['failCount']}"


@cache
def visit() -> Visit:
    known = {
        "Ann": {("email", "ann@example.com")},
        "Ben": {("email", "ben@example.com")},
        "Cem": {("userId", "crm-7")},
        "Eve": {("email", "eve@example.com")},
    }
    client = Client("Iterable", f"`{PACKAGE}`", npm_version(PACKAGE), "node")
    seen = Visit(client, "iterable_lists", known, _says)
    with seen.server() as server, node("iterable") as act:
        _use(seen, act, server.base_url)
    return seen


def _use(seen: Visit, act: Callable[..., Any], url: str) -> None:
    key = seen.secrets["api_key"]

    def subscribe(*people: dict[str, Any], key: str = key, **more: Any) -> Any:
        options = {"listId": 10, "subscribers": list(people), **more}
        return act(url, key, "subscribeUserToList", options)

    def unsubscribe(*people: dict[str, Any], **more: Any) -> Any:
        options = {"listId": 10, "subscribers": list(people), **more}
        return act(url, key, "unsubscribeUserFromList", options)

    seen.adds("Ben", lambda: subscribe(BEN))
    seen.removes("Ben from the list", lambda: unsubscribe(BEN))
    seen.adds(
        "Ann with fields, Cem by id", lambda: subscribe(ANN, CEM, updateExistingUsersOnly=False)
    )
    more = {"campaignId": None, "channelUnsubscribe": True}
    seen.removes("Cem from the channel", lambda: unsubscribe({"userId": "crm-7"}, **more))
    seen.is_refused("with a wrong key", lambda: subscribe(EVE, key="wrong"))
    seen.is_refused("without a list", lambda: subscribe(EVE, listId=None))
    seen.is_refused("with a text that is no address", lambda: subscribe(EVE, {"email": "nope"}))


@pytest.mark.parametrize(
    ("step", "held"),
    [
        ("Ben", {LIST: ["Ben"]}),
        ("Ben from the list", {}),
        ("Ann with fields, Cem by id", {LIST: ["Ann", "Cem"]}),
        ("Cem from the channel", {LIST: ["Ann"]}),
    ],
)
def test_people_are_added_and_removed(step: str, held: dict[str, list[str]]) -> None:
    answer = assert_taken(visit(), step, held)
    assert answer["failCount"] == 0


@pytest.mark.parametrize(
    ("step", "status", "code"),
    [
        ("with a wrong key", 401, "BadApiKey"),
        ("without a list", 400, "BadParams"),
        ("with a text that is no address", 400, "BadParams"),
    ],
)
def test_what_is_wrong_is_refused(step: str, status: int, code: str) -> None:
    error = assert_refused(visit(), step, NodeError)
    assert error.name == "IterableApiError"
    assert error.members == {"status": status, "code": code}

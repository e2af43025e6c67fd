"""Meta's own client for node, `facebook-nodejs-business-sdk`: host and version are changed."""

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
    digest,
    needs_npm,
    node,
    npm_version,
)

PACKAGE = "facebook-nodejs-business-sdk"
needs_npm(PACKAGE)

AUDIENCE = "/v25.0/123456789/users"


def _says(told: Any) -> str:
    if isinstance(told, NodeError):
        return f"`{told.name}` {told.members['status']}: code {told.members['response']['code']}"
    if isinstance(told, Exception):
        return f"`{type(told).__name__}`"
    return f"num_received {told['num_received']}, num_invalid_entries {told['num_invalid_entries']}"


@cache
def visit() -> Visit:
    known = {
        "Ann": {("EMAIL", digest("ann@example.com"))},
        "Ben": {("EMAIL", digest("ben@example.com")), ("PHONE", digest("12025550123"))},
        "Eve": {("EMAIL", digest("eve@example.com"))},
    }
    client = Client("Meta", f"`{PACKAGE}`", npm_version(PACKAGE), "node")
    seen = Visit(client, "meta_custom_audiences", known, _says)
    with seen.server() as server, node("meta") as act:
        _use(seen, act, server.base_url)
    return seen


def _use(seen: Visit, act: Callable[..., Any], url: str) -> None:
    token = seen.secrets["access_token"]

    def create(schema: Any, *rows: Any, token: str = token) -> Any:
        payload = {"schema": schema, "data": list(rows)}
        return act(url, token, "createUser", [], {"payload": payload})

    def delete(schema: Any, *rows: Any) -> Any:
        payload = {"schema": schema, "data": list(rows)}
        return act(url, token, "deleteUsers", {"payload": payload})

    ann, ben = digest("ann@example.com"), digest("ben@example.com")
    eve, phone = digest("eve@example.com"), digest("12025550123")
    seen.adds("Ann by one key", lambda: create("EMAIL_SHA256", ann))
    seen.adds("Ben by two keys", lambda: create(["EMAIL", "PHONE"], [ben, phone]))
    seen.removes("Ben by one key", lambda: delete(["PHONE"], [phone]))
    seen.is_refused("with a wrong token", lambda: create(["EMAIL"], [eve], token="wrong"))
    plain = "eve@example.com"
    seen.is_refused(
        "with an e-mail address in plain text", lambda: create(["EMAIL"], [eve], [plain])
    )


@pytest.mark.parametrize(
    ("step", "held"),
    [
        ("Ann by one key", ["Ann"]),
        ("Ben by two keys", ["Ann", "Ben"]),
        ("Ben by one key", ["Ann"]),
    ],
)
def test_people_are_added_and_removed(step: str, held: list[str]) -> None:
    assert assert_taken(visit(), step, {AUDIENCE: held})["num_invalid_entries"] == 0


@pytest.mark.parametrize(
    ("step", "code"),
    [
        ("with a wrong token", 190),
        ("with an e-mail address in plain text", 100),
    ],
)
def test_what_is_wrong_is_refused(step: str, code: int) -> None:
    error = assert_refused(visit(), step, NodeError)
    assert error.name == "FacebookRequestError"
    assert error.members["response"]["code"] == code
    assert error.members["response"]["message"] == str(error)

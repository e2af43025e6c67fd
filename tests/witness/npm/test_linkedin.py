"""LinkedIn's own client for node, `linkedin-api-client`: its requests go to the sandbox's host."""

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

PACKAGE = "linkedin-api-client"
needs_npm(PACKAGE)

SEGMENT = "/rest/dmpSegments/10804/users"


def _says(told: Any) -> str:
    if isinstance(told, NodeError):
        return f"`{told.name}` {told.members['status']}"
    if isinstance(told, Exception):
        return f"`{type(told).__name__}`"
    return ", ".join(str(element["status"]) for element in told["elements"])


@cache
def visit() -> Visit:
    known = {
        "Ann": {("SHA256_EMAIL", digest("ann@example.com"))},
        "Ben": {("SHA256_EMAIL", digest("ben@example.com"))},
        "Eve": {("SHA256_EMAIL", digest("eve@example.com"))},
    }
    client = Client("LinkedIn", f"`{PACKAGE}`", npm_version(PACKAGE), "node")
    seen = Visit(client, "linkedin_audiences", known, _says)
    with seen.server() as server, node("linkedin") as act:
        _use(seen, act, server.base_url)
    return seen


def _use(seen: Visit, act: Callable[..., Any], url: str) -> None:
    token = seen.secrets["access_token"]

    def create(action: str, *emails: str, token: str = token) -> Any:
        elements = []
        for email in emails:
            value = email if email.startswith("plain") else digest(email)
            ids = [{"idType": "SHA256_EMAIL", "idValue": value}]
            elements.append({"action": action, "userIds": ids})
        return act(url, token, elements, "202608")

    seen.adds("Ann and Ben", lambda: create("ADD", "ann@example.com", "ben@example.com"))
    seen.removes("Ben", lambda: create("REMOVE", "ben@example.com"))
    seen.is_refused("with a wrong token", lambda: create("ADD", "eve@example.com", token="wrong"))
    plain = "plain@example.com"
    seen.is_refused("with an e-mail address in plain text", lambda: create("ADD", plain))


def test_people_are_added_and_removed() -> None:
    answer = assert_taken(visit(), "Ann and Ben", {SEGMENT: ["Ann", "Ben"]})
    assert [element["status"] for element in answer["elements"]] == [201, 201]
    answer = assert_taken(visit(), "Ben", {SEGMENT: ["Ann"]})
    assert [element["status"] for element in answer["elements"]] == [201]


@pytest.mark.parametrize(
    ("step", "status"),
    [("with a wrong token", 401), ("with an e-mail address in plain text", 400)],
)
def test_what_is_wrong_is_refused(step: str, status: int) -> None:
    error = assert_refused(visit(), step, NodeError)
    assert error.name == "AxiosError"
    assert error.members["status"] == error.members["response"]["status"] == status
    assert error.members["response"]["message"]

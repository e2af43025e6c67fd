"""`braze-api`, a client for node that others maintain: it is given the sandbox's address."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from tests.witness.kit import (
    Client,
    Held,
    NodeError,
    Visit,
    assert_refused,
    assert_taken,
    needs_npm,
    node,
    npm_version,
)

PACKAGE = "braze-api"
needs_npm(PACKAGE)

ANN = {"external_id": "ann-1"}
BEN = {"external_id": "ben-2"}


def _says(told: Any) -> str:
    if isinstance(told, NodeError):
        return f"`{told.name}` {told.members['status']}"
    if isinstance(told, Exception):
        return f"`{type(told).__name__}`"
    return f"{told['message']}, attributes_processed {told['attributes_processed']}"


@cache
def visit() -> Visit:
    known = {"Ann": {("external_id", "ann-1")}, "Ben": {("external_id", "ben-2")}}
    client = Client("Braze", f"`{PACKAGE}`", npm_version(PACKAGE), "node")
    seen = Visit(client, "braze_audiences", known, _says)
    with seen.server() as server, node("braze") as act:
        _use(seen, act, server.base_url)
    return seen


def _use(seen: Visit, act: Callable[..., Any], url: str) -> None:
    key = seen.secrets["access_token"]

    def track(*people: dict[str, Any], key: str = key, bulk: bool = False) -> Any:
        return act(url, key, {"attributes": list(people)}, bulk)

    seen.adds(
        "Ann and Ben to a list", lambda: track({**ANN, "loyal": True}, {**BEN, "loyal": True})
    )
    seen.removes("Ben", lambda: track({**BEN, "loyal": False}))
    named = {**BEN, "first_name": "Ben", "country": "US", "loyal": True}
    seen.adds("Ben with a name", lambda: track(named))
    only = {**BEN, "_update_existing_only": True, "loyal": False}
    seen.removes("Ben, in bulk", lambda: track(only, bulk=True))
    seen.is_refused("with a wrong key", lambda: track({**BEN, "loyal": True}, key="wrong"))
    seen.is_refused("without an identifier", lambda: track({"loyal": True}))


@pytest.mark.parametrize(
    ("step", "held"),
    [
        ("Ann and Ben to a list", {"loyal": ["Ann", "Ben"]}),
        ("Ben", {"loyal": ["Ann"]}),
        ("Ben with a name", {"loyal": ["Ann", "Ben"]}),
        ("Ben, in bulk", {"loyal": ["Ann"]}),
    ],
)
def test_people_are_added_and_removed(step: str, held: Held) -> None:
    assert assert_taken(visit(), step, held)["message"] == "success"


@pytest.mark.parametrize(
    ("step", "status"), [("with a wrong key", 401), ("without an identifier", 400)]
)
def test_what_is_wrong_is_refused(step: str, status: int) -> None:
    error = assert_refused(visit(), step, NodeError)
    assert error.name == "ResponseError"
    assert error.members == {"status": status}
    assert str(error)

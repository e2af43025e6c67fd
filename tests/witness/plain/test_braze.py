"""A script without a library, with the bodies of Braze's pages."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from tests.witness.kit import (
    Client,
    Held,
    RefusedError,
    Visit,
    assert_refused,
    assert_taken,
    call,
)

FRUIT = {"integer_attribute": 25, "array_attribute": ["banana", "apple"]}
ANN = {"external_id": "user_identifier", "string_attribute": "fruit", "boolean_attribute_1": True}
EVENT = {
    "external_id": "user_identifier",
    "app_id": "app",
    "name": "watched_trailer",
    "time": "2013-07-16T19:20:30+01:00",
}
PURCHASE = {
    "external_id": "user_identifier",
    "app_id": "app",
    "product_id": "p",
    "currency": "USD",
    "price": 12.12,
    "time": "2017-05-12T18:47:12Z",
}
BEN = {"email": "test@example.com", "string_attribute": "fruit"}


def _says(told: Any) -> str:
    if isinstance(told, RefusedError):
        return f"{told.status}"
    return f"{told['message']}, attributes_processed {told['attributes_processed']}"


@cache
def visit() -> Visit:
    known = {
        "Ann": {("external_id", "user_identifier")},
        "Ben": {("email", "test@example.com")},
        # beside an external_id, an address is an attribute of the profile
        "Cem": {("external_id", "cem")},
    }
    client = Client("Braze", "the examples of its pages", "", "Python")
    seen = Visit(client, "braze_audiences", known, _says)
    with seen.server() as server:
        _use(seen, f"{server.base_url}/users/track")
    return seen


def _use(seen: Visit, url: str) -> None:
    def track(
        *users: dict[str, Any], token: str = seen.secrets["access_token"], **more: Any
    ) -> Any:
        body = {"attributes": list(users), **more}
        return call("POST", url, body, Authorization=f"Bearer {token}")

    more = {"events": [EVENT], "purchases": [PURCHASE]}
    seen.adds("Ann, with an event and a purchase", lambda: track({**ANN, **FRUIT}, **more))
    seen.adds("Ben by e-mail", lambda: track({**BEN, "boolean_attribute_1": True, **FRUIT}))
    seen.removes("Ann", lambda: track({**ANN, "boolean_attribute_1": False}))
    cem = {"external_id": "cem", "email": "cem@example.com", "_update_existing_only": False}
    seen.adds("Cem, and his address", lambda: track({**cem, "boolean_attribute_1": True}))
    wrong = {"boolean_attribute_1": True, "_update_existing_only": False, "external_id": "eve"}
    seen.is_refused("with a wrong key", lambda: track(wrong, token="wrong"))
    seen.is_refused("without an identifier", lambda: track({"boolean_attribute_1": True}))


@pytest.mark.parametrize(
    ("step", "held"),
    [
        ("Ann, with an event and a purchase", {"boolean_attribute_1": ["Ann"]}),
        ("Ben by e-mail", {"boolean_attribute_1": ["Ann", "Ben"]}),
        ("Ann", {"boolean_attribute_1": ["Ben"]}),
        ("Cem, and his address", {"boolean_attribute_1": ["Ben", "Cem"]}),
    ],
)
def test_people_are_added_and_removed(step: str, held: Held) -> None:
    assert assert_taken(visit(), step, held)["message"] == "success"


@pytest.mark.parametrize(
    ("step", "status"), [("with a wrong key", 401), ("without an identifier", 400)]
)
def test_what_is_wrong_is_refused(step: str, status: int) -> None:
    error = assert_refused(visit(), step, RefusedError)
    assert error.status == status
    assert error.body["message"]

"""A script without a library, with the shape of Snapchat's page and that of a peer."""

from __future__ import annotations

from functools import cache
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.witness.kit import (
    Client,
    RefusedError,
    Visit,
    assert_refused,
    assert_taken,
    call,
    digest,
)

SEGMENT = "/v1/segments/5603670370513719/users"
ANN, BEN = digest("ann@example.com"), digest("ben@example.com")
PHONE = digest("12025550123")


def _says(told: Any) -> str:
    if isinstance(told, RefusedError):
        return f"{told.status}: {told.body.get('error_code', told.body.get('error'))}"
    if "access_token" in told:
        return "a token"
    return f"{told['request_status']}, {told['users'][0]['user']['number_uploaded_users']} people"


@cache
def visit() -> Visit:
    known = {
        "Ann": {("EMAIL_SHA256", ANN)},
        "Ben": {("EMAIL_SHA256", BEN)},
        "Cem": {("PHONE_SHA256", PHONE)},
    }
    client = Client("Snapchat", "the shapes of its page", "", "Python")
    seen = Visit(client, "snapchat_audiences", known, _says)
    with seen.server() as server:
        _use(seen, server.base_url + SEGMENT, server.token_url)
    return seen


def _use(seen: Visit, url: str, token_url: str) -> None:
    grant = {"grant_type": "refresh_token", **seen.secrets}

    def token(**changed: str) -> Any:
        form = urlencode({**grant, **changed}).encode()
        return call("POST", token_url, form, Content_Type="application/x-www-form-urlencoded")

    bearer = f"Bearer {token()['access_token']}"

    def users(method: str, kind: str, *rows: str, token: str = bearer, **more: Any) -> Any:
        data = [[row] for row in rows]
        body = {"users": [{"schema": [kind], "data": data, **more}]}
        return call(method, url, body, Authorization=token)

    emails = "EMAIL_SHA256"
    seen.adds("Ann and Ben", lambda: users("POST", emails, ANN, BEN))
    seen.removes("Ben", lambda: users("DELETE", emails, BEN))
    segment = {"id": "5603670370513719"}
    seen.adds("Cem, with the segment's id", lambda: users("POST", "PHONE_SHA256", PHONE, **segment))
    seen.is_refused("with a wrong token", lambda: users("POST", emails, BEN, token="Bearer x"))
    plain = "ben@example.com"
    seen.is_refused("with an e-mail address in plain text", lambda: users("POST", emails, plain))
    seen.is_refused("with a wrong refresh token", lambda: token(refresh_token="wrong"))


@pytest.mark.parametrize(
    ("step", "held"),
    [
        ("Ann and Ben", ["Ann", "Ben"]),
        ("Ben", ["Ann"]),
        ("Cem, with the segment's id", ["Ann", "Cem"]),
    ],
)
def test_people_are_added_and_removed(step: str, held: list[str]) -> None:
    assert assert_taken(visit(), step, {SEGMENT: held})["request_status"] == "SUCCESS"


@pytest.mark.parametrize(
    ("step", "status"),
    [("with a wrong token", 401), ("with an e-mail address in plain text", 400)],
)
def test_what_is_wrong_is_refused(step: str, status: int) -> None:
    error = assert_refused(visit(), step, RefusedError)
    assert (error.status, error.body["request_status"]) == (status, "ERROR")


def test_a_wrong_refresh_token_gets_no_token() -> None:
    error = assert_refused(visit(), "with a wrong refresh token", RefusedError)
    assert (error.status, error.body["error"]) == (400, "invalid_grant")

"""X's own library, `twitter-ads`. It speaks version 11 of the API: only host and version are changed."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version
from typing import Any

from tests.witness.kit import Client, Visit, assert_refused, assert_taken, digest, needs

needs("twitter-ads", "twitter_ads")

from twitter_ads import error as errors
from twitter_ads.account import Account
from twitter_ads.audience import CustomAudience
from twitter_ads.client import Client as TwitterAds
from twitter_ads.http import Request

AUDIENCE = "/12/accounts/18ce54d4x5t/custom_audiences/1nmth/users"
ANN = {"email": [digest("ann@example.com")], "handle": [digest("ann")]}
BEN = {"email": [digest("ben@example.com")]}
EVE = {"email": [digest("eve@example.com")]}
CEM = {"phone_number": [digest("+12025550123")], "partner_user_id": ["crm-7"]}


def _operation(kind: str, *users: dict[str, list[str]], **more: str) -> dict[str, Any]:
    return {"operation_type": kind, "params": {**more, "users": list(users)}}


def _says(told: Any) -> str:
    if isinstance(told, errors.Error):
        body = told.response.body
        codes = [one["code"] for one in told.details or ()]
        for operation in body.get("operation_errors", ()):
            codes += [one["code"] for one in operation]
        return f"`{type(told).__name__}` {told.code}: {', '.join(codes)}"
    taken, sent = told
    return f"{taken} of {sent}"


@cache
def visit() -> Visit:
    people = {"Ann": ANN, "Ben": BEN, "Cem": CEM, "Eve": EVE}
    known = {}
    for name, user in people.items():
        known[name] = {(wire, value) for wire, values in user.items() for value in values}
    client = Client("X", "`twitter-ads`", version("twitter-ads"), "Python")
    seen = Visit(client, "x_custom_audiences", known, _says)

    domain, path = Request._DEFAULT_DOMAIN, CustomAudience.RESOURCE_USERS
    with seen.server() as server:
        Request._DEFAULT_DOMAIN = server.base_url
        CustomAudience.RESOURCE_USERS = path.replace("/11/", "/12/")
        try:
            _use(seen)
        finally:
            Request._DEFAULT_DOMAIN, CustomAudience.RESOURCE_USERS = domain, path
    return seen


def _audience(secrets: dict[str, str], **changed: str) -> CustomAudience:
    account = Account(TwitterAds(**{**secrets, **changed}))
    account._id = "18ce54d4x5t"
    audience = CustomAudience(account)
    audience._id = "1nmth"
    return audience


def _use(seen: Visit) -> None:
    audience = _audience(seen.secrets)
    seen.adds("Ann, Ben and Cem", lambda: audience.users([_operation("Update", ANN, BEN, CEM)]))
    seen.removes("Ben", lambda: audience.users([_operation("Delete", BEN)]))

    stranger = _audience(seen.secrets, access_token_secret="wrong")
    seen.is_refused(
        "with a wrong token secret", lambda: stranger.users([_operation("Update", EVE)])
    )
    plain = {"email": ["eve@example.com"]}
    seen.is_refused(
        "with an e-mail address in plain text",
        lambda: audience.users([_operation("Delete", ANN), _operation("Update", EVE, plain)]),
    )
    times = {"effective_at": "2099-02-01T00:00:00Z", "expires_at": "2099-01-01T00:00:00Z"}
    seen.is_refused(
        "with an end before the start",
        lambda: audience.users([_operation("Update", EVE, **times)]),
    )


def test_people_are_added_and_removed() -> None:
    held = {AUDIENCE: ["Ann", "Ben", "Cem"]}
    assert assert_taken(visit(), "Ann, Ben and Cem", held) == (3, 3)
    assert assert_taken(visit(), "Ben", {AUDIENCE: ["Ann", "Cem"]}) == (1, 1)


def test_a_wrong_secret_is_refused() -> None:
    error = assert_refused(visit(), "with a wrong token secret", errors.NotAuthorized)
    assert [one["code"] for one in error.details] == ["UNAUTHORIZED_ACCESS"]


def test_the_operation_with_plain_text_is_named_and_no_other_is_applied() -> None:
    error = assert_refused(visit(), "with an e-mail address in plain text", errors.BadRequest)
    first, second = error.response.body["operation_errors"]
    assert first == []
    assert [one["code"] for one in second] == ["INVALID_PARAMETER"]


def test_an_end_before_the_start_is_refused() -> None:
    error = assert_refused(visit(), "with an end before the start", errors.BadRequest)
    [[only]] = error.response.body["operation_errors"]
    assert only["code"] == "INVALID_PARAMETER"

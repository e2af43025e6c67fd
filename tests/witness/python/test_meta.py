"""Meta's own library, `facebook-business`: the host of its session is changed."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version
from typing import Any

import pytest

from tests.witness.kit import Client, Visit, assert_refused, assert_taken, digest, needs

needs("facebook-business", "facebook_business")

from facebook_business.adobjects.customaudience import CustomAudience
from facebook_business.api import FacebookAdsApi, FacebookResponse
from facebook_business.exceptions import FacebookRequestError
from facebook_business.session import FacebookSession

AUDIENCE = "/v25.0/123456789/users"
DEVICE = "38400000-8cf0-11bd-b23e-10b96e40000d"


def _says(told: Any) -> str:
    if isinstance(told, FacebookRequestError):
        return f"`{type(told).__name__}` {told.http_status()}: code {told.api_error_code()}"
    if isinstance(told, Exception):
        return f"`{type(told).__name__}`"
    body = told.json() if isinstance(told, FacebookResponse) else told
    return f"num_received {body['num_received']}, num_invalid_entries {body['num_invalid_entries']}"


@cache
def visit() -> Visit:
    known = {
        "Ann": {("EMAIL", digest("ann@example.com"))},
        "Ben": {("EMAIL", digest("ben@example.com"))},
        "Cem": {("EXTERN_ID", "crm-7"), ("EMAIL", digest("cem@example.com"))},
        "Dora": {("PHONE", digest("12025550123"))},
        "Eve": {("EMAIL", digest("eve@example.com"))},
        "Fay": {("MADID", DEVICE)},
        "Gil": {("EMAIL", digest("gil@example.com"))},
    }
    client = Client("Meta", "`facebook-business`", version("facebook-business"), "Python")
    seen = Visit(client, "meta_custom_audiences", known, _says)
    with seen.server() as server:
        _use(seen, server.base_url)
    return seen


def _audience(url: str, token: str) -> CustomAudience:
    session = FacebookSession(access_token=token)
    session.GRAPH = url
    return CustomAudience("123456789", api=FacebookAdsApi(session, "v25.0"))


def _use(seen: Visit, url: str) -> None:
    audience = _audience(url, seen.secrets["access_token"])
    schema, key = CustomAudience.Schema, CustomAudience.Schema.MultiKeySchema
    emails = schema.email_hash
    keys = [key.extern_id, key.email, key.fn, key.country]
    cem = [["crm-7", " Cem@Example.com", "Cem", "US"]]

    seen.adds(
        "Ann and Ben", lambda: audience.add_users(emails, ["Ann@Example.com ", "ben@example.com"])
    )
    seen.adds("Cem, by several keys", lambda: audience.add_users(keys, cem, is_raw=True))
    seen.adds("Dora, by phone", lambda: audience.add_users(schema.phone_hash, ["12025550123"]))
    seen.adds("Fay, by device", lambda: audience.add_users(schema.mobile_advertiser_id, [DEVICE]))
    seen.removes("Ben", lambda: audience.remove_users(emails, ["ben@example.com"]))
    seen.removes("Cem, by one key", lambda: audience.remove_users(emails, ["cem@example.com"]))
    payload = {"schema": ["EMAIL"], "data": [[digest("gil@example.com")]]}
    seen.adds("Gil, by `create_user`", lambda: audience.create_user(params={"payload": payload}))
    seen.removes(
        "Gil, by `delete_users`", lambda: audience.delete_users(params={"payload": payload})
    )

    other = _audience(url, "wrong")
    seen.is_refused("with a wrong token", lambda: other.add_users(emails, ["eve@example.com"]))
    plain = ["eve@example.com"]
    seen.is_refused(
        "with an e-mail address in plain text",
        lambda: audience.add_users(emails, plain, pre_hashed=True),
    )
    seen.is_refused(
        "with a device id that it hashes",
        lambda: audience.add_users([key.madid], [[DEVICE]], is_raw=True),
    )


@pytest.mark.parametrize(
    ("step", "held"),
    [
        ("Ann and Ben", ["Ann", "Ben"]),
        ("Cem, by several keys", ["Ann", "Ben", "Cem"]),
        ("Dora, by phone", ["Ann", "Ben", "Cem", "Dora"]),
        ("Fay, by device", ["Ann", "Ben", "Cem", "Dora", "Fay"]),
        ("Ben", ["Ann", "Cem", "Dora", "Fay"]),
        ("Cem, by one key", ["Ann", "Dora", "Fay"]),
        ("Gil, by `create_user`", ["Ann", "Dora", "Fay", "Gil"]),
        ("Gil, by `delete_users`", ["Ann", "Dora", "Fay"]),
    ],
)
def test_people_are_added_and_removed(step: str, held: list[str]) -> None:
    assert_taken(visit(), step, {AUDIENCE: held})


def test_a_wrong_token_is_refused() -> None:
    error = assert_refused(visit(), "with a wrong token", FacebookRequestError)
    assert error.api_error_code() == 190
    assert error.api_error_type() == "OAuthException"
    assert error.api_error_message()


def test_plain_text_is_refused() -> None:
    error = assert_refused(visit(), "with an e-mail address in plain text", FacebookRequestError)
    assert error.api_error_code() == 100
    assert error.api_error_message()


def test_a_device_id_that_it_hashes_is_refused() -> None:
    error = assert_refused(visit(), "with a device id that it hashes", FacebookRequestError)
    assert error.api_error_code() == 100

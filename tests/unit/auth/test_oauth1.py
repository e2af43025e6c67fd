"""OAuth 1.0a: the published signatures, a new nonce for each attempt, and a check that lets nothing altered pass."""

from __future__ import annotations

import re
import time
from typing import Any
from urllib.parse import quote, unquote

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.auth.base import Message
from connector.definitions.model import AuthConfig
from connector.model import Response
from tests.kit.auth import OAuth1BothHalves
from tests.kit.auth import auth as auth_with

# Published by X in its documentation, and invalid since.
SECRETS = {
    "consumer_key": "xvz1evFS4wEEPTGEFPHBog",
    "consumer_secret": "kAcSOqF21Fu85e7zjz7ZN2U4ZRhfV3WpwPAoE3Z7kBw",
    "access_token": "370773112-GmHxMAgYyLbNEtIKZeRNFsMKPR9EyMZeS9weJAEb",
    "access_token_secret": "LswwdoUaIvS8ltyTt5jkRh4J50vUPVVHtR2YPi5kE",
}
NONCE, TIMESTAMP = "kYjzVBB8Y0ZFabxSWbWovY3uYSQ2pTgmZeNu2VS4cg", "1318622958"
ADS = "https://ads-api.x.com/12"
USERS = f"{ADS}/accounts/18ce54d4x5t/custom_audiences/1nmth/users"
Query = dict[str, str] | None

VECTORS: list[tuple[str, str, str, Query, str]] = [
    ("people of an audience", "POST", USERS, None, "zreLvHV6V+GeBN4+ahf/Fx0PJzA="),
    ("people not to reach", "POST", f"{ADS}/batch/accounts/18ce54bgxky/do_not_reach_lists/4kzro/users", None, "qUar8adRXXt9o0DSO1iFhk9T3js="),
    ("a new list", "POST", f"{ADS}/accounts/18ce54bgxky/do_not_reach_lists", {"description": "A list of users to exclude"}, "OE1Z8TmE8pS0ErgvuLan28xKJJ8="),
    ("a new audience", "POST", f"{ADS}/accounts/18ce54d4x5t/custom_audiences", {"name": "developers"}, "Sin3eDiGp7p4uUGLEVEbeyye0x8="),
    ("a name with reserved characters", "POST", f"{ADS}/accounts/18ce54d4x5t/custom_audiences", {"name": "A & B, 50% (new): x@y"}, "BaKDDM5n897wBpUUWCWo4V0unss="),
    ("a page", "GET", f"{ADS}/accounts/18ce54d4x5t/custom_audiences", {"count": "1000", "cursor": "8x7v00oow"}, "3ynjZCZK+F6Z+S79l4e0b98P7Pg="),
    # X signs a form here. No destination sends one; as a query the same members enter the signature.
    ("X's own sample", "POST", "https://api.x.com/1.1/statuses/update.json", {"include_entities": "true", "status": "Hello Ladies + Gentlemen, a signed OAuth request!"}, "Ls93hJiZbQ3akF3HF3x1Bz8/zU4="),
]  # fmt: skip
each_vector = pytest.mark.parametrize(
    ("method", "url", "query", "expected"), [v[1:] for v in VECTORS], ids=[v[0] for v in VECTORS]
)


def field(message: Message, name: str) -> str:
    [value] = re.findall(rf'\b{name}="([^"]*)"', message.headers["authorization"])
    return unquote(value)


def check(one: OAuth1BothHalves, message: Message, **altered: Any) -> str | None:
    return one.verify(message._replace(**altered))


@each_vector
def test_a_published_signature(method: str, url: str, query: Query, expected: str) -> None:
    encoded = "&".join(f"{quote(k, safe='')}={quote(v, safe='')}" for k, v in (query or {}).items())
    as_sent = url + (f"?{encoded}" if query else "")
    as_httpx_spells_it = str(httpx.URL(url, params=query))
    for address in (as_sent, as_httpx_spells_it):
        before = Message(method, address, {"content-type": "application/json"}, b"[]")
        after = OAuth1BothHalves(SECRETS).signed(before, NONCE, TIMESTAMP)
        assert field(after, "oauth_signature") == expected
        assert after == before.with_header("authorization", after.headers["authorization"])
        assert (field(after, "oauth_nonce"), field(after, "oauth_timestamp")) == (NONCE, TIMESTAMP)


def test_the_header_has_the_seven_fields_and_the_body_is_not_signed() -> None:
    one, json = OAuth1BothHalves(SECRETS), {"content-type": "application/json"}
    first, second = (
        one.signed(Message("POST", USERS, json, body), NONCE, TIMESTAMP)
        for body in (b"[]", b'{"a": 1}')
    )
    assert first.headers == second.headers
    assert first.headers["content-type"] == "application/json"
    header = first.headers["authorization"]
    names = re.findall(r'(\w+)="', header)
    wanted = [
        "consumer_key",
        "nonce",
        "signature",
        "signature_method",
        "timestamp",
        "token",
        "version",
    ]
    assert sorted(names) == [f"oauth_{name}" for name in wanted]
    assert "secret" not in header.lower()
    assert not [
        name for name in ("consumer_secret", "access_token_secret") if SECRETS[name] in header
    ]


def test_each_attempt_has_a_new_nonce_and_the_time_of_now() -> None:
    one = OAuth1BothHalves(SECRETS)
    attempts = [one.signed(Message("POST", USERS, {})) for _ in range(50)]
    assert len({field(attempt, "oauth_nonce") for attempt in attempts}) == len(attempts)
    assert abs(int(field(attempts[0], "oauth_timestamp")) - time.time()) < 60


PATHS = st.text("abc-._~%20/", max_size=8).filter(
    lambda p: "%" not in p and "//" not in p and "." not in p
)
QUERIES = st.dictionaries(
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=4), st.text(max_size=6), max_size=3
)


@given(st.sampled_from(["GET", "POST", "DELETE"]), PATHS, QUERIES)
@settings(deadline=None)
def test_what_is_signed_here_is_authentic(method: str, path: str, query: dict[str, str]) -> None:
    one = OAuth1BothHalves(SECRETS)
    request = one.signed(
        Message(method, str(httpx.URL(f"https://ads.example.com/{path}", params=query)), {})
    )
    assert check(one, request) is None
    assert check(one, request) == "the nonce is already used"


def test_what_is_altered_is_refused() -> None:
    one = OAuth1BothHalves(SECRETS)
    request = one.signed(Message("POST", f"{USERS}?a=1", {}, b"[]"))
    header = request.headers["authorization"]
    wrong = "wrong signature"
    assert check(one, request, method="PUT") == wrong
    for url in (
        f"{USERS}?a=2",
        USERS,
        f"{USERS}?a=1&b=2",
        f"{USERS}x?a=1",
        f"{USERS}?a=1".replace("ads-api", "api"),
    ):
        assert check(one, request, url=url) == wrong
    assert check(one, request, url=f"{USERS}?a=1".replace("https", "http")) == wrong
    for name in ("signature", "nonce", "version"):
        changed = re.sub(rf'(oauth_{name}=")', r"\g<1>1", header)
        assert check(one, request, headers={"authorization": changed}) == wrong
    # nothing of this used up the nonce
    assert check(one, request) is None


HEADERS = [
    ("nothing", "", "missing OAuth Authorization header"),
    ("another scheme", "Bearer x", "missing OAuth Authorization header"),
    ("no fields", "OAuth ", "missing OAuth Authorization header"),
    ("another key", ("oauth_consumer_key", "other"), "unknown consumer key"),
    ("another token", ("oauth_token", "other"), "unknown access token"),
    (
        "another method",
        ("oauth_signature_method", "PLAINTEXT"),
        "oauth_signature_method must be HMAC-SHA1",
    ),
    ("an old time", ("oauth_timestamp", "1318622958"), "oauth_timestamp is too far from now"),
    ("no time", ("oauth_timestamp", ""), "oauth_timestamp is too far from now"),
    ("a time that is no number", ("oauth_timestamp", "12x"), "oauth_timestamp is too far from now"),
    (
        "a time in other digits",
        ("oauth_timestamp", quote("²")),
        "oauth_timestamp is too far from now",
    ),
]


@pytest.mark.parametrize(
    ("change", "expected"), [row[1:] for row in HEADERS], ids=[row[0] for row in HEADERS]
)
def test_why_a_request_is_refused(change: str | tuple[str, str], expected: str) -> None:
    one = OAuth1BothHalves(SECRETS)
    request = one.signed(Message("POST", USERS, {}, b"[]"))
    header = request.headers["authorization"]
    if isinstance(change, tuple):
        name, value = change
        header = re.sub(rf'\b{name}="[^"]*"', f'{name}="{value}"', header)
    else:
        header = change
    said = check(one, request, headers={"authorization": header})
    assert said == expected
    assert not [secret for secret in SECRETS.values() if secret in said]


@pytest.mark.parametrize(
    ("seconds", "fine"), [(0, True), (299, True), (301, False), (-299, True), (-301, False)]
)
def test_the_time_may_be_off_a_little(
    seconds: int, fine: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "connector.sandbox.verify_oauth1.time.time", lambda: 1_318_622_958.0 + seconds
    )
    one = OAuth1BothHalves(SECRETS)
    request = one.signed(Message("POST", USERS, {}), NONCE, TIMESTAMP)
    assert check(one, request) == (None if fine else "oauth_timestamp is too far from now")


@pytest.mark.parametrize("name", list(SECRETS))
def test_another_secret_makes_another_signature(name: str) -> None:
    one, other = (
        OAuth1BothHalves(SECRETS),
        auth_with(AuthConfig("oauth1"), {**SECRETS, name: "other"}),
    )
    request = other.sign(Message("POST", USERS, {}), never)
    assert check(one, request) is not None


def never(message: Message) -> Response:
    raise AssertionError("nothing has to be fetched")

"""The strict server and the expectation judge the connector, so they are judged here: vectors, caps, atomicity…"""

from __future__ import annotations

import hashlib
import http.client
import json
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from random import Random
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote, urlsplit

import oauthlib.oauth1
import phonenumbers
import pytest
import yaml

from tests.kit import ROOT

from . import mixed_events
from .mixed_events import ACCOUNT_ID, CREDENTIALS, DNR, DNR_LIST_ID, generate
from .strict_server import (
    MAX_BYTES,
    MAX_OPERATIONS,
    Fault,
    Membership,
    StrictServer,
    months_later,
    plaintext,
    signature,
)

USERS = f"/12/accounts/{ACCOUNT_ID}/custom_audiences/1nmth/users"
DNR_USERS = f"/12/batch/accounts/{ACCOUNT_ID}/do_not_reach_lists/{DNR_LIST_ID}/users"
A, B, C = (hashlib.sha256(f"{letter}@example.com".encode()).hexdigest() for letter in "abc")
_nonces = count()


class Answer(NamedTuple):
    """A response as a client sees it."""

    status: int
    headers: dict[str, str]
    body: Any


def oauth_header(url: str, method: str = "POST", **changes: str) -> str:
    """A valid header for `url`; `changes` replace fields after which the signature is computed, or the signature."""
    parts = urlsplit(url)
    fields = {
        "oauth_consumer_key": CREDENTIALS["consumer_key"],
        "oauth_nonce": f"nonce-{next(_nonces)}",
        "oauth_signature_method": "HMAC-SHA1",
        "oauth_timestamp": str(int(time.time())),
        "oauth_token": CREDENTIALS["access_token"],
        "oauth_version": "1.0",
    } | changes
    secrets = CREDENTIALS["consumer_secret"], CREDENTIALS["access_token_secret"]
    parameters = [*parse_qsl(parts.query), *fields.items()]
    fields.setdefault(
        "oauth_signature", signature(method, url.partition("?")[0], parameters, *secrets)
    )
    return "OAuth " + ", ".join(
        f'{name}="{quote(value, safe="")}"' for name, value in fields.items()
    )


def send(
    server: StrictServer, path: str, body: object, method: str = "POST", **headers: str
) -> Answer:
    """One request on its own connection; `body` is sent as JSON unless it is bytes."""
    parts = urlsplit(server.base_url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=5)
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    given = {
        "Content-Type": "application/json",
        "Authorization": oauth_header(server.base_url + path, method),
    }
    given |= {name.replace("_", "-").title(): value for name, value in headers.items()}
    try:
        connection.request(method, path, content, given)
        response = connection.getresponse()
        received = response.read()
        is_json = response.headers.get_content_type() == "application/json" and received
        names = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, names, json.loads(received) if is_json else received)
    finally:
        connection.close()


def update(*users: dict[str, list[str]], **dates: str) -> dict[str, Any]:
    return {"operation_type": "Update", "params": {**dates, "users": list(users)}}


def delete(*users: dict[str, list[str]], **dates: str) -> dict[str, Any]:
    return {"operation_type": "Delete", "params": {**dates, "users": list(users)}}


def stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.fixture
def server() -> Iterator[StrictServer]:
    with StrictServer(
        CREDENTIALS, ACCOUNT_ID, set(mixed_events.AUDIENCES), {DNR_LIST_ID}
    ) as running:
        yield running


# --- OAuth ---

_DOCUMENTED = {
    "oauth_consumer_key": "xvz1evFS4wEEPTGEFPHBog",
    "oauth_nonce": "kYjzVBB8Y0ZFabxSWbWovY3uYSQ2pTgmZeNu2VS4cg",
    "oauth_signature_method": "HMAC-SHA1",
    "oauth_timestamp": "1318622958",
    "oauth_token": "370773112-GmHxMAgYyLbNEtIKZeRNFsMKPR9EyMZeS9weJAEb",
    "oauth_version": "1.0",
}
_DOCUMENTED_SECRETS = (
    "kAcSOqF21Fu85e7zjz7ZN2U4ZRhfV3WpwPAoE3Z7kBw",
    "LswwdoUaIvS8ltyTt5jkRh4J50vUPVVHtR2YPi5kE",
)
_ACCOUNTS = "https://ads-api.x.com/12/accounts"
_STATUS = [
    ("include_entities", "true"),
    ("status", "Hello Ladies + Gentlemen, a signed OAuth request!"),
]


@pytest.mark.parametrize(
    ("expected", "method", "url", "parameters"),
    [
        (
            "Ls93hJiZbQ3akF3HF3x1Bz8/zU4=",
            "POST",
            "https://api.x.com/1.1/statuses/update.json",
            _STATUS,
        ),
        (
            "hCtSmYh+iHYCEqBWrE7C7hYmtUk=",
            "POST",
            "https://api.twitter.com/1.1/statuses/update.json",
            _STATUS,
        ),
        (
            "zreLvHV6V+GeBN4+ahf/Fx0PJzA=",
            "POST",
            f"{_ACCOUNTS}/18ce54d4x5t/custom_audiences/1nmth/users",
            [],
        ),
        (
            "qUar8adRXXt9o0DSO1iFhk9T3js=",
            "POST",
            "https://ads-api.x.com/12/batch/accounts/18ce54bgxky/do_not_reach_lists/4kzro/users",
            [],
        ),
        (
            "OE1Z8TmE8pS0ErgvuLan28xKJJ8=",
            "POST",
            f"{_ACCOUNTS}/18ce54bgxky/do_not_reach_lists",
            [("description", "A list of users to exclude")],
        ),
        (
            "Sin3eDiGp7p4uUGLEVEbeyye0x8=",
            "POST",
            f"{_ACCOUNTS}/18ce54d4x5t/custom_audiences",
            [("name", "developers")],
        ),
        (
            "BaKDDM5n897wBpUUWCWo4V0unss=",
            "POST",
            f"{_ACCOUNTS}/18ce54d4x5t/custom_audiences",
            [("name", "A & B, 50% (new): x@y")],
        ),
        (
            "3ynjZCZK+F6Z+S79l4e0b98P7Pg=",
            "GET",
            f"{_ACCOUNTS}/18ce54d4x5t/custom_audiences",
            [("count", "1000"), ("cursor", "8x7v00oow")],
        ),
    ],
)
def test_signature_vectors(
    expected: str, method: str, url: str, parameters: list[tuple[str, str]]
) -> None:
    assert (
        signature(method, url, [*parameters, *_DOCUMENTED.items()], *_DOCUMENTED_SECRETS)
        == expected
    )


def test_accepts_what_an_independent_library_signs(server: StrictServer) -> None:
    client = oauthlib.oauth1.Client(
        CREDENTIALS["consumer_key"],
        CREDENTIALS["consumer_secret"],
        CREDENTIALS["access_token"],
        CREDENTIALS["access_token_secret"],
    )
    _, headers, _ = client.sign(
        server.base_url + USERS, "POST", headers={"Content-Type": "application/json"}
    )
    assert (
        send(server, USERS, [update({"email": [A]})], authorization=headers["Authorization"]).status
        == 200
    )


@pytest.mark.parametrize(
    ("reason", "changes"),
    [
        ("credentials", {"oauth_consumer_key": "another"}),
        ("credentials", {"oauth_token": "another"}),
        ("signature", {"oauth_signature": "AAAAAAAAAAAAAAAAAAAAAAAAAAA="}),
        ("method", {"oauth_signature_method": "PLAINTEXT"}),
        ("method", {"oauth_version": "2.0"}),
        ("timestamp", {"oauth_timestamp": str(int(time.time()) - 100_000)}),
        ("timestamp", {"oauth_timestamp": str(int(time.time()) + 100_000)}),
        ("nonce", {"oauth_nonce": ""}),
        ("fields", {"oauth_body_hash": "x"}),
    ],
)
def test_unauthorised(server: StrictServer, reason: str, changes: dict[str, str]) -> None:
    header = oauth_header(server.base_url + USERS, **changes)
    answer = send(server, USERS, [update({"email": [A]})], authorization=header)
    assert answer.status == 401
    assert answer.body["errors"][0]["code"] == "UNAUTHORIZED_ACCESS"
    assert server.requests[-1].reason == reason
    assert server.members("1nmth") == set()


@pytest.mark.parametrize(
    "header", ["", "Bearer abc", "OAuth", 'OAuth oauth_nonce="a", oauth_nonce="b"']
)
def test_malformed_authorization(server: StrictServer, header: str) -> None:
    assert send(server, USERS, [update({"email": [A]})], authorization=header).status == 401


def test_signature_covers_the_address(server: StrictServer) -> None:
    header = oauth_header(server.base_url + USERS.replace("1nmth", "2k7qz"))
    assert send(server, USERS, [update({"email": [A]})], authorization=header).status == 401


def test_nonce_is_spent_even_by_a_request_that_failed(server: StrictServer) -> None:
    server.faults = [500]
    header = oauth_header(server.base_url + USERS)
    assert send(server, USERS, [update({"email": [A]})], authorization=header).status == 500
    assert send(server, USERS, [update({"email": [A]})], authorization=header).status == 401
    assert server.requests[-1].reason == "nonce"


# --- routes and bodies ---


@pytest.mark.parametrize(
    ("status", "code", "method", "path"),
    [
        (404, "ROUTE_NOT_FOUND", "POST", USERS.replace("/12/", "/11/")),
        (404, "ROUTE_NOT_FOUND", "POST", DNR_USERS.replace("/batch", "")),
        (404, "ROUTE_NOT_FOUND", "POST", USERS.replace("/12/", "/12/batch/")),
        (404, "NOT_FOUND", "POST", USERS.replace("1nmth", "nope")),
        (404, "NOT_FOUND", "POST", DNR_USERS.replace(DNR_LIST_ID, "1nmth")),
        (403, "ACCOUNT_NOT_FOUND", "POST", USERS.replace(ACCOUNT_ID, "other")),
        (405, "METHOD_NOT_ALLOWED", "GET", USERS),
        (400, "INVALID_PARAMETER", "POST", f"{USERS}?name=a%20b"),
    ],
)
def test_refused_addresses(
    server: StrictServer, status: int, code: str, method: str, path: str
) -> None:
    answer = send(server, path, [update({"email": [A]})], method)
    assert (answer.status, answer.body["errors"][0]["code"]) == (status, code)


@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "text/plain", ""])
def test_content_type_has_to_be_json(server: StrictServer, content_type: str) -> None:
    answer = send(server, USERS, [update({"email": [A]})], content_type=content_type)
    # A form's body would be part of the signature, which does not cover it.
    assert answer.status == (401 if "form" in content_type else 415)
    assert server.members("1nmth") == set()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"{}",
        b"[]",
        b"null",
        b'[{"params": NaN}]',
        b'[{"a": 1, "a": 2}]',
        b'["\xff"]',
        b"[" * 5000,
    ],
)
def test_body_has_to_be_a_json_array(server: StrictServer, body: bytes) -> None:
    answer = send(server, USERS, body)
    assert answer.status == 400
    assert "errors" in answer.body


def padded_to(size: int) -> bytes:
    empty = json.dumps([update({"partner_user_id": [""]})]).encode()
    return empty.replace(b'""', b'"' + b"p" * (size - len(empty)) + b'"')


def test_byte_cap(server: StrictServer) -> None:
    body = padded_to(MAX_BYTES)
    assert len(body) == MAX_BYTES
    assert send(server, USERS, body).status == 200
    assert server.violations == []
    assert send(server, USERS, padded_to(MAX_BYTES + 1)).status == 400
    assert [violation.kind for violation in server.violations] == ["too many bytes"]
    assert len(server.members("1nmth")) == 1


def test_byte_cap_counts_utf8(server: StrictServer) -> None:
    characters = json.dumps(
        [update({"partner_user_id": ["é" * (MAX_BYTES // 2)]})], ensure_ascii=False
    )
    assert len(characters) < MAX_BYTES
    assert send(server, USERS, characters.encode()).status == 400


def test_operation_cap(server: StrictServer) -> None:
    operations = [update({"partner_user_id": [str(number)]}) for number in range(MAX_OPERATIONS)]
    assert send(server, USERS, operations).body["data"] == {
        "success_count": 2500,
        "total_count": 2500,
    }
    refused = send(server, USERS, [*operations, update({"partner_user_id": ["more"]})])
    assert refused.status == 400
    assert refused.body["errors"]
    assert [violation.kind for violation in server.violations] == ["too many operations"]
    assert len(server.members("1nmth")) == MAX_OPERATIONS


def test_users_have_no_cap(server: StrictServer) -> None:
    users = [{"partner_user_id": [str(number)]} for number in range(3 * MAX_OPERATIONS)]
    assert send(server, USERS, [update(*users)]).body["data"]["success_count"] == 3 * MAX_OPERATIONS


# --- operations ---

_NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.mark.parametrize(
    ("operation", "parameters"),
    [
        ("text", [""]),
        ({}, ["operation_type", "params"]),
        ({"operation_type": "update", "params": {"users": [{"email": [A]}]}}, ["operation_type"]),
        ({**update({"email": [A]}), "extra": 1}, ["extra"]),
        ({"operation_type": "Update", "params": []}, ["params"]),
        ({"operation_type": "Update", "params": {}}, ["users"]),
        ({"operation_type": "Update", "params": {"users": {}}}, ["users"]),
        (update(), ["users"]),
        (update({}), ["users[0]"]),
        (update({"email": [A]}, {"email": []}), ["users[1].email"]),
        ({"operation_type": "Update", "params": {"users": [{"email": A}]}}, ["users[0].email"]),
        (update({"emails": [A]}), ["users[0].emails"]),
        (update({"phone": [A]}), ["users[0].phone"]),
        (update({"twitterId": [A]}), ["users[0].twitterId"]),
        (update({"email": ["a@example.com"]}), ["users[0].email"]),
        (update({"email": [A[:-1]]}), ["users[0].email"]),
        (update({"partner_user_id": [""]}), ["users[0].partner_user_id"]),
        (update({"email": [A]}, expire_at=stamp(_NOW + timedelta(days=9))), ["expire_at"]),
        (update({"email": [A]}, expires_at=stamp(_NOW - timedelta(days=1))), ["expires_at"]),
        (
            update(
                {"email": [A]},
                effective_at="2030-01-01T00:00:00Z",
                expires_at="2030-01-01T00:00:00Z",
            ),
            ["expires_at"],
        ),
        (update({"email": [A]}, expires_at="2030-01-01T00:00:00+00:00"), ["expires_at"]),
        (update({"email": [A]}, effective_at="2030-02-30T00:00:00Z"), ["effective_at"]),
    ],
)
def test_a_bad_operation_refuses_the_whole_request(
    server: StrictServer, operation: object, parameters: list[str]
) -> None:
    send(server, USERS, [update({"email": [B]})])
    answer = send(server, USERS, [update({"email": [A]}), operation, delete({"email": [B]})])
    assert answer.status == 400
    errors = answer.body["operation_errors"]
    assert (errors[0], errors[2]) == ([], [])
    assert [error["parameter"] for error in errors[1]] == parameters
    assert len(answer.body["request"]) == 3
    assert "users" not in json.dumps(answer.body["request"])
    assert server.members("1nmth") == {frozenset({("email", B)})}
    assert not server.requests[-1].applied


def test_dates_of_the_published_sample_are_accepted(server: StrictServer) -> None:
    dates = {"effective_at": "2018-05-15T00:00:00Z", "expires_at": "2019-01-01T07:00:00Z"}
    answer = send(
        server,
        USERS,
        [update({"email": [A]}, {"handle": [B, C]}, **dates), delete({"email": [C]}, **dates)],
    )
    assert answer.status == 200
    assert answer.body == {
        "request": {"params": {"account_id": ACCOUNT_ID, "custom_audience_id": "1nmth"}},
        "data": {"success_count": 3, "total_count": 3},
    }
    assert answer.headers["x-current-api-version"] == "12"
    assert answer.headers["x-rate-limit-limit"] == "1500"
    assert not any(name.startswith("x-account-rate-limit") for name in answer.headers)


def test_do_not_reach_list(server: StrictServer) -> None:
    expires = stamp(_NOW + timedelta(days=300))
    operations = [
        update({"email": [A]}, {"phone_number": [B]}, expires_at=expires),
        delete({"email": [C]}, expires_at=expires),
    ]
    answer = send(server, DNR_USERS, operations)
    assert answer.status == 200
    assert answer.body["data"] == [
        {"success_count": 2, "total_count": 2},
        {"success_count": 1, "total_count": 1},
    ]
    params = {"do_not_reach_list_id": DNR_LIST_ID, "expires_at": expires, "account_id": ACCOUNT_ID}
    assert answer.body["request"][0] == {"operation_type": "Update", "params": params}
    assert len(server.members(DNR_LIST_ID)) == 2
    assert server.members("1nmth") == set()


@pytest.mark.parametrize(
    ("parameter", "user", "dates"),
    [
        ("expires_at", {"email": [A]}, {}),
        ("expires_at", {"email": [A]}, {"expires_at": stamp(_NOW - timedelta(seconds=1))}),
        (
            "expires_at",
            {"email": [A]},
            {"expires_at": stamp(months_later(_NOW, 13) + timedelta(days=1))},
        ),
        (
            "effective_at",
            {"email": [A]},
            {"effective_at": stamp(_NOW), "expires_at": stamp(_NOW + timedelta(days=9))},
        ),
        ("users[0].handle", {"handle": [A]}, {"expires_at": stamp(_NOW + timedelta(days=9))}),
        (
            "users[0].partner_user_id",
            {"partner_user_id": ["p"]},
            {"expires_at": stamp(_NOW + timedelta(days=9))},
        ),
    ],
)
def test_do_not_reach_rules(
    server: StrictServer, parameter: str, user: dict[str, list[str]], dates: dict[str, str]
) -> None:
    answer = send(server, DNR_USERS, [update(user, **dates)])
    assert answer.status == 400
    assert [error["parameter"] for error in answer.body["operation_errors"][0]] == [parameter]


def test_thirteen_months_is_the_first_moment_refused() -> None:
    now = datetime(2026, 1, 31, 12, tzinfo=UTC)
    assert months_later(now, 13) == datetime(2027, 2, 28, 12, tzinfo=UTC)
    assert months_later(now, 11) == datetime(2026, 12, 31, 12, tzinfo=UTC)
    with StrictServer(CREDENTIALS, ACCOUNT_ID, set(), {DNR_LIST_ID}, clock=now.timestamp) as server:
        for expires, status in (
            ("2027-02-28T11:59:59Z", 200),
            ("2027-02-28T12:00:00Z", 400),
            (stamp(now), 400),
        ):
            header = oauth_header(
                server.base_url + DNR_USERS, oauth_timestamp=str(int(now.timestamp()))
            )
            answer = send(
                server,
                DNR_USERS,
                [update({"email": [A]}, expires_at=expires)],
                authorization=header,
            )
            assert answer.status == status


# --- membership ---


def test_update_merges_and_delete_removes_by_any_identifier(server: StrictServer) -> None:
    send(server, USERS, [update({"email": [A]}, {"handle": [B]}, {"email": [C]})])
    assert len(server.members("1nmth")) == 3
    send(server, USERS, [update({"email": [A], "handle": [B], "partner_user_id": ["P"]})])
    merged = frozenset({("email", A), ("handle", B), ("partner_user_id", "P")})
    assert server.members(server.base_url + USERS) == {merged, frozenset({("email", C)})}
    send(server, USERS, [delete({"partner_user_id": ["P"], "email": [B]})])
    assert server.members(USERS) == {frozenset({("email", C)})}
    assert server.members("2k7qz") == set()
    assert (
        send(server, USERS, [delete({"email": [A]})]).body["data"]["success_count"] == 1
    )  # a stranger
    with pytest.raises(KeyError):
        server.members("nope")


def test_operations_apply_in_order(server: StrictServer) -> None:
    send(
        server,
        USERS,
        [update({"email": [A], "handle": [B]}), delete({"handle": [B]}), update({"email": [A]})],
    )
    assert server.members("1nmth") == {frozenset({("email", A)})}
    assert [violation.kind for violation in server.violations] == ["added and removed at once"]


class NaiveMembership:
    """The membership model again, as short and slow as it can be."""

    def __init__(self) -> None:
        self.people: set[frozenset[tuple[str, str]]] = set()

    def update(self, identifiers: set[tuple[str, str]]) -> None:
        found = {person for person in self.people if person & identifiers}
        self.people = (self.people - found) | {frozenset(identifiers.union(*found))}

    def delete(self, identifiers: set[tuple[str, str]]) -> None:
        self.people = {person for person in self.people if not person & identifiers}


@pytest.mark.parametrize("seed", range(20))
def test_membership_equals_the_naive_one(seed: int) -> None:
    rng = Random(seed)
    quick, naive = Membership(), NaiveMembership()
    for _ in range(200):
        identifiers = {
            ("email", str(number)) for number in rng.sample(range(25), rng.randint(1, 3))
        }
        change = rng.choice(("update", "update", "delete"))
        getattr(quick, change)(identifiers)
        getattr(naive, change)(identifiers)
        assert quick.people() == naive.people


# --- violations, faults, traffic ---


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("email", "someone@example.com"),
        ("phone", "+14155550123"),
        ("phone", "(415) 555-0123"),
        ("phone", "14155550123"),
        ("uuid", "4B61639E-47CC-4056-A16A-C8217E029462"),
        ("uuid", "2f5f5391-3e45-4d02-b645-4575a08f86e"),
        ("", A),
        ("", "1234567" * 9 + "8"),
        ("", "2027-01-15T00:00:00Z"),
        ("", "Update"),
        ("", "18ce54d4x5t"),
    ],
)
def test_plaintext(kind: str, text: str) -> None:
    assert plaintext(text) == kind


def test_violations_are_recorded_and_hold_no_value(server: StrictServer) -> None:
    send(server, USERS, [update({"email": ["someone@example.com"]})])
    send(server, USERS, [update({"email": [A.upper()]})])
    send(server, USERS, [update({"device_id": ["af3802a465767e36"]})])
    send(server, USERS, b"[{+14155550123")
    send(server, USERS, {"someone@example.com": [A]})
    send(server, USERS, [update({"partner_user_id": ["someone@example.com", "+14155550123"]})])
    kinds = [violation.kind for violation in server.violations]
    assert kinds == [
        "plaintext email",
        "bad digest",
        "bad digest",
        "bad digest",
        "plaintext phone",
        "plaintext email",
    ]
    assert server.violations[0].where == "[0].params.users[0].email[0]"
    assert not re.search(r"someone|555|af3802", repr(server.violations))
    assert frozenset({("email", A)}) in server.members(
        "1nmth"
    )  # the upper-case digest counts as the same


@pytest.mark.parametrize("status", [408, 423, 429, 500, 503, 504])
def test_fault_status(server: StrictServer, status: int) -> None:
    server.faults = [Fault(status, seconds=7), None, Fault(status, seconds=None)]
    before = int(time.time())
    faulty, served, bare = (send(server, USERS, [update({"email": [A]})]) for _ in range(3))
    assert (faulty.status, served.status, bare.status) == (status, 200, status)
    assert faulty.body["errors"][0]["code"]
    assert faulty.headers.get("retry-after") == ("7" if status == 503 else None)
    assert "retry-after" not in bare.headers
    if status == 429:
        assert before + 7 <= int(faulty.headers["x-rate-limit-reset"]) <= before + 10
        assert "x-rate-limit-reset" not in bare.headers


def test_fault_connections_and_counts(server: StrictServer) -> None:
    server.faults = ["drop", "counts", "html", Fault("slow", seconds=0.1), "applied_then_drop"]
    with pytest.raises(http.client.RemoteDisconnected):
        send(server, USERS, [update({"email": [A]})])
    assert send(server, USERS, [update({"email": [A]}, {"email": [B]})]).body["data"] == {
        "success_count": 1,
        "total_count": 2,
    }
    page = send(server, USERS, [update({"email": [A]})])
    assert (page.status, page.headers["content-type"]) == (502, "text/html")
    assert server.members("1nmth") == set()
    began = time.monotonic()
    assert send(server, USERS, [update({"email": [B]})]).status == 200
    assert time.monotonic() - began >= 0.1
    with pytest.raises(http.client.RemoteDisconnected):
        send(server, USERS, [update({"email": [A]})])
    assert server.members("1nmth") == {frozenset({("email", A)}), frozenset({("email", B)})}
    assert [request.status for request in server.requests] == [None, 200, 502, 200, None]
    assert [request.applied for request in server.requests] == [False, False, False, True, True]


def test_fault_callable_and_counts_of_a_list(server: StrictServer) -> None:
    server.faults = lambda url, number: "counts" if url == DNR_USERS and number == 2 else None
    operations = [update({"email": [A]}, expires_at=stamp(_NOW + timedelta(days=9)))] * 2
    first, second = send(server, DNR_USERS, operations), send(server, DNR_USERS, operations)
    assert first.body["data"] == [{"success_count": 1, "total_count": 1}] * 2
    assert second.body["data"] == [
        {"success_count": 0, "total_count": 1},
        {"success_count": 1, "total_count": 1},
    ]


@pytest.mark.parametrize("kind", ["sloww", 200, "", "20"])
def test_unknown_fault(kind: int | str) -> None:
    with pytest.raises(ValueError, match="unknown fault"):
        Fault(kind)


def test_rate() -> None:
    now = time.time()
    with StrictServer(
        CREDENTIALS, ACCOUNT_ID, {"1nmth"}, set(), rate=2, clock=lambda: now
    ) as server:
        answers = [send(server, USERS, [update({"email": [A]})]) for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert [answer.headers["x-rate-limit-remaining"] for answer in answers] == ["1", "0", "0"]
    assert answers[2].body["errors"][0]["code"] == "TOO_MANY_REQUESTS"
    assert "retry-after" not in answers[2].headers
    reset = int(answers[2].headers["x-rate-limit-reset"])
    assert reset % 60 == 0
    assert 0 < reset - now <= 60


def test_traffic_and_concurrency(server: StrictServer) -> None:
    server.faults = [Fault("slow", seconds=0.2), Fault("slow", seconds=0.2)]
    threads = [
        threading.Thread(target=send, args=(server, USERS, [update({"email": [A]})]))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    other = send(server, DNR_USERS, [update({"email": [A]})])
    assert other.status == 400
    size = len(json.dumps([update({"email": [A]})]))
    assert server.traffic() == {USERS: (2, 2 * size, 2), DNR_USERS: (1, size, 1)}
    assert server.concurrent == 2


def test_keep_alive_requests_one_by_one_never_count_as_concurrent(server: StrictServer) -> None:
    parts = urlsplit(server.base_url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=5)
    body = json.dumps([update({"email": [A]})])
    for _ in range(100):
        headers = {
            "Content-Type": "application/json",
            "Authorization": oauth_header(server.base_url + USERS),
        }
        connection.request("POST", USERS, body, headers)
        assert connection.getresponse().read()
    connection.close()
    assert server.traffic()[USERS] == (100, 100 * len(body), 1)


def test_by_hand() -> None:
    module = ["-m", "tests.acceptance.strict_server"]
    command = [sys.executable, *module, "--audience", "1nmth", "--list", "4kzro"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        assert process.stderr
        assert process.stderr.readline().startswith("http://127.0.0.1:")
        process.send_signal(signal.SIGTERM)
        printed, _ = process.communicate(timeout=5)
    assert json.loads(printed) == {
        "members": {"1nmth": [], "4kzro": []},
        "violations": [],
        "traffic": {},
    }
    assert process.returncode == 0


# --- events and expectation ---


def event(status: str, audience: str = "1nmth", **traits: Any) -> mixed_events.Event:
    return {
        "message_id": "m1",
        "type": "audience",
        "status": status,
        "audience": audience,
        "traits": traits,
    }


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    ("key", "value", "traits"),
    [
        (
            "handle",
            "49e0be2aeccfb51a8dee4c945c8a70a9ac500cf6f5cb08112575f74db9b1470d",
            {"handle": " @AdsAPI"},
        ),
        (
            "email",
            "4798b8bbdcf6f2a52e527f46a3d7a7c9aefb541afda03af79c74809ecc6376f3",
            {"email": " ABC@Twitter.com\n"},
        ),
        (
            "phone_number",
            "1fa6b8d986d9b9cd01bf36951815158bbde9f520c0567c835dfe34783d0a4231",
            {"mobile": "+1 (123) 456-7890"},
        ),
        (
            "device_id",
            "225859d35b46df63b4fb381eb3f815b2ef4620bec0a79f2115a6a3eb71a5fa1a",
            {"device": "4B61639E-47CC-4056-A16A-C8217E029462"},
        ),
        ("email", A, {"email_sha256": A.upper()}),
        ("partner_user_id", "Raw Id", {"partner_id": "Raw Id"}),
        ("partner_user_id", "9007199254740993", {"partner_id": 9007199254740993}),
    ],
)
def test_wire_identifiers(key: str, value: str, traits: dict[str, Any]) -> None:
    assert mixed_events.wire_identifiers(event("entered", **traits)) == {(key, value)}


def test_do_not_reach_takes_e_mail_and_telephone_only() -> None:
    given = event(
        "entered",
        DNR,
        email="a@example.com",
        mobile="+14155550123",
        handle="h",
        device="d",
        partner_id="p",
    )
    assert mixed_events.wire_identifiers(given) == {
        ("email", A),
        ("phone_number", sha("+14155550123")),
    }


def test_expected_members_by_hand() -> None:
    events = [
        event("entered", email=["A@example.com", " b@Example.com "]),
        event("entered", handle="@Cat"),
        event("entered", email="c@example.com"),
        event("entered", email_sha256=C, handle="cat "),  # joins the two before
        event("entered", "2k7qz", email="a@example.com"),
        event("exited", email="B@example.com"),  # takes a@ away too, here only
        event("entered", email="b@example.com"),
        event("entered", DNR, email="c@example.com", handle="cat"),
        event("exited", "2k7qz", email=" "),  # names nobody
    ]
    assert mixed_events.expected_members(events) == {
        "1nmth": {frozenset({("email", C), ("handle", sha("cat"))}), frozenset({("email", B)})},
        "2k7qz": {frozenset({("email", A)})},
        "3p0ab": set(),
        DNR: {frozenset({("email", C)})},
    }
    assert mixed_events.expected_rejected(events) == ["m1"]


def test_events_are_deterministic_and_mixed() -> None:
    events = generate(4000, seed=7)
    assert events == generate(4000, seed=7)
    assert events != generate(4000, seed=8)
    assert [given["message_id"] for given in events[:2]] == ["m000001", "m000002"]
    assert {given["audience"] for given in events} == {*mixed_events.AUDIENCES, DNR}
    rejected = mixed_events.expected_rejected(events)
    assert 40 <= len(rejected) <= 140
    shapes = Counter(
        type(value).__name__ for given in events for value in (given["traits"] or {}).values()
    )
    assert min(shapes[name] for name in ("str", "list", "int")) > 50
    assert all(len(people) > 100 for people in mixed_events.expected_members(events).values())


def test_events_toggle_people_close_together() -> None:
    """Somebody is added, removed and added again within 30 events, often enough to matter."""
    by_person: dict[tuple[str, str], list[tuple[int, str]]] = {}
    for position, given in enumerate(generate(4000, seed=3, stable_key=True)):
        # With a stable key any two events of a person share the first address.
        for _, value in mixed_events.wire_identifiers(given):
            by_person.setdefault((given["audience"], value), []).append((position, given["status"]))
    toggles = sum(
        first[1] == third[1] != second[1] and third[0] - first[0] <= 30
        for steps in by_person.values()
        for first, second, third in zip(steps, steps[1:], steps[2:], strict=False)
    )
    assert toggles > 100


def test_stable_key_makes_every_event_of_a_person_overlap() -> None:
    crowd = [mixed_events.person(5, index, households=False) for index in range(250)]
    keys = {("email", sha(someone.emails[0])) for someone in crowd}
    for given in generate(1000, seed=5, stable_key=True, rejected=0):
        assert len(keys & mixed_events.wire_identifiers(given)) == 1
    numbers = [mixed_events.person(5, index, households=False).mobile for index in range(2000)]
    assert len(set(numbers)) == len(numbers)
    assert len({mixed_events.person(5, index).mobile for index in range(2000)}) < 2000


def test_numbers_are_possible_and_valid() -> None:
    for index in range(0, 40_000, 397):
        number = phonenumbers.parse(mixed_events.phone_number(index))
        assert phonenumbers.is_possible_number(number)
        assert phonenumbers.is_valid_number(number)


def test_unreadable_lines_come_in_addition() -> None:
    events = generate(500, seed=1)
    readable, unreadable = [], 0
    for line in mixed_events.lines(events, unreadable=0.1):
        assert "\n" not in line
        try:
            readable.append(json.loads(line))
        except ValueError:
            unreadable += 1
    assert readable == events
    assert 20 <= unreadable <= 90


def test_one_request_for_each_event_gives_what_is_expected(server: StrictServer) -> None:
    """The simplest correct client against the server: the expectation and the server agree."""
    events = generate(300, seed=2)
    expires = stamp(_NOW + timedelta(days=300))
    for given in events:
        user: dict[str, list[str]] = {}
        for key, value in sorted(mixed_events.wire_identifiers(given)):
            user.setdefault(key, []).append(value)
        build = update if given["status"] == "entered" else delete
        path = DNR_USERS if given["audience"] == DNR else USERS.replace("1nmth", given["audience"])
        answer = send(server, path, [build(user, expires_at=expires)]) if user else None
        assert answer is None or answer.status == 200
    expected = mixed_events.expected_members(events)
    assert server.violations == []
    assert {audience: server.members(audience) for audience in mixed_events.AUDIENCES} | {
        DNR: server.members(DNR_LIST_ID)
    } == expected


def test_connection_file() -> None:
    text = mixed_events.connection_yaml("http://127.0.0.1:8080", limits="{records: 10, age: 1s}")
    connection = yaml.safe_load(text)
    assert connection["destination"] == "x_custom_audiences"
    assert connection["settings"] == {"account_id": ACCOUNT_ID}
    assert connection["credentials"]["access_token"] == {"env": "X_ACCESS_TOKEN"}
    assert connection["limits"] == {"records": 10, "age": "1s"}
    assert set(mixed_events.ENVIRONMENT) == {
        source["env"] for source in connection["credentials"].values()
    }
    assert not any(secret in text for secret in CREDENTIALS.values())
    routes = {route["name"]: route for route in connection["routes"]}
    assert routes["audience-in"]["when"] == 'event.audience != "dnr" and event.status == "entered"'
    assert routes["audience-out"]["map"]["custom_audience_id"] == {"from": "audience"}
    assert routes["dnr-in"]["map"]["do_not_reach_list_id"] == {"value": DNR_LIST_ID}
    assert [route["action"] for route in connection["routes"]] == [
        "add_user_multi",
        "remove_user_multi",
        "add_to_do_not_reach_list",
        "remove_from_do_not_reach_list",
    ]

"""Signing in with vendors that answer badly, and with pages that bring something else: nothing is made of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
import yaml

from connector import make_connection
from connector.definitions.login import Login
from connector.definitions.model import AuthConfig
from connector.errors import LoginError
from connector.login import code, oauth1
from connector.login.accounts import Account, accounts_of
from connector.login.flow import Flow, SignedIn
from connector.login.plan import plan
from tests.kit.browser import get
from tests.kit.http_vendor import Reply, Vendor, reply

TOKEN = "correct-horse-battery"
APP = {"consumer_key": "app-key", "consumer_secret": "app-secret", "client_id": "app-id"}


class Somebody:
    """Goes where they are sent, and comes back with the answer that is given."""

    def __init__(self, answer: Callable[[dict[str, str]], str], pin: str = "") -> None:
        self.answer, self.given = answer, pin
        self.visited: list[str] = []

    def visit(self, address: str) -> None:
        self.visited.append(address)
        asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        if answer := self.answer(asked):
            get(answer)

    def pin(self) -> str:
        return self.given


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    with Vendor() as started:
        yield started


def form(text: str, status: int = 200) -> Reply:
    # as some vendors say, whatever it is
    return Reply(status, text.encode(), {"content-type": "text/html; charset=utf-8"})


GOOD = {
    "/request": "oauth_token=request-token&oauth_token_secret=request-secret&oauth_callback_confirmed=true",
    "/access": f"oauth_token={TOKEN}&oauth_token_secret=secret&screen_name=Ann%1B%5B31m&user_id=7",
}


def by_oauth1(
    vendor: Vendor, answers: dict[str, str | Reply], back: str | None = None
) -> tuple[SignedIn, Somebody]:
    """Sign in with these answers; `back` is the query that the browser brings, None for a PIN."""
    given = {
        path: form(text) if isinstance(text, str) else text
        for path, text in {**GOOD, **answers}.items()
    }
    vendor.answer = lambda seen: given[seen.url]
    url = vendor.base_url
    login = Login(
        f"{url}/page",
        "",
        f"{url}/request",
        f"{url}/access",
        label="screen_name",
        parameters={"lang": "en"},
    )
    flow = Flow(
        AuthConfig("oauth1"), login, APP, "" if back is None else "http://127.0.0.1:0/back", 0.2
    )
    callbacks: list[str] = []

    def bring(asked: dict[str, str]) -> str:
        header = vendor.seen[0].headers["authorization"]
        callbacks.append(
            dict(parse_qsl(header.replace(", ", "&").replace('"', "")))["oauth_callback"]
        )
        return f"{callbacks[0]}?{back}" if back else ""

    somebody = Somebody(bring, pin="1234567")
    return oauth1.sign_in(flow, somebody), somebody


def test_a_pin_is_signed_and_sent(vendor: Vendor) -> None:
    signed_in, somebody = by_oauth1(vendor, {})
    assert signed_in.credentials == {"access_token": TOKEN, "access_token_secret": "secret"}
    assert (signed_in.label, signed_in.ends) == ("Ann[31m", None)
    assert TOKEN not in repr(signed_in)
    assert somebody.visited == [f"{vendor.base_url}/page?oauth_token=request-token&lang=en"]
    first, second = (seen.headers["authorization"] for seen in vendor.seen)
    assert 'oauth_callback="oob"' in first
    assert 'oauth_token="request-token"' in second
    assert 'oauth_verifier="1234567"' in second
    assert [(seen.method, seen.body) for seen in vendor.seen] == [("POST", b"")] * 2


def test_a_browser_brings_the_verifier(vendor: Vendor) -> None:
    signed_in, _ = by_oauth1(vendor, {}, "oauth_token=request-token&oauth_verifier=v%2F1")
    assert signed_in.credentials["access_token"] == TOKEN
    assert 'oauth_verifier="v%2F1"' in vendor.seen[1].headers["authorization"]


OAUTH1: list[tuple[dict[str, str | Reply], str | None, str]] = [
    ({"/request": GOOD["/request"].replace("true", "false")}, None, "the vendor does not confirm the callback"),
    ({"/request": "oauth_token=a&oauth_token_secret=b"}, None, "the vendor does not confirm the callback"),
    ({"/request": "oauth_token_secret=b&oauth_callback_confirmed=true"}, None, "the vendor's answer has no 'oauth_token'"),
    ({"/request": form("", 403)}, "", r"exactly this callback: http://127\.0\.0\.1:\d+/back \(or use --pin\)"),
    ({"/request": form("", 301)}, None, "the vendor refuses the app (HTTP 301); check consumer_key"),
    ({"/request": form("", 503)}, None, "the vendor answers HTTP 503; try again later"),
    ({"/request": Reply(cut=True)}, None, "no answer from the vendor: the connection closed"),
    ({}, "oauth_token=another&oauth_verifier=v", "does not belong to this sign-in"),
    ({}, "oauth_token=request-token&oauth_token=request-token&oauth_verifier=v", "does not belong to this sign-in"),
    ({}, "oauth_verifier=v", "does not belong to this sign-in"),
    ({}, "oauth_token=request-token", "the sign-in was declined"),
    ({}, "denied=request-token", "the sign-in was declined"),
    ({}, "", "no answer came back from the browser within 0.2 seconds"),
    ({"/access": form(TOKEN, 401)}, None, "the vendor refuses the PIN (HTTP 401)"),
    ({"/access": f"oauth_token={TOKEN}"}, None, "the vendor's answer has no 'oauth_token_secret'"),
    ({"/access": f"oauth_token={TOKEN}%0A&oauth_token_secret=b"}, None, "the vendor's answer has no 'oauth_token'"),
]  # fmt: skip


@pytest.mark.parametrize(("answers", "back", "said"), OAUTH1)
def test_oauth1_goes_wrong(
    vendor: Vendor, answers: dict[str, str | Reply], back: str | None, said: str
) -> None:
    match = said if "\\" in said else said.replace("(", r"\(").replace(")", r"\)")
    with pytest.raises(LoginError, match=match) as caught:
        by_oauth1(vendor, answers, back)
    assert not [
        secret for secret in (TOKEN, *APP.values(), "request-token") if secret in str(caught.value)
    ]


# --- codes ---

TOKENS = {"access_token": "short", "refresh_token": TOKEN, "expires_in": 3600}


def by_code(
    vendor: Vendor, answer: Reply, back: Callable[[str], str], scheme: str = "oauth2", **more: Any
) -> tuple[SignedIn, Somebody]:
    """Sign in with this answer to the code; `back` makes the query that the browser brings of the state."""
    vendor.answer = lambda seen: answer
    url = vendor.base_url
    is_bearer = scheme == "bearer"
    login = Login(
        f"{url}/page", "http://127.0.0.1:0", token_url=f"{url}/token" if is_bearer else "", label="name",
        parameters={"prompt": "consent"}, scope="a b",
    )  # fmt: skip
    auth = AuthConfig(
        scheme,
        grant="" if is_bearer else "refresh_token",
        token_url="" if is_bearer else f"{url}/token",
        **more,
    )
    flow = Flow(auth, login, {name: APP[name] for name in ("client_id",)}, login.callback, 0.2)

    def bring(asked: dict[str, str]) -> str:
        query = back(asked["state"])
        return f"{asked['redirect_uri']}?{query}" if query else ""

    somebody = Somebody(bring)
    return code.sign_in(flow, somebody), somebody


def good(state: str) -> str:
    return f"code=the-code&state={state}"


def test_a_code_is_exchanged(vendor: Vendor) -> None:
    signed_in, somebody = by_code(vendor, reply(200, {**TOKENS, "name": "Ann"}), good, scope="c")
    assert signed_in.credentials == {"refresh_token": TOKEN}
    assert (signed_in.label, signed_in.ends) == ("Ann", None)
    asked = {
        name: values[0] for name, values in parse_qs(urlsplit(somebody.visited[0]).query).items()
    }
    assert (asked["prompt"], asked["scope"], asked["response_type"]) == ("consent", "a b", "code")
    sent = dict(parse_qsl(vendor.seen[0].body.decode()))
    assert set(sent) == {
        "grant_type",
        "code",
        "redirect_uri",
        "code_verifier",
        "client_id",
        "scope",
    }
    assert (sent["code"], sent["redirect_uri"], sent["scope"]) == (
        "the-code",
        asked["redirect_uri"],
        "c",
    )
    assert len(sent["code_verifier"]) >= 43
    assert sent["code_verifier"] not in somebody.visited[0]
    assert "authorization" not in vendor.seen[0].headers


def test_an_access_token_ends(vendor: Vendor) -> None:
    signed_in, _ = by_code(
        vendor, reply(200, {"access_token": TOKEN, "expires_in": 5_184_000}), good, "bearer"
    )
    assert signed_in.credentials == {"access_token": TOKEN}
    assert signed_in.ends is not None
    for lifetime in (None, 0, -1, "soon", 1.5, {}):
        answer = reply(200, {"access_token": TOKEN, "expires_in": lifetime})
        assert by_code(vendor, answer, good, "bearer")[0].ends is None


CODES: list[tuple[Reply, Callable[[str], str], str]] = [
    (reply(200, TOKENS), lambda _: "code=the-code&state=another", "does not belong to this sign-in"),
    (reply(200, TOKENS), lambda _: "code=the-code", "does not belong to this sign-in"),
    (reply(200, TOKENS), lambda state: f"code=the-code&state={state}&state={state}", "does not belong to this sign-in"),
    (reply(200, TOKENS), lambda state: f"error=access_denied&state={state}", "the sign-in was declined"),
    (reply(200, TOKENS), lambda _: "error=access_denied", "does not belong to this sign-in"),
    (reply(200, TOKENS), lambda state: f"error=invalid_scope&state={state}", r"refuses the app \(invalid_scope\); check the app's settings"),
    (reply(200, TOKENS), lambda state: f"error={TOKEN}&state={state}", "without a reason that is known"),
    (reply(200, TOKENS), lambda state: f"state={state}", "without a reason that is known"),
    (reply(200, TOKENS), lambda _: "", "no answer came back from the browser"),
    (reply(200, {"access_token": TOKEN}), good, "the vendor's answer has no 'refresh_token'"),
    (reply(200, {"refresh_token": 5}), good, "the vendor's answer has no 'refresh_token'"),
    (reply(200, [TOKEN]), good, "the vendor's answer has no 'refresh_token'"),
    (reply(200, b"<html>"), good, "the vendor's answer has no 'refresh_token'"),
    (reply(200, b"[" * 100_000), good, "the vendor's answer has no 'refresh_token'"),
    (reply(200, {**TOKENS, "expires_in": 10**400}), good, "the vendor's answer has no 'refresh_token'"),
    (reply(400, {"error": "invalid_grant"}), good, r"gives no token \(invalid_grant, HTTP 400\); check client_id, and start again"),
    (reply(400, {"error": [TOKEN]}), good, r"gives no token \(HTTP 400\)"),
    (reply(400, {"error": TOKEN}), good, r"gives no token \(HTTP 400\)"),
    (reply(429), good, "the vendor answers HTTP 429; try again later"),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "back", "said"), CODES)
def test_a_code_goes_wrong(
    vendor: Vendor, answer: Reply, back: Callable[[str], str], said: str
) -> None:
    with pytest.raises(LoginError, match=said) as caught:
        by_code(vendor, answer, back)
    assert not [secret for secret in (TOKEN, "the-code") if secret in str(caught.value)]


# --- accounts ---


def test_the_accounts_of_rows() -> None:
    rows: list[dict[str, Any]] = [
        {"id": "18ce54d4x5t", "name": "Loyalty", "deleted": False},
        {"id": 9007199254740993, "name": None},
        {"id": "gone", "deleted": True},
        {"name": "without an id"},
    ]
    assert accounts_of(rows) == [Account("18ce54d4x5t", "Loyalty"), Account("9007199254740993", "")]


# --- plans ---


def test_a_plan_does_not_show_what_stands_in_the_place_of_a_name() -> None:
    document = yaml.safe_load(Path("examples/connection.yaml").read_text("utf-8"))
    names = ("consumer_key", "consumer_secret", "access_token", "access_token_secret")
    document["credentials"] = {name: {"stored": TOKEN} for name in names}
    planned = plan(make_connection(document))
    assert planned.kept_in == dict.fromkeys(names, TOKEN)
    assert TOKEN not in repr(planned)

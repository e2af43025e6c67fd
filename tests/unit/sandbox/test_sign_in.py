"""The sandbox's sign-in: what vendors check is checked, and every page, verifier and code works once."""

from __future__ import annotations

import hashlib
import json
import re
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from connector.auth.base import Message, Scheme
from connector.auth.oauth1 import OAuth1, OAuth1SignIn
from connector.definitions.model import AuthConfig
from connector.sandbox.local import Sandbox
from connector.sandbox.vendor import Answer
from tests.kit.destination import SOURCE, define_people
from tests.kit.http_vendor import never

HOST = "http://127.0.0.1:8080"
CALLBACK = "http://127.0.0.1:9999/back"
FORM = {"content-type": "application/x-www-form-urlencoded"}
OAUTH1 = {
    "scheme": "oauth1",
    "source": SOURCE,
    "login": {
        "request_token_url": "https://api.example.com/request",
        "authorize_url": "https://api.example.com/page",
        "access_token_url": "https://api.example.com/access",
        "revoke_url": "https://api.example.com/revoke",
        "callback": "http://127.0.0.1:8765/",
        "sandbox": {"screen_name": "box"},
        "source": SOURCE,
    },
}
PAGE = {
    "authorize_url": "https://login.example.com/page",
    "revoke_url": "https://login.example.com/revoke",
    "callback": "http://127.0.0.1:0",
    "scope": "people",
    "parameters": {"prompt": "consent"},
    "source": SOURCE,
}
OAUTH2 = {
    "scheme": "oauth2",
    "grant": "refresh_token",
    "token_url": "https://login.example.com/token",
    "source": SOURCE,
    "login": {**PAGE, "rotates": True},
}
BEARER = {
    "scheme": "bearer",
    "source": SOURCE,
    "login": {**PAGE, "token_url": "https://login.example.com/token"},
}


class Box:
    """A sandbox, and what its log says."""

    def __init__(self, root: Path, auth: dict[str, Any]) -> None:
        self.sandbox = Sandbox(define_people(root, auth).load("tiny"))
        self.secrets = self.sandbox.secrets
        self.log: list[str] = []
        self.sandbox.vendor.log = self.log.append

    def ask(self, message: Message, scheme: Scheme | None = None) -> Answer:
        signed = scheme.sign(message, never) if scheme else message
        answer = self.sandbox.vendor.answer(*signed[:4])
        assert isinstance(answer, Answer)
        return answer

    def get(self, path: str, **query: str) -> Answer:
        return self.ask(Message("GET", f"{HOST}{path}?{urlencode(query)}", {}))

    def post(self, path: str, form: dict[str, str], scheme: Scheme | None = None) -> Answer:
        return self.ask(Message("POST", HOST + path, FORM, urlencode(form).encode()), scheme)

    def decide(self, page: Answer, decision: str = "yes") -> Answer:
        request = re.findall(rb'name="request" value="(.+?)"', page.body)[0].decode()
        return self.post("/page", {"request": request, "decision": decision})

    def people(self, scheme: Scheme) -> int:
        body = b'{"people": [{"email": "a"}]}'
        return self.ask(
            Message("POST", HOST + "/people", {"content-type": "application/json"}, body), scheme
        ).status

    # OAuth 1.0a

    def request_token(self, callback: str = CALLBACK) -> tuple[str, str]:
        answer = self.ask(
            Message("POST", HOST + "/request", {}), OAuth1SignIn(self.secrets, callback=callback)
        )
        assert answer.status == 200
        fields = query(answer.body.decode())
        assert fields["oauth_callback_confirmed"] == "true"
        return fields["oauth_token"], fields["oauth_token_secret"]

    def access(self, token: tuple[str, str], verifier: str) -> Answer:
        return self.ask(
            Message("POST", HOST + "/access", {}),
            OAuth1SignIn(self.secrets, token=token, verifier=verifier),
        )

    # codes

    def page(self, **changes: str) -> Answer:
        asked = {
            "response_type": "code", "client_id": self.secrets["client_id"], "redirect_uri": CALLBACK, "state": "s&1",
            "scope": "people", "code_challenge": CHALLENGE, "code_challenge_method": "S256", "prompt": "consent",
        }  # fmt: skip
        return self.get("/page", **{**asked, **changes})

    def code(self) -> str:
        answer = self.decide(self.page())
        return query(urlsplit(answer.headers["location"]).query)["code"]

    def exchange(self, code: str, /, **changes: str) -> Answer:
        form = {
            "grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK, "code_verifier": VERIFIER,
            **{name: self.secrets[name] for name in ("client_id", "client_secret") if name in self.secrets},
        }  # fmt: skip
        return self.post("/token", {**form, **changes})

    def refresh(self, token: str) -> Answer:
        client = {name: self.secrets[name] for name in ("client_id", "client_secret")}
        return self.post(
            "/token", {"grant_type": "refresh_token", "refresh_token": token, **client}
        )


VERIFIER = "v" * 43
CHALLENGE = urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("=")


def query(text: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(text).items()}


class Bearer(Scheme):
    def __init__(self, token: str) -> None:
        self.token = token

    def sign(self, message: Message, exchange: Any) -> Message:
        return message.with_header("authorization", f"Bearer {self.token}")


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Box]:
    box = Box(tmp_path, OAUTH1)
    yield box
    assert not [secret for secret in box.secrets.values() if secret in "".join(box.log)]


@pytest.fixture
def two(tmp_path: Path) -> Box:
    return Box(tmp_path, OAUTH2)


# --- OAuth 1.0a ---


def test_a_callback_brings_a_verifier_that_works_once(one: Box) -> None:
    token = one.request_token()
    page = one.get("/page", oauth_token=token[0])
    assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    answer = one.decide(page)
    brought = query(answer.headers["location"].removeprefix(CALLBACK + "?"))
    assert (answer.status, brought["oauth_token"]) == (302, token[0])

    fields = query(one.access(token, brought["oauth_verifier"]).body.decode())
    assert fields["screen_name"] == "box"
    assert one.access(token, brought["oauth_verifier"]).status == 401
    assert one.get("/page", oauth_token=token[0]).status == 400

    secrets = {
        **one.secrets,
        "access_token": fields["oauth_token"],
        "access_token_secret": fields["oauth_token_secret"],
    }
    signed_in = OAuth1(AuthConfig("oauth1"), secrets)
    assert one.people(signed_in) == 200
    # who had a token before still has it
    assert one.people(OAuth1(AuthConfig("oauth1"), one.secrets)) == 200
    assert one.post("/revoke", {}, signed_in).status == 200
    assert one.people(signed_in) == 401
    assert one.log[-1] == "POST /people 401 token_revoked: the access token was revoked"
    assert one.post("/revoke", {}, signed_in).status == 401
    assert one.people(OAuth1(AuthConfig("oauth1"), one.secrets)) == 200


def test_a_pin_is_shown_and_a_wrong_one_ends_it(one: Box) -> None:
    token = one.request_token("oob")
    answer = one.decide(one.get("/page", oauth_token=token[0]))
    [pin] = re.findall(rb"<code>([0-9]{7})</code>", answer.body)
    assert (answer.status, "location" in answer.headers) == (200, False)
    assert one.access(token, str(int(pin) ^ 1)).status == 401
    assert one.access(token, pin.decode()).status == 401
    assert one.log[-2:] == [
        "POST /access 401 wrong verifier",
        "POST /access 401 unknown access token",
    ]


def test_nobody_consented(one: Box) -> None:
    token = one.request_token()
    assert one.access(token, "").status == 401
    token = one.request_token()
    answer = one.decide(one.get("/page", oauth_token=token[0]), "no")
    assert answer.headers["location"] == f"{CALLBACK}?denied={token[0]}"
    assert one.access(token, "1234567").status == 401
    declined = one.decide(one.get("/page", oauth_token=one.request_token("oob")[0]), "no")
    assert b"You declined." in declined.body


@pytest.mark.parametrize(
    ("scheme", "status", "note"),
    [
        (OAuth1SignIn, 403, "the callback is not one that is registered"),
        (lambda s: OAuth1SignIn(s, callback="https://app.example.com/"), 403, "the callback is not one that is registered"),
        (lambda s: OAuth1SignIn(s, callback="http://localhost:9999/"), 403, "the callback is not one that is registered"),
        (lambda s: OAuth1SignIn({**s, "consumer_secret": "x"}, callback=CALLBACK), 401, "wrong signature"),
        (lambda s: OAuth1SignIn({**s, "consumer_key": "x"}, callback=CALLBACK), 401, "unknown consumer key"),
        (lambda s: OAuth1SignIn(s, callback=CALLBACK, token=("a", "b")), 401, "unknown access token"),
        (lambda s: Scheme(AuthConfig("none"), s), 401, "missing OAuth Authorization header"),
    ],
)  # fmt: skip
def test_a_request_token_is_not_for_everybody(
    one: Box, scheme: Any, status: int, note: str
) -> None:
    answer = one.ask(Message("POST", HOST + "/request", {}), scheme(one.secrets))
    assert (answer.status, one.log) == (status, [f"POST /request {status} {note}"])


def test_a_page_is_for_one_decision(one: Box) -> None:
    page = one.get("/page", oauth_token=one.request_token()[0])
    assert one.decide(page).status == 302
    assert one.decide(page).status == 400
    assert one.get("/page").status == 400
    assert one.get("/page", oauth_token="unknown").status == 400
    assert one.post("/page", {"decision": "yes"}).status == 400


# --- codes ---


def test_a_code_works_once(two: Box) -> None:
    answer = two.decide(two.page())
    assert query(urlsplit(answer.headers["location"]).query)["state"] == "s&1"
    code = two.code()
    tokens = json.loads(two.exchange(code).body)
    assert two.people(Bearer(tokens["access_token"])) == 200
    assert json.loads(two.exchange(code).body)["error"] == "invalid_grant"

    renewed = json.loads(two.refresh(tokens["refresh_token"]).body)
    assert renewed["refresh_token"] != tokens["refresh_token"]
    # it rotates: the old one is of no use any more
    assert json.loads(two.refresh(tokens["refresh_token"]).body)["error"] == "invalid_grant"
    # the one that the sandbox prints does not
    for _ in range(2):
        assert "refresh_token" not in json.loads(two.refresh(two.secrets["refresh_token"]).body)

    assert two.post("/revoke", {"token": renewed["refresh_token"]}).status == 200
    assert two.refresh(renewed["refresh_token"]).status == 400
    assert two.people(Bearer(tokens["access_token"])) == 401
    assert two.people(Bearer(renewed["access_token"])) == 401


def test_a_decision_against_it(two: Box) -> None:
    answer = two.decide(two.page(), "no")
    assert query(urlsplit(answer.headers["location"]).query) == {
        "error": "access_denied",
        "state": "s&1",
    }


@pytest.mark.parametrize(
    ("changes", "note"),
    [
        ({"client_id": "x"}, "The client id is unknown."),
        (
            {"redirect_uri": "https://app.example.com:9999/"},
            "The callback is not one that is registered.",
        ),
        (
            {"redirect_uri": "http://127.0.0.1:9999/#a"},
            "The callback is not one that is registered.",
        ),
        ({"response_type": "token"}, "The response_type has to be code."),
        ({"code_challenge_method": "plain"}, "The code_challenge_method has to be S256."),
        ({"code_challenge": VERIFIER[:-1]}, "The code_challenge is no digest."),
        ({"scope": ""}, "The scope is not one that can be granted."),
        ({"scope": "people more"}, "The scope is not one that can be granted."),
        ({"prompt": "none"}, "The parameter prompt is missing or has another value."),
    ],
)
def test_a_page_is_not_shown_to_everybody(two: Box, changes: dict[str, str], note: str) -> None:
    assert two.page(**changes).status == 400
    assert two.log == [f"GET /page 400 {note}"]


@pytest.mark.parametrize(
    "changes",
    [
        {"code_verifier": "w" * 43}, {"code_verifier": VERIFIER[:-1]}, {"code_verifier": ""},
        {"redirect_uri": "http://127.0.0.1:1/"}, {"code": "x"}, {"code": ""},
    ],
)  # fmt: skip
def test_a_code_is_not_for_everybody(two: Box, changes: dict[str, str]) -> None:
    answer = two.exchange(two.code(), **changes)
    assert (answer.status, json.loads(answer.body)["error"]) == (400, "invalid_grant")


def test_a_code_is_not_for_another_client(two: Box) -> None:
    code = two.code()
    assert two.exchange(code, client_secret="x").status == 401
    assert two.exchange(code).status == 200


def test_an_app_without_a_secret(tmp_path: Path) -> None:
    box = Box(tmp_path, BEARER)
    assert sorted(box.secrets) == ["access_token", "client_id"]
    tokens = json.loads(box.exchange(box.code()).body)
    assert "refresh_token" not in tokens
    assert box.people(Bearer(tokens["access_token"])) == 200
    assert box.people(Bearer(box.secrets["access_token"])) == 200
    assert box.people(Bearer("another")) == 401
    assert (
        box.post(
            "/token", {"grant_type": "refresh_token", "client_id": box.secrets["client_id"]}
        ).status
        == 400
    )
    assert box.post("/revoke", {"token": tokens["access_token"]}).status == 200
    assert box.people(Bearer(tokens["access_token"])) == 401


def test_answers_are_not_kept_by_browsers(one: Box, two: Box) -> None:
    for answer in (two.page(), two.decide(two.page()), two.exchange(two.code()), one.get("/page")):
        assert answer.headers["cache-control"] == "no-store"

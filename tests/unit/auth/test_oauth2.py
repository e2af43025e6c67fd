"""OAuth 2 over real HTTP: when a token is fetched, how often, what refusals come to, and that no token is shown."""

from __future__ import annotations

import logging
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qsl

import pytest

from connector.auth import oauth2 as auth_oauth2
from connector.auth.base import Message
from connector.auth.schemes import Auth
from connector.delivery.clock import SystemClock
from connector.delivery.courier import Courier
from connector.delivery.http import HttpSender
from connector.delivery.rate_limit import Limiter
from connector.errors import SendError, UnauthorizedError, UnreachableError
from connector.model import Response, Retry, Stop
from connector.sandbox import verify_oauth2
from tests.kit.auth import auth as auth_with
from tests.kit.auth import auth_config
from tests.kit.http_vendor import Reply, TokenVendor, never, reply

CLIENT = {"client_id": "our client", "client_secret": "s/e+c=r&t"}
SECRETS = {**CLIENT, "refresh_token": "refresh-1"}
LANES = 8


@pytest.fixture
def vendor() -> Iterator[TokenVendor]:
    with TokenVendor() as started:
        yield started


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]

    class Time:
        monotonic = staticmethod(lambda: now[0])

    monkeypatch.setattr(auth_oauth2, "time", Time)
    monkeypatch.setattr(verify_oauth2, "time", Time)
    return now


def config(vendor: TokenVendor, grant: str = "refresh_token", **more: Any) -> dict[str, Any]:
    return {"scheme": "oauth2", "grant": grant, "token_url": vendor.token_url, **more}


def sender(vendor: TokenVendor, secrets: dict[str, str] | None = None, **more: Any) -> HttpSender:
    return HttpSender(auth_with(config(vendor, **more), secrets or SECRETS), LANES)


def form(message: Message) -> dict[str, str]:
    return dict(parse_qsl(message.body.decode(), keep_blank_values=True, strict_parsing=True))


def bearers(vendor: TokenVendor) -> list[str]:
    return [call.headers["authorization"].removeprefix("Bearer ") for call in vendor.calls]


def in_turn(*texts: str, **more: Any) -> Callable[[Message], Reply]:
    """Issue these tokens, one after the other."""
    left = iter(texts)
    return lambda _: reply(
        200, {"access_token": next(left), "token_type": "Bearer", "expires_in": 3600, **more}
    )


def only(*good: str) -> Callable[[Message], Reply]:
    """An API that takes these tokens only."""
    return lambda call: reply(
        200 if call.headers["authorization"].removeprefix("Bearer ") in good else 401
    )


# --- the request for a token ---

GRANTS = [
    ("refresh_token", {}, {"grant_type": "refresh_token", "refresh_token": "refresh-1", **CLIENT}),
    ("refresh_token", {"scope": "a b"}, {"grant_type": "refresh_token", "refresh_token": "refresh-1", "scope": "a b", **CLIENT}),
    ("client_credentials", {}, {"grant_type": "client_credentials", **CLIENT}),
]  # fmt: skip


@pytest.mark.parametrize(("grant", "more", "expected"), GRANTS)
def test_a_token_is_asked_for(
    vendor: TokenVendor, grant: str, more: dict[str, str], expected: dict[str, str]
) -> None:
    with sender(vendor, grant=grant, **more) as send:
        assert not vendor.tokens
        assert send(vendor.request()).status == 200
    [asked] = vendor.tokens
    assert (asked.method, asked.headers["content-type"]) == (
        "POST",
        "application/x-www-form-urlencoded",
    )
    assert form(asked) == expected
    assert bearers(vendor) == ["first"]
    assert "authorization" not in asked.headers
    # the sandbox understands the same request, and takes the token that it gave
    issuer = auth_with(config(vendor, grant, **more), SECRETS)
    assert issuer.token_path == "/token"
    answer = issuer.issue_token(asked)
    assert (answer.status, answer.body["token_type"], answer.body["expires_in"]) == (
        200,
        "Bearer",
        3600,
    )
    signed = Message("POST", "/", {"authorization": f"Bearer {answer.body['access_token']}"})
    assert issuer.verify(signed) is None
    assert (
        auth_with(config(vendor, grant, **more), SECRETS).verify(signed)
        == "missing or unknown access token"
    )


def test_a_client_without_a_secret(vendor: TokenVendor) -> None:
    secrets = {"client_id": "us", "refresh_token": "refresh-1"}
    with sender(vendor, secrets) as send:
        send(vendor.request())
    assert form(vendor.tokens[0]) == {"grant_type": "refresh_token", **secrets}
    assert auth_with(config(vendor), secrets).issue_token(vendor.tokens[0]).status == 200


def test_the_body_is_signed_with_a_token_too(vendor: TokenVendor) -> None:
    signature = {"header": "X-Sign", "hash": "sha256", "encoding": "hex", "credential": "key"}
    more = {"headers": {"Client-Id": "client_id"}, "body_signature": signature}
    with HttpSender(auth_with(config(vendor, **more), {**SECRETS, "key": "Jefe"}), 1) as send:
        send(vendor.request(body=b"what do ya want for nothing?"))
    headers = vendor.calls[0].headers
    assert headers["x-sign"].startswith("5bdcc146")
    assert (headers["client-id"], headers["authorization"]) == ("our client", "Bearer first")
    assert not {"x-sign", "client-id"} & vendor.tokens[0].headers.keys()


# --- how long a token is used ---


@pytest.mark.parametrize(
    ("expires_in", "seconds"), [(3600, 3540), ("3600", 3540), (100, 50), (30, 15), (3600.5, 3540.5)]
)
def test_a_token_is_renewed_a_minute_before_its_end(
    vendor: TokenVendor, clock: list[float], expires_in: Any, seconds: float
) -> None:
    vendor.token = in_turn("a", "b", expires_in=expires_in)
    with sender(vendor) as send:
        for later in (0, seconds - 0.01, seconds):
            clock[0] = 1000 + later
            send(vendor.request())
    assert bearers(vendor) == ["a", "a", "b"]


@pytest.mark.parametrize("expires_in", [None, "", "soon", 0, -1, [], {}, "nan"])
def test_a_token_that_tells_no_end_is_used_until_it_is_refused(
    vendor: TokenVendor, clock: list[float], expires_in: Any
) -> None:
    vendor.token = in_turn("a", "b", expires_in=expires_in)
    vendor.api = only("a")
    with sender(vendor) as send:
        send(vendor.request())
        clock[0] += 1e6
        send(vendor.request())
        vendor.api = only("b")
        assert send(vendor.request()).status == 200
    assert bearers(vendor) == ["a", "a", "a", "b"]


def test_a_rotated_refresh_token_is_used_from_then_on(
    vendor: TokenVendor, clock: list[float]
) -> None:
    answers = iter(
        [{"refresh_token": "refresh-2"}, {}, {"refresh_token": ""}, {"refresh_token": 5}, {}]
    )
    vendor.token = lambda _: reply(200, {"access_token": "t", "expires_in": 100, **next(answers)})
    with sender(vendor) as send:
        for _ in range(5):
            send(vendor.request())
            clock[0] += 100
    assert [form(asked)["refresh_token"] for asked in vendor.tokens] == [
        "refresh-1",
        *["refresh-2"] * 4,
    ]


class Drawer:
    """Where a refresh token is kept, which another process may change."""

    def __init__(self, held: str | None, *, full: bool = False) -> None:
        self.held, self.full = held, full
        self.kept: list[str] = []

    def latest(self) -> str | None:
        return self.held

    def keep(self, secret: str) -> None:
        if self.full:
            raise UnauthorizedError("the drawer is full")
        self.kept.append(secret)
        self.held = secret


def test_a_renewed_refresh_token_is_kept(vendor: TokenVendor, clock: list[float]) -> None:
    answers = iter([{"refresh_token": "refresh-2"}, {"refresh_token": "refresh-2"}, {}])
    vendor.token = lambda _: reply(200, {"access_token": "t", "expires_in": 100, **next(answers)})
    drawer = Drawer("refresh-1")
    with HttpSender(Auth(auth_config(config(vendor)), SECRETS, drawer), 1) as send:
        for _ in range(3):
            send(vendor.request())
            clock[0] += 100
    assert drawer.kept == ["refresh-2"]


def test_a_refresh_token_that_another_process_has_renewed(vendor: TokenVendor) -> None:
    vendor.token = lambda asked: (
        reply(200, {"access_token": "t"})
        if form(asked)["refresh_token"] == "refresh-2"
        else reply(400, {"error": "invalid_grant"})
    )
    with HttpSender(Auth(auth_config(config(vendor)), SECRETS, Drawer("refresh-2")), 1) as send:
        assert send(vendor.request()).status == 200
    assert [form(asked)["refresh_token"] for asked in vendor.tokens] == ["refresh-1", "refresh-2"]

    for held in ("refresh-1", None):
        vendor.tokens.clear()
        with (
            HttpSender(Auth(auth_config(config(vendor)), SECRETS, Drawer(held)), 1) as send,
            pytest.raises(UnauthorizedError, match="invalid_grant"),
        ):
            send(vendor.request())
        assert len(vendor.tokens) == 1


def test_a_renewed_refresh_token_that_would_be_lost(vendor: TokenVendor) -> None:
    vendor.token = in_turn("a", "b", refresh_token="refresh-2")
    drawer = Drawer("refresh-1", full=True)
    with HttpSender(Auth(auth_config(config(vendor)), SECRETS, drawer), 1) as send:
        for _ in range(2):
            with pytest.raises(UnauthorizedError, match="the drawer is full"):
                send(vendor.request())
    # it is no use to ask again
    assert (len(vendor.tokens), len(vendor.calls)) == (1, 0)


def test_a_client_does_not_begin_to_refresh(vendor: TokenVendor, clock: list[float]) -> None:
    vendor.token = in_turn("a", "b", refresh_token="unasked")
    with sender(vendor, CLIENT, grant="client_credentials") as send:
        send(vendor.request())
        clock[0] += 3600
        send(vendor.request())
    assert [form(asked)["grant_type"] for asked in vendor.tokens] == ["client_credentials"] * 2
    assert all("refresh_token" not in form(asked) for asked in vendor.tokens)


# --- 401 ---


def test_a_401_renews_the_token_once_and_sends_the_same_once_more(vendor: TokenVendor) -> None:
    vendor.token = in_turn("old", "new")
    vendor.api = only("new")
    with sender(vendor) as send:
        assert send(vendor.request(body=b'{"a": 1}')).status == 200
    assert bearers(vendor) == ["old", "new"]
    assert [call.body for call in vendor.calls] == [b'{"a": 1}'] * 2
    assert len(vendor.tokens) == 2


def test_a_second_401_is_the_answer(vendor: TokenVendor) -> None:
    vendor.token = in_turn("a", "b", "c", "d")
    vendor.api = only()
    with sender(vendor) as send:
        assert send(vendor.request()).status == 401
        assert len(vendor.calls) == 2
        assert len(vendor.tokens) == 2
        # the next request tries once more: the vendor may have needed a moment
        assert send(vendor.request()).status == 401
    assert bearers(vendor) == ["a", "b", "b", "c"]


@pytest.mark.parametrize("status", [400, 403, 429, 500])
def test_other_answers_renew_nothing(vendor: TokenVendor, status: int) -> None:
    vendor.api = lambda _: reply(status)
    with sender(vendor) as send:
        assert send(vendor.request()).status == status
    assert (len(vendor.calls), len(vendor.tokens)) == (1, 1)


# --- many lanes ---


def at_once(work: Callable[[int], Any], count: int = LANES) -> list[Any]:
    """Start together, return what came of each: an error is a result."""
    barrier = threading.Barrier(count)

    def one(number: int) -> Any:
        barrier.wait()
        try:
            return work(number)
        except (SendError, UnauthorizedError) as error:
            return error

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


def slowly(answer: Callable[[Message], Reply]) -> Callable[[Message], Reply]:
    def answered(message: Message) -> Reply:
        time.sleep(0.2)
        return answer(message)

    return answered


def test_all_lanes_share_one_token(vendor: TokenVendor) -> None:
    vendor.token = slowly(in_turn("a"))
    with sender(vendor) as send:
        answers = at_once(lambda _: send(vendor.request()))
    assert [answer.status for answer in answers] == [200] * LANES
    assert len(vendor.tokens) == 1
    assert bearers(vendor) == ["a"] * LANES


def test_lanes_that_are_refused_together_renew_once(vendor: TokenVendor) -> None:
    vendor.token = in_turn("old", "new")
    together = threading.Barrier(LANES)

    def api(call: Message) -> Reply:
        if call.headers["authorization"] == "Bearer old" and call.url != "/first":
            together.wait(10)  # all of them used the old one before the first is refused
            return reply(401)
        return reply()

    vendor.api = api
    with sender(vendor) as send:
        send(vendor.request("/first"))
        answers = at_once(lambda _: send(vendor.request()))
    assert [answer.status for answer in answers] == [200] * LANES
    assert len(vendor.tokens) == 2
    assert sorted(bearers(vendor)) == ["new"] * LANES + ["old"] * (LANES + 1)


@pytest.mark.parametrize(("status", "kind"), [(503, UnreachableError), (400, UnauthorizedError)])
def test_lanes_that_wait_share_a_failure(
    vendor: TokenVendor, status: int, kind: type[Exception]
) -> None:
    vendor.token = slowly(lambda _: reply(status))
    with sender(vendor) as send:
        answers = at_once(lambda _: send(vendor.request()))
    assert [type(answer) for answer in answers] == [kind] * LANES
    assert len({str(answer) for answer in answers}) == 1
    assert len({id(answer) for answer in answers}) == LANES
    assert len(vendor.tokens) == 1
    assert not vendor.calls


def test_a_retry_asks_again_and_a_refusal_is_final(vendor: TokenVendor) -> None:
    with sender(vendor) as send:
        vendor.token = lambda _: reply(503)
        for _ in range(2):
            with pytest.raises(SendError):
                send(vendor.request())
        vendor.token = in_turn("a")
        assert send(vendor.request()).status == 200
        assert len(vendor.tokens) == 3
    with sender(vendor) as send:
        vendor.token = lambda _: reply(400, {"error": "invalid_grant"})
        for _ in range(3):
            with pytest.raises(UnauthorizedError):
                send(vendor.request())
    assert len(vendor.tokens) == 4


# --- what a token endpoint may answer ---

LOOK = "; check the credentials client_id, client_secret, refresh_token"
REFUSALS = [
    (reply(400, {"error": "invalid_grant"}), f"the token endpoint refuses the request (invalid_grant, HTTP 400){LOOK}"),
    (reply(401, {"error": "invalid_client", "error_description": "s/e+c=r&t is wrong"}), f"the token endpoint refuses the request (invalid_client, HTTP 401){LOOK}"),
    (reply(403, {"error": "unauthorized_client"}), f"the token endpoint refuses the request (unauthorized_client, HTTP 403){LOOK}"),
    (reply(400, {"error": "the refresh token refresh-1 is wrong"}), f"the token endpoint refuses the request (HTTP 400){LOOK}"),
    (reply(400, {"error": "5f4dcc3b5aa765d61d8327deb882cf99"}), f"the token endpoint refuses the request (HTTP 400){LOOK}"),
    (reply(400, {"error": "expired_key"}), f"the token endpoint refuses the request (expired_key, HTTP 400){LOOK}"),
    (reply(400, {"error": "invalid_sec_rt"}), f"the token endpoint refuses the request (HTTP 400){LOOK}"),
    (reply(400, {"error": {"code": 190}}), f"the token endpoint refuses the request (HTTP 400){LOOK}"),
    (reply(400, b"<html>no</html>"), f"the token endpoint refuses the request (HTTP 400){LOOK}"),
    (reply(404), f"the token endpoint refuses the request (HTTP 404){LOOK}"),
    (reply(302, location="/elsewhere"), "the token endpoint redirects (HTTP 302); token_url must be the final URL"),
    (reply(200, {"error": "invalid_grant"}), "the token endpoint's answer has no access_token; check token_url"),
    (reply(200, b"<html>hello</html>"), "the token endpoint's answer has no access_token; check token_url"),
    (reply(200, ["a"]), "the token endpoint's answer has no access_token; check token_url"),
    (reply(200, {"access_token": ""}), "the token endpoint's answer has no access_token; check token_url"),
    (reply(200, {"access_token": "a\r\nX-Evil: 1"}), "the token endpoint's answer has no access_token; check token_url"),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "expected"), REFUSALS)
def test_a_refusal_stops(vendor: TokenVendor, answer: Reply, expected: str) -> None:
    vendor.token = lambda _: answer
    with sender(vendor) as send, pytest.raises(UnauthorizedError) as caught:
        send(vendor.request())
    assert str(caught.value) == expected
    assert not vendor.calls  # and nothing went to where a redirect pointed
    shown = str(caught.value) + str(caught.getrepr(style="short"))
    assert not [secret for secret in SECRETS.values() if secret in shown]


def test_a_word_that_is_a_secret_is_not_shown(vendor: TokenVendor) -> None:
    vendor.token = lambda _: reply(400, {"error": "plain_words"})
    with (
        sender(vendor, {**SECRETS, "refresh_token": "plain_words"}) as send,
        pytest.raises(UnauthorizedError) as caught,
    ):
        send(vendor.request())
    assert "plain_words" not in str(caught.value)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_what_may_pass_is_tried_later(vendor: TokenVendor, status: int) -> None:
    vendor.token = lambda _: reply(status, {"error": "temporarily_unavailable"})
    # Without a token, nothing of the request was sent.
    with sender(vendor) as send, pytest.raises(UnreachableError) as caught:
        send(vendor.request())
    assert str(caught.value) == f"the token endpoint answers HTTP {status}"


def test_no_answer_at_all(vendor: TokenVendor) -> None:
    auth = auth_with({**config(vendor), "token_url": "http://127.0.0.1:9/token"}, SECRETS)
    with HttpSender(auth, 1) as send, pytest.raises(SendError) as caught:
        send(vendor.request())
    said = (
        "no answer from the token endpoint: cannot connect to 127.0.0.1:9: "
        "host unreachable or connection refused"
    )
    assert str(caught.value) == said


def test_a_long_answer_is_not_read_to_its_end(vendor: TokenVendor) -> None:
    vendor.token = lambda _: reply(200, b'{"access_token": "' + b"a" * 9_000_000 + b'"}')
    with sender(vendor) as send, pytest.raises(SendError) as caught:
        send(vendor.request())
    assert (
        str(caught.value)
        == "no answer from the token endpoint: the answer is longer than 8000000 bytes"
    )


def test_a_proxy_of_the_environment_sees_nothing(
    vendor: TokenVendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with sender(vendor) as send:
        assert send(vendor.request()).status == 200


class _Sending:
    """What a courier needs of the rest, for one attempt."""

    def attempted(self, *attempt: Any) -> None:
        pass

    def waiting(self, seconds: float, reason: str) -> None:
        pass


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (reply(400, {"error": "invalid_grant"}), Stop("unauthorized", f"the token endpoint refuses the request (invalid_grant, HTTP 400){LOOK}")),
        (reply(503), Retry("the token endpoint answers HTTP 503")),
    ],
)  # fmt: skip
def test_what_a_courier_makes_of_it(vendor: TokenVendor, answer: Reply, expected: Any) -> None:
    vendor.token = lambda _: answer
    clock: Any = SystemClock()
    ledger: Any = _Sending()
    nothing: Any = None
    with sender(vendor) as send:
        courier = Courier(send, ledger, clock, Limiter((), clock))
        assert courier._attempt(nothing, nothing, vendor.request()) == expected


# --- the sandbox's token endpoint ---


def asked(vendor: TokenVendor, **more: Any) -> Message:
    vendor.tokens.clear()
    with sender(vendor, **more) as send:
        send(vendor.request())
    return vendor.tokens[0]


def test_what_the_sandbox_refuses(vendor: TokenVendor) -> None:
    issuer = auth_with(config(vendor, scope="a b"), SECRETS)
    good = asked(vendor, scope="a b")
    form_type = {"content-type": "application/x-www-form-urlencoded"}
    refused = {
        (400, "invalid_request"): [good._replace(method="GET"), good._replace(headers={})],
        (401, "invalid_client"): [
            asked(vendor, scope="a b", secrets={**SECRETS, "client_secret": "x"}),
            asked(vendor, scope="a b", secrets={**SECRETS, "client_id": "x"}),
            Message("POST", "/token", form_type, b"\xff&&=%%"),
        ],
        (400, "unsupported_grant_type"): [asked(vendor, scope="a b", grant="client_credentials")],
        (400, "invalid_grant"): [
            asked(vendor, scope="a b", secrets={**SECRETS, "refresh_token": "x"})
        ],
        (400, "invalid_scope"): [asked(vendor, scope="a c")],
    }
    # a refresh may leave the scope out or narrow it
    for more in ({}, {"scope": "a"}, {"scope": "b a"}):
        assert issuer.issue_token(asked(vendor, **more)).status == 200
    assert issuer.issue_token(good).status == 200
    for (status, error), messages in refused.items():
        for message in messages:
            answer = issuer.issue_token(message)
            assert (answer.status, answer.body["error"]) == (status, error)
            assert not [secret for secret in SECRETS.values() if secret in str(answer.body)]
    # a client may always use Basic (RFC 6749, 2.3.1): encoded as in a form, then joined
    nobody = Message(
        "POST", "/token", form_type, b"grant_type=refresh_token&refresh_token=refresh-1"
    )
    right = b64encode(b"our+client:s%2Fe%2Bc%3Dr%26t").decode()
    assert issuer.issue_token(nobody.with_header("authorization", f"Basic {right}")).status == 200
    for header in ("", "Basic", "Basic ???", "Basic /w==", "Bearer x", "Basic b3VyK2NsaWVudDp4"):
        message = nobody.with_header("authorization", header)
        assert issuer.issue_token(message).body["error"] == "invalid_client"


def test_the_sandbox_lets_its_tokens_expire(vendor: TokenVendor, clock: list[float]) -> None:
    issuer = auth_with(config(vendor), SECRETS)

    def ask(message: Message) -> Response:
        return issuer.issue_token(message)

    client = auth_with(config(vendor), SECRETS)
    signed = client.sign(Message("POST", "/people", {}), ask)
    assert issuer.verify(signed) is None
    clock[0] += 3600
    assert issuer.verify(signed) == "the access token has expired"
    assert issuer.verify(client.sign(Message("POST", "/people", {}), ask)) is None
    assert issuer.verify(signed) == "missing or unknown access token"


# --- nothing shows a token ---


def test_no_repr_and_no_log_shows_a_token(
    vendor: TokenVendor, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    vendor.token = in_turn(
        "the-access-token", "the-second-token", refresh_token="the-rotated-token"
    )
    vendor.api = only("the-second-token")
    auth = Auth(auth_config(config(vendor)), SECRETS)
    with HttpSender(auth, 1) as send:
        send(vendor.request())
        inner: Any = auth._scheme
        shown = [auth, inner, inner._token, vars(auth), send, vendor.tokens[0], vendor.calls[0]]
    assert inner._secrets["refresh_token"] == "the-rotated-token"
    hidden = [*SECRETS.values(), "the-access-token", "the-second-token", "the-rotated-token"]
    for text in [*map(repr, shown), *map(str, shown), caplog.text]:
        assert not [secret for secret in hidden if secret in text]


def test_nothing_is_fetched_for_what_needs_no_token() -> None:
    assert auth_with({"scheme": "none"}, {}).sign(Message("POST", "/", {}), never).headers == {}

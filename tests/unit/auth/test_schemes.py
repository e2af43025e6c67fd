"""Schemes over real HTTP: what arrives at the vendor, what the sandbox accepts, and that nothing shows a secret."""

from __future__ import annotations

import json
import logging
from base64 import b64encode
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.auth.base import Message, Scheme
from connector.auth.schemes import SCHEMES
from connector.definitions.model import AuthConfig
from connector.delivery.http import HttpSender
from connector.errors import SendError, UnauthorizedError
from connector.model import Request
from connector.sandbox.verify import Verifier
from tests.kit.auth import auth as auth_with
from tests.kit.auth import can_be_optional, credentials_of
from tests.kit.http_vendor import TokenVendor, never, reply

Config = dict[str, Any]
BEARER: Config = {"scheme": "bearer"}
BASIC: Config = {"scheme": "basic"}
NONE: Config = {"scheme": "none"}
IN_QUERY: Config = {"scheme": "api_key", "in": "query", "name": "key"}
IN_BODY: Config = {"scheme": "api_key", "in": "body", "name": "api_key"}
IN_HEADER: Config = {"scheme": "api_key", "in": "header", "name": "Api-Key"}
MESSAGE = Message("POST", "https://api.example.com/people?a=1", {}, b'{"people": []}')
SIGNED: Config = {
    "header": "X-Signature",
    "hash": "sha256",
    "encoding": "hex",
    "credential": "signing_secret",
}


@pytest.fixture
def vendor() -> Iterator[TokenVendor]:
    with TokenVendor() as started:
        yield started


def sent(
    vendor: TokenVendor,
    config: Config,
    secrets: dict[str, str],
    path: str = "/people",
    body: bytes = b"{}",
) -> Message:
    with HttpSender(auth_with(config, secrets), 1) as send:
        assert send(vendor.request(path, body)).status == 200
    return vendor.calls[-1]


HEADERS = [
    ("bearer", BEARER, {"access_token": "a.b-c~d+/="}, "authorization", "Bearer a.b-c~d+/="),
    # RFC 7617, 2 and 2.1
    ("basic", BASIC, {"username": "Aladdin", "password": "open sesame"}, "authorization", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
    ("basic in UTF-8", BASIC, {"username": "test", "password": "123£"}, "authorization", "Basic dGVzdDoxMjPCow=="),
    ("basic without a password", BASIC, {"username": "key"}, "authorization", "Basic a2V5Og=="),
    ("a key", IN_HEADER, {"api_key": "k-1"}, "api-key", "k-1"),
    ("a key with a prefix", {**IN_HEADER, "name": "Authorization", "prefix": "Key "}, {"api_key": "k-1"}, "authorization", "Key k-1"),
    ("further credentials", {**BEARER, "headers": {"Developer-Token": "developer_token"}}, {"access_token": "a", "developer_token": "d"}, "developer-token", "d"),
    ("the scheme's own, in a header", {**BASIC, "headers": {"User": "username"}}, {"username": "u", "password": "p"}, "user", "u"),
    ("none, with a header", {**NONE, "headers": {"X-Secret": "shared_secret"}}, {"shared_secret": "s"}, "x-secret", "s"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("config", "secrets", "name", "text"), [row[1:] for row in HEADERS], ids=[r[0] for r in HEADERS]
)
def test_a_credential_in_a_header(
    vendor: TokenVendor, config: Config, secrets: dict[str, str], name: str, text: str
) -> None:
    seen = sent(vendor, config, secrets, body=b'{"a": 1}')
    assert seen.headers[name] == text
    assert (seen.url, seen.body, seen.headers["content-type"]) == (
        "/people",
        b'{"a": 1}',
        "application/json",
    )
    assert auth_with(config, secrets).verify(seen) is None


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/people", "/people?key=k%201%2F%26%3F"),
        ("/people?list=a%20b", "/people?list=a%20b&key=k%201%2F%26%3F"),
    ],
)
def test_a_key_in_the_query(vendor: TokenVendor, path: str, expected: str) -> None:
    request = vendor.request(path)
    seen = sent(vendor, IN_QUERY, {"api_key": "k 1/&?"}, path)
    assert seen.url == expected
    assert request.url == vendor.base_url + path
    assert auth_with(IN_QUERY, {"api_key": "k 1/&?"}).verify(seen) is None


BODIES = [
    (
        b'{"people":[1.0,1e5,"\xc3\xa9"]}',
        b'{"api_key":"k\\"\\u00e9","people":[1.0,1e5,"\xc3\xa9"]}',
    ),
    (b' { "people": [] }\n', b'{"api_key":"k\\"\\u00e9","people": [] }\n'),
    (b"{}", b'{"api_key":"k\\"\\u00e9"}'),
    (b"{ }", b'{"api_key":"k\\"\\u00e9"}'),
]


@pytest.mark.parametrize(("body", "expected"), BODIES)
def test_a_key_in_the_body_stands_first_and_leaves_the_rest_as_it_is(
    vendor: TokenVendor, body: bytes, expected: bytes
) -> None:
    secrets = {"api_key": 'k"é'}
    seen = sent(vendor, IN_BODY, secrets, body=body)
    assert seen.body == expected
    assert seen.headers["content-length"] == str(len(expected))
    assert auth_with(IN_BODY, secrets).verify(seen) is None


TEXTS = st.text(st.characters(codec="utf-8"), min_size=1)
PRINTABLE = st.text(st.characters(codec="utf-8").filter(str.isprintable), min_size=1)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


@given(
    st.dictionaries(TEXTS.filter(lambda name: name != "api_key"), VALUES, max_size=4),
    TEXTS,
    st.sampled_from([None, 2]),
)
@settings(deadline=None)
def test_any_object_takes_any_key(body: Config, key: str, indent: int | None) -> None:
    auth = auth_with(IN_BODY, {"api_key": key})
    content = json.dumps(body, indent=indent, ensure_ascii=False).encode()
    signed = auth.sign(MESSAGE._replace(body=content), never)
    assert list(json.loads(signed.body).items()) == [("api_key", key), *body.items()]
    assert signed.body.endswith(content[1:].lstrip())
    assert auth.verify(signed) is None
    assert auth.without_credentials(json.loads(signed.body)) == body
    assert len(signed.body) - len(content) <= len(json.dumps(["api_key", key]))


@given(
    st.sampled_from(["bearer", "basic", "header", "query", "body"]),
    st.lists(PRINTABLE, min_size=4, max_size=4),
)
@settings(deadline=None)
def test_what_is_signed_is_authentic_and_with_another_secret_it_is_not(
    kind: str, texts: list[str]
) -> None:
    config = {
        "bearer": BEARER,
        "basic": BASIC,
        "header": IN_HEADER,
        "query": IN_QUERY,
        "body": IN_BODY,
    }[kind]
    config, secrets = everything(config)
    secrets = {name: text.replace(":", ".") for name, text in zip(secrets, texts, strict=False)}
    auth = auth_with(config, secrets)
    signed = auth.sign(MESSAGE, never)
    assert auth.verify(signed) is None
    for name, text in secrets.items():
        assert auth_with(config, {**secrets, name: text + "x"}).verify(signed) is not None


@pytest.mark.parametrize("body", [b"[]", b"", b"null", b'"{}"'])
def test_only_an_object_can_hold_a_key(vendor: TokenVendor, body: bytes) -> None:
    with (
        HttpSender(auth_with(IN_BODY, {"api_key": "k"}), 1) as send,
        pytest.raises(UnauthorizedError) as caught,
    ):
        send(vendor.request(body=body))
    assert str(caught.value) == "the key cannot be added to the body: expected a JSON object"
    assert not vendor.calls


# RFC 4231, 4.2 and 4.3, and 4.5, whose data is no text; RFC 2202, 3, cases 1 and 2
ALL_BYTES = "".join(map(chr, range(1, 26)))
HMACS = [
    ("sha256", "\x0b" * 20, b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
    ("sha256", "Jefe", b"what do ya want for nothing?", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
    ("sha256", ALL_BYTES, b"\xcd" * 50, "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"),
    ("sha1", "\x0b" * 20, b"Hi There", "b617318655057264e28bc0b6fb378c8ef146be00"),
    ("sha1", "Jefe", b"what do ya want for nothing?", "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"),
]  # fmt: skip


@pytest.mark.parametrize(("hashed", "key", "body", "expected"), HMACS)
def test_published_signatures(
    vendor: TokenVendor, hashed: str, key: str, body: bytes, expected: str
) -> None:
    for encoding, prefix in (("hex", ""), ("hex", "sha="), ("base64", "")):
        one = {**SIGNED, "hash": hashed, "encoding": encoding, "prefix": prefix}
        seen = sent(vendor, {**NONE, "body_signature": one}, {"signing_secret": key}, body=body)
        text = expected if encoding == "hex" else b64encode(bytes.fromhex(expected)).decode()
        assert seen.headers["x-signature"] == prefix + text
        assert seen.body == body


def test_the_signature_is_of_the_bytes_that_are_sent(vendor: TokenVendor) -> None:
    config = {**IN_BODY, "body_signature": SIGNED}
    secrets = {"api_key": "k", "signing_secret": "s"}
    seen = sent(vendor, config, secrets, body=b'{"people": [1]}')
    assert seen.body == b'{"api_key":"k","people": [1]}'
    auth = auth_with(config, secrets)
    assert auth.verify(seen) is None
    wrong = "missing or wrong body signature in the header X-Signature"
    assert auth.verify(seen._replace(body=seen.body + b" ")) == wrong
    assert auth.verify(seen._replace(body=b'{"api_key": "k","people": [1]}')) == wrong
    assert auth.verify(seen.with_header("x-signature", "")) == wrong
    assert auth_with(config, {**secrets, "signing_secret": "t"}).verify(seen) == wrong


def test_several_signatures(vendor: TokenVendor) -> None:
    other = {
        **SIGNED,
        "header": "X-Other",
        "hash": "sha1",
        "encoding": "base64",
        "credential": "other_secret",
    }
    config = {**NONE, "body_signature": [SIGNED, other]}
    secrets = {"signing_secret": "Jefe", "other_secret": "Jefe"}
    seen = sent(vendor, config, secrets, body=b"what do ya want for nothing?")
    assert seen.headers["x-signature"].startswith("5bdcc146")
    assert seen.headers["x-other"] == "7/zfauXrL6LSdBbV8YTfnCWafHk="
    assert auth_with(config, secrets).verify(seen) is None
    assert auth_with(config, {**secrets, "other_secret": "x"}).verify(seen) is not None
    assert credentials_of(config) == ["signing_secret", "other_secret"]


def test_what_is_not_given_is_left_out(vendor: TokenVendor) -> None:
    configs = [BEARER, IN_HEADER, IN_QUERY, IN_BODY, NONE]
    for config in configs:
        further = {**config, "headers": {"X-More": "more"}, "body_signature": SIGNED}
        seen = sent(vendor, further, {}, body=b"{}")
        assert (seen.url, seen.body) == ("/people", b"{}")
        assert not {"authorization", "api-key", "x-more", "x-signature"} & seen.headers.keys()
        assert auth_with(further, {}).verify(seen) is None


def test_what_may_be_left_out() -> None:
    further = {"headers": {"X-User": "username", "X-More": "more"}, "body_signature": SIGNED}
    assert can_be_optional({**BASIC, **further}) == ["password", "more", "signing_secret"]
    assert can_be_optional({**BEARER, **further}) == [
        "access_token",
        "username",
        "more",
        "signing_secret",
    ]
    assert can_be_optional({"scheme": "oauth1"}) == []
    assert can_be_optional({"scheme": "oauth2", "grant": "refresh_token"}) == ["client_secret"]


def test_the_names_of_credentials_are_fixed() -> None:
    names = {name: [*scheme.CREDENTIALS] for (name, _), scheme in SCHEMES.items()}
    assert names == {
        "bearer": ["access_token"],
        "basic": ["username", "password"],
        "api_key": ["api_key"],
        "oauth1": ["consumer_key", "consumer_secret", "access_token", "access_token_secret"],
        "oauth2": ["client_id", "client_secret", "refresh_token"],
        "none": [],
    }
    client = {
        "scheme": "oauth2",
        "grant": "client_credentials",
        "headers": {"Client-Id": "client_id"},
    }
    assert credentials_of(client) == ["client_id", "client_secret"]


@pytest.mark.parametrize(("name", "grant"), SCHEMES)
def test_a_definition_knows_the_credentials_of_every_scheme(name: str, grant: str) -> None:
    written = {"scheme": name, "grant": grant, "in": "header", "name": "Api-Key"}
    assert credentials_of(written) == list(SCHEMES[name, grant].CREDENTIALS)


# --- the other side ---

REFUSED = [
    (BEARER, {"access_token": "right-one"}, "missing or wrong bearer token"),
    (
        BASIC,
        {"username": "right-one", "password": "right-two"},
        "missing or wrong user name or password",
    ),
    (IN_HEADER, {"api_key": "right-one"}, "missing or wrong key 'Api-Key' in the header"),
    (IN_QUERY, {"api_key": "right-one"}, "missing or wrong key 'key' in the query"),
    (IN_BODY, {"api_key": "right-one"}, "missing or wrong key 'api_key' in the body"),
    (
        {**NONE, "headers": {"X-One": "one"}},
        {"one": "right-one"},
        "missing or wrong credential in the header X-One",
    ),
]


@pytest.mark.parametrize(("config", "secrets", "reason"), REFUSED)
def test_why_a_request_is_refused(config: Config, secrets: dict[str, str], reason: str) -> None:
    auth = auth_with(config, secrets)
    assert auth.verify(auth.sign(MESSAGE, never)) is None
    assert auth.verify(MESSAGE) == reason
    for changed in secrets:
        other = auth_with(config, {**secrets, changed: "wrong-one"})
        assert auth.verify(other.sign(MESSAGE, never)) == reason
    assert not auth.renew(MESSAGE)
    assert auth.token_path == ""


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"1", b'{"api_key": 1}', b'{"api_key": null}', b'{"api_key": ["k"]}']
)
def test_a_body_without_a_key_that_is_text(body: bytes) -> None:
    reason = "missing or wrong key 'api_key' in the body"
    assert auth_with(IN_BODY, {"api_key": "1"}).verify(MESSAGE._replace(body=body)) == reason


def test_the_key_is_taken_out_of_the_body() -> None:
    auth = auth_with(IN_BODY, {"api_key": "k"})
    assert auth.without_credentials({"api_key": "k", "people": [1]}) == {"people": [1]}
    assert auth.without_credentials([1]) == [1]
    for other in (auth_with(IN_BODY, {}), auth_with(BEARER, {"access_token": "k"})):
        assert other.without_credentials({"api_key": "k"}) == {"api_key": "k"}


# --- nothing shows a secret ---

WORD = "correct-horse"


def everything(config: Config) -> tuple[Config, dict[str, str]]:
    further = {**config, "headers": {"X-More": "more"}, "body_signature": SIGNED}
    return further, {name: f"{WORD}-{name}" for name in credentials_of(further)}


@pytest.mark.parametrize("config", [BEARER, BASIC, IN_HEADER, IN_QUERY, IN_BODY, NONE])
def test_no_repr_and_no_log_shows_a_secret(
    vendor: TokenVendor, config: Config, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    further, secrets = everything(config)
    auth = auth_with(further, secrets)
    message = auth.sign(MESSAGE, never)
    with HttpSender(auth, 1) as send:
        send(vendor.request())
        shown = [auth, auth._scheme, auth._signatures, message, send, vars(send)]
    assert not [one for one in shown if WORD in repr(one) or WORD in str(one)]
    assert not caplog.records


def test_no_error_shows_a_secret() -> None:
    for config in (BEARER, BASIC, IN_HEADER, IN_QUERY, IN_BODY):
        further, secrets = everything(config)
        with HttpSender(auth_with(further, secrets), 1, timeout=0.2) as send:
            for url in (
                "http://127.0.0.1:9/people",
                "http://127.0.0.1:99999/",
                "nothing://x",
                "http://[::1/",
            ):
                with pytest.raises(SendError) as caught:
                    send(Request("POST", url, {}, b"{}"))
                assert WORD not in str(caught.value)
                assert WORD not in str(caught.getrepr(style="short"))


def test_the_log_of_others_is_left_alone(
    vendor: TokenVendor, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    httpx.post(f"{vendor.base_url}/others", trust_env=False)
    assert "/others" in caplog.text


def test_an_answer_that_cannot_be_decoded_is_none(vendor: TokenVendor) -> None:
    vendor.api = lambda _: reply(200, b"not gzip", **{"content-encoding": "gzip"})
    with (
        HttpSender(auth_with(NONE, {}), 1) as send,
        pytest.raises(SendError, match="the answer cannot be decoded"),
    ):
        send(vendor.request())


def test_text_that_is_not_ascii_travels_as_utf_8(vendor: TokenVendor) -> None:
    request = vendor.request()
    with HttpSender(auth_with(BEARER, {"access_token": "tökén"}), 1) as send:
        send(Request("POST", request.url, {"X-Label": "Zürich"}, b"{}"))
    headers = vendor.calls[-1].headers
    assert headers["authorization"].encode("latin-1").decode() == "Bearer tökén"
    assert headers["x-label"].encode("latin-1").decode() == "Zürich"


def test_a_scheme_that_asks_for_nothing_changes_nothing() -> None:
    scheme = Scheme(AuthConfig("none"), {})
    assert scheme.sign(MESSAGE, never) is MESSAGE
    verifier = Verifier(AuthConfig("none"), {})
    assert verifier.verify(MESSAGE) is None
    with pytest.raises(NotImplementedError):
        verifier.issue_token(MESSAGE)

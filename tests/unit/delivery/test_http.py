"""HTTP: whose certificates are trusted, what is logged, and what a hostile vendor can take."""

from __future__ import annotations

import gzip
import logging
import socket
import ssl
import subprocess
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connector.auth.base import Scheme
from connector.definitions.model import AuthConfig
from connector.delivery.http import HttpSender, tls_context
from connector.errors import (
    ConfigError,
    CutError,
    ForbiddenAddressError,
    SendError,
    StaleError,
    UnreachableError,
    UntrustedError,
)
from connector.model import Request
from tests.kit.auth import auth
from tests.kit.certificates import certified
from tests.kit.http_vendor import RawVendor, Reply, SlowVendor, TokenVendor, reply

NO_AUTH = Scheme(AuthConfig("none"), {})
OAUTH1 = {"scheme": "oauth1"}
OAUTH1_SECRETS = {
    "consumer_key": "consumer-key",
    "consumer_secret": "consumer-secret",
    "access_token": "access-token",
    "access_token_secret": "access-token-secret",
}


@pytest.fixture(autouse=True)
def no_certificates_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the certificate and the key of a company's own authority, for 127.0.0.1."""
    return certified(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def https(authority: Path) -> Iterator[TokenVendor]:
    """Yield a vendor on loopback that speaks TLS with that certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority / "certificate.pem", authority / "key.pem")
    with TokenVendor(context) as vendor:
        yield vendor


def test_a_certificate_of_an_unknown_authority_is_refused(https: TokenVendor) -> None:
    with (
        HttpSender(NO_AUTH, 1) as send,
        pytest.raises(UntrustedError, match="not accepted \\(self-signed certificate\\); nothing"),
    ):
        send(https.request())
    assert https.calls == []


def test_a_company_s_own_authority_is_trusted_and_no_key_is_logged(
    https: TokenVendor, authority: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority / "certificate.pem"))
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys.log"))
    with HttpSender(NO_AUTH, 1) as send:
        assert send(https.request()).status == 200
    assert len(https.calls) == 1
    assert not (tmp_path / "keys.log").exists()


def test_a_folder_of_authorities_is_trusted(
    https: TokenVendor, authority: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = authority / "certificate.pem"
    command = ["openssl", "x509", "-in", str(certificate), "-noout", "-hash"]
    name = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    (tmp_path / f"{name}.0").write_bytes(certificate.read_bytes())
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    with HttpSender(NO_AUTH, 1) as send:
        assert send(https.request()).status == 200


def test_another_host_s_certificate_is_refused(
    https: TokenVendor, authority: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority / "certificate.pem"))
    url = https.request().url.replace("127.0.0.1", "localhost")
    with HttpSender(NO_AUTH, 1) as send, pytest.raises(UntrustedError, match="Hostname mismatch"):
        send(Request("POST", url, {}, b"{}"))


def test_the_public_authorities_are_trusted_by_default() -> None:
    context = tls_context()
    assert context.cert_store_stats()["x509_ca"] > 50
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "No such file or directory"), ("x", "it contains no certificate")],
)
def test_certificates_that_cannot_be_read_are_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None, reason: str
) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    with pytest.raises(ConfigError) as caught:
        HttpSender(NO_AUTH, 1)
    assert str(caught.value) == (
        f"C023 SSL_CERT_FILE: cannot read certificates from {path}: {reason};"
        " name a readable file of CA certificates (PEM), or unset it"
    )


def test_the_libraries_underneath_log_nothing_of_a_request(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    with TokenVendor() as vendor, HttpSender(auth(OAUTH1, OAUTH1_SECRETS), 1) as send:
        assert send(vendor.request()).status == 200
        assert "oauth_signature" in vendor.calls[0].headers["authorization"]
    assert caplog.records == []


# --- the deadline of an attempt ---

TIMEOUT = 0.2
PAUSE = 0.02
HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n"
EMPTY_BLOCK = b"\x00\x00\x00\xff\xff"

# What SlowVendor is made of.
SLOW: dict[str, tuple[Any, ...]] = {
    "silence": (b"", b"", PAUSE),
    "a slow head": (HEAD, b"a: b\r\n", PAUSE),
    "a slow line of the head": (b"HTTP/1.1 200 ", b"O", PAUSE),
    "a slow body": (HEAD + b"content-length: 9999\r\n\r\n", b" ", PAUSE),
    "a body without an end": (HEAD + b"\r\n", b" ", PAUSE),
    "endless hints": (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
    "endless small chunks": (CHUNKED + b"\r\n", b"1\r\n \r\n", 0.0001),
    "endless trailers": (CHUNKED + b"\r\n0\r\n", b"a: b\r\n", PAUSE),
    "endless empty blocks of gzip": (
        CHUNKED + b"content-encoding: gzip\r\n\r\na\r\n" + gzip.compress(b"")[:10] + b"\r\n",
        b"5\r\n" + EMPTY_BLOCK + b"\r\n",
        0.001,
    ),
}


CONNECTING = r"cannot connect to \S+:\d+: timed out$"


def assert_out_of_time(send: HttpSender, request: Request, said: str) -> None:
    started = time.monotonic()
    with pytest.raises(SendError, match=said):
        send(request)
    assert TIMEOUT * 0.9 < time.monotonic() - started < TIMEOUT * 5


@pytest.mark.parametrize("answer", SLOW.values(), ids=SLOW)
def test_no_answer_takes_longer_than_the_timeout(answer: tuple[Any, ...]) -> None:
    with SlowVendor(*answer) as vendor, HttpSender(NO_AUTH, 1, TIMEOUT) as send:
        assert_out_of_time(send, vendor.request(), "timed out waiting for an answer")


def test_a_vendor_that_does_not_read_takes_no_longer_than_the_timeout() -> None:
    with SlowVendor(pause=PAUSE, reads=False) as vendor, HttpSender(NO_AUTH, 1, TIMEOUT) as send:
        assert_out_of_time(
            send, vendor.request(b" " * 20_000_000), "timed out waiting for an answer"
        )


def test_a_handshake_takes_no_longer_than_the_timeout() -> None:
    # the first bytes of a record that never ends
    with (
        SlowVendor(b"\x16\x03\x03\x40\x00", b"\x00", PAUSE) as vendor,
        HttpSender(NO_AUTH, 1, TIMEOUT) as send,
    ):
        assert_out_of_time(send, vendor.request(scheme="https"), CONNECTING)


def test_a_connection_that_was_kept_open_has_a_deadline_of_its_own() -> None:
    with TokenVendor() as vendor, HttpSender(NO_AUTH, 1, TIMEOUT) as send:
        assert send(vendor.request()).status == 200
        time.sleep(TIMEOUT * 1.2)
        assert send(vendor.request()).status == 200


def test_fetching_a_token_is_part_of_the_attempt() -> None:
    with SlowVendor(HEAD, b"a: b\r\n", PAUSE) as vendor:
        grant = {"scheme": "oauth2", "grant": "client_credentials", "token_url": vendor.base_url}
        signed = auth(grant, {"client_id": "c", "client_secret": "s"})
        with HttpSender(signed, 1, TIMEOUT) as send:
            assert_out_of_time(send, vendor.request(), "timed out waiting for an answer")


def test_a_token_and_its_request_share_one_deadline() -> None:
    def slow_token(_: object) -> Reply:
        time.sleep(TIMEOUT * 0.7)
        return reply(200, {"access_token": "first", "expires_in": 3600})

    def slow_answer(_: object) -> Reply:
        time.sleep(TIMEOUT * 0.7)
        return reply()

    with TokenVendor() as vendor:
        vendor.token, vendor.api = slow_token, slow_answer
        grant = {"scheme": "oauth2", "grant": "client_credentials", "token_url": vendor.token_url}
        signed = auth(grant, {"client_id": "c", "client_secret": "s"})
        with HttpSender(signed, 1, TIMEOUT) as send:
            assert_out_of_time(send, vendor.request(), "timed out waiting for an answer")
            # the token is there now
            assert send(vendor.request()).status == 200


# --- the size of an answer ---


def test_an_answer_without_end_is_cut_off() -> None:
    with (
        SlowVendor(HEAD + b"\r\n", b" " * 1_000_000) as vendor,
        HttpSender(NO_AUTH, 1) as send,
        pytest.raises(SendError, match="the answer is longer than 8000000 bytes"),
    ):
        send(vendor.request())


def test_nothing_packed_is_asked_for_and_one_layer_of_gzip_is_read() -> None:
    with TokenVendor() as vendor, HttpSender(NO_AUTH, 1) as send:
        for encoding in ("gzip", "x-GZip"):
            packed = reply(200, gzip.compress(b'{"ok": 1}'), **{"content-encoding": encoding})
            vendor.api = lambda _, packed=packed: packed  # type: ignore[misc]
            assert send(vendor.request()).body == {"ok": 1}
        assert {call.headers["accept-encoding"] for call in vendor.calls} == {"identity"}


PACKED = {
    "a huge one": ("gzip", gzip.compress(bytes(9_000_000)), "longer than 8000000 bytes"),
    "one in another": ("gzip, gzip", gzip.compress(gzip.compress(b"{}")), "cannot be decoded"),
    "another kind": ("deflate", zlib.compress(b"{}"), "cannot be decoded"),
    "one cut short": ("gzip", gzip.compress(b"{}")[:-3], "cannot be decoded"),
    "several": ("gzip", gzip.compress(b"{}") * 2, "cannot be decoded"),
}


@pytest.mark.parametrize(("encoding", "body", "reason"), PACKED.values(), ids=PACKED)
def test_a_packed_answer_is_bounded(encoding: str, body: bytes, reason: str) -> None:
    with TokenVendor() as vendor, HttpSender(NO_AUTH, 1) as send:
        vendor.api = lambda _: reply(200, body, **{"content-encoding": encoding})
        with pytest.raises(SendError, match=reason):
            send(vendor.request())


def test_no_cookie_is_sent_back() -> None:
    with TokenVendor() as vendor, HttpSender(NO_AUTH, 1) as send:
        vendor.api = lambda _: reply(200, {}, **{"set-cookie": "a=b; Path=/"})
        for _ in range(2):
            assert send(vendor.request()).headers["set-cookie"] == "a=b; Path=/"
        assert "cookie" not in vendor.calls[1].headers


# --- connections that are used again ---


def answer(number: int) -> bytes:
    body = b'{"number": %d}' % number
    return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


def numbers(vendor: RawVendor, send: HttpSender, count: int) -> list[int]:
    return [send(vendor.request()).body["number"] for _ in range(count)]


def test_a_connection_is_used_again() -> None:
    with RawVendor([answer(1), answer(2)]) as vendor, HttpSender(NO_AUTH, 1) as send:
        assert numbers(vendor, send, 2) == [1, 2]
        assert vendor.requests == [2]


@pytest.mark.parametrize(
    "surplus",
    [answer(8), answer(8) + answer(9), answer(8)[:20], b"HTTP/1.1 100 Continue\r\n\r\n", b"x"],
    ids=["an answer", "two", "a part of one", "a hint", "a letter"],
)
def test_what_comes_after_an_answer_is_no_answer_to_the_next_request(surplus: bytes) -> None:
    with (
        RawVendor([answer(1) + surplus, answer(7)], [answer(2)]) as vendor,
        HttpSender(NO_AUTH, 1) as send,
    ):
        assert numbers(vendor, send, 2) == [1, 2]
        assert vendor.requests == [1, 1]


def test_nor_is_what_comes_later() -> None:
    with (
        SlowVendor(answer(1), answer(8), PAUSE) as vendor,
        HttpSender(NO_AUTH, 1) as send,
    ):
        for _ in range(2):
            assert send(vendor.request()).body == {"number": 1}
            time.sleep(PAUSE * 3)


def test_a_connection_that_the_vendor_closed_is_not_used_again() -> None:
    with (
        RawVendor([answer(1)], [answer(2)], hangs_up=True) as vendor,
        HttpSender(NO_AUTH, 1) as send,
    ):
        assert numbers(vendor, send, 1) == [1]
        time.sleep(0.05)
        assert numbers(vendor, send, 1) == [2]


def test_one_that_it_closes_when_it_is_asked_again_is_told_apart() -> None:
    with (
        RawVendor([answer(1)], [answer(2)]) as vendor,
        HttpSender(NO_AUTH, 1) as send,
    ):
        assert numbers(vendor, send, 1) == [1]
        with pytest.raises(StaleError, match="closed the connection, which was kept open"):
            send(vendor.request())
        assert numbers(vendor, send, 1) == [2]
        assert vendor.requests == [2, 1]


@pytest.mark.parametrize("begun", [b"H", answer(1)[:-1]])
def test_one_that_has_begun_to_answer_is_not(begun: bytes) -> None:
    with (
        RawVendor([answer(1), begun], hangs_up=True) as vendor,
        HttpSender(NO_AUTH, 1) as send,
    ):
        numbers(vendor, send, 1)
        with pytest.raises(SendError, match="closed before the answer was complete") as caught:
            send(vendor.request())
        assert type(caught.value) is SendError


def test_a_first_request_without_an_answer_is_no_stale_one() -> None:
    with RawVendor([]) as vendor, HttpSender(NO_AUTH, 1) as send:
        with pytest.raises(SendError, match="closed before the answer was complete") as caught:
            send(vendor.request())
        assert type(caught.value) is SendError


def test_what_must_not_arrive_twice_is_sent_on_a_connection_of_its_own() -> None:
    with (
        RawVendor([answer(1)], [answer(2), answer(3)]) as vendor,
        HttpSender(NO_AUTH, 2) as send,
    ):
        numbers(vendor, send, 1)
        assert send(vendor.request(repeatable=False)).body == {"number": 2}
        assert numbers(vendor, send, 1) == [3]
        assert vendor.requests == [1, 2]


# --- what is cut, and what nothing is sent to ---

WAITING: dict[str, tuple[tuple[Any, ...], str]] = {
    "an answer": ((b"", b"", PAUSE), "http"),
    "the rest of an answer that ends with the connection": ((HEAD + b"\r\n{}", b"", PAUSE), "http"),
    "a handshake": ((b"", b"", PAUSE), "https"),
}


@pytest.mark.parametrize(("slow", "scheme"), WAITING.values(), ids=WAITING)
def test_what_is_in_flight_is_cut(slow: tuple[Any, ...], scheme: str) -> None:
    with SlowVendor(*slow) as vendor, HttpSender(NO_AUTH, 1) as send:
        threading.Timer(0.1, send.cut).start()
        started = time.monotonic()
        with pytest.raises(CutError, match="it may have arrived"):
            send(vendor.request(scheme=scheme))
        assert time.monotonic() - started < 2
        with pytest.raises(CutError):
            send(vendor.request())


def test_looking_up_a_host_is_cut_and_has_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    never = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: never.wait(30) and [])
    request = Request("POST", "http://vendor.example.com/", {}, b"{}")
    with HttpSender(NO_AUTH, 1, TIMEOUT) as send:
        assert_out_of_time(send, request, CONNECTING)
    with HttpSender(NO_AUTH, 1) as send:
        threading.Timer(0.1, send.cut).start()
        with pytest.raises(CutError):
            send(request)
    never.set()


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            socket.gaierror(socket.EAI_NONAME, "x"),
            "there is no host of this name; check the address",
        ),
        (
            socket.gaierror(socket.EAI_AGAIN, "x"),
            "the host's name cannot be looked up; check the name and the network",
        ),
        (UnicodeError("x"), "the host's name cannot be looked up; check the name and the network"),
    ],
)
def test_a_name_that_is_not_found_is_said(
    error: Exception, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with HttpSender(NO_AUTH, 1) as send, pytest.raises(UnreachableError) as caught:
        send(Request("POST", "https://me:hunter2@vendor.example.com/path?q=hunter2", {}, b"{}"))
    assert str(caught.value) == f"cannot connect to vendor.example.com:443: {said}"


def test_the_address_that_cannot_be_reached_is_said() -> None:
    with HttpSender(NO_AUTH, 1) as send, pytest.raises(UnreachableError) as caught:
        send(Request("POST", "http://[::1]:9/path", {}, b"{}"))
    said = "cannot connect to [::1]:9: host unreachable or connection refused"
    assert str(caught.value) == said


@pytest.mark.parametrize("address", ["169.254.169.254", "fe80::1", "::ffff:169.254.169.254"])
def test_a_name_that_leads_to_a_link_local_address_is_refused(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 80))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    with (
        HttpSender(NO_AUTH, 1) as send,
        pytest.raises(ForbiddenAddressError, match="the host is at a link-local address"),
    ):
        send(Request("POST", "http://vendor.example.com/", {}, b"{}"))


def test_nor_does_a_number_lead_there() -> None:
    with HttpSender(NO_AUTH, 1) as send, pytest.raises(ForbiddenAddressError):
        send(Request("POST", "http://2852039166/", {}, b"{}"))

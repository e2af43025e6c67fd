"""The service over TLS."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from collections.abc import Iterator

import pytest

from tests.kit.certificates import certified
from tests.kit.cli import connection, environment, person, run
from tests.kit.http_vendor import Vendor, people
from tests.kit.service import Served, ask, lines

pytest.importorskip("uvicorn", reason="needs the extra 'serve'")

TOKEN = "0123456789abcdef0123456789abcdef"
HEADERS = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def vendor() -> Iterator[Vendor]:
    with Vendor() as one:
        yield one


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, vendor: Vendor) -> Iterator[Served]:
    folder = certified(tmp_path_factory.mktemp("tls"))
    (folder / "token").write_text(TOKEN, "utf-8")
    made = connection(folder, base_url=vendor.base_url)
    tls = ("--tls-cert", folder / "certificate.pem", "--tls-key", folder / "key.pem")
    token = ("--token", f"file:{folder / 'token'}")
    # an address that is not loopback's alone, which needs the token
    with Served(made, "--state", folder / "state", *token, *tls, "--host", "0.0.0.0") as one:
        one.folder = folder
        yield one
        one.stop()
    # what strangers say does not fill the log
    assert [line["event"] for line in one.lines] == ["listening", "stopping", "stopped"]


def context(served: Served) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(served.folder / "certificate.pem"))


def client(served: Served, tls: ssl.SSLContext) -> http.client.HTTPSConnection:
    port = int(served.url.rpartition(":")[2])
    return http.client.HTTPSConnection("127.0.0.1", port, timeout=30, context=tls)


def test_what_is_taken_over_tls_is_delivered(served: Served, vendor: Vendor) -> None:
    assert served.url.startswith("https://0.0.0.0:")
    https = client(served, context(served))
    events = lines([person(number) for number in range(3)])
    assert ask(https, "/v1/events", events, headers={}).code == "unauthorized"
    assert ask(https, "/v1/events", events, headers=HEADERS).json["accepted"] == 3
    assert ask(https, "/v1/flush", b"", headers=HEADERS).status == 200
    while json.loads(ask(https, "/v1/status", headers=HEADERS).body)["connections"]["connection"][
        "pending"
    ]:
        assert vendor.arrived.wait(10)
    assert sum(map(people, vendor.seen)) == 3
    https.close()


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
def test_old_versions_and_plain_text_get_nothing(served: Served) -> None:
    old = context(served)
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    https = client(served, old)
    with pytest.raises((ssl.SSLError, ConnectionError)):
        https.connect()
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        new = context(served)
        new.minimum_version = new.maximum_version = version
        https = client(served, new)
        assert ask(https, "/healthz", headers={}).status == 200
        https.close()

    address = ("127.0.0.1", int(served.url.rpartition(":")[2]))
    for junk in (b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", b"\0" * 100, b""):
        with socket.create_connection(address, 5) as plain:
            plain.sendall(junk)
            plain.shutdown(socket.SHUT_WR)
            try:
                assert b"HTTP" not in plain.recv(1000)
            except ConnectionResetError:
                continue


def test_flush_speaks_tls_with_the_authority_that_is_named(
    served: Served,
) -> None:
    url = served.url.replace("0.0.0.0", "127.0.0.1")
    options = ("--url", url, "--token", f"file:{served.folder / 'token'}")
    known = environment(SSL_CERT_FILE=str(served.folder / "certificate.pem"))
    done = run("flush", *options, env=known)
    assert (done.status, done.out) == (0, "flushed: connection\n")
    unknown = run("flush", *options)
    assert (unknown.status, "certificate" in unknown.err) == (1, True)

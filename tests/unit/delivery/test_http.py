"""HTTP: whose certificates are trusted, and what is logged of a request."""

from __future__ import annotations

import logging
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from connector.auth.base import Scheme
from connector.definitions.model import AuthConfig
from connector.delivery.http import HttpSender, tls_context
from connector.errors import ConfigError, SendError
from connector.model import Request
from tests.kit.auth import auth
from tests.kit.http_vendor import TokenVendor

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
    folder = tmp_path_factory.mktemp("authority")
    command = [
        "openssl", "req", "-x509", "-nodes", "-days", "2",
        "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
        "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
        "-keyout", str(folder / "key.pem"), "-out", str(folder / "certificate.pem"),
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    return folder


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
        pytest.raises(SendError, match="TLS handshake failed; check the host's certificate"),
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
    with HttpSender(NO_AUTH, 1) as send, pytest.raises(SendError, match="TLS handshake failed"):
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

"""TLS of the service: its certificate and its key, or what is wrong with them."""

from __future__ import annotations

import ssl
from pathlib import Path

from connector.errors import ConfigError, Problem

_CERTIFICATE = "--tls-cert"
_KEY = "--tls-key"
_UNENCRYPTED = "give an unencrypted key: openssl pkey -in KEY -out PLAIN-KEY"


def server_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """Return what serves TLS 1.2 and later. Raise ConfigError (C047)."""
    _check_pem(certificate, _CERTIFICATE, b"-----BEGIN CERTIFICATE-----", "certificate")
    _check_pem(key, _KEY, b"PRIVATE KEY-----", "private key")
    is_encrypted = False

    def password() -> str:
        nonlocal is_encrypted
        is_encrypted = True
        return ""

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key, password)
    except (ssl.SSLError, ValueError) as error:
        if is_encrypted:
            raise _error(_KEY, "the key is encrypted", _UNENCRYPTED) from None
        if getattr(error, "reason", None) == "KEY_VALUES_MISMATCH":
            hint = "give the key of the first certificate in --tls-cert"
            raise _error(_KEY, "is not the key of the certificate", hint) from None
        message = "the certificate, its chain or its key is damaged, or too weak to be used"
        raise _error(_CERTIFICATE, message, "give both as PEM, as openssl writes them") from None
    return context


def _check_pem(path: Path, option: str, mark: bytes, word: str) -> None:
    try:
        content = path.read_bytes()
    except OSError as error:
        message = f"cannot be read: {error.strerror or type(error).__name__}"
        raise _error(option, message, f"name a file with a {word} in PEM") from None
    if mark not in content:
        message = f"there is no {word} in this file"
        raise _error(option, message, f"name a file with a {word} in PEM")


def _error(option: str, message: str, hint: str) -> ConfigError:
    return ConfigError([Problem("C047", option, "", message, hint)])

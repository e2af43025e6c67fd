"""Authentication schemes, made of what a definition's `auth` says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connector.auth import schemes
from connector.auth.oauth1 import OAuth1
from connector.definitions.model import AuthConfig
from connector.definitions.read import PLAIN_SOURCES, Reader
from connector.sandbox.verify import AuthVerifier

Written = AuthConfig | Mapping[str, Any]


def auth_config(written: Written) -> AuthConfig:
    """Return the typed value of one scheme."""
    if isinstance(written, AuthConfig):
        return written
    reader = Reader({name: {"read": name} for name in PLAIN_SOURCES})
    return reader.auth(written).schemes[""]


class BothHalves(AuthVerifier):
    """The client's and the vendor's half of an authentication, with the same secrets."""

    def __init__(self, config: AuthConfig, secrets: Mapping[str, str]) -> None:
        super().__init__(config, secrets)
        self._auth = schemes.Auth(config, secrets)
        self.sign = self._auth.sign
        self.renew = self._auth.renew
        self.send_signed = self._auth.send_signed

    def __repr__(self) -> str:
        return repr(self._auth)


class OAuth1BothHalves(BothHalves):
    """Both halves of OAuth 1.0a; a nonce and a time may be given."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        super().__init__(AuthConfig("oauth1"), secrets)
        self.signed = OAuth1(AuthConfig("oauth1"), secrets).signed


def auth(written: Written, secrets: Mapping[str, str]) -> BothHalves:
    """Return both halves of an authentication with these secrets."""
    return BothHalves(auth_config(written), secrets)


def credentials_of(written: Written) -> list[str]:
    """Return the names of the credentials that the scheme uses."""
    return list(auth_config(written).credentials)


def can_be_optional(written: Written) -> list[str]:
    """Return the credentials that a connection may leave out."""
    return schemes.can_be_optional(auth_config(written))

"""Authentication as a definition asks for it.

It is a scheme, further credentials in headers, and signatures of the body. Every attempt is signed
anew, so that a retry never repeats a nonce or an old time, and a signature of the body is of the
very bytes that are sent.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64encode
from collections.abc import Mapping

from connector.auth.base import Exchange, Kept, Message, Scheme
from connector.auth.keys import ApiKey, Basic, Bearer
from connector.auth.oauth1 import OAuth1
from connector.auth.oauth2 import ClientCredentials, RefreshToken
from connector.definitions.model import AuthConfig, BodySignature

#: The schemes by their name in a definition and, for oauth2, their grant.
SCHEMES: dict[tuple[str, str], type[Scheme]] = {
    ("none", ""): Scheme,
    ("bearer", ""): Bearer,
    ("basic", ""): Basic,
    ("api_key", ""): ApiKey,
    ("oauth1", ""): OAuth1,
    ("oauth2", ClientCredentials.GRANT): ClientCredentials,
    ("oauth2", RefreshToken.GRANT): RefreshToken,
}

_HASHES = {"sha256": hashlib.sha256, "sha1": hashlib.sha1}


def scheme_of(config: AuthConfig) -> type[Scheme]:
    """Return the scheme that a definition asks for."""
    return SCHEMES[config.scheme, config.grant]


def can_be_optional(config: AuthConfig) -> list[str]:
    """Return the credentials that a definition may declare optional."""
    scheme = scheme_of(config)
    required = scheme.CREDENTIALS.keys() - scheme.CAN_BE_OPTIONAL
    return [name for name in config.credentials if name not in required]


class Auth(Scheme):
    """All that a definition's `auth` asks for, with one customer's secrets."""

    def __init__(
        self, config: AuthConfig, secrets: Mapping[str, str], kept: Kept | None = None
    ) -> None:
        """`kept`: where a credential that the vendor renews is kept."""
        self._scheme = scheme_of(config)(config, secrets)
        self._scheme.kept = kept
        self._headers = secret_headers(config, secrets)
        self._signatures = signatures(config, secrets)

    def sign(self, message: Message, exchange: Exchange) -> Message:
        """Sign with the scheme, then add headers and signatures of the body."""
        message = self._scheme.sign(message, exchange)
        for name, secret in self._headers.items():
            message = message.with_header(name, secret)
        for signature in self._signatures:
            message = message.with_header(signature.header, signature.of(message.body))
        return message

    def renew(self, refused: Message) -> bool:
        """Ask the scheme."""
        return self._scheme.renew(refused)


def secret_headers(config: AuthConfig, secrets: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that hold a credential; one without its secret is left out."""
    headers = {}
    for header, credential in config.headers.items():
        if credential in secrets:
            headers[header] = secrets[credential]
    return headers


def signatures(config: AuthConfig, secrets: Mapping[str, str]) -> list[Signature]:
    """Return the signatures of the body; one without its secret is left out."""
    usable = []
    for signature in config.body_signatures:
        secret = secrets.get(signature.credential)
        if secret is not None:
            usable.append(Signature(signature, secret))
    return usable


class Signature:
    """An HMAC (RFC 2104) of the body in a header."""

    def __init__(self, config: BodySignature, secret: str) -> None:
        self.header = config.header
        self._config = config
        self._key = secret.encode()

    def of(self, body: bytes) -> str:
        """Return the header's value for a body."""
        digest = hmac.new(self._key, body, _HASHES[self._config.hash])
        if self._config.encoding == "base64":
            return self._config.prefix + b64encode(digest.digest()).decode()
        return self._config.prefix + digest.hexdigest()

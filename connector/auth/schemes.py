"""Authentication as a definition says it: a scheme, further credentials in headers, and a signature of the body.

Every attempt is signed anew, so a retry never repeats a nonce or a stale time, and the signature of the body is of the
very bytes that are sent.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64encode
from collections.abc import Iterator, Mapping
from typing import Any

from connector.auth.base import Ask, Message, Scheme, same
from connector.auth.keys import ApiKey, Basic, Bearer
from connector.auth.oauth1 import OAuth1
from connector.auth.oauth2 import ClientCredentials, RefreshToken
from connector.definitions.model import AuthConfig, BodySignature
from connector.model import Response

#: Grant of oauth2 → scheme.
GRANTS: dict[str, type[Scheme]] = {
    grant.GRANT: grant for grant in (ClientCredentials, RefreshToken)
}

#: Scheme name in a definition → scheme, by grant where there are several.
SCHEMES: dict[str, type[Scheme] | dict[str, type[Scheme]]] = {
    "bearer": Bearer,
    "basic": Basic,
    "api_key": ApiKey,
    "oauth1": OAuth1,
    "oauth2": GRANTS,
    "none": Scheme,
}


def scheme_of(config: AuthConfig) -> type[Scheme]:
    """Return the scheme that a definition's `auth` names."""
    found = SCHEMES[config.scheme]
    return found[config.grant] if isinstance(found, dict) else found


def credentials_of(config: AuthConfig) -> list[str]:
    """Return the names of all credentials that a definition's `auth` uses, each once."""
    more = [signature.credential for signature in config.body_signatures]
    return list(dict.fromkeys([*scheme_of(config).CREDENTIALS, *config.headers.values(), *more]))


def may_lack(config: AuthConfig) -> list[str]:
    """Return the credentials that a connection may leave out, if the definition says so."""
    found = scheme_of(config)
    needed = set(found.CREDENTIALS) - set(found.MAY_LACK)
    return [name for name in credentials_of(config) if name not in needed]


class Auth(Scheme):
    """All that a definition's `auth` asks for, with one customer's secrets."""

    def __init__(self, config: AuthConfig, secrets: Mapping[str, str]) -> None:
        self._scheme = scheme_of(config)(config, secrets)
        self.token_path = self._scheme.token_path
        headers = config.headers
        self._headers = {name: secrets[one] for name, one in headers.items() if one in secrets}
        known = (one for one in config.body_signatures if one.credential in secrets)
        self._signatures = [_Signature(one, secrets[one.credential]) for one in known]

    def sign(self, message: Message, ask: Ask) -> Message:
        """Sign with the scheme, then with what is further asked for."""
        message = self._scheme.sign(message, ask)
        for name, text in self._headers.items():
            message = message.with_header(name, text)
        for signature in self._signatures:
            message = signature.sign(message)
        return message

    def renew(self, refused: Message) -> bool:
        """Ask the scheme."""
        return self._scheme.renew(refused)

    def verify(self, message: Message) -> str | None:
        """Return the first reason against a message."""
        return next(self._reasons(message), None)

    def _reasons(self, message: Message) -> Iterator[str]:
        reason = self._scheme.verify(message)
        if reason:
            yield reason
        for name, text in self._headers.items():
            if not same(message.headers.get(name.lower(), ""), text):
                yield f"the credential in the header {name} is missing or wrong"
        for signature in self._signatures:
            if not signature.holds(message):
                yield f"the signature of the body in the header {signature.header} is missing or wrong"

    def opened(self, body: Any) -> Any:
        """Return a parsed body without the credentials in it."""
        return self._scheme.opened(body)

    def issue(self, message: Message) -> Response:
        """Answer a request to the token endpoint."""
        return self._scheme.issue(message)


class _Signature:
    """An HMAC (RFC 2104) of the body in a header."""

    def __init__(self, config: BodySignature, secret: str) -> None:
        self.header = config.header
        self._hash = {"sha256": hashlib.sha256, "sha1": hashlib.sha1}[config.hash]
        self._base64 = config.encoding == "base64"
        self._prefix = config.prefix
        self._key = secret.encode()

    def sign(self, message: Message) -> Message:
        return message.with_header(self.header, self._of(message.body))

    def holds(self, message: Message) -> bool:
        return same(message.headers.get(self.header.lower(), ""), self._of(message.body))

    def _of(self, body: bytes) -> str:
        digest = hmac.new(self._key, body, self._hash)
        return self._prefix + (
            b64encode(digest.digest()).decode() if self._base64 else digest.hexdigest()
        )

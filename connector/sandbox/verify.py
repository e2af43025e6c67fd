"""The vendor's half of each authentication scheme: whether a request is authentic.

The sandbox verifies what `connector.auth` signs. No message here quotes a secret.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import orjson

from connector.auth.base import Message
from connector.auth.keys import basic_header
from connector.auth.schemes import secret_headers, signatures
from connector.definitions.model import AuthConfig
from connector.model import Response
from connector.sandbox.verifier import (
    BASIC_CHALLENGE,
    CHALLENGE,
    Verifier,
    credentials_in,
    equal,
)
from connector.sandbox.verify_oauth1 import OAuth1Verifier
from connector.sandbox.verify_oauth2 import OAuth2Verifier


class _Bearer(Verifier):
    challenge: Mapping[str, str] = {CHALLENGE: "Bearer"}

    def __init__(self, config: AuthConfig, secrets: Mapping[str, str]) -> None:
        self._token = secrets.get("access_token")
        self._issuer: OAuth2Verifier | None = None
        if config.login:
            issues = replace(config, token_url=config.login.token_url)
            client = {name: secrets[name] for name in ("client_id",) if name in secrets}
            self._issuer = OAuth2Verifier(issues, client)
            self.pages = self._issuer.pages

    def verify(self, message: Message) -> str | None:
        scheme, token = credentials_in(message)
        if self._issuer and self._issuer.verify(message) is None:
            return None
        if self._token is None and not self._issuer:
            return None
        if self._token and scheme == "bearer" and equal(token, self._token.strip()):
            return None
        return "missing or wrong bearer token"


class _Basic(Verifier):
    challenge: Mapping[str, str] = {CHALLENGE: BASIC_CHALLENGE}

    def __init__(self, config: AuthConfig, secrets: Mapping[str, str]) -> None:
        header = basic_header(secrets["username"], secrets.get("password", ""))
        self._credentials = header.partition(" ")[2]

    def verify(self, message: Message) -> str | None:
        scheme, credentials = credentials_in(message)
        if scheme == "basic" and equal(credentials, self._credentials):
            return None
        return "missing or wrong user name or password"


class _ApiKey(Verifier):
    def __init__(self, config: AuthConfig, secrets: Mapping[str, str]) -> None:
        self._key_in = config.key_in
        self._name = config.key_name
        # a prefix in this header is the name of a scheme
        self._has_scheme = config.key_prefix.endswith(" ") and (
            config.key_in == "header" and config.key_name.lower() == "authorization"
        )
        key = secrets.get("api_key")
        self._key = None if key is None else self._comparable(config.key_prefix + key)

    def _comparable(self, key: str) -> str:
        """Return a key with the name of its scheme in lower case."""
        if not self._has_scheme:
            return key
        scheme, _, rest = key.partition(" ")
        return f"{scheme.lower()} {rest.strip()}"

    def verify(self, message: Message) -> str | None:
        if self._key is None or equal(self._comparable(self._key_of(message)), self._key):
            return None
        return f"missing or wrong key '{self._name}' in the {self._key_in}"

    def _key_of(self, message: Message) -> str:
        if self._key_in == "header":
            return message.headers.get(self._name.lower(), "")
        if self._key_in == "query":
            query = dict(parse_qsl(urlsplit(message.url).query))
            return query.get(self._name, "")
        try:
            body = orjson.loads(message.body)
        except orjson.JSONDecodeError:
            return ""
        key = body.get(self._name) if isinstance(body, dict) else ""
        return key if isinstance(key, str) else ""

    def without_credentials(self, body: Any) -> Any:
        if self._key_in != "body" or self._key is None or not isinstance(body, dict):
            return body
        return {name: value for name, value in body.items() if name != self._name}


_VERIFIERS: dict[str, type[Verifier]] = {
    "none": Verifier,
    "bearer": _Bearer,
    "basic": _Basic,
    "api_key": _ApiKey,
    "oauth1": OAuth1Verifier,
    "oauth2": OAuth2Verifier,
}


class AuthVerifier(Verifier):
    """The vendor's half of all that a definition's `auth` asks for."""

    def __init__(self, config: AuthConfig, secrets: Mapping[str, str]) -> None:
        self._scheme = _VERIFIERS[config.scheme](config, secrets)
        self.token_path = self._scheme.token_path
        self.pages = self._scheme.pages
        self.has_sign_in = config.login is not None
        self.challenge = self._scheme.challenge
        self._headers = secret_headers(config, secrets)
        self._signatures = signatures(config, secrets)

    def verify(self, message: Message) -> str | None:
        """Return the first reason against a message."""
        return next(self._reasons(message), None)

    def _reasons(self, message: Message) -> Iterator[str]:
        reason = self._scheme.verify(message)
        if reason:
            yield reason
        for name, secret in self._headers.items():
            if not equal(message.headers.get(name.lower(), ""), secret):
                yield f"missing or wrong credential in the header {name}"
        for signature in self._signatures:
            sent = message.headers.get(signature.header.lower(), "")
            if not equal(sent, signature.of(message.body)):
                yield f"missing or wrong body signature in the header {signature.header}"

    def without_credentials(self, body: Any) -> Any:
        """Return a parsed body without the credentials in it."""
        return self._scheme.without_credentials(body)

    def issue_token(self, message: Message) -> Response:
        """Answer a request to the token endpoint."""
        return self._scheme.issue_token(message)

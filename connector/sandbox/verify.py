"""The vendor's half of each authentication scheme: whether a request is authentic.

The sandbox verifies what `connector.auth` signs. No message here quotes a secret.
"""

from __future__ import annotations

import hmac
import re
import secrets as random_secrets
import time
from base64 import b64decode
from collections.abc import Iterator, Mapping
from typing import Any, cast
from urllib.parse import parse_qsl, unquote, unquote_plus, urlsplit

import orjson
from oauthlib.common import Request as OAuthRequest
from oauthlib.oauth1.rfc5849 import signature as oauth1_signature

from connector.auth.base import Message
from connector.auth.keys import basic_header
from connector.auth.oauth2 import FORM
from connector.auth.schemes import secret_headers, signatures
from connector.definitions.model import AuthConfig
from connector.model import Response

# How far a request's time may be off; vendors do not say how far they let it be.
_CLOCK_SECONDS = 300
_MOST_NONCES = 100_000
_TOKEN_SECONDS = 3600


class Verifier:
    """The vendor's half of one scheme; this base class requires no credentials."""

    #: The path of the token endpoint, "" when tokens are not fetched.
    token_path: str = ""

    def __init__(self, config: AuthConfig, secrets: Mapping[str, str]) -> None:
        """Take a definition's `auth` without placeholders, and secrets by credential name."""

    def verify(self, message: Message) -> str | None:
        """Return why a message is not authentic, None when it is."""
        return None

    def without_credentials(self, body: Any) -> Any:
        """Return a parsed body without the credentials in it."""
        return body

    def issue_token(self, message: Message) -> Response:
        """Answer a request to the token endpoint."""
        raise NotImplementedError


class _Bearer(Verifier):
    def __init__(self, config: AuthConfig, secrets: Mapping[str, str]) -> None:
        self._token = secrets.get("access_token")

    def verify(self, message: Message) -> str | None:
        header = message.headers.get("authorization", "")
        if self._token is None or _equal(header, f"Bearer {self._token}"):
            return None
        return "missing or wrong bearer token"


class _Basic(Verifier):
    def __init__(self, config: AuthConfig, secrets: Mapping[str, str]) -> None:
        self._header = basic_header(secrets["username"], secrets.get("password", ""))

    def verify(self, message: Message) -> str | None:
        if _equal(message.headers.get("authorization", ""), self._header):
            return None
        return "missing or wrong user name or password"


class _ApiKey(Verifier):
    def __init__(self, config: AuthConfig, secrets: Mapping[str, str]) -> None:
        self._key_in = config.key_in
        self._name = config.key_name
        key = secrets.get("api_key")
        self._key = None if key is None else config.key_prefix + key

    def verify(self, message: Message) -> str | None:
        if self._key is None or _equal(self._key_of(message), self._key):
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


class _OAuth1(Verifier):
    def __init__(self, config: AuthConfig, secrets: Mapping[str, str]) -> None:
        self._secrets = dict(secrets)
        self._seen: set[tuple[str, str]] = set()

    def verify(self, message: Message) -> str | None:
        fields = _oauth_fields(message.headers.get("authorization", ""))
        if not fields:
            return "missing OAuth Authorization header"
        if not _equal(fields.get("oauth_consumer_key", ""), self._secrets["consumer_key"]):
            return "unknown consumer key"
        if not _equal(fields.get("oauth_token", ""), self._secrets["access_token"]):
            return "unknown access token"
        if fields.get("oauth_signature_method") != "HMAC-SHA1":
            return "oauth_signature_method must be HMAC-SHA1"

        timestamp = fields.get("oauth_timestamp", "")
        is_number = re.fullmatch("[0-9]{1,12}", timestamp)
        if not is_number or abs(time.time() - int(timestamp)) > _CLOCK_SECONDS:
            return "oauth_timestamp is too far from now"
        if not self._is_signed(message, fields):
            return "wrong signature"
        if not self._is_first_use(timestamp, fields.get("oauth_nonce", "")):
            return "the nonce is already used"
        return None

    def _is_signed(self, message: Message, fields: dict[str, str]) -> bool:
        params = parse_qsl(urlsplit(message.url).query, keep_blank_values=True)
        for name, value in fields.items():
            if name not in ("realm", "oauth_signature"):
                params.append((name, value))

        request: Any = OAuthRequest(message.url, cast(Any, message.method))
        request.params = params
        request.signature = fields.get("oauth_signature", "")
        secrets = self._secrets["consumer_secret"], self._secrets["access_token_secret"]
        return bool(oauth1_signature.verify_hmac_sha1(request, *secrets))

    def _is_first_use(self, timestamp: str, nonce: str) -> bool:
        if not nonce or (timestamp, nonce) in self._seen:
            return False
        if len(self._seen) > _MOST_NONCES:
            oldest = time.time() - 2 * _CLOCK_SECONDS
            self._seen = {seen for seen in self._seen if int(seen[0]) > oldest}
        self._seen.add((timestamp, nonce))
        return True


def _oauth_fields(header: str) -> dict[str, str]:
    scheme, _, rest = header.partition(" ")
    if scheme.lower() != "oauth":
        return {}
    fields = {}
    for part in rest.split(","):
        name, _, value = part.strip().partition("=")
        if name:
            fields[unquote(name)] = unquote(value.strip('"'))
    return fields


class _OAuth2(Verifier):
    def __init__(self, config: AuthConfig, secrets: Mapping[str, str]) -> None:
        self._config = config
        self._secrets = dict(secrets)
        self.token_path = urlsplit(config.token_url).path or "/"
        # token → when it ends, by `time.monotonic`
        self._issued: dict[str, float] = {}

    def verify(self, message: Message) -> str | None:
        scheme, _, bearer_token = message.headers.get("authorization", "").partition(" ")
        ends = [end for token, end in self._issued.items() if _equal(bearer_token, token)]
        if scheme.lower() != "bearer" or not ends:
            return "missing or unknown access token"
        if time.monotonic() >= ends[0]:
            return "the access token has expired"
        return None

    def issue_token(self, message: Message) -> Response:
        """Answer a request for a token (RFC 6749, 5)."""
        form = dict(parse_qsl(message.body.decode("utf-8", "replace"), keep_blank_values=True))
        refusal = self._refusal(message, form)
        if refusal:
            status, error = refusal
            return Response(status, {"content-type": "application/json"}, {"error": error})

        now = time.monotonic()
        self._issued = {token: end for token, end in self._issued.items() if now < end}
        token = random_secrets.token_urlsafe(12)
        self._issued[token] = now + _TOKEN_SECONDS

        headers = {"content-type": "application/json", "cache-control": "no-store"}
        body = {"access_token": token, "token_type": "Bearer", "expires_in": _TOKEN_SECONDS}
        return Response(200, headers, body)

    def _refusal(self, message: Message, form: Mapping[str, str]) -> tuple[int, str] | None:
        """Return the status and the error of a refusal (RFC 6749, 5.2), None when there is none."""
        content_type = message.headers.get("content-type", "").partition(";")[0]
        if message.method != "POST" or content_type.strip().lower() != FORM:
            return 400, "invalid_request"

        client_id, client_secret = self._client(message, form)
        id_is_right = _equal(client_id, self._secrets.get("client_id", ""))
        if not id_is_right or not _equal(client_secret, self._secrets.get("client_secret", "")):
            return 401, "invalid_client"

        if form.get("grant_type") != self._config.grant:
            return 400, "unsupported_grant_type"
        refresh_token = self._secrets.get("refresh_token", "")
        if self._config.grant == "refresh_token" and not _equal(
            form.get("refresh_token", ""), refresh_token
        ):
            return 400, "invalid_grant"
        if form.get("scope", "") != self._config.scope:
            return 400, "invalid_scope"
        return None

    def _client(self, message: Message, form: Mapping[str, str]) -> tuple[str, str]:
        """Return the client's id and secret as they were given."""
        if self._config.client_in == "body":
            return form.get("client_id", ""), form.get("client_secret", "")

        scheme, _, credentials = message.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "basic":
            return "", ""
        try:
            client_id, _, client_secret = b64decode(credentials).decode().partition(":")
        except ValueError:
            return "", ""
        return unquote_plus(client_id), unquote_plus(client_secret)


_VERIFIERS: dict[str, type[Verifier]] = {
    "none": Verifier,
    "bearer": _Bearer,
    "basic": _Basic,
    "api_key": _ApiKey,
    "oauth1": _OAuth1,
    "oauth2": _OAuth2,
}


class AuthVerifier(Verifier):
    """The vendor's half of all that a definition's `auth` asks for."""

    def __init__(self, config: AuthConfig, secrets: Mapping[str, str]) -> None:
        self._scheme = _VERIFIERS[config.scheme](config, secrets)
        self.token_path = self._scheme.token_path
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
            if not _equal(message.headers.get(name.lower(), ""), secret):
                yield f"missing or wrong credential in the header {name}"
        for signature in self._signatures:
            sent = message.headers.get(signature.header.lower(), "")
            if not _equal(sent, signature.of(message.body)):
                yield f"missing or wrong body signature in the header {signature.header}"

    def without_credentials(self, body: Any) -> Any:
        """Return a parsed body without the credentials in it."""
        return self._scheme.without_credentials(body)

    def issue_token(self, message: Message) -> Response:
        """Answer a request to the token endpoint."""
        return self._scheme.issue_token(message)


def _equal(actual: str, expected: str) -> bool:
    """Compare two texts in constant time."""
    return hmac.compare_digest(actual.encode(), expected.encode())

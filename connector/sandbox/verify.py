"""The vendor's half of each authentication scheme: whether a request is authentic.

The sandbox verifies what `connector.auth` signs. No message here quotes a secret.
"""

from __future__ import annotations

import hmac
import re
import secrets as random_secrets
import time
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, cast
from urllib.parse import parse_qsl, unquote, unquote_plus, urlsplit
from urllib.request import parse_http_list

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

_CHALLENGE = "www-authenticate"
_BASIC_CHALLENGE = 'Basic realm="sandbox", charset="UTF-8"'


class Verifier:
    """The vendor's half of one scheme; this base class requires no credentials."""

    #: The path of the token endpoint, "" when tokens are not fetched.
    token_path: str = ""

    #: The header of an answer 401: how to authenticate (RFC 9110, 11.6.1).
    challenge: Mapping[str, str] = {}

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
    challenge: Mapping[str, str] = {_CHALLENGE: "Bearer"}

    def __init__(self, config: AuthConfig, secrets: Mapping[str, str]) -> None:
        self._token = secrets.get("access_token")

    def verify(self, message: Message) -> str | None:
        scheme, token = _credentials(message)
        if self._token is None:
            return None
        if scheme == "bearer" and _equal(token, self._token.strip()):
            return None
        return "missing or wrong bearer token"


class _Basic(Verifier):
    challenge: Mapping[str, str] = {_CHALLENGE: _BASIC_CHALLENGE}

    def __init__(self, config: AuthConfig, secrets: Mapping[str, str]) -> None:
        header = basic_header(secrets["username"], secrets.get("password", ""))
        self._credentials = header.partition(" ")[2]

    def verify(self, message: Message) -> str | None:
        scheme, credentials = _credentials(message)
        if scheme == "basic" and _equal(credentials, self._credentials):
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
        if self._key is None or _equal(self._comparable(self._key_of(message)), self._key):
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
    challenge: Mapping[str, str] = {_CHALLENGE: "OAuth"}

    def __init__(self, config: AuthConfig, secrets: Mapping[str, str]) -> None:
        self._secrets = dict(secrets)
        self._seen: set[tuple[str, str]] = set()

    def verify(self, message: Message) -> str | None:
        params = _oauth_params(message)
        fields = {name: value for name, value in params if name.startswith("oauth_")}
        if not fields:
            return "missing OAuth Authorization header"
        if len(fields) < sum(name.startswith("oauth_") for name, _ in params):
            return "an OAuth parameter is sent twice"
        reason = self._why_not_ours(fields)
        if reason:
            return reason
        if not self._is_signed(message, params, fields.get("oauth_signature", "")):
            return "wrong signature"
        if fields.get("oauth_version", "1.0") != "1.0":
            return "oauth_version must be 1.0"
        if not self._is_first_use(fields["oauth_timestamp"], fields.get("oauth_nonce", "")):
            return "the nonce is already used"
        return None

    def _why_not_ours(self, fields: Mapping[str, str]) -> str | None:
        """Return what is wrong with the parameters, whatever the signature is."""
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
        return None

    def _is_signed(
        self, message: Message, params: Sequence[tuple[str, str]], signature: str
    ) -> bool:
        request: Any = OAuthRequest(message.url, cast(Any, message.method))
        request.params = [param for param in params if param[0] != "oauth_signature"]
        request.signature = signature
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


def _oauth_params(message: Message) -> list[tuple[str, str]]:
    """Return the parameters of query, form and header, decoded (RFC 5849, 3.4.1.3.1 and 3.5).

    A client may send those of OAuth in any of the three.
    """
    params = parse_qsl(urlsplit(message.url).query, keep_blank_values=True)
    if _is_form(message):
        params += parse_qsl(message.body.decode("utf-8", "replace"), keep_blank_values=True)

    scheme, fields = _credentials(message)
    if scheme == "oauth":
        # a quoted realm may hold commas
        for field in parse_http_list(fields):
            name, _, value = field.partition("=")
            if name.strip() and name.strip().lower() != "realm":
                params.append((unquote(name.strip()), unquote(value.strip().strip('"'))))
    return params


class _Refused(NamedTuple):
    """Why there is no token (RFC 6749, 5.2)."""

    error: str
    description: str


class _OAuth2(Verifier):
    challenge: Mapping[str, str] = {_CHALLENGE: "Bearer"}

    def __init__(self, config: AuthConfig, secrets: Mapping[str, str]) -> None:
        self._config = config
        self._secrets = dict(secrets)
        self.token_path = urlsplit(config.token_url).path or "/"
        # token → when it ends, by `time.monotonic`
        self._issued: dict[str, float] = {}

    def verify(self, message: Message) -> str | None:
        scheme, bearer_token = _credentials(message)
        ends = [end for token, end in self._issued.items() if _equal(bearer_token, token)]
        if scheme != "bearer" or not ends:
            return "missing or unknown access token"
        if time.monotonic() >= ends[0]:
            return "the access token has expired"
        return None

    def issue_token(self, message: Message) -> Response:
        """Answer a request for a token (RFC 6749, 5)."""
        headers = {
            "content-type": "application/json",
            "cache-control": "no-store",
            "pragma": "no-cache",
        }
        refused = self._refusal(message)
        if refused:
            status = 400
            if refused.error == "invalid_client":
                status = 401
                headers[_CHALLENGE] = _BASIC_CHALLENGE
            body = {"error": refused.error, "error_description": refused.description}
            return Response(status, headers, body)

        now = time.monotonic()
        self._issued = {token: end for token, end in self._issued.items() if now < end}
        token = random_secrets.token_urlsafe(12)
        self._issued[token] = now + _TOKEN_SECONDS

        answer = {"access_token": token, "token_type": "Bearer", "expires_in": _TOKEN_SECONDS}
        if self._config.scope:
            answer["scope"] = dict(_form_of(message)).get("scope", self._config.scope)
        return Response(200, headers, answer)

    def _refusal(self, message: Message) -> _Refused | None:
        """Return why a request is refused, None when it is not."""
        if message.method != "POST" or not _is_form(message):
            return _Refused("invalid_request", f"expected a POST of {FORM}")

        params = _form_of(message)
        form = dict(params)
        if len(form) < len(params):
            return _Refused("invalid_request", "a parameter is sent twice")
        return (
            self._refusal_of_client(message, form)
            or self._refusal_of_grant(form)
            or self._refusal_of_scope(form)
        )

    def _refusal_of_client(self, message: Message, form: Mapping[str, str]) -> _Refused | None:
        """Check the client. It may always use Basic (RFC 6749, 2.3.1)."""
        client_id, client_secret = form.get("client_id", ""), form.get("client_secret", "")
        if "authorization" in message.headers:
            if client_secret:
                message_text = "the client authenticates in the header and in the body"
                return _Refused("invalid_request", message_text)
            client_id, client_secret = _basic_client(message)

        id_is_right = _equal(client_id, self._secrets.get("client_id", ""))
        if id_is_right and _equal(client_secret, self._secrets.get("client_secret", "")):
            return None
        return _Refused("invalid_client", "the client id or the client secret is wrong")

    def _refusal_of_grant(self, form: Mapping[str, str]) -> _Refused | None:
        grant = self._config.grant
        if "grant_type" not in form:
            return _Refused("invalid_request", "grant_type is missing")
        if form["grant_type"] != grant:
            return _Refused("unsupported_grant_type", f"grant_type has to be {grant}")
        if grant != "refresh_token":
            return None
        if "refresh_token" not in form:
            return _Refused("invalid_request", "refresh_token is missing")
        if not _equal(form["refresh_token"], self._secrets.get("refresh_token", "")):
            return _Refused("invalid_grant", "the refresh token is wrong")
        return None

    def _refusal_of_scope(self, form: Mapping[str, str]) -> _Refused | None:
        """Check the scope: without an order, and nothing that was not granted.

        A refresh without it asks for what was granted before (RFC 6749, 6).
        """
        granted = set(self._config.scope.split())
        wanted = set(form.get("scope", "").split())
        if not wanted and granted and self._config.grant != "refresh_token":
            return _Refused("invalid_scope", f"scope is missing; expected {self._config.scope}")
        if wanted - granted:
            return _Refused("invalid_scope", "scope has more than was granted")
        return None


def _form_of(message: Message) -> list[tuple[str, str]]:
    """Return a form's parameters; one without a value counts as left out (RFC 6749, 3.2)."""
    return parse_qsl(message.body.decode("utf-8", "replace"))


def _basic_client(message: Message) -> tuple[str, str]:
    """Return the client's id and secret of the header, as they were before their encoding."""
    scheme, credentials = _credentials(message)
    if scheme != "basic":
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


def _credentials(message: Message) -> tuple[str, str]:
    """Return the scheme's name, in lower case, and what follows it (RFC 9110, 11.1 and 11.4)."""
    header = message.headers.get("authorization", "")
    scheme, _, credentials = header.strip().partition(" ")
    return scheme.lower(), credentials.strip()


def _is_form(message: Message) -> bool:
    content_type = message.headers.get("content-type", "").partition(";")[0]
    return content_type.strip().lower() == FORM


def _equal(actual: str, expected: str) -> bool:
    """Compare two texts in constant time."""
    return hmac.compare_digest(actual.encode(), expected.encode())

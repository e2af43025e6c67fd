"""OAuth 2 (RFC 6749): a token is fetched when it is first needed, shared by all threads, and renewed in time."""

from __future__ import annotations

import re
import secrets as random_secrets
import threading
import time
from base64 import b64decode
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple
from urllib.parse import parse_qsl, quote_plus, unquote_plus, urlencode, urlsplit

from connector.auth.base import Ask, Message, Scheme, same
from connector.auth.keys import basic
from connector.definitions.model import AuthConfig
from connector.errors import SendError, UnauthorizedError
from connector.model import Response

_FORM = "application/x-www-form-urlencoded"
# So long before its end a token is renewed; at most half of its life.
_EARLY_SECONDS = 60.0
_SANDBOX_SECONDS = 3600
_TOKEN = re.compile(r"[!-~]+")
# The codes of RFC 6749, 5.2 and others of their kind; a token does not look like that.
_WORD = re.compile(r"[a-z][a-z_]{2,47}")
# RFC 6749, 5.2 and 4.1.2.1: shown whatever the secrets are.
_STANDARD_ERRORS = frozenset(
    {
        "invalid_request",
        "invalid_client",
        "invalid_grant",
        "unauthorized_client",
        "unsupported_grant_type",
        "invalid_scope",
        "access_denied",
        "server_error",
        "temporarily_unavailable",
    }
)
_LATER = frozenset({408, 425, 429, *range(500, 600)})


class _Token(NamedTuple):
    """An access token and when it has to be renewed, by `time.monotonic`."""

    text: str
    until: float

    def __repr__(self) -> str:
        return "_Token()"


class OAuth2(Scheme):
    """The base of both grants."""

    GRANT: ClassVar[str] = ""
    CREDENTIALS: ClassVar[tuple[str, ...]] = ("client_id", "client_secret")
    MAY_LACK: ClassVar[tuple[str, ...]] = ("client_secret",)

    def __init__(self, config: AuthConfig, secrets: Mapping[str, str]) -> None:
        self._url = config.token_url
        self.token_path = urlsplit(self._url).path or "/"
        self._client_in = config.client_in
        self._scope = config.scope
        self._secrets = {name: secrets[name] for name in self.CREDENTIALS if name in secrets}
        self._lock = threading.Lock()
        self._token: _Token | None = None
        self._tries = 0
        # not the error itself: its traceback would keep a request and its secrets alive
        self._failure: tuple[type[Exception], str] | None = None
        self._issued: dict[str, float] = {}

    # --- the client ---

    def sign(self, message: Message, ask: Ask) -> Message:
        """Add the token; fetch it first when there is none that still holds."""
        return message.with_header("authorization", f"Bearer {self._current(ask).text}")

    def renew(self, refused: Message) -> bool:
        """Forget the token that was refused; another thread may have done so already."""
        with self._lock:
            if self._token and refused.headers.get("authorization") == f"Bearer {self._token.text}":
                self._token = None
        return True

    def _current(self, ask: Ask) -> _Token:
        tries = self._tries
        with self._lock:
            if self._token and time.monotonic() < self._token.until:
                return self._token
            # who waited for another thread's attempt shares its failure; what is refused once is not asked again
            if self._failure and (self._tries != tries or self._failure[0] is UnauthorizedError):
                kind, text = self._failure
                raise kind(text)
            try:
                self._token = self._fetch(ask)
            except (SendError, UnauthorizedError) as error:
                self._failure = type(error), str(error)
                raise
            finally:
                self._tries += 1
            self._failure = None
            return self._token

    def _fetch(self, ask: Ask) -> _Token:
        started = time.monotonic()
        try:
            answer = ask(self._request())
        except SendError as error:
            raise SendError(f"the token endpoint gives no answer: {error}") from None
        if answer.status in _LATER:
            raise SendError(f"the token endpoint answers HTTP {answer.status}")
        body = answer.body if isinstance(answer.body, dict) else {}
        if not 200 <= answer.status < 300:
            raise UnauthorizedError(self._refusal(answer.status, body.get("error")))
        text = body.get("access_token")
        if not isinstance(text, str) or not _TOKEN.fullmatch(text):
            raise UnauthorizedError(
                "the token endpoint's answer holds no access_token; mend token_url"
            )
        rotated = body.get("refresh_token")
        if "refresh_token" in self._secrets and isinstance(rotated, str) and rotated:
            self._secrets["refresh_token"] = rotated
        return _Token(text, started + _lifetime(body.get("expires_in")))

    def _request(self) -> Message:
        form = {"grant_type": self.GRANT, **self._grant()}
        if self._scope:
            form["scope"] = self._scope
        headers = {"content-type": _FORM, "accept": "application/json"}
        client = {name: self._secrets[name] for name in OAuth2.CREDENTIALS if name in self._secrets}
        if self._client_in == "basic":
            # RFC 6749, 2.3.1: each part in the encoding of forms
            headers["authorization"] = basic(
                *(quote_plus(client.get(name, "")) for name in OAuth2.CREDENTIALS)
            )
        else:
            form |= client
        return Message("POST", self._url, headers, urlencode(form).encode())

    def _grant(self) -> dict[str, str]:
        return {}

    def _refusal(self, status: int, error: Any) -> str:
        if 300 <= status < 400:
            return f"the token endpoint redirects (HTTP {status}); token_url has to be the final address"
        said = f"{error}, HTTP {status}" if self._may_be_shown(error) else f"HTTP {status}"
        return f"the token endpoint refuses ({said}); look at the credentials {', '.join(self._secrets)}"

    def _may_be_shown(self, error: Any) -> bool:
        """Return whether an error is a code that quotes no secret, in whatever spelling."""
        if not isinstance(error, str):
            return False
        if error in _STANDARD_ERRORS:
            return True
        if not _WORD.fullmatch(error):
            return False
        letters = _letters(error)
        for secret in map(_letters, self._secrets.values()):
            if secret and (secret in letters or letters in secret):
                return False
        return True

    # --- the sandbox ---

    def verify(self, message: Message) -> str | None:
        """Look for a token that was issued here and still holds."""
        kind, _, text = message.headers.get("authorization", "").partition(" ")
        known = [until for token, until in self._issued.items() if same(text, token)]
        if kind.lower() != "bearer" or not known:
            return "the access token is missing or not known"
        return None if time.monotonic() < known[0] else "the access token has expired"

    def issue(self, message: Message) -> Response:
        """Answer a request for a token (RFC 6749, 5)."""
        form = dict(parse_qsl(message.body.decode("utf-8", "replace"), keep_blank_values=True))
        status, error = self._refused(message, form)
        if error:
            return Response(status, {"content-type": "application/json"}, {"error": error})
        token, now = random_secrets.token_urlsafe(12), time.monotonic()
        self._issued = {text: until for text, until in self._issued.items() if now < until}
        self._issued[token] = now + _SANDBOX_SECONDS
        body = {"access_token": token, "token_type": "Bearer", "expires_in": _SANDBOX_SECONDS}
        return Response(
            200, {"content-type": "application/json", "cache-control": "no-store"}, body
        )

    def _refused(self, message: Message, form: Mapping[str, str]) -> tuple[int, str]:
        """Return the status and the error of a refusal, "" when there is none."""
        kind = message.headers.get("content-type", "").partition(";")[0].strip().lower()
        if message.method != "POST" or kind != _FORM:
            return 400, "invalid_request"
        if not self._is_client(self._given_client(message, form)):
            return 401, "invalid_client"
        if form.get("grant_type") != self.GRANT:
            return 400, "unsupported_grant_type"
        if any(not same(form.get(name, ""), text) for name, text in self._grant().items()):
            return 400, "invalid_grant"
        return (0, "") if form.get("scope", "") == self._scope else (400, "invalid_scope")

    def _given_client(self, message: Message, form: Mapping[str, str]) -> tuple[str, str]:
        if self._client_in == "body":
            return form.get("client_id", ""), form.get("client_secret", "")
        kind, _, text = message.headers.get("authorization", "").partition(" ")
        try:
            name, _, secret = (
                b64decode(text if kind.lower() == "basic" else "").decode().partition(":")
            )
        except ValueError:
            return "", ""
        return unquote_plus(name), unquote_plus(secret)

    def _is_client(self, given: tuple[str, str]) -> bool:
        return all(
            same(text, self._secrets.get(name, ""))
            for name, text in zip(OAuth2.CREDENTIALS, given, strict=True)
        )


class ClientCredentials(OAuth2):
    """The client's own credentials are the grant (RFC 6749, 4.4)."""

    GRANT: ClassVar[str] = "client_credentials"


class RefreshToken(OAuth2):
    """A refresh token is the grant (RFC 6749, 6); a new one that comes with an answer takes its place."""

    GRANT: ClassVar[str] = "refresh_token"
    CREDENTIALS: ClassVar[tuple[str, ...]] = (*OAuth2.CREDENTIALS, "refresh_token")

    def _grant(self) -> dict[str, str]:
        return {"refresh_token": self._secrets["refresh_token"]}


def _letters(text: str) -> str:
    """Return what is left of a text when case, separators and digits are ignored."""
    return "".join(filter(str.isalpha, text)).lower()


def _lifetime(expires_in: Any) -> float:
    """Return for how many seconds a token is used; one that does not say is used until it is refused."""
    try:
        seconds = float(expires_in)
    except (TypeError, ValueError):
        return float("inf")
    return max(seconds - _EARLY_SECONDS, seconds / 2) if seconds > 0 else float("inf")

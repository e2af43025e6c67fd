"""OAuth 2 (RFC 6749).

A token is fetched when it is first needed, shared by threads, and renewed.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple
from urllib.parse import urlencode

from connector.auth.base import Exchange, Message, Scheme
from connector.definitions.model import AuthConfig
from connector.errors import FinalError, SendError, UnauthorizedError, UnreachableError

FORM = "application/x-www-form-urlencoded"

#: The grant of a sign-in (RFC 6749, 4.1).
AUTHORIZATION_CODE = "authorization_code"

# A token is renewed this long before it expires, but not before half of its lifetime.
_EARLY_SECONDS = 60.0

#: What may stand in a header as a token.
TOKEN = re.compile(r"[!-~]+")
# The codes of RFC 6749, 5.2 and others of their kind; a token does not look like that.
_ERROR_CODE = re.compile(r"[a-z][a-z_]{2,47}")
# Those of RFC 6749, 5.2 and 4.1.2.1 are shown whatever the secrets are.
STANDARD_ERRORS = frozenset(
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
_RETRIED = frozenset({408, 425, 429, *range(500, 600)})


class _Token(NamedTuple):
    """An access token and when it has to be renewed, by `time.monotonic`."""

    text: str
    renew_at: float

    def __repr__(self) -> str:
        return "_Token()"


class OAuth2(Scheme):
    """The base of both grants."""

    GRANT: ClassVar[str] = ""
    DESCRIPTION: ClassVar[str] = (
        "OAuth 2.0: an access token is fetched before the first request, and again when it expires."
    )
    CREDENTIALS: ClassVar[Mapping[str, str]] = {
        "client_id": "the app's client id",
        "client_secret": "the app's client secret",
    }
    CAN_BE_OPTIONAL: ClassVar[frozenset[str]] = frozenset({"client_secret"})

    def __init__(self, config: AuthConfig, secrets: Mapping[str, str]) -> None:
        self._config = config
        self._secrets = {name: secrets[name] for name in self.CREDENTIALS if name in secrets}
        self._lock = threading.Lock()
        self._token: _Token | None = None
        self._attempts = 0
        self._is_renewed = False
        # Not the error itself: its traceback would keep a request and its secrets alive.
        self._failure: tuple[type[Exception], str] | None = None

    def sign(self, message: Message, exchange: Exchange) -> Message:
        """Add the token; fetch it first unless a valid one is held."""
        token = self._current_token(exchange)
        return message.with_header("authorization", f"Bearer {token.text}")

    def renew(self, refused: Message) -> bool:
        """Discard the refused token, unless another thread already has."""
        with self._lock:
            current = f"Bearer {self._token.text}" if self._token else None
            if refused.headers.get("authorization") == current:
                self._token = None
        return True

    def _current_token(self, exchange: Exchange) -> _Token:
        """Return the token in use, a new one where there is none. Only one thread fetches it."""
        attempts_before = self._attempts
        with self._lock:
            if self._token and time.monotonic() < self._token.renew_at:
                return self._token

            if self._failure:
                error, message = self._failure
                # Who waited for the attempt of another thread shares its failure. Credentials that
                # are refused once are not tried again.
                failed_meanwhile = self._attempts != attempts_before
                if failed_meanwhile or error is UnauthorizedError:
                    raise error(message)

            try:
                token = self._fetch_with_latest(exchange)
                self._keep_renewed()
            except (SendError, UnauthorizedError) as error:
                self._failure = type(error), str(error)
                raise
            finally:
                self._attempts += 1

            self._token = token
            self._failure = None
            return token

    def _fetch_with_latest(self, exchange: Exchange) -> _Token:
        """Fetch a token; again when another process has renewed what is exchanged for it."""
        try:
            return self._fetch(exchange)
        except UnauthorizedError:
            latest = self.kept.latest() if self.kept else None
            if latest is None or latest == self._secrets[self.RENEWED]:
                raise
            self._secrets[self.RENEWED] = latest
            return self._fetch(exchange)

    def _fetch(self, exchange: Exchange) -> _Token:
        """Fetch a token. Raises SendError (try again later) or UnauthorizedError."""
        started = time.monotonic()
        try:
            response = exchange(self._request())
        except SendError as error:
            kind = type(error) if isinstance(error, FinalError) else UnreachableError
            raise kind(f"no answer from the token endpoint: {error}") from None

        status = response.status
        if status in _RETRIED:
            raise UnreachableError(f"the token endpoint answers HTTP {status}")

        body = response.body if isinstance(response.body, dict) else {}
        if not 200 <= status < 300:
            raise UnauthorizedError(self._refusal(status, body.get("error")))

        token = body.get("access_token")
        if not isinstance(token, str) or not TOKEN.fullmatch(token):
            message = "the token endpoint's answer has no access_token; check token_url"
            raise UnauthorizedError(message)

        renewed = body.get(self.RENEWED)
        if self.RENEWED and isinstance(renewed, str) and renewed:
            self._is_renewed = renewed != self._secrets[self.RENEWED]
            self._secrets[self.RENEWED] = renewed

        lifetime = _lifetime(body.get("expires_in"))
        return _Token(token, renew_at=started + lifetime)

    def _keep_renewed(self) -> None:
        """Keep a renewed credential where the next run finds it. Raise UnauthorizedError."""
        if self.kept and self._is_renewed:
            self.kept.keep(self._secrets[self.RENEWED])
        self._is_renewed = False

    def _request(self) -> Message:
        """Return the request for a token."""
        headers = {"content-type": FORM, "accept": "application/json"}
        form = {"grant_type": self.GRANT, **self._grant()}
        if self._config.scope:
            form["scope"] = self._config.scope

        for name in ("client_id", "client_secret"):
            if name in self._secrets:
                form[name] = self._secrets[name]
        return Message("POST", self._config.token_url, headers, urlencode(form).encode())

    def _grant(self) -> dict[str, str]:
        """Return the form fields specific to this grant."""
        return {}

    def _refusal(self, status: int, error: Any) -> str:
        """Return why there is no token; `error` is the vendor's code, or anything else."""
        if 300 <= status < 400:
            return f"the token endpoint redirects (HTTP {status}); token_url must be the final URL"
        reason = f"HTTP {status}"
        if self._is_error_code(error):
            reason = f"{error}, {reason}"
        names = ", ".join(self._secrets)
        return f"the token endpoint refuses the request ({reason}); check the credentials {names}"

    def _is_error_code(self, error: Any) -> bool:
        """Return whether an error is a code that quotes no secret, in whatever spelling."""
        if not isinstance(error, str):
            return False
        if error in STANDARD_ERRORS:
            return True
        if not _ERROR_CODE.fullmatch(error):
            return False

        letters = _letters(error)
        for secret in map(_letters, self._secrets.values()):
            if secret and (secret in letters or letters in secret):
                return False
        return True


def _letters(text: str) -> str:
    """Return a text without case, separators and digits."""
    return "".join(filter(str.isalpha, text)).lower()


class ClientCredentials(OAuth2):
    """The client's own credentials are the grant (RFC 6749, 4.4)."""

    GRANT: ClassVar[str] = "client_credentials"


class RefreshToken(OAuth2):
    """A refresh token is the grant (RFC 6749, 6).

    A new one in an answer replaces it: in the store, where it comes from there, else until the run
    ends.
    """

    GRANT: ClassVar[str] = "refresh_token"
    DESCRIPTION: ClassVar[str] = OAuth2.DESCRIPTION
    CREDENTIALS: ClassVar[Mapping[str, str]] = {
        **OAuth2.CREDENTIALS,
        "refresh_token": "the refresh token, exchanged for access tokens",
    }
    SIGNED_IN: ClassVar[tuple[str, ...]] = ("refresh_token",)
    RENEWED: ClassVar[str] = "refresh_token"

    def _grant(self) -> dict[str, str]:
        return {"refresh_token": self._secrets["refresh_token"]}


def _lifetime(expires_in: Any) -> float:
    """Return for how many seconds a token is used; infinity means until it is refused."""
    try:
        seconds = float(expires_in)
    except (TypeError, ValueError):
        return float("inf")
    if seconds > 0:
        return max(seconds - _EARLY_SECONDS, seconds / 2)
    return float("inf")  # zero, negative or NaN says nothing

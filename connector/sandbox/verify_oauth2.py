"""The vendor's half of OAuth 2 (RFC 6749): the token endpoint, renewals, revocation."""

from __future__ import annotations

import secrets as random_secrets
import time
from base64 import b64decode
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import unquote_plus

import orjson

from connector.auth.base import Message
from connector.auth.oauth2 import AUTHORIZATION_CODE, FORM, RefreshToken
from connector.definitions.model import AuthConfig
from connector.model import Response
from connector.sandbox.codes import Codes
from connector.sandbox.verifier import (
    BASIC_CHALLENGE,
    CHALLENGE,
    Page,
    Serve,
    Verifier,
    credentials_in,
    equal,
    form_of,
    is_form,
    path_of,
)

_TOKEN_SECONDS = 3600
_HEADERS = {
    "content-type": "application/json",
    "cache-control": "no-store",
    "pragma": "no-cache",
}


class _Refused(NamedTuple):
    """Why there is no token (RFC 6749, 5.2)."""

    error: str
    description: str


class OAuth2Verifier(Verifier):
    """Issues access tokens, and takes them."""

    challenge: Mapping[str, str] = {CHALLENGE: "Bearer"}

    def __init__(self, config: AuthConfig, secrets: Mapping[str, str]) -> None:
        self._config = config
        self._secrets = dict(secrets)
        self.token_path = path_of(config.token_url)
        # token → when it ends, by `time.monotonic`
        self._issued: dict[str, float] = {}
        # refresh token → the access tokens that came of it
        self._refresh_tokens: dict[str, list[str]] = {}
        if "refresh_token" in secrets:
            self._refresh_tokens[secrets["refresh_token"]] = []
        self._signed_in: set[str] = set()

        self.pages: dict[str, Serve] = {self.token_path: self._token_page}
        self._grants = {config.grant} - {""}
        self._codes: Codes | None = None
        if config.login:
            self._grants.add(AUTHORIZATION_CODE)
            self._codes = Codes(config.login, secrets.get("client_id", ""), config.scope)
            self.pages[path_of(config.login.authorize_url)] = self._codes.serve
            if config.login.revoke_url:
                self.pages[path_of(config.login.revoke_url)] = self._revoke

    def verify(self, message: Message) -> str | None:
        """Return why a message has no valid token, None when it has."""
        scheme, bearer_token = credentials_in(message)
        ends = [end for token, end in self._issued.items() if equal(bearer_token, token)]
        if scheme != "bearer" or not ends:
            return "missing or unknown access token"
        if time.monotonic() >= ends[0]:
            return "the access token has expired"
        return None

    def _token_page(self, message: Message) -> Page:
        answer = self.issue_token(message)
        note = ""
        if "error" in answer.body:
            note = f"{answer.body['error']}: {answer.body['error_description']}"
        return Page(answer.status, answer.headers, orjson.dumps(answer.body), note)

    def issue_token(self, message: Message) -> Response:
        """Answer a request for a token (RFC 6749, 5)."""
        headers = dict(_HEADERS)
        refused = self._refusal(message)
        if refused:
            status = 400
            if refused.error == "invalid_client":
                status = 401
                headers[CHALLENGE] = BASIC_CHALLENGE
            body = {"error": refused.error, "error_description": refused.description}
            return Response(status, headers, body)

        now = time.monotonic()
        self._issued = {token: end for token, end in self._issued.items() if now < end}
        token = random_secrets.token_urlsafe(12)
        self._issued[token] = now + _TOKEN_SECONDS

        form = dict(form_of(message))
        answer = {"access_token": token, "token_type": "Bearer", "expires_in": _TOKEN_SECONDS}
        if self._config.scope:
            answer["scope"] = form.get("scope", self._config.scope)
        answer.update(self._refresh_token(form, token))
        return Response(200, headers, answer)

    def _refresh_token(self, form: Mapping[str, str], token: str) -> dict[str, str]:
        """Return the refresh token for an answer, and what else comes with a sign-in."""
        login = self._config.login
        if form["grant_type"] == AUTHORIZATION_CODE and login:
            if self._config.grant != RefreshToken.GRANT:
                return dict(login.sandbox)
            return {"refresh_token": self._new_refresh_token([token]), **login.sandbox}

        used = form.get("refresh_token", "")
        if not used:
            return {}
        if login and login.rotates and used in self._signed_in:
            tokens = self._refresh_tokens.pop(used)
            return {"refresh_token": self._new_refresh_token([*tokens, token])}
        self._refresh_tokens[used].append(token)
        return {}

    def _new_refresh_token(self, tokens: list[str]) -> str:
        token = random_secrets.token_urlsafe(20)
        self._refresh_tokens[token] = tokens
        self._signed_in.add(token)
        return token

    def _revoke(self, message: Message) -> Page:
        """Take back a token, and what came of it (RFC 7009, 2); an unknown one is none any more."""
        if message.method != "POST" or not is_form(message):
            return Page(400, _HEADERS, b"{}", f"expected a POST of {FORM}")
        token = dict(form_of(message)).get("token", "")
        for issued in self._refresh_tokens.pop(token, []):
            self._issued.pop(issued, None)
        self._issued.pop(token, None)
        return Page(200, _HEADERS, b"{}")

    def _refusal(self, message: Message) -> _Refused | None:
        """Return why a request is refused, None when it is not."""
        if message.method != "POST" or not is_form(message):
            return _Refused("invalid_request", f"expected a POST of {FORM}")

        params = form_of(message)
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

        id_is_right = equal(client_id, self._secrets.get("client_id", ""))
        if id_is_right and equal(client_secret, self._secrets.get("client_secret", "")):
            return None
        return _Refused("invalid_client", "the client id or the client secret is wrong")

    def _refusal_of_grant(self, form: Mapping[str, str]) -> _Refused | None:
        if "grant_type" not in form:
            return _Refused("invalid_request", "grant_type is missing")
        grant = form["grant_type"]
        if grant not in self._grants:
            allowed = " or ".join(sorted(self._grants))
            return _Refused("unsupported_grant_type", f"grant_type has to be {allowed}")
        if grant == AUTHORIZATION_CODE and self._codes:
            reason = self._codes.redeem(form)
            return _Refused("invalid_grant", reason) if reason else None
        if grant != RefreshToken.GRANT:
            return None
        if "refresh_token" not in form:
            return _Refused("invalid_request", "refresh_token is missing")
        if not any(equal(form["refresh_token"], known) for known in self._refresh_tokens):
            return _Refused("invalid_grant", "the refresh token is wrong")
        return None

    def _refusal_of_scope(self, form: Mapping[str, str]) -> _Refused | None:
        """Check the scope: without an order, and nothing that was not granted.

        A refresh without it asks for what was granted before (RFC 6749, 6).
        """
        granted = set(self._config.scope.split())
        wanted = set(form.get("scope", "").split())
        if not wanted and granted and self._config.grant != RefreshToken.GRANT:
            return _Refused("invalid_scope", f"scope is missing; expected {self._config.scope}")
        if wanted - granted:
            return _Refused("invalid_scope", "scope has more than was granted")
        return None


def _basic_client(message: Message) -> tuple[str, str]:
    """Return the client's id and secret of the header, as they were before their encoding."""
    scheme, credentials = credentials_in(message)
    if scheme != "basic":
        return "", ""
    try:
        client_id, _, client_secret = b64decode(credentials).decode().partition(":")
    except ValueError:
        return "", ""
    return unquote_plus(client_id), unquote_plus(client_secret)

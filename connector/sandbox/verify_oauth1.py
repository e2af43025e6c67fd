"""The vendor's half of OAuth 1.0a (RFC 5849): signatures, and signing in."""

from __future__ import annotations

import re
import secrets as random_secrets
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit
from urllib.request import parse_http_list

from oauthlib.common import Request as OAuthRequest
from oauthlib.oauth1.rfc5849 import signature as oauth1_signature

from connector.auth.base import Message
from connector.auth.oauth2 import FORM
from connector.definitions.login import Login
from connector.definitions.model import AuthConfig
from connector.sandbox.consent import Consents, is_callback, page, redirect
from connector.sandbox.verifier import (
    CHALLENGE,
    REVOKED,
    Page,
    Serve,
    Verifier,
    credentials_in,
    equal,
    is_form,
    path_of,
)

# How far a request's time may be off; vendors do not say how far they let it be.
_CLOCK_SECONDS = 300
_MOST_NONCES = 100_000

#: The callback of an app that the vendor shows a PIN for.
_OUT_OF_BAND = "oob"


class OAuth1Verifier(Verifier):
    """Verifies signatures, by the token that was given or by those of people who signed in."""

    challenge: Mapping[str, str] = {CHALLENGE: "OAuth"}

    def __init__(self, config: AuthConfig, secrets: Mapping[str, str]) -> None:
        self._consumer = secrets["consumer_key"], secrets["consumer_secret"]
        # token → its secret
        self._tokens: dict[str, str] = {}
        if "access_token" in secrets:
            self._tokens[secrets["access_token"]] = secrets["access_token_secret"]
        self._revoked: set[str] = set()
        self._seen: set[tuple[str, str]] = set()
        self.pages: Mapping[str, Serve] = {}
        if config.login:
            self.pages = _SignIn(self, config.login).pages

    def verify(self, message: Message) -> str | None:
        """Return why a message is not signed with a valid token, None when it is."""
        return self.why_not_signed(message, self._tokens)

    def add_token(self, token: str, secret: str) -> None:
        """Take an access token from now on."""
        self._tokens[token] = secret

    def revoke(self, token: str) -> None:
        """Take an access token no more."""
        if self._tokens.pop(token, None) is not None:
            self._revoked.add(token)

    def why_not_signed(self, message: Message, tokens: Mapping[str, str]) -> str | None:
        """Return why a message is not signed with one of these tokens, None when it is.

        A token of "" stands for a signature without one.
        """
        params = oauth_params(message)
        fields = {name: value for name, value in params if name.startswith("oauth_")}
        if not fields:
            return "missing OAuth Authorization header"
        if len(fields) < sum(name.startswith("oauth_") for name, _ in params):
            return "an OAuth parameter is sent twice"
        reason = self._why_not_ours(fields)
        if reason:
            return reason

        secret = _secret_of(fields.get("oauth_token", ""), tokens)
        if secret is None:
            revoked = _secret_of(fields.get("oauth_token", ""), dict.fromkeys(self._revoked, ""))
            return "unknown access token" if revoked is None else REVOKED
        if not self._is_signed(message, params, fields.get("oauth_signature", ""), secret):
            return "wrong signature"
        if fields.get("oauth_version", "1.0") != "1.0":
            return "oauth_version must be 1.0"
        if not self._is_first_use(fields["oauth_timestamp"], fields.get("oauth_nonce", "")):
            return "the nonce is already used"
        return None

    def _why_not_ours(self, fields: Mapping[str, str]) -> str | None:
        """Return what is wrong with the parameters, whatever token and signature are."""
        if not equal(fields.get("oauth_consumer_key", ""), self._consumer[0]):
            return "unknown consumer key"
        if fields.get("oauth_signature_method") != "HMAC-SHA1":
            return "oauth_signature_method must be HMAC-SHA1"

        timestamp = fields.get("oauth_timestamp", "")
        is_number = re.fullmatch("[0-9]{1,12}", timestamp)
        if not is_number or abs(time.time() - int(timestamp)) > _CLOCK_SECONDS:
            return "oauth_timestamp is too far from now"
        return None

    def _is_signed(
        self, message: Message, params: Sequence[tuple[str, str]], signature: str, secret: str
    ) -> bool:
        request: Any = OAuthRequest(message.url, cast(Any, message.method))
        request.params = [param for param in params if param[0] != "oauth_signature"]
        request.signature = signature
        return bool(oauth1_signature.verify_hmac_sha1(request, self._consumer[1], secret))

    def _is_first_use(self, timestamp: str, nonce: str) -> bool:
        if not nonce or (timestamp, nonce) in self._seen:
            return False
        if len(self._seen) > _MOST_NONCES:
            oldest = time.time() - 2 * _CLOCK_SECONDS
            self._seen = {seen for seen in self._seen if int(seen[0]) > oldest}
        self._seen.add((timestamp, nonce))
        return True


def _secret_of(token: str, tokens: Mapping[str, str]) -> str | None:
    """Return the secret of a token, None when it is none of these."""
    for known, secret in tokens.items():
        if equal(token, known):
            return secret
    return None


def oauth_params(message: Message) -> list[tuple[str, str]]:
    """Return the parameters of query, form and header, decoded (RFC 5849, 3.4.1.3.1 and 3.5).

    A client may send those of OAuth in any of the three.
    """
    params = parse_qsl(urlsplit(message.url).query, keep_blank_values=True)
    if is_form(message):
        params += parse_qsl(message.body.decode("utf-8", "replace"), keep_blank_values=True)

    scheme, fields = credentials_in(message)
    if scheme == "oauth":
        # a quoted realm may hold commas
        for field in parse_http_list(fields):
            name, _, value = field.partition("=")
            if name.strip() and name.strip().lower() != "realm":
                params.append((unquote(name.strip()), unquote(value.strip().strip('"'))))
    return params


class _Temporary(NamedTuple):
    """A sign-in on its way: its request token, and how it goes on.

    `verifier` is "" until somebody consents.
    """

    secret: str
    callback: str
    verifier: str = ""


class _SignIn:
    """The endpoints and the page of a sign-in (RFC 5849, 2)."""

    def __init__(self, verifier: OAuth1Verifier, login: Login) -> None:
        self._verifier = verifier
        self._login = login
        self._temporary: dict[str, _Temporary] = {}
        self._consents = Consents[str](path_of(login.authorize_url))
        self.pages: dict[str, Serve] = {
            path_of(login.request_token_url): self._request_token,
            path_of(login.authorize_url): self._authorize,
            path_of(login.access_token_url): self._access_token,
        }
        if login.revoke_url:
            self.pages[path_of(login.revoke_url)] = self._revoke

    def _request_token(self, message: Message) -> Page:
        callback = dict(oauth_params(message)).get("oauth_callback", "")
        reason = self._verifier.why_not_signed(message, {"": ""})
        if reason:
            return _refused(401, reason)
        if callback != _OUT_OF_BAND and not is_callback(callback, self._login):
            return _refused(403, "the callback is not one that is registered")

        token = random_secrets.token_urlsafe(20)
        self._temporary[token] = _Temporary(random_secrets.token_urlsafe(20), callback)
        answer = {
            "oauth_token": token,
            "oauth_token_secret": self._temporary[token].secret,
            "oauth_callback_confirmed": "true",
        }
        return _form(answer)

    def _authorize(self, message: Message) -> Page:
        decision = self._consents.decision(message)
        if decision is None:
            token = dict(parse_qsl(urlsplit(message.url).query)).get("oauth_token", "")
            if message.method != "GET" or token not in self._temporary:
                return page(400, "This sign-in is unknown, or has ended.")
            return self._consents.ask(token)

        token = decision.about
        waiting = self._temporary.get(token)
        if waiting is None or waiting.verifier:
            return page(400, "This sign-in is unknown, or has ended.")
        if not decision.consents:
            del self._temporary[token]
            if waiting.callback == _OUT_OF_BAND:
                return page(200, "You declined.")
            return redirect(waiting.callback, {"denied": token})
        return self._consented(token, waiting)

    def _consented(self, token: str, waiting: _Temporary) -> Page:
        by_pin = waiting.callback == _OUT_OF_BAND
        verifier = f"{random_secrets.randbelow(9_000_000) + 1_000_000}"
        if not by_pin:
            verifier = random_secrets.token_urlsafe(20)
        self._temporary[token] = waiting._replace(verifier=verifier)
        if by_pin:
            return page(200, "Enter this PIN where you came from:", code=verifier)
        return redirect(waiting.callback, {"oauth_token": token, "oauth_verifier": verifier})

    def _access_token(self, message: Message) -> Page:
        fields = dict(oauth_params(message))
        secrets = {token: waiting.secret for token, waiting in self._temporary.items()}
        reason = self._verifier.why_not_signed(message, secrets)
        if reason:
            return _refused(401, reason)

        # whatever the verifier is: it is asked for once
        waiting = self._temporary.pop(fields["oauth_token"])
        given = fields.get("oauth_verifier", "")
        if not waiting.verifier or not equal(given, waiting.verifier):
            return _refused(401, "wrong verifier")
        token, secret = random_secrets.token_urlsafe(30), random_secrets.token_urlsafe(30)
        self._verifier.add_token(token, secret)
        return _form({"oauth_token": token, "oauth_token_secret": secret, **self._login.sandbox})

    def _revoke(self, message: Message) -> Page:
        reason = self._verifier.verify(message)
        if reason:
            return _refused(401, reason)
        self._verifier.revoke(dict(oauth_params(message))["oauth_token"])
        return Page(200, {"content-type": "application/json"}, b"{}")


def _form(members: Mapping[str, str]) -> Page:
    headers = {"content-type": FORM, "cache-control": "no-store"}
    return Page(200, headers, urlencode(members).encode())


def _refused(status: int, reason: str) -> Page:
    return Page(status, {"content-type": "text/plain"}, reason.encode() + b"\n", reason)

"""Signing in by an authorization code, with PKCE: the page and the codes.

RFC 6749, 4.1, and RFC 7636.
"""

from __future__ import annotations

import hashlib
import re
import secrets as random_secrets
import time
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit

from connector.auth.base import Message
from connector.definitions.login import Login
from connector.sandbox.consent import Consents, is_callback, page, redirect
from connector.sandbox.verifier import Page, equal, path_of

_CODE_SECONDS = 60
# A digest of SHA-256 in Base64 for URLs, and what it may be the digest of (RFC 7636, 4.1).
_CHALLENGE = re.compile("[A-Za-z0-9_-]{43}")
_VERIFIER = re.compile("[A-Za-z0-9._~-]{43,128}")


class _Asked(NamedTuple):
    """What a page was asked for."""

    callback: str
    challenge: str
    state: str


class _Code(NamedTuple):
    """A code that was given out, and until when it can be redeemed, by `time.monotonic`."""

    asked: _Asked
    ends: float


class Codes:
    """The page on which somebody signs in, and the codes that come of it, each of use once."""

    def __init__(self, login: Login, client_id: str, scope: str) -> None:
        """`scope`: that of the scheme, where the sign-in has none of its own."""
        self._login = login
        self._client_id = client_id
        self._scope = login.scope or scope
        self._consents = Consents[_Asked](path_of(login.authorize_url))
        self._codes: dict[str, _Code] = {}

    def serve(self, message: Message) -> Page:
        """Answer a request to the page."""
        decision = self._consents.decision(message)
        if decision is None:
            return self._ask(message)

        asked = decision.about
        answer = {"state": asked.state} if asked.state else {}
        if not decision.consents:
            return redirect(asked.callback, {"error": "access_denied", **answer})
        code = random_secrets.token_urlsafe(20)
        self._codes[code] = _Code(asked, time.monotonic() + _CODE_SECONDS)
        return redirect(asked.callback, {"code": code, **answer})

    def _ask(self, message: Message) -> Page:
        params = parse_qsl(urlsplit(message.url).query)
        fields = dict(params)
        reason = self._why_not(fields)
        if message.method != "GET":
            reason = "This sign-in is unknown, or has ended."
        elif len(fields) < len(params):
            reason = "A parameter is there twice."
        if reason:
            return page(400, reason)

        asked = _Asked(
            callback=fields["redirect_uri"],
            challenge=fields["code_challenge"],
            state=fields.get("state", ""),
        )
        return self._consents.ask(asked)

    def _why_not(self, fields: Mapping[str, str]) -> str:
        """Return why nobody is asked, "" when somebody is.

        Nothing is sent to an unknown callback.
        """
        if not equal(fields.get("client_id", ""), self._client_id):
            return "The client id is unknown."
        if not is_callback(fields.get("redirect_uri", ""), self._login):
            return "The callback is not one that is registered."
        if fields.get("response_type") != "code":
            return "The response_type has to be code."
        if fields.get("code_challenge_method") != "S256":
            return "The code_challenge_method has to be S256."
        if not _CHALLENGE.fullmatch(fields.get("code_challenge", "")):
            return "The code_challenge is no digest."
        if not _fits(fields.get("scope", ""), self._scope):
            return "The scope is not one that can be granted."
        for name, value in self._login.parameters.items():
            if fields.get(name) != value:
                return f"The parameter {name} is missing or has another value."
        return ""

    def redeem(self, form: Mapping[str, str]) -> str:
        """Take a code, which works once; return why it is refused, "" when it is not."""
        code = self._codes.pop(form.get("code", ""), None)
        if code is None or time.monotonic() >= code.ends:
            return "the code is unknown, used or too old"
        if not equal(form.get("redirect_uri", ""), code.asked.callback):
            return "the redirect_uri is not the one that the code was sent to"
        verifier = form.get("code_verifier", "")
        if not _VERIFIER.fullmatch(verifier):
            return "the code_verifier is missing or has a wrong form"
        digest = hashlib.sha256(verifier.encode()).digest()
        challenge = urlsafe_b64encode(digest).decode().rstrip("=")
        if not equal(challenge, code.asked.challenge):
            return "the code_verifier does not belong to the code_challenge"
        return ""


def _fits(asked: str, granted: str) -> bool:
    if not granted:
        return not asked
    return bool(asked) and set(asked.split()) <= set(granted.split())

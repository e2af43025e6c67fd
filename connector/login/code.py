"""Signing in by an authorization code with PKCE (RFC 6749, 4.1; RFC 7636; RFC 8252)."""

from __future__ import annotations

import hashlib
import hmac
import secrets as random_secrets
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import orjson

from connector.auth.base import Scheme
from connector.auth.oauth2 import AUTHORIZATION_CODE, STANDARD_ERRORS
from connector.auth.schemes import scheme_of
from connector.delivery.http import Fetched
from connector.errors import LoginError
from connector.login.callback import Callback
from connector.login.flow import DECLINED, NOT_OURS, Flow, Person, SignedIn, end, label, token


def sign_in(flow: Flow, person: Person) -> SignedIn:
    """Sign in. Raise LoginError, ConfigError."""
    state = random_secrets.token_urlsafe(32)
    verifier = random_secrets.token_urlsafe(64)
    with Callback(flow.callback, flow.wait) as callback:
        person.visit(_address(flow, callback.url, state, verifier))
        code = _code(callback, state)
    return _exchange(flow, callback.url, code, verifier)


def _address(flow: Flow, callback: str, state: str, verifier: str) -> str:
    """Return the address of the page to consent on."""
    digest = hashlib.sha256(verifier.encode()).digest()
    parameters = {
        **flow.login.parameters,
        "response_type": "code",
        "client_id": flow.secrets["client_id"],
        "redirect_uri": callback,
        "state": state,
        "code_challenge": urlsafe_b64encode(digest).decode().rstrip("="),
        "code_challenge_method": "S256",
    }
    scope = flow.login.scope or flow.auth.scope
    if scope:
        parameters["scope"] = scope
    return f"{flow.login.authorize_url}?{urlencode(parameters)}"


def _code(callback: Callback, state: str) -> str:
    """Return the code that the browser brings."""
    answer = callback.wait()
    if not hmac.compare_digest(answer.get("state", "").encode(), state.encode()):
        raise LoginError(NOT_OURS)
    error = answer.get("error", "")
    if error == "access_denied":
        raise LoginError(DECLINED)
    if error or "code" not in answer:
        reason = error if error in STANDARD_ERRORS else "without a reason that is known"
        hint = "check the app's settings: its kind, its callback and the scopes it may ask for"
        raise LoginError(f"the vendor's page refuses the app ({reason}); {hint}")
    return answer["code"]


def _exchange(flow: Flow, callback: str, code: str, verifier: str) -> SignedIn:
    """Return the tokens that a code is good for."""
    form = {
        "grant_type": AUTHORIZATION_CODE,
        "code": code,
        "redirect_uri": callback,
        "code_verifier": verifier,
    }
    if flow.auth.scope:
        form["scope"] = flow.auth.scope
    for name in ("client_id", "client_secret"):
        if name in flow.secrets:
            form[name] = flow.secrets[name]

    url = flow.login.token_url or flow.auth.token_url
    fetched = flow.fetch(Scheme(flow.auth, {}), "POST", url, form)
    answer = _json(fetched)
    if not 200 <= fetched.status < 300:
        error = str(answer.get("error", ""))
        reason = f"{error}, " if error in STANDARD_ERRORS else ""
        names = " and ".join(name for name in ("client_id", "client_secret") if name in form)
        message = f"the vendor gives no token ({reason}HTTP {fetched.status})"
        raise LoginError(f"{message}; check {names}, and start again: a code works once")

    credentials = {}
    for name in scheme_of(flow.auth).SIGNED_IN:
        credentials[name] = token(answer, name)
    # a refresh token outlives the access token that comes with it
    ends = end(answer) if "access_token" in credentials else None
    return SignedIn(credentials, label(answer, flow.login), ends)


def _json(fetched: Fetched) -> Mapping[str, Any]:
    try:
        answer = orjson.loads(fetched.body)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}

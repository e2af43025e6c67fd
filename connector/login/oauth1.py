"""Signing in by OAuth 1.0a (RFC 5849, 2): the browser brings a verifier, or the person a PIN."""

from __future__ import annotations

import hmac
from contextlib import ExitStack
from urllib.parse import parse_qsl, urlencode

from connector.auth.oauth1 import OAuth1SignIn
from connector.delivery.http import Fetched
from connector.errors import LoginError
from connector.login.callback import Callback
from connector.login.flow import DECLINED, NOT_OURS, Flow, Person, SignedIn, label, token

#: The callback of a sign-in with a PIN.
_OUT_OF_BAND = "oob"


def sign_in(flow: Flow, person: Person) -> SignedIn:
    """Sign in. Raise LoginError, ConfigError."""
    with ExitStack() as stack:
        callback = None
        if flow.callback:
            callback = stack.enter_context(Callback(flow.callback, flow.wait))
        request_token = _request_token(flow, callback.url if callback else _OUT_OF_BAND)
        parameters = {"oauth_token": request_token[0], **flow.login.parameters}
        person.visit(f"{flow.login.authorize_url}?{urlencode(parameters)}")
        verifier = _verifier(callback, request_token[0]) if callback else _pin(person)
    return _exchange(flow, request_token, verifier)


def _request_token(flow: Flow, callback: str) -> tuple[str, str]:
    """Return a request token and its secret."""
    scheme = OAuth1SignIn(flow.secrets, callback=callback)
    fetched = flow.fetch(scheme, "POST", flow.login.request_token_url)
    if not 200 <= fetched.status < 300:
        hint = "check consumer_key, consumer_secret and this machine's clock"
        if callback != _OUT_OF_BAND:
            hint += f", and that the app has exactly this callback: {callback} (or use --pin)"
        raise LoginError(f"the vendor refuses the app (HTTP {fetched.status}); {hint}")

    answer = _form(fetched)
    if answer.get("oauth_callback_confirmed") != "true":
        message = "the vendor does not confirm the callback"
        raise LoginError(f"{message}; it may speak an older OAuth, which is not safe")
    return token(answer, "oauth_token"), token(answer, "oauth_token_secret")


def _verifier(callback: Callback, request_token: str) -> str:
    """Return the verifier that the browser brings."""
    answer = callback.wait()
    if "oauth_verifier" not in answer:
        raise LoginError(DECLINED)
    brought = answer.get("oauth_token", "")
    if not hmac.compare_digest(brought.encode(), request_token.encode()):
        raise LoginError(NOT_OURS)
    return answer["oauth_verifier"]


def _pin(person: Person) -> str:
    pin = person.pin().strip()
    if not pin:
        raise LoginError(DECLINED)
    return pin


def _exchange(flow: Flow, request_token: tuple[str, str], verifier: str) -> SignedIn:
    """Return the access token that a verifier is good for."""
    scheme = OAuth1SignIn(flow.secrets, token=request_token, verifier=verifier)
    fetched = flow.fetch(scheme, "POST", flow.login.access_token_url)
    if not 200 <= fetched.status < 300:
        what = "what the browser brought" if flow.callback else "the PIN"
        hint = "each one works once, and not for long: start again"
        raise LoginError(f"the vendor refuses {what} (HTTP {fetched.status}); {hint}")

    answer = _form(fetched)
    credentials = {
        "access_token": token(answer, "oauth_token"),
        "access_token_secret": token(answer, "oauth_token_secret"),
    }
    return SignedIn(credentials, label(answer, flow.login))


def _form(fetched: Fetched) -> dict[str, str]:
    """Return the members of an answer, which is a form whatever its content type says."""
    return dict(parse_qsl(fetched.body.decode("utf-8", "replace")))

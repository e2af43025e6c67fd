"""The page on which somebody consents to a sign-in, or declines: for people, in any browser."""

from __future__ import annotations

import secrets as random_secrets
from collections.abc import Mapping
from html import escape
from typing import Generic, NamedTuple, TypeVar
from urllib.parse import urlencode, urlsplit

from connector.auth.base import Message
from connector.definitions.login import Login
from connector.sandbox.verifier import Page, form_of

_MOST_WAITING = 1000

_About = TypeVar("_About")

_HEADERS = {
    "content-type": "text/html; charset=utf-8",
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
}
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Sandbox</title></head>
<body><h1>Sandbox</h1><p>{text}</p>{more}</body></html>
"""
_FORM = """<form method="post" action="{path}">
<input type="hidden" name="request" value="{request}">
<button name="decision" value="yes">Consent</button>
<button name="decision" value="no">Decline</button>
</form>"""


class Decision(NamedTuple, Generic[_About]):
    """What somebody decided, and about what."""

    about: _About
    consents: bool


class Consents(Generic[_About]):
    """The questions that wait for somebody's decision; each is answered once."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._waiting: dict[str, _About] = {}

    def ask(self, about: _About) -> Page:
        """Return the page that asks."""
        if len(self._waiting) >= _MOST_WAITING:
            del self._waiting[next(iter(self._waiting))]
        request = random_secrets.token_urlsafe(20)
        self._waiting[request] = about
        form = _FORM.format(path=escape(self._path), request=request)
        return page(200, "May this app change your audiences?", form=form)

    def decision(self, message: Message) -> Decision[_About] | None:
        """Return the decision that a message brings, None when it brings none."""
        if message.method != "POST":
            return None
        form = dict(form_of(message))
        about = self._waiting.pop(form.get("request", ""), None)
        return None if about is None else Decision(about, form.get("decision") == "yes")


def page(status: int, text: str, *, code: str = "", form: str = "") -> Page:
    """Return a page with a sentence, and a code to copy or a form. A refusal is logged."""
    more = f"<p><code>{escape(code)}</code></p>" if code else form
    body = _PAGE.format(text=escape(text), more=more).encode()
    return Page(status, _HEADERS, body, text if status >= 400 else "")


def redirect(address: str, parameters: Mapping[str, str]) -> Page:
    """Return the way back to who asked, with the answer."""
    separator = "&" if urlsplit(address).query else "?"
    location = address + separator + urlencode(parameters)
    return Page(302, {"location": location, "cache-control": "no-store"}, b"")


def is_callback(address: str, login: Login) -> bool:
    """Return whether an address is on the machine that the definition's callback is on.

    Which port and path are registered is the app's business.
    """
    try:
        parts = urlsplit(address)
        expected = urlsplit(login.callback)
        is_there = parts.hostname == expected.hostname and parts.port is not None
    except ValueError:
        return False
    return is_there and parts.scheme == expected.scheme and not parts.fragment

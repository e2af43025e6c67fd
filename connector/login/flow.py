"""What the kinds of sign-in have in common: the person, the requests, what comes of it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from connector.auth.base import Scheme
from connector.auth.oauth2 import TOKEN
from connector.definitions.login import Login
from connector.definitions.model import AuthConfig
from connector.delivery.http import Fetched, HttpSender
from connector.errors import LoginError, SendError

_LONGEST_LABEL = 100


class Person(Protocol):
    """Whoever signs in."""

    def visit(self, address: str) -> None:
        """Show a page in the browser."""

    def pin(self) -> str:
        """Return the PIN that the page shows."""


@dataclass(frozen=True)
class Flow:
    """A sign-in that is to be done.

    `secrets` are those of the app. `callback` is where the browser comes back to, "" for a PIN.
    `wait` is for how many seconds somebody may take.
    """

    auth: AuthConfig
    login: Login
    secrets: Mapping[str, str] = field(repr=False)
    callback: str
    wait: float

    def fetch(
        self, scheme: Scheme, method: str, url: str, form: Mapping[str, str] | None = None
    ) -> Fetched:
        """Ask the vendor for something. Raise LoginError when it cannot be asked now."""
        try:
            with HttpSender(scheme, 1) as sender:
                fetched = sender.fetch(method, url, form)
        except SendError as error:
            raise LoginError(f"no answer from the vendor: {error}; try again") from None
        if fetched.status >= 500 or fetched.status == 429:
            raise LoginError(f"the vendor answers HTTP {fetched.status}; try again later")
        return fetched


@dataclass(frozen=True)
class SignedIn:
    """What a sign-in gave: secrets by credential, who it was, and when they end."""

    credentials: Mapping[str, str] = field(repr=False)
    label: str = ""
    ends: float | None = None


def token(answer: Mapping[str, Any], name: str) -> str:
    """Return a token of an answer. Raise LoginError when it has none."""
    text = answer.get(name)
    if not isinstance(text, str) or not TOKEN.fullmatch(text):
        message = f"the vendor's answer has no '{name}'"
        raise LoginError(f"{message}; check the addresses of the sign-in")
    return text


def label(answer: Mapping[str, Any], login: Login) -> str:
    """Return who signed in, as far as the answer says."""
    text = answer.get(login.label, "") if login.label else ""
    printable = "".join(filter(str.isprintable, str(text)))
    return printable[:_LONGEST_LABEL]


def end(answer: Mapping[str, Any]) -> float | None:
    """Return when a token ends, in seconds since the epoch; None when the answer does not say."""
    lifetime = answer.get("expires_in")
    if not isinstance(lifetime, int) or lifetime <= 0:
        return None
    return time.time() + lifetime


DECLINED = "the sign-in was declined; nothing is stored"
NOT_OURS = (
    "the browser brought an answer that does not belong to this sign-in; nothing is stored; "
    "close its other windows, and start again"
)

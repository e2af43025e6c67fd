"""What verifies requests in the sandbox, and what the verifiers of several schemes need."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from connector.auth.base import Message
from connector.auth.oauth2 import FORM
from connector.definitions.model import AuthConfig
from connector.model import Response

CHALLENGE = "www-authenticate"
BASIC_CHALLENGE = 'Basic realm="sandbox", charset="UTF-8"'

#: The reason against a token that was taken back.
REVOKED = "the access token was revoked"


class Page(NamedTuple):
    """An answer that is not the API's; `note` is for the log, and quotes no secret."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    note: str = ""


#: Answers a request.
Serve = Callable[[Message], Page]


class Verifier:
    """The vendor's half of one scheme; this base class requires no credentials."""

    #: The path of the token endpoint, "" when tokens are not fetched.
    token_path: str = ""

    #: What answers requests to the pages and endpoints of a sign-in and to the token endpoint, by
    #: path.
    pages: Mapping[str, Serve] = {}

    #: Whether somebody can sign in.
    has_sign_in: bool = False

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


def credentials_in(message: Message) -> tuple[str, str]:
    """Return the scheme's name, in lower case, and what follows it (RFC 9110, 11.1 and 11.4)."""
    header = message.headers.get("authorization", "")
    scheme, _, credentials = header.strip().partition(" ")
    return scheme.lower(), credentials.strip()


def is_form(message: Message) -> bool:
    """Return whether a body is a form."""
    content_type = message.headers.get("content-type", "").partition(";")[0]
    return content_type.strip().lower() == FORM


def form_of(message: Message) -> list[tuple[str, str]]:
    """Return a form's parameters; one without a value counts as left out (RFC 6749, 3.2)."""
    return parse_qsl(message.body.decode("utf-8", "replace"))


def path_of(url: str) -> str:
    """Return the path of an address."""
    return urlsplit(url).path or "/"


def equal(actual: str, expected: str) -> bool:
    """Compare two texts in constant time."""
    return hmac.compare_digest(actual.encode(), expected.encode())

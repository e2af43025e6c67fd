"""What an authentication scheme is, and a request as it is signed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import ClassVar, NamedTuple, Protocol, Self

from connector.definitions.model import AuthConfig
from connector.model import Response


class Message(NamedTuple):
    """A request as it travels, with its credentials; header names are in lower case.

    `repeatable`: whether it may arrive twice. Its `repr` shows none of it.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes = b""
    repeatable: bool = False

    def __repr__(self) -> str:
        return f"Message({self.method})"

    def with_header(self, name: str, value: str) -> Self:
        """Return the message with one more header."""
        return self._replace(headers={**self.headers, name.lower(): value})


#: Sends a message once and returns the answer. Raises SendError.
Exchange = Callable[[Message], Response]


class Kept(Protocol):
    """A secret in a store, which the vendor may renew."""

    def latest(self) -> str | None:
        """Return it as it is now, None when it is gone: another process may have renewed it."""

    def keep(self, secret: str) -> None:
        """Keep a new one. Raise UnauthorizedError when it would be lost."""


class Scheme:
    """One authentication scheme; this base class sends no credentials.

    A scheme may be used from several threads.
    """

    #: How requests are authenticated, for people.
    DESCRIPTION: ClassVar[str] = "Requests carry no credentials of their own."

    #: The credentials that it uses, each with what it is, for people.
    CREDENTIALS: ClassVar[Mapping[str, str]] = {}

    #: Those that a definition may declare optional: without one, what needs it is left out.
    CAN_BE_OPTIONAL: ClassVar[frozenset[str]] = frozenset()

    #: Those that a person gets by signing in.
    SIGNED_IN: ClassVar[tuple[str, ...]] = ()

    #: The one that the vendor may renew, "" when there is none.
    RENEWED: ClassVar[str] = ""

    #: Where a renewed one is kept, None when it is used until the run ends.
    kept: Kept | None = None

    def __init__(self, config: AuthConfig, secrets: Mapping[str, str]) -> None:
        """Take a definition's `auth` without placeholders, and secrets by credential name."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def sign(self, message: Message, exchange: Exchange) -> Message:
        """Return the message with credentials, made for each attempt.

        `exchange` fetches what is needed first, such as a token. Raise SendError when it gets no
        answer, and UnauthorizedError when it is refused.
        """
        return message

    def send_signed(self, message: Message, exchange: Exchange) -> Response:
        """Sign and send a message; once more when new credentials may help after a 401.

        Raise SendError and UnauthorizedError as `sign` does.
        """
        signed = self.sign(message, exchange)
        response = exchange(signed)
        if response.status == HTTPStatus.UNAUTHORIZED and self.renew(signed):
            response = exchange(self.sign(message, exchange))
        return response

    def renew(self, refused: Message) -> bool:
        """Return whether a message that was answered with 401 is worth signing again."""
        return False

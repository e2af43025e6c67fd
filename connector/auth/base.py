"""What sending and the authentication schemes share: a request as it is signed, what may fail, what a scheme is."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple, Self

from connector.definitions.model import AuthConfig
from connector.model import Response


class Message(NamedTuple):
    """A request as it travels, credentials and all; header names are in lower case. Its `repr` shows none of it."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes = b""

    def __repr__(self) -> str:
        return f"Message({self.method})"

    def with_header(self, name: str, text: str) -> Self:
        """Return the message with one more header."""
        return self._replace(headers={**self.headers, name.lower(): text})


#: Sends a message once and returns the answer. Raises SendError.
Ask = Callable[[Message], Response]


class Scheme:
    """One scheme; the base of all of them, and the one that asks for nothing. May be used from several threads."""

    #: The credentials that it needs; those without which something is left out stand in `MAY_LACK`.
    CREDENTIALS: ClassVar[tuple[str, ...]] = ()
    MAY_LACK: ClassVar[tuple[str, ...]] = ()

    #: The path of the token endpoint, "" when tokens are not fetched.
    token_path: str = ""

    def __init__(self, config: AuthConfig, secrets: Mapping[str, str]) -> None:
        """`config`: a definition's `auth`, without placeholders; `secrets` by the names of its credentials."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def sign(self, message: Message, ask: Ask) -> Message:
        """Return a message that carries the credentials, made anew for each attempt.

        `ask` is for what has to be fetched first. Raises SendError, and UnauthorizedError when that is refused.
        """
        return message

    def renew(self, refused: Message) -> bool:
        """Say whether a message that was answered with 401 may be accepted when it is signed again."""
        return False

    # The other side: the sandbox.

    def verify(self, message: Message) -> str | None:
        """Say why a message is not authentic, or None when it is; the text holds no secret."""
        return None

    def opened(self, body: Any) -> Any:
        """Return a parsed body without the credentials that stand in it."""
        return body

    def issue(self, message: Message) -> Response:
        """Answer a request to the token endpoint."""
        raise NotImplementedError


def same(given: str, expected: str) -> bool:
    """Compare two texts in a time that tells nothing of where they differ."""
    return hmac.compare_digest(given.encode(), expected.encode())

"""The token that callers prove themselves with."""

from __future__ import annotations

import hashlib
import hmac

from connector.errors import ConfigError, Problem
from connector.service.references import reference_in

_LEAST = 16


class Token:
    """A secret that is compared in constant time, and never shown."""

    def __init__(self, secret: str) -> None:
        self._digest = hashlib.sha256(secret.encode()).digest()

    @property
    def digest(self) -> str:
        """What tells it from other tokens, and does not show it."""
        return self._digest.hex()

    def is_in(self, authorization: str) -> bool:
        """Return whether a header `Authorization` holds it."""
        scheme, _, given = authorization.partition(" ")
        digest = hashlib.sha256(given.strip().encode("utf-8", "replace")).digest()
        is_equal = hmac.compare_digest(digest, self._digest)
        return is_equal and scheme.lower() == "bearer"


def token_of(text: str) -> Token:
    """Return the token of `--token`. Raise ConfigError (C045)."""
    secret = reference_in(text, "--token")
    is_visible = secret.isascii() and secret.isprintable() and " " not in secret
    if len(secret) < _LEAST or not is_visible:
        message = f"the token has to have {_LEAST} or more visible characters of ASCII and no space"
        hint = "make one with: openssl rand -hex 32"
        raise ConfigError([Problem("C045", "--token", "", message, hint)])
    return Token(secret)
